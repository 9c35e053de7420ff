//! The checked view of a model file.

use super::MAX_LAYERS;
use super::error::{InputError, ModelError, ParameterError};
use super::format::{Head, InputKind, LayerSpec, Readout, Spread};
use super::layer::{Layer, Planner, Shape};
use super::metadata::Metadata;
use super::prelude::{Sizes, word};
use crate::bits;
use crate::lif::Membrane;
use crate::neurons::TILE;

/// A model whose file has been checked: everything in it can be used without further checks.
///
/// Borrows the file's words; weights and parameters stay where they are (in flash on a device).
///
/// `LAYERS` is room for layers, about 72 bytes each. A program with an included model knows their
/// number ([`Sizes::layers`]) and saves memory by [`sized`](Self::sized).
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
pub struct Model<'a, const LAYERS: usize = MAX_LAYERS> {
    words: &'a [u32],
    parameters: &'a [u32],
    layers: heapless::Vec<Layer, LAYERS>,
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

impl<'a, const LAYERS: usize> Model<'a, LAYERS> {
    /// As [`Model::new`], for a model of up to `LAYERS` layers.
    ///
    /// # Errors
    /// As [`Model::new`]; [`ModelError::Layers`] for a model with more layers.
    // Apart, so that a caller's frame does not hold the loader's.
    #[inline(never)]
    pub fn sized(words: &'a [u32]) -> Result<Self, ModelError> {
        let stated = Sizes::parse(words)?;
        let (metadata_at, parameters_at) = stated.sections().ok_or(ModelError::Sections)?;
        let section = words.get(word::COUNT..metadata_at).unwrap_or(&[]);
        let section = section_bytes(section, stated.network_bytes).ok_or(ModelError::Sections)?;
        let (head, mut rest) =
            postcard::take_from_bytes::<Head>(section).map_err(|_| ModelError::Network)?;
        check_shortest("layers", section.len() - rest.len(), head.encoded_bytes())?;
        let mut planner = Planner::new(head)?;
        let [height, width, channels] = head.shape;
        let mut model = Self {
            words,
            parameters: words.get(parameters_at..).unwrap_or(&[]),
            layers: heapless::Vec::new(),
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
        for _ in 0..head.layers {
            let (spec, after) =
                postcard::take_from_bytes::<LayerSpec>(rest).map_err(|_| ModelError::Network)?;
            check_shortest("layers", rest.len() - after.len(), spec.encoded_bytes())?;
            rest = after;
            let layer = planner.layer(&spec)?;
            let got = head.layers as usize;
            model
                .layers
                .push(layer)
                .map_err(|_| ModelError::Layers { got })?;
        }
        if !rest.is_empty() {
            return Err(ModelError::Network);
        }
        let needed = planner.finish()?;
        for (what, expected, got) in [
            (
                "parameter words",
                needed.parameter_words,
                stated.parameter_words,
            ),
            (
                "membrane words",
                needed.membrane_words,
                stated.membrane_words,
            ),
            ("spike words", needed.spike_words, stated.spike_words),
            ("scratch words", needed.scratch_words, stated.scratch_words),
            ("input bytes", needed.input_bytes, stated.input_bytes),
            ("units in the widest layer", needed.widest, stated.widest),
            ("layers", needed.layers, stated.layers),
        ] {
            if expected != got {
                return Err(ModelError::Count {
                    what,
                    expected,
                    got,
                });
            }
        }
        for (index, layer) in model.layers.iter().enumerate() {
            model.check_padding(index, layer)?;
            model
                .check_parameters(layer)
                .map_err(|error| ModelError::Parameter {
                    layer: index,
                    error,
                })?;
        }
        Ok(model)
    }

    /// The layers, first to last; there is at least one.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// What the prelude says: lengths and memory.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Kind of the input values.
    pub fn input_kind(&self) -> InputKind {
        self.input
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
    pub fn readout(&self) -> Readout {
        self.readout
    }

    /// Number of classes of a decision: the groups of a population, else the units of the last layer.
    pub fn classes(&self) -> usize {
        match self.readout {
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
                check_shortest("metadata", section.len(), metadata.encoded_bytes())?;
                Ok(metadata)
            }
            _ => Err(ModelError::Metadata),
        }
    }

    /// The weight words of a layer, in the order of its spec.
    pub fn weights(&self, layer: &Layer) -> &'a [u32] {
        let [from, to, ..] = layer.sections();
        self.words_between(from, to)
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
    pub fn thresholds(&self, layer: &Layer) -> Parameters<'a> {
        let [_, from, to, _] = layer.sections();
        Parameters::new(
            self.words_between(from, to),
            layer,
            Some(layer.spec().thresholds),
        )
    }

    /// The biases of a layer, in the units of its thresholds; all 0 where it has none.
    pub fn biases(&self, layer: &Layer) -> Parameters<'a> {
        let [.., from, to] = layer.sections();
        Parameters::new(self.words_between(from, to), layer, layer.spec().biases)
    }

    /// Gain of a class in the read-out, `1 ..= 32767`; 1 where the read-out has none, 0 for a class
    /// that there is not.
    pub fn gain(&self, class: usize) -> u16 {
        if !self.readout.has_gains() {
            return 1;
        }
        let at = self.last().map_or(0, |layer| layer.sections()[3]);
        half_word(self.parameters.get(at..).unwrap_or(&[]), class)
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
        if !self.input.is_graded() {
            return Err(InputError::Kind);
        }
        self.check_length(bytes.len())?;
        Ok(if self.input == InputKind::U8 {
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
        if self.input.is_graded() {
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
        Ok(if self.input == InputKind::Spikes {
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
        if self.input.is_graded() {
            let bytes: &[u8] = bytemuck::try_cast_slice(words).unwrap_or(&[]);
            self.input(bytes.get(..expected).ok_or(short)?)
        } else {
            self.input_words(words.get(..expected / 4).ok_or(short)?)
        }
    }

    pub(crate) fn last(&self) -> Option<&Layer> {
        self.layers.last()
    }

    fn words_between(&self, from: usize, to: usize) -> &'a [u32] {
        self.parameters.get(from..to).unwrap_or(&[])
    }

    fn check_length(&self, got: usize) -> Result<(), InputError> {
        let expected = self.sizes.input_bytes;
        if got == expected {
            Ok(())
        } else {
            Err(InputError::Length { expected, got })
        }
    }

    fn check_padding(&self, index: usize, layer: &Layer) -> Result<(), ModelError> {
        let tail = layer.row_bits() % 32;
        let padding = if tail == 0 { 0 } else { !bits::low_mask(tail) };
        let dirty = self
            .weights(layer)
            .chunks(layer.row_words())
            .any(|row| row.last().is_some_and(|word| word & padding != 0));
        let [_, thresholds, biases, end] = layer.sections();
        let spec = layer.spec();
        let halves = spec.membrane == Membrane::I16;
        let gains = self.readout.has_gains() && self.last() == Some(layer);
        let lists = [
            (halves, thresholds..biases, Some(spec.thresholds)),
            (halves, biases..end, spec.biases),
            (gains, end..self.parameters.len(), Some(Spread::Neuron)),
        ];
        // Two values a word: behind an odd number of them half a word is left.
        let dirty_half = lists.into_iter().any(|(halves, words, spread)| {
            let count = spread.map_or(0, |spread| layer.parameters(spread));
            let last = self.words_between(words.start, words.end).last();
            halves && count % 2 == 1 && last.is_some_and(|word| word >> 16 != 0)
        });
        if dirty || dirty_half {
            Err(ModelError::Padding { layer: index })
        } else {
            Ok(())
        }
    }

    fn check_parameters(&self, layer: &Layer) -> Result<(), ParameterError> {
        let thresholds = self.thresholds(layer);
        for index in 0..layer.parameters(layer.spec().thresholds) {
            let got = thresholds.at(index);
            if got < 1 {
                return Err(ParameterError::Threshold { index, got });
            }
        }
        if self.readout.has_gains() && self.last() == Some(layer) {
            for index in 0..layer.units() {
                let got = self.gain(index);
                if !(1..=32767).contains(&got) {
                    return Err(ParameterError::Gain {
                        index,
                        got: got.into(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// Refuses a section, or a part of one, whose numbers take more bytes than they need.
fn check_shortest(section: &'static str, got: usize, expected: usize) -> Result<(), ModelError> {
    if got == expected {
        Ok(())
    } else {
        Err(ModelError::Overlong {
            section,
            bytes: got.saturating_sub(expected),
        })
    }
}

/// Bytes of a section; `None` where its padding is not 0.
fn section_bytes(words: &[u32], len: usize) -> Option<&[u8]> {
    let (section, padding) = bytemuck::cast_slice::<u32, u8>(words).split_at_checked(len)?;
    padding.iter().all(|byte| *byte == 0).then_some(section)
}

/// Value `index` of 16-bit values packed into words; 0 beyond the end.
#[inline]
fn half_word(words: &[u32], index: usize) -> u16 {
    words
        .get(index / 2)
        .map_or(0, |word| (word >> (index % 2 * 16)) as u16)
}

/// The thresholds or biases of a layer, as they lie in the file.
#[derive(Debug, Clone, Copy)]
pub struct Parameters<'a> {
    words: &'a [u32],
    membrane: Membrane,
    spread: Option<Spread>,
}

impl<'a> Parameters<'a> {
    fn new(words: &'a [u32], layer: &Layer, spread: Option<Spread>) -> Self {
        Self {
            words,
            membrane: layer.spec().membrane,
            spread,
        }
    }

    /// The parameter of a neuron: `channel` of the flat index `neuron`.
    #[inline]
    pub fn get(&self, neuron: usize, channel: usize) -> i32 {
        match self.spread {
            None => 0,
            Some(Spread::Layer) => self.at(0),
            Some(Spread::Channel) => self.at(channel),
            Some(Spread::Neuron) => self.at(neuron),
        }
    }

    /// The parameters of a word of neurons from channel 0 on, for a layer of `i16` membranes;
    /// `None` where they do not repeat at least once a word.
    pub(crate) fn tile(&self, channels: usize) -> Option<[i16; TILE]> {
        match self.spread {
            None | Some(Spread::Layer) => Some([self.common() as i16; TILE]),
            Some(Spread::Channel) if TILE.is_multiple_of(channels) => {
                let mut tile = [0; TILE];
                for positions in tile.chunks_mut(channels) {
                    let parameters = self.halves(0, 0).unwrap_or(&[]).iter();
                    positions
                        .iter_mut()
                        .zip(parameters)
                        .for_each(|(to, from)| *to = *from);
                }
                Some(tile)
            }
            Some(Spread::Channel | Spread::Neuron) => None,
        }
    }

    /// The parameter that all neurons have, or the first one; 0 for none.
    pub(crate) fn common(&self) -> i32 {
        self.spread.map_or(0, |_| self.at(0))
    }

    /// The parameters from those of a neuron on, `channel` of the flat index `neuron`, for a layer
    /// of `i16` membranes; `None` where all neurons have the [`common`](Self::common) one.
    #[inline(always)]
    pub(crate) fn halves(&self, neuron: usize, channel: usize) -> Option<&'a [i16]> {
        let at = match self.spread {
            None | Some(Spread::Layer) => return None,
            Some(Spread::Channel) => channel,
            Some(Spread::Neuron) => neuron,
        };
        let halves = bytemuck::cast_slice::<u32, i16>(self.words);
        Some(halves.get(at..).unwrap_or(&[]))
    }

    /// Whether each neuron has its own.
    pub(crate) fn by_neuron(&self) -> bool {
        self.spread == Some(Spread::Neuron)
    }

    /// Parameter `index` as stored; 0 beyond the end.
    #[inline]
    pub(crate) fn at(&self, index: usize) -> i32 {
        match self.membrane {
            Membrane::I16 => i32::from(half_word(self.words, index) as i16),
            Membrane::I32 => self.words.get(index).map_or(0, |word| *word as i32),
        }
    }
}

/// A checked input of one step, borrowed. Made by [`Model::input`] and [`Model::input_words`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// Spikes, 32 a word.
    Spikes(&'a [u32]),
    /// Bipolar values, 32 a word.
    Bipolar(&'a [u32]),
    /// Graded values `0 ..= 255`.
    U8(&'a [u8]),
    /// Graded values `-128 ..= 127` in two's complement.
    I8(&'a [u8]),
}

impl Input<'_> {
    /// Value `index` of the flat input; 0 beyond the end.
    #[inline]
    pub fn value(&self, index: usize) -> i32 {
        match *self {
            Self::Spikes(words) => bits::bit(words, index).into(),
            Self::Bipolar(words) => 2 * i32::from(bits::bit(words, index)) - 1,
            Self::U8(bytes) => bytes.get(index).copied().unwrap_or(0).into(),
            Self::I8(bytes) => i32::from(bytes.get(index).copied().unwrap_or(0) as i8),
        }
    }
}
