//! Leaky integrate-and-fire neurons over all time steps, as one operation.

use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Tensor};
use multiversion::multiversion;
use rayon::prelude::*;

#[cfg(feature = "cuda")]
use super::lif_kernel;
use super::operand;
use super::surrogate::Surrogate;

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
    /// If the tensors are not `f32`, or do not fit.
    pub fn backward(&self, current: &Tensor, spikes: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let (current, spikes) = (current.contiguous()?, spikes.contiguous()?);
        current.apply_op3_no_bwd(&spikes, &grad.contiguous()?, &Backward(*self))
    }

    /// Steps for which the current has values.
    pub(super) fn given(&self) -> usize {
        if self.constant { 1 } else { self.steps }
    }

    /// Samples, neurons of a sample, and the shape of the spikes of a current.
    pub(super) fn sizes(&self, current: &Layout) -> Result<(usize, usize, Shape)> {
        let mut dims = current.dims().to_vec();
        if dims.is_empty() || !dims[0].is_multiple_of(self.given()) {
            candle_core::bail!("currents {dims:?} do not have {} steps", self.given());
        }
        let samples = dims[0] / self.given();
        dims[0] = samples * self.steps;
        Ok((samples, dims[1..].iter().product(), dims.into()))
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
        let (_, neurons, shape) = self.sizes(layout)?;
        let mut spikes = vec![0.0; shape.elem_count()];
        spikes
            .par_chunks_mut(self.steps * neurons)
            .zip(current.par_chunks(self.given() * neurons))
            .for_each_init(Vec::new, |membrane, (spikes, current)| {
                fire(self, current, spikes, membrane);
            });
        Ok((CpuStorage::F32(spikes), shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        storage: &candle_core::CudaStorage,
        layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let (samples, neurons, shape) = self.sizes(layout)?;
        let parameters = lif_kernel::Parameters::of(self, samples, neurons);
        let spikes = lif_kernel::launch::forward(&parameters, (storage, layout))?;
        Ok((spikes, shape))
    }

    fn bwd(&self, current: &Tensor, spikes: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        self.backward(current, spikes, grad).map(Some)
    }
}

/// [`Lif::backward`] on every kind of device: from current, spikes and their gradient.
struct Backward(Lif);

impl Backward {
    /// Samples and neurons of a sample, where the three fit together.
    fn sizes(&self, current: &Layout, spikes: &Layout, grad: &Layout) -> Result<(usize, usize)> {
        let (samples, neurons, shape) = self.0.sizes(current)?;
        let all = shape.elem_count();
        if spikes.shape().elem_count() != all || grad.shape().elem_count() != all {
            candle_core::bail!(
                "currents {:?}, spikes {:?} and gradients {:?} are not those of {} steps",
                current.shape(),
                spikes.shape(),
                grad.shape(),
                self.0.steps
            );
        }
        Ok((samples, neurons))
    }
}

impl CustomOp3 for Backward {
    fn name(&self) -> &'static str {
        "lif-backward"
    }

    fn cpu_fwd(
        &self,
        current: &CpuStorage,
        current_layout: &Layout,
        spikes: &CpuStorage,
        spikes_layout: &Layout,
        grad: &CpuStorage,
        grad_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let lif = &self.0;
        let (_, neurons) = self.sizes(current_layout, spikes_layout, grad_layout)?;
        let current = operand(current, current_layout)?;
        let (spikes, grad) = (operand(spikes, spikes_layout)?, operand(grad, grad_layout)?);
        let mut result = vec![0.0; current.len()];
        let (given, all) = (lif.given() * neurons, lif.steps * neurons);
        let sources = current
            .par_chunks(given)
            .zip(spikes.par_chunks(all))
            .zip(grad.par_chunks(all));
        result.par_chunks_mut(given).zip(sources).for_each_init(
            || vec![0.0; lif.steps * NEURONS_AT_ONCE],
            |membrane, (result, ((current, spikes), grad))| {
                let recorded = (current, spikes, grad);
                for from in (0..neurons).step_by(NEURONS_AT_ONCE) {
                    let n = NEURONS_AT_ONCE.min(neurons - from);
                    run_back(lif, recorded, result, from, n, membrane);
                }
            },
        );
        Ok((CpuStorage::F32(result), current_layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        current: &candle_core::CudaStorage,
        current_layout: &Layout,
        spikes: &candle_core::CudaStorage,
        spikes_layout: &Layout,
        grad: &candle_core::CudaStorage,
        grad_layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let (samples, neurons) = self.sizes(current_layout, spikes_layout, grad_layout)?;
        let parameters = lif_kernel::Parameters::of(&self.0, samples, neurons);
        let result = lif_kernel::launch::backward(
            &parameters,
            (current, current_layout),
            (spikes, spikes_layout),
            (grad, grad_layout),
        )?;
        Ok((result, current_layout.shape().clone()))
    }
}
