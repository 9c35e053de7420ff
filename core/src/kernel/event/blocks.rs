//! Output positions of several blocks: the rows of weights that a position adds up are listed once, and
//! gathered for several blocks together.

use core::ops::Range;

use super::band::Band;
use crate::kernel::columns::{self, Columns};
use crate::kernel::counters::{self, FEW, MOST};
use crate::kernel::geometry::Geometry;
use crate::kernel::{BLOCK, Counts, Outputs, SMALL, Visit, WIDE};

impl Band {
    /// As [`Sums::sums`](crate::kernel::Sums::sums), of output positions of several blocks, from the
    /// padded column `left` on.
    #[inline(never)]
    pub(super) fn blocks(
        &self,
        geometry: &Geometry,
        columns: &mut Columns<'_>,
        mut left: usize,
        positions: Range<usize>,
        visit: Visit<'_>,
    ) {
        let mut rows = Rows {
            starts: [0; columns::CAPACITY],
            len: 0,
        };
        for position in positions {
            rows.len = 0;
            let mut listed = true;
            self.walk(geometry, left, |run, base| {
                listed = listed && rows.list(run, base, columns.row_words());
            });
            let starts = rows.starts.get(..rows.len).unwrap_or(&[]);
            let mut block = 0;
            // It takes a kilobyte of stack.
            if !SMALL && listed && rows.len <= MOST {
                let row_words = columns.row_words();
                block = Wide::visit(columns.all_weights(), row_words, starts, position, visit);
            }
            while block < geometry.blocks() {
                columns.turn(block);
                if listed {
                    columns.begin();
                    columns.gather_rows(starts);
                    visit(position, block, columns.finish());
                } else {
                    let positions = position..position + 1;
                    self.block(geometry, columns, left, positions, block, visit);
                }
                block += 1;
            }
            left += geometry.pitch[1];
        }
    }
}

/// Where the rows of a position's taps begin.
struct Rows {
    starts: [u32; columns::CAPACITY],
    len: usize,
}

impl Rows {
    /// Lists the rows of the taps `spike + base`, which wrap around; `false` where there is no room.
    #[inline(never)]
    fn list(&mut self, spikes: &[u16], base: usize, row_words: usize) -> bool {
        let end = self.len + spikes.len();
        let Some(starts) = self.starts.get_mut(self.len..end) else {
            return false;
        };
        self.len = end;
        for (start, &spike) in starts.iter_mut().zip(spikes) {
            let tap = usize::from(spike).wrapping_add(base);
            *start = tap.wrapping_mul(row_words) as u32;
        }
        true
    }
}

/// Stack in bytes that a layer of at least [`WIDE`] words of outputs takes beside the rest, with frames.
pub(crate) const STACK: u32 = (size_of::<Wide>() + 128) as u32;

/// The columns of a few taps, several blocks wide.
struct Wide {
    /// Columns, and what shifts the last one by a word.
    gathered: [u32; WIDE * (MOST + 1)],
    counts: Counts<WIDE>,
}

impl Wide {
    /// Visits the blocks of a position by [`WIDE`] words, as long as rows have so many; returns the first
    /// block that is left. `starts` are at most [`MOST`].
    #[inline(never)]
    fn visit(
        weights: &[u32],
        row_words: usize,
        starts: &[u32],
        position: usize,
        visit: Visit<'_>,
    ) -> usize {
        let mut wide = Self {
            gathered: [0; WIDE * (MOST + 1)],
            counts: Counts::new(),
        };
        let slots = FEW.into_iter().find(|slots| starts.len() <= *slots);
        wide.counts.inputs = [starts.len() as i32; 2];
        let mut block = 0;
        let mut first = 0;
        while first + WIDE <= row_words {
            let weights = weights.get(first..).unwrap_or(&[]);
            wide.gather(weights, starts);
            for word in 0..WIDE {
                match slots {
                    Some(slots) => wide.count_few(word, slots),
                    None => wide.count_most(word),
                }
            }
            visit(position, block, Outputs::Wide(&wide.counts));
            block += WIDE * 32 / BLOCK;
            first += WIDE;
        }
        block
    }

    /// Gathers [`WIDE`] words of the rows that begin at `starts`.
    #[inline(never)]
    fn gather(&mut self, weights: &[u32], starts: &[u32]) {
        let columns = self.gathered.as_chunks_mut().0.as_chunks_mut().0;
        for (columns, &start) in columns.iter_mut().zip(starts) {
            let Some(row) = weights.get(start as usize..) else {
                return;
            };
            let (row, _) = row.as_chunks::<{ WIDE / 2 }>();
            let [low, high, ..] = row else {
                return;
            };
            // Both halves at once would be a call.
            let halves: &mut [[u32; WIDE / 2]; 2] = columns;
            halves[0] = *low;
            halves[1] = *high;
        }
    }

    /// The columns of a word: every [`WIDE`]th.
    #[inline(always)]
    fn columns(&self, word: usize) -> &[u32; WIDE * MOST] {
        let columns = self.gathered.get(word..).unwrap_or(&[]).first_chunk();
        columns.unwrap_or(&[0; WIDE * MOST])
    }

    /// Counts up to 15 columns of a word.
    #[inline(never)]
    fn count_few(&mut self, word: usize, slots: usize) {
        let columns = self.columns(word);
        let planes = counters::count_few(|k| columns[WIDE * k], slots);
        self.counts.words[word % WIDE] = counters::transpose_low(planes);
    }

    /// Counts up to [`MOST`] columns of a word.
    #[inline(never)]
    fn count_most(&mut self, word: usize) {
        let columns = self.columns(word);
        let [a, b, c, d, e] = counters::count_most(|k| columns[WIDE * k]);
        self.counts.words[word % WIDE] = counters::transpose([a, b, c, d, e, 0, 0, 0]);
    }
}
