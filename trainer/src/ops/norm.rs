//! Batch norm of currents, one channel an output, over all time steps or for each step.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use multiversion::multiversion;
use rayon::prelude::*;

use super::{add_all, on_device, on_host, operand, with_values};

/// Rows that are summed before partial sums are added in order.
const ROWS_PER_SUM: usize = 512;

/// Which rows of `[samples, steps, points, channels]` are normalised together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grouping {
    /// Groups that have statistics of their own: 1, or the time steps.
    pub groups: usize,
    /// Rows of a group that stand together; of no meaning with one group.
    pub points: usize,
}

impl Grouping {
    /// All rows together.
    pub const ALL: Self = Self {
        groups: 1,
        points: ROWS_PER_SUM,
    };

    /// Rows of a run, which belongs to one group.
    fn run(&self) -> usize {
        if self.groups == 1 {
            ROWS_PER_SUM
        } else {
            self.points.max(1)
        }
    }

    /// Rows of whole samples that are summed before partial sums are added in order.
    fn piece(&self) -> usize {
        let sample = self.groups * self.run();
        sample * (ROWS_PER_SUM / sample).max(1)
    }

    /// Calls `f` for every run of a piece, with the place of its group's values among those of all.
    fn for_each_run(
        &self,
        piece: usize,
        channels: usize,
        mut f: impl FnMut(Range<usize>, Range<usize>),
    ) {
        let run = self.run() * channels;
        for (index, from) in (0..piece).step_by(run).enumerate() {
            let group = index % self.groups * channels;
            f(from..(from + run).min(piece), group..group + channels);
        }
    }
}

/// Mean and variance of every channel, of each group.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Mean of each channel, group by group.
    pub mean: Vec<f32>,
    /// Variance of each channel (the mean square deviation), group by group.
    pub variance: Vec<f32>,
    /// Values a channel and group that they were computed from.
    pub rows: usize,
    /// What was put together.
    pub grouping: Grouping,
}

impl Statistics {
    /// Statistics of `[.., channels]`.
    ///
    /// # Errors
    /// If the tensor is not `f32`.
    pub fn of(x: &Tensor, grouping: Grouping) -> Result<Self> {
        if !on_host(x) {
            return Self::on_device(x, grouping);
        }
        let channels = x.dim(candle_core::D::Minus1)?;
        let rows = x.elem_count() / channels / grouping.groups;
        let scale = 1.0 / rows as f32;
        let values = grouping.groups * channels;
        with_values(x, |x| {
            let sums = |mean: &[f32], squared: bool| {
                let parts = x.par_chunks(grouping.piece() * channels).map(|piece| {
                    let (mut sum, mut squares) = (vec![0.0; values], vec![0.0; values]);
                    grouping.for_each_run(piece.len(), channels, |run, group| {
                        let sums = (&mut sum[group.clone()], &mut squares[group.clone()]);
                        deviations(&piece[run], &mean[group], sums);
                    });
                    if squared { squares } else { sum }
                });
                let mut total = add_all(parts.collect(), values);
                total.iter_mut().for_each(|total| *total *= scale);
                total
            };
            let mean = sums(&vec![0.0; values], false);
            let variance = sums(&mean, true);
            Ok(Self {
                mean,
                variance,
                rows,
                grouping,
            })
        })
    }
}

/// Adds over rows the deviations from a mean, and their squares.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn deviations(rows: &[f32], mean: &[f32], (sum, squares): (&mut [f32], &mut [f32])) {
    for row in rows.chunks_exact(mean.len()) {
        let sums = sum.iter_mut().zip(squares.iter_mut());
        for ((x, mean), (sum, squares)) in row.iter().zip(mean).zip(sums) {
            let deviation = x - mean;
            *sum += deviation;
            *squares += deviation * deviation;
        }
    }
}

/// `x * scale + offset` by channel.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn scale_and_offset(x: &[f32], scale: &[f32], offset: &[f32], result: &mut [f32]) {
    scale_row(x, scale, offset, result);
}

/// [`scale_and_offset`], for the vectors of its caller.
#[inline(always)]
pub(super) fn scale_row(x: &[f32], scale: &[f32], offset: &[f32], result: &mut [f32]) {
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

/// Adds over rows the gradient, and the gradient times the normalised value.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn gradient_sums(
    (x, grad): (&[f32], &[f32]),
    mean: &[f32],
    inverse_deviation: &[f32],
    (shift, gain): (&mut [f32], &mut [f32]),
) {
    let channels = mean.len();
    for (x, grad) in x.chunks_exact(channels).zip(grad.chunks_exact(channels)) {
        let statistics = mean.iter().zip(inverse_deviation);
        let sums = shift.iter_mut().zip(gain.iter_mut());
        let values = x.iter().zip(grad);
        for (((x, grad), (mean, inverse)), (shift, gain)) in values.zip(statistics).zip(sums) {
            *shift += grad;
            *gain += grad * ((x - mean) * inverse);
        }
    }
}

/// Turns a gradient into `grad * by_grad + x * by_x + offset`, by channel.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn combine(x: &[f32], by_grad: &[f32], by_x: &[f32], offset: &[f32], grad: &mut [f32]) {
    let channels = offset.len();
    let rows = grad
        .chunks_exact_mut(channels)
        .zip(x.chunks_exact(channels));
    for (grad, x) in rows {
        let factors = by_grad.iter().zip(by_x).zip(offset);
        for ((grad, x), ((by_grad, by_x), offset)) in grad.iter_mut().zip(x).zip(factors) {
            *grad = *grad * by_grad + x * by_x + offset;
        }
    }
}

/// Sums of a gradient, and of the gradient times the normalised value, of each channel and group.
pub(super) type GradientSums = (Vec<f32>, Vec<f32>);

/// Batch norm `gain * (x - mean) / sqrt(variance + epsilon) + shift` of `[.., channels]`.
#[derive(Debug, Clone)]
pub struct BatchNorm {
    mean: Vec<f32>,
    inverse_deviation: Vec<f32>,
    of_batch: bool,
    grouping: Grouping,
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
            grouping: statistics.grouping,
        }
    }

    /// The normalised tensor.
    ///
    /// # Errors
    /// If the channels do not fit.
    pub fn normalise(&self, x: &Tensor, gain: &Tensor, shift: &Tensor) -> Result<Tensor> {
        if on_host(x) {
            x.apply_op3(gain, shift, self.clone())
        } else {
            self.normalise_on_device(x, gain, shift)
        }
    }

    /// Gradients of `x`, gain and shift.
    ///
    /// # Errors
    /// If the tensors are not `f32`, or do not fit.
    pub fn backward(
        &self,
        x: &Tensor,
        gain: &Tensor,
        grad: &Tensor,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        if !on_host(x) {
            return self.backward_on_device(x, gain, grad);
        }
        let (of_normal, parts) = with_values(x, |x| {
            with_values(grad, |grad| {
                let piece = self.channels() * self.grouping.piece();
                let pieces = x.par_chunks(piece).zip(grad.par_chunks(piece));
                let parts = pieces.map(|(x, grad)| self.gradient_sums(x, grad));
                Ok((grad.to_vec(), parts.collect()))
            })
        })?;
        self.finish_backward(x, gain, of_normal, parts)
    }

    /// Values of a row.
    pub(super) fn channels(&self) -> usize {
        self.mean.len() / self.grouping.groups
    }

    /// Whether it takes tensors `[.., channels]` of so many dimensions, and so many gains and shifts.
    pub(super) fn fits(&self, dims: &[usize], gains: usize, shifts: usize) -> bool {
        let channels = self.channels();
        let sample = match self.grouping.groups {
            1 => 1,
            groups => groups * self.grouping.run(),
        };
        let rows = dims.iter().product::<usize>() / channels;
        let lengths = [dims.last().copied().unwrap_or(0), gains, shifts];
        lengths == [channels; 3] && rows.is_multiple_of(sample)
    }

    /// Sums over whole pieces, or over whole samples where each step has statistics of its own.
    pub(super) fn gradient_sums(&self, x: &[f32], grad: &[f32]) -> GradientSums {
        let values = self.mean.len();
        let (mut shift, mut gain) = (vec![0.0; values], vec![0.0; values]);
        let channels = self.channels();
        self.grouping.for_each_run(x.len(), channels, |run, group| {
            gradient_sums(
                (&x[run.clone()], &grad[run]),
                &self.mean[group.clone()],
                &self.inverse_deviation[group.clone()],
                (&mut shift[group.clone()], &mut gain[group]),
            );
        });
        (shift, gain)
    }

    /// Gradients of `x`, gain and shift, from that of the result and its sums, part by part.
    pub(super) fn finish_backward(
        &self,
        x: &Tensor,
        gain: &Tensor,
        mut of_normal: Vec<f32>,
        parts: Vec<GradientSums>,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        let values = self.mean.len();
        let (shift_parts, gain_parts) = parts.into_iter().unzip();
        let sums = (add_all(shift_parts, values), add_all(gain_parts, values));
        let line = with_values(gain, |gain| {
            Ok(self.gradient_line(gain, &sums, of_normal.len()))
        })?;
        if !line.is_identity() {
            with_values(x, |x| {
                self.combine(x, &line, &mut of_normal);
                Ok(())
            })?;
        }
        let of_x = Tensor::from_vec(of_normal, x.shape(), x.device())?;
        let of_gain = Tensor::from_vec(self.over_groups(&sums.1), gain.shape(), x.device())?;
        let of_shift = Tensor::from_vec(self.over_groups(&sums.0), gain.shape(), x.device())?;
        Ok((of_x, of_gain, of_shift))
    }

    fn combine(&self, x: &[f32], line: &Line, grad: &mut [f32]) {
        let (grouping, channels) = (self.grouping, self.channels());
        let piece = channels * grouping.piece();
        grad.par_chunks_mut(piece)
            .zip(x.par_chunks(piece))
            .for_each(|(grad, x)| {
                grouping.for_each_run(x.len(), channels, |run, group| {
                    combine(
                        &x[run.clone()],
                        &line.by_grad[group.clone()],
                        &line.by_x[group.clone()],
                        &line.offset[group],
                        &mut grad[run],
                    );
                });
            });
    }

    pub(super) fn normalise_on_device(
        &self,
        x: &Tensor,
        gain: &Tensor,
        shift: &Tensor,
    ) -> Result<Tensor> {
        let (scale, offset) = with_values(gain, |gain| {
            with_values(shift, |shift| Ok(self.line(gain, shift)))
        })?;
        on_device::line(self.grouping, x, &scale, &offset)
    }

    pub(super) fn backward_on_device(
        &self,
        x: &Tensor,
        gain: &Tensor,
        grad: &Tensor,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        let (grouping, both) = (self.grouping, (x, grad));
        let sums = on_device::gradient_sums(grouping, both, &self.mean, &self.inverse_deviation)?;
        let Line {
            by_grad,
            by_x,
            offset,
        } = with_values(gain, |gain| {
            Ok(self.gradient_line(gain, &sums, x.elem_count()))
        })?;
        let of_x = on_device::combine(grouping, both, &by_grad, &by_x, &offset)?;
        let of_gain = Tensor::from_vec(self.over_groups(&sums.1), gain.shape(), x.device())?;
        let of_shift = Tensor::from_vec(self.over_groups(&sums.0), gain.shape(), x.device())?;
        Ok((of_x, of_gain, of_shift))
    }

    /// Scale and offset of each channel and group.
    pub(super) fn line(&self, gain: &[f32], shift: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let channels = gain.len();
        let by_value = |f: &dyn Fn(usize) -> f32| (0..self.mean.len()).map(f).collect::<Vec<f32>>();
        let scale = by_value(&|i| gain[i % channels] * self.inverse_deviation[i]);
        let offset = by_value(&|i| shift[i % channels] - scale[i] * self.mean[i]);
        (scale, offset)
    }

    /// The gradient of `x` as a line in `x`, from the sums of the gradient and of the gradient
    /// times the normalised value; `len` is the number of elements of `x`.
    fn gradient_line(&self, gain: &[f32], sums: &(Vec<f32>, Vec<f32>), len: usize) -> Line {
        let (values, channels) = (self.mean.len(), gain.len());
        let (shift_gradient, gain_gradient) = sums;
        // dx = gain / deviation * (grad - mean(grad) - normal * mean(grad * normal)), a line in x.
        let through = if self.of_batch {
            values as f32 / len as f32
        } else {
            0.0
        };
        let by_value = |f: &dyn Fn(usize) -> f32| (0..values).map(f).collect::<Vec<f32>>();
        let inverse = &self.inverse_deviation;
        let by_grad = by_value(&|i| gain[i % channels] * inverse[i]);
        let by_x = by_value(&|i| -by_grad[i] * gain_gradient[i] * through * inverse[i]);
        let offset =
            by_value(&|i| -by_grad[i] * shift_gradient[i] * through - by_x[i] * self.mean[i]);
        Line {
            by_grad,
            by_x,
            offset,
        }
    }

    /// Sums over the groups, by channel.
    fn over_groups(&self, values: &[f32]) -> Vec<f32> {
        let channels = values.len() / self.grouping.groups;
        add_all(
            values.chunks_exact(channels).map(<[f32]>::to_vec).collect(),
            channels,
        )
    }
}

/// `grad * by_grad + x * by_x + offset`, with values of each channel and group.
struct Line {
    by_grad: Vec<f32>,
    by_x: Vec<f32>,
    offset: Vec<f32>,
}

impl Line {
    /// Whether it leaves every gradient as it is.
    fn is_identity(&self) -> bool {
        let zero = |values: &[f32]| values.iter().all(|value| *value == 0.0);
        self.by_grad.iter().all(|value| *value == 1.0) && zero(&self.by_x) && zero(&self.offset)
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
        let grouping = self.grouping;
        let channels = self.channels();
        if !self.fits(x_layout.dims(), gain.len(), shift.len()) {
            candle_core::bail!("{:?} does not have {channels} channels", x_layout.shape());
        }
        let (scale, offset) = self.line(gain, shift);
        let mut result = vec![0.0; x.len()];
        let piece = channels * grouping.piece();
        result
            .par_chunks_mut(piece)
            .zip(x.par_chunks(piece))
            .for_each(|(result, x)| {
                grouping.for_each_run(x.len(), channels, |run, group| {
                    let (scale, offset) = (&scale[group.clone()], &offset[group]);
                    scale_and_offset(&x[run.clone()], scale, offset, &mut result[run]);
                });
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
        let (of_x, of_gain, of_shift) = self.backward(x, gain, grad)?;
        Ok((Some(of_x), Some(of_gain), Some(of_shift)))
    }
}
