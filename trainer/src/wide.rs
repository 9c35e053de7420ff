//! `core`'s networks for wide registers, compiled for the instructions that this processor has.
//!
//! No arithmetic here: each function inlines [`Wide`]'s plain loops under other target features.
//! AArch64 needs none of this, since NEON is in its baseline.

use bitspike_core::decode::Decision;
use bitspike_core::model::Input;
use bitspike_core::wide::Wide;

/// The inputs of a decision.
#[derive(Debug, Clone, Copy)]
pub enum Steps<'i> {
    /// The same in every step; its sums are computed once.
    Still(Input<'i>),
    /// One a step.
    Each(&'i [Input<'i>]),
}

/// Vector instructions that the networks are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Those that every processor of the architecture has: SSE2, NEON.
    Baseline,
    /// AVX2. AVX-512 was tried too, and saved a hundredth of the time (docs/results.md).
    Avx2,
}

impl Level {
    /// Every level, the lowest first.
    pub const ALL: [Self; 2] = [Self::Baseline, Self::Avx2];

    /// The highest level that this processor has.
    pub fn detect() -> Self {
        let there = Self::ALL.into_iter().filter(|level| level.is_available());
        there.max().unwrap_or(Self::Baseline)
    }

    /// Whether this processor has its instructions.
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return match self {
            Self::Baseline => true,
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("bmi2")
                    && is_x86_feature_detected!("popcnt")
                    && is_x86_feature_detected!("lzcnt")
            }
        };
        #[cfg(not(target_arch = "x86_64"))]
        return self == Self::Baseline;
    }

    /// Rests, reads the inputs until the decision is final, and gives it with the steps it took.
    ///
    /// A level that this processor lacks runs as the baseline.
    pub fn decide<const LAYERS: usize>(
        self,
        network: &mut Wide<'_, LAYERS>,
        steps: Steps<'_>,
    ) -> (Decision, u32) {
        #[cfg(target_arch = "x86_64")]
        if self == Self::Avx2 && self.is_available() {
            // SAFETY: `is_available` has found these features on this processor.
            return unsafe { avx2(network, steps) };
        }
        decide(network, steps)
    }
}

#[inline(always)]
fn decide<const LAYERS: usize>(
    network: &mut Wide<'_, LAYERS>,
    steps: Steps<'_>,
) -> (Decision, u32) {
    match steps {
        Steps::Still(input) => network.run_until_final(input),
        Steps::Each(inputs) => {
            network.reset();
            let mut taken = 0;
            for input in inputs {
                network.step(*input);
                taken += 1;
                if network.is_final() {
                    break;
                }
            }
            (network.decision(), taken)
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
fn avx2<const LAYERS: usize>(network: &mut Wide<'_, LAYERS>, steps: Steps<'_>) -> (Decision, u32) {
    decide(network, steps)
}
