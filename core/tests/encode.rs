//! Encoders against oracles written from docs/numerics.md alone, and against the numbers that
//! `tests/vectors/encoders.py` prints.

use bitspike_core::encode::{Delta, EncodeError, Events, Rate, latency, latency_step};
use bitspike_core::model::Shape;
use bitspike_core::random::Xorshift32;
use proptest::prelude::*;

/// Words that hold `bits` bits, dirty, as a caller's memory is.
fn dirty(bits: usize) -> Vec<u32> {
    vec![0xA5A5_A5A5; bits.div_ceil(32)]
}

/// Bits in words as the page lays them out, padding 0.
fn packed(bits: &[bool]) -> Vec<u32> {
    let mut words = vec![0; bits.len().div_ceil(32)];
    for (i, bit) in bits.iter().enumerate() {
        words[i / 32] |= u32::from(*bit) << (i % 32);
    }
    words
}

/// The draws of the page's formula, in 64 bits.
fn draws(seed: u32) -> impl Iterator<Item = u64> {
    let mut r = u64::from(if seed == 0 { 0x9E37_79B9 } else { seed });
    std::iter::from_fn(move || {
        r ^= r << 13 & 0xFFFF_FFFF;
        r ^= r >> 17;
        r ^= r << 5 & 0xFFFF_FFFF;
        Some(r)
    })
}

/// The events of one signal, sample by sample, in 128 bits: (up, down).
fn events_of(samples: &[i32], d: i32) -> Vec<(bool, bool)> {
    let d = i128::from(d);
    let mut q = i128::from(samples[0]);
    let mut step = |v: i128| {
        let event = (v - q >= d, v - q < d && q - v >= d);
        q += d * (i128::from(event.0) - i128::from(event.1));
        event
    };
    samples.iter().map(|v| step((*v).into())).collect()
}

#[test]
fn the_numbers_of_the_independent_implementation() {
    // The first draws of seeds 1 and 0, and the state far on.
    let mut random = Xorshift32::new(1);
    let first: Vec<u32> = (0..4).map(|_| random.draw()).collect();
    assert_eq!(first, [270_369, 67_634_689, 2_647_435_461, 307_599_695]);
    for _ in 4..100_000 {
        random.draw();
    }
    assert_eq!(random.state(), RANDOM_100_000);
    assert_eq!(Xorshift32::new(0).draw(), RANDOM_ZERO);

    let ramp: Vec<u8> = (0..100).map(|i| (7 * i % 256) as u8).collect();
    let mut rate = Rate::new(42);
    let mut spikes = dirty(ramp.len());
    for expected in RATE {
        rate.encode(&ramp, &mut spikes).expect("100 bits");
        assert_eq!(spikes, expected);
    }
    for (step, expected) in (0..).zip(LATENCY) {
        latency(&ramp, step, LATENCY.len() as u32, &mut spikes).expect("100 bits");
        assert_eq!(spikes, expected);
    }
    let mut references = [0i16; 3];
    let mut delta = Delta::new(9, &mut references).expect("a step over 0");
    for (t, expected) in (0..).zip(DELTA) {
        let samples = [30 * t % 100, -7 * t, (t % 2) * 32767];
        let mut spikes = dirty(6);
        delta.encode(&samples, &mut spikes).expect("6 bits");
        assert_eq!(spikes, [expected]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 2_000 },
                                        failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rate_draws_for_every_value_of_every_step(
        seed in prop_oneof![Just(0u32), any::<u32>()],
        values in prop::collection::vec(prop_oneof![Just(0u8), Just(255u8), any::<u8>()], 0..100),
        steps in 1usize..5,
    ) {
        let mut expected = draws(seed);
        let mut rate = Rate::new(seed);
        let mut spikes = dirty(values.len());
        for _ in 0..steps {
            rate.encode(&values, &mut spikes).expect("as many words");
            let bits: Vec<bool> = values
                .iter()
                .map(|p| expected.next().expect("endless") >> 24 < u64::from(*p))
                .collect();
            prop_assert_eq!(&spikes, &packed(&bits));
        }
        // An encoder started from the state goes on alike.
        let mut other = Rate::new(rate.random().state());
        let mut again = dirty(values.len());
        rate.encode(&values, &mut spikes).expect("as many words");
        other.encode(&values, &mut again).expect("as many words");
        prop_assert_eq!(spikes, again);
    }

    #[test]
    fn latency_spikes_once_in_its_step(
        values in prop::collection::vec(any::<u8>(), 0..100),
        steps in 1u32..20,
    ) {
        let mut seen = vec![Vec::new(); values.len()];
        let mut spikes = dirty(values.len());
        for step in 0..steps {
            latency(&values, step, steps, &mut spikes).expect("as many words");
            let bits: Vec<bool> = (0..values.len()).map(|i| spikes[i / 32] >> (i % 32) & 1 == 1).collect();
            prop_assert_eq!(&spikes, &packed(&bits), "padding");
            bits.iter().zip(&mut seen).filter(|(bit, _)| **bit).for_each(|(_, seen)| seen.push(step));
        }
        for (p, seen) in values.iter().zip(seen) {
            let at = (255 - u128::from(*p)) * u128::from(steps) / 256;
            prop_assert_eq!(seen, if *p == 0 { vec![] } else { vec![at as u32] }, "{}", p);
        }
    }

    #[test]
    fn latency_is_exact_for_every_length(p: u8, steps: u32) {
        let at = ((255 - u128::from(p)) * u128::from(steps)) >> 8;
        prop_assert_eq!(latency_step(p, steps), (p > 0).then_some(at as u32));
    }

    #[test]
    fn delta_tells_rise_and_fall(
        signals in 1usize..40,
        d in prop_oneof![1i32..50, Just(i32::MAX)],
        bytes in prop::collection::vec(prop_oneof![
            -100i32..100, Just(i32::MIN), Just(i32::MAX), any::<i32>(),
        ], 1..200),
    ) {
        let steps = bytes.len().div_ceil(signals);
        let sample = |t: usize, i: usize| bytes[(t * signals + i) % bytes.len()];
        let expected: Vec<_> = (0..signals)
            .map(|i| events_of(&(0..steps).map(|t| sample(t, i)).collect::<Vec<_>>(), d))
            .collect();
        let mut references = vec![77; signals];
        let mut delta = Delta::new(d, &mut references).expect("a step over 0");
        let mut spikes = dirty(2 * signals);
        for t in 0..steps {
            let samples: Vec<i32> = (0..signals).map(|i| sample(t, i)).collect();
            delta.encode(&samples, &mut spikes).expect("as many words");
            let bits: Vec<bool> = expected.iter().flat_map(|e| [e[t].0, e[t].1]).collect();
            prop_assert_eq!(&spikes, &packed(&bits), "step {}", t);
        }
        // After a reset the next samples set the references again.
        delta.reset();
        delta.encode(&vec![5; signals], &mut spikes).expect("as many words");
        prop_assert!(spikes.iter().all(|word| *word == 0));
        prop_assert_eq!(delta.references(), vec![5; signals]);
    }

    #[test]
    fn narrow_delta_equals_the_wide_one(
        d in 1i16..,
        samples in prop::collection::vec(prop_oneof![Just(i16::MIN), Just(i16::MAX), any::<i16>()], 1..50),
    ) {
        let wide: Vec<i32> = samples.iter().map(|v| i32::from(*v)).collect();
        let mut references = [0i16];
        let mut delta = Delta::new(d, &mut references).expect("a step over 0");
        for (sample, (up, down)) in samples.iter().zip(events_of(&wide, d.into())) {
            let mut spikes = [9];
            delta.encode(&[*sample], &mut spikes).expect("one word");
            prop_assert_eq!(spikes, [u32::from(up) | u32::from(down) << 1]);
        }
    }

    #[test]
    fn events_set_the_bits_of_their_addresses(
        height in 1u16..9, width in 1u16..9, channels in 1u16..4,
        events in prop::collection::vec((0u16..9, 0u16..9, 0u16..4), 0..40),
    ) {
        let shape = Shape { height, width, channels };
        let units = shape.units();
        let mut spikes = dirty(units);
        let mut gathered = Events::new(shape, &mut spikes).expect("as many words");
        let mut bits = vec![false; units];
        for (y, x, c) in events {
            let inside = y < height && x < width && c < channels;
            prop_assert_eq!(gathered.add(y, x, c).is_ok(), inside);
            if inside {
                bits[((y * width + x) * channels + c) as usize] = true;
            }
        }
        prop_assert_eq!(gathered.words(), packed(&bits));
        let mut again = dirty(units);
        let mut flat = Events::new(shape, &mut again).expect("as many words");
        for (address, bit) in bits.iter().enumerate() {
            if *bit {
                flat.add_flat(address).expect("inside");
            }
        }
        prop_assert!(flat.add_flat(units).is_err());
        prop_assert_eq!(flat.words(), gathered.words());
        gathered.clear();
        prop_assert!(gathered.words().iter().all(|word| *word == 0));
    }
}

/// Each refusal names what is wrong and leaves the caller's memory as it was.
#[test]
fn wrong_use_is_refused_by_name() {
    let mut words = [7; 2];
    let wrong = Err(EncodeError::Words {
        expected: 1,
        got: 2,
    });
    assert_eq!(Rate::new(1).encode(&[9; 32], &mut words), wrong);
    assert_eq!(latency(&[9; 32], 0, 4, &mut words), wrong);
    let mut references = [0i32; 16];
    let mut delta = Delta::new(1, &mut references).expect("a step over 0");
    assert_eq!(delta.encode(&[1; 16], &mut words), wrong);
    assert_eq!(
        delta.encode(&[1; 15], &mut words),
        Err(EncodeError::Samples {
            expected: 16,
            got: 15
        })
    );
    assert_eq!(words, [7; 2]);
    for step in [0, -1, i16::MIN] {
        assert_eq!(Delta::new(step, &mut []).err(), Some(EncodeError::Step));
    }
    let shape = Shape {
        height: 2,
        width: 3,
        channels: 1,
    };
    assert!(Events::new(shape, &mut words).is_err());
    let mut events = Events::new(shape, &mut words[..1]).expect("6 bits");
    for ((y, x, c), text) in [
        ((2, 0, 0), "address 2 is outside the map: there are 2"),
        ((0, 3, 0), "address 3 is outside the map: there are 3"),
        ((0, 0, 1), "address 1 is outside the map: there are 1"),
    ] {
        let error = events.add(y, x, c).expect_err(text);
        assert!(error.to_string().contains(text), "{error}");
    }
    assert_eq!(events.words(), [0]);
    // The largest shape has more addresses than 32 bits count.
    let whole = Shape {
        height: 65535,
        width: 65535,
        channels: 65535,
    };
    assert!(matches!(
        Events::new(whole, &mut []),
        Err(EncodeError::Words { .. })
    ));
}

// Printed by tests/vectors/encoders.py.
const RANDOM_100_000: u32 = 3083738941;
const RANDOM_ZERO: u32 = 1359758873;
const RATE: [[u32; 4]; 3] = [
    [0xFBE3A000, 0xCE35701E, 0x860003DD, 0x00000003],
    [0x6F858040, 0xF0D8211F, 0xD21803F7, 0x0000000A],
    [0xB2FF5318, 0xC30D4A97, 0x5B8803FE, 0x0000000F],
];
const LATENCY: [[u32; 4]; 5] = [
    [0xC0000000, 0x0000001F, 0x000003FC, 0x00000000],
    [0x3FC00000, 0xF8000000, 0x80000003, 0x0000000F],
    [0x003F8000, 0x07F00000, 0x7F000000, 0x00000000],
    [0x00007F00, 0x000FF000, 0x00FE0000, 0x00000000],
    [0x000000FE, 0x00000FE0, 0x0001FC00, 0x00000000],
];
const DELTA: [u32; 8] = [0, 17, 41, 25, 40, 17, 41, 26];
