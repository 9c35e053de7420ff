//! Graded inputs (pixels, binned event counts): `x_j = sum_i w_ji p_i`.
//!
//! The pooling identity: the pooled sum of a convolution is the convolution of the box-summed
//! input, so that the values under each tap are added up once for all outputs. Then four taps at
//! a time (Arlazarov, Dinic, Kronrod, Faradzhev 1970): the sums of all 16 subsets of four values
//! are tabulated once, and each output looks up the subset of its +1 weights. Two positions share
//! a word where their sums fit 16 bits. `x_j = 2 sum_{w=+1} p - sum p`.

use super::geometry::Geometry;
use super::{BLOCK, Outputs, Sums, Visit};
use crate::model::{Input, InputKind, Layer, WeightOrder, parts};

/// For `u8` and `i8` inputs without pooling of the input, with a row of weights for each output.
#[derive(Debug)]
pub struct Graded;

impl Graded {
    /// Whether the kernel can compute a layer that reads inputs of this kind.
    pub const fn supports(layer: &Layer, kind: InputKind) -> bool {
        kind.is_graded()
            && layer.spec().input_pool.is_none()
            && matches!(layer.spec().order, WeightOrder::OutputMajor)
    }

    /// Whether the box sums of a layer fit a [`Band`].
    pub(crate) const fn is_banded(layer: &Layer) -> bool {
        let ([height, width], _) = layer.pool();
        // A box sum fits where 128 values of magnitude 255 do.
        height * width <= 128 && row_len(layer).saturating_mul(layer.kernel()[0]) <= BAND
    }

    /// As [`sums`](Sums::sums), by no other parts than `PARTS`.
    #[inline(always)]
    pub(super) fn sums_of<const PARTS: u32>(
        layer: &Layer,
        weights: &[u32],
        input: Input<'_>,
        visit: Visit<'_>,
    ) {
        if PARTS & parts::BOXES == 0 {
            sums(layer, weights, input, visit, |_, _| ());
        } else {
            sums(layer, weights, input, visit, |window, subsets| {
                window.push_boxes(subsets);
            });
        }
    }
}

/// Box sums of a row of the padded map.
const fn row_len(layer: &Layer) -> usize {
    let ([_, width], _) = layer.pool();
    let padded = layer.map().width as usize + 2 * layer.padding()[1];
    let columns = padded - (width - 1) * layer.stride()[1];
    columns.saturating_mul(layer.map().channels as usize)
}

impl Sums for Graded {
    fn sums(layer: &Layer, weights: &[u32], input: Input<'_>, visit: Visit<'_>) {
        Self::sums_of::<{ parts::ALL }>(layer, weights, input, visit);
    }
}

/// As [`Sums::sums`]; `boxes` gives the values of a window that no band holds.
#[inline(never)]
fn sums(
    layer: &Layer,
    weights: &[u32],
    input: Input<'_>,
    visit: Visit<'_>,
    boxes: fn(&Window<'_>, &mut Subsets<'_>),
) {
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
    let mut band = Band {
        sums: [0; BAND],
        row_len: if Graded::is_banded(layer) {
            row_len(layer)
        } else {
            0
        },
        rows: geometry.kernel[0],
    };
    let mut subsets = Subsets::new(layer.row_words());
    for row in 0..geometry.output[0] {
        let banded = band.fill(&values, row);
        let mut column = 0;
        while column < geometry.output[1] {
            let right = geometry.output[1] - column;
            let window = Window {
                values: &values,
                band: banded.then_some(&band),
                row,
                column,
                pair: pair && right > 1,
            };
            for block in 0..geometry.blocks() {
                subsets.begin(weights, block, geometry.outputs);
                match window.band {
                    Some(band) => window.push(band, &mut subsets),
                    None => boxes(&window, &mut subsets),
                }
                subsets.finish(window.pair);
                let position = row * geometry.output[1] + column;
                visit(position, block, Outputs::Sums(&mut subsets.sums));
                if window.pair {
                    visit(position + 1, block, Outputs::Sums(&mut subsets.right));
                }
            }
            column += if window.pair { 2 } else { 1 };
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
const BAND: usize = 144;

/// The box-summed input under one row of output positions.
struct Band {
    sums: [i16; BAND],
    /// Box sums in a row; 0 where the band has no room.
    row_len: usize,
    rows: usize,
}

impl Band {
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
        let shift = (self.rows - kept) * self.row_len;
        for at in 0..kept * self.row_len {
            let moved = self.sums.get(at + shift).copied().unwrap_or(0);
            if let Some(sum) = self.sums.get_mut(at) {
                *sum = moved;
            }
        }
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
    /// Gives the values under the taps to `subsets`, in the order of the taps.
    #[inline(always)]
    fn push(&self, band: &Band, subsets: &mut Subsets<'_>) {
        let geometry = &self.values.geometry;
        let pitch = geometry.pitch[1] * geometry.channels;
        let count = geometry.kernel[1] * geometry.channels;
        for ky in 0..geometry.kernel[0] {
            let at = ky * band.row_len + self.column * pitch;
            let left = band.sums.get(at..at + count).unwrap_or(&[]);
            if self.pair {
                let at = at + pitch;
                let right = band.sums.get(at..at + count).unwrap_or(&[]);
                subsets.extend(left.iter().zip(right), |(&left, &right)| {
                    join(left.into(), right.into())
                });
            } else {
                subsets.extend(left.iter(), |&left| left.into());
            }
        }
    }

    /// As [`push`](Self::push), each box summed anew.
    #[inline(never)]
    fn push_boxes(&self, subsets: &mut Subsets<'_>) {
        let geometry = &self.values.geometry;
        let pitch = geometry.pitch[1];
        for ky in 0..geometry.kernel[0] {
            let row = self.row * geometry.pitch[0] + ky;
            for kx in 0..geometry.kernel[1] {
                let column = self.column * pitch + kx;
                for channel in 0..geometry.channels {
                    let left = self.values.boxed(row, column, channel);
                    subsets.push(if self.pair {
                        join(left, self.values.boxed(row, column + pitch, channel))
                    } else {
                        left
                    });
                }
            }
        }
    }
}

/// Sums of the values whose weight is +1, for a block of outputs, 32 values at a time.
struct Subsets<'a> {
    values: [i32; WORD],
    len: usize,
    /// Sums of the 16 subsets of each four of half the values; bit `i` of the index takes value `i`.
    tables: [[i32; 16]; WORD / 8],
    /// Sum of all values.
    total: i32,
    /// The word of weights that the values meet, of the first output.
    weights: &'a [u32],
    row_words: usize,
    outputs: usize,
    sums: [i32; BLOCK],
    /// Sums of the right position, once finished.
    right: [i32; BLOCK],
}

impl<'a> Subsets<'a> {
    fn new(row_words: usize) -> Self {
        Self {
            values: [0; WORD],
            len: 0,
            tables: [[0; 16]; WORD / 8],
            total: 0,
            weights: &[],
            row_words,
            outputs: 0,
            sums: [0; BLOCK],
            right: [0; BLOCK],
        }
    }

    /// Begins with a block of outputs.
    #[inline(always)]
    fn begin(&mut self, weights: &'a [u32], block: usize, outputs: usize) {
        let first = block * BLOCK;
        self.weights = weights.get(first * self.row_words..).unwrap_or(&[]);
        self.outputs = outputs.saturating_sub(first).min(BLOCK);
        self.total = 0;
        self.sums
            .iter_mut()
            .take(self.outputs)
            .for_each(|sum| *sum = 0);
    }

    #[inline(never)]
    fn push(&mut self, value: i32) {
        if let Some(slot) = self.values.get_mut(self.len) {
            *slot = value;
        }
        self.len += 1;
        if self.len == WORD {
            self.add();
        }
    }

    /// Adds values.
    #[inline(always)]
    fn extend<V>(&mut self, mut values: impl ExactSizeIterator<Item = V>, sum: impl Fn(V) -> i32) {
        if values.len() > WORD - self.len {
            // They go on behind a word of weights.
            values.for_each(|value| self.push(sum(value)));
            return;
        }
        let mut len = self.len;
        for slot in self.values.iter_mut().skip(len) {
            let Some(value) = values.next() else { break };
            *slot = sum(value);
            len += 1;
        }
        self.len = len;
        if len == WORD {
            self.add();
        }
    }

    /// Adds to each output the values of its subset.
    #[inline(never)]
    fn add(&mut self) {
        // What stands behind the last value would meet padding bits.
        self.values
            .iter_mut()
            .skip(self.len)
            .for_each(|value| *value = 0);
        for (half, values) in self.values.chunks(WORD / 2).enumerate() {
            let mut any = 0;
            for (table, values) in self.tables.iter_mut().zip(values.as_chunks::<4>().0) {
                let [a, b, c, d] = *values;
                let (ab, cd) = (a.wrapping_add(b), c.wrapping_add(d));
                self.total = self.total.wrapping_add(ab).wrapping_add(cd);
                any |= a | b | c | d;
                let [first, rows @ ..] = table.as_chunks_mut::<4>().0 else {
                    continue;
                };
                *first = [0, a, b, ab];
                for (row, high) in rows.iter_mut().zip([c, d, cd]) {
                    *row = first.map(|low| low.wrapping_add(high));
                }
            }
            if any != 0 {
                let rows = self.weights.iter().step_by(self.row_words.max(1));
                for (sum, &row) in self.sums.iter_mut().take(self.outputs).zip(rows) {
                    let row = row >> (WORD / 2 * half);
                    for (group, table) in self.tables.iter().enumerate() {
                        *sum = sum.wrapping_add(table[(row >> (4 * group) & 15) as usize]);
                    }
                }
            }
        }
        self.weights = self.weights.get(1..).unwrap_or(&[]);
        self.len = 0;
    }

    /// Turns the sums into synaptic sums; those of two positions part.
    #[inline(always)]
    fn finish(&mut self, pair: bool) {
        if self.len > 0 {
            self.add();
        }
        let sums = self.sums.iter_mut().zip(&mut self.right).take(self.outputs);
        if pair {
            let (total_left, total_right) = split(self.total);
            for (sum, right) in sums {
                let halves = split(*sum);
                *sum = 2 * halves.0 - total_left;
                *right = 2 * halves.1 - total_right;
            }
        } else {
            for (sum, _) in sums {
                // Twice the sum may pass 32 bits where the difference does not.
                *sum = sum.wrapping_mul(2).wrapping_sub(self.total);
            }
        }
    }
}

/// Two sums in a word: they add and subtract as one while each fits 16 bits.
#[inline(always)]
fn join(left: i32, right: i32) -> i32 {
    left.wrapping_add(right << 16)
}

/// The two sums of [`join`].
#[inline(always)]
fn split(packed: i32) -> (i32, i32) {
    let left = i32::from(packed as i16);
    (left, packed.wrapping_sub(left) >> 16)
}
