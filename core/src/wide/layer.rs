//! One step of one layer: its spikes are listed, rows of weights added, and all neurons advance.
#![expect(
    clippy::needless_range_loop,
    reason = "several arrays are indexed by a lane; a zip of them all hides that and vectorises less"
)]

use super::plan::{Plan, RUN, Room};
use crate::bits;
use crate::lif::{Lif, Reset};

/// The state of all layers, and what a step needs beside it.
#[derive(Debug)]
pub(super) struct Work<'a> {
    pub(super) membranes: &'a mut [i16],
    /// 1 for neurons that fired in the last step.
    pub(super) fired: &'a mut [u8],
    /// The same, packed.
    words: &'a mut [u32],
    /// Sums of a graded first layer.
    loaded: &'a mut [i32],
    /// Sums of a layer in this step.
    sums: &'a mut [i32],
    list: List<'a>,
}

/// Where a layer's spikes come from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'i> {
    /// The network's input.
    Words(&'i [u32]),
    /// The layer before.
    Layer(&'i Plan),
    /// Sums are there already.
    Loaded,
}

impl<'a> Work<'a> {
    pub(super) fn new(memory: &'a mut [u32], room: &Room) -> Option<Self> {
        let mut rest = memory;
        let mut parts = [(); 7].map(|()| <&mut [u32]>::default());
        for (part, words) in parts.iter_mut().zip(room.parts()) {
            (*part, rest) = rest.split_at_mut_checked(words)?;
        }
        let [membranes, fired, words, loaded, sums, spikes, starts] = parts;
        Some(Self {
            membranes: bytemuck::cast_slice_mut(membranes),
            fired: bytemuck::cast_slice_mut(fired),
            words,
            loaded: bytemuck::cast_slice_mut(loaded),
            sums: bytemuck::cast_slice_mut(sums),
            list: List {
                spikes: bytemuck::cast_slice_mut(spikes),
                starts: bytemuck::cast_slice_mut(starts),
            },
        })
    }

    #[inline(always)]
    pub(super) fn clear(&mut self) {
        self.membranes.fill(0);
        self.fired.fill(0);
        self.words.fill(0);
    }

    /// Advances a layer; gives its spikes, and the synaptic operations of those that it read.
    #[inline(always)]
    pub(super) fn step(&mut self, plan: &Plan, tables: &[u32], source: Source<'_>) -> (u64, u64) {
        let fans = tables.get(plan.fan_at..).unwrap_or(&[]);
        let operations = match source {
            Source::Words(words) => self.list.fill(plan, fans, |pixel, offset| {
                let count = (plan.channels - offset).min(32);
                bits::read(words, pixel * plan.channels + offset, count).into()
            }),
            Source::Layer(before) => {
                let halves = bytemuck::cast_slice::<u32, u16>(self.words);
                let halves = halves.get(before.neurons_at / 16..).unwrap_or(&[]);
                if plan.map == before.output {
                    self.list.fill(plan, fans, |pixel, offset| {
                        halves
                            .get((pixel * before.row() + offset) / 16)
                            .copied()
                            .unwrap_or(0)
                            .into()
                    })
                } else {
                    self.list.fill_flat(before, fans, halves)
                }
            }
            Source::Loaded => 0,
        };
        if !matches!(source, Source::Loaded) {
            match plan.lanes {
                16 => self.sum::<16>(plan, tables),
                32 => self.sum::<32>(plan, tables),
                _ => self.sum::<64>(plan, tables),
            }
        }
        let sums = match source {
            Source::Loaded => &*self.loaded,
            _ => &*self.sums,
        };
        let runs = plan.neurons_at..plan.neurons_at + plan.neurons;
        let spikes = update(
            &plan.lif,
            sums,
            self.membranes.get_mut(runs.clone()).unwrap_or(&mut []),
            self.fired.get_mut(runs).unwrap_or(&mut []),
            self.words
                .get_mut(plan.neurons_at / 32..)
                .unwrap_or(&mut []),
            bytemuck::cast_slice(tables.get(plan.thresholds_at..).unwrap_or(&[])),
            bytemuck::cast_slice(tables.get(plan.biases_at..).unwrap_or(&[])),
        );
        (spikes, operations)
    }

    /// Computes the sums of the spikes that are listed.
    #[inline(always)]
    fn sum<const L: usize>(&mut self, plan: &Plan, tables: &[u32]) {
        let weights = rows::<L>(tables.get(plan.weights_at..));
        let mut to = self.sums.as_chunks_mut::<L>().0.iter_mut();
        let mut taps = Taps::new();
        for row in 0..plan.output[0] {
            for column in 0..plan.output[1] {
                let window = Window::new(plan, row, column);
                for block in 0..plan.blocks {
                    let Some(to) = to.next() else { return };
                    let weights = weights.get(block * plan.taps()..).unwrap_or(&[]);
                    let weights = weights.get(..plan.taps()).unwrap_or(&[]);
                    *to = [0; L];
                    taps.len = 0;
                    window.each(plan, &self.list, |_, mut spikes, base| {
                        while taps.extend(&mut spikes, base) {
                            taps.add(plan.flush, weights, to);
                        }
                    });
                    taps.add(plan.flush, weights, to);
                }
            }
        }
    }

    /// Computes the sums of a graded input; gives its synaptic operations.
    #[inline(always)]
    pub(super) fn load(&mut self, plan: &Plan, tables: &[u32], bytes: &[u8], flip: i16) -> u64 {
        let fans = tables.get(plan.fan_at..).unwrap_or(&[]);
        let operations = self.list.fill_graded(plan, fans, bytes);
        match (plan.lanes, plan.half) {
            (16, true) => self.load_of::<16, i16>(plan, tables, bytes, flip),
            (16, false) => self.load_of::<16, i32>(plan, tables, bytes, flip),
            (32, true) => self.load_of::<32, i16>(plan, tables, bytes, flip),
            (32, false) => self.load_of::<32, i32>(plan, tables, bytes, flip),
            (_, true) => self.load_of::<64, i16>(plan, tables, bytes, flip),
            (_, false) => self.load_of::<64, i32>(plan, tables, bytes, flip),
        }
        operations
    }

    #[inline(always)]
    fn load_of<const L: usize, T: Lane>(
        &mut self,
        plan: &Plan,
        tables: &[u32],
        bytes: &[u8],
        flip: i16,
    ) {
        let weights = rows::<L>(tables.get(plan.weights_at..));
        let mut to = self.loaded.as_chunks_mut::<L>().0.iter_mut();
        let mut values = Values::new();
        let row_len = plan.map[1] * plan.channels;
        for row in 0..plan.output[0] {
            for column in 0..plan.output[1] {
                let window = Window::new(plan, row, column);
                for block in 0..plan.blocks {
                    let Some(to) = to.next() else { return };
                    let weights = weights.get(block * plan.taps()..).unwrap_or(&[]);
                    let mut sums = [T::default(); L];
                    values.len = 0;
                    window.each(plan, &self.list, |row, mut listed, base| {
                        let bytes = bytes.get(row * row_len..).unwrap_or(&[]);
                        while values.extend(&mut listed, base, bytes, flip) {
                            values.add(weights, &mut sums);
                        }
                    });
                    values.add(weights, &mut sums);
                    for lane in 0..L {
                        to[lane] = sums[lane].into();
                    }
                }
            }
        }
    }
}

/// Words of a table as rows of `L` weights.
#[inline(always)]
fn rows<const L: usize>(words: Option<&[u32]>) -> &[[i8; L]] {
    bytemuck::cast_slice::<u32, i8>(words.unwrap_or(&[]))
        .as_chunks()
        .0
}

/// The spikes of a map, row by row.
#[derive(Debug)]
struct List<'a> {
    /// Flat index of each spike within its row, in order.
    spikes: &'a mut [u16],
    /// For each row, where each pixel's spikes begin, and where the last one's end.
    starts: &'a mut [u16],
}

impl List<'_> {
    /// Lists the spikes of a map; gives the synaptic operations. `word(pixel, offset)` are channels
    /// from `offset` on, a multiple of 16.
    #[inline(always)]
    fn fill(&mut self, plan: &Plan, fans: &[u32], word: impl Fn(usize, usize) -> u64) -> u64 {
        let width = plan.map[1];
        let (mut len, mut operations) = (0usize, 0u64);
        let starts = self.starts.chunks_mut(width + 1);
        let mut pixel = 0;
        for (starts, fans) in starts.zip(fans.chunks(width)).take(plan.map[0]) {
            let mut first = 0;
            for (start, &fan) in starts.iter_mut().zip(fans) {
                let before = len;
                *start = len as u16;
                for offset in (0..plan.channels).step_by(16) {
                    let word = word(pixel, offset) as u16;
                    len = list(self.spikes, len, word, first + offset);
                }
                let here = len.wrapping_sub(before) as u64;
                operations = operations.wrapping_add(here.wrapping_mul(fan.into()));
                pixel += 1;
                first += plan.channels;
            }
            if let Some(end) = starts.last_mut() {
                *end = len as u16;
            }
        }
        operations
    }

    /// Lists the values of a map that are not 0; gives the synaptic operations.
    #[inline(always)]
    fn fill_graded(&mut self, plan: &Plan, fans: &[u32], bytes: &[u8]) -> u64 {
        let (channels, width) = (plan.channels, plan.map[1]);
        let (mut len, mut operations) = (0, 0);
        let starts = self.starts.chunks_mut(width + 1);
        let rows = bytes.chunks(width * channels).zip(fans.chunks(width));
        for ((bytes, fans), starts) in rows.zip(starts).take(plan.map[0]) {
            let pixels = bytes.chunks(channels).zip(fans).zip(starts.iter_mut());
            for (column, ((bytes, &fan), start)) in pixels.enumerate() {
                let before = len;
                *start = len as u16;
                for (channel, &byte) in bytes.iter().enumerate() {
                    // Always written, and kept where it is not 0: no branch to guess.
                    if let Some(slot) = self.spikes.get_mut(len) {
                        *slot = (column * channels + channel) as u16;
                    }
                    len += usize::from(byte != 0);
                }
                operations += (len - before) as u64 * u64::from(fan);
            }
            if let Some(end) = starts.last_mut() {
                *end = len as u16;
            }
        }
        operations
    }

    /// Lists the spikes of a whole layer as the channels of one pixel.
    #[inline(always)]
    fn fill_flat(&mut self, before: &Plan, fans: &[u32], halves: &[u16]) -> u64 {
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
struct Window {
    /// Rows of the map, the first and the one behind the last.
    rows: [usize; 2],
    /// Where the first row's first column and the one behind the last are among the starts.
    starts: [usize; 2],
    /// What makes an index within the first row a tap, wrapping around.
    base: u16,
}

impl Window {
    #[inline(always)]
    fn new(plan: &Plan, row: usize, column: usize) -> Self {
        let corner = [row * plan.pitch[0], column * plan.pitch[1]];
        let first = [0, 1].map(|i| corner[i].saturating_sub(plan.padding[i]).min(plan.map[i]));
        let end = [0, 1].map(|i| {
            let end = (corner[i] + plan.kernel[i]).saturating_sub(plan.padding[i]);
            end.min(plan.map[i])
        });
        // Rows and columns of the kernel that lie outside of the map.
        let outside = [0, 1].map(|i| plan.padding[i].saturating_sub(corner[i]));
        let tap = (outside[0] * plan.kernel[1] + outside[1]) * plan.channels;
        let at = first[0] * (plan.map[1] + 1);
        Self {
            rows: [first[0], end[0]],
            starts: [at + first[1], at + end[1]],
            base: tap.wrapping_sub(first[1] * plan.channels) as u16,
        }
    }

    /// Calls `read(row, listed, base)` for each row of the map: what is listed there, and what
    /// makes its indices taps.
    #[inline(always)]
    fn each(&self, plan: &Plan, list: &List<'_>, mut read: impl FnMut(usize, &[u16], u16)) {
        let [mut from, mut to] = self.starts;
        let (mut base, row_taps) = (self.base, (plan.kernel[1] * plan.channels) as u16);
        for row in self.rows[0]..self.rows[1] {
            let at = |index: usize| list.starts.get(index).map_or(0, |at| usize::from(*at));
            let listed = list.spikes.get(at(from)..at(to));
            read(row, listed.unwrap_or(&[]), base);
            base = base.wrapping_add(row_taps);
            from = from.wrapping_add(plan.map[1] + 1);
            to = to.wrapping_add(plan.map[1] + 1);
        }
    }
}

/// Taps that are gathered before their rows are added.
const TAPS: usize = 256;

/// Rows that are added for each time that sums go through memory.
const EIGHT: usize = 8;

/// Taps of the spikes of a position.
struct Taps {
    taps: [u16; TAPS],
    len: usize,
}

impl Taps {
    fn new() -> Self {
        Self {
            taps: [0; TAPS],
            len: 0,
        }
    }

    /// Takes the taps `base + spike`, which wrap around, as far as there is room; whether some are
    /// left.
    #[inline(always)]
    fn extend(&mut self, spikes: &mut &[u16], base: u16) -> bool {
        let room = self.taps.get_mut(self.len..).unwrap_or(&mut []);
        let (now, later) = spikes.split_at(spikes.len().min(room.len()));
        for (to, spike) in room.iter_mut().zip(now) {
            *to = spike.wrapping_add(base);
        }
        self.len += now.len();
        *spikes = later;
        !later.is_empty()
    }

    /// Adds the rows of the taps, and forgets them.
    #[inline(always)]
    fn add<const L: usize>(&mut self, flush: usize, weights: &[[i8; L]], sums: &mut [i32; L]) {
        let filled = self.len.next_multiple_of(EIGHT);
        if let Some(rest) = self.taps.get_mut(self.len..filled) {
            // No such tap: its row is 0.
            rest.fill(u16::MAX);
        }
        let taps = self.taps.get(..filled).unwrap_or(&[]);
        let row = |tap: u16| weights.get(usize::from(tap)).unwrap_or(&[0; L]);
        for taps in taps.chunks(flush) {
            let mut part = Part([0; L]);
            let (eights, rest) = taps.as_chunks::<EIGHT>();
            for eight in eights {
                let rows = eight.map(row);
                for lane in 0..L {
                    let four = |at: usize| {
                        let two = |at: usize| rows[at][lane].wrapping_add(rows[at + 1][lane]);
                        two(at).wrapping_add(two(at + 2))
                    };
                    part.0[lane] = part.0[lane].wrapping_add(four(0).wrapping_add(four(4)));
                }
            }
            for &tap in rest {
                let row = row(tap);
                for lane in 0..L {
                    part.0[lane] = part.0[lane].wrapping_add(row[lane]);
                }
            }
            for lane in 0..L {
                sums[lane] = sums[lane].wrapping_add(part.0[lane].into());
            }
        }
        self.len = 0;
    }
}

/// Sums in a byte each; aligned, so that no store lies across two cache lines.
#[repr(align(64))]
struct Part<const L: usize>([i8; L]);

/// Values of a position that are not 0, and their taps.
struct Values {
    values: [i16; TAPS],
    taps: [u16; TAPS],
    len: usize,
}

impl Values {
    fn new() -> Self {
        Self {
            values: [0; TAPS],
            taps: [0; TAPS],
            len: 0,
        }
    }

    /// Takes the values of a row of the map whose indices are listed, as far as there is room;
    /// whether some are left. Their taps are `base + index`, which wrap around.
    #[inline(always)]
    fn extend(&mut self, listed: &mut &[u16], base: u16, bytes: &[u8], flip: i16) -> bool {
        let values = self.values.get_mut(self.len..).unwrap_or(&mut []);
        let taps = self.taps.get_mut(self.len..).unwrap_or(&mut []);
        let (now, later) = listed.split_at(listed.len().min(values.len()));
        for ((value, tap), &index) in values.iter_mut().zip(taps).zip(now) {
            let byte = bytes.get(usize::from(index)).copied().unwrap_or(0);
            *value = (i16::from(byte) ^ flip).wrapping_sub(flip);
            *tap = index.wrapping_add(base);
        }
        self.len += now.len();
        *listed = later;
        !later.is_empty()
    }

    /// Adds the rows of the taps times the values, and forgets them.
    #[inline(always)]
    fn add<const L: usize, T: Lane>(&mut self, weights: &[[i8; L]], sums: &mut [T; L]) {
        let filled = self.len.next_multiple_of(EIGHT);
        if let Some(rest) = self.values.get_mut(self.len..filled) {
            rest.fill(0);
        }
        let row = |tap: u16| weights.get(usize::from(tap)).unwrap_or(&[0; L]);
        let values = self.values.as_chunks::<EIGHT>().0.iter();
        let taps = self.taps.as_chunks::<EIGHT>().0.iter();
        for (values, taps) in values.zip(taps).take(filled / EIGHT) {
            let rows = taps.map(row);
            for lane in 0..L {
                let mut sum = sums[lane];
                for (value, row) in values.iter().zip(rows) {
                    sum = sum.add_product(*value, row[lane]);
                }
                sums[lane] = sum;
            }
        }
        self.len = 0;
    }
}

/// A sum in a width that is proven to hold it.
trait Lane: Copy + Default + Into<i32> {
    fn add_product(self, value: i16, weight: i8) -> Self;
}

impl Lane for i16 {
    #[inline(always)]
    fn add_product(self, value: i16, weight: i8) -> Self {
        self.wrapping_add(value.wrapping_mul(weight.into()))
    }
}

impl Lane for i32 {
    #[inline(always)]
    fn add_product(self, value: i16, weight: i8) -> Self {
        self.wrapping_add(i32::from(value).wrapping_mul(weight.into()))
    }
}

/// Advances runs of neurons; gives the number of their spikes.
#[inline(always)]
fn update(
    lif: &Lif,
    sums: &[i32],
    membranes: &mut [i16],
    fired: &mut [u8],
    words: &mut [u32],
    thresholds: &[i16],
    biases: &[i16],
) -> u64 {
    let narrow = lif.narrow();
    let shift = lif.right_shift();
    let zero = u32::from(lif.reset == Reset::Zero);
    let parameters = thresholds.as_chunks::<RUN>().0.iter();
    let parameters = parameters.zip(biases.as_chunks::<RUN>().0);
    let state = membranes.as_chunks_mut::<RUN>().0.iter_mut();
    let state = state.zip(fired.as_chunks_mut::<RUN>().0);
    let state = state.zip(words.as_chunks_mut::<2>().0);
    let runs = sums.as_chunks::<RUN>().0.iter().zip(parameters).zip(state);
    let mut spikes = 0;
    for ((sums, (thresholds, biases)), ((membranes, fired), words)) in runs {
        for lane in 0..RUN {
            let spiked = u32::from(fired[lane]);
            // All bits set, or none after a spike that resets to 0.
            let kept = (spiked & zero).wrapping_sub(1) as i16;
            let drive = narrow.drive(sums[lane] >> shift, biases[lane]);
            let (after, spike) =
                narrow.update(membranes[lane] & kept, spiked, drive, thresholds[lane]);
            membranes[lane] = after;
            fired[lane] = (spike >> 31) as u8;
        }
        let mut word = 0;
        for (index, bytes) in fired.as_chunks::<8>().0.iter().enumerate() {
            // Byte `k` is 0 or 1: the product collects them in its highest byte.
            let bits = u64::from_le_bytes(*bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56;
            word |= bits << (8 * index);
        }
        spikes += u64::from(word.count_ones());
        *words = [word as u32, (word >> 32) as u32];
    }
    spikes
}
