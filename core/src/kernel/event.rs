//! Event-driven: the weight columns of the set input bits are counted, 32 outputs a word.
//!
//! The spikes of a step are listed once; each output position takes its own out of the list, and
//! bit-sliced counters add up their columns. Then `x_j = 2 count_j - P(s)`. The cost
//! follows the number of spikes.

use super::columns::Columns;
use super::geometry::Geometry;
use super::{SMALL, Sums, Visit};
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
        let mut list = List::new(&geometry);
        let listed = list.fill(&geometry, words);
        let mut columns = Columns::new(layer.row_words());
        let mut position = 0;
        for row in 0..geometry.output[0] {
            if listed {
                list.turn_to(&geometry, row * geometry.pitch[0]);
            }
            for column in 0..geometry.output[1] {
                let corner = [row * geometry.pitch[0], column * geometry.pitch[1]];
                for block in 0..geometry.blocks() {
                    columns.begin(weights, block);
                    if listed {
                        list.walk(&geometry, corner, &mut columns);
                    } else {
                        scan(&geometry, corner, words, &mut columns);
                    }
                    columns.finish();
                    visit(position, block, &mut columns.sums);
                }
                position += 1;
            }
        }
    }
}

/// Adds the column of every spike that an output position reads, word by word of the input.
#[inline(never)]
fn scan(geometry: &Geometry, corner: [usize; 2], words: &[u32], columns: &mut Columns<'_>) {
    geometry.visit_runs(corner, |at, tap, count| {
        for offset in (0..count).step_by(32) {
            let spikes = bits::read(words, at + offset, (count - offset).min(32));
            bits::visit_set(spikes, |bit| columns.push(tap + offset + bit));
        }
    });
}

/// Rows of a map that a list can hold.
const ROWS: usize = 32;

/// Spikes that a list can hold, and columns of the rows under a window.
const SPIKES: usize = if SMALL { 288 } else { 512 };
const PIXELS: usize = if SMALL { 104 } else { 288 };

/// The spikes of a map, row by row.
struct List {
    /// Flat index within its row of each spike, in order.
    spikes: [u16; SPIKES],
    /// Where each row begins in the list; the entry behind the last row is the end.
    rows: [u16; ROWS + 1],
    /// Where the spikes from each column on begin, of the rows under the window: row `y` has the
    /// entries from `(y & ring) * (width + 1)` on.
    pixels: [u16; PIXELS],
    ring: usize,
    ring_len: usize,
    /// First row whose pixels are not there yet.
    next: usize,
}

impl List {
    fn new(geometry: &Geometry) -> Self {
        let rows = geometry.span()[0].min(geometry.map[0]).next_power_of_two();
        Self {
            spikes: [0; SPIKES],
            rows: [0; ROWS + 1],
            pixels: [0; PIXELS],
            ring: rows - 1,
            ring_len: rows * (geometry.map[1] + 1),
            next: 0,
        }
    }

    /// Lists the spikes; `false` where there is no room for them.
    #[inline(always)]
    fn fill(&mut self, geometry: &Geometry, words: &[u32]) -> bool {
        let row_len = geometry.map[1] * geometry.channels;
        if geometry.map[0] > ROWS || self.ring_len > PIXELS {
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
            if let Some(start) = self.rows.get_mut(row + 1) {
                *start = len as u16;
            }
        }
        true
    }

    /// Notes the columns of the rows under windows whose first row of the padded map is `top`.
    /// Rows come from the first to the last.
    #[inline(never)]
    fn turn_to(&mut self, geometry: &Geometry, top: usize) {
        let end = (top + geometry.span()[0]).saturating_sub(geometry.padding[0]);
        let first = top.saturating_sub(geometry.padding[0]).max(self.next);
        let end = end.min(geometry.map[0]);
        let pitch = geometry.map[1] + 1;
        for row in first..end {
            let at = (row & self.ring) * pitch;
            let pixels = self.pixels.get_mut(at..at + pitch).unwrap_or(&mut []);
            let (Some(&start), Some(&stop)) = (self.rows.get(row), self.rows.get(row + 1)) else {
                return;
            };
            let (mut spike, stop) = (usize::from(start), usize::from(stop));
            let spikes = self.spikes.get(..stop).unwrap_or(&[]);
            let mut edge = 0;
            for pixel in pixels {
                while let Some(&index) = spikes.get(spike)
                    && usize::from(index) < edge
                {
                    spike += 1;
                }
                *pixel = spike as u16;
                edge += geometry.channels;
            }
        }
        self.next = end.max(self.next);
    }

    /// Adds the column of every spike that an output position reads, once for each place of the
    /// pooling window that reads it.
    #[inline(always)]
    fn walk(&self, geometry: &Geometry, corner: [usize; 2], columns: &mut Columns<'_>) {
        let channels = geometry.channels;
        let width = geometry.map[1];
        let row_taps = geometry.kernel[1] * channels;
        let top = geometry.padding[0].saturating_sub(corner[0]);
        let below = (geometry.map[0] + geometry.padding[0]).saturating_sub(corner[0]);
        let bottom = geometry.span()[0].min(below);
        for place in 0..geometry.window[1] {
            // The first column of the place, and the one behind its last; to the left of the map
            // the first is negative, and wraps around.
            let column = corner[1] + place * geometry.stride[1];
            let left = column.saturating_sub(geometry.padding[1]).min(width);
            let right = (column + geometry.kernel[1])
                .saturating_sub(geometry.padding[1])
                .min(width);
            let offset = geometry.padding[1]
                .wrapping_sub(column)
                .wrapping_mul(channels);
            let mut at = (corner[0] + top - geometry.padding[0]) & self.ring;
            at *= width + 1;
            for down in top..bottom {
                let (first, end) = (self.pixels.get(at + left), self.pixels.get(at + right));
                let (Some(&first), Some(&end)) = (first, end) else {
                    return;
                };
                at += width + 1;
                if at == self.ring_len {
                    at = 0;
                }
                if first >= end {
                    continue;
                }
                let run = self.spikes.get(first.into()..end.into()).unwrap_or(&[]);
                let (mut ky, mut base) = (down, (down * row_taps).wrapping_add(offset));
                for _ in 0..geometry.window[0] {
                    // Above the place's window it wraps around to a large number.
                    if ky < geometry.kernel[0] {
                        columns.extend(run, base);
                    }
                    ky = ky.wrapping_sub(geometry.stride[0]);
                    base = base.wrapping_sub(geometry.stride[0] * row_taps);
                }
            }
        }
    }
}
