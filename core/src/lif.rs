//! The leaky integrate-and-fire neuron, in integers.
//!
//! Per neuron and time step, in this order (see the numerics page):
//!
//! ```text
//! r   = s(t-1)                      0 at t = 0
//! u   = 0 if r                      only with reset "zero"
//! v   = (beta * u) >> 15            arithmetic shift: toward minus infinity
//! v   = v + (x << F) + c            F < 0: x >> -F
//! v   = v - r * theta               only with reset "subtract"
//! u'  = clamp(v, MIN, MAX)          of the membrane's type
//! s   = 1 if u' > theta else 0
//! ```
//!
//! This is the discrete LIF neuron with a reset delayed by one step, snnTorch's `Leaky` with
//! `reset_delay=True`.

use core::sync::atomic::{Ordering, compiler_fence};

use serde::{Deserialize, Serialize};

/// What follows a spike, one time step later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reset {
    /// The threshold is subtracted from the membrane.
    Subtract,
    /// The membrane is set to 0 before it decays.
    Zero,
    /// Nothing: the membrane goes on.
    None,
}

/// The integer type of a layer's membranes, thresholds and biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Membrane {
    /// 16 bits, saturating.
    I16,
    /// 32 bits, saturating.
    I32,
}

impl Membrane {
    /// Smallest and largest value.
    pub const fn range(self) -> (i32, i32) {
        match self {
            Self::I16 => (i16::MIN as i32, i16::MAX as i32),
            Self::I32 => (i32::MIN, i32::MAX),
        }
    }

    /// Words of 32 bits that hold `count` values: two `i16` a word, the first in the low half.
    ///
    /// ```
    /// use bitspike_core::lif::Membrane;
    /// assert_eq!((Membrane::I16.words(5), Membrane::I32.words(5)), (3, 5));
    /// assert_eq!(Membrane::I16.range(), (-32768, 32767));
    /// ```
    pub const fn words(self, count: usize) -> usize {
        match self {
            Self::I16 => count.div_ceil(2),
            Self::I32 => count,
        }
    }
}

/// Decay of a membrane in a step: Q1.15, 0 to 1 inclusive.
///
/// ```
/// use bitspike_core::lif::{Beta, beta};
/// assert_eq!(beta(0.9).to_bits(), 29491);
/// assert_eq!(beta(1.5), Beta::ONE);
/// ```
pub type Beta = fixed::types::U1F15;

/// The decay nearest to `value`, clamped to 0 ..= 1; ties go to the even neighbour. NaN is 0.
pub fn beta(value: f64) -> Beta {
    if value.is_nan() {
        Beta::ZERO
    } else {
        Beta::from_num(value.clamp(0.0, 1.0))
    }
}

/// `value * 2^fraction`, rounded to nearest with ties to even; `None` where that is not finite or
/// does not fit `i32`. `fraction` is clamped to -16 ..= 16.
///
/// ```
/// use bitspike_core::lif::to_fixed;
/// assert_eq!(to_fixed(2.5, 0), Some(2));
/// assert_eq!(to_fixed(1.25, 1), Some(2));
/// assert_eq!(to_fixed(6.0, -2), Some(2));
/// assert_eq!(to_fixed(f64::MAX, 0), None);
/// ```
pub fn to_fixed(value: f64, fraction: i8) -> Option<i32> {
    let power = (1u32 << fraction.unsigned_abs().min(16)) as f64;
    let scaled = if fraction < 0 {
        value / power
    } else {
        value * power
    };
    if !scaled.is_finite() {
        return None;
    }
    fixed::types::I32F0::checked_from_num(scaled).map(|value| value.to_bits())
}

/// The numerics of a layer's neurons that are the same for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lif {
    /// Decay.
    pub beta: Beta,
    /// Fraction bits `F` of membrane, threshold and bias, -16 ..= 16.
    pub fraction: i8,
    /// Type of membrane, threshold and bias.
    pub membrane: Membrane,
    /// What follows a spike.
    pub reset: Reset,
}

/// The integers of one neuron at one time step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neuron {
    /// Membrane before the step.
    pub membrane: i32,
    /// Spike of the step before.
    pub spiked: bool,
    /// Synaptic sum of this step.
    pub sum: i32,
    /// Firing threshold.
    pub threshold: i32,
    /// Bias.
    pub bias: i32,
}

/// The membrane equation of `i16` membranes in 32 bits, without a branch, for loops over neurons.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Narrow {
    beta: i32,
    /// `2^F`; sums come shifted where `F < 0`.
    scale: i32,
    /// `2^15`, in a register where a constant takes an instruction at each use.
    half: i32,
    /// Whether a spike subtracts the threshold.
    pub(crate) subtract: bool,
    /// Whether a spike sets the membrane to 0.
    pub(crate) zero: bool,
}

impl Narrow {
    /// What a neuron adds to its decayed membrane: `(x << F) + c`, of a sum that is shifted to the
    /// right already where `F < 0`.
    #[inline(always)]
    pub(crate) fn drive(self, sum: i32, bias: i16) -> i32 {
        // Proven not to overflow; so said, a build that checks overflow has vectors of them too.
        sum.wrapping_mul(self.scale).wrapping_add(bias.into())
    }

    /// What a count of 1 adds to a membrane, for `F` of 0 to [`MOST_COUNTED`] only.
    #[inline(always)]
    pub(crate) fn gain(self) -> Gain {
        Gain(2 * self.scale)
    }

    /// What `inputs` set inputs (at most 255) add whatever they count, for `F` of 0 to
    /// [`MOST_COUNTED`] only.
    #[inline(always)]
    pub(crate) fn offset(self, inputs: i32) -> Offset {
        // The product with the decay is at most 2^30 in magnitude, and so is this.
        Offset(inputs.wrapping_mul(-self.scale) << 15)
    }

    /// The membrane after a step, which fits 16 bits, less what the [`reset`](Self::reset) takes; reset
    /// "zero" has set the membrane to 0 before.
    #[inline(always)]
    pub(crate) fn integrate(self, offset: Offset, membrane: i16, drive: i32, reset: i32) -> i32 {
        let product = self.beta.wrapping_mul(membrane.into());
        let v = (product.wrapping_add(offset.0) >> 15).wrapping_add(drive);
        self.saturate(v.wrapping_sub(reset))
    }

    /// The nearest value of 16 bits.
    #[inline(always)]
    pub(crate) fn saturate(self, v: i32) -> i32 {
        let (min, max) = Membrane::I16.range();
        if cfg!(not(target_arch = "riscv32")) {
            return v.clamp(min, max);
        }
        // Where no instruction saturates, one look whether it has to costs less.
        if (v.wrapping_add(self.half) as u32) < (self.half as u32) << 1 {
            return v;
        }
        // No instruction, but it stays a branch.
        compiler_fence(Ordering::SeqCst);
        if v < 0 { min } else { max }
    }

    /// What the spike of the step before subtracts, which is the lowest bit of `spiked`; only with
    /// reset "subtract".
    #[inline(always)]
    pub(crate) fn reset(spiked: u32, threshold: i16) -> i32 {
        // A product with a bit: one instruction less than a condition.
        (spiked as i32 & 1).wrapping_mul(threshold.into())
    }
}

/// The most fraction bits at which 255 counts are at most `2^15` units.
const MOST_COUNTED: i8 = 7;

/// What is added before the decay's shift: whole units, in `2^-15` of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offset(i32);

impl Offset {
    /// That of sums, which come whole.
    pub(crate) const NONE: Self = Self(0);
}

/// What a count of 1 adds to a membrane; the number of inputs is in the [`Offset`]:
/// `x = 2 count - inputs`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gain(i32);

impl Gain {
    /// What a neuron adds to its decayed membrane; see [`Narrow::drive`].
    #[inline(always)]
    pub(crate) fn drive(self, count: u8, bias: i16) -> i32 {
        i32::from(count)
            .wrapping_mul(self.0)
            .wrapping_add(bias.into())
    }
}

impl Lif {
    /// The membrane after one step, and whether the neuron fires.
    ///
    /// Defined in 64 bits, where nothing overflows.
    ///
    /// ```
    /// use bitspike_core::lif::{Lif, Membrane, Neuron, Reset, beta};
    /// let lif = Lif { beta: beta(0.5), fraction: 0, membrane: Membrane::I16, reset: Reset::Subtract };
    /// let neuron = Neuron { membrane: 5, spiked: true, sum: 10, threshold: 4, bias: 1 };
    /// assert_eq!(lif.update(neuron), (2 + 10 + 1 - 4, true));
    /// ```
    #[inline]
    pub fn update(&self, neuron: Neuron) -> (i32, bool) {
        let threshold = i64::from(neuron.threshold);
        let u = if neuron.spiked && self.reset == Reset::Zero {
            0
        } else {
            neuron.membrane
        };
        let mut v = (i64::from(self.beta.to_bits()) * i64::from(u)) >> 15;
        let left = self.fraction.max(0);
        v += (i64::from(neuron.sum) >> self.right_shift()) << left;
        v += i64::from(neuron.bias);
        if neuron.spiked && self.reset == Reset::Subtract {
            v -= threshold;
        }
        let (min, max) = self.membrane.range();
        let membrane = v.clamp(min.into(), max.into());
        (membrane as i32, membrane > threshold)
    }

    /// The equation in 32 bits; the same words as [`update`](Self::update) wherever
    /// [`is_narrow`](Self::is_narrow) holds for the layer.
    #[inline(always)]
    pub(crate) fn narrow(&self) -> Narrow {
        Narrow {
            beta: self.beta.to_bits().into(),
            scale: 1 << self.fraction.max(0),
            half: if cfg!(target_arch = "riscv32") {
                core::hint::black_box(1 << 15)
            } else {
                1 << 15
            },
            subtract: self.reset == Reset::Subtract,
            zero: self.reset == Reset::Zero,
        }
    }

    /// Whether neurons whose 32-bit arithmetic is exact take sums as counts.
    pub(crate) const fn takes_counts(&self) -> bool {
        self.fraction >= 0 && self.fraction <= MOST_COUNTED
    }

    /// Bits by which synaptic sums are shifted to the right: `-F` where `F < 0`.
    #[inline(always)]
    pub(crate) fn right_shift(&self) -> u32 {
        self.fraction.min(0).unsigned_abs().into()
    }

    /// Whether 32 bits are proven to hold every intermediate value of a layer whose synaptic sums
    /// are at most `largest_sum` in magnitude.
    pub(crate) const fn is_narrow(&self, largest_sum: u64) -> bool {
        let shifted = if self.fraction < 0 {
            largest_sum
        } else {
            largest_sum << self.fraction
        };
        // Decay, bias and threshold are at most 2^15 each in i16.
        matches!(self.membrane, Membrane::I16) && shifted < (1 << 31) - 3 * (1 << 15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIF: Lif = Lif {
        beta: Beta::ONE,
        fraction: 0,
        membrane: Membrane::I16,
        reset: Reset::None,
    };

    fn neuron(membrane: i32, sum: i32) -> Neuron {
        Neuron {
            membrane,
            spiked: false,
            sum,
            threshold: 10,
            bias: 0,
        }
    }

    #[test]
    fn fires_strictly_above_the_threshold() {
        assert_eq!(LIF.update(neuron(4, 6)), (10, false));
        assert_eq!(LIF.update(neuron(5, 6)), (11, true));
    }

    #[test]
    fn saturates_at_the_type() {
        assert_eq!(LIF.update(neuron(32767, 1)).0, 32767);
        assert_eq!(LIF.update(neuron(-32768, -1)).0, -32768);
        let wide = Lif {
            membrane: Membrane::I32,
            fraction: 16,
            ..LIF
        };
        assert_eq!(wide.update(neuron(i32::MAX, i32::MAX)).0, i32::MAX);
        assert_eq!(wide.update(neuron(i32::MIN, i32::MIN)).0, i32::MIN);
    }

    #[test]
    fn decay_and_shift_round_toward_minus_infinity() {
        let lif = Lif {
            beta: beta(0.5),
            ..LIF
        };
        assert_eq!(lif.update(neuron(-1, 0)).0, -1);
        assert_eq!(lif.update(neuron(1, 0)).0, 0);
        let shifted = Lif {
            beta: Beta::ZERO,
            fraction: -2,
            ..LIF
        };
        assert_eq!(shifted.update(neuron(0, -1)).0, -1);
        assert_eq!(shifted.update(neuron(0, 7)).0, 1);
    }

    #[test]
    fn resets_one_step_later() {
        let spiked = Neuron {
            spiked: true,
            ..neuron(20, 3)
        };
        assert_eq!(
            Lif {
                reset: Reset::Subtract,
                ..LIF
            }
            .update(spiked)
            .0,
            13
        );
        assert_eq!(
            Lif {
                reset: Reset::Zero,
                ..LIF
            }
            .update(spiked)
            .0,
            3
        );
        assert_eq!(LIF.update(spiked).0, 23);
    }

    #[test]
    fn beta_rounds_to_nearest_and_clamps() {
        assert_eq!(beta(0.9).to_bits(), 29491);
        assert_eq!(beta(1.0).to_bits(), 32768);
        assert_eq!(beta(-3.0).to_bits(), 0);
        assert_eq!(beta(f64::NAN).to_bits(), 0);
        // 0.5 and 1.5 units: ties to even.
        assert_eq!(beta(0.5 / 32768.0).to_bits(), 0);
        assert_eq!(beta(1.5 / 32768.0).to_bits(), 2);
    }

    proptest! {
        #[test]
        fn narrow_equals_wide_where_it_is_proven(
            bits in 0u16..=32768,
            fraction in -16i8..=16,
            reset in prop_oneof![Just(Reset::Subtract), Just(Reset::Zero), Just(Reset::None)],
            membrane: i16, spiked: bool, sum: i32, threshold in 1i16.., bias: i16,
        ) {
            let lif = Lif { beta: Beta::from_bits(bits), fraction, membrane: Membrane::I16, reset };
            let neuron = Neuron {
                membrane: membrane.into(), spiked, sum, threshold: threshold.into(), bias: bias.into(),
            };
            prop_assume!(lif.is_narrow(sum.unsigned_abs().into()));
            let narrow = lif.narrow();
            let drive = narrow.drive(sum >> lif.right_shift(), bias);
            let before = if spiked && reset == Reset::Zero { 0 } else { membrane };
            let subtracted = Narrow::reset((spiked && narrow.subtract).into(), threshold);
            let after = narrow.integrate(Offset::NONE, before, drive, subtracted);
            prop_assert_eq!((after, after > i32::from(threshold)), lif.update(neuron));
        }

        #[test]
        fn counted_equals_wide(
            bits in 0u16..=32768,
            fraction in 0..=MOST_COUNTED,
            membrane: i16, count in 0u8..=255, others in 0u8..=255, threshold in 1i16.., bias: i16,
        ) {
            let inputs = i32::from(count.max(others));
            let lif = Lif { beta: Beta::from_bits(bits), fraction, ..LIF };
            let sum = 2 * i32::from(count) - inputs;
            let expected = lif.update(Neuron {
                threshold: threshold.into(), bias: bias.into(), ..neuron(membrane.into(), sum)
            });
            let narrow = lif.narrow();
            let drive = narrow.gain().drive(count, bias);
            let after = narrow.integrate(narrow.offset(inputs), membrane, drive, 0);
            prop_assert_eq!((after, after > i32::from(threshold)), expected);
        }
    }
}
