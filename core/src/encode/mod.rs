//! Encoders: from sensor values to the spikes of one time step.
//!
//! Each is usable without a model, works in the caller's memory, and computes the same bits on
//! every machine (docs/numerics.md, "Encoders and random numbers"):
//!
//! | encoder | reads | a spike means |
//! |---|---|---|
//! | direct | `u8`, `i8` | nothing to do: the values are the input of every step, see [`Model::input`] |
//! | [`Rate`] | `u8` | a draw fell under the value: rates proportional to the values |
//! | [`latency()`](latency()) | `u8` | one spike a value and run; a larger value spikes earlier |
//! | [`Delta`] | `i16`, `i32` samples | the sample rose (or fell) by the step |
//! | [`Events`] | addresses | an event came from there since the last step |
//! | [`cochlea`] | `i16` samples of sound | the level of a channel of pitch passed its threshold |
//!
//! Spikes are written as a network reads them ([`Model::input_words`]): bit `i % 32` of word
//! `i / 32`, the bits behind the last value 0, whatever the words held before.
//!
//! [`Model::input`]: crate::model::Model::input
//! [`Model::input_words`]: crate::model::Model::input_words

use core::fmt;

use crate::bits::words_for;

pub mod cochlea;
mod delta;
mod event;
mod latency;
mod rate;

pub use delta::{Delta, Sample};
pub use event::Events;
pub use latency::{latency, latency_step};
pub use rate::Rate;

/// Why nothing was encoded; the caller's memory is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// There are not as many words for the spikes as the values need.
    Words {
        /// Words that hold one bit a value (delta: two).
        expected: usize,
        /// Words that were given.
        got: usize,
    },
    /// There are not as many samples as references.
    Samples {
        /// Number of references.
        expected: usize,
        /// Number of samples.
        got: usize,
    },
    /// The step of a delta encoder is under 1.
    Step,
    /// An event comes from outside the map.
    Address {
        /// Rows, columns, channels or flat addresses, whichever the event passes.
        size: usize,
        /// Address of the event, from 0.
        got: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Words { expected, got } => {
                write!(f, "the spikes need {expected} words of memory, not {got}")
            }
            Self::Samples { expected, got } => {
                write!(f, "{got} samples for {expected} references")
            }
            Self::Step => f.write_str("the step between two events is under 1"),
            Self::Address { size, got } => {
                write!(
                    f,
                    "event address {got} is outside the map: there are {size} from 0 on"
                )
            }
        }
    }
}

impl core::error::Error for EncodeError {}

/// Checks that `spikes` holds `bits` bits, no word more or less.
fn check_words(spikes: &[u32], bits: usize) -> Result<(), EncodeError> {
    let (expected, got) = (words_for(bits), spikes.len());
    if expected == got {
        Ok(())
    } else {
        Err(EncodeError::Words { expected, got })
    }
}

/// Writes a bit a value, 32 values a word, the padding 0; `spikes` has been checked.
fn pack<T: Copy>(values: &[T], spikes: &mut [u32], mut fires: impl FnMut(T) -> bool) {
    for (word, values) in spikes.iter_mut().zip(values.chunks(32)) {
        *word = values.iter().zip(0..32).fold(0, |word, (&value, bit)| {
            word | u32::from(fires(value)) << bit
        });
    }
}
