//! Event-driven: the weight columns of the set input bits are counted, 32 outputs a word.
//!
//! The spikes of a step are listed once; each output position takes its own out of the list, and
//! bit-sliced counters add up their columns. Then `x_j = 2 count_j - P(s)`. The cost
//! follows the number of spikes.

use super::counters::{self, CAPACITY, GROUP};
use super::geometry::Geometry;
use super::{BLOCK, Sums, Visit};
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
            // A tap is noted in 16 bits.
            && layer.taps() <= usize::from(u16::MAX)
    }

    #[inline(never)]
    fn sums(layer: &Layer, weights: &[u32], input: Input<'_>, visit: Visit<'_>) {
        let Input::Spikes(words) = input else { return };
        let geometry = Geometry::new(layer);
        let mut list = List::new();
        let listed = list.fill(&geometry, words);
        let mut columns = Columns::new(weights, layer.row_words());
        let mut sums = [0; BLOCK];
        let mut position = 0;
        for row in 0..geometry.output[0] {
            list.rewind();
            for column in 0..geometry.output[1] {
                let corner = [row * geometry.pitch[0], column * geometry.pitch[1]];
                for block in 0..geometry.blocks() {
                    // What another block has collected serves this one too.
                    if !columns.select(block) {
                        if listed {
                            list.walk(&geometry, corner, &mut columns, &mut sums);
                        } else {
                            scan(&geometry, corner, words, &mut columns, &mut sums);
                        }
                    }
                    columns.finish(&mut sums);
                    visit(position, block, &mut sums);
                }
                columns.clear();
                position += 1;
            }
        }
    }
}

/// Adds the column of every spike that an output position reads, word by word of the input.
#[inline(never)]
fn scan(
    geometry: &Geometry,
    corner: [usize; 2],
    words: &[u32],
    columns: &mut Columns<'_>,
    sums: &mut [i32; BLOCK],
) {
    geometry.visit_runs(corner, |at, tap, count| {
        for offset in (0..count).step_by(32) {
            let spikes = bits::read(words, at + offset, (count - offset).min(32));
            let (mut set, mut len) = ([0; 32], 0);
            bits::visit_set(spikes, |bit| {
                if let Some(slot) = set.get_mut(len) {
                    *slot = bit as u16;
                }
                len += 1;
            });
            let set = set.get(..len).unwrap_or(&[]);
            columns.extend(set, (tap + offset) as u16, sums);
        }
    });
}

/// Rows of a map that a list can hold.
const ROWS: usize = 32;

/// Spikes that a list can hold: fewer on cores without compare-and-swap, the smallest ones, whose
/// stack is a few kilobytes (a micro:bit has 3.7 KB left beside the MNIST network).
const SPIKES: usize = if cfg!(target_has_atomic = "32") {
    512
} else {
    288
};

/// The spikes of a map, row by row.
struct List {
    /// Flat index within its row of each spike, in order.
    spikes: [u16; SPIKES],
    /// Where each row begins in the list; the entry behind the last row is the end.
    starts: [u16; ROWS + 1],
    /// First spike of each row that positions from the current one on can read.
    cursors: [u16; ROWS],
}

impl List {
    fn new() -> Self {
        Self {
            spikes: [0; SPIKES],
            starts: [0; ROWS + 1],
            cursors: [0; ROWS],
        }
    }

    /// Lists the spikes; `false` where there is no room for them.
    #[inline(always)]
    fn fill(&mut self, geometry: &Geometry, words: &[u32]) -> bool {
        let row_len = geometry.map[1] * geometry.channels;
        if geometry.map[0] > ROWS {
            return false;
        }
        let mut len = 0;
        for row in 0..geometry.map[0] {
            for offset in (0..row_len).step_by(32) {
                let spikes = bits::read(words, row * row_len + offset, (row_len - offset).min(32));
                bits::visit_set(spikes, |bit| {
                    if let Some(slot) = self.spikes.get_mut(len) {
                        *slot = (offset + bit) as u16;
                    }
                    len += 1;
                });
                if len > SPIKES {
                    return false;
                }
            }
            if let Some(start) = self.starts.get_mut(row + 1) {
                *start = len as u16;
            }
        }
        true
    }

    /// Goes back to the first column of the map.
    fn rewind(&mut self) {
        for (cursor, start) in self.cursors.iter_mut().zip(&self.starts) {
            *cursor = *start;
        }
    }

    /// Adds the column of every spike that an output position reads, once for each place of the
    /// pooling window that reads it. Positions of a row come from left to right.
    #[inline(always)]
    fn walk(
        &mut self,
        geometry: &Geometry,
        corner: [usize; 2],
        columns: &mut Columns<'_>,
        sums: &mut [i32; BLOCK],
    ) {
        let channels = geometry.channels;
        let [width, kernel_width] = [geometry.map[1], geometry.kernel[1]].map(|side| side as i32);
        let row_taps = geometry.kernel[1] * channels;
        // Flat index within a row of the left edge of a place of the window; behind padding it lies
        // left of column 0. No further out than where nothing of the map is seen, so that it fits.
        let edge = |place: usize| {
            let column = corner[1] + place * geometry.stride[1];
            let column = column as i32 - geometry.padding[1] as i32;
            column.max(-kernel_width).min(width) * channels as i32
        };
        let first = geometry.padding[0].saturating_sub(corner[0]);
        let below = (geometry.map[0] + geometry.padding[0]).saturating_sub(corner[0]);
        for down in first..geometry.span()[0].min(below) {
            let row = corner[0] + down - geometry.padding[0];
            let (Some(cursor), Some(&end)) = (self.cursors.get_mut(row), self.starts.get(row + 1))
            else {
                return;
            };
            let spikes = self.spikes.get(usize::from(*cursor)..usize::from(end));
            let mut spikes = from(spikes.unwrap_or(&[]), edge(0));
            *cursor = end - spikes.len() as u16;
            for place in 0..geometry.window[1] {
                let left = edge(place);
                spikes = from(spikes, left);
                let run = below_edge(spikes, left + row_taps as i32);
                if !run.is_empty() {
                    let mut ky = down;
                    for _ in 0..geometry.window[0] {
                        // Above the place's window it wraps around to a large number.
                        if ky < geometry.kernel[0] {
                            let tap = (ky * row_taps) as u16;
                            columns.extend(run, tap.wrapping_sub(left as u16), sums);
                        }
                        ky = ky.wrapping_sub(geometry.stride[0]);
                    }
                }
            }
        }
    }
}

/// The spikes from the flat index `edge` of the row on.
#[inline(always)]
fn from(mut spikes: &[u16], edge: i32) -> &[u16] {
    while let [spike, rest @ ..] = spikes
        && i32::from(*spike) < edge
    {
        spikes = rest;
    }
    spikes
}

/// The spikes before the flat index `edge` of the row.
#[inline(always)]
fn below_edge(spikes: &[u16], edge: i32) -> &[u16] {
    let count = spikes
        .iter()
        .take_while(|spike| i32::from(**spike) < edge)
        .count();
    spikes.get(..count).unwrap_or(&[])
}

/// The weight columns that one output position adds up.
struct Columns<'a> {
    weights: &'a [u32],
    row_words: usize,
    taps: [[u16; GROUP]; CAPACITY / GROUP],
    len: usize,
    block: usize,
    /// Columns that are in `sums` already.
    counted: i32,
    /// Whether the columns are those of this position.
    collected: bool,
}

impl<'a> Columns<'a> {
    fn new(weights: &'a [u32], row_words: usize) -> Self {
        Self {
            weights,
            row_words,
            taps: [[0; GROUP]; CAPACITY / GROUP],
            len: 0,
            block: 0,
            counted: 0,
            collected: false,
        }
    }

    /// Forgets the columns of a position.
    #[inline(always)]
    fn clear(&mut self) {
        self.len = 0;
        self.collected = false;
    }

    /// Turns to a block of outputs; `true` where all columns are here already.
    #[inline(always)]
    fn select(&mut self, block: usize) -> bool {
        self.block = block;
        let here = self.collected && self.counted == 0;
        if !here {
            self.len = 0;
        }
        self.counted = 0;
        here
    }

    /// Adds the columns of the taps `base + spike`, which wrap around.
    #[inline(always)]
    fn extend(&mut self, mut spikes: &[u16], base: u16, sums: &mut [i32; BLOCK]) {
        loop {
            let room = self.taps.as_flattened_mut().get_mut(self.len..);
            let room = room.unwrap_or(&mut []);
            let count = room.len().min(spikes.len());
            for (slot, &spike) in room.iter_mut().zip(spikes) {
                *slot = spike.wrapping_add(base);
            }
            self.len += count;
            spikes = spikes.get(count..).unwrap_or(&[]);
            if spikes.is_empty() {
                return;
            }
            self.flush(sums);
        }
    }

    /// Sets the sums of the block.
    #[inline(always)]
    fn finish(&mut self, sums: &mut [i32; BLOCK]) {
        let (counted, total) = (self.counted, self.counted + self.len as i32);
        if total == 0 {
            sums.fill(0);
        } else {
            self.add(-total, sums);
        }
        // What is here serves the next block where nothing was counted before.
        self.counted = counted;
        self.collected = true;
    }

    /// Counts the collected columns, and forgets them.
    #[inline(never)]
    fn flush(&mut self, sums: &mut [i32; BLOCK]) {
        self.add(0, sums);
        self.counted += self.len as i32;
        self.len = 0;
    }

    /// Adds twice the counts of the collected columns, and `offset`, to the sums; the first time
    /// at a position to 0.
    #[inline(never)]
    fn add(&mut self, offset: i32, sums: &mut [i32; BLOCK]) {
        let groups = self.len.div_ceil(GROUP);
        if let Some(rest) = self
            .taps
            .as_flattened_mut()
            .get_mut(self.len..groups * GROUP)
        {
            // No such tap: it counts nothing.
            rest.fill(u16::MAX);
        }
        let columns = self.taps.get(..groups).unwrap_or(&[]);
        let first = self.block * (BLOCK / 32);
        let words = self.row_words.saturating_sub(first);
        let keep = if self.counted == 0 { 0 } else { -1 };
        for (word, sums) in sums
            .as_chunks_mut::<32>()
            .0
            .iter_mut()
            .enumerate()
            .take(words)
        {
            let planes = if self.row_words == 2 {
                // The common width: no multiplication for each column.
                let rows = self.weights.as_chunks::<2>().0;
                counters::count(columns, |tap| rows.get(tap).map_or(0, |row| row[word & 1]))
            } else {
                let weights = self.weights.get(first + word..).unwrap_or(&[]);
                let row_words = self.row_words;
                counters::count(columns, |tap| {
                    weights.get(tap * row_words).copied().unwrap_or(0)
                })
            };
            let counters = counters::transpose(planes);
            for (i, counters) in counters.iter().enumerate() {
                for (b, count) in counters.to_le_bytes().into_iter().enumerate() {
                    let sum = &mut sums[8 * b + i];
                    // Twice a count may pass 32 bits where the difference does not.
                    *sum = (*sum & keep)
                        .wrapping_add(2 * i32::from(count))
                        .wrapping_add(offset);
                }
            }
        }
    }
}
