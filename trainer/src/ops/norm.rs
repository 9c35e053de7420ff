//! Batch norm of currents, one channel an output.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
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
        with_values(x, |x| {
            let scale = 1.0 / rows as f32;
            let mut mean = sum_rows(x, channels, |sum, row| {
                for (sum, x) in sum.iter_mut().zip(row) {
                    *sum += x;
                }
            });
            mean.iter_mut().for_each(|mean| *mean *= scale);
            let mut variance = sum_rows(x, channels, |sum, row| {
                for ((sum, x), mean) in sum.iter_mut().zip(row).zip(&mean) {
                    *sum += (x - mean) * (x - mean);
                }
            });
            variance.iter_mut().for_each(|variance| *variance *= scale);
            Ok(Self {
                mean,
                variance,
                rows,
            })
        })
    }
}

/// Sums over rows, in a fixed order: `add(sum, row)` for the rows of a piece, then the pieces.
fn sum_rows(x: &[f32], channels: usize, add: impl Fn(&mut [f32], &[f32]) + Sync) -> Vec<f32> {
    let parts = x
        .par_chunks(channels * ROWS_PER_SUM)
        .map(|piece| {
            let mut sum = vec![0.0; channels];
            piece
                .chunks_exact(channels)
                .for_each(|row| add(&mut sum, row));
            sum
        })
        .collect();
    add_all(parts, channels)
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
    pub fn normalise(self, x: &Tensor, gain: &Tensor, shift: &Tensor) -> Result<Tensor> {
        x.apply_op3(gain, shift, self)
    }

    fn backward(&self, x: &[f32], gain: &[f32], grad: &[f32]) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let channels = self.mean.len();
        let piece = channels * ROWS_PER_SUM;
        let parts: Vec<(Vec<f32>, Vec<f32>)> = x
            .par_chunks(piece)
            .zip(grad.par_chunks(piece))
            .map(|(x, grad)| {
                let (mut shift, mut gain) = (vec![0.0; channels], vec![0.0; channels]);
                for (x, grad) in x.chunks_exact(channels).zip(grad.chunks_exact(channels)) {
                    for c in 0..channels {
                        shift[c] += grad[c];
                        gain[c] += grad[c] * ((x[c] - self.mean[c]) * self.inverse_deviation[c]);
                    }
                }
                (shift, gain)
            })
            .collect();
        let (shift_parts, gain_parts) = parts.into_iter().unzip();
        let shift_gradient: Vec<f32> = add_all(shift_parts, channels);
        let gain_gradient: Vec<f32> = add_all(gain_parts, channels);

        // dx = gain / deviation * (grad - mean(grad) - x_hat * mean(grad * x_hat)), one line a row.
        let rows = (x.len() / channels) as f32;
        let through = if self.of_batch { 1.0 / rows } else { 0.0 };
        let by_channel = |f: &dyn Fn(usize) -> f32| (0..channels).map(f).collect::<Vec<f32>>();
        let scale = by_channel(&|c| gain[c] * self.inverse_deviation[c]);
        let constant = by_channel(&|c| shift_gradient[c] * through);
        let slope = by_channel(&|c| gain_gradient[c] * through * self.inverse_deviation[c]);
        let mut result = vec![0.0; x.len()];
        result
            .par_chunks_mut(piece)
            .zip(x.par_chunks(piece).zip(grad.par_chunks(piece)))
            .for_each(|(result, (x, grad))| {
                let sources = x.chunks_exact(channels).zip(grad.chunks_exact(channels));
                for (result, (x, grad)) in result.chunks_exact_mut(channels).zip(sources) {
                    for c in 0..channels {
                        let deviation = x[c] - self.mean[c];
                        result[c] = scale[c] * (grad[c] - constant[c] - slope[c] * deviation);
                    }
                }
            });
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
        let mut result = vec![0.0; x.len()];
        let piece = channels * ROWS_PER_SUM;
        result
            .par_chunks_mut(piece)
            .zip(x.par_chunks(piece))
            .for_each(|(result, x)| {
                let rows = result
                    .chunks_exact_mut(channels)
                    .zip(x.chunks_exact(channels));
                for (result, x) in rows {
                    for c in 0..channels {
                        let normal = (x[c] - self.mean[c]) * self.inverse_deviation[c];
                        result[c] = gain[c] * normal + shift[c];
                    }
                }
            });
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
        let (of_x, of_gain, of_shift) = with_values(x, |x| {
            with_values(gain, |gain| {
                with_values(grad, |grad| Ok(self.backward(x, gain, grad)))
            })
        })?;
        let of_x = Tensor::from_vec(of_x, x.shape(), x.device())?;
        let of_gain = Tensor::from_vec(of_gain, gain.shape(), x.device())?;
        let of_shift = Tensor::from_vec(of_shift, gain.shape(), x.device())?;
        Ok((Some(of_x), Some(of_gain), Some(of_shift)))
    }
}
