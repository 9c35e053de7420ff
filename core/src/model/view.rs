//! The checked view of a model file.

use super::MAX_LAYERS;
use super::error::{InputError, ModelError, ParameterError};
use super::format::{InputKind, Readout};
use super::layer::{Layer, Shape};
use super::metadata::Metadata;
use super::parts;
use super::planner::Planner;
use super::prelude::{Sizes, checksum, quick_checksum, word};
use super::reader::{self, Reader, between};
use super::values::{Input, Parameters, half_word};
use crate::bits;
use crate::lif::Membrane;

/// A model whose file has been checked: everything in it can be used without further checks.
///
/// Borrows the file's words; weights and parameters stay where they are (in flash on a device).
///
/// `LAYERS` is room for layers, about 72 bytes each, and `PARTS` the [`parts`] of the engine that
/// are there. A program with an included model knows both, and has the model as a constant, by
/// [`included`](Self::included).
///
/// ```
/// use bitspike_core::model::{InputKind, Model, Readout, pack_words};
/// static FILE: [u32; 92] = pack_words(include_bytes!("../../tests/models/v1-mixed.bsnn"));
/// let model = Model::new(&FILE)?;
/// assert_eq!((model.input_kind(), model.input_shape().units()), (InputKind::U8, 36));
/// assert_eq!((model.readout(), model.classes(), model.steps()), (Readout::Membrane, 3, 4));
/// // A changed bit anywhere is refused.
/// let mut damaged = FILE;
/// damaged[50] ^= 1 << 7;
/// assert!(Model::new(&damaged).is_err());
/// # Ok::<(), bitspike_core::model::ModelError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Model<'a, const LAYERS: usize = MAX_LAYERS, const PARTS: u32 = { parts::ALL }> {
    words: &'a [u32],
    parameters: &'a [u32],
    /// As many as the sizes say, then room.
    layers: [Layer; LAYERS],
    sizes: Sizes,
    input: InputKind,
    shape: Shape,
    steps: u32,
    readout: Readout,
    logit_scale: f32,
}

impl<'a> Model<'a> {
    /// Checks a model file of up to 16 layers, given as little-endian words.
    ///
    /// Cost: one pass over the file for the checksum, byte by byte, and one over its parameters; no
    /// memory but the model's own, about 72 bytes a layer.
    ///
    /// # Errors
    /// A [`ModelError`] that names the first thing that is wrong; every single changed bit, cut
    /// or surplus word is refused.
    pub fn new(words: &'a [u32]) -> Result<Self, ModelError> {
        Self::sized(words)
    }
}

impl<'a, const LAYERS: usize, const PARTS: u32> Model<'a, LAYERS, PARTS> {
    /// As [`Model::new`], for a model of up to `LAYERS` layers that needs no other parts of the engine
    /// than `PARTS`.
    ///
    /// # Errors
    /// As [`Model::new`]; [`ModelError::Layers`] for a model with more layers, [`ModelError::Part`] for
    /// one that needs another part.
    // Apart, so that a caller's frame does not hold the loader's.
    #[inline(never)]
    pub fn sized(words: &'a [u32]) -> Result<Self, ModelError> {
        let sizes = Sizes::parse(words)?;
        check_sum(words, checksum(words))?;
        Self::of(words, sizes)
    }

    /// A model that is part of the program, checked by the compiler: nothing of the loader is left in
    /// the program. [`verify`](Self::verify) looks whether flash still holds it.
    ///
    /// A model of more than about 800 KB takes `#[allow(long_running_const_eval)]` at the item.
    ///
    /// # Panics
    /// Where [`sized`](Self::sized) would refuse the file: the build fails.
    ///
    /// ```
    /// use bitspike_core::model::{Model, Sizes, pack_words, parts};
    /// const FILE: [u32; 92] = pack_words(include_bytes!("../../tests/models/v1-mixed.bsnn"));
    /// const LAYERS: usize = Sizes::of(&FILE).layers;
    /// static WORDS: [u32; 92] = FILE;
    /// static MODEL: Model<'_, LAYERS, { parts::of(&FILE) }> = Model::included(&WORDS);
    /// assert!(MODEL.verify().is_ok());
    /// assert_eq!(MODEL.classes(), 3);
    /// ```
    pub const fn included(words: &'a [u32]) -> Self {
        let sizes = match Sizes::parse(words) {
            Ok(sizes) => sizes,
            Err(error) => panic!("{}", error.summary()),
        };
        if let Err(error) = check_sum(words, quick_checksum(words)) {
            panic!("{}", error.summary());
        }
        match Self::of(words, sizes) {
            Ok(model) => model,
            Err(error) => panic!("{}", error.summary()),
        }
    }

    /// Computes the checksum of the file anew. Cost: one pass over it, byte by byte.
    ///
    /// # Errors
    /// [`ModelError::Checksum`] where a bit of the file has changed since the model was made.
    pub fn verify(&self) -> Result<(), ModelError> {
        check_sum(self.words, checksum(self.words))
    }

    /// The model of a file whose length and checksum are right.
    pub(super) const fn of(words: &'a [u32], stated: Sizes) -> Result<Self, ModelError> {
        let Some((metadata_at, parameters_at)) = stated.sections() else {
            return Err(ModelError::Sections);
        };
        let section = between(words, word::COUNT, metadata_at);
        let Some(mut reader) = Reader::new(section, stated.network_bytes) else {
            return Err(ModelError::Sections);
        };
        let head = reader.head();
        if let Err(error) = check_read(&reader) {
            return Err(error);
        }
        let mut planner = match Planner::new(head) {
            Ok(planner) => planner,
            Err(error) => return Err(error),
        };
        let whole = parts::of_input(head.input) | parts::of_readout(head.readout);
        if whole & !PARTS != 0 {
            return Err(ModelError::Part {
                layer: head.layers as usize - 1,
            });
        }
        let mut layers = [Layer::NONE; LAYERS];
        let mut kind = head.input;
        let mut index = 0;
        while index < head.layers as usize {
            let spec = reader.layer();
            if let Err(error) = check_read(&reader) {
                return Err(error);
            }
            let layer = match planner.layer(&spec) {
                Ok(layer) => layer,
                Err(error) => return Err(error),
            };
            if index >= LAYERS {
                return Err(ModelError::Layers {
                    got: head.layers as usize,
                });
            }
            if parts::of_layer(&layer, kind) & !PARTS != 0 {
                return Err(ModelError::Part { layer: index });
            }
            layers[index] = layer;
            kind = InputKind::Spikes;
            index += 1;
        }
        if !reader.is_at_end() {
            return Err(ModelError::Network);
        }
        let needed = match planner.finish() {
            Ok(needed) => needed,
            Err(error) => return Err(error),
        };
        if let Err(error) = stated.check_counts(&needed) {
            return Err(error);
        }
        let [height, width, channels] = head.shape;
        let model = Self {
            words,
            parameters: between(words, parameters_at, words.len()),
            layers,
            sizes: stated,
            input: head.input,
            shape: Shape {
                height,
                width,
                channels,
            },
            steps: head.steps,
            readout: head.readout,
            logit_scale: head.logit_scale,
        };
        let mut index = 0;
        while index < LAYERS && index < model.sizes.layers {
            let layer = &model.layers[index];
            let last = index + 1 == model.sizes.layers;
            if model.has_set_padding(layer, last) {
                return Err(ModelError::Padding { layer: index });
            }
            if let Err(error) = model.check_parameters(layer, last) {
                return Err(ModelError::Parameter {
                    layer: index,
                    error,
                });
            }
            index += 1;
        }
        Ok(model)
    }

    /// The layers, first to last; there is at least one.
    pub fn layers(&self) -> &[Layer] {
        self.layers.get(..self.sizes.layers).unwrap_or(&[])
    }

    /// What the prelude says: lengths and memory.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Kind of the input values.
    pub const fn input_kind(&self) -> InputKind {
        parts::input_of(PARTS, self.input)
    }

    /// Shape of the input.
    pub fn input_shape(&self) -> Shape {
        self.shape
    }

    /// Time steps of a decision, `1 ..= 65,536`; a stream may take any number.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// How a decision is read out.
    pub const fn readout(&self) -> Readout {
        parts::readout_of(PARTS, self.readout)
    }

    /// Number of classes of a decision: the groups of a population, else the units of the last layer.
    pub fn classes(&self) -> usize {
        match self.readout() {
            Readout::Population { groups } => groups.into(),
            _ => self.last().map_or(0, Layer::units),
        }
    }

    /// What multiplies the scores to logits, for the confidence only; finite.
    pub fn logit_scale(&self) -> f32 {
        self.logit_scale
    }

    /// CRC-32 (ISO-HDLC) of the file without its own word: tells models apart, and names the model of
    /// a saved state.
    pub fn checksum(&self) -> u32 {
        self.words.get(word::CRC).copied().unwrap_or(0)
    }

    /// The metadata section.
    ///
    /// # Errors
    /// [`ModelError::Metadata`] where it cannot be read or is of another version,
    /// [`ModelError::Overlong`] where a length is written longer than needed.
    pub fn metadata(&self) -> Result<Metadata<'a>, ModelError> {
        let (at, end) = self.sizes.sections().ok_or(ModelError::Sections)?;
        let section = self.words.get(at..end).unwrap_or(&[]);
        let section =
            section_bytes(section, self.sizes.metadata_bytes).ok_or(ModelError::Metadata)?;
        match postcard::take_from_bytes::<Metadata<'a>>(section) {
            Ok((metadata, [])) if metadata.version == Metadata::VERSION => {
                match section.len().saturating_sub(metadata.encoded_bytes()) {
                    0 => Ok(metadata),
                    bytes => Err(ModelError::Overlong {
                        section: "metadata",
                        bytes,
                    }),
                }
            }
            _ => Err(ModelError::Metadata),
        }
    }

    /// The weight words of a layer, in the order of its spec.
    pub const fn weights(&self, layer: &Layer) -> &'a [u32] {
        let [from, to, ..] = layer.sections();
        between(self.parameters, from, to)
    }

    /// Whether the weight from `tap` to `output` (a channel) of a layer is +1, else it is -1.
    ///
    /// A tap is `(ky * kernel width + kx) * map channels + c`, and `0 .. layer.taps()`; outside of
    /// that, and for an output that there is not, the answer means nothing. Cost: a word access.
    ///
    /// ```
    /// # use bitspike_core::model::{Model, pack_words};
    /// # static FILE: [u32; 92] = pack_words(include_bytes!("../../tests/models/v1-mixed.bsnn"));
    /// # let model = Model::new(&FILE)?;
    /// let first = &model.layers()[0];
    /// assert_eq!((first.kernel(), first.taps()), ([3, 3], 9));
    /// let plus = (0..first.taps()).filter(|&tap| model.weight(first, 0, tap)).count();
    /// assert!(plus <= 9);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn weight(&self, layer: &Layer, output: usize, tap: usize) -> bool {
        bits::bit(self.weights(layer), layer.weight_bit(output, tap))
    }

    /// The thresholds of a layer, in its fixed-point units (`2^-F` synaptic events); each at least 1.
    ///
    /// ```
    /// # use bitspike_core::model::{Model, pack_words};
    /// # static FILE: [u32; 92] = pack_words(include_bytes!("../../tests/models/v1-mixed.bsnn"));
    /// # let model = Model::new(&FILE)?;
    /// let first = &model.layers()[0];
    /// // One a channel: the same at every position.
    /// let thresholds = model.thresholds(first);
    /// assert_eq!((thresholds.get(2, 2), thresholds.get(7, 2)), (500, 500));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub const fn thresholds(&self, layer: &Layer) -> Parameters<'a> {
        let [_, from, to, _] = layer.sections();
        let words = between(self.parameters, from, to);
        Parameters::new(words, layer, Some(layer.spec().thresholds))
    }

    /// The biases of a layer, in the units of its thresholds; all 0 where it has none.
    pub fn biases(&self, layer: &Layer) -> Parameters<'a> {
        let [.., from, to] = layer.sections();
        let words = between(self.parameters, from, to);
        Parameters::new(words, layer, layer.spec().biases)
    }

    /// Weights, thresholds and biases of a layer: as one by one, but found once.
    pub(crate) fn lists(&self, layer: &Layer) -> (&'a [u32], Parameters<'a>, Parameters<'a>) {
        let [weights, thresholds, biases, end] = layer.sections();
        let words = |from, to| between(self.parameters, from, to);
        let spec = layer.spec();
        (
            words(weights, thresholds),
            Parameters::new(words(thresholds, biases), layer, Some(spec.thresholds)),
            Parameters::new(words(biases, end), layer, spec.biases),
        )
    }

    /// Gain of a class in the read-out, `1 ..= 32767`; 1 where the read-out has none, 0 for a class
    /// that there is not.
    pub const fn gain(&self, class: usize) -> u16 {
        if !self.readout().has_gains() {
            return 1;
        }
        let at = match self.last() {
            Some(layer) => layer.sections()[3],
            None => 0,
        };
        half_word(between(self.parameters, at, self.parameters.len()), class)
    }

    /// An input of graded values, one byte each (`i8` in two's complement), in flat order
    /// `(y * width + x) * channels + c`. No cost but a comparison of lengths.
    ///
    /// # Errors
    /// [`InputError`] where the model reads bits, or another number of values.
    ///
    /// ```
    /// # use bitspike_core::model::{Model, pack_words};
    /// # static FILE: [u32; 92] = pack_words(include_bytes!("../../tests/models/v1-mixed.bsnn"));
    /// # let model = Model::new(&FILE)?;
    /// assert_eq!(model.input(&[7; 36])?.value(35), 7);
    /// assert!(model.input(&[7; 35]).is_err());
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn input<'i>(&self, bytes: &'i [u8]) -> Result<Input<'i>, InputError> {
        if !self.input_kind().is_graded() {
            return Err(InputError::Kind);
        }
        self.check_length(bytes.len())?;
        Ok(if self.input_kind() == InputKind::U8 {
            Input::U8(bytes)
        } else {
            Input::I8(bytes)
        })
    }

    /// An input of spikes or bipolar values, 32 a word: value `i` is bit `i % 32` of word `i / 32`, in
    /// flat order. The encoders of [`encode`](crate::encode) write such words.
    ///
    /// # Errors
    /// [`InputError`] where the model reads bytes or another number of bits, or where a bit behind
    /// the last value is set.
    pub fn input_words<'i>(&self, words: &'i [u32]) -> Result<Input<'i>, InputError> {
        if self.input_kind().is_graded() {
            return Err(InputError::Kind);
        }
        self.check_length(words.len() * 4)?;
        let tail = self.shape.units() % 32;
        if tail != 0
            && words
                .last()
                .is_some_and(|word| word & !bits::low_mask(tail) != 0)
        {
            return Err(InputError::Padding);
        }
        Ok(if self.input_kind() == InputKind::Spikes {
            Input::Spikes(words)
        } else {
            Input::Bipolar(words)
        })
    }

    /// An input of either kind in memory that holds it as it comes over a line: bytes, or little-endian
    /// words; what is behind the input's last byte or word is not looked at.
    ///
    /// # Errors
    /// [`InputError`] where the memory is too short, or a bit behind the last value is set.
    ///
    /// ```
    /// # use bitspike_core::model::{Model, pack_words};
    /// # static FILE: [u32; 92] = pack_words(include_bytes!("../../tests/models/v1-mixed.bsnn"));
    /// # let model = Model::new(&FILE)?;
    /// assert_eq!(model.input_stored(&[0x0403_0201; 9])?.value(2), 3);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn input_stored<'i>(&self, words: &'i [u32]) -> Result<Input<'i>, InputError> {
        let expected = self.sizes.input_bytes;
        let got = words.len().saturating_mul(4);
        let short = InputError::Length { expected, got };
        if self.input_kind().is_graded() {
            let bytes: &[u8] = bytemuck::try_cast_slice(words).unwrap_or(&[]);
            self.input(bytes.get(..expected).ok_or(short)?)
        } else {
            self.input_words(words.get(..expected / 4).ok_or(short)?)
        }
    }

    /// Layer `index`, for a `const`; the last one beyond the end.
    pub(super) const fn layer(&self, index: usize) -> &Layer {
        let index = if index < LAYERS { index } else { LAYERS - 1 };
        &self.layers[index]
    }

    pub(crate) const fn last(&self) -> Option<&Layer> {
        let index = self.sizes.layers.wrapping_sub(1);
        if index < LAYERS {
            Some(&self.layers[index])
        } else {
            None
        }
    }

    fn check_length(&self, got: usize) -> Result<(), InputError> {
        let expected = self.sizes.input_bytes;
        if got == expected {
            Ok(())
        } else {
            Err(InputError::Length { expected, got })
        }
    }

    /// Whether a padding bit of the weights, or of half a word behind an odd number of 16-bit values,
    /// is set.
    const fn has_set_padding(&self, layer: &Layer, last: bool) -> bool {
        let tail = layer.row_bits() % 32;
        let padding = if tail == 0 { 0 } else { !bits::low_mask(tail) };
        let weights = self.weights(layer);
        let mut at = layer.row_words() - 1;
        while at < weights.len() {
            if weights[at] & padding != 0 {
                return true;
            }
            at += layer.row_words();
        }
        let [_, _, biases, end] = layer.sections();
        let spec = layer.spec();
        // Two values a word: behind an odd number of them half a word is left.
        if matches!(spec.membrane, Membrane::I16) {
            if self.has_set_half(layer.parameters(spec.thresholds), biases) {
                return true;
            }
            if let Some(spread) = spec.biases
                && self.has_set_half(layer.parameters(spread), end)
            {
                return true;
            }
        }
        last && self.readout().has_gains()
            && self.has_set_half(layer.units(), self.parameters.len())
    }

    /// Whether half a word is left behind `count` values that end with word `end`, and not 0.
    const fn has_set_half(&self, count: usize, end: usize) -> bool {
        count % 2 == 1 && reader::word(self.parameters, end.wrapping_sub(1)) >> 16 != 0
    }

    const fn check_parameters(&self, layer: &Layer, last: bool) -> Result<(), ParameterError> {
        let thresholds = self.thresholds(layer);
        let mut index = 0;
        while index < layer.parameters(layer.spec().thresholds) {
            let got = thresholds.at(index);
            if got < 1 {
                return Err(ParameterError::Threshold { index, got });
            }
            index += 1;
        }
        let mut index = 0;
        while last && self.readout().has_gains() && index < layer.units() {
            let got = self.gain(index) as i32;
            if got < 1 || got > 32767 {
                return Err(ParameterError::Gain { index, got });
            }
            index += 1;
        }
        Ok(())
    }
}

const fn check_sum(words: &[u32], got: u32) -> Result<(), ModelError> {
    let expected = reader::word(words, word::CRC);
    if expected == got {
        Ok(())
    } else {
        Err(ModelError::Checksum { expected, got })
    }
}

/// Refuses a record that cannot be read, or whose numbers take more bytes than they need.
const fn check_read(reader: &Reader<'_>) -> Result<(), ModelError> {
    if !reader.is_good() {
        return Err(ModelError::Network);
    }
    match reader.surplus() {
        0 => Ok(()),
        bytes => Err(ModelError::Overlong {
            section: "layers",
            bytes,
        }),
    }
}

/// Bytes of a section; `None` where its padding is not 0.
fn section_bytes(words: &[u32], len: usize) -> Option<&[u8]> {
    let (section, padding) = bytemuck::cast_slice::<u32, u8>(words).split_at_checked(len)?;
    padding.iter().all(|byte| *byte == 0).then_some(section)
}
