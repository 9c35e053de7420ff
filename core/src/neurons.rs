//! The neurons of a layer: a run of them advances by one step.

mod lane;

use core::ops::Range;

use crate::bits;
use crate::kernel::{BLOCK, Counts, WIDE, sum_of};
use crate::lanes::{Counted, LANE, advance, advance_driven, advance_sums};
use crate::lif::{Lif, Membrane, Narrow, Neuron};
use crate::model::{Layer, Parameters, parts};
use lane::Lane;

/// Neurons that are updated together, as many as a word has bits.
pub(crate) const TILE: usize = 32;

/// Parameters and state of a layer's neurons.
pub(crate) struct Neurons<'a> {
    lif: Lif,
    equation: Narrow,
    /// Whether 32-bit arithmetic is proven exact.
    narrow: bool,
    thresholds: Parameters<'a>,
    biases: Parameters<'a>,
    /// Whether neurons take counts: narrow, without a shift to the right or a far one to the left.
    counts: bool,
    /// Thresholds and biases of narrow neurons.
    lanes: [Lane<'a>; 2],
    channels: usize,
    units: usize,
    spikes: &'a mut [u32],
    membranes: &'a mut [u32],
}

impl<'a> Neurons<'a> {
    /// The neurons of a layer with their thresholds and biases, and their spikes of the step before;
    /// `wide` takes the membrane equation as it is defined, in 64 bits. `tiles` is room for parameters
    /// that repeat.
    pub(crate) fn new(
        layer: &Layer,
        [thresholds, biases]: [Parameters<'a>; 2],
        wide: bool,
        [threshold_tile, bias_tile]: &'a mut [[i16; BLOCK]; 2],
        spikes: &'a mut [u32],
        membranes: &'a mut [u32],
    ) -> Self {
        let channels = usize::from(layer.output().channels);
        Self {
            lif: layer.lif(),
            equation: layer.lif().narrow(),
            narrow: layer.is_narrow() && !wide,
            counts: layer.is_narrow() && !wide && layer.lif().takes_counts(),
            thresholds,
            biases,
            lanes: [
                Lane::new(&thresholds, channels, threshold_tile),
                Lane::new(&biases, channels, bias_tile),
            ],
            channels,
            units: layer.units(),
            spikes,
            membranes,
        }
    }

    /// Updates all neurons of the layer, given all their sums.
    #[inline(never)]
    pub(crate) fn update_all<const PARTS: u32>(&mut self, mut sums: impl Iterator<Item = i32>) {
        // There is a channel; the floor shows it.
        let channels = self.channels.max(1);
        let units = self.units;
        for first in (0..units).step_by(channels) {
            for channel in (0..channels).step_by(TILE) {
                let mut tile = [0; TILE];
                let count = (channels - channel).min(TILE);
                for (to, sum) in tile.iter_mut().zip(sums.by_ref().take(count)) {
                    *to = sum;
                }
                self.update::<PARTS>(
                    first + channel,
                    channel,
                    tile.get_mut(..count).unwrap_or(&mut []),
                );
            }
        }
    }

    /// Updates as many neurons as there are sums, from the flat index `first` on, whose channels
    /// start at `channel`. What the sums hold afterwards is not defined.
    #[inline(always)]
    pub(crate) fn update<const PARTS: u32>(
        &mut self,
        first: usize,
        channel: usize,
        sums: &mut [i32],
    ) {
        if PARTS & parts::WIDE != 0 && !self.narrow {
            return self.wide(first, channel, sums);
        }
        self.update_narrow(first, channel, sums);
    }

    #[inline(never)]
    fn update_narrow(&mut self, first: usize, channel: usize, sums: &mut [i32]) {
        let shift = self.lif.right_shift();
        if shift > 0 {
            sums.iter_mut().for_each(|sum| *sum >>= shift);
        }
        for (index, sums) in sums.chunks(TILE).enumerate() {
            let at = [first + TILE * index, channel + TILE * index];
            self.advance_at(
                at,
                sums.len(),
                &mut |lif, membranes, thresholds, biases, spiked| {
                    advance_sums(lif, membranes, thresholds, biases, sums, spiked)
                },
            );
        }
    }

    /// Replaces the spikes of up to [`TILE`] neurons, anywhere, by what `by` makes of them, given their
    /// membranes, thresholds and biases and those of the neurons behind them.
    #[inline(never)]
    fn advance_at(&mut self, [first, channel]: [usize; 2], count: usize, by: Advance<'_>) {
        let [thresholds, biases] = self.lanes.each_ref();
        let thresholds = thresholds.of(first, channel).unwrap_or(&[]);
        let biases = biases.of(first, channel).unwrap_or(&[]);
        let membranes = membranes(self.membranes, first);
        bits::update(self.spikes, first, count, |spiked| {
            by(&self.equation, membranes, thresholds, biases, spiked)
        });
    }

    /// As [`update`](Self::update), of `count` neurons with their sums as counts.
    #[inline(always)]
    pub(crate) fn update_counts<const PARTS: u32>(
        &mut self,
        first: usize,
        channel: usize,
        count: usize,
        counts: &Counts,
    ) {
        if PARTS & parts::UNPACKED != 0 && !self.counts {
            return self.update_unpacked::<PARTS>(first, channel, count, counts);
        }
        self.update_counted(first, channel, count, counts);
    }

    /// As [`update_counts`](Self::update_counts), of several blocks.
    #[inline(never)]
    pub(crate) fn update_wide<const PARTS: u32>(
        &mut self,
        first: usize,
        channel: usize,
        count: usize,
        counts: &Counts<WIDE>,
    ) {
        let packed = PARTS & parts::UNPACKED == 0 || self.counts;
        if packed
            && count == WIDE * TILE
            && self.update_wide_counted(first, channel, counts).is_some()
        {
            return;
        }
        for (index, counts) in counts.blocks().enumerate() {
            let done = BLOCK * index;
            let count = count.saturating_sub(done).min(BLOCK);
            self.update_counts::<PARTS>(first + done, channel + done, count, &counts);
        }
    }

    // Not generic, which leaves them to this crate's level of optimisation.

    /// As [`update_wide`](Self::update_wide), of [`WIDE`] whole words of neurons. `None` where they do not
    /// begin with a word, or there are not as many parameters or neurons.
    #[inline(never)]
    fn update_wide_counted(
        &mut self,
        first: usize,
        channel: usize,
        counts: &Counts<WIDE>,
    ) -> Option<()> {
        if !first.is_multiple_of(TILE) {
            return None;
        }
        let (word, channel_word) = (first / TILE, channel / TILE);
        let [thresholds, biases] = self.lanes.each_ref();
        let thresholds: &[_; WIDE] = thresholds.words(word, channel_word)?;
        let biases: &[_; WIDE] = biases.words(word, channel_word)?;
        let membranes = self.membranes.as_chunks_mut().0.get_mut(word..)?;
        let membranes: &mut [_; WIDE] = membranes.first_chunk_mut()?;
        let spikes: &mut [_; WIDE] = self.spikes.get_mut(word..)?.first_chunk_mut()?;
        let lif = &self.equation;
        let mut drive = Counted::new(lif, counts.inputs);
        for word in 0..WIDE {
            drive.counts = bytemuck::cast_ref(&counts.words[word]);
            drive.biases = &biases[word];
            spikes[word] = advance(
                lif,
                &mut membranes[word],
                &thresholds[word],
                spikes[word],
                &drive,
            );
        }
        Some(())
    }

    #[inline(never)]
    fn update_counted(&mut self, first: usize, channel: usize, count: usize, counts: &Counts) {
        let mut done = 0;
        if first.is_multiple_of(TILE) {
            let [thresholds, biases] = self.lanes.each_ref();
            let membranes = self.membranes.as_chunks_mut().0;
            let mut drive = Counted::new(&self.equation, counts.inputs);
            let (mut word, mut channel_word) = (first / TILE, channel / TILE);
            for counts in counts.words.iter().take(count / TILE) {
                let (Some(thresholds), Some(biases), Some(membranes), Some(spikes)) = (
                    thresholds.words(word, channel_word).map(|[word]| word),
                    biases.words(word, channel_word).map(|[word]| word),
                    membranes.get_mut(word),
                    self.spikes.get_mut(word),
                ) else {
                    break;
                };
                drive.counts = bytemuck::cast_ref(counts);
                drive.biases = biases;
                *spikes = advance(&self.equation, membranes, thresholds, *spikes, &drive);
                word += 1;
                channel_word += 1;
                done += TILE;
            }
        }
        if done < count {
            let at = [first + done, channel + done];
            self.update_rest(at, done..count, &counts.words, counts.inputs);
        }
    }

    /// As [`update_counts`](Self::update_counts), of a range of the neurons, anywhere.
    #[inline(never)]
    fn update_rest(
        &mut self,
        [mut first, mut channel]: [usize; 2],
        range: Range<usize>,
        words: &[[u32; 8]],
        inputs: [i32; 2],
    ) {
        for from in range.clone().step_by(TILE) {
            let Some(word) = words.get(from / TILE) else {
                return;
            };
            let count = (range.end - from).min(TILE);
            if self
                .update_word([first, channel], count, word, inputs)
                .is_none()
            {
                self.update_some([first, channel], count, word, inputs);
            }
            first += TILE;
            channel += TILE;
        }
    }

    /// As [`update_counts`](Self::update_counts), of a word of counts: `count` neurons, the first one
    /// and its channel given. `None` where they are not whole lanes of one word.
    #[inline(always)]
    fn update_word(
        &mut self,
        [first, channel]: [usize; 2],
        count: usize,
        counts: &[u32; 8],
        inputs: [i32; 2],
    ) -> Option<()> {
        let shift = first % 32;
        if !count.is_multiple_of(LANE) || shift + count > 32 {
            return None;
        }
        let [thresholds, biases] = self.lanes.each_ref();
        let thresholds = thresholds.of(first, channel)?.first_chunk()?;
        let biases = biases.of(first, channel)?.first_chunk()?;
        let membranes = self.membranes.get_mut(first / 2..)?.first_chunk_mut()?;
        let word = self.spikes.get_mut(first / 32)?;
        let before = *word >> shift & u32::MAX.wrapping_shr(32 - count as u32);
        let drive = Counted {
            counts: bytemuck::cast_ref(counts),
            biases,
            lanes: count / LANE,
            ..Counted::new(&self.equation, inputs)
        };
        let after = advance(&self.equation, membranes, thresholds, before, &drive);
        *word ^= (after ^ before) << shift;
        Some(())
    }

    /// As [`update_word`](Self::update_word), of any number of neurons, anywhere.
    #[inline(never)]
    fn update_some(
        &mut self,
        [first, channel]: [usize; 2],
        count: usize,
        counts: &[u32; 8],
        inputs: [i32; 2],
    ) {
        let mut sums: [_; TILE] = core::array::from_fn(|k| sum_of(counts, inputs, k));
        self.update_narrow(first, channel, sums.get_mut(..count).unwrap_or(&mut []));
    }

    /// Apart, so that the sums do not stand on the stack otherwise.
    #[inline(never)]
    fn update_unpacked<const PARTS: u32>(
        &mut self,
        first: usize,
        channel: usize,
        count: usize,
        counts: &Counts,
    ) {
        let mut sums = counts.sums();
        self.update::<PARTS>(first, channel, sums.get_mut(..count).unwrap_or(&mut []));
    }

    /// Updates all neurons of a narrow layer, given their drives ([`Narrow::drive`]).
    #[inline(never)]
    pub(crate) fn update_driven(&mut self, drives: &[i16]) {
        // Where the thresholds repeat at least once a word, a tile goes on over the next
        // positions.
        let channels = if self.lanes[0].repeats() {
            drives.len()
        } else {
            self.channels
        };
        let mut position = 0;
        for drives in drives.chunks(channels.max(1)) {
            for (index, drives) in drives.chunks(TILE).enumerate() {
                let at = [position + TILE * index, TILE * index];
                self.advance_at(
                    at,
                    drives.len(),
                    &mut |lif, membranes, thresholds, _, spiked| {
                        advance_driven(lif, membranes, thresholds, drives, spiked)
                    },
                );
            }
            position += channels;
        }
    }

    /// As [`update`](Self::update), for neurons of any kind.
    #[inline(never)]
    fn wide(&mut self, first: usize, channel: usize, sums: &[i32]) {
        let mut channel = channel;
        for (k, &sum) in sums.iter().enumerate() {
            // Of a pair of positions.
            if channel == self.channels {
                channel = 0;
            }
            let neuron = first + k;
            let (after, spike) = self.lif.update(Neuron {
                membrane: self.membrane(neuron),
                spiked: bits::bit(self.spikes, neuron),
                sum,
                threshold: self.thresholds.get(neuron, channel),
                bias: self.biases.get(neuron, channel),
            });
            self.set_membrane(neuron, after);
            bits::write(self.spikes, neuron, 1, spike.into());
            channel += 1;
        }
    }

    fn membrane(&self, neuron: usize) -> i32 {
        match self.lif.membrane {
            Membrane::I16 => bytemuck::cast_slice::<u32, i16>(self.membranes)
                .get(neuron)
                .map_or(0, |value| i32::from(*value)),
            Membrane::I32 => self.membranes.get(neuron).map_or(0, |value| *value as i32),
        }
    }

    fn set_membrane(&mut self, neuron: usize, value: i32) {
        match self.lif.membrane {
            Membrane::I16 => {
                let membranes = bytemuck::cast_slice_mut::<u32, i16>(self.membranes);
                if let Some(membrane) = membranes.get_mut(neuron) {
                    *membrane = value as i16;
                }
            }
            Membrane::I32 => {
                if let Some(membrane) = self.membranes.get_mut(neuron) {
                    *membrane = value as u32;
                }
            }
        }
    }
}

/// Takes membranes, thresholds, biases and the spikes of the step before, and returns the new ones.
type Advance<'a> = &'a mut dyn FnMut(&Narrow, &mut [i16], &[i16], &[i16], u32) -> u32;

/// The `i16` membranes from that of a neuron on.
#[inline(always)]
fn membranes(words: &mut [u32], neuron: usize) -> &mut [i16] {
    let membranes = bytemuck::cast_slice_mut::<u32, i16>(words);
    membranes.get_mut(neuron..).unwrap_or(&mut [])
}
