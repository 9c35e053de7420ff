//! Batch norm of currents, one channel an output.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use multiversion::multiversion;
use rayon::prelude::*;

use super::{add_all, operand, with_values};

/// Rows that are summed before partial sums are added in order.
const ROWS_PER_SUM: usize = 512;

/// Mean and variance of every channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// Variance of each channel (the mean square deviation).
    pub variance: Vec<f32>,
    /// Values a channel that they were computed from.
    pub rows: usize,
}

impl Statistics {
    /// Statistics of `[.., channels]`.
    ///
    /// # Errors
    /// If the tensor is not `f32` on the CPU.
    pub fn of(x: &Tensor) -> Result<Self> {
        let channels = x.dim(candle_core::D::Minus1)?;
        let rows = x.elem_count() / channels;
        let scale = 1.0 / rows as f32;
        with_values(x, |x| {
            let pieces = || x.par_chunks(channels * ROWS_PER_SUM);
            let zeros = vec![0.0; channels];
            let parts = pieces().map(|piece| deviations(piece, &zeros).0).collect();
            let mut mean = add_all(parts, channels);
            mean.iter_mut().for_each(|mean| *mean *= scale);
            let parts = pieces().map(|piece| deviations(piece, &mean).1).collect();
            let mut variance = add_all(parts, channels);
            variance.iter_mut().for_each(|variance| *variance *= scale);
            Ok(Self {
                mean,
                variance,
                rows,
            })
        })
    }
}

/// Sums over rows of the deviations from a mean and of their squares.
#[multiversion(targets("x86_64+avx2"))]
fn deviations(rows: &[f32], mean: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut sum, mut squares) = (vec![0.0; mean.len()], vec![0.0; mean.len()]);
    for row in rows.chunks_exact(mean.len()) {
        let sums = sum.iter_mut().zip(&mut squares);
        for ((x, mean), (sum, squares)) in row.iter().zip(mean).zip(sums) {
            let deviation = x - mean;
            *sum += deviation;
            *squares += deviation * deviation;
        }
    }
    (sum, squares)
}

/// `x * scale + offset` by channel.
#[multiversion(targets("x86_64+avx2"))]
fn scale_and_offset(x: &[f32], scale: &[f32], offset: &[f32], result: &mut [f32]) {
    let channels = scale.len();
    for (result, x) in result
        .chunks_exact_mut(channels)
        .zip(x.chunks_exact(channels))
    {
        let by_channel = result.iter_mut().zip(x).zip(scale.iter().zip(offset));
        for ((result, x), (scale, offset)) in by_channel {
            *result = scale * x + offset;
        }
    }
}

/// Sums over rows of the gradient, and of the gradient times the normalised value.
#[multiversion(targets("x86_64+avx2"))]
fn gradient_sums(norm: &BatchNorm, x: &[f32], grad: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let channels = norm.mean.len();
    let (mut shift, mut gain) = (vec![0.0; channels], vec![0.0; channels]);
    for (x, grad) in x.chunks_exact(channels).zip(grad.chunks_exact(channels)) {
        let statistics = norm.mean.iter().zip(&norm.inverse_deviation);
        let sums = shift.iter_mut().zip(&mut gain);
        let values = x.iter().zip(grad);
        for (((x, grad), (mean, inverse)), (shift, gain)) in values.zip(statistics).zip(sums) {
            *shift += grad;
            *gain += grad * ((x - mean) * inverse);
        }
    }
    (shift, gain)
}

/// `grad * by_grad + x * by_x + offset` by channel.
#[multiversion(targets("x86_64+avx2"))]
fn combine(
    (x, grad): (&[f32], &[f32]),
    by_grad: &[f32],
    by_x: &[f32],
    offset: &[f32],
    result: &mut [f32],
) {
    let channels = offset.len();
    let sources = x.chunks_exact(channels).zip(grad.chunks_exact(channels));
    for (result, (x, grad)) in result.chunks_exact_mut(channels).zip(sources) {
        let factors = by_grad.iter().zip(by_x).zip(offset);
        let values = result.iter_mut().zip(x.iter().zip(grad));
        for ((result, (x, grad)), ((by_grad, by_x), offset)) in values.zip(factors) {
            *result = grad * by_grad + x * by_x + offset;
        }
    }
}

/// Batch norm `gain * (x - mean) / sqrt(variance + epsilon) + shift` of `[.., channels]`.
#[derive(Debug, Clone)]
pub struct BatchNorm {
    mean: Vec<f32>,
    inverse_deviation: Vec<f32>,
    of_batch: bool,
}

impl BatchNorm {
    /// With the given statistics; `of_batch` where they are those of the very tensor that is
    /// normalised, so that backward runs through them too.
    pub fn new(statistics: &Statistics, epsilon: f32, of_batch: bool) -> Self {
        let inverse = |variance: &f32| 1.0 / (variance + epsilon).sqrt();
        Self {
            mean: statistics.mean.clone(),
            inverse_deviation: statistics.variance.iter().map(inverse).collect(),
            of_batch,
        }
    }

    /// The normalised tensor.
    ///
    /// # Errors
    /// If the channels do not fit.
    pub fn normalise(&self, x: &Tensor, gain: &Tensor, shift: &Tensor) -> Result<Tensor> {
        x.apply_op3(gain, shift, self.clone())
    }

    /// Gradients of `x`, gain and shift.
    ///
    /// # Errors
    /// If the tensors are not `f32` on the CPU.
    pub fn backward(
        &self,
        x: &Tensor,
        gain: &Tensor,
        grad: &Tensor,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        let (of_x, of_gain, of_shift) = with_values(x, |x| {
            with_values(gain, |gain| {
                with_values(grad, |grad| Ok(self.gradients(x, gain, grad)))
            })
        })?;
        let of_x = Tensor::from_vec(of_x, x.shape(), x.device())?;
        let of_gain = Tensor::from_vec(of_gain, gain.shape(), x.device())?;
        let of_shift = Tensor::from_vec(of_shift, gain.shape(), x.device())?;
        Ok((of_x, of_gain, of_shift))
    }

    fn gradients(&self, x: &[f32], gain: &[f32], grad: &[f32]) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let channels = self.mean.len();
        let piece = channels * ROWS_PER_SUM;
        let parts: Vec<(Vec<f32>, Vec<f32>)> = x
            .par_chunks(piece)
            .zip(grad.par_chunks(piece))
            .map(|(x, grad)| gradient_sums(self, x, grad))
            .collect();
        let (shift_parts, gain_parts) = parts.into_iter().unzip();
        let shift_gradient: Vec<f32> = add_all(shift_parts, channels);
        let gain_gradient: Vec<f32> = add_all(gain_parts, channels);

        // dx = gain / deviation * (grad - mean(grad) - normal * mean(grad * normal)), a line in x.
        let through = if self.of_batch {
            channels as f32 / x.len() as f32
        } else {
            0.0
        };
        let by_channel = |f: &dyn Fn(usize) -> f32| (0..channels).map(f).collect::<Vec<f32>>();
        let inverse = &self.inverse_deviation;
        let by_grad = by_channel(&|c| gain[c] * inverse[c]);
        let by_x = by_channel(&|c| -by_grad[c] * gain_gradient[c] * through * inverse[c]);
        let offset =
            by_channel(&|c| -by_grad[c] * shift_gradient[c] * through - by_x[c] * self.mean[c]);
        let mut result = vec![0.0; x.len()];
        result
            .par_chunks_mut(piece)
            .zip(x.par_chunks(piece).zip(grad.par_chunks(piece)))
            .for_each(|(result, sources)| combine(sources, &by_grad, &by_x, &offset, result));
        (result, gain_gradient, shift_gradient)
    }
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        "batch-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gain: &CpuStorage,
        gain_layout: &Layout,
        shift: &CpuStorage,
        shift_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, gain) = (operand(x, x_layout)?, operand(gain, gain_layout)?);
        let shift = operand(shift, shift_layout)?;
        let channels = self.mean.len();
        let fits = gain.len() == channels && shift.len() == channels;
        if !fits || !x.len().is_multiple_of(channels) {
            candle_core::bail!("{:?} does not have {channels} channels", x_layout.shape());
        }
        let by_channel = |f: &dyn Fn(usize) -> f32| (0..channels).map(f).collect::<Vec<f32>>();
        let scale = by_channel(&|c| gain[c] * self.inverse_deviation[c]);
        let offset = by_channel(&|c| shift[c] - scale[c] * self.mean[c]);
        let mut result = vec![0.0; x.len()];
        let piece = channels * ROWS_PER_SUM;
        result
            .par_chunks_mut(piece)
            .zip(x.par_chunks(piece))
            .for_each(|(result, x)| scale_and_offset(x, &scale, &offset, result));
        Ok((CpuStorage::F32(result), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gain: &Tensor,
        _shift: &Tensor,
        _result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (of_x, of_gain, of_shift) = self.backward(x, gain, grad)?;
        Ok((Some(of_x), Some(of_gain), Some(of_shift)))
    }
}
