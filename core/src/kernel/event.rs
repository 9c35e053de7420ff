//! Event-driven: the weight columns of the set input bits are added into bit-sliced counters.
//!
//! Plane `p` holds bit `p` of the counters of 32 outputs, so that one addition serves all of
//! them; seven columns at a time go through carry-save adders first. Then `x_j = 2 count_j - P(s)`. The cost follows the number of spikes.

use super::{BLOCK, Sums, visit_runs};
use crate::bits;
use crate::model::{Input, InputKind, Layer, WeightOrder};

/// For spikes without pooling of the input, with a row of outputs for each tap.
#[derive(Debug)]
pub struct Event;

impl Sums for Event {
    fn supports(layer: &Layer, kind: InputKind) -> bool {
        kind == InputKind::Spikes
            && layer.spec().input_pool.is_none()
            && layer.spec().order == WeightOrder::InputMajor
    }

    fn sums(
        layer: &Layer,
        weights: &[u32],
        input: Input<'_>,
        position: usize,
        block: usize,
        sums: &mut [i32; BLOCK],
    ) {
        let Input::Spikes(words) = input else { return };
        let row_words = layer.row_words();
        let first = block * WORDS;
        // The words of a row that belong to the block.
        let width = row_words.saturating_sub(first).min(WORDS);
        let mut counters = [Counters::new(), Counters::new()];
        let mut group = Group {
            rows: [0; 7],
            len: 0,
        };
        let mut total = 0;
        visit_runs(layer, position, |at, tap, count| {
            for offset in (0..count).step_by(32) {
                let mut s = bits::read(words, at + offset, (count - offset).min(32));
                let mut row = (tap + offset) * row_words + first;
                // Walks the set bits; `row` is the weight word of bit 0 of `s`.
                while s != 0 {
                    let zeros = s.trailing_zeros();
                    row += zeros as usize * row_words;
                    s >>= zeros;
                    total += 1;
                    if group.push(row) {
                        group.drain(weights, width, &mut counters);
                    }
                    s &= !1;
                }
            }
        });
        group.drain(weights, width, &mut counters);
        for (counters, sums) in counters.iter().zip(sums.chunks_mut(32)).take(width) {
            counters.read(total, sums);
        }
    }
}

/// Words of outputs in a block.
const WORDS: usize = BLOCK / 32;

/// First weight words of up to seven rows that are added together.
struct Group {
    rows: [usize; 7],
    len: usize,
}

impl Group {
    /// Adds a row; `true` where the group is full.
    #[inline(always)]
    fn push(&mut self, row: usize) -> bool {
        if let Some(slot) = self.rows.get_mut(self.len) {
            *slot = row;
            self.len += 1;
        }
        self.len == self.rows.len()
    }

    /// Adds the rows to the counters and empties the group.
    #[inline(always)]
    fn drain(&mut self, weights: &[u32], width: usize, counters: &mut [Counters; WORDS]) {
        let full = self.len == self.rows.len();
        for (word, counters) in counters.iter_mut().enumerate().take(width) {
            let column = |row: usize| weights.get(row + word).copied().unwrap_or(0);
            if full {
                counters.add_seven(self.rows.map(column));
            } else {
                for &row in self.rows.iter().take(self.len) {
                    counters.add(0, column(row));
                }
            }
        }
        self.len = 0;
    }
}

/// Planes that counters can have: the loader has proven that a count fits 31 bits.
const PLANES: usize = 31;

/// 32 counters, bit-sliced: bit `k` of plane `p` is bit `p` of counter `k`.
struct Counters {
    planes: [u32; PLANES],
    used: usize,
}

impl Counters {
    #[inline(always)]
    fn new() -> Self {
        Self {
            planes: [0; PLANES],
            used: 0,
        }
    }

    /// Adds `2^plane` to counter `k` where bit `k` of `carry` is set.
    #[inline(always)]
    fn add(&mut self, plane: usize, mut carry: u32) {
        let mut index = plane;
        while carry != 0 {
            let Some(plane) = self.planes.get_mut(index) else {
                return;
            };
            (*plane, carry) = (*plane ^ carry, *plane & carry);
            index += 1;
        }
        self.used = self.used.max(index);
    }

    /// Adds bit `k` of each of seven columns to counter `k`: carry-save adders make three planes
    /// of them.
    #[inline(always)]
    fn add_seven(&mut self, [a, b, c, d, e, f, g]: [u32; 7]) {
        let (ones, twos_a) = full_add(a, b, c);
        let (ones, twos_b) = full_add(ones, d, e);
        let (ones, twos_c) = full_add(ones, f, g);
        let (twos, fours) = full_add(twos_a, twos_b, twos_c);
        let [plane_0, plane_1, plane_2, ..] = &mut self.planes;
        let carry = *plane_0 & ones;
        *plane_0 ^= ones;
        let (sum, carry) = full_add(*plane_1, twos, carry);
        *plane_1 = sum;
        let (sum, carry) = full_add(*plane_2, fours, carry);
        *plane_2 = sum;
        self.used = self.used.max(3);
        self.add(3, carry);
    }

    /// Sets `sums[k]` to twice counter `k` minus `total`.
    #[inline(always)]
    fn read(&self, total: i32, sums: &mut [i32]) {
        // Four counters at a time, a byte each, eight planes a byte.
        for (quad, sums) in sums.chunks_mut(4).enumerate() {
            for (byte, planes) in self.planes.chunks(8).enumerate() {
                if byte * 8 >= self.used && byte > 0 {
                    break;
                }
                let mut lanes = 0u32;
                for (index, plane) in planes.iter().enumerate().take(self.used - byte * 8) {
                    // Spreads four bits over the lowest bits of four bytes.
                    let bits = plane >> (quad * 4) & 0xF;
                    lanes |= (bits.wrapping_mul(0x0020_4081) & 0x0101_0101) << index;
                }
                for (sum, lane) in sums.iter_mut().zip(lanes.to_le_bytes()) {
                    let count = i32::from(lane) << (byte * 8 + 1);
                    *sum = if byte == 0 {
                        count - total
                    } else {
                        *sum + count
                    };
                }
            }
        }
    }
}

/// Sum and carry of three bits, in every position.
#[inline(always)]
fn full_add(a: u32, b: u32, c: u32) -> (u32, u32) {
    let partial = a ^ b;
    (partial ^ c, a & b | partial & c)
}
