//! The inputs of a layer that are not zero: spikes, and graded values of the first layer.

use multiversion::multiversion;
use rayon::prelude::*;

use super::synapse::Synapse;

/// Inputs whose bits are held in a word.
const WORD: usize = 64;

/// Inputs that are compared at once.
const PART: usize = 16;

/// Samples whose events are listed together.
const SAMPLES_AT_ONCE: usize = 32;

/// The inputs of a sample that are not zero, by point of the map.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// Where each point's events start; one more than there are points.
    starts: Vec<u32>,
    /// Flat index in the map, and value.
    events: Vec<(u32, f32)>,
    /// Which inputs are not zero, a bit each.
    bits: Vec<u64>,
}

impl Events {
    /// Calls `f(tap, value)` for every event in the window of an output point, row and column.
    #[inline(always)]
    pub(super) fn in_window(
        &self,
        shape: &Synapse,
        point: (usize, usize),
        mut f: impl FnMut(usize, f32),
    ) {
        let channels = shape.channels;
        shape.rows_of(point, |ky, first, count, skipped| {
            let (from, to) = (self.starts[first], self.starts[first + count]);
            let tap = (ky * shape.kernel[1] + skipped) * channels;
            for (place, value) in &self.events[from as usize..to as usize] {
                f(*place as usize + tap - first * channels, *value);
            }
        });
    }
}

/// Finds the events of a sample of a map with so many channels.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
pub(super) fn find_in_map(found: &mut Events, channels: usize, sample: &[f32]) {
    let Events {
        starts,
        events,
        bits,
    } = found;
    starts.clear();
    events.clear();
    bits.clear();
    for values in sample.chunks(WORD) {
        bits.push(nonzero(values));
    }
    let mut next = 0;
    for (word, &set) in bits.iter().enumerate() {
        // The points that start within the word.
        while next < (word + 1) * WORD && next < sample.len() {
            let before = set & ((1 << (next % WORD)) - 1);
            starts.push(events.len() as u32 + before.count_ones());
            next += channels;
        }
        let mut left = set;
        while left != 0 {
            let place = word * WORD + left.trailing_zeros() as usize;
            events.push((place as u32, sample[place]));
            left &= left - 1;
        }
    }
    starts.push(events.len() as u32);
}

/// A bit for each of at most [`WORD`] values that is not zero.
#[inline(always)]
fn nonzero(values: &[f32]) -> u64 {
    let mut set = 0;
    let (parts, rest) = values.as_chunks::<PART>();
    for (part, values) in parts.iter().enumerate() {
        let mut bits = 0u32;
        for (bit, value) in values.iter().enumerate() {
            bits |= u32::from(*value != 0.0) << bit;
        }
        set |= u64::from(bits) << (part * PART);
    }
    for (bit, value) in rest.iter().enumerate() {
        set |= u64::from(*value != 0.0) << (parts.len() * PART + bit);
    }
    set
}

/// An input of a linear layer that is not zero.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Event {
    pub(super) sample: u32,
    tap: u32,
    pub(super) value: f32,
}

/// The inputs of all samples that are not zero, tap by tap, in the order of the samples.
pub(super) struct EventsByTap {
    /// Where each tap's events start; one more than there are taps.
    starts: Vec<usize>,
    events: Vec<Event>,
}

impl EventsByTap {
    pub(super) fn of(input: &[f32], taps: usize) -> Self {
        let found: Vec<Vec<Event>> = input
            .par_chunks(taps * SAMPLES_AT_ONCE)
            .enumerate()
            .map(|(part, samples)| find_events(samples, taps, part * SAMPLES_AT_ONCE))
            .collect();
        let mut starts = vec![0; taps + 1];
        for event in found.iter().flatten() {
            starts[event.tap as usize + 1] += 1;
        }
        for tap in 0..taps {
            starts[tap + 1] += starts[tap];
        }
        let mut next = starts.clone();
        let mut events = vec![Event::default(); starts[taps]];
        for event in found.iter().flatten() {
            let next = &mut next[event.tap as usize];
            events[*next] = *event;
            *next += 1;
        }
        Self { starts, events }
    }

    pub(super) fn of_tap(&self, tap: usize) -> &[Event] {
        &self.events[self.starts[tap]..self.starts[tap + 1]]
    }
}

/// The events of some samples, of which the first has the number `first`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn find_events(samples: &[f32], taps: usize, first: usize) -> Vec<Event> {
    let mut events = Vec::new();
    for (sample, values) in (first as u32..).zip(samples.chunks_exact(taps)) {
        for (word, values) in values.chunks(WORD).enumerate() {
            let mut left = nonzero(values);
            while left != 0 {
                let place = left.trailing_zeros();
                events.push(Event {
                    sample,
                    tap: (word * WORD) as u32 + place,
                    value: values[place as usize],
                });
                left &= left - 1;
            }
        }
    }
    events
}
