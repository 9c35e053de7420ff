//! Saving and restoring the state of a network, so that a stream goes on elsewhere, or later.
//!
//! A saved state is a header of 6 words, then spikes, membranes and read-out; docs/state-format.md
//! is the page for other implementations. It holds neither the model nor an input. The words are
//! little-endian where they become bytes, as in a model file.

use core::fmt;

use crate::bits;
use crate::decode;
use crate::lif::Membrane;
use crate::message::Piece::{Hex, Number, Text};
use crate::message::{Message, in_layer, number};
use crate::model::{Layer, checksum, readout_words};
use crate::network::{MemoryError, Network};

/// Version of the layout that this crate writes and reads.
pub const STATE_VERSION: u32 = 1;

/// `BSST` in little-endian order.
const MAGIC: u32 = u32::from_le_bytes(*b"BSST");

/// Words of the header: magic, version, length in bytes, CRC-32 of all other words, CRC-32 of the
/// model's file, steps.
pub(crate) const HEADER: usize = 6;

/// Why a saved state is not restored; the network is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateError {
    /// The words do not start with `BSST`: they are no saved state.
    Magic {
        /// The first word.
        got: u32,
    },
    /// The state is of a version that this build does not read.
    Version {
        /// Version of the state.
        got: u32,
        /// Version that this build reads.
        expected: u32,
    },
    /// The state ends early.
    Cut {
        /// Words that the state should have.
        expected: usize,
        /// Words that it has.
        got: usize,
    },
    /// There are words behind the end of the state.
    Trailing {
        /// Words that the state should have.
        expected: usize,
        /// Words that it has.
        got: usize,
    },
    /// The checksum does not match: at least one bit has changed.
    Checksum {
        /// CRC-32 that the state names.
        expected: u32,
        /// CRC-32 of what is there.
        got: u32,
    },
    /// The state is of another model.
    Model {
        /// CRC-32 of this network's model file.
        expected: u32,
        /// CRC-32 of the model file that the state names.
        got: u32,
    },
    /// A bit behind a layer's last spike, or behind its last membrane, is set.
    Padding {
        /// Index of the layer.
        layer: usize,
    },
    /// A spike is not the one that the membrane and the threshold of its neuron give.
    Spike {
        /// Index of the layer.
        layer: usize,
        /// Flat index of the neuron.
        neuron: usize,
    },
    /// No step has been run, and yet a membrane is not 0.
    Rest {
        /// Index of the layer.
        layer: usize,
    },
    /// The read-out holds what the steps run cannot have left in it.
    Readout {
        /// What it holds.
        what: &'static str,
    },
}

impl StateError {
    /// What is wrong, for a device that has no room for `core::fmt`.
    pub fn message(&self) -> Message {
        match *self {
            Self::Magic { got } => Message::new([
                Text("not a saved state: it starts with 0x"),
                Hex(got),
                Text(", not with \"BSST\""),
            ]),
            Self::Version { got, expected } => Message::new([
                Text("saved state of version "),
                Number(got.into()),
                Text("; this build reads version "),
                Number(expected.into()),
            ]),
            Self::Cut { expected, got } => Message::new([
                Text("the saved state is cut: "),
                number(got),
                Text(" words of "),
                number(expected),
            ]),
            Self::Trailing { expected, got } => Message::new([
                Text("the saved state is too long: "),
                number(got),
                Text(" words, it ends at "),
                number(expected),
            ]),
            Self::Checksum { expected, got } => Message::new([
                Text("the checksum does not match (stated 0x"),
                Hex(expected),
                Text(", found 0x"),
                Hex(got),
                Text("): the saved state is damaged"),
            ]),
            Self::Model { expected, got } => Message::new([
                Text("the saved state is of the model with checksum 0x"),
                Hex(got),
                Text(", not of this one, 0x"),
                Hex(expected),
            ]),
            Self::Padding { layer } => in_layer(layer, [Text("a padding bit is not 0")]),
            Self::Spike { layer, neuron } => in_layer(
                layer,
                [
                    Text("the spike of neuron "),
                    number(neuron),
                    Text(" does not follow from its membrane"),
                ],
            ),
            Self::Rest { layer } => in_layer(layer, [Text("not at rest before the first step")]),
            Self::Readout { what } => Message::new([Text("the read-out holds "), Text(what)]),
        }
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

impl core::error::Error for StateError {}

impl<const LAYERS: usize, const PARTS: u32> Network<'_, LAYERS, PARTS> {
    /// Words of a saved state: 6, and what spikes, membranes and read-out take.
    ///
    /// [`Sizes::saved_words`](crate::model::Sizes::saved_words) is a constant that is enough.
    pub fn saved_words(&self) -> usize {
        let sizes = self.model().sizes();
        HEADER + sizes.spike_words + sizes.membrane_words + self.readout_words()
    }

    /// Writes the state into the first [`saved_words`](Self::saved_words) of `words`, and gives
    /// their number. A network [restored](Self::restore) from them, on this machine or another, goes
    /// on to the same bits.
    ///
    /// Cost: a copy and a CRC-32 of the words.
    ///
    /// # Errors
    /// [`MemoryError`] where `words` is too short.
    ///
    /// ```
    /// # use bitspike_core::model::{Model, pack_words};
    /// # use bitspike_core::network::Network;
    /// # static FILE: [u32; 92] = pack_words(include_bytes!("../tests/models/v1-mixed.bsnn"));
    /// # let model = Model::new(&FILE)?;
    /// # let input = model.input(&[200; 36])?;
    /// # let (mut memory, mut other) = (vec![0; 99], vec![0; 99]);
    /// let mut here = Network::new(&model, &mut memory)?;
    /// here.step(input);
    /// let mut saved = vec![0; here.saved_words()];
    /// here.save(&mut saved)?;
    ///
    /// let mut there = Network::new(&model, &mut other)?;
    /// there.restore(&saved)?;
    /// here.step(input);
    /// there.step(input);
    /// assert_eq!(here.first_difference(&there), None);
    /// assert_eq!(here.decision(), there.decision());
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn save(&self, words: &mut [u32]) -> Result<usize, MemoryError> {
        let (expected, got) = (self.saved_words(), words.len());
        let words = words
            .get_mut(..expected)
            .ok_or(MemoryError { expected, got })?;
        let layers = || 0..self.model().layers().len();
        let head = [
            MAGIC,
            STATE_VERSION,
            4 * expected as u32,
            0,
            self.model().checksum(),
            self.steps(),
        ];
        let spikes = layers().flat_map(|layer| self.spikes(layer).words());
        let membranes = layers().flat_map(|layer| self.membrane_words(layer));
        let state = spikes.chain(membranes).copied().chain(self.scores.words());
        words
            .iter_mut()
            .zip(head.into_iter().chain(state))
            .for_each(|(to, from)| *to = from);
        let crc = checksum(words);
        if let Some(word) = words.get_mut(3) {
            *word = crc;
        }
        Ok(expected)
    }

    /// Takes over a saved state of the same model.
    ///
    /// Everything is checked first: whatever the words hold behind a right checksum, the network
    /// is one that its model can have reached as far as spikes and read-out go.
    ///
    /// Cost: a CRC-32 and a copy of the words, and a comparison a neuron.
    ///
    /// # Errors
    /// [`StateError`] that names the first thing that is wrong; the network is then as it was.
    pub fn restore(&mut self, words: &[u32]) -> Result<(), StateError> {
        let &[magic, version, bytes, stated, model, steps] =
            words.first_chunk().ok_or(StateError::Cut {
                expected: HEADER,
                got: words.len(),
            })?;
        if magic != MAGIC {
            return Err(StateError::Magic { got: magic });
        }
        if version != STATE_VERSION {
            return Err(StateError::Version {
                got: version,
                expected: STATE_VERSION,
            });
        }
        check_length(words, bytes as usize / 4)?;
        let found = checksum(words);
        if found != stated || bytes as usize != 4 * words.len() {
            return Err(StateError::Checksum {
                expected: stated,
                got: found,
            });
        }
        let expected = self.model().checksum();
        if model != expected {
            return Err(StateError::Model {
                expected,
                got: model,
            });
        }
        check_length(words, self.saved_words())?;

        let sizes = self.model().sizes();
        let state = words.get(HEADER..).unwrap_or(&[]);
        let (spikes, state) = state.split_at(sizes.spike_words.min(state.len()));
        let (membranes, readout) = state.split_at(sizes.membrane_words.min(state.len()));
        for (index, layer) in self.model().layers().iter().enumerate() {
            self.check_layer(index, layer, spikes, membranes, steps)?;
        }
        decode::check_saved(self.model(), readout, steps)
            .map_err(|what| StateError::Readout { what })?;

        let copy = |to: &mut [u32], from: &[u32]| {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        };
        copy(self.spikes, spikes);
        copy(self.membranes, membranes);
        self.scores.restore(readout);
        self.step = steps;
        Ok(())
    }

    fn readout_words(&self) -> usize {
        readout_words(self.model().last().map_or(0, Layer::units))
    }

    /// Checks padding, spikes and rest of a layer in saved words.
    fn check_layer(
        &self,
        index: usize,
        layer: &Layer,
        spikes: &[u32],
        membranes: &[u32],
        steps: u32,
    ) -> Result<(), StateError> {
        let units = layer.units();
        let membrane = layer.spec().membrane;
        let (spikes, spike_padding) = own(spikes, layer.spikes_at, bits::words_for(units), units);
        let (half, len) = match membrane {
            Membrane::I16 => (true, 16 * units),
            Membrane::I32 => (false, 32 * units),
        };
        let (membranes, membrane_padding) =
            own(membranes, layer.membranes_at, membrane.words(units), len);
        if spike_padding || membrane_padding {
            return Err(StateError::Padding { layer: index });
        }
        if steps == 0 && membranes.iter().any(|word| *word != 0) {
            return Err(StateError::Rest { layer: index });
        }
        let thresholds = self.model().thresholds(layer);
        let channels = usize::from(layer.output().channels);
        for neuron in 0..units {
            let value = if half {
                i32::from(bits::read(membranes, 16 * neuron, 16) as i16)
            } else {
                bits::read(membranes, 32 * neuron, 32) as i32
            };
            let fires = value > thresholds.get(neuron, neuron % channels.max(1));
            if bits::bit(spikes, neuron) != fires {
                return Err(StateError::Spike {
                    layer: index,
                    neuron,
                });
            }
        }
        Ok(())
    }
}

/// The words of one layer, and whether a bit from `bits` on is set.
fn own(words: &[u32], at: u32, count: usize, bits: usize) -> (&[u32], bool) {
    let at = at as usize;
    let words = words.get(at..at + count).unwrap_or(&[]);
    let tail = bits % 32;
    let last = words.last().copied().unwrap_or(0);
    (words, tail != 0 && last & !bits::low_mask(tail) != 0)
}

fn check_length(words: &[u32], expected: usize) -> Result<(), StateError> {
    let got = words.len();
    match got.cmp(&expected) {
        core::cmp::Ordering::Less => Err(StateError::Cut { expected, got }),
        core::cmp::Ordering::Greater => Err(StateError::Trailing { expected, got }),
        core::cmp::Ordering::Equal => Ok(()),
    }
}
