//! Leaky integrate-and-fire neurons over all time steps, as one operation.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use multiversion::multiversion;
use rayon::prelude::*;

use super::surrogate::Surrogate;
use super::{operand, with_values};

/// Neurons of a sample whose membranes backward holds at a time.
const NEURONS_AT_ONCE: usize = 256;

/// Leaky integrate-and-fire neurons with a reset by subtraction, delayed by one step:
///
/// ```text
/// u(t) = beta * u(t-1) + x(t) - theta * s(t-1)
/// s(t) = 1 if u(t) > theta, else 0
/// ```
///
/// with `u` and `s` zero before the first step. Backward replaces `ds/du` by a surrogate and runs
/// back through the decay; the reset is detached.
#[derive(Debug, Clone, Copy)]
pub struct Lif {
    /// Time steps.
    pub steps: usize,
    /// Decay of the membrane in a step.
    pub beta: f32,
    /// Firing threshold.
    pub threshold: f32,
    /// The surrogate gradient.
    pub surrogate: Surrogate,
    /// Whether the current is the same at every step, and given once.
    pub constant: bool,
}

impl Lif {
    /// Spikes `[n * steps, ..]` of the current `[n * steps, ..]`, or `[n, ..]` where it is the
    /// same at every step.
    ///
    /// # Errors
    /// If the current's samples are not a multiple of the steps.
    pub fn spikes(self, current: &Tensor) -> Result<Tensor> {
        current.apply_op1(self)
    }

    /// Gradient of the current, from the spikes that it gave and their gradient.
    ///
    /// # Errors
    /// If the tensors are not `f32` on the CPU.
    pub fn backward(&self, current: &Tensor, spikes: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let neurons = current.elem_count() / current.dim(0)?;
        let mut result = vec![0.0; current.elem_count()];
        with_values(current, |current| {
            with_values(spikes, |spikes| {
                with_values(grad, |grad| {
                    let (given, all) = (self.given() * neurons, self.steps * neurons);
                    let sources = current
                        .par_chunks(given)
                        .zip(spikes.par_chunks(all))
                        .zip(grad.par_chunks(all));
                    result.par_chunks_mut(given).zip(sources).for_each_init(
                        || vec![0.0; self.steps * NEURONS_AT_ONCE],
                        |membrane, (result, ((current, spikes), grad))| {
                            let recorded = (current, spikes, grad);
                            for from in (0..neurons).step_by(NEURONS_AT_ONCE) {
                                let n = NEURONS_AT_ONCE.min(neurons - from);
                                run_back(self, recorded, result, from, n, membrane);
                            }
                        },
                    );
                    Ok(())
                })
            })
        })?;
        Tensor::from_vec(result, current.shape(), current.device())
    }

    /// Steps for which the current has values.
    pub(super) fn given(&self) -> usize {
        if self.constant { 1 } else { self.steps }
    }

    /// The current's values of neurons `from..from + n` at step `t`, of a sample's currents.
    fn current<'a>(&self, sample: &'a [f32], t: usize, from: usize, n: usize) -> &'a [f32] {
        let neurons = sample.len() / self.given();
        let t = if self.constant { 0 } else { t };
        &sample[t * neurons + from..][..n]
    }
}

/// Spikes of a sample; `membrane` is scratch.
#[multiversion(targets("x86_64+avx2"))]
fn fire(lif: &Lif, current: &[f32], spikes: &mut [f32], membrane: &mut Vec<f32>) {
    let neurons = spikes.len() / lif.steps;
    membrane.clear();
    membrane.resize(neurons, 0.0);
    for t in 0..lif.steps {
        let current = lif.current(current, t, 0, neurons);
        let (before, now) = spikes.split_at_mut(t * neurons);
        let inputs = current.iter().zip(membrane.iter_mut()).zip(now);
        if t == 0 {
            for ((x, u), s) in inputs {
                *u = *x;
                *s = f32::from(*u > lif.threshold);
            }
        } else {
            let before = &before[(t - 1) * neurons..];
            for (((x, u), s), before) in inputs.zip(before) {
                *u = lif.beta * *u + x - before * lif.threshold;
                *s = f32::from(*u > lif.threshold);
            }
        }
    }
}

/// Membranes of neurons `from..from + n` of a sample at every step, from its current and the spikes
/// that it gave.
#[inline(always)]
pub(super) fn membranes(
    lif: &Lif,
    (current, spikes): (&[f32], &[f32]),
    from: usize,
    n: usize,
    membrane: &mut [f32],
) {
    let neurons = spikes.len() / lif.steps;
    for t in 0..lif.steps {
        let current = lif.current(current, t, from, n);
        if t == 0 {
            membrane[..n].copy_from_slice(current);
            continue;
        }
        let (before, now) = membrane.split_at_mut(t * n);
        let before = &before[(t - 1) * n..];
        let spikes = &spikes[(t - 1) * neurons + from..][..n];
        let sources = current.iter().zip(before).zip(spikes);
        for (u, ((x, before), spike)) in now[..n].iter_mut().zip(sources) {
            *u = lif.beta * before + x - spike * lif.threshold;
        }
    }
}

/// Gradient of a sample's current for neurons `from..from + n`; `membrane` is scratch.
#[multiversion(targets("x86_64+avx2"))]
fn run_back(
    lif: &Lif,
    (current, spikes, grad): (&[f32], &[f32], &[f32]),
    result: &mut [f32],
    from: usize,
    n: usize,
    membrane: &mut [f32],
) {
    let neurons = spikes.len() / lif.steps;
    membranes(lif, (current, spikes), from, n, membrane);
    let mut carried = [0.0; NEURONS_AT_ONCE];
    for t in (0..lif.steps).rev() {
        let grad = &grad[t * neurons + from..][..n];
        let derivative = &mut membrane[t * n..][..n];
        lif.surrogate.replace(derivative, lif.threshold);
        for ((carried, grad), derivative) in carried.iter_mut().zip(grad).zip(derivative) {
            *carried = grad * *derivative + lif.beta * *carried;
        }
        if lif.constant {
            for (result, carried) in result[from..][..n].iter_mut().zip(&carried) {
                *result += carried;
            }
        } else {
            result[t * neurons + from..][..n].copy_from_slice(&carried[..n]);
        }
    }
}

impl CustomOp1 for Lif {
    fn name(&self) -> &'static str {
        "lif"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let current = operand(storage, layout)?;
        let mut dims = layout.dims().to_vec();
        if dims.is_empty() || !dims[0].is_multiple_of(self.given()) {
            candle_core::bail!("currents {dims:?} do not have {} steps", self.given());
        }
        let samples = dims[0] / self.given();
        dims[0] = samples * self.steps;
        let neurons = dims[1..].iter().product::<usize>();
        let mut spikes = vec![0.0; samples * self.steps * neurons];
        spikes
            .par_chunks_mut(self.steps * neurons)
            .zip(current.par_chunks(self.given() * neurons))
            .for_each_init(Vec::new, |membrane, (spikes, current)| {
                fire(self, current, spikes, membrane);
            });
        Ok((CpuStorage::F32(spikes), dims.into()))
    }

    fn bwd(&self, current: &Tensor, spikes: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        self.backward(current, spikes, grad).map(Some)
    }
}
