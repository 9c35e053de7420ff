//! The parameters of a layer and the inputs of a model, as they lie in memory.

use super::format::Spread;
use super::layer::Layer;
use super::reader;
use crate::bits;
use crate::lif::Membrane;
use crate::neurons::TILE;

/// Value `index` of 16-bit values packed into words; 0 beyond the end.
#[inline]
pub(super) const fn half_word(words: &[u32], index: usize) -> u16 {
    (reader::word(words, index / 2) >> (index % 2 * 16)) as u16
}

/// The thresholds or biases of a layer, as they lie in the file.
#[derive(Debug, Clone, Copy)]
pub struct Parameters<'a> {
    words: &'a [u32],
    membrane: Membrane,
    spread: Option<Spread>,
}

impl<'a> Parameters<'a> {
    pub(super) const fn new(words: &'a [u32], layer: &Layer, spread: Option<Spread>) -> Self {
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

    /// Fills `tile` with the parameters of neurons from channel 0 on, for a layer of `i16` membranes;
    /// `false` where they do not repeat at least once a word.
    // Apart and element by element, since it is called twice a layer and step, and small then.
    #[inline(never)]
    pub(crate) fn tile(&self, channels: usize, tile: &mut [i16]) -> bool {
        let common = [self.common() as i16];
        let values = match self.spread {
            None | Some(Spread::Layer) => &common,
            Some(Spread::Channel) if TILE.is_multiple_of(channels) => {
                let values = self.halves(0, 0).unwrap_or(&[]);
                values.get(..channels).unwrap_or(values)
            }
            Some(Spread::Channel | Spread::Neuron) => return false,
        };
        let mut at = 0;
        for to in tile {
            *to = values.get(at).copied().unwrap_or(0);
            at += 1;
            if at == values.len() {
                at = 0;
            }
        }
        true
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
    pub(crate) const fn at(&self, index: usize) -> i32 {
        match self.membrane {
            Membrane::I16 => half_word(self.words, index) as i16 as i32,
            Membrane::I32 => reader::word(self.words, index) as i32,
        }
    }
}

/// A checked input of one step, borrowed. Made by [`Model::input`](super::Model::input) and
/// [`Model::input_words`](super::Model::input_words).
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
