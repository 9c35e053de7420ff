//! A cochlea in integers: a bank of resonators, one a channel, each of which makes spikes.
//!
//! Channel by channel and sample by sample, with `x` the sample halved (so that sums fit `i32`):
//!
//! ```text
//! y(n) = (b (x(n) - x(n-2)) + a1 y(n-1) + a2 y(n-2)) >> 14, clamped to +-16384
//! v    = v - (v >> 6) + max(y(n), 0)
//! theta = theta - ((theta - floor) >> 8)
//! spike where v > theta: then v = 0, theta = theta + (theta >> 4)
//! ```
//!
//! The resonator has the gain 1 at its frequency where `b = (1 - r^2) / 2`, `a1 = 2 r cos(w)` and
//! `a2 = -r^2`, all times 16384. The threshold rises with each spike and falls back slowly: loud and
//! quiet voices make similar numbers of spikes.

/// The coefficients of one channel, each times 16384.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resonator {
    /// Of the input, `(1 - r^2) / 2`: 0 to 8192.
    pub b: i16,
    /// Of the last output, `2 r cos(w)`.
    pub a1: i16,
    /// Of the output before, `-r^2`: -16384 to 0.
    pub a2: i16,
}

/// What a channel remembers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Channel {
    before: [i32; 2],
    level: i32,
    /// Above the floor.
    raised: i32,
}

/// A bank of resonators with the memory of each, in the caller's memory.
///
/// ```
/// use bitspike_core::encode::cochlea::{Channel, Cochlea, Resonator};
///
/// // 1 kHz at 8,000 samples a second, r = 0.95.
/// let bank = [Resonator { b: 799, a1: 22012, a2: -14787 }];
/// let mut memory = [Channel::default(); 1];
/// let mut cochlea = Cochlea::new(&bank, &mut memory, 512);
/// let mut spikes = [0];
/// for n in 0..400 {
///     let tone = [0, 7071, 10000, 7071, 0, -7071, -10000, -7071][n % 8];
///     cochlea.hear(tone, &mut spikes);
/// }
/// assert_eq!(spikes, [1]);
/// ```
#[derive(Debug)]
pub struct Cochlea<'a> {
    bank: &'a [Resonator],
    channels: &'a mut [Channel],
    heard: [i32; 2],
    floor: i32,
}

/// Outputs of a resonator are clamped to this, either way.
const LOUDEST: i32 = 1 << 14;

impl<'a> Cochlea<'a> {
    /// A cochlea at rest. Channels without memory are left out. `floor` is the lowest threshold, at
    /// least 1.
    pub fn new(bank: &'a [Resonator], channels: &'a mut [Channel], floor: u16) -> Self {
        channels.fill(Channel::default());
        Self {
            bank,
            channels,
            heard: [0; 2],
            floor: i32::from(floor.max(1)),
        }
    }

    /// Hears one sample, and sets the bits of the channels that spike, in `words` of 32; the others
    /// stay as they are. Channels beyond `words` are not reported.
    pub fn hear(&mut self, sample: i16, words: &mut [u32]) {
        let x = i32::from(sample) >> 1;
        let difference = x - self.heard[1];
        self.heard = [x, self.heard[0]];
        for (index, (resonator, channel)) in self.bank.iter().zip(&mut *self.channels).enumerate() {
            if channel.hear(*resonator, difference, self.floor)
                && let Some(word) = words.get_mut(index / 32)
            {
                *word |= 1 << (index % 32);
            }
        }
    }
}

impl Channel {
    /// Whether the channel spikes. Within `i32` for any coefficients: a difference of samples has 16
    /// bits and `b` 15, an output 15 and `a1` 16, in magnitude below 2^30, 2^29 and 2^29.
    fn hear(&mut self, resonator: Resonator, difference: i32, floor: i32) -> bool {
        let [last, before] = self.before;
        let sum = i32::from(resonator.b) * difference
            + i32::from(resonator.a1) * last
            + i32::from(resonator.a2) * before;
        let output = (sum >> 14).clamp(-LOUDEST, LOUDEST);
        self.before = [output, last];
        self.level += output.max(0) - (self.level >> 6);
        self.raised -= self.raised >> 8;
        let threshold = floor + self.raised;
        let spikes = self.level > threshold;
        if spikes {
            self.level = 0;
            // The level is below 2^21, and so is a threshold that was passed.
            self.raised += threshold >> 4;
        }
        spikes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `2 r cos(w)` for an eighth of the sampling rate and for a quarter, r = 0.95.
    const EIGHTH: Resonator = Resonator {
        b: 799,
        a1: 22012,
        a2: -14787,
    };
    const QUARTER: Resonator = Resonator {
        b: 799,
        a1: 0,
        a2: -14787,
    };

    fn spikes(samples: impl Iterator<Item = i16>) -> [u32; 2] {
        let bank = [EIGHTH, QUARTER];
        let mut memory = [Channel::default(); 2];
        let mut cochlea = Cochlea::new(&bank, &mut memory, 512);
        let mut counts = [0; 2];
        for sample in samples {
            let mut words = [0];
            cochlea.hear(sample, &mut words);
            counts[0] += words[0] & 1;
            counts[1] += words[0] >> 1 & 1;
        }
        counts
    }

    fn eighth(loudness: i16) -> impl Iterator<Item = i16> {
        let wave = [0, 71, 100, 71, 0, -71, -100, -71];
        wave.into_iter()
            .cycle()
            .take(1600)
            .map(move |x| x * loudness)
    }

    fn quarter(loudness: i16) -> impl Iterator<Item = i16> {
        let wave = [0, 100, 0, -100];
        wave.into_iter()
            .cycle()
            .take(1600)
            .map(move |x| x * loudness)
    }

    #[test]
    fn each_channel_hears_its_own_tone() {
        let [low, high] = spikes(eighth(100));
        assert!(
            2 * low > 3 * high,
            "{low} spikes at an eighth, {high} at a quarter"
        );
        let [low, high] = spikes(quarter(100));
        assert!(
            2 * high > 3 * low,
            "{low} spikes at an eighth, {high} at a quarter"
        );
        assert_eq!(spikes([0; 1000].into_iter()), [0, 0]);
    }

    #[test]
    fn loud_and_quiet_tones_differ_by_less_than_their_loudness() {
        let [quiet, _] = spikes(eighth(30));
        let [loud, _] = spikes(eighth(300));
        assert!(
            quiet > 0 && loud > quiet && loud < 5 * quiet,
            "{quiet}, {loud}"
        );
    }

    #[test]
    fn no_coefficient_and_no_sample_overflows() {
        let extreme = [i16::MIN, -1, 0, 1, i16::MAX];
        for b in extreme {
            for a1 in extreme {
                for a2 in extreme {
                    let bank = [Resonator { b, a1, a2 }];
                    let mut memory = [Channel::default()];
                    let mut cochlea = Cochlea::new(&bank, &mut memory, u16::MAX);
                    for n in 0..300 {
                        let sample = if n % 3 == 0 { i16::MIN } else { i16::MAX };
                        cochlea.hear(sample, &mut []);
                    }
                }
            }
        }
    }
}
