//! Latency encoding: larger values spike earlier.

use super::{EncodeError, check_words, pack};

/// The step, from 0, in which `value` spikes in a run of `steps`; `None` for 0, which never does.
///
/// `((255 - p) * T) >> 8`: 255 spikes in the first step, 1 in the last or close to it. Exact for
/// every `steps`.
///
/// ```
/// use bitspike_core::encode::latency_step;
/// assert_eq!([255, 128, 1, 0].map(|p| latency_step(p, 8)), [Some(0), Some(3), Some(7), None]);
/// ```
#[inline]
pub const fn latency_step(value: u8, steps: u32) -> Option<u32> {
    if value == 0 {
        None
    } else {
        Some((((255 - value) as u64 * steps as u64) >> 8) as u32)
    }
}

/// Replaces `spikes` by those of step `step` of `steps`: each value over 0 spikes once in the run.
///
/// One multiplication a value. There is no state: steps may be encoded in any order.
///
/// # Errors
/// [`EncodeError::Words`] where `spikes` has not one bit a value, in whole words.
///
/// ```
/// use bitspike_core::encode::latency;
/// let mut spikes = [0];
/// latency(&[255, 1, 0, 200], 0, 4, &mut spikes)?;
/// assert_eq!(spikes, [0b1001]);
/// # Ok::<(), bitspike_core::encode::EncodeError>(())
/// ```
pub fn latency(
    values: &[u8],
    step: u32,
    steps: u32,
    spikes: &mut [u32],
) -> Result<(), EncodeError> {
    check_words(spikes, values.len())?;
    pack(values, spikes, |value| {
        latency_step(value, steps) == Some(step)
    });
    Ok(())
}
