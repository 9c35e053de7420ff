//! Graded inputs (pixels, binned event counts): `x_j = sum_i w_ji p_i`.
//!
//! The pooling identity: the pooled sum of a convolution is the convolution of the box-summed
//! input, so that each tap's values are added up once for all outputs.

use super::{BLOCK, Sums};
use crate::bits;
use crate::model::{Input, InputKind, Layer, WeightOrder};

/// For `u8` and `i8` inputs without pooling of the input, in either order of the weights.
#[derive(Debug)]
pub struct Graded;

impl Sums for Graded {
    fn supports(layer: &Layer, kind: InputKind) -> bool {
        kind.is_graded() && layer.spec().input_pool.is_none()
    }

    fn sums(
        layer: &Layer,
        weights: &[u32],
        input: Input<'_>,
        position: usize,
        block: usize,
        sums: &mut [i32; BLOCK],
    ) {
        let first = block * BLOCK;
        let outputs = usize::from(layer.output().channels)
            .saturating_sub(first)
            .min(BLOCK);
        let (kernel, channels) = (layer.kernel(), usize::from(layer.map().channels));
        sums.fill(0);
        let mut total = 0;
        for ky in 0..kernel[0] {
            for kx in 0..kernel[1] {
                for c in 0..channels {
                    let value = box_sum(layer, input, position, [ky, kx], c);
                    if value == 0 {
                        continue;
                    }
                    total += value;
                    let tap = (ky * kernel[1] + kx) * channels + c;
                    let column = column(layer, weights, tap, first, outputs);
                    for (k, sum) in sums.iter_mut().enumerate() {
                        // All ones where the weight is +1.
                        *sum += value & -((column >> k & 1) as i32);
                    }
                }
            }
        }
        for sum in sums {
            *sum = 2 * *sum - total;
        }
    }
}

/// Weights from `tap` to the outputs of a block, one bit each.
#[inline]
fn column(layer: &Layer, weights: &[u32], tap: usize, first: usize, outputs: usize) -> u32 {
    match layer.spec().order {
        WeightOrder::InputMajor => bits::read(weights, layer.weight_bit(first, tap), outputs),
        WeightOrder::OutputMajor => (0..outputs).fold(0, |column, k| {
            column | u32::from(bits::bit(weights, layer.weight_bit(first + k, tap))) << k
        }),
    }
}

/// Sum of the values that one tap meets over the layer's pooling window.
#[inline]
fn box_sum(layer: &Layer, input: Input<'_>, position: usize, tap: [usize; 2], c: usize) -> i32 {
    let map = layer.map();
    let (height, width) = (usize::from(map.height), usize::from(map.width));
    let (stride, padding) = (layer.stride(), layer.padding());
    let (window, pool_stride) = layer.pool();
    let columns = usize::from(layer.output().width).max(1);
    let (row, column) = (
        position / columns * pool_stride[0],
        position % columns * pool_stride[1],
    );
    let mut sum = 0;
    for dy in 0..window[0] {
        let y = ((row + dy) * stride[0] + tap[0]).wrapping_sub(padding[0]);
        for dx in 0..window[1] {
            let x = ((column + dx) * stride[1] + tap[1]).wrapping_sub(padding[1]);
            if y < height && x < width {
                sum += input.value((y * width + x) * usize::from(map.channels) + c);
            }
        }
    }
    sum
}
