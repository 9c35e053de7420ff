//! The neurons of a layer: a run of them advances by one step.

use crate::bits;
use crate::kernel::Counts;
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
    /// Whether neurons take counts: narrow, without a shift to the right.
    counts: bool,
    /// Thresholds and biases of narrow neurons.
    lanes: [Lane<'a>; 2],
    channels: usize,
    units: usize,
    spikes: &'a mut [u32],
    membranes: &'a mut [u32],
}

impl<'a> Neurons<'a> {
    /// The neurons of a layer with their thresholds and biases, and their spikes of the step before; `wide` takes the membrane
    /// equation as it is defined, in 64 bits.
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
            counts: layer.is_narrow() && !wide && layer.lif().right_shift() == 0,
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
            let count = left.min(TILE);
            let [thresholds, biases] = self.lanes.each_ref();
            let thresholds = thresholds.of(first, channel);
            let biases = biases.of(first, channel);
            let membranes = membranes(self.membranes, first);
            let counts = bytemuck::cast_slice(counts).get(..count).unwrap_or(&[]);
            bits::update(self.spikes, first, count, |spiked| {
                advance_counts(&equation, membranes, thresholds, biases, counts, spiked)
            });
            left -= count;
            if left == 0 {
                break;
            }
            (first, channel) = (first + TILE, channel + TILE);
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

/// The `i16` membranes from that of a neuron on.
#[inline(always)]
fn membranes(words: &mut [u32], neuron: usize) -> &mut [i16] {
    let membranes = bytemuck::cast_slice_mut::<u32, i16>(words);
    membranes.get_mut(neuron..).unwrap_or(&mut [])
}

// Each loop stands in a function of its own, which leaves it all registers.

/// Up to 32 neurons with these parameters and membranes, as many as there are sums; returns their
/// spikes.
#[inline(never)]
fn advance_sums(
    lif: &Narrow,
    membranes: &mut [i16],
    thresholds: &[i16],
    biases: &[i16],
    sums: &[i32],
    spiked: u32,
) -> u32 {
    let drives = sums.iter().zip(biases);
    let drives = drives.map(|(&sum, &bias)| lif.drive(sum, bias));
    advance(lif, membranes, thresholds, drives, spiked)
}

/// As [`advance_sums`], given the drives.
#[inline(never)]
fn advance_driven(
    lif: &Narrow,
    membranes: &mut [i16],
    thresholds: &[i16],
    drives: &[i16],
    spiked: u32,
) -> u32 {
    let drives = drives.iter().map(|&drive| drive.into());
    advance(lif, membranes, thresholds, drives, spiked)
}

/// As [`advance_sums`], given counts.
#[inline(never)]
fn advance_counts(
    lif: &Counted,
    membranes: &mut [i16],
    thresholds: &[i16],
    biases: &[i16],
    counts: &[u8],
    spiked: u32,
) -> u32 {
    let Some(biases) = biases.get(..counts.len()) else {
        return 0;
    };
    let drives = counts.iter().zip(biases);
    let drives = drives.map(|(&count, &bias)| lif.drive(count, bias));
    advance(&lif.lif, membranes, thresholds, drives, spiked)
}

/// Sets the membranes of neurons that have spiked to 0.
#[inline(always)]
fn clear(membranes: &mut [i16], spiked: u32) {
    bits::visit_set(spiked, |k| {
        if let Some(membrane) = membranes.get_mut(k) {
            *membrane = 0;
        }
    });
}

#[inline(always)]
fn advance(
    lif: &Narrow,
    membranes: &mut [i16],
    thresholds: &[i16],
    drives: impl ExactSizeIterator<Item = i32>,
    spiked: u32,
) -> u32 {
    if lif.zero {
        clear(membranes, spiked);
    }
    // One length for all leaves one counter to the loops.
    let len = drives.len().min(TILE);
    let (Some(membranes), Some(thresholds)) = (membranes.get_mut(..len), thresholds.get(..len))
    else {
        return 0;
    };
    let unused = TILE - len;
    let neurons = membranes.iter_mut().zip(thresholds).zip(drives);
    // Spikes of the step before leave at the bottom, new ones come in at the top.
    let mut spikes = if lif.subtract == 0 { 0 } else { spiked };
    if spikes == 0 {
        // Nothing is subtracted: two instructions less a neuron.
        for ((membrane, &threshold), drive) in neurons {
            let (after, spike) = lif.update(*membrane, 0, drive, threshold);
            *membrane = after;
            spikes = spikes >> 1 | spike;
        }
    } else {
        for ((membrane, &threshold), drive) in neurons {
            let (after, spike) = lif.update(*membrane, spikes, drive, threshold);
            *membrane = after;
            spikes = spikes >> 1 | spike;
        }
    }
    spikes.wrapping_shr(unused as u32)
}
