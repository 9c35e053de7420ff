//! The weight columns of the spikes that one output position reads, counted for a block of outputs.

use super::counters::{self, GROUP, HIGH, LARGEST, LOW};
use super::{BLOCK, Counts, Outputs, SMALL};

/// Words of a block.
const WORDS: usize = BLOCK / 32;

/// Columns that are gathered before they are counted.
const CAPACITY: usize = GROUP * if SMALL { 2 } else { 6 };
const _: () = assert!(CAPACITY < 64, "finish_some has six planes");

/// The weight columns that one output position adds up.
pub(super) struct Columns<'a> {
    /// The layer's weights from the first word of the block on.
    weights: &'a [u32],
    row_words: usize,
    /// Words of the block that have an output.
    words: usize,
    /// Columns, word after word, and one word that shifts their last group.
    gathered: [u32; WORDS * CAPACITY + WORDS - 1],
    len: usize,
    low: [[u32; LOW]; WORDS],
    high: [[u32; HIGH]; WORDS],
    /// Columns that are in the planes.
    counted: usize,
    /// Whether there are columns in the sums already.
    spilled: bool,
    counts: Counts,
    sums: [i32; BLOCK],
}

impl<'a> Columns<'a> {
    pub(super) fn new(row_words: usize) -> Self {
        Self {
            weights: &[],
            row_words,
            words: 0,
            gathered: [0; WORDS * CAPACITY + WORDS - 1],
            len: 0,
            low: [[0; LOW]; WORDS],
            high: [[0; HIGH]; WORDS],
            counted: 0,
            spilled: false,
            counts: Counts {
                words: [[0; 8]; WORDS],
                inputs: 0,
            },
            sums: [0; BLOCK],
        }
    }

    /// Turns to a block of outputs at a position; `weights` are the layer's.
    #[inline(always)]
    pub(super) fn begin(&mut self, weights: &'a [u32], block: usize) {
        let first = block * WORDS;
        self.weights = weights.get(first..).unwrap_or(&[]);
        self.words = self.row_words.saturating_sub(first);
        self.len = 0;
        self.counted = 0;
        self.spilled = false;
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
    #[inline(always)]
    fn gather(&mut self, spikes: &[u16], base: usize) {
        let end = self.len + spikes.len();
        let columns = self.gathered.as_chunks_mut::<WORDS>().0;
        let columns = columns.get_mut(self.len..end).unwrap_or(&mut []);
        self.len = end;
        let (weights, row_words) = (self.weights, self.row_words);
        let columns = columns.iter_mut().zip(spikes);
        if row_words == WORDS {
            // The common width: no multiplication for each column.
            let rows = weights.as_chunks::<WORDS>().0;
            for (column, &spike) in columns {
                let row = rows.get(usize::from(spike).wrapping_add(base));
                *column = row.copied().unwrap_or([0; WORDS]);
            }
        } else if row_words == 1 {
            for (column, &spike) in columns {
                let row = weights.get(usize::from(spike).wrapping_add(base));
                column[0] = row.copied().unwrap_or(0);
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

    /// Adds the column of one tap.
    #[inline(always)]
    pub(super) fn push(&mut self, tap: usize) {
        self.gather_and_flush(&[0], tap);
    }

    /// The gathered columns of a word of the block: every other word of each group.
    #[inline(always)]
    fn groups(&self, word: usize) -> &[[u32; WORDS * GROUP]] {
        let words = WORDS * self.len.next_multiple_of(GROUP);
        let gathered = self.gathered.get(word..word + words);
        gathered.unwrap_or(&[]).as_chunks().0
    }

    /// Fills the last group with columns of nothing.
    #[inline(always)]
    fn pad(&mut self) {
        let columns = self.gathered.as_chunks_mut::<WORDS>().0;
        let rest = columns.get_mut(self.len..self.len.next_multiple_of(GROUP));
        // Hidden, so that these few stores do not become a call to clear memory.
        let nothing = core::hint::black_box(0);
        for column in rest.unwrap_or(&mut []) {
            *column = [nothing; WORDS];
        }
    }

    /// Counts the gathered columns, and forgets them.
    #[inline(never)]
    fn flush(&mut self) {
        if self.counted + self.len > LARGEST {
            self.spill();
        }
        self.pad();
        for word in 0..self.words.min(WORDS) {
            let (mut low, mut high) = if self.counted > 0 {
                (self.low[word], self.high[word])
            } else {
                ([0; LOW], [0; HIGH])
            };
            counters::count(&mut low, &mut high, self.groups(word));
            (self.low[word], self.high[word]) = (low, high);
        }
        self.counted += self.len;
        self.len = 0;
    }

    /// Adds what the counters hold to the sums, where one position has more columns than they count.
    #[inline(never)]
    fn spill(&mut self) {
        if !self.spilled {
            self.sums.fill(0);
        }
        let words = self.sums.as_chunks_mut::<32>().0.iter_mut();
        for ((sums, low), high) in words.zip(&self.low).zip(&self.high) {
            for (k, sum) in sums.iter_mut().enumerate() {
                let bits = low.iter().chain(high).rev();
                let count = bits.fold(0, |count, plane| 2 * count + (plane >> k & 1));
                *sum += 2 * count as i32 - self.counted as i32;
            }
        }
        self.spilled = true;
        self.counted = 0;
        self.low = [[0; LOW]; WORDS];
        self.high = [[0; HIGH]; WORDS];
    }

    /// What the columns come to.
    #[inline(always)]
    pub(super) fn finish(&mut self) -> Outputs<'_> {
        if self.counted > 0 {
            self.finish_many();
            if self.spilled {
                return Outputs::Sums(&mut self.sums);
            }
        } else if self.len < 16 {
            self.finish_few();
        } else {
            self.finish_some();
        }
        Outputs::Counts(&self.counts)
    }

    /// Up to 15 columns: four planes, which stay in registers.
    #[inline(never)]
    fn finish_few(&mut self) {
        self.pad();
        self.counts.inputs = self.len as i32;
        for word in 0..self.words.min(WORDS) {
            let planes = counters::count_few(self.groups(word));
            self.counts.words[word] = counters::transpose_low(planes);
        }
    }

    /// All that can be gathered: six planes.
    #[inline(never)]
    fn finish_some(&mut self) {
        self.pad();
        self.counts.inputs = self.len as i32;
        for word in 0..self.words.min(WORDS) {
            let [a, b, c, d, e, f] = counters::count_some(self.groups(word));
            self.counts.words[word] = counters::transpose([a, b, c, d, e, f, 0, 0]);
        }
    }

    #[inline(never)]
    fn finish_many(&mut self) {
        self.flush();
        if self.spilled || self.counted > 255 {
            return self.spill();
        }
        self.counts.inputs = self.counted as i32;
        let words = self.counts.words.iter_mut();
        for ((to, low), high) in words.zip(&self.low).zip(&self.high).take(self.words) {
            let (&[a, b, c, d], &[e, f, g, h, ..]) = (low, high);
            *to = counters::transpose([a, b, c, d, e, f, g, h]);
        }
    }
}
