//! The neurons of a layer, many at a time.

use super::plan::RUN;
use crate::lif::{Lif, Narrow, Offset, Reset};

/// Advances runs of neurons; gives the number of their spikes.
#[inline(always)]
pub(super) fn update(
    lif: &Lif,
    sums: &[i32],
    membranes: &mut [i16],
    fired: &mut [u8],
    words: &mut [u32],
    thresholds: &[i16],
    biases: &[i16],
) -> u64 {
    let narrow = lif.narrow();
    let subtract = u32::from(narrow.subtract);
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
            let reset = Narrow::reset(spiked & subtract, thresholds[lane]);
            let after = narrow.integrate(Offset::NONE, membranes[lane] & kept, drive, reset);
            membranes[lane] = after as i16;
            fired[lane] = (membranes[lane] > thresholds[lane]).into();
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
