//! Loops over the neurons of a word.

use core::sync::atomic::{Ordering, compiler_fence};

use crate::bits;
use crate::lif::{Gain, Narrow, Offset};
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
        drives.first_chunk(),
    ) {
        return advance(lif, membranes, thresholds, spiked, &Driven(drives));
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

/// What a word of neurons takes in a step.
pub(crate) trait Drive {
    /// A neuron's, by its place in the word: less than [`TILE`].
    fn of(&self, k: usize) -> (Offset, i32);

    /// Advances the neurons as if none had spiked; returns their spikes.
    fn quiet(&self, lif: &Narrow, membranes: &mut [i16; TILE], thresholds: &[i16; TILE]) -> u32;
}

/// A word of neurons; returns their spikes.
#[inline(always)]
pub(crate) fn advance<D: Drive>(
    lif: &Narrow,
    membranes: &mut MembraneWords,
    thresholds: &[i16; TILE],
    spiked: u32,
    drive: &D,
) -> u32 {
    if spiked == 0 {
        return drive.quiet(lif, bytemuck::cast_mut(membranes), thresholds);
    }
    advance_spiked(lif, membranes, thresholds, spiked, drive)
}

/// As [`advance`], where neurons have spiked.
#[inline(never)]
fn advance_spiked<D: Drive>(
    lif: &Narrow,
    membranes: &mut MembraneWords,
    thresholds: &[i16; TILE],
    spiked: u32,
    drive: &D,
) -> u32 {
    let spiked = clear(lif, bytemuck::cast_slice_mut(membranes), spiked);
    let before: [[u32; TILE / 4]; 2] = if cfg!(target_arch = "riscv32") {
        // Both halves at once would be a call.
        let [low, high]: &[[u32; TILE / 4]; 2] = bytemuck::cast_ref(membranes);
        [*low, *high]
    } else {
        bytemuck::cast(*membranes)
    };
    let before: &[i16; TILE] = bytemuck::cast_ref(&before);
    let membranes: &mut [i16; TILE] = bytemuck::cast_mut(membranes);
    let mut spikes = drive.quiet(lif, membranes, thresholds);
    bits::visit_set(spiked, |k| {
        let k = k % TILE;
        let threshold = i32::from(thresholds[k]);
        let after = i32::from(membranes[k]);
        // A threshold is above 0, so that only the upper end of the range hides how far it is.
        let after = if after < i32::from(i16::MAX) {
            lif.saturate(after - threshold)
        } else {
            let (offset, drive) = drive.of(k);
            lif.integrate(offset, before[k], drive, threshold)
        };
        membranes[k] = after as i16;
        if after <= threshold {
            spikes &= !(1 << k);
        }
    });
    spikes
}

/// Drives as they are.
struct Driven<'a>(&'a [i16; TILE]);

impl Drive for Driven<'_> {
    #[inline(always)]
    fn of(&self, k: usize) -> (Offset, i32) {
        (Offset::NONE, self.0[k].into())
    }

    #[inline(never)]
    fn quiet(&self, lif: &Narrow, membranes: &mut [i16; TILE], thresholds: &[i16; TILE]) -> u32 {
        let membranes = membranes.as_chunks_mut::<LANE>().0.iter_mut();
        let thresholds = thresholds.as_chunks::<LANE>().0;
        let drives = self.0.as_chunks::<LANE>().0;
        let mut spikes = 0;
        for ((membranes, thresholds), drives) in membranes.zip(thresholds).zip(drives) {
            spikes >>= LANE;
            for k in 0..LANE {
                let after = lif.integrate(Offset::NONE, membranes[k], drives[k].into(), 0);
                membranes[k] = after as i16;
                if after > i32::from(thresholds[k]) {
                    // A branch, as for counts.
                    compiler_fence(Ordering::SeqCst);
                    spikes |= 1 << (TILE - LANE + k);
                }
            }
        }
        spikes
    }
}

/// Counts of the first `lanes` lanes; the halves of the word have an offset each.
pub(crate) struct Counted<'a> {
    pub(crate) counts: &'a CountBytes,
    pub(crate) biases: &'a [i16; TILE],
    pub(crate) gain: Gain,
    pub(crate) offsets: [Offset; 2],
    pub(crate) lanes: usize,
}

impl Counted<'_> {
    /// Of whole words, without counts and biases; `inputs` as in [`Counts`](crate::kernel::Counts).
    #[inline(always)]
    pub(crate) fn new(lif: &Narrow, inputs: [i32; 2]) -> Self {
        Self {
            counts: &[[0; TILE / LANE]; LANE],
            biases: &[0; TILE],
            gain: lif.gain(),
            offsets: inputs.map(|inputs| lif.offset(inputs)),
            lanes: TILE / LANE,
        }
    }

    #[inline(always)]
    fn drive(&self, k: usize) -> i32 {
        let count = self.counts[k % LANE][k / LANE % (TILE / LANE)];
        self.gain.drive(count, self.biases[k])
    }
}

impl Drive for Counted<'_> {
    #[inline(always)]
    fn of(&self, k: usize) -> (Offset, i32) {
        (self.offsets[k / (TILE / 2) % 2], self.drive(k))
    }

    #[inline(never)]
    fn quiet(&self, lif: &Narrow, membranes: &mut [i16; TILE], thresholds: &[i16; TILE]) -> u32 {
        // A copy, which no fence makes the compiler load again.
        let Self { offsets, lanes, .. } = *self;
        let drive = Counted { ..*self };
        let mut spikes = 0;
        // Without a loop over the lanes every place is a constant, which leaves registers.
        macro_rules! lane {
            ($lane:literal) => {
                for k in LANE * $lane..LANE * ($lane + 1) {
                    let taken = drive.drive(k);
                    let after = lif.integrate(offsets[k / (TILE / 2)], membranes[k], taken, 0);
                    membranes[k] = after as i16;
                    if after > i32::from(thresholds[k]) {
                        // No instruction, but it stays a branch, over which nothing is reordered:
                        // mixed with the next one, a neuron leaves small processors without
                        // registers.
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
