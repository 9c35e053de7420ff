//! Event-driven: the weight columns of the set input bits are added into bit-sliced counters.
//!
//! Plane `p` holds bit `p` of the counters of 32 outputs, so that one addition serves all of
//! them. Then `x_j = 2 count_j - P(s)`. The cost follows the number of spikes.

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
        let mut counters = Counters {
            planes: [0; 31],
            used: 0,
        };
        let mut total = 0;
        visit_runs(layer, position, |at, tap, count| {
            for offset in (0..count).step_by(32) {
                let mut s = bits::read(words, at + offset, (count - offset).min(32));
                total += s.count_ones() as i32;
                while s != 0 {
                    let row = tap + offset + s.trailing_zeros() as usize;
                    let column = weights.get(row * row_words + block).copied().unwrap_or(0);
                    counters.add(column);
                    s &= s - 1;
                }
            }
        });
        counters.read(sums);
        for sum in sums {
            *sum = 2 * *sum - total;
        }
    }
}

/// 32 counters, bit-sliced. The loader has proven that a count fits 31 bits.
struct Counters {
    planes: [u32; 31],
    used: usize,
}

impl Counters {
    /// Adds bit `k` of `column` to counter `k`.
    #[inline(always)]
    fn add(&mut self, column: u32) {
        let mut carry = column;
        for (index, plane) in self.planes.iter_mut().enumerate() {
            if carry == 0 {
                break;
            }
            self.used = self.used.max(index + 1);
            let next = *plane & carry;
            *plane ^= carry;
            carry = next;
        }
    }

    fn read(&self, counts: &mut [i32; BLOCK]) {
        counts.fill(0);
        for (index, plane) in self.planes.iter().take(self.used).enumerate() {
            for (k, count) in counts.iter_mut().enumerate() {
                *count |= ((plane >> k & 1) << index) as i32;
            }
        }
    }
}
