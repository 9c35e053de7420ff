//! Batch norm, dropout and neurons of a layer in one pass over its synaptic sums, on the processor.
//!
//! Between the sums and the spikes nothing is kept: backward computes currents and membranes again,
//! a few samples at a time, and takes the gradient of the spikes from the layer that read them while
//! it is in the cache.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use multiversion::multiversion;

use super::dropout::Mask;
use super::lif::Lif;
use super::norm::{BatchNorm, GradientSums, scale_row};
use super::room::{Room, filled};
use super::signs::{self, Signs};
use super::synapse::Synapse;
use super::{operand, with_values};

/// Neurons of a sample whose membranes backward holds at a time.
const NEURONS_AT_ONCE: usize = 256;

/// Rows of spikes that backward computes at a time, at least: whole samples.
const ROWS_AT_ONCE: usize = 64;

/// What stands between the synaptic sums of a layer and its spikes.
#[derive(Debug, Clone)]
pub struct Neurons {
    /// Batch norm of the sums.
    pub norm: BatchNorm,
    /// Which currents are left out, of all steps.
    pub mask: Option<Arc<Mask>>,
    /// The neurons; [`Lif::constant`] says whether the sums are given once for all steps.
    pub lif: Lif,
}

/// Where the gradient of spikes comes from.
#[derive(Debug, Clone, Copy)]
pub enum OfSpikes<'a> {
    /// The gradient of each spike, or of each neuron where it is the same at every step.
    Given(&'a Tensor),
    /// The layer that reads the spikes: its synapses, their signs and the gradient of its sums.
    Read(&'a Synapse, &'a Signs, &'a Tensor),
}

/// Scale and offset of each channel and group of the batch norm.
type Line = (Vec<f32>, Vec<f32>);

/// What a sample has; nothing of its mask where nothing drops out.
#[derive(Clone, Copy)]
struct Sample<'a> {
    sums: &'a [f32],
    kept: Option<&'a [u8]>,
}

impl Neurons {
    /// Spikes `[n * steps, ..]` of the sums `[n * steps, ..]`, or `[n, ..]` where they are the same
    /// at every step.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn spikes(&self, sums: &Tensor, gain: &Tensor, shift: &Tensor) -> Result<Tensor> {
        sums.apply_op3(gain, shift, self.clone())
    }

    /// Gradients of sums, gain and shift, from the spikes and their gradient.
    ///
    /// # Errors
    /// If the tensors are not `f32`, or do not fit.
    pub fn backward(
        &self,
        sums: &Tensor,
        (gain, shift): (&Tensor, &Tensor),
        spikes: &Tensor,
        of_spikes: OfSpikes<'_>,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        let (reader, gradient) = match of_spikes {
            OfSpikes::Given(tensor) => (None, tensor),
            OfSpikes::Read(synapse, signs, tensor) => (Some((synapse, signs)), tensor),
        };
        let line = with_values(gain, |gain| {
            with_values(shift, |shift| Ok(self.norm.line(gain, shift)))
        })?;
        let (of_normal, of_line) = with_values(sums, |values| {
            with_values(spikes, |spikes| {
                with_values(gradient, |gradient| {
                    let neurons = values.len() / sums.dim(0)?.max(1);
                    Ok(self.run_back(&line, neurons, values, spikes, reader, gradient))
                })
            })
        })?;
        self.norm.finish_backward(sums, gain, of_normal, of_line)
    }

    /// The gradient of the normalised sums, and its sums by channel.
    fn run_back(
        &self,
        line: &Line,
        neurons: usize,
        sums: &[f32],
        spikes: &[f32],
        reader: Option<(&Synapse, &Signs)>,
        gradient: &[f32],
    ) -> (Vec<f32>, Vec<GradientSums>) {
        let (given, all) = (self.lif.given() * neurons, self.lif.steps * neurons);
        let samples = sums.len() / given;
        let at_once = ROWS_AT_ONCE.div_ceil(self.lif.steps);
        let of_sample = gradient.len() / samples;
        filled(
            sums.len(),
            at_once * given,
            BackScratch::default,
            |scratch, task, room| {
                let first = task * at_once;
                let samples = first..(first + at_once).min(samples);
                let gradient = &gradient[samples.start * of_sample..samples.end * of_sample];
                let gradient = match reader {
                    None => gradient,
                    Some((synapse, signs)) => {
                        scratch.of_spikes.resize(samples.len() * all, 0.0);
                        signs.input_gradient(
                            synapse,
                            gradient,
                            &mut scratch.of_spikes,
                            &mut scratch.signs,
                        );
                        &scratch.of_spikes
                    }
                };
                let of_sample = gradient.len() / samples.len();
                scratch.result.clear();
                scratch.result.resize(samples.len() * given, 0.0);
                let results = scratch.result.chunks_exact_mut(given);
                for ((sample, result), gradient) in
                    (samples.clone().zip(results)).zip(gradient.chunks_exact(of_sample))
                {
                    run_back(
                        self,
                        line,
                        self.sample(sample, sums, neurons),
                        (&spikes[sample * all..][..all], gradient),
                        result,
                        &mut scratch.membrane,
                    );
                }
                room.push(&scratch.result);
                let sums = &sums[samples.start * given..samples.end * given];
                self.norm.gradient_sums(sums, &scratch.result)
            },
        )
    }

    fn sample<'a>(&'a self, sample: usize, sums: &'a [f32], neurons: usize) -> Sample<'a> {
        let (given, all) = (self.lif.given() * neurons, self.lif.steps * neurons);
        let mask = self.mask.as_ref();
        Sample {
            sums: &sums[sample * given..][..given],
            kept: mask.map(|mask| &mask.kept[sample * all..][..all]),
        }
    }

    /// What a current that stays is multiplied by.
    fn keep_scale(&self) -> f32 {
        self.mask.as_ref().map_or(1.0, |mask| mask.scale)
    }

    /// Currents at step `t` of neurons `from..`, which start at channel `channel`.
    #[inline(always)]
    fn currents(
        &self,
        (scale, offset): &Line,
        sample: &Sample<'_>,
        t: usize,
        (from, channel, neurons): (usize, usize, usize),
        result: &mut [f32],
    ) {
        let channels = self.norm.channels();
        let row = if self.lif.constant { 0 } else { t };
        let x = &sample.sums[row * neurons + from..][..result.len()];
        let n = result.len().min(channels - channel);
        let first = if scale.len() == channels {
            0
        } else {
            t * channels
        } + channel;
        scale_row(x, &scale[first..][..n], &offset[first..][..n], result);
        if let Some(kept) = sample.kept {
            keep(result, &kept[t * neurons + from..], self.keep_scale());
        }
    }
}

/// Scales the values that stay; the others become 0.
#[inline(always)]
fn keep(values: &mut [f32], kept: &[u8], scale: f32) {
    for (value, kept) in values.iter_mut().zip(kept) {
        *value *= f32::from(*kept) * scale;
    }
}

/// Memory for the forward pass of a sample: a row each.
#[derive(Default)]
struct Scratch {
    current: Vec<f32>,
    membrane: Vec<f32>,
    spikes: Vec<f32>,
}

/// Memory for the backward pass of some samples.
#[derive(Default)]
struct BackScratch {
    of_spikes: Vec<f32>,
    membrane: Vec<f32>,
    result: Vec<f32>,
    signs: signs::Scratch,
}

/// Spikes of a sample, with the arithmetic of [`Lif::spikes`].
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn fire<'a, 'b>(
    layer: &Neurons,
    line: &Line,
    sample: Sample<'a>,
    room: &mut Room<'b>,
    scratch: &mut Scratch,
) {
    let lif = &layer.lif;
    let neurons = sample.sums.len() / lif.given();
    let Scratch {
        current,
        membrane,
        spikes,
    } = scratch;
    for row in [&mut *current, &mut *membrane, &mut *spikes] {
        row.resize(neurons, 0.0);
    }
    for t in 0..lif.steps {
        if t == 0 || !lif.constant || sample.kept.is_some() {
            layer.currents(line, &sample, t, (0, 0, neurons), current);
        }
        let rows = current
            .iter()
            .zip(membrane.iter_mut())
            .zip(spikes.iter_mut());
        if t == 0 {
            for ((x, u), s) in rows {
                *u = *x;
                *s = f32::from(*u > lif.threshold);
            }
        } else {
            for ((x, u), s) in rows {
                *u = lif.beta * *u + x - *s * lif.threshold;
                *s = f32::from(*u > lif.threshold);
            }
        }
        room.push(spikes);
    }
}

/// Gradient of a sample's normalised sums, from its spikes and their gradient.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn run_back<'a>(
    layer: &Neurons,
    line: &Line,
    sample: Sample<'a>,
    (spikes, grad): (&[f32], &[f32]),
    result: &mut [f32],
    membrane: &mut Vec<f32>,
) {
    let lif = &layer.lif;
    let (neurons, channels) = (spikes.len() / lif.steps, layer.norm.channels());
    membrane.resize(lif.steps * NEURONS_AT_ONCE.min(neurons), 0.0);
    // Neurons of a part of a point, or of whole points.
    let most = match NEURONS_AT_ONCE / channels {
        0 => NEURONS_AT_ONCE,
        points => points * channels,
    };
    let mut from = 0;
    while from < neurons {
        let channel = from % channels;
        let end = if most < channels {
            from - channel + channels
        } else {
            neurons
        };
        let n = most.min(end - from);
        for t in 0..lif.steps {
            let (before, now) = membrane.split_at_mut(t * n);
            let now = &mut now[..n];
            layer.currents(line, &sample, t, (from, channel, neurons), now);
            if t > 0 {
                let before = &before[(t - 1) * n..];
                let spikes = &spikes[(t - 1) * neurons + from..][..n];
                for ((u, before), spike) in now.iter_mut().zip(before).zip(spikes) {
                    *u = lif.beta * before + *u - spike * lif.threshold;
                }
            }
        }
        let mut carried = [0.0; NEURONS_AT_ONCE];
        for t in (0..lif.steps).rev() {
            // The gradient of a count is that of each of its spikes.
            let row = if grad.len() == neurons { 0 } else { t };
            let grad = &grad[row * neurons + from..][..n];
            let derivative = &mut membrane[t * n..][..n];
            lif.surrogate.replace(derivative, lif.threshold);
            let carried = &mut carried[..n];
            for ((carried, grad), derivative) in carried.iter_mut().zip(grad).zip(&*derivative) {
                *carried = grad * derivative + lif.beta * *carried;
            }
            derivative.copy_from_slice(carried);
            if let Some(kept) = sample.kept {
                keep(derivative, &kept[t * neurons + from..], layer.keep_scale());
            }
            if lif.constant {
                for (result, value) in result[from..][..n].iter_mut().zip(derivative) {
                    *result += *value;
                }
            } else {
                result[t * neurons + from..][..n].copy_from_slice(derivative);
            }
        }
        from += n;
    }
}

impl CustomOp3 for Neurons {
    fn name(&self) -> &'static str {
        "neurons"
    }

    fn cpu_fwd(
        &self,
        sums: &CpuStorage,
        layout: &Layout,
        gain: &CpuStorage,
        gain_layout: &Layout,
        shift: &CpuStorage,
        shift_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let sums = operand(sums, layout)?;
        let (gain, shift) = (operand(gain, gain_layout)?, operand(shift, shift_layout)?);
        let (samples, neurons, shape) = self.lif.sizes(layout)?;
        let all = self.lif.steps * neurons;
        let fits = self
            .mask
            .as_ref()
            .is_none_or(|mask| mask.kept.len() == samples * all);
        if !fits || !self.norm.fits(layout.dims(), gain.len(), shift.len()) {
            candle_core::bail!("{:?} does not fit {self:?}", layout.shape());
        }
        let line = self.norm.line(gain, shift);
        let (spikes, _) = filled(
            samples * all,
            all,
            Scratch::default,
            |scratch, index, room| {
                fire(
                    self,
                    &line,
                    self.sample(index, sums, neurons),
                    room,
                    scratch,
                );
            },
        );
        Ok((CpuStorage::F32(spikes), shape))
    }

    fn bwd(
        &self,
        sums: &Tensor,
        gain: &Tensor,
        shift: &Tensor,
        spikes: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let given = OfSpikes::Given(grad);
        let (of_sums, of_gain, of_shift) = self.backward(sums, (gain, shift), spikes, given)?;
        Ok((Some(of_sums), Some(of_gain), Some(of_shift)))
    }
}

#[cfg(test)]
mod tests;
