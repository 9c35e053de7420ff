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
        let (bytes, signed) = match input {
            Input::U8(bytes) => (bytes, false),
            Input::I8(bytes) => (bytes, true),
            Input::Spikes(_) | Input::Bipolar(_) => return,
        };
        let window = Window::new(layer, bytes, signed, position);
        let first = block * BLOCK;
        let outputs = usize::from(layer.output().channels)
            .saturating_sub(first)
            .min(BLOCK);
        let (kernel, channels) = (layer.kernel(), usize::from(layer.map().channels));
        let columns = layer.spec().order == WeightOrder::InputMajor;
        let row_words = layer.row_words();
        sums.fill(0);
        let mut total = 0;
        let mut tap = 0;
        for ky in 0..kernel[0] {
            for kx in 0..kernel[1] {
                for c in 0..channels {
                    let value = window.sum(ky, kx, c);
                    if value != 0 {
                        total += value;
                        for (octet, sums) in
                            sums.chunks_mut(8).take(outputs.div_ceil(8)).enumerate()
                        {
                            let plus = if columns {
                                // Eight outputs never straddle a word.
                                let at = tap * row_words + first / 32 + octet / 4;
                                weights.get(at).map_or(0, |word| word >> (octet % 4 * 8))
                            } else {
                                gather(layer, weights, tap, first + 8 * octet)
                            };
                            add(sums, value, plus);
                        }
                    }
                    tap += 1;
                }
            }
        }
        for sum in sums.iter_mut().take(outputs) {
            // Twice the sum may pass 32 bits where the difference does not.
            *sum = sum.wrapping_mul(2).wrapping_sub(total);
        }
    }
}

/// Adds `value` to sum `k` where bit `k` of `plus` is set.
#[inline(always)]
fn add(sums: &mut [i32], value: i32, plus: u32) {
    for (k, sum) in sums.iter_mut().enumerate() {
        // All ones where the weight is +1.
        *sum += value & -((plus >> k & 1) as i32);
    }
}

/// Weights from `tap` to eight outputs from `first` on, one bit each, out of rows of taps; what
/// stands for outputs behind the last one is not used.
fn gather(layer: &Layer, weights: &[u32], tap: usize, first: usize) -> u32 {
    (0..8).fold(0, |plus, k| {
        plus | u32::from(bits::bit(weights, layer.weight_bit(first + k, tap))) << k
    })
}

/// The values that the taps of one output position meet.
struct Window<'a> {
    bytes: &'a [u8],
    /// 128 for `i8` values, whose sign it extends; else 0.
    flip: i32,
    height: usize,
    width: usize,
    channels: usize,
    /// Row and column of tap (0, 0) at the first place of the pooling window, padding included.
    corner: [usize; 2],
    padding: [usize; 2],
    /// Side lengths of the pooling window, and rows and columns between its places.
    places: [usize; 2],
    stride: [usize; 2],
}

impl<'a> Window<'a> {
    #[inline(always)]
    fn new(layer: &Layer, bytes: &'a [u8], signed: bool, position: usize) -> Self {
        let map = layer.map();
        let (places, pool_stride) = layer.pool();
        let stride = layer.stride();
        let columns = usize::from(layer.output().width).max(1);
        Self {
            bytes,
            flip: if signed { 128 } else { 0 },
            height: map.height.into(),
            width: map.width.into(),
            channels: map.channels.into(),
            corner: [
                position / columns * pool_stride[0] * stride[0],
                position % columns * pool_stride[1] * stride[1],
            ],
            padding: layer.padding(),
            places,
            stride,
        }
    }

    /// Sum of the values that one tap meets over the pooling window.
    #[inline(always)]
    fn sum(&self, ky: usize, kx: usize, c: usize) -> i32 {
        let (top, left) = (self.corner[0] + ky, self.corner[1] + kx);
        let mut sum = 0;
        if self.padding == [0, 0] {
            // Nothing lies outside: one index walks over the window.
            let column_step = self.stride[1] * self.channels;
            let row_step = self.stride[0] * self.width * self.channels;
            let mut row = (top * self.width + left) * self.channels + c;
            for _ in 0..self.places[0] {
                let mut at = row;
                for _ in 0..self.places[1] {
                    sum += self.value(at);
                    at += column_step;
                }
                row += row_step;
            }
            return sum;
        }
        for dy in 0..self.places[0] {
            // Padding above or left wraps around to a large number, which lies outside too.
            let y = (top + dy * self.stride[0]).wrapping_sub(self.padding[0]);
            for dx in 0..self.places[1] {
                let x = (left + dx * self.stride[1]).wrapping_sub(self.padding[1]);
                if y < self.height && x < self.width {
                    sum += self.value((y * self.width + x) * self.channels + c);
                }
            }
        }
        sum
    }

    #[inline(always)]
    fn value(&self, at: usize) -> i32 {
        (i32::from(self.bytes.get(at).copied().unwrap_or(0)) ^ self.flip) - self.flip
    }
}
