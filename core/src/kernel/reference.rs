//! The specification as loops: `x_j = sum_i w_ji s_i`, one weight and one input at a time.

use super::{BLOCK, Outputs, Sums, Visit};
use crate::bits;
use crate::model::{Input, InputKind, Layer, PoolKind};

/// Slow and obvious; supports every layer, in either order of the weights.
#[derive(Debug)]
pub struct Reference;

impl Reference {
    /// Whether the kernel can compute a layer that reads inputs of this kind.
    pub const fn supports(_: &Layer, _: InputKind) -> bool {
        true
    }
}

impl Sums for Reference {
    // Apart, so that the frames of the other kernels do not hold its sums.
    #[inline(never)]
    fn sums(layer: &Layer, weights: &[u32], input: Input<'_>, visit: Visit<'_>) {
        let output = layer.output();
        let channels = usize::from(output.channels);
        for position in 0..usize::from(output.height) * usize::from(output.width) {
            for block in 0..channels.div_ceil(BLOCK) {
                let mut sums = [0; BLOCK];
                for (j, sum) in (block * BLOCK..channels).zip(&mut sums) {
                    *sum = synaptic_sum(layer, weights, input, position, j);
                }
                visit(position, block, Outputs::Sums(&mut sums));
            }
        }
    }
}

/// The synaptic sum of channel `j` at `position` (`y * width + x`) of the layer's output.
///
/// Cost: a lookup a tap and place of the pooling window; for traces and tests, not for inference.
pub fn synaptic_sum(
    layer: &Layer,
    weights: &[u32],
    input: Input<'_>,
    position: usize,
    j: usize,
) -> i32 {
    let width = usize::from(layer.output().width).max(1);
    let (row, column) = (position / width, position % width);
    let ([window_height, window_width], pool_stride) = layer.pool();
    let ([kernel_height, kernel_width], stride) = (layer.kernel(), layer.stride());
    let padding = layer.padding();
    let channels = usize::from(layer.map().channels);
    let mut sum = 0;
    for dy in 0..window_height {
        for dx in 0..window_width {
            for ky in 0..kernel_height {
                for kx in 0..kernel_width {
                    let y = (row * pool_stride[0] + dy) * stride[0] + ky;
                    let x = (column * pool_stride[1] + dx) * stride[1] + kx;
                    let (Some(y), Some(x)) = (y.checked_sub(padding[0]), x.checked_sub(padding[1]))
                    else {
                        continue;
                    };
                    for c in 0..channels {
                        let tap = (ky * kernel_width + kx) * channels + c;
                        let plus = bits::bit(weights, layer.weight_bit(j, tap));
                        let value = map_value(layer, input, y, x, c);
                        sum += if plus { value } else { -value };
                    }
                }
            }
        }
    }
    sum
}

/// How many of `count` values of the layer's map, from flat index `at` on, are not 0.
pub(super) fn nonzero(layer: &Layer, input: Input<'_>, at: usize, count: usize) -> u64 {
    if let (Input::Spikes(words), None) = (input, layer.spec().input_pool) {
        let words = (0..count).step_by(32).map(|offset| {
            u64::from(bits::read(words, at + offset, (count - offset).min(32)).count_ones())
        });
        return words.sum();
    }
    let (width, channels) = (
        usize::from(layer.map().width),
        usize::from(layer.map().channels),
    );
    let value = |index: usize| {
        let pixel = index / channels;
        map_value(layer, input, pixel / width, pixel % width, index % channels)
    };
    (at..at + count).filter(|&index| value(index) != 0).count() as u64
}

/// Value of the layer's map at row `y`, column `x`, channel `c`: the input, pooled where the
/// layer pools it; 0 outside.
fn map_value(layer: &Layer, input: Input<'_>, y: usize, x: usize, c: usize) -> i32 {
    let map = layer.map();
    let (height, width) = (usize::from(map.height), usize::from(map.width));
    if y >= height || x >= width {
        return 0;
    }
    let Some(input_pool) = layer.spec().input_pool else {
        return input.value((y * width + x) * usize::from(map.channels) + c);
    };
    let (input_width, channels) = (
        usize::from(layer.input().width),
        usize::from(layer.input().channels),
    );
    let [stride_y, stride_x] = input_pool.pool.stride.map(usize::from);
    let [window_height, window_width] = input_pool.pool.window.map(usize::from);
    let mut sum = 0;
    for dy in 0..window_height {
        for dx in 0..window_width {
            let (row, column) = (y * stride_y + dy, x * stride_x + dx);
            sum += input.value((row * input_width + column) * channels + c);
        }
    }
    match input_pool.kind {
        PoolKind::Sum => sum,
        PoolKind::Max => sum.min(1),
    }
}
