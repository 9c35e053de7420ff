//! The neurons of a layer: a run of them advances by one step.

use crate::bits;
use crate::kernel::Counts;
use crate::lanes::{
    CountBytes, LANE, advance_counts, advance_driven, advance_some_counts, advance_sums,
};
use crate::lif::{Counted, Lif, Membrane, Narrow, Neuron};
use crate::model::{Layer, Parameters, parts};

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
    /// `wide` takes the membrane equation as it is defined, in 64 bits.
    pub(crate) fn new(
        layer: &Layer,
        [thresholds, biases]: [Parameters<'a>; 2],
        wide: bool,
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
                Lane::new(&thresholds, channels),
                Lane::new(&biases, channels),
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
            let (first, channel) = (first + TILE * index, channel + TILE * index);
            let [thresholds, biases] = self.lanes.each_ref();
            let thresholds = thresholds.of(first, channel);
            let biases = biases.of(first, channel);
            let count = sums.len();
            let membranes = membranes(self.membranes, first);
            bits::update(self.spikes, first, count, |spiked| {
                advance_sums(&self.equation, membranes, thresholds, biases, sums, spiked)
            });
        }
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

    #[inline(never)]
    fn update_counted(&mut self, first: usize, channel: usize, count: usize, counts: &Counts) {
        let equation = self.equation.counted(counts.inputs);
        let (mut first, mut channel, mut left) = (first, channel, count);
        for counts in &counts.words {
            self.update_word(&equation, first, channel, left.min(TILE), counts);
            left = left.saturating_sub(TILE);
            if left == 0 {
                break;
            }
            (first, channel) = (first + TILE, channel + TILE);
        }
    }

    /// As [`update_counts`](Self::update_counts), of up to 32 neurons.
    #[inline(never)]
    fn update_word(
        &mut self,
        lif: &Counted,
        first: usize,
        channel: usize,
        count: usize,
        counts: &[u32; LANE],
    ) {
        let counts: &CountBytes = bytemuck::cast_ref(counts);
        let [thresholds, biases] = self.lanes.each_ref();
        let thresholds = thresholds.of(first, channel);
        let biases = biases.of(first, channel);
        let membranes = membranes(self.membranes, first);
        // Bits of two words are rare.
        let (index, shift) = (first / 32, first % 32);
        let split = shift + count > 32;
        let before = if split {
            read(self.spikes, first, count)
        } else {
            self.spikes.get(index).copied().unwrap_or(0) >> shift & bits::low_mask(count)
        };
        let after = if count.is_multiple_of(LANE)
            && let Some(thresholds) = thresholds.first_chunk()
            && let Some(biases) = biases.first_chunk()
            && let Some(membranes) = membranes.first_chunk_mut()
        {
            let lanes = count / LANE;
            advance_counts(lif, membranes, thresholds, biases, counts, lanes, before)
        } else {
            let membranes = membranes.get_mut(..count).unwrap_or(&mut []);
            advance_some_counts(lif, membranes, thresholds, biases, counts, before)
        };
        if split {
            write(self.spikes, first, count, after);
        } else if let Some(word) = self.spikes.get_mut(index) {
            *word ^= (after ^ before) << shift;
        }
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
        let channels = if self.lanes[0].tile.is_some() {
            drives.len()
        } else {
            self.channels
        };
        let mut position = 0;
        for drives in drives.chunks(channels.max(1)) {
            for (index, drives) in drives.chunks(TILE).enumerate() {
                let (first, channel) = (position + TILE * index, TILE * index);
                let thresholds = self.lanes[0].of(first, channel);
                let membranes = membranes(self.membranes, first);
                bits::update(self.spikes, first, drives.len(), |spiked| {
                    advance_driven(&self.equation, membranes, thresholds, drives, spiked)
                });
            }
            position += channels;
        }
    }

    /// As [`update`](Self::update), for neurons of any kind.
    #[inline(never)]
    fn wide(&mut self, first: usize, channel: usize, sums: &[i32]) {
        for (k, &sum) in sums.iter().enumerate() {
            let neuron = first + k;
            let (after, spike) = self.lif.update(Neuron {
                membrane: self.membrane(neuron),
                spiked: bits::bit(self.spikes, neuron),
                sum,
                threshold: self.thresholds.get(neuron, channel + k),
                bias: self.biases.get(neuron, channel + k),
            });
            self.set_membrane(neuron, after);
            bits::write(self.spikes, neuron, 1, spike.into());
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

/// Thresholds or biases of a layer of narrow neurons.
struct Lane<'a> {
    /// Those that repeat at least once a word of spikes.
    tile: Option<[i16; TILE]>,
    /// Those of each channel, or of each neuron.
    values: &'a [i16],
    by_neuron: bool,
}

impl<'a> Lane<'a> {
    fn new(parameters: &Parameters<'a>, channels: usize) -> Self {
        Self {
            tile: parameters.tile(channels),
            values: parameters.halves(0, 0).unwrap_or(&[]),
            by_neuron: parameters.by_neuron(),
        }
    }

    /// The values from those of a neuron on.
    #[inline(always)]
    fn of(&self, neuron: usize, channel: usize) -> &[i16] {
        // A run starts at a multiple of the tile, since a layer of more channels has only tiles of
        // one value.
        if let Some(tile) = &self.tile {
            return tile;
        }
        let at = if self.by_neuron { neuron } else { channel };
        self.values.get(at..).unwrap_or(&[])
    }
}

#[cold]
#[inline(never)]
fn read(words: &[u32], offset: usize, count: usize) -> u32 {
    bits::read(words, offset, count)
}

#[cold]
#[inline(never)]
fn write(words: &mut [u32], offset: usize, count: usize, value: u32) {
    bits::write(words, offset, count, value);
}

/// The `i16` membranes from that of a neuron on.
#[inline(always)]
fn membranes(words: &mut [u32], neuron: usize) -> &mut [i16] {
    let membranes = bytemuck::cast_slice_mut::<u32, i16>(words);
    membranes.get_mut(neuron..).unwrap_or(&mut [])
}
