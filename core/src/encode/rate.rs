//! Rate encoding, seeded.

use super::{EncodeError, check_words, pack};
use crate::random::Xorshift32;

/// Encodes `u8` values as spikes whose rate is `value / 256`, drawn anew in every step.
///
/// One draw a value and step, also for 0: `s = 1 if (draw >> 24) < p else 0`. Steps are outermost
/// and values come in index order, so a seed and the values fix every spike of a run.
///
/// ```
/// use bitspike_core::encode::Rate;
/// let mut rate = Rate::new(7);
/// let mut spikes = [0];
/// rate.encode(&[0, 255, 128], &mut spikes)?;
/// assert_eq!(spikes, [0b010]);
/// # Ok::<(), bitspike_core::encode::EncodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    random: Xorshift32,
}

impl Rate {
    /// An encoder before its first step. Give each sample a seed of its own, or go on with one
    /// encoder over all of them.
    pub const fn new(seed: u32) -> Self {
        Self {
            random: Xorshift32::new(seed),
        }
    }

    /// Replaces `spikes` by those of the next step. One draw a value.
    ///
    /// # Errors
    /// [`EncodeError::Words`] where `spikes` has not one bit a value, in whole words.
    pub fn encode(&mut self, values: &[u8], spikes: &mut [u32]) -> Result<(), EncodeError> {
        check_words(spikes, values.len())?;
        pack(values, spikes, |value| {
            self.random.draw() >> 24 < u32::from(value)
        });
        Ok(())
    }

    /// The generator; [`Xorshift32::state`] is the seed of an encoder that goes on from here.
    pub const fn random(&self) -> &Xorshift32 {
        &self.random
    }
}
