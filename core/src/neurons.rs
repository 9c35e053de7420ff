//! The neurons of a layer: a block of them advances by one step.

use crate::bits;
use crate::kernel::BLOCK;
use crate::lif::{Lif, Membrane, Neuron};
use crate::model::Parameters;

/// Parameters and state of a layer's neurons.
pub(crate) struct Neurons<'a> {
    pub(crate) lif: Lif,
    /// Whether 32-bit arithmetic is proven exact.
    pub(crate) narrow: bool,
    pub(crate) thresholds: Parameters<'a>,
    pub(crate) biases: Parameters<'a>,
    pub(crate) spikes: &'a mut [u32],
    pub(crate) membranes: &'a mut [u32],
}

impl Neurons<'_> {
    /// Updates `count` neurons from the flat index `first` on, whose channels start at `channel`.
    pub(crate) fn update(
        &mut self,
        first: usize,
        channel: usize,
        count: usize,
        sums: &[i32; BLOCK],
    ) {
        for offset in (0..count).step_by(32) {
            let (first, channel) = (first + offset, channel + offset);
            let sums = sums.get(offset..count.min(offset + 32)).unwrap_or(&[]);
            let spiked = bits::read(self.spikes, first, sums.len());
            let fired = if self.narrow {
                self.update_narrow(first, channel, spiked, sums)
            } else {
                self.update_wide(first, channel, spiked, sums)
            };
            bits::write(self.spikes, first, sums.len(), fired);
        }
    }

    /// Up to 32 neurons with `i16` membranes.
    #[inline(always)]
    fn update_narrow(&mut self, first: usize, channel: usize, spiked: u32, sums: &[i32]) -> u32 {
        let membranes = bytemuck::cast_slice_mut::<u32, i16>(self.membranes);
        let membranes = membranes.get_mut(first..).unwrap_or(&mut []);
        let (thresholds, biases) = (self.thresholds.halves(), self.biases.halves());
        let (mut threshold_at, threshold_stride) = self.thresholds.run(first, channel);
        let (mut bias_at, bias_stride) = self.biases.run(first, channel);
        let lif = self.lif;
        let mut spiked = spiked;
        let mut fired = 0;
        for (bit, (membrane, &sum)) in membranes.iter_mut().zip(sums).enumerate() {
            let value = |values: &[i16], at: usize| i32::from(values.get(at).copied().unwrap_or(0));
            let (after, spike) = lif.update_narrow(Neuron {
                membrane: i32::from(*membrane),
                spiked: spiked & 1 == 1,
                sum,
                threshold: value(thresholds, threshold_at),
                bias: value(biases, bias_at),
            });
            *membrane = after as i16;
            fired |= u32::from(spike) << bit;
            spiked >>= 1;
            threshold_at += threshold_stride;
            bias_at += bias_stride;
        }
        fired
    }

    /// Up to 32 neurons of any kind.
    #[inline(never)]
    fn update_wide(&mut self, first: usize, channel: usize, spiked: u32, sums: &[i32]) -> u32 {
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
