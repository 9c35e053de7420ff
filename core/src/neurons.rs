//! The neurons of a layer: a run of them advances by one step.

use crate::bits;
use crate::lif::{Lif, Membrane, Neuron, Reset};
use crate::model::{Layer, Model, Parameters};

/// Neurons that are updated together, as many as a word has bits.
pub(crate) const TILE: usize = 32;

/// Parameters and state of a layer's neurons.
pub(crate) struct Neurons<'a> {
    lif: Lif,
    /// Whether 32-bit arithmetic is proven exact.
    narrow: bool,
    thresholds: Parameters<'a>,
    biases: Parameters<'a>,
    /// Thresholds of narrow neurons that repeat at least once a word of spikes.
    threshold_tile: Option<[i16; TILE]>,
    /// The bias that all have; not used where each has its own.
    common_bias: [i16; TILE],
    channels: usize,
    units: usize,
    spikes: &'a mut [u32],
    membranes: &'a mut [u32],
}

impl<'a> Neurons<'a> {
    /// The neurons of a layer with their spikes of the step before; `wide` takes the membrane
    /// equation as it is defined, in 64 bits.
    pub(crate) fn new<const LAYERS: usize>(
        model: &Model<'a, LAYERS>,
        layer: &Layer,
        wide: bool,
        spikes: &'a mut [u32],
        membranes: &'a mut [u32],
    ) -> Self {
        let (thresholds, biases) = (model.thresholds(layer), model.biases(layer));
        let channels = usize::from(layer.output().channels);
        Self {
            lif: layer.lif(),
            narrow: layer.is_narrow() && !wide,
            thresholds,
            biases,
            threshold_tile: thresholds.tile(channels),
            common_bias: [biases.common() as i16; TILE],
            channels,
            units: layer.units(),
            spikes,
            membranes,
        }
    }

    /// Updates all neurons of the layer, given all their sums.
    #[inline(never)]
    pub(crate) fn update_all(&mut self, mut sums: impl Iterator<Item = i32>) {
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
                self.update(
                    first + channel,
                    channel,
                    tile.get_mut(..count).unwrap_or(&mut []),
                );
            }
        }
    }

    /// Updates as many neurons as there are sums, from the flat index `first` on, whose channels
    /// start at `channel`. What the sums hold afterwards is not defined.
    #[inline(never)]
    pub(crate) fn update(&mut self, first: usize, channel: usize, sums: &mut [i32]) {
        for (index, sums) in sums.chunks_mut(TILE).enumerate() {
            let (first, channel) = (first + TILE * index, channel + TILE * index);
            let spiked = bits::read(self.spikes, first, sums.len());
            let fired = if self.narrow {
                // In two passes, which leaves each enough registers.
                let lif = self.lif;
                let biases = self.biases.halves(first, channel, &self.common_bias);
                for (sum, &bias) in sums.iter_mut().zip(biases) {
                    *sum = lif.drive(*sum, bias.into());
                }
                self.narrow(first, channel, spiked, sums)
            } else {
                self.wide(first, channel, spiked, sums)
            };
            bits::write(self.spikes, first, sums.len(), fired);
        }
    }

    /// Updates all neurons of a narrow layer, given their drives ([`Lif::drive`]).
    #[inline(never)]
    pub(crate) fn update_driven(&mut self, drives: &[i16]) {
        // Where the thresholds repeat at least once a word, a tile goes on over the next
        // positions.
        let channels = if self.threshold_tile.is_some() {
            drives.len()
        } else {
            self.channels
        };
        let mut position = 0;
        for drives in drives.chunks(channels.max(1)) {
            for (index, drives) in drives.chunks(TILE).enumerate() {
                let (first, channel) = (position + TILE * index, TILE * index);
                let spiked = bits::read(self.spikes, first, drives.len());
                let fired = self.narrow(first, channel, spiked, drives);
                bits::write(self.spikes, first, drives.len(), fired);
            }
            position += channels;
        }
    }

    /// Up to 32 neurons with `i16` membranes, given their drives ([`Lif::drive`]).
    #[inline(always)]
    fn narrow<D: Copy + Into<i32>>(
        &mut self,
        first: usize,
        channel: usize,
        spiked: u32,
        drives: &[D],
    ) -> u32 {
        let thresholds = match &self.threshold_tile {
            // A run starts at a multiple of the tile, since a layer of more channels has only
            // tiles of one value.
            Some(tile) => tile.as_slice(),
            None => self.thresholds.halves(first, channel, &[]),
        };
        let membranes = bytemuck::cast_slice_mut::<u32, i16>(self.membranes);
        let membranes = membranes.get_mut(first..).unwrap_or(&mut []);
        // Compiled once for each reset; without a spike nothing resets.
        match self.lif.reset {
            Reset::Subtract if spiked != 0 => {
                let lif = self.lif.driven(Reset::Subtract);
                update(lif, membranes, thresholds, spiked, drives)
            }
            Reset::Zero if spiked != 0 => {
                let lif = self.lif.driven(Reset::Zero);
                update(lif, membranes, thresholds, spiked, drives)
            }
            _ => update(
                self.lif.driven(Reset::None),
                membranes,
                thresholds,
                0,
                drives,
            ),
        }
    }

    /// Up to 32 neurons of any kind.
    #[inline(never)]
    fn wide(&mut self, first: usize, channel: usize, spiked: u32, sums: &[i32]) -> u32 {
        let mut fired = 0;
        for (k, &sum) in sums.iter().enumerate() {
            let neuron = first + k;
            let (after, spike) = self.lif.update(Neuron {
                membrane: self.membrane(neuron),
                spiked: spiked >> k & 1 == 1,
                sum,
                threshold: self.thresholds.get(neuron, channel + k),
                bias: self.biases.get(neuron, channel + k),
            });
            self.set_membrane(neuron, after);
            fired |= u32::from(spike) << k;
        }
        fired
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

/// Advances neurons of these membranes, thresholds and drives; returns their spikes.
#[inline(always)]
fn update<D: Copy + Into<i32>>(
    lif: Lif,
    membranes: &mut [i16],
    thresholds: &[i16],
    mut spiked: u32,
    drives: &[D],
) -> u32 {
    let mut fired = 0;
    for ((membrane, &threshold), &drive) in membranes.iter_mut().zip(thresholds).zip(drives) {
        let (after, spike) = lif.update_narrow(Neuron {
            membrane: i32::from(*membrane),
            spiked: spiked & 1 == 1,
            sum: drive.into(),
            threshold: threshold.into(),
            bias: 0,
        });
        *membrane = after as i16;
        spiked >>= 1;
        fired = fired >> 1 | u32::from(spike) << 31;
    }
    // The first neuron's spike is at the bottom of the word.
    fired >> (TILE - drives.len())
}
