//! Delta encoding of sensor samples: events where a signal rises or falls.

use core::ops::{Add, Sub};

use super::{EncodeError, check_words};

/// A sensor sample: `i16` or `i32`. Differences are taken one width up, where they are exact.
pub trait Sample: Copy + sealed::Sealed {
    /// The width above.
    #[doc(hidden)]
    type Wide: Copy + Ord + From<Self> + Add<Output = Self::Wide> + Sub<Output = Self::Wide>;
    /// The value in the sample's own width, which holds it.
    #[doc(hidden)]
    fn narrow(wide: Self::Wide) -> Self;
}

mod sealed {
    pub trait Sealed: Default {}
    impl Sealed for i16 {}
    impl Sealed for i32 {}
}

impl Sample for i16 {
    type Wide = i32;
    #[inline]
    fn narrow(wide: i32) -> Self {
        wide as Self
    }
}

impl Sample for i32 {
    type Wide = i64;
    #[inline]
    fn narrow(wide: i64) -> Self {
        wide as Self
    }
}

/// Encodes the change of `n` signals as `2 n` spike channels: signal `i` rises in channel `2 i` and
/// falls in channel `2 i + 1`.
///
/// Every signal has a reference `q`, which its first sample sets. Then, at most one event a step:
/// up if `v - q >= d`, and `q += d`; else down if `q - v >= d`, and `q -= d`. A jump of many `d` is
/// told over as many steps.
///
/// ```
/// use bitspike_core::encode::Delta;
/// let mut references = [0i16; 2];
/// let mut delta = Delta::new(10, &mut references)?;
/// let mut spikes = [0];
/// delta.encode(&[100, -5], &mut spikes)?;
/// assert_eq!(spikes, [0]);
/// delta.encode(&[115, -30], &mut spikes)?;
/// assert_eq!(spikes, [0b1001]);
/// # Ok::<(), bitspike_core::encode::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct Delta<'a, S> {
    step: S,
    references: &'a mut [S],
    started: bool,
}

impl<'a, S: Sample> Delta<'a, S> {
    /// An encoder of as many signals as there are `references`, whose content does not matter;
    /// `step` is in units of the samples.
    ///
    /// # Errors
    /// [`EncodeError::Step`] for a step under 1.
    pub fn new(step: S, references: &'a mut [S]) -> Result<Self, EncodeError> {
        if S::Wide::from(step) <= S::Wide::from(S::default()) {
            return Err(EncodeError::Step);
        }
        Ok(Self {
            step,
            references,
            started: false,
        })
    }

    /// Replaces `spikes` by the events of the next step. Two subtractions a signal.
    ///
    /// # Errors
    /// [`EncodeError::Samples`] where there is not one sample a reference;
    /// [`EncodeError::Words`] where `spikes` has not two bits a sample, in whole words.
    pub fn encode(&mut self, samples: &[S], spikes: &mut [u32]) -> Result<(), EncodeError> {
        let (expected, got) = (self.references.len(), samples.len());
        if expected != got {
            return Err(EncodeError::Samples { expected, got });
        }
        check_words(spikes, 2 * got)?;
        if !self.started {
            self.started = true;
            self.references
                .iter_mut()
                .zip(samples)
                .for_each(|(q, v)| *q = *v);
        }
        let d = S::Wide::from(self.step);
        let pairs = self.references.chunks_mut(16).zip(samples.chunks(16));
        for (word, (references, samples)) in spikes.iter_mut().zip(pairs) {
            *word = 0;
            for ((reference, &sample), signal) in references.iter_mut().zip(samples).zip(0..16) {
                let (v, q) = (S::Wide::from(sample), S::Wide::from(*reference));
                // The new reference lies between the old one and the sample: it fits.
                if v - q >= d {
                    *reference = S::narrow(q + d);
                    *word |= 1 << (2 * signal);
                } else if q - v >= d {
                    *reference = S::narrow(q - d);
                    *word |= 2 << (2 * signal);
                }
            }
        }
        Ok(())
    }

    /// The next samples set the references again.
    pub fn reset(&mut self) {
        self.started = false;
    }

    /// The reference of each signal; meaningless before the first sample.
    pub fn references(&self) -> &[S] {
        self.references
    }
}
