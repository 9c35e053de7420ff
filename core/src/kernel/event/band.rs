//! The spikes under a row of output positions, noted once for all of them.

use core::ops::Range;

use super::{Ways, capacity};
use crate::bits;
use crate::kernel::columns::Columns;
use crate::kernel::geometry::Geometry;
use crate::kernel::{PAIR, SMALL, Visit};
use crate::neurons::TILE;

/// Spikes of a band, and columns of the padded map.
const SPIKES: usize = capacity(SMALL);
const COLUMNS: usize = if SMALL { 32 } else { 64 };

/// Rows of the map, counted once for each row of the pooling window, that a band can have.
const ROWS: usize = 16;

/// The spikes under neighbouring output positions of one row, column by column of the map.
pub(super) struct Band {
    /// Tap of each spike, were the map's first column the kernel's; a spike that meets two taps in
    /// the rows of a pooling window stands there twice.
    spikes: [u16; SPIKES],
    /// Where the spikes of each column of the padded map begin; behind the last one, where they end.
    columns: [u16; COLUMNS + 1],
    /// First column of the padded map.
    first: usize,
}

impl Band {
    pub(super) fn new() -> Self {
        Self {
            spikes: [0; SPIKES],
            columns: [0; COLUMNS + 1],
            first: 0,
        }
    }

    /// Notes the spikes under the output positions of a row from `position` on, as many as there
    /// is room for; `top` is their first row of the padded map. Returns the first position that is
    /// not whole.
    #[inline(never)]
    pub(super) fn fill(
        &mut self,
        geometry: &Geometry,
        words: &[u32],
        [top, position]: [usize; 2],
        ways: &Ways,
    ) -> usize {
        self.first = position * geometry.pitch[1];
        let end = self.list(geometry, words, [top, self.first], ways);
        // The last place of a position is the farthest to the right.
        let reach = (geometry.window[1] - 1) * geometry.stride[1] + geometry.kernel[1];
        let Some(more) = end.checked_sub(self.first + reach) else {
            return position;
        };
        (position + more / geometry.pitch[1].max(1) + 1).min(geometry.output[1])
    }

    /// Notes the spikes of the padded map's columns from `first` on; returns the first column
    /// without room.
    #[inline(always)]
    fn list(
        &mut self,
        geometry: &Geometry,
        words: &[u32],
        [top, first]: [usize; 2],
        ways: &Ways,
    ) -> usize {
        let (channels, padding) = (geometry.channels, geometry.padding[1]);
        let mut rows = [Row::default(); ROWS];
        let Some(rows) = Row::under(geometry, top, &mut rows) else {
            return first;
        };
        let last = (geometry.map[1] + 2 * padding).min(first + COLUMNS);
        let whole = (geometry.map[1] * channels).is_multiple_of(32);
        for column in first..padding.min(last) {
            self.start(column, 0);
        }
        // Of the map; behind the padding to its left.
        let mut column = first.saturating_sub(padding);
        let map_last = geometry.map[1].min(last.saturating_sub(padding));
        // Columns that share a word, or words of a column.
        let together = (32 / channels.max(1)).max(1);
        let mut len = 0;
        while column < map_last {
            let columns = together.min(map_last - column);
            let at = column * channels;
            if channels <= 32 {
                let any = read(rows, words, whole, at, columns * channels);
                let noted =
                    self.note_columns(rows, any, [column + padding, columns], channels, at, len);
                match noted {
                    Ok(more) => len = more,
                    Err(column) => return column,
                }
            } else {
                let started = len;
                for row in rows.iter() {
                    len = (ways.note_row)(self, row, words, [at, channels], len);
                }
                self.start(column + padding, started);
                if len > SPIKES {
                    return column + padding;
                }
            }
            column += columns;
        }
        for column in (padding + map_last).max(first)..=last {
            self.start(column, len);
        }
        last
    }

    /// Sets where the spikes of a column of the padded map begin.
    #[inline(always)]
    fn start(&mut self, column: usize, len: usize) {
        if let Some(start) = self.columns.get_mut(column.wrapping_sub(self.first)) {
            *start = len as u16;
        }
    }

    /// Notes the spikes of the rows' words, `any` of all rows, whose first bit is that of tap `tap`;
    /// they begin with a column of the padded map. Returns how many are noted then, or the column
    /// without room.
    #[inline(always)]
    fn note_columns(
        &mut self,
        rows: &[Row],
        any: u32,
        [column, count]: [usize; 2],
        channels: usize,
        tap: usize,
        mut len: usize,
    ) -> Result<usize, usize> {
        let first = column.wrapping_sub(self.first);
        let starts = self.columns.get_mut(first..first.wrapping_add(count));
        let mut mask = bits::low_mask(channels);
        let Some(starts) = starts else {
            return Ok(len);
        };
        let mut starts = starts.iter_mut();
        while let Some(start) = starts.next() {
            *start = len as u16;
            if any & mask != 0 {
                for row in rows {
                    let tap = usize::from(row.tap) + tap;
                    len = note(&mut self.spikes, row.word & mask, tap, len);
                }
                if len > SPIKES {
                    return Err(column + count - 1 - starts.len());
                }
            }
            mask = mask.wrapping_shl(channels as u32);
        }
        Ok(len)
    }

    /// Notes the spikes of a row in a column of many channels.
    #[inline(never)]
    pub(super) fn note_row(
        &mut self,
        row: &Row,
        words: &[u32],
        [at, channels]: [usize; 2],
        mut len: usize,
    ) -> usize {
        let from = usize::from(row.at) + at;
        let tap = usize::from(row.tap) + at;
        let mut offset = 0;
        if from.is_multiple_of(32) {
            // Words that hold nothing else.
            let words = words.get(from / 32..(from + channels) / 32);
            for &word in words.unwrap_or(&[]) {
                len = note(&mut self.spikes, word, tap + offset, len);
                offset += 32;
            }
        }
        while offset < channels {
            let count = (channels - offset).min(32);
            let spikes = bits::read(words, from + offset, count);
            len = note(&mut self.spikes, spikes, tap + offset, len);
            offset += 32;
        }
        len
    }

    /// As [`Sums::sums`](crate::kernel::Sums::sums), of output positions of 16 channels,
    /// from the padded column `left` on.
    #[inline(never)]
    pub(super) fn pairs(
        &self,
        geometry: &Geometry,
        columns: &mut Columns<'_>,
        mut left: usize,
        positions: Range<usize>,
        visit: Visit<'_>,
    ) {
        let pitch = geometry.pitch[1];
        // Two, but a loop that the compiler leaves one.
        let together = TILE / geometry.outputs.max(1);
        let mut position = positions.start;
        while position < positions.end {
            // Neurons of a pair fill a word.
            let mut pair = position.is_multiple_of(2) && position + 1 < positions.end;
            if pair {
                columns.begin();
                let (mut lower, mut left) = (0, left);
                for index in 0..together {
                    lower = columns.gathered();
                    self.walk(geometry, left, |run, base| {
                        columns.extend_half(run, base, PAIR * index);
                    });
                    left += pitch;
                }
                pair = columns.have_room();
                if pair {
                    visit(position, 0, columns.finish_pair(lower));
                }
            }
            if !pair {
                self.block(geometry, columns, left, position..position + 1, 0, visit);
            }
            let done = 1 + usize::from(pair);
            position += done;
            left += done * pitch;
        }
    }

    /// As [`Sums::sums`](crate::kernel::Sums::sums), of one block of output positions, from
    /// the padded column `left` on.
    #[inline(never)]
    pub(super) fn block(
        &self,
        geometry: &Geometry,
        columns: &mut Columns<'_>,
        mut left: usize,
        positions: Range<usize>,
        block: usize,
        visit: Visit<'_>,
    ) {
        for position in positions {
            columns.begin();
            self.walk(geometry, left, |run, base| columns.extend(run, base));
            visit(position, block, columns.finish());
            left += geometry.pitch[1];
        }
    }

    /// Calls `visit(run, base)` for the spikes that an output position reads, at each place of the
    /// pooling window; their taps are `run + base`, which wraps around.
    #[inline(always)]
    pub(super) fn walk(
        &self,
        geometry: &Geometry,
        left: usize,
        mut visit: impl FnMut(&[u16], usize),
    ) {
        let mut start = left.wrapping_sub(self.first);
        // To the left of the map it is negative, and wraps around.
        let mut base = geometry.padding[1]
            .wrapping_sub(left)
            .wrapping_mul(geometry.channels);
        for _ in 0..geometry.window[1] {
            let ends = [start, start.wrapping_add(geometry.kernel[1])];
            let [Some(&from), Some(&to)] = ends.map(|at| self.columns.get(at)) else {
                return;
            };
            if from < to {
                let Some(run) = self.spikes.get(from.into()..to.into()) else {
                    return;
                };
                visit(run, base);
            }
            start = start.wrapping_add(geometry.stride[1]);
            base = base.wrapping_sub(geometry.stride[1] * geometry.channels);
        }
    }
}

/// Notes the spikes of a word whose first bit meets `tap`; returns how many are noted then, also those
/// without room.
#[inline(always)]
fn note(noted: &mut [u16; SPIKES], spikes: u32, tap: usize, mut len: usize) -> usize {
    bits::visit_set(spikes, |bit| {
        if let Some(slot) = noted.get_mut(len) {
            *slot = (tap + bit) as u16;
        }
        len += 1;
    });
    len
}

/// A row of the map under a kernel at one place of the pooling window.
#[derive(Clone, Copy, Default)]
pub(super) struct Row {
    /// First bit of the row, and the tap that it meets were the map's first column the kernel's.
    at: u16,
    tap: u16,
    /// Bits of the columns that are looked at.
    word: u32,
}

impl Row {
    /// The rows under an output position's windows, whose first row of the padded map is `top`;
    /// `None` where they are too many, or a tap to the right of the kernel does not fit 16 bits.
    #[inline(always)]
    fn under<'r>(
        geometry: &Geometry,
        top: usize,
        rows: &'r mut [Row; ROWS],
    ) -> Option<&'r mut [Row]> {
        let row_len = geometry.map[1] * geometry.channels;
        let row_taps = geometry.kernel[1] * geometry.channels;
        if geometry.kernel[0] * row_taps + row_len > usize::from(u16::MAX) {
            return None;
        }
        let mut len = 0;
        let mut above = top;
        for _ in 0..geometry.window[0] {
            // The kernel's rows inside the map.
            let first = geometry.padding[0].saturating_sub(above);
            let end = (geometry.map[0] + geometry.padding[0]).saturating_sub(above);
            let count = end.min(geometry.kernel[0]).saturating_sub(first);
            let y = (above + first).wrapping_sub(geometry.padding[0]);
            let mut at = y.wrapping_mul(row_len);
            let mut tap = first * row_taps;
            for row in rows.get_mut(len..len + count)? {
                (row.at, row.tap) = (at as u16, tap as u16);
                at += row_len;
                tap += row_taps;
            }
            len += count;
            above += geometry.stride[0];
        }
        rows.get_mut(..len)
    }
}

/// Reads `count` (at most 32) bits of every row, `at` bits behind its first; returns all in one.
/// `whole` are rows that begin with a word.
#[inline(always)]
fn read(rows: &mut [Row], words: &[u32], whole: bool, at: usize, count: usize) -> u32 {
    let mut any = 0;
    // Rows of whole words are the common ones.
    if count == 32 && at.is_multiple_of(32) && whole {
        let Some(words) = words.get(at / 32..) else {
            return 0;
        };
        for row in rows {
            row.word = words.get(usize::from(row.at) / 32).copied().unwrap_or(0);
            any |= row.word;
        }
    } else {
        for row in rows {
            row.word = bits::read(words, usize::from(row.at) + at, count);
            any |= row.word;
        }
    }
    any
}
