//! Dense: `x_j = 2 P(w_j AND s) - P(s)` for spikes, `n - 2 P(w_j XOR s)` for bipolar inputs.
//!
//! The cost does not depend on how many inputs spike: a popcount for each word of each output's
//! row of weights.

use super::geometry::Geometry;
use super::{BLOCK, Sums, Visit};
use crate::bits;
use crate::model::{Input, InputKind, Layer, WeightOrder};

/// For single-bit inputs without pooling, with a row of weights for each output.
#[derive(Debug)]
pub struct Dense;

impl Sums for Dense {
    fn supports(layer: &Layer, kind: InputKind) -> bool {
        !kind.is_graded()
            && layer.spec().input_pool.is_none()
            && layer.spec().order == WeightOrder::OutputMajor
    }

    fn sums(layer: &Layer, weights: &[u32], input: Input<'_>, visit: Visit<'_>) {
        let (words, flip) = match input {
            Input::Spikes(words) => (words, false),
            Input::Bipolar(words) => (words, true),
            Input::U8(_) | Input::I8(_) => return,
        };
        let row_words = layer.row_words();
        let geometry = Geometry::new(layer);
        let mut sums = [0; BLOCK];
        geometry.visit_positions(|position, corner| {
            for block in 0..geometry.blocks() {
                let rows = || {
                    weights
                        .chunks(row_words)
                        .take(geometry.outputs)
                        .skip(block * BLOCK)
                };
                sums.fill(0);
                let mut total = 0;
                geometry.visit_runs(corner, |at, tap, count| {
                    for offset in (0..count).step_by(32) {
                        let count = (count - offset).min(32);
                        let s = bits::read(words, at + offset, count);
                        if flip {
                            total += count as i32;
                            for (sum, row) in sums.iter_mut().zip(rows()) {
                                let w = bits::read(row, tap + offset, count);
                                *sum -= 2 * (w ^ s).count_ones() as i32;
                            }
                        } else if s != 0 {
                            total -= s.count_ones() as i32;
                            for (sum, row) in sums.iter_mut().zip(rows()) {
                                let w = bits::read(row, tap + offset, count);
                                *sum += 2 * (w & s).count_ones() as i32;
                            }
                        }
                    }
                });
                for sum in &mut sums {
                    *sum += total;
                }
                visit(position, block, &sums);
            }
        });
    }
}
