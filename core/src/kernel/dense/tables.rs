//! Several positions at a time: the sums of every subset of four taps stand in tables.
//!
//! A word has a nibble for each of eight positions. Under four taps there are 16 subsets that a
//! row of weights may choose; how many spikes each meets, at all positions of a word, is a table
//! that all outputs share ("Four Russians"). A row of weights then costs one lookup for four taps.
//! Three lookups fit the nibbles, four where no position has more than 15 spikes under them, or all
//! eight; they are added up in bytes, and 128s of those in nibbles again.
//!
//! Where most of the input spikes, the taps without a spike are counted in their place: an output's
//! sum is that of its weights, less twice what it counts.

use super::super::geometry::Geometry;
use super::super::{BLOCK, Counts, Outputs, Visit};
use super::subsets::{Bytes, LOW, Row, Tables, WIDE, add, add_few, add_halves, fill, transpose};
use crate::bits;

/// Positions at a time.
const POSITIONS: usize = 8 * WIDE;
/// The most that bytes and 128s count.
const LARGEST: usize = 15 * 128;

/// Whether a layer has so many positions and outputs that tables pay; not on the smallest cores
/// (`small`), which have little stack, of which they take 3.5 KB.
pub(crate) const fn pay(
    small: bool,
    positions: usize,
    outputs: usize,
    taps_and_places: usize,
) -> bool {
    !small && positions >= 8 && outputs >= 8 && taps_and_places < LARGEST
}

/// As [`Sums::sums`](super::Sums::sums), for a layer whose tables [`pay`].
#[inline(never)]
pub(super) fn sums(
    geometry: &Geometry,
    weights: &[u32],
    words: &[u32],
    flip: bool,
    visit: Visit<'_>,
) {
    let positions = geometry.output[0] * geometry.output[1];
    let spikes: u32 = words.iter().map(|word| word.count_ones()).sum();
    let values = geometry.map[0] * geometry.map[1] * geometry.channels;
    let places = geometry.window[0] * geometry.window[1];
    let row_words = bits::words_for(geometry.taps());
    let mut pass = Pass {
        geometry,
        words,
        flip,
        silent: !flip && 2 * spikes as usize > values,
        corners: [[0; 2]; POSITIONS],
        starts: [0; POSITIONS],
        tables: [[[0; WIDE]; 8]; 16],
        rows: [[0; 1 + 2 * WIDE]; BLOCK],
        all: [0; 2 * WIDE],
        high: [[0; WIDE]; BLOCK],
        all_high: [0; WIDE],
        bases: [0; BLOCK],
        based: None,
        carried: false,
        bound: 0,
        taps: (places * (64 * row_words - geometry.taps())) as i32,
    };
    let mut sums = [0; BLOCK];
    let mut counts = Counts::new();
    let (mut row, mut column) = (0, 0);
    for first in (0..positions).step_by(POSITIONS) {
        let count = (positions - first).min(POSITIONS);
        let corners = pass.corners.iter_mut().zip(&mut pass.starts);
        for (corner, start) in corners.take(count) {
            *corner = [row * geometry.pitch[0], column * geometry.pitch[1]];
            *start = (corner[0] * geometry.map[1] + corner[1]) * geometry.channels;
            column += 1;
            if column == geometry.output[1] {
                (row, column) = (row + 1, 0);
            }
        }
        for block in 0..geometry.blocks() {
            let outputs = (geometry.outputs - block * BLOCK).min(BLOCK);
            let weights = weights.get(block * BLOCK * row_words..).unwrap_or(&[]);
            pass.begin();
            if pass.silent && pass.based != Some(block) {
                pass.base(weights, row_words, places);
                pass.based = Some(block);
            }
            for dy in 0..geometry.window[0] {
                for dx in 0..geometry.window[1] {
                    let place = [dy * geometry.stride[0], dx * geometry.stride[1]];
                    for word in 0..row_words {
                        let rows = pass.rows.get_mut(..outputs).unwrap_or(&mut []);
                        let mut at = word;
                        for row in rows {
                            row[0] = weights.get(at).copied().unwrap_or(0);
                            at += row_words;
                        }
                        pass.word(place, 32 * word, outputs);
                    }
                }
            }
            for p in 0..count {
                if flip || pass.silent || pass.carried {
                    pass.emit(p, outputs, &mut sums);
                    visit(first + p, block, Outputs::Sums(&mut sums));
                } else {
                    pass.emit_counts(p, &mut counts);
                    visit(first + p, block, Outputs::Counts(&counts));
                }
            }
        }
    }
}

/// A number of positions and a block of outputs.
struct Pass<'a> {
    geometry: &'a Geometry,
    /// The input.
    words: &'a [u32],
    flip: bool,
    /// Whether the taps without a spike are counted.
    silent: bool,
    corners: [[usize; 2]; POSITIONS],
    /// Flat index of each corner, where there is no padding.
    starts: [usize; POSITIONS],
    tables: Tables,
    rows: [Row; BLOCK],
    /// What a row of set weights would count.
    all: Bytes,
    /// 128s that have left the bytes.
    high: [[u32; WIDE]; BLOCK],
    all_high: [u32; WIDE],
    /// The sums of the outputs of block `based` if all taps spiked, where those without are counted.
    bases: [i32; BLOCK],
    based: Option<usize>,
    carried: bool,
    /// The most that a byte of a bipolar input holds.
    bound: usize,
    /// Taps that an output counts of a bipolar input, and those behind its row's last twice, which
    /// agree too.
    taps: i32,
}

impl Pass<'_> {
    #[inline(always)]
    fn begin(&mut self) {
        self.rows.as_flattened_mut().fill(0);
        self.all.fill(0);
        self.high.as_flattened_mut().fill(0);
        self.all_high = [0; WIDE];
        self.carried = false;
        self.bound = 0;
    }

    /// Sets the bases to those of a block, whose rows of weights are given.
    #[inline(never)]
    fn base(&mut self, weights: &[u32], row_words: usize, places: usize) {
        let taps = self.geometry.taps() as i32;
        for (base, row) in self.bases.iter_mut().zip(weights.chunks(row_words.max(1))) {
            let set: u32 = row.iter().map(|word| word.count_ones()).sum();
            *base = places as i32 * (2 * set as i32 - taps);
        }
    }

    /// Counts the 32 taps from `tap` on at one place of the window.
    #[inline(always)]
    fn word(&mut self, place: [usize; 2], tap: usize, outputs: usize) {
        let mut taps = [0; POSITIONS];
        gather(
            self.geometry,
            &self.corners,
            &self.starts,
            place,
            self.words,
            tap,
            &mut taps,
        );
        if self.silent {
            let others = 32usize.saturating_sub(self.geometry.taps() - tap);
            let mask = u32::MAX.wrapping_shr(others as u32);
            taps.iter_mut().for_each(|taps| *taps = !*taps & mask);
        }
        for (half, taps) in taps.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            transpose(taps);
            fill(&mut self.tables, half, taps, self.flip);
        }
        // What rows of set weights would choose, by the first half of the taps and by the others.
        let mut halves = [[0; 1 + 2 * WIDE]; 2];
        halves[0][0] = 0xFFFF;
        halves[1][0] = 0xFFFF_0000;
        add(&self.tables, &mut halves);
        let [[_, mut all @ ..], [_, others @ ..]] = halves;
        let fit = |counts: &Bytes| counts.iter().fold(0, |any, word| any | word) & !LOW == 0;
        let halves_fit = fit(&all) && fit(&others);
        let sums = all.iter_mut().zip(others);
        sums.for_each(|(sum, word)| *sum += word);
        let rows = self.rows.get_mut(..outputs).unwrap_or(&mut []);
        if self.flip || !halves_fit {
            add(&self.tables, rows);
        } else if fit(&all) {
            add_few(&self.tables, rows);
        } else {
            add_halves(&self.tables, rows);
        }
        let sums = self.all.iter_mut().zip(all);
        sums.for_each(|(sum, word)| *sum += word);
        // A byte may be full after the next word where it is above 223; of spikes, no output counts
        // more than all weights would.
        self.bound += 32;
        let full = if self.flip {
            self.bound > 223
        } else {
            let full = |word: &u32| word & word << 1 & word << 2 & 0x8080_8080 != 0;
            self.all.iter().any(full)
        };
        if full {
            self.carry();
        }
    }

    /// Takes the 128s out of the bytes.
    #[inline(never)]
    fn carry(&mut self) {
        let take = |counts: &mut Bytes, high: &mut [u32; WIDE]| {
            for (counts, high) in counts.as_chunks_mut::<2>().0.iter_mut().zip(high) {
                let tops = counts.map(|word| word >> 7 & 0x0101_0101);
                *counts = counts.map(|word| word & 0x7F7F_7F7F);
                *high += tops[0] + (tops[1] << 4);
            }
        };
        for ([_, counts @ ..], high) in self.rows.iter_mut().zip(&mut self.high) {
            take(counts, high);
        }
        take(&mut self.all, &mut self.all_high);
        self.carried = true;
        self.bound = 127;
    }

    /// The counts of one position, where they are in bytes.
    #[inline(never)]
    fn emit_counts(&self, p: usize, counts: &mut Counts) {
        let (word, shift) = (2 * (p / 8 % WIDE) + p % 2, p % 8 / 2 * 8);
        let count = |counts: &Bytes| counts[word] >> shift & 255;
        counts.inputs = [count(&self.all) as i32; 2];
        for (words, rows) in counts.words.iter_mut().zip(self.rows.as_chunks::<32>().0) {
            for (i, to) in words.iter_mut().enumerate() {
                let [a, b, c, d] = [0, 8, 16, 24].map(|k| {
                    let [_, counts @ ..] = &rows[i + k];
                    count(counts)
                });
                *to = a | b << 8 | c << 16 | d << 24;
            }
        }
    }

    /// The sums of one position.
    #[inline(never)]
    fn emit(&self, p: usize, outputs: usize, sums: &mut [i32; BLOCK]) {
        let (half, p) = (p / 8 % WIDE, p % 8);
        let (word, shift) = (2 * half + p % 2, p / 2 * 8);
        let count = |counts: &Bytes| (counts[word] >> shift & 255) as i32;
        let high = |high: &[u32; WIDE]| (high[half] >> (4 * p) & 15) as i32;
        let all = if self.flip {
            self.taps
        } else {
            count(&self.all) + 128 * high(&self.all_high)
        };
        let sign = if self.silent { -1 } else { 1 };
        let based = sums.iter_mut().zip(&self.bases).take(outputs);
        for ((sum, base), [_, counts @ ..]) in based.zip(&self.rows) {
            *sum = base + sign * (2 * count(counts) - all);
        }
        if self.carried {
            for (sum, counts) in sums.iter_mut().zip(&self.high).take(outputs) {
                *sum += sign * 256 * high(counts);
            }
        }
    }
}

/// The 32 taps from `tap` on of the windows at a place of all corners.
#[inline(never)]
fn gather(
    geometry: &Geometry,
    corners: &[[usize; 2]; POSITIONS],
    starts: &[usize; POSITIONS],
    place: [usize; 2],
    words: &[u32],
    mut tap: usize,
    gathered: &mut [u32; POSITIONS],
) {
    let ([height, width], channels) = (geometry.map, geometry.channels);
    // There is a tap; the floor shows it.
    let row_taps = (geometry.kernel[1] * channels).max(1);
    let mut filled = 0;
    while filled < 32 {
        let (ky, from) = (tap / row_taps, tap % row_taps);
        if ky >= geometry.kernel[0] {
            break;
        }
        let count = (row_taps - from).min(32 - filled);
        if geometry.padding == [0, 0] {
            let at = ((place[0] + ky) * width + place[1]) * channels + from;
            read(words, starts, at, count, filled, gathered);
            filled += count;
            tap += count;
            continue;
        }
        for (to, corner) in gathered.iter_mut().zip(corners) {
            let y = (corner[0] + place[0] + ky).wrapping_sub(geometry.padding[0]);
            if y >= height {
                continue;
            }
            // Taps of the row from the map's first value on and up to its last.
            let x = corner[1] + place[1];
            let left = geometry.padding[1].saturating_sub(x) * channels;
            let right = (width + geometry.padding[1]).saturating_sub(x) * channels;
            let (first, end) = (from.max(left), (from + count).min(right));
            if first < end {
                let at = (y * width + x) * channels + first - geometry.padding[1] * channels;
                *to |= bits::read(words, at, end - first) << (filled + first - from);
            }
        }
        filled += count;
        tap += count;
    }
}

/// The `count` values from `offset` behind each start on, put behind `filled` others.
#[inline(never)]
fn read(
    words: &[u32],
    starts: &[usize; POSITIONS],
    offset: usize,
    count: usize,
    filled: usize,
    gathered: &mut [u32; POSITIONS],
) {
    for (to, start) in gathered.iter_mut().zip(starts) {
        *to |= bits::read(words, start + offset, count) << filled;
    }
}
