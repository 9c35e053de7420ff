//! The spikes of a map, listed once a step, and the windows that read them.

use super::plan::Plan;

/// The spikes of a map, row by row.
#[derive(Debug)]
pub(super) struct List<'a> {
    /// Flat index of each spike within its row, in order.
    spikes: &'a mut [u16],
    /// For each row, where each pixel's spikes begin, and where the last one's end.
    starts: &'a mut [u16],
}

impl<'a> List<'a> {
    pub(super) fn new(spikes: &'a mut [u16], starts: &'a mut [u16]) -> Self {
        Self { spikes, starts }
    }

    /// Lists the spikes of a map; gives the synaptic operations. `words(pixel)` are the pixel's
    /// channels, 16 a word.
    #[inline(always)]
    pub(super) fn fill<I: Iterator<Item = u16>>(
        &mut self,
        plan: &Plan,
        fans: &[u32],
        words: impl Fn(usize) -> I,
    ) -> u64 {
        let width = plan.map[1];
        let (mut len, mut operations) = (0usize, 0u64);
        let starts = self.starts.chunks_mut(width + 1);
        let mut pixel = 0usize;
        for (starts, fans) in starts.zip(fans.chunks(width)).take(plan.map[0]) {
            let mut first = 0usize;
            for (start, &fan) in starts.iter_mut().zip(fans) {
                let before = len;
                *start = len as u16;
                let mut at = first;
                for word in words(pixel) {
                    len = list(self.spikes, len, word, at);
                    at = at.wrapping_add(16);
                }
                let here = len.wrapping_sub(before) as u64;
                operations = operations.wrapping_add(here.wrapping_mul(fan.into()));
                pixel = pixel.wrapping_add(1);
                first = first.wrapping_add(plan.channels);
            }
            if let Some(end) = starts.last_mut() {
                *end = len as u16;
            }
        }
        operations
    }

    /// Lists the spikes of a whole layer as the channels of one pixel.
    #[inline(always)]
    pub(super) fn fill_flat(&mut self, before: &Plan, fans: &[u32], halves: &[u16]) -> u64 {
        let mut len = 0;
        let positions = halves.chunks(before.row() / 16);
        for (position, halves) in positions.take(before.positions()).enumerate() {
            for (index, &word) in halves.iter().enumerate() {
                let first = position * before.outputs + 16 * index;
                len = list(self.spikes, len, word, first);
            }
        }
        if let Some([start, end]) = self.starts.first_chunk_mut() {
            (*start, *end) = (0, len as u16);
        }
        len as u64 * u64::from(fans.first().copied().unwrap_or(0))
    }
}

/// Appends the set bits of a word, counted from `first` on; gives the new length.
#[inline(always)]
fn list(spikes: &mut [u16], mut len: usize, mut word: u16, first: usize) -> usize {
    while word != 0 {
        if let Some(slot) = spikes.get_mut(len) {
            *slot = (first as u16).wrapping_add(word.trailing_zeros() as u16);
        }
        len = len.wrapping_add(1);
        word &= word.wrapping_sub(1);
    }
    len
}

/// The part of the map that an output position reads.
pub(super) struct Window {
    /// Rows and columns of the map, the first and the one behind the last.
    rows: [usize; 2],
    columns: [usize; 2],
    /// Tap that the first of them meets.
    tap: usize,
}

impl Window {
    #[inline(always)]
    pub(super) fn new(plan: &Plan, row: usize, column: usize) -> Self {
        let corner = [row * plan.pitch[0], column * plan.pitch[1]];
        let [rows, columns] = [0, 1].map(|i| {
            let end = corner[i] + plan.kernel[i];
            [corner[i], end].map(|at| at.saturating_sub(plan.padding[i]).min(plan.map[i]))
        });
        // Rows and columns of the kernel that lie outside of the map.
        let outside = [0, 1].map(|i| plan.padding[i].saturating_sub(corner[i]));
        Self {
            rows,
            columns,
            tap: (outside[0] * plan.kernel[1] + outside[1]) * plan.channels,
        }
    }

    /// For each row of the map: the spikes that are listed there, and what makes them taps, wrapping
    /// around.
    #[inline(always)]
    pub(super) fn spikes<'l>(
        &self,
        plan: &Plan,
        list: &'l List<'_>,
    ) -> impl Iterator<Item = (&'l [u16], u16)> {
        let row_starts = plan.map[1] + 1;
        let [mut from, mut to] = self.columns.map(|at| self.rows[0] * row_starts + at);
        let mut base = self.tap.wrapping_sub(self.columns[0] * plan.channels) as u16;
        let row_taps = (plan.kernel[1] * plan.channels) as u16;
        (self.rows[0]..self.rows[1]).map(move |_| {
            let at = |index: usize| list.starts.get(index).map_or(0, |at| usize::from(*at));
            let listed = list.spikes.get(at(from)..at(to)).unwrap_or(&[]);
            from = from.wrapping_add(row_starts);
            to = to.wrapping_add(row_starts);
            let first = base;
            base = base.wrapping_add(row_taps);
            (listed, first)
        })
    }

    /// For each row of the map: its values, and the tap that the first of them meets.
    #[inline(always)]
    pub(super) fn values<'b>(
        &self,
        plan: &Plan,
        bytes: &'b [u8],
    ) -> impl Iterator<Item = (&'b [u8], usize)> {
        let row_len = plan.map[1] * plan.channels;
        let [from, to] = self.columns.map(|at| at * plan.channels);
        let (mut first, mut tap) = (self.rows[0] * row_len, self.tap);
        let row_taps = plan.kernel[1] * plan.channels;
        (self.rows[0]..self.rows[1]).map(move |_| {
            let range = first.wrapping_add(from)..first.wrapping_add(to);
            let row = (bytes.get(range).unwrap_or(&[]), tap);
            first = first.wrapping_add(row_len);
            tap = tap.wrapping_add(row_taps);
            row
        })
    }
}
