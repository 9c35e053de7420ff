//! Synaptic sums of a convolution or a linear layer, by walking the inputs that are not zero.
//!
//! Spikes are few, so the sums and the gradient of the weights cost what the activity costs. Only
//! the gradient of the input is dense: a matrix product, a few samples at a time, where the weights
//! are not binary (`signs` has the others).

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use multiversion::multiversion;
use rayon::prelude::*;

use super::events::{Event, Events, EventsByTap, find_in_map};
use super::room::filled;
use super::{add_all, add_scaled, on_host, operand, with_values};

/// Samples whose weight gradient is summed before partial sums are added in order, at least.
const SAMPLES_PER_SUM: usize = 32;

/// Partial sums of a weight gradient, at most.
const SUMS: usize = 64;

/// Values of the unfolded input gradient that are held at a time (8 MiB).
const UNFOLDED_VALUES: usize = 1 << 21;

/// Outputs whose sums stay in registers.
const BLOCK: usize = 64;

/// The shape of a layer's synapses: a convolution with zero padding; pairs are rows, then columns.
/// A linear layer is a convolution with a kernel of 1 x 1 over a map of one point.
#[derive(Debug, Clone, Copy)]
pub struct Synapse {
    /// Rows of the input map.
    pub height: usize,
    /// Columns of the input map.
    pub width: usize,
    /// Channels of the input map.
    pub channels: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Rows and columns between windows.
    pub stride: [usize; 2],
    /// Rows and columns of zeros on each side of the map.
    pub padding: [usize; 2],
    /// Output channels.
    pub outputs: usize,
    /// Whether backward computes the gradient of the input; not needed for the network's input.
    pub input_gradient: bool,
}

impl Synapse {
    /// Synaptic sums `[n, rows, columns, outputs]` of `input`, `[n, ..]` with `height * width *
    /// channels` values a sample, and `taps`, `[kernel rows * kernel columns * channels, outputs]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn sums(self, input: &Tensor, taps: &Tensor) -> Result<Tensor> {
        if on_host(input) {
            input.apply_op2(taps, self)
        } else {
            self.sums_on_device(input, taps)
        }
    }

    /// Gradients of the input, where asked for, and of the taps.
    ///
    /// # Errors
    /// If the tensors are not `f32`, or do not fit.
    pub fn backward(
        &self,
        input: &Tensor,
        taps: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Tensor)> {
        let grad = grad.contiguous()?;
        let of_taps = self.tap_gradient(input, taps, &grad)?;
        let of_input = self
            .input_gradient
            .then(|| self.input_gradient(input, taps, &grad));
        Ok((of_input.transpose()?, of_taps))
    }

    /// Gradient of the taps.
    ///
    /// # Errors
    /// If the tensors are not `f32`, or do not fit.
    pub fn tap_gradient(&self, input: &Tensor, taps: &Tensor, grad: &Tensor) -> Result<Tensor> {
        if !on_host(input) {
            return self.tap_gradient_on_device(input, taps, grad);
        }
        let gradient = with_values(input, |input| {
            with_values(grad, |grad| {
                Ok(if self.is_linear() {
                    self.linear_tap_gradient(input, grad)
                } else {
                    self.map_tap_gradient(input, grad)
                })
            })
        })?;
        Tensor::from_vec(gradient, taps.shape(), taps.device())
    }

    /// Gradient of the input, whatever the taps are.
    ///
    /// # Errors
    /// If the tensors are not `f32`, or do not fit.
    pub fn input_gradient(&self, input: &Tensor, taps: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let grad = grad.contiguous()?;
        if !on_host(input) {
            return self.input_gradient_on_device(input, taps, &grad);
        }
        Tensor::from_vec(self.run_back(taps, &grad)?, input.shape(), input.device())
    }

    /// Rows of the output map.
    pub fn out_height(&self) -> usize {
        (self.padded()[0] - self.kernel[0]) / self.stride[0] + 1
    }

    /// Columns of the output map.
    pub fn out_width(&self) -> usize {
        (self.padded()[1] - self.kernel[1]) / self.stride[1] + 1
    }

    /// Rows and columns of the input map with its padding.
    pub fn padded(&self) -> [usize; 2] {
        let [rows, columns] = self.padding;
        [self.height + 2 * rows, self.width + 2 * columns]
    }

    /// Inputs of one sum, padding included.
    pub(super) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.channels
    }

    fn is_linear(&self) -> bool {
        self.inputs() == self.channels && self.padding == [0, 0]
    }

    /// Calls `f(kernel row, first point, points, skipped)` for the part of each kernel row at output
    /// point `(oy, ox)` that lies in the map; `skipped` columns of the kernel before it lie in the
    /// padding.
    #[inline(always)]
    pub(super) fn rows_of(
        &self,
        (oy, ox): (usize, usize),
        mut f: impl FnMut(usize, usize, usize, usize),
    ) {
        let (top, left) = (oy * self.stride[0], ox * self.stride[1]);
        let first = left.saturating_sub(self.padding[1]);
        let end = (left + self.kernel[1]).saturating_sub(self.padding[1]);
        let end = end.min(self.width);
        if first >= end {
            return;
        }
        let skipped = first + self.padding[1] - left;
        for ky in 0..self.kernel[0] {
            let Some(y) = (top + ky).checked_sub(self.padding[0]) else {
                continue;
            };
            if y < self.height {
                f(ky, y * self.width + first, end - first, skipped);
            }
        }
    }

    pub(super) fn inputs(&self) -> usize {
        self.height * self.width * self.channels
    }

    pub(super) fn points(&self) -> usize {
        self.out_height() * self.out_width()
    }

    /// The gradient of the taps of any layer, by partial sums over samples.
    fn map_tap_gradient(&self, input: &[f32], grad: &[f32]) -> Vec<f32> {
        let (inputs, results) = (self.inputs(), self.points() * self.outputs);
        let len = self.taps() * self.outputs;
        let samples = samples_per_sum(input.len() / inputs);
        let parts: Vec<Vec<f32>> = input
            .par_chunks(inputs * samples)
            .zip(grad.par_chunks(results * samples))
            .map(|(input, grad)| {
                let mut sum = vec![0.0; len];
                let mut events = Events::default();
                for (input, grad) in input.chunks(inputs).zip(grad.chunks(results)) {
                    find_in_map(&mut events, self.channels, input);
                    add_tap_gradient(self, &events, grad, &mut sum);
                }
                sum
            })
            .collect();
        add_all(parts, len)
    }

    /// The same of a linear layer, input by input: partial sums of all weights would take more
    /// memory than the activity of a large layer.
    fn linear_tap_gradient(&self, input: &[f32], grad: &[f32]) -> Vec<f32> {
        let by_tap = EventsByTap::of(input, self.channels);
        let mut result = vec![0.0; self.channels * self.outputs];
        result
            .par_chunks_mut(self.outputs)
            .enumerate()
            .for_each(|(tap, sum)| add_rows(by_tap.of_tap(tap), grad, sum));
        result
    }

    fn run_back(&self, taps: &Tensor, grad: &Tensor) -> Result<Vec<f32>> {
        let per_sample = self.points() * self.taps();
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
                    .for_each(|(sample, columns)| fold_sample(self, columns, sample));
                Ok(())
            })?;
        }
        Ok(result)
    }
}

/// Samples whose weight gradient is summed at once, of so many.
fn samples_per_sum(samples: usize) -> usize {
    samples.div_ceil(SUMS).max(SAMPLES_PER_SUM)
}

/// Adds the events' rows of the gradient, each scaled by its value.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn add_rows(events: &[Event], grad: &[f32], sum: &mut [f32]) {
    for event in events {
        let row = &grad[event.sample as usize * sum.len()..][..sum.len()];
        add_scaled(sum, event.value, row);
    }
}

/// Sums of a sample's events; a block of outputs stays in registers over a window.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn add_events(shape: &Synapse, events: &Events, taps: &[f32], sums: &mut [f32]) {
    let (outputs, width) = (shape.outputs, shape.out_width());
    for (point, sums) in sums.chunks_exact_mut(outputs).enumerate() {
        let point = (point / width, point % width);
        let mut blocks = sums.chunks_exact_mut(BLOCK);
        for (block, sums) in (&mut blocks).enumerate() {
            let mut sum = [0.0; BLOCK];
            events.in_window(shape, point, |tap, value| {
                add_scaled(
                    &mut sum,
                    value,
                    &taps[tap * outputs + block * BLOCK..][..BLOCK],
                );
            });
            sums.copy_from_slice(&sum);
        }
        let rest = blocks.into_remainder();
        if !rest.is_empty() {
            rest.fill(0.0);
            let (from, n) = (outputs - rest.len(), rest.len());
            events.in_window(shape, point, |tap, value| {
                add_scaled(rest, value, &taps[tap * outputs + from..][..n]);
            });
        }
    }
}

/// Adds a sample's part of the gradient of the taps.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn add_tap_gradient(shape: &Synapse, events: &Events, grad: &[f32], sum: &mut [f32]) {
    let (outputs, width) = (shape.outputs, shape.out_width());
    for (point, grad) in grad.chunks_exact(outputs).enumerate() {
        events.in_window(shape, (point / width, point % width), |tap, value| {
            add_scaled(&mut sum[tap * outputs..][..outputs], value, grad);
        });
    }
}

/// Adds the unfolded windows of a sample back into its map.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn fold_sample(shape: &Synapse, columns: &[f32], sample: &mut [f32]) {
    let run = shape.kernel[1] * shape.channels;
    for (point, window) in columns.chunks_exact(shape.taps()).enumerate() {
        let point = (point / shape.out_width(), point % shape.out_width());
        shape.rows_of(point, |ky, first, count, skipped| {
            let row = &window[ky * run + skipped * shape.channels..][..count * shape.channels];
            let start = first * shape.channels;
            add_scaled(&mut sample[start..][..row.len()], 1.0, row);
        });
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
        let expected = self.taps() * self.outputs;
        if !input.len().is_multiple_of(self.inputs()) || taps.len() != expected {
            candle_core::bail!(
                "{:?} inputs and {:?} taps do not fit {self:?}",
                input_layout.shape(),
                taps_layout.shape()
            );
        }
        let samples = input.len() / self.inputs();
        let results = self.points() * self.outputs;
        let state = || (Events::default(), vec![0.0; results]);
        let (sums, _) = filled(samples * results, results, state, |state, sample, room| {
            let (events, sums) = state;
            let input = &input[sample * self.inputs()..][..self.inputs()];
            find_in_map(events, self.channels, input);
            add_events(self, events, taps, sums);
            room.push(sums);
        });
        let shape = (samples, self.out_height(), self.out_width(), self.outputs);
        Ok((CpuStorage::F32(sums), shape.into()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        taps: &Tensor,
        _sums: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (of_input, of_taps) = self.backward(input, taps, grad)?;
        Ok((of_input, Some(of_taps)))
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn both_ways_to_the_gradient_of_a_linear_layer_agree() {
        let synapse = Synapse {
            height: 1,
            width: 1,
            channels: 45,
            kernel: [1, 1],
            stride: [1, 1],
            padding: [0, 0],
            outputs: 37,
            input_gradient: false,
        };
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for (samples, density) in [(1, 0.5), (31, 0.0), (100, 0.1), (129, 1.0)] {
            let mut value = |density| {
                if random.random_bool(density) {
                    random.random_range(-1f32..1.0)
                } else {
                    0.0
                }
            };
            let input: Vec<f32> = (0..samples * 45).map(|_| value(density)).collect();
            let grad: Vec<f32> = (0..samples * 37).map(|_| value(0.9)).collect();
            let linear = synapse.linear_tap_gradient(&input, &grad);
            let map = synapse.map_tap_gradient(&input, &grad);
            for (linear, map) in linear.iter().zip(&map) {
                let difference = (linear - map).abs();
                assert!(
                    difference < 1e-4,
                    "{samples} samples, {density}: {linear} {map}"
                );
            }
            assert_eq!(linear.len(), map.len());
        }
    }
}
