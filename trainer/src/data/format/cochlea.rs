//! The integer cochlea as a front end: which channels it has. What they do is in `core`.

use bitspike_core::encode::cochlea::{Channel, Cochlea, Resonator};

use crate::data::frames::Event;

/// The lowest and highest pitch in hertz; the highest also stays below half the sampling rate.
const PITCH: [f64; 2] = [100.0, 10_000.0];
/// The highest pitch as a part of the sampling rate.
const HIGHEST: f64 = 0.45;
/// Lowest threshold of a channel.
const FLOOR: u16 = 512;

/// The resonators of `channels` channels for sound of `rate` samples a second: their pitches are
/// evenly spread on the scale of equivalent rectangular bandwidths (Glasberg and Moore, 1990), and
/// each is as wide as one of those.
///
/// ```
/// let bank = bitspike_trainer::data::format::bank(64, 8000);
/// assert_eq!(bank.len(), 64);
/// ```
pub fn bank(channels: usize, rate: u32) -> Vec<Resonator> {
    let rate = f64::from(rate);
    let scale = |pitch: f64| (1.0 + pitch * 0.004_37).ln();
    let [low, high] = [scale(PITCH[0]), scale(PITCH[1].min(HIGHEST * rate))];
    let resonator = |channel: usize| {
        let part = channel as f64 / (channels.max(2) - 1) as f64;
        let pitch = ((low + (high - low) * part).exp() - 1.0) / 0.004_37;
        let width = 24.7 * (0.004_37 * pitch + 1.0);
        let r = (-std::f64::consts::PI * width / rate).exp();
        let w = 2.0 * std::f64::consts::PI * pitch / rate;
        let fixed = |value: f64| (value * 16384.0).round().clamp(-32768.0, 32767.0) as i16;
        Resonator {
            b: fixed((1.0 - r * r) / 2.0),
            a1: fixed(2.0 * r * w.cos()),
            a2: fixed(-r * r),
        }
    };
    (0..channels).map(resonator).collect()
}

/// The spikes of a recording.
pub(super) fn hear(sound: &[i16], rate: u32, channels: usize) -> Vec<Event> {
    let bank = bank(channels, rate);
    let mut memory = vec![Channel::default(); channels];
    let mut cochlea = Cochlea::new(&bank, &mut memory, FLOOR);
    let mut words = vec![0; channels.div_ceil(32)];
    let mut events = Vec::new();
    for (index, sample) in sound.iter().enumerate() {
        words.fill(0);
        cochlea.hear(*sample, &mut words);
        let time = (index as u64 * 1_000_000 / u64::from(rate)) as u32;
        for (word, mut bits) in words.iter().copied().enumerate() {
            while bits != 0 {
                events.push(Event {
                    time,
                    x: (word * 32) as u16 + bits.trailing_zeros() as u16,
                    y: 0,
                    polarity: 0,
                });
                bits &= bits - 1;
            }
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_excites_the_channel_of_its_pitch() {
        let rate = 8000;
        let tone = |pitch: f64| -> Vec<i16> {
            let wave = |n: usize| (2.0 * std::f64::consts::PI * pitch * n as f64 / 8000.0).sin();
            (0..4000).map(|n| (8000.0 * wave(n)) as i16).collect()
        };
        let loudest = |pitch: f64| {
            let mut counts = [0; 64];
            for event in hear(&tone(pitch), rate, 64) {
                counts[usize::from(event.x)] += 1;
            }
            (0..64).max_by_key(|channel| counts[*channel]).unwrap()
        };
        let channels = [200.0, 500.0, 1000.0, 2000.0, 3000.0].map(loudest);
        assert!(channels.is_sorted(), "{channels:?}");
        assert!(channels[0] < 10 && channels[4] > 50, "{channels:?}");
        assert!(hear(&[0; 8000], rate, 64).is_empty());
    }
}
