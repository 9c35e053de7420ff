//! The checked view of a model file.

use super::MAX_LAYERS;
use super::error::{InputError, ModelError};
use super::format::{InputKind, Readout};
use super::layer::{Layer, Shape};
use super::metadata::Metadata;
use super::parts;
use super::prelude::{Sizes, word};
use super::reader::between;
use super::values::{Input, Parameters, half_word};
use crate::bits;

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
    pub(super) words: &'a [u32],
    pub(super) parameters: &'a [u32],
    /// As many as the sizes say, then room.
    pub(super) layers: [Layer; LAYERS],
    pub(super) sizes: Sizes,
    pub(super) input: InputKind,
    pub(super) shape: Shape,
    pub(super) steps: u32,
    pub(super) readout: Readout,
    pub(super) logit_scale: f32,
}

impl<'a, const LAYERS: usize, const PARTS: u32> Model<'a, LAYERS, PARTS> {
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
}

/// Bytes of a section; `None` where its padding is not 0.
fn section_bytes(words: &[u32], len: usize) -> Option<&[u8]> {
    let (section, padding) = bytemuck::cast_slice::<u32, u8>(words).split_at_checked(len)?;
    padding.iter().all(|byte| *byte == 0).then_some(section)
}
