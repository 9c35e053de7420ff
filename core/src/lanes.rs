//! Loops over the neurons of a word.

use core::sync::atomic::{Ordering, compiler_fence};

use crate::bits;
use crate::lif::{Narrow, Offset};
use crate::neurons::TILE;

/// Neurons whose loop is unrolled.
pub(crate) const LANE: usize = 8;

// Each stands in a function of its own, which leaves it all registers.

/// Up to 32 neurons with these parameters and membranes, as many as there are sums; returns their
/// spikes.
#[inline(never)]
pub(crate) fn advance_sums(
    lif: &Narrow,
    membranes: &mut [i16],
    thresholds: &[i16],
    biases: &[i16],
    sums: &[i32],
    spiked: u32,
) -> u32 {
    let membranes = membranes.get_mut(..sums.len()).unwrap_or(&mut []);
    let spikes = clear(lif, membranes, spiked);
    let drives = sums.iter().zip(biases);
    let drives = drives.map(|(&sum, &bias)| lif.drive(sum, bias));
    let spikes = one_by_one(lif, membranes, thresholds, drives, spikes);
    spikes.wrapping_shr((TILE - membranes.len()) as u32)
}

/// As [`advance_sums`], given the drives.
#[inline(never)]
pub(crate) fn advance_driven(
    lif: &Narrow,
    membranes: &mut [i16],
    thresholds: &[i16],
    drives: &[i16],
    spiked: u32,
) -> u32 {
    let count = drives.len();
    // From an odd neuron on they are not aligned to words.
    if let (Some(Ok(membranes)), Some(thresholds), Some(drives)) = (
        membranes
            .first_chunk_mut::<TILE>()
            .map(bytemuck::try_cast_mut),
        thresholds.first_chunk(),
        drives.first_chunk::<TILE>(),
    ) {
        let drive = move |k: usize| drives[k].into();
        let offsets = [Offset::NONE; 2];
        return advance(
            lif,
            offsets,
            membranes,
            thresholds,
            TILE / LANE,
            spiked,
            &drive,
        );
    }
    let spikes = clear(lif, membranes, spiked);
    let drives = drives.iter().map(|&drive| drive.into());
    let spikes = one_by_one(lif, membranes, thresholds, drives, spikes);
    spikes.wrapping_shr((TILE - count.min(TILE)) as u32)
}

/// The membranes of a word of neurons, two a word: aligned, they are copied faster.
pub(crate) type MembraneWords = [u32; TILE / 2];

/// The counts of a word of neurons: byte `b` of entry `k` is that of neuron `8 b + k`.
pub(crate) type CountBytes = [[u8; TILE / LANE]; LANE];

/// The first `lanes` lanes of a word of neurons, given counts; the halves of the word have an offset
/// each.
#[inline(always)]
pub(crate) fn advance_counts(
    lif: &Narrow,
    offsets: [Offset; 2],
    membranes: &mut MembraneWords,
    thresholds: &[i16; TILE],
    biases: &[i16; TILE],
    counts: &CountBytes,
    lanes: usize,
    spiked: u32,
) -> u32 {
    let gain = lif.gain();
    let drive = move |k: usize| gain.drive(counts[k % LANE][k / LANE % (TILE / LANE)], biases[k]);
    advance(lif, offsets, membranes, thresholds, lanes, spiked, &drive)
}

/// The first `lanes` lanes of a word of neurons, whose drives `drive` gives.
#[inline(always)]
fn advance<D: Fn(usize) -> i32 + Copy>(
    lif: &Narrow,
    offsets: [Offset; 2],
    membranes: &mut MembraneWords,
    thresholds: &[i16; TILE],
    lanes: usize,
    spiked: u32,
    drive: &D,
) -> u32 {
    if spiked == 0 {
        return advance_quiet(
            lif,
            offsets,
            bytemuck::cast_mut(membranes),
            thresholds,
            lanes,
            drive,
        );
    }
    advance_spiked(lif, offsets, membranes, thresholds, lanes, spiked, drive)
}

/// As [`advance`], where neurons have spiked.
#[inline(never)]
fn advance_spiked<D: Fn(usize) -> i32 + Copy>(
    lif: &Narrow,
    offsets: [Offset; 2],
    membranes: &mut MembraneWords,
    thresholds: &[i16; TILE],
    lanes: usize,
    spiked: u32,
    drive: &D,
) -> u32 {
    let spiked = clear(lif, bytemuck::cast_slice_mut(membranes), spiked);
    let before = *membranes;
    let before: &[i16; TILE] = bytemuck::cast_ref(&before);
    let membranes: &mut [i16; TILE] = bytemuck::cast_mut(membranes);
    let mut spikes = advance_quiet(lif, offsets, membranes, thresholds, lanes, drive);
    bits::visit_set(spiked, |k| {
        let k = k % TILE;
        let threshold = i32::from(thresholds[k]);
        let after = i32::from(membranes[k]);
        // A threshold is above 0, so that only the upper end of the range hides how far it is.
        let after = if after < i32::from(i16::MAX) {
            lif.saturate(after - threshold)
        } else {
            lif.integrate(offsets[k / (TILE / 2)], before[k], drive(k), threshold)
        };
        membranes[k] = after as i16;
        if after <= threshold {
            spikes &= !(1 << k);
        }
    });
    spikes
}

/// As [`advance`], as if no neuron had spiked.
#[inline(never)]
fn advance_quiet<D: Fn(usize) -> i32 + Copy>(
    lif: &Narrow,
    offsets: [Offset; 2],
    membranes: &mut [i16; TILE],
    thresholds: &[i16; TILE],
    lanes: usize,
    drive: &D,
) -> u32 {
    // A copy, which no fence makes the compiler load again.
    let drive = *drive;
    let mut spikes = 0;
    // Without a loop over the lanes every place is a constant, which leaves registers.
    macro_rules! lane {
        ($lane:literal) => {
            for k in LANE * $lane..LANE * ($lane + 1) {
                let drive = drive(k);
                let after = lif.integrate(offsets[k / (TILE / 2)], membranes[k], drive, 0);
                membranes[k] = after as i16;
                if after > i32::from(thresholds[k]) {
                    // No instruction, but it stays a branch, over which nothing is reordered:
                    // mixed with the next one, a neuron leaves small processors without registers.
                    compiler_fence(Ordering::SeqCst);
                    spikes |= 1 << k;
                }
            }
            if lanes == $lane + 1 {
                return spikes;
            }
        };
    }
    lane!(0);
    lane!(1);
    lane!(2);
    lane!(3);
    spikes
}

/// Where spikes set membranes to 0, does so. Returns the spikes that subtract.
#[inline(always)]
fn clear(lif: &Narrow, membranes: &mut [i16], spiked: u32) -> u32 {
    if lif.zero {
        bits::visit_set(spiked, |k| {
            if let Some(membrane) = membranes.get_mut(k) {
                *membrane = 0;
            }
        });
    }
    if lif.subtract { spiked } else { 0 }
}

/// Any number of neurons; spikes leave at the bottom, and come in at the top.
#[inline(always)]
fn one_by_one(
    lif: &Narrow,
    membranes: &mut [i16],
    thresholds: &[i16],
    drives: impl Iterator<Item = i32>,
    mut spikes: u32,
) -> u32 {
    for ((membrane, &threshold), drive) in membranes.iter_mut().zip(thresholds).zip(drives) {
        let after = lif.integrate(
            Offset::NONE,
            *membrane,
            drive,
            Narrow::reset(spikes, threshold),
        );
        *membrane = after as i16;
        spikes = spikes >> 1 | u32::from(after > i32::from(threshold)) << (TILE - 1);
    }
    spikes
}
