//! From the words of a file to a checked [`Model`]: at run time, or in a `const`.

use super::error::{ModelError, ParameterError};
use super::format::InputKind;
use super::layer::{Layer, Shape};
use super::parts;
use super::planner::Planner;
use super::prelude::{Sizes, checksum, quick_checksum, word};
use super::reader::{self, Reader, between};
use super::view::Model;
use crate::bits;
use crate::lif::Membrane;

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
