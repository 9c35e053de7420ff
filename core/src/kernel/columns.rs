//! The weight columns of the spikes that one output position reads, counted for a block of outputs.

use core::sync::atomic::{Ordering, compiler_fence};

use super::counters::{self, FEW, FIRST, GROUP, Group};
use super::{BLOCK, Counts, Outputs, SMALL, sum_of};

/// Words of a block.
const WORDS: usize = BLOCK / 32;

/// Columns that are gathered before they are counted.
pub(super) const CAPACITY: usize = FIRST + GROUP * if SMALL { 1 } else { 7 };
const _: () = assert!(CAPACITY < 64, "count_some has six planes");

/// The most that a count holds.
const LARGEST: usize = u8::MAX as usize;

/// The weight columns that one output position adds up.
pub(super) struct Columns<'a> {
    /// The layer's weights, and those from the first word of the block on.
    all: &'a [u32],
    weights: &'a [u32],
    row_words: usize,
    /// Words of the block that have an output.
    words: usize,
    /// Columns, word after word, and one word that shifts their last group.
    gathered: [u32; WORDS * CAPACITY + WORDS - 1],
    len: usize,
    /// Columns that are in the counts.
    counted: usize,
    /// Whether there are columns in the sums already.
    spilled: bool,
    counts: Counts,
    sums: [i32; BLOCK],
}

impl<'a> Columns<'a> {
    /// Those of the first block. `weights` are the layer's, `row_words` those of a tap.
    pub(super) fn new(weights: &'a [u32], row_words: usize) -> Self {
        Self {
            all: weights,
            weights,
            row_words,
            words: row_words,
            gathered: [0; WORDS * CAPACITY + WORDS - 1],
            len: 0,
            counted: 0,
            spilled: false,
            counts: Counts::new(),
            sums: [0; BLOCK],
        }
    }

    /// Turns to a block of outputs.
    #[inline(always)]
    pub(super) fn turn(&mut self, block: usize) {
        let first = block * WORDS;
        self.weights = self.all.get(first..).unwrap_or(&[]);
        self.words = self.row_words.saturating_sub(first);
    }

    /// Turns to the next position, or block of one.
    #[inline(always)]
    pub(super) fn begin(&mut self) {
        self.len = 0;
        self.counted = 0;
        self.spilled = false;
    }

    /// The layer's weights.
    #[inline(always)]
    pub(super) fn all_weights(&self) -> &'a [u32] {
        self.all
    }

    /// Words of a tap's weights.
    #[inline(always)]
    pub(super) fn row_words(&self) -> usize {
        self.row_words
    }

    /// Adds the columns of the rows that begin at these words, at most [`CAPACITY`], the first ones since
    /// [`begin`](Self::begin).
    #[inline(never)]
    pub(super) fn gather_rows(&mut self, starts: &[u32]) {
        let columns = self.gathered.as_chunks_mut::<WORDS>().0;
        self.len = starts.len();
        let weights = self.weights;
        let columns = columns.iter_mut().zip(starts);
        if self.row_words.is_multiple_of(WORDS) {
            let pairs = weights.as_chunks::<WORDS>().0;
            for (column, &start) in columns {
                let Some(pair) = pairs.get(start as usize / WORDS) else {
                    return;
                };
                *column = *pair;
            }
        } else {
            for (column, &start) in columns {
                // Behind a row's last word lies what no output reads.
                let at = start as usize;
                *column = [at, at + 1].map(|at| weights.get(at).copied().unwrap_or(0));
            }
        }
    }

    /// Adds the columns of the taps `spike + base`, which wrap around.
    #[inline(always)]
    pub(super) fn extend(&mut self, spikes: &[u16], base: usize) {
        if self.len + spikes.len() <= CAPACITY {
            self.gather(spikes, base);
        } else {
            self.gather_and_flush(spikes, base);
        }
    }

    /// As [`extend`](Self::extend), where there is no room for all.
    #[inline(never)]
    fn gather_and_flush(&mut self, mut spikes: &[u16], base: usize) {
        while !spikes.is_empty() {
            let room = CAPACITY.saturating_sub(self.len).min(spikes.len());
            let (now, later) = spikes.split_at_checked(room).unwrap_or((spikes, &[]));
            self.gather(now, base);
            spikes = later;
            if self.len >= CAPACITY {
                self.flush();
            }
        }
    }

    /// As [`extend`](Self::extend), where there is room.
    #[inline(never)]
    fn gather(&mut self, spikes: &[u16], base: usize) {
        let end = self.len + spikes.len();
        let columns = self.gathered.as_chunks_mut::<WORDS>().0;
        let Some(columns) = columns.get_mut(self.len..end) else {
            return;
        };
        self.len = end;
        let (weights, row_words) = (self.weights, self.row_words);
        let columns = columns.iter_mut().zip(spikes);
        if row_words == WORDS {
            // The common width: no multiplication for each column.
            let rows = weights.as_chunks::<WORDS>().0;
            for (column, &spike) in columns {
                // There is a row for each tap: a branch that is never taken.
                let Some(row) = rows.get(usize::from(spike).wrapping_add(base)) else {
                    break;
                };
                *column = *row;
            }
        } else if row_words == 1 {
            for (column, &spike) in columns {
                let Some(row) = weights.get(usize::from(spike).wrapping_add(base)) else {
                    break;
                };
                column[0] = *row;
            }
        } else {
            for (column, &spike) in columns {
                let at = usize::from(spike)
                    .wrapping_add(base)
                    .wrapping_mul(row_words);
                // Behind a row's last word lies what no output reads.
                let row = weights.get(at..).unwrap_or(&[]);
                *column = [0, 1].map(|word| row.get(word).copied().unwrap_or(0));
            }
        }
    }

    /// As [`extend`](Self::extend), of one of a pair of positions of 16 outputs, which start at bit
    /// `shift` of a word; [`have_room`](Self::have_room) says whether all found room.
    #[inline(always)]
    pub(super) fn extend_half(&mut self, spikes: &[u16], base: usize, shift: usize) {
        let end = self.len + spikes.len();
        let columns = self.gathered.first_chunk_mut::<{ WORDS * CAPACITY }>();
        let columns = columns.map_or(&mut [][..], |columns| columns.as_chunks_mut().0);
        let Some(columns) = columns.get_mut(self.len..end) else {
            // Nor has what follows.
            self.len = CAPACITY + 1;
            return;
        };
        self.len = end;
        let weights = self.weights;
        for ([column, _], &spike) in columns.iter_mut().zip(spikes) {
            let Some(row) = weights.get(usize::from(spike).wrapping_add(base)) else {
                break;
            };
            *column = row << shift;
        }
    }

    /// Whether all columns since [`begin`](Self::begin) had room.
    #[inline(always)]
    pub(super) fn have_room(&self) -> bool {
        self.len <= CAPACITY
    }

    /// Columns gathered since [`begin`](Self::begin), where they had room.
    #[inline(always)]
    pub(super) fn gathered(&self) -> usize {
        self.len
    }

    /// Adds the column of one tap.
    #[inline(always)]
    pub(super) fn push(&mut self, tap: usize) {
        self.gather_and_flush(&[0], tap);
    }

    /// The first `slots` columns of a word of the block: every other word.
    #[inline(always)]
    fn columns(&self, word: usize, slots: usize) -> &[u32] {
        let gathered = self.gathered.get(word..word + WORDS * slots);
        gathered.unwrap_or(&[])
    }

    /// Fills up to `slots` columns with nothing.
    #[inline(always)]
    fn pad(&mut self, slots: usize) {
        let columns = self.gathered.as_chunks_mut::<WORDS>().0;
        let Some(columns) = columns.get_mut(self.len..slots) else {
            return;
        };
        for column in columns {
            *column = [0; WORDS];
            // No instruction, but these few stores do not become a call to clear memory.
            compiler_fence(Ordering::SeqCst);
        }
    }

    /// Counts the gathered columns, and forgets them.
    #[inline(never)]
    fn flush(&mut self) {
        if self.counted + self.len > LARGEST {
            self.spill();
        }
        self.count();
        self.counted += self.len;
        self.len = 0;
    }

    /// Adds the counts to the sums, where one position has more columns than they hold.
    #[inline(never)]
    fn spill(&mut self) {
        if !self.spilled {
            self.sums.fill(0);
        }
        let inputs = [self.counted as i32; 2];
        for (k, sum) in self.sums.iter_mut().enumerate() {
            *sum += sum_of(&self.counts.words[k / 32], inputs, k % 32);
        }
        self.spilled = true;
        self.counted = 0;
    }

    /// What the columns of a pair of positions come to, `lower` of them of the first one.
    #[inline(always)]
    pub(super) fn finish_pair(&mut self, lower: usize) -> Outputs<'_> {
        let inputs = [lower, self.len - lower].map(|inputs| inputs as i32);
        if self.len <= FIRST + GROUP {
            self.finish_few();
        } else {
            self.count();
        }
        self.counts.inputs = inputs;
        Outputs::Pair(&self.counts)
    }

    /// What the columns come to.
    #[inline(always)]
    pub(super) fn finish(&mut self) -> Outputs<'_> {
        if self.counted == 0 && self.len <= FIRST + GROUP {
            self.finish_few();
            return Outputs::Counts(&self.counts);
        }
        self.finish_others()
    }

    /// As [`finish`](Self::finish), of more than a few columns.
    #[inline(never)]
    fn finish_others(&mut self) -> Outputs<'_> {
        self.flush();
        if self.spilled {
            self.spill();
            return Outputs::Sums(&mut self.sums);
        }
        self.counts.inputs = [self.counted as i32; 2];
        Outputs::Counts(&self.counts)
    }

    /// The columns of a word of the block in one part of seven and others of eight.
    #[inline(always)]
    fn parts(&self, word: usize, slots: usize) -> (&[u32; WORDS * FIRST], &[Group]) {
        let columns = self.columns(word, slots).split_first_chunk();
        let (first, groups) = columns.unwrap_or((&[0; WORDS * FIRST], &[]));
        (first, groups.as_chunks().0)
    }

    /// Up to 15 columns: four planes, which stay in registers.
    #[inline(never)]
    fn finish_few(&mut self) {
        let slots = FEW.into_iter().find(|slots| self.len <= *slots);
        let slots = slots.unwrap_or(FEW[3]);
        self.pad(slots);
        self.counts.inputs = [self.len as i32; 2];
        for word in 0..self.words.min(WORDS) {
            let columns = self.gathered.get(word..).unwrap_or(&[]).first_chunk();
            let planes = columns.map_or([0; 4], |columns: &[u32; WORDS * FEW[3]]| {
                counters::count_few(|k| columns[WORDS * k], slots)
            });
            self.counts.words[word] = counters::transpose_low(planes);
        }
    }

    /// Adds all that can be gathered to the counts: six planes.
    #[inline(never)]
    fn count(&mut self) {
        let slots = FIRST + self.len.saturating_sub(FIRST).next_multiple_of(GROUP);
        self.pad(slots);
        for word in 0..self.words.min(WORDS) {
            let (first, groups) = self.parts(word, slots);
            let [a, b, c, d, e, f] = counters::count_some(first, groups);
            let counts = counters::transpose([a, b, c, d, e, f, 0, 0]);
            let words = self.counts.words[word].iter_mut().zip(counts);
            if self.counted == 0 {
                words.for_each(|(to, counts)| *to = counts);
            } else {
                // No byte passes what it holds.
                words.for_each(|(to, counts)| *to += counts);
            }
        }
    }
}
