//! Dense: `x_j = 2 P(w_j AND s) - P(s)` for spikes, `n - 2 P(w_j XOR s)` for bipolar inputs.
//!
//! The cost hardly depends on how many inputs spike. Layers of many positions share tables between
//! them (`tables`). For others the words under a window are gathered once, and each output's row of
//! weights is held against them; without a popcount instruction carry-save adders leave four words
//! to count of eight.

mod subsets;
pub(crate) mod tables;

use super::counters;
use super::geometry::Geometry;
use super::{BLOCK, Outputs, SMALL, Sums, Visit};
use crate::bits;
use crate::model::{Input, InputKind, Layer, WeightOrder, parts};

/// For single-bit inputs without pooling, with a row of weights for each output.
#[derive(Debug)]
pub struct Dense;

impl Dense {
    /// Whether the kernel can compute a layer that reads inputs of this kind.
    pub const fn supports(layer: &Layer, kind: InputKind) -> bool {
        !kind.is_graded()
            && layer.spec().input_pool.is_none()
            && matches!(layer.spec().order, WeightOrder::OutputMajor)
    }

    /// As [`sums`](Sums::sums), by no other parts than `PARTS`.
    #[inline(always)]
    pub(super) fn sums_of<const PARTS: u32>(
        layer: &Layer,
        weights: &[u32],
        input: Input<'_>,
        visit: Visit<'_>,
    ) {
        let (words, flip) = match input {
            Input::Spikes(words) => (words, false),
            Input::Bipolar(words) => (words, true),
            Input::U8(_) | Input::I8(_) => return,
        };
        if PARTS & parts::TABLES != 0 && Self::has_tables(layer) {
            tables::sums(&Geometry::new(layer), weights, words, flip, visit);
        } else if PARTS & parts::SIGNS != 0 && flip {
            rows_of_signs(&Geometry::new(layer), weights, words, visit);
        } else if PARTS & parts::ROWS != 0 {
            rows_of_spikes(&Geometry::new(layer), weights, words, visit);
        }
    }

    /// Whether tables pay for a layer.
    pub(crate) const fn has_tables(layer: &Layer) -> bool {
        let output = layer.output();
        let positions = output.height as usize * output.width as usize;
        let (window, _) = layer.pool();
        let taps_and_places = layer.taps() * window[0] * window[1];
        tables::pay(SMALL, positions, output.channels as usize, taps_and_places)
    }
}

impl Sums for Dense {
    fn sums(layer: &Layer, weights: &[u32], input: Input<'_>, visit: Visit<'_>) {
        Self::sums_of::<{ parts::ALL }>(layer, weights, input, visit);
    }
}

// Apart from each other, so that a program holds the one that it needs; not generic itself, which
// leaves them to this crate's level of optimisation.

/// Spikes, position by position, each row held against the words under the window.
#[inline(never)]
fn rows_of_spikes(geometry: &Geometry, weights: &[u32], words: &[u32], visit: Visit<'_>) {
    one_by_one::<false>(geometry, weights, words, visit);
}

/// The same for bipolar values.
#[inline(never)]
fn rows_of_signs(geometry: &Geometry, weights: &[u32], words: &[u32], visit: Visit<'_>) {
    one_by_one::<true>(geometry, weights, words, visit);
}

#[inline(always)]
fn one_by_one<const FLIP: bool>(
    geometry: &Geometry,
    weights: &[u32],
    words: &[u32],
    visit: Visit<'_>,
) {
    let mut gathered = Gathered::<'_, FLIP> {
        words: [0; WORDS],
        len: 0,
        at: 0,
        weights: &[],
        row_words: geometry.taps().div_ceil(32),
        outputs: 0,
        sums: [0; BLOCK],
    };
    geometry.visit_positions(|position, corner| {
        for block in 0..geometry.blocks() {
            gathered.begin(weights, block, geometry.outputs);
            gathered.windows(geometry, corner, words);
            visit(position, block, Outputs::Sums(&mut gathered.sums));
        }
    });
}

/// Words of a window that are held against the weights at once.
const WORDS: usize = 16;

/// The input words under a window, packed as the taps are; `FLIP` for bipolar inputs: XOR in place of
/// AND.
struct Gathered<'a, const FLIP: bool> {
    words: [u32; WORDS],
    /// Bits so far, padding included.
    len: usize,
    /// First of the words among those of a row.
    at: usize,
    /// Weights of the block's first output on.
    weights: &'a [u32],
    row_words: usize,
    outputs: usize,
    /// Sums of what has been counted, of the block's outputs.
    sums: [i32; BLOCK],
}

impl<'a, const FLIP: bool> Gathered<'a, FLIP> {
    /// Begins with a block of outputs.
    #[inline(always)]
    fn begin(&mut self, weights: &'a [u32], block: usize, outputs: usize) {
        let first = block * BLOCK;
        self.weights = weights.get(first * self.row_words..).unwrap_or(&[]);
        self.outputs = outputs.saturating_sub(first).min(BLOCK);
        self.sums.fill(0);
    }

    /// Counts every place of the pooling window.
    // Apart, or the loops around it stand there once for each case without a pass.
    #[inline(never)]
    fn windows(&mut self, geometry: &Geometry, corner: [usize; 2], words: &[u32]) {
        for dy in 0..geometry.window[0] {
            for dx in 0..geometry.window[1] {
                let place = [
                    corner[0] + dy * geometry.stride[0],
                    corner[1] + dx * geometry.stride[1],
                ];
                self.window(geometry, place, words);
            }
        }
    }

    /// Counts one place of the window.
    #[inline(always)]
    fn window(&mut self, geometry: &Geometry, corner: [usize; 2], words: &[u32]) {
        let [height, width] = geometry.map;
        let channels = geometry.channels;
        let first = geometry.padding[1].saturating_sub(corner[1]);
        let end = geometry.kernel[1].min((width + geometry.padding[1]).saturating_sub(corner[1]));
        let row_taps = geometry.kernel[1] * channels;
        self.at = 0;
        for ky in 0..geometry.kernel[0] {
            let y = (corner[0] + ky).wrapping_sub(geometry.padding[0]);
            if y >= height || first >= end {
                self.skip(row_taps);
                continue;
            }
            self.skip(first * channels);
            let x = corner[1] + first - geometry.padding[1];
            let count = (end - first) * channels;
            for offset in (0..count).step_by(32) {
                let count = (count - offset).min(32);
                let at = (y * width + x) * channels + offset;
                self.push(bits::read(words, at, count), count);
            }
            self.skip((geometry.kernel[1] - end) * channels);
        }
        self.flush();
    }

    /// Adds taps outside the map: no spike there.
    #[inline(always)]
    fn skip(&mut self, count: usize) {
        if count > 0 {
            self.skip_some(count);
        }
    }

    #[inline(never)]
    fn skip_some(&mut self, mut count: usize) {
        while count > 0 {
            let part = count.min(32);
            self.push(0, part);
            count -= part;
        }
    }

    /// Adds up to 32 taps.
    #[inline(never)]
    fn push(&mut self, word: u32, count: usize) {
        if self.len + count > 32 * WORDS {
            self.spill(word, count);
            return;
        }
        bits::write(&mut self.words, self.len, count, word);
        self.len += count;
    }

    /// The same across a flush: what is left over moves to the front.
    #[inline(never)]
    fn spill(&mut self, word: u32, count: usize) {
        let room = 32 * WORDS - self.len;
        self.push(word, room);
        self.flush();
        self.push(word >> room, count - room);
    }

    /// Holds the words against each output's row.
    #[inline(never)]
    fn flush(&mut self) {
        let used = bits::words_for(self.len);
        let words = self.words.get(..used).unwrap_or(&[]);
        if FLIP {
            self.count(used, self.len as i32, -2, |w, s| w ^ s);
        } else {
            let spikes = words.iter().map(|word| word.count_ones() as i32);
            self.count(used, -spikes.sum::<i32>(), 2, |w, s| w & s);
        }
        self.words.fill(0);
        self.at += used;
        self.len = 0;
    }

    /// Adds `offset`, and `factor` times the bits that `met` leaves of the words and each output's
    /// row. Padding bits are 0 on both sides, so that neither AND nor XOR counts them.
    #[inline(always)]
    fn count(&mut self, used: usize, offset: i32, factor: i32, met: impl Fn(u32, u32) -> u32) {
        let (inputs, _) = self.words.as_chunks::<8>();
        // Words behind the last one are 0: with AND they may meet what is not of the row.
        let whole = if factor > 0 {
            used.div_ceil(8)
        } else {
            used / 8
        };
        let inputs = inputs.get(..whole).unwrap_or(&[]);
        let mut at = self.at;
        for sum in self.sums.iter_mut().take(self.outputs) {
            let row = self.weights.get(at..).unwrap_or(&[]);
            at += self.row_words;
            // Twice a count may pass 32 bits where the difference does not.
            let mut value = sum.wrapping_add(offset);
            let (rows, rest) = row.as_chunks::<8>();
            for (w, s) in rows.iter().zip(inputs) {
                let count = popcount(core::array::from_fn(|i| met(w[i], s[i])));
                value = value.wrapping_add(factor * count);
            }
            let done = 8 * rows.len().min(whole);
            if done < used {
                let rest = row.get(done..used).unwrap_or(rest);
                let rest_inputs = self.words.get(done..used).unwrap_or(&[]);
                let mut last = [0; 8];
                for (to, (&w, &s)) in last.iter_mut().zip(rest.iter().zip(rest_inputs)) {
                    *to = met(w, s);
                }
                value = value.wrapping_add(factor * popcount_last(&last));
            }
            *sum = value;
        }
    }
}

/// As [`popcount`]; apart, so that it stands once in the program.
#[inline(never)]
fn popcount_last(words: &[u32; 8]) -> i32 {
    popcount(*words)
}

/// Set bits of eight words.
#[inline(always)]
fn popcount(words: [u32; 8]) -> i32 {
    if cfg!(any(target_arch = "arm", target_arch = "riscv32")) {
        // No popcount instruction: seven words become three.
        let [a, b, c, d, e, f, g, h] = words;
        let [ones, twos, fours] = counters::add_seven([a, b, c, d, e, f, g]);
        let pairs = |x: u32| x - (x >> 1 & 0x5555_5555);
        let nibbles = |x: u32| (x & 0x3333_3333) + (x >> 2 & 0x3333_3333);
        let bytes = |x: u32| (x & 0x0F0F_0F0F) + (x >> 4 & 0x0F0F_0F0F);
        // At most 4 + 4 fits a nibble, 8 + 8 + 2 * 8 + 4 * 8 a byte.
        let low = nibbles(pairs(ones)) + nibbles(pairs(h));
        let high = bytes(nibbles(pairs(twos))) + 2 * bytes(nibbles(pairs(fours)));
        return ((bytes(low) + 2 * high).wrapping_mul(0x0101_0101) >> 24) as i32;
    }
    words.iter().map(|word| word.count_ones() as i32).sum()
}
