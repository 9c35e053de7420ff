//! Graded inputs (pixels, binned event counts): `x_j = sum_i w_ji p_i`.
//!
//! The pooling identity: the pooled sum of a convolution is the convolution of the box-summed
//! input, so that the values under each tap are added up once for all outputs. Then four taps at
//! a time (Arlazarov, Dinic, Kronrod, Faradzhev 1970): the sums of all 16 subsets of four values
//! are tabulated once, and each output looks up the subset of its +1 weights. Two positions share
//! a word where their sums fit 16 bits. `x_j = 2 sum_{w=+1} p - sum p`.

use super::geometry::Geometry;
use super::{BLOCK, Sums, Visit};
use crate::model::{Input, InputKind, Layer, WeightOrder};

/// For `u8` and `i8` inputs without pooling of the input, with a row of weights for each output.
#[derive(Debug)]
pub struct Graded;

impl Sums for Graded {
    fn supports(layer: &Layer, kind: InputKind) -> bool {
        kind.is_graded()
            && layer.spec().input_pool.is_none()
            && layer.spec().order == WeightOrder::OutputMajor
    }

    #[inline(never)]
    fn sums(layer: &Layer, weights: &[u32], input: Input<'_>, visit: Visit<'_>) {
        let (bytes, flip) = match input {
            Input::U8(bytes) => (bytes, 0),
            Input::I8(bytes) => (bytes, 128),
            Input::Spikes(_) | Input::Bipolar(_) => return,
        };
        let geometry = Geometry::new(layer);
        let values = Values {
            bytes,
            flip,
            geometry,
        };
        // Two positions a word where every subset sum fits 16 bits.
        let largest = layer.taps() * 255 * geometry.window[0] * geometry.window[1];
        let pair = largest <= i16::MAX as usize;
        let mut band = Band::new(&geometry);
        for row in 0..geometry.output[0] {
            let banded = band.fill(&values, row);
            let mut column = 0;
            while column < geometry.output[1] {
                let count = if pair {
                    (geometry.output[1] - column).min(2)
                } else {
                    1
                };
                let band = if banded { Some(&band) } else { None };
                let window = Window {
                    values: &values,
                    band,
                    row,
                    column,
                    pair: count == 2,
                };
                for block in 0..geometry.blocks() {
                    let (low, high) = window.sums(weights, layer.row_words(), block);
                    let position = row * geometry.output[1] + column;
                    visit(position, block, &low);
                    if count == 2 {
                        visit(position + 1, block, &high);
                    }
                }
                column += count;
            }
        }
    }
}

/// The input values.
#[derive(Clone, Copy)]
struct Values<'a> {
    bytes: &'a [u8],
    /// 128 for `i8` values, whose sign it extends; else 0.
    flip: i32,
    geometry: Geometry,
}

impl Values<'_> {
    #[inline(always)]
    fn signed(&self, byte: u8) -> i32 {
        (i32::from(byte) ^ self.flip) - self.flip
    }

    /// Sum over the pooling window of the values at a row and a column of the padded map.
    #[inline(never)]
    fn boxed(&self, row: usize, column: usize, channel: usize) -> i32 {
        let Geometry {
            map: [height, width],
            channels,
            window,
            stride,
            padding,
            ..
        } = self.geometry;
        let mut sum = 0;
        for dy in 0..window[0] {
            // Padding above or left wraps around to a large number, which lies outside too.
            let y = (row + dy * stride[0]).wrapping_sub(padding[0]);
            for dx in 0..window[1] {
                let x = (column + dx * stride[1]).wrapping_sub(padding[1]);
                if y < height && x < width {
                    let at = (y * width + x) * channels + channel;
                    sum += self.signed(self.bytes.get(at).copied().unwrap_or(0));
                }
            }
        }
        sum
    }
}

/// Box sums that a band can hold.
const BAND: usize = 512;

/// The box-summed input under one row of output positions.
struct Band {
    sums: [i16; BAND],
    /// Box sums in a row; 0 where the band has no room.
    row_len: usize,
    rows: usize,
}

impl Band {
    fn new(geometry: &Geometry) -> Self {
        let padded = geometry.map[1] + 2 * geometry.padding[1];
        let columns = padded - (geometry.window[1] - 1) * geometry.stride[1];
        let row_len = columns * geometry.channels;
        let rows = geometry.kernel[0];
        // A box sum fits where 128 values of magnitude 255 do.
        let fits =
            geometry.window[0] * geometry.window[1] <= 128 && row_len.saturating_mul(rows) <= BAND;
        Self {
            sums: [0; BAND],
            row_len: if fits { row_len } else { 0 },
            rows,
        }
    }

    /// Computes the box sums under a row of output positions; `false` where there is no room.
    /// Rows come from the first to the last.
    #[inline(always)]
    fn fill(&mut self, values: &Values<'_>, row: usize) -> bool {
        if self.row_len == 0 {
            return false;
        }
        let geometry = &values.geometry;
        let pitch = geometry.pitch[0];
        // Rows that the output row above has computed.
        let kept = if row == 0 {
            0
        } else {
            self.rows.saturating_sub(pitch)
        };
        self.sums.copy_within(
            (self.rows - kept) * self.row_len..self.rows * self.row_len,
            0,
        );
        for ky in kept..self.rows {
            let sums = self
                .sums
                .get_mut(ky * self.row_len..(ky + 1) * self.row_len);
            let sums = sums.unwrap_or(&mut []);
            sums.fill(0);
            for dy in 0..geometry.window[0] {
                let y = row * pitch + ky + dy * geometry.stride[0];
                let Some(y) = y.checked_sub(geometry.padding[0]) else {
                    continue;
                };
                let map_len = geometry.map[1] * geometry.channels;
                let Some(bytes) = values.bytes.get(y * map_len..(y + 1) * map_len) else {
                    continue;
                };
                for dx in 0..geometry.window[1] {
                    // Box sum `x` takes the value in column `x + shift - padding`.
                    let shift = dx * geometry.stride[1] * geometry.channels;
                    let padding = geometry.padding[1] * geometry.channels;
                    let sums = sums
                        .get_mut(padding.saturating_sub(shift)..)
                        .unwrap_or(&mut []);
                    let bytes = bytes.get(shift.saturating_sub(padding)..).unwrap_or(&[]);
                    for (sum, &byte) in sums.iter_mut().zip(bytes) {
                        *sum += values.signed(byte) as i16;
                    }
                }
            }
        }
        true
    }
}

/// Taps of a word of weights.
const WORD: usize = 32;

/// One output position, or two neighbours in a row.
struct Window<'a> {
    values: &'a Values<'a>,
    band: Option<&'a Band>,
    row: usize,
    column: usize,
    pair: bool,
}

impl Window<'_> {
    /// Synaptic sums of a block of outputs, of the left and of the right position.
    #[inline(always)]
    fn sums(
        &self,
        weights: &[u32],
        row_words: usize,
        block: usize,
    ) -> ([i32; BLOCK], [i32; BLOCK]) {
        let geometry = &self.values.geometry;
        let first = block * BLOCK;
        let outputs = geometry.outputs.saturating_sub(first).min(BLOCK);
        let mut chunk = Chunk {
            values: [0; WORD],
            len: 0,
            total: 0,
            weights: weights.get(first * row_words..).unwrap_or(&[]),
            row_words,
            sums: [0; BLOCK],
            outputs,
        };
        let (kernel, channels) = (geometry.kernel, geometry.channels);
        let pitch = geometry.pitch[1];
        for ky in 0..kernel[0] {
            if let Some(band) = self.band {
                let at = ky * band.row_len + self.column * pitch * channels;
                let count = kernel[1] * channels;
                let low = band.sums.get(at..at + count).unwrap_or(&[]);
                if self.pair {
                    let at = at + pitch * channels;
                    let high = band.sums.get(at..at + count).unwrap_or(&[]);
                    for (&low, &high) in low.iter().zip(high) {
                        chunk.push(i32::from(low).wrapping_add(i32::from(high) << 16));
                    }
                } else {
                    for &low in low {
                        chunk.push(i32::from(low));
                    }
                }
                continue;
            }
            for kx in 0..kernel[1] {
                let (row, column) = (self.row * geometry.pitch[0] + ky, self.column * pitch + kx);
                for channel in 0..channels {
                    let low = self.values.boxed(row, column, channel);
                    let high = if self.pair {
                        self.values.boxed(row, column + pitch, channel)
                    } else {
                        0
                    };
                    chunk.push(low.wrapping_add(high << 16));
                }
            }
        }
        chunk.finish(self.pair)
    }
}

/// Up to 32 values at a time, and the subset sums so far.
struct Chunk<'a> {
    values: [i32; WORD],
    len: usize,
    /// Sum of all values.
    total: i32,
    /// First weight word of the chunk, of the first output.
    weights: &'a [u32],
    row_words: usize,
    /// Sum of the values whose weight is +1, by output.
    sums: [i32; BLOCK],
    outputs: usize,
}

impl Chunk<'_> {
    #[inline(always)]
    fn push(&mut self, value: i32) {
        if let Some(slot) = self.values.get_mut(self.len) {
            *slot = value;
        }
        self.len += 1;
        if self.len == WORD {
            self.add();
        }
    }

    /// Adds the values to each output by its subset.
    #[inline(never)]
    fn add(&mut self) {
        // What stands behind the last value meets padding bits, which are 0.
        let mut any = 0;
        let mut tables = [[0i32; 16]; WORD / 4];
        for (table, values) in tables.iter_mut().zip(self.values.as_chunks::<4>().0) {
            let [a, b, c, d] = *values;
            let (ab, cd) = (a.wrapping_add(b), c.wrapping_add(d));
            self.total = self.total.wrapping_add(ab).wrapping_add(cd);
            any |= a | b | c | d;
            let low = [0, a, b, ab];
            let high = [0, c, d, cd];
            for (index, sum) in table.iter_mut().enumerate() {
                *sum = high[index >> 2].wrapping_add(low[index & 3]);
            }
        }
        if any != 0 {
            let rows = self.weights.iter().step_by(self.row_words);
            for (sum, &row) in self.sums.iter_mut().take(self.outputs).zip(rows) {
                for (group, table) in tables.iter().enumerate() {
                    *sum = sum.wrapping_add(table[(row >> (4 * group) & 15) as usize]);
                }
            }
        }
        self.weights = self.weights.get(1..).unwrap_or(&[]);
        self.values = [0; WORD];
        self.len = 0;
    }

    /// The synaptic sums of the low and of the high position.
    #[inline(always)]
    fn finish(mut self, pair: bool) -> ([i32; BLOCK], [i32; BLOCK]) {
        if self.len > 0 {
            self.add();
        }
        let mut high = [0; BLOCK];
        if pair {
            let (total_low, total_high) = split(self.total);
            let sums = self.sums.iter_mut().zip(&mut high).take(self.outputs);
            for (sum, high) in sums {
                let (low, up) = split(*sum);
                *sum = 2 * low - total_low;
                *high = 2 * up - total_high;
            }
        } else {
            for sum in self.sums.iter_mut().take(self.outputs) {
                // Twice the sum may pass 32 bits where the difference does not.
                *sum = sum.wrapping_mul(2).wrapping_sub(self.total);
            }
        }
        (self.sums, high)
    }
}

/// The two 16-bit sums of `low + (high << 16)`.
#[inline(always)]
fn split(packed: i32) -> (i32, i32) {
    let low = i32::from(packed as i16);
    (low, packed.wrapping_sub(low) >> 16)
}
