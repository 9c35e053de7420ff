//! Binarised weights: the sign of latent weights, with average pooling folded in; or float ones.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{on_host, operand, with_values};

/// Columns that are transposed together: those of a cache line.
const COLUMNS_AT_ONCE: usize = 16;

/// Weights that a thread takes at least.
const PAIRS_AT_ONCE: usize = 1 << 14;

/// The taps of a binarised layer, from its latent weights `[out][ky][kx][in]`.
///
/// A convolution with the stride `s` followed by average pooling with a window of `p` is, on each
/// side, one convolution with the stride `s p` and a kernel of `k + (p - 1) s`, whose taps are the
/// sums of the binary weights over the window, divided by its area. The taps are exact in `f32` for
/// the usual windows of 1 and 2. Pairs are rows, then columns.
///
/// Backward goes straight through the sign. Float weights are taken as they are.
#[derive(Debug, Clone, Copy)]
pub struct Binarise {
    /// Outputs of the layer.
    pub outputs: usize,
    /// Rows and columns of the binary kernel; 1 x 1 for a linear layer.
    pub kernel: [usize; 2],
    /// Rows and columns between positions of the binary kernel.
    pub stride: [usize; 2],
    /// Input channels; all inputs for a linear layer.
    pub channels: usize,
    /// Rows and columns of the average-pooling window, 1 x 1 for none.
    pub pool: [usize; 2],
    /// What a weight is in the forward pass.
    pub weights: Weights,
    /// Whether the gradient of a binary weight is cut where its latent value lies outside
    /// `[-1, 1]`.
    pub cut: bool,
}

/// What the weights of a network are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weights {
    /// +1 where the latent value is at least 0, else -1.
    #[default]
    Binary,
    /// The latent value itself.
    Float,
}

impl Binarise {
    /// Rows and columns of the kernel with pooling folded in.
    pub fn window(&self) -> [usize; 2] {
        let Self {
            kernel: [kh, kw],
            stride: [sh, sw],
            pool: [ph, pw],
            ..
        } = self;
        [kh + (ph - 1) * sh, kw + (pw - 1) * sw]
    }

    /// Rows and columns between positions of that kernel.
    pub fn pitch(&self) -> [usize; 2] {
        [0, 1].map(|side| self.stride[side] * self.pool[side])
    }

    /// Weights of an output.
    pub(super) fn weights_of_output(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.channels
    }

    /// Taps `[window rows * window columns * channels, outputs]` of the latent weights.
    ///
    /// # Errors
    /// If `latent` does not have a value for each output, place of the kernel and channel.
    pub fn taps(self, latent: &Tensor) -> Result<Tensor> {
        if on_host(latent) {
            latent.apply_op1(self)
        } else {
            self.taps_on_device(latent)
        }
    }

    /// Gradient of the latent weights, from that of the taps.
    ///
    /// # Errors
    /// If the tensors are not `f32`, or do not fit.
    pub fn backward(&self, latent: &Tensor, grad: &Tensor) -> Result<Tensor> {
        if !on_host(latent) {
            return self.gradient_on_device(latent, grad);
        }
        let mut result = vec![0.0; latent.elem_count()];
        let scale = self.scale();
        with_values(grad, |grad| {
            if self.pool == [1, 1] {
                transpose(grad, self.outputs, &mut result, |grad| grad);
            } else {
                self.for_each_pair(|from, to| result[from] += scale * grad[to]);
            }
            Ok(())
        })?;
        if self.weights == Weights::Float || !self.cut {
            return Tensor::from_vec(result, latent.shape(), latent.device());
        }
        with_values(latent, |latent| {
            let pairs = result
                .par_iter_mut()
                .zip(latent)
                .with_min_len(PAIRS_AT_ONCE);
            pairs.for_each(|(grad, latent)| {
                if latent.abs() > 1.0 {
                    *grad = 0.0;
                }
            });
            Ok(())
        })?;
        Tensor::from_vec(result, latent.shape(), latent.device())
    }

    pub(super) fn scale(&self) -> f32 {
        1.0 / (self.pool[0] * self.pool[1]) as f32
    }

    /// Calls `f(latent index, tap index)` for every pair of a weight and a tap it takes part in.
    fn for_each_pair(&self, mut f: impl FnMut(usize, usize)) {
        let ([kh, kw], [ph, pw]) = (self.kernel, self.pool);
        let ([sh, sw], [_, width]) = (self.stride, self.window());
        for o in 0..self.outputs {
            for (ky, kx) in (0..kh * kw).map(|i| (i / kw, i % kw)) {
                for (a, b) in (0..ph * pw).map(|i| (i / pw, i % pw)) {
                    let from = ((o * kh + ky) * kw + kx) * self.channels;
                    let to = ((ky + a * sh) * width + kx + b * sw) * self.channels;
                    for i in 0..self.channels {
                        f(from + i, (to + i) * self.outputs + o);
                    }
                }
            }
        }
    }
}

/// Writes `f` of a matrix with so many columns, column by column, into `result`.
fn transpose(matrix: &[f32], columns: usize, result: &mut [f32], f: impl Fn(f32) -> f32 + Sync) {
    let rows = matrix.len() / columns.max(1);
    let strips = result.par_chunks_mut((rows * COLUMNS_AT_ONCE).max(1));
    strips.enumerate().for_each(|(strip, result)| {
        for (row, values) in matrix.chunks_exact(columns).enumerate() {
            let values = &values[strip * COLUMNS_AT_ONCE..];
            for (result, value) in result.chunks_exact_mut(rows).zip(values) {
                result[row] = f(*value);
            }
        }
    });
}

impl CustomOp1 for Binarise {
    fn name(&self) -> &'static str {
        "binarise"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let latent = operand(storage, layout)?;
        let expected = self.outputs * self.weights_of_output();
        if latent.len() != expected {
            candle_core::bail!("{} latent weights, expected {expected}", latent.len());
        }
        let inputs = self.window().iter().product::<usize>() * self.channels;
        let mut taps = vec![0.0; inputs * self.outputs];
        let scale = self.scale();
        let weight = |latent: f32| match self.weights {
            Weights::Float => scale * latent,
            Weights::Binary if latent >= 0.0 => scale,
            Weights::Binary => -scale,
        };
        if self.pool == [1, 1] {
            transpose(latent, inputs, &mut taps, weight);
        } else {
            self.for_each_pair(|from, to| taps[to] += weight(latent[from]));
        }
        Ok((CpuStorage::F32(taps), (inputs, self.outputs).into()))
    }

    fn bwd(&self, latent: &Tensor, _taps: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        self.backward(latent, grad).map(Some)
    }
}
