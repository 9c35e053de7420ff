//! The neurons of a layer: a run of them advances by one step.

use crate::bits;
use crate::kernel::BLOCK;
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
    /// Parameters of narrow neurons that repeat at least once a word of spikes.
    threshold_tile: Option<[i16; TILE]>,
    bias_tile: Option<[i16; TILE]>,
    channels: usize,
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
            bias_tile: biases.tile(channels),
            channels,
            spikes,
            membranes,
        }
    }

    /// From here on the shift of the sums to the right (`F < 0`) has been done.
    pub(crate) fn sums_are_shifted(&mut self) {
        self.lif.fraction = self.lif.fraction.max(0);
    }

    /// Updates all neurons of the layer, given all their sums.
    pub(crate) fn update_all<S: Copy + Into<i32>>(&mut self, sums: &[S]) {
        // Where every parameter repeats at least once a word, a run goes on over the next
        // positions.
        if self.narrow && self.threshold_tile.is_some() && self.bias_tile.is_some() {
            for (index, sums) in sums.chunks(BLOCK).enumerate() {
                self.update(index * BLOCK, 0, sums);
            }
            return;
        }
        for (position, sums) in sums.chunks(self.channels).enumerate() {
            for (block, sums) in sums.chunks(BLOCK).enumerate() {
                let channel = block * BLOCK;
                self.update(position * self.channels + channel, channel, sums);
            }
        }
    }

    /// Updates as many neurons as there are sums, at most a block, from the flat index `first`
    /// on, whose channels start at `channel`.
    #[inline(never)]
    pub(crate) fn update<S: Copy + Into<i32>>(&mut self, first: usize, channel: usize, sums: &[S]) {
        for (index, sums) in sums.chunks(TILE).enumerate() {
            let (first, channel) = (first + TILE * index, channel + TILE * index);
            let spiked = bits::read(self.spikes, first, sums.len());
            let fired = if self.narrow {
                // Without a spike nothing resets.
                let reset = if spiked == 0 {
                    Reset::None
                } else {
                    self.lif.reset
                };
                match (reset, self.lif.fraction) {
                    (Reset::None, 0) => self.narrow(Reset::None, 0, first, channel, 0, sums),
                    (Reset::Subtract, 0) => {
                        self.narrow(Reset::Subtract, 0, first, channel, spiked, sums)
                    }
                    (Reset::None, f) => self.narrow(Reset::None, f, first, channel, 0, sums),
                    (reset, f) => self.narrow(reset, f, first, channel, spiked, sums),
                }
            } else {
                self.wide(first, channel, spiked, sums)
            };
            bits::write(self.spikes, first, sums.len(), fired);
        }
    }

    /// Up to 32 neurons with `i16` membranes; compiled once for each common reset and fraction.
    #[inline(always)]
    fn narrow<S: Copy + Into<i32>>(
        &mut self,
        reset: Reset,
        fraction: i8,
        first: usize,
        channel: usize,
        mut spiked: u32,
        sums: &[S],
    ) -> u32 {
        let lif = Lif {
            reset,
            fraction,
            ..self.lif
        };
        let membranes = bytemuck::cast_slice_mut::<u32, i16>(self.membranes);
        let membranes = membranes.get_mut(first..).unwrap_or(&mut []);
        let thresholds = match &self.threshold_tile {
            // A run starts at a multiple of the tile, since a layer of more channels has only
            // tiles of one value.
            Some(tile) => tile.as_slice(),
            None => self.thresholds.halves_from(first, channel),
        };
        let biases = match &self.bias_tile {
            Some(tile) => tile.as_slice(),
            None => self.biases.halves_from(first, channel),
        };
        let mut fired = 0;
        let parameters = thresholds.iter().zip(biases);
        for ((membrane, &sum), (&threshold, &bias)) in
            membranes.iter_mut().zip(sums).zip(parameters)
        {
            let (after, spike) = lif.update_narrow(Neuron {
                membrane: i32::from(*membrane),
                spiked: spiked & 1 == 1,
                sum: sum.into(),
                threshold: threshold.into(),
                bias: bias.into(),
            });
            *membrane = after as i16;
            spiked >>= 1;
            fired = fired >> 1 | u32::from(spike) << 31;
        }
        // The first neuron's spike is at the bottom of the word.
        fired >> (32 - sums.len())
    }

    /// Up to 32 neurons of any kind.
    #[inline(never)]
    fn wide<S: Copy + Into<i32>>(
        &mut self,
        first: usize,
        channel: usize,
        spiked: u32,
        sums: &[S],
    ) -> u32 {
        let mut fired = 0;
        for (k, &sum) in sums.iter().enumerate() {
            let neuron = first + k;
            let (after, spike) = self.lif.update(Neuron {
                membrane: self.membrane(neuron),
                spiked: spiked >> k & 1 == 1,
                sum: sum.into(),
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
