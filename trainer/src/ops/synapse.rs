//! Synaptic sums of a convolution or a linear layer, by walking the inputs that are not zero.
//!
//! Spikes are few, so the sums and the gradient of the weights cost what the activity costs. Only
//! the gradient of the input is dense: a matrix product, a few samples at a time.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{add_all, add_scaled, operand, with_values};

/// Samples whose weight gradient is summed before partial sums are added in order.
const SAMPLES_PER_SUM: usize = 32;

/// Values of the unfolded input gradient that are held at a time (8 MiB).
const UNFOLDED_VALUES: usize = 1 << 21;

/// The shape of a layer's synapses: a convolution without padding. A linear layer is a
/// convolution with a kernel of 1 over a map of one point.
#[derive(Debug, Clone, Copy)]
pub struct Synapse {
    /// Rows of the input map.
    pub height: usize,
    /// Columns of the input map.
    pub width: usize,
    /// Channels of the input map.
    pub channels: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Stride in both directions.
    pub stride: usize,
    /// Output channels.
    pub outputs: usize,
    /// Whether backward computes the gradient of the input; not needed for the network's input.
    pub input_gradient: bool,
}

impl Synapse {
    /// Synaptic sums `[n, rows, columns, outputs]` of `input`, `[n, ..]` with `height * width *
    /// channels` values a sample, and `taps`, `[kernel * kernel * channels, outputs]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn sums(self, input: &Tensor, taps: &Tensor) -> Result<Tensor> {
        input.apply_op2(taps, self)
    }

    /// Rows of the output map.
    pub fn out_height(&self) -> usize {
        (self.height - self.kernel) / self.stride + 1
    }

    /// Columns of the output map.
    pub fn out_width(&self) -> usize {
        (self.width - self.kernel) / self.stride + 1
    }

    fn inputs(&self) -> usize {
        self.height * self.width * self.channels
    }

    fn points(&self) -> usize {
        self.out_height() * self.out_width()
    }

    /// The output positions along one axis whose window covers input position `i`.
    fn covering(&self, i: usize, out: usize) -> std::ops::Range<usize> {
        let first = (i + 1).saturating_sub(self.kernel).div_ceil(self.stride);
        first..(i / self.stride + 1).min(out)
    }

    /// Calls `f(value, tap, point)` for every nonzero input of a sample and window that reads it.
    #[inline(always)]
    fn for_each_event(&self, sample: &[f32], mut f: impl FnMut(f32, usize, usize)) {
        let (out_height, out_width) = (self.out_height(), self.out_width());
        for (position, pixel) in sample.chunks_exact(self.channels).enumerate() {
            let (y, x) = (position / self.width, position % self.width);
            for (channel, &value) in pixel.iter().enumerate() {
                if value == 0.0 {
                    continue;
                }
                for oy in self.covering(y, out_height) {
                    let ky = y - oy * self.stride;
                    for ox in self.covering(x, out_width) {
                        let kx = x - ox * self.stride;
                        let tap = (ky * self.kernel + kx) * self.channels + channel;
                        f(value, tap, oy * out_width + ox);
                    }
                }
            }
        }
    }

    fn tap_gradient(&self, input: &[f32], grad: &[f32]) -> Vec<f32> {
        let (inputs, outputs) = (self.inputs(), self.outputs);
        let results = self.points() * outputs;
        let len = self.kernel * self.kernel * self.channels * outputs;
        let parts: Vec<Vec<f32>> = input
            .par_chunks(inputs * SAMPLES_PER_SUM)
            .zip(grad.par_chunks(results * SAMPLES_PER_SUM))
            .map(|(input, grad)| {
                let mut sum = vec![0.0; len];
                for (input, grad) in input.chunks(inputs).zip(grad.chunks(results)) {
                    self.for_each_event(input, |value, tap, point| {
                        let grad = &grad[point * outputs..][..outputs];
                        add_scaled(&mut sum[tap * outputs..][..outputs], value, grad);
                    });
                }
                sum
            })
            .collect();
        add_all(parts, len)
    }

    fn input_gradient(&self, taps: &Tensor, grad: &Tensor) -> Result<Vec<f32>> {
        let unfolded = self.kernel * self.kernel * self.channels;
        let per_sample = self.points() * unfolded;
        let samples = grad.elem_count() / (self.points() * self.outputs);
        let at_once = (UNFOLDED_VALUES / per_sample).max(1);
        let grad = grad.reshape((samples, self.points(), self.outputs))?;
        let transposed = taps.t()?;
        let mut result = vec![0.0; samples * self.inputs()];
        for (block, result) in result.chunks_mut(at_once * self.inputs()).enumerate() {
            let n = result.len() / self.inputs();
            let rows = grad.narrow(0, block * at_once, n)?.flatten(0, 1)?;
            with_values(&rows.matmul(&transposed)?, |columns| {
                result
                    .par_chunks_mut(self.inputs())
                    .zip(columns.par_chunks(per_sample))
                    .for_each(|(sample, columns)| self.fold_sample(sample, columns));
                Ok(())
            })?;
        }
        Ok(result)
    }

    /// Adds the unfolded windows of a sample back into its map.
    fn fold_sample(&self, sample: &mut [f32], columns: &[f32]) {
        let run = self.kernel * self.channels;
        let windows = columns.chunks_exact(run * self.kernel);
        for (point, window) in windows.enumerate() {
            let (oy, ox) = (point / self.out_width(), point % self.out_width());
            for (ky, row) in window.chunks_exact(run).enumerate() {
                let y = oy * self.stride + ky;
                let start = (y * self.width + ox * self.stride) * self.channels;
                add_scaled(&mut sample[start..][..run], 1.0, row);
            }
        }
    }
}

impl CustomOp2 for Synapse {
    fn name(&self) -> &'static str {
        "synapse"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        taps: &CpuStorage,
        taps_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (input, taps) = (operand(input, input_layout)?, operand(taps, taps_layout)?);
        let expected = self.kernel * self.kernel * self.channels * self.outputs;
        if !input.len().is_multiple_of(self.inputs()) || taps.len() != expected {
            candle_core::bail!(
                "{:?} inputs and {:?} taps do not fit {self:?}",
                input_layout.shape(),
                taps_layout.shape()
            );
        }
        let samples = input.len() / self.inputs();
        let (results, outputs) = (self.points() * self.outputs, self.outputs);
        let mut sums = vec![0.0; samples * results];
        sums.par_chunks_mut(results)
            .zip(input.par_chunks(self.inputs()))
            .for_each(|(sums, input)| {
                self.for_each_event(input, |value, tap, point| {
                    let taps = &taps[tap * outputs..][..outputs];
                    add_scaled(&mut sums[point * outputs..][..outputs], value, taps);
                });
            });
        let shape = (samples, self.out_height(), self.out_width(), outputs);
        Ok((CpuStorage::F32(sums), shape.into()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        taps: &Tensor,
        _sums: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let tap_gradient = with_values(input, |input| {
            with_values(&grad, |grad| Ok(self.tap_gradient(input, grad)))
        })?;
        let tap_gradient = Tensor::from_vec(tap_gradient, taps.shape(), taps.device())?;
        if !self.input_gradient {
            return Ok((None, Some(tap_gradient)));
        }
        let input_gradient = self.input_gradient(taps, &grad)?;
        let input_gradient = Tensor::from_vec(input_gradient, input.shape(), input.device())?;
        Ok((Some(input_gradient), Some(tap_gradient)))
    }
}
