//! The parameters of a layer's neurons, by neuron, by channel, or repeated once a word.

use super::TILE;
use crate::kernel::BLOCK;
use crate::model::Parameters;

/// Thresholds or biases of a layer of narrow neurons.
pub(super) struct Lane<'a> {
    /// Those of each channel, or of each neuron; of those that repeat a word, or a block of them.
    values: &'a [i16],
    /// Whole words of them.
    words: &'a [[i16; TILE]],
    /// The bits of a neuron's index and of its channel that lead to its value.
    masks: [usize; 2],
}

impl<'a> Lane<'a> {
    /// Those that repeat at least once a word of spikes are written to `tile`.
    pub(super) fn new(
        parameters: &Parameters<'a>,
        channels: usize,
        tile: &'a mut [i16; BLOCK],
    ) -> Self {
        // More than a word is needed only where a layer has more channels.
        let len = if channels > TILE { BLOCK } else { TILE };
        let tile = tile.get_mut(..len).unwrap_or(&mut []);
        if parameters.tile(channels, tile) {
            return Self {
                values: tile,
                words: tile.as_chunks().0,
                masks: [0, 0],
            };
        }
        let values = parameters.halves(0, 0).unwrap_or(&[]);
        Self {
            values,
            words: values.as_chunks().0,
            masks: if parameters.by_neuron() {
                [usize::MAX, 0]
            } else {
                [0, usize::MAX]
            },
        }
    }

    /// The values from those of a neuron on.
    #[inline(always)]
    pub(super) fn of(&self, neuron: usize, channel: usize) -> Option<&[i16]> {
        // A run starts at a multiple of the tile, since a layer of more channels has only tiles of
        // one value.
        let at = neuron & self.masks[0] | channel & self.masks[1];
        self.values.get(at..)
    }

    /// As [`of`](Self::of), of `WORDS` words, given the words of neurons and of channels before them.
    #[inline(always)]
    pub(super) fn words<const WORDS: usize>(
        &self,
        neurons: usize,
        channels: usize,
    ) -> Option<&[[i16; TILE]; WORDS]> {
        let at = neurons & self.masks[0] | channels & self.masks[1];
        self.words.get(at..)?.first_chunk()
    }

    /// Whether the values repeat at least once a word.
    pub(super) fn repeats(&self) -> bool {
        self.masks == [0, 0]
    }
}
