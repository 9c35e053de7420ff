//! Saved states: a stream goes on to the same bits, and what is no state is refused by name.

mod random;
mod words;

use bitspike_core::lif::Membrane;
use bitspike_core::model::{Input, InputKind, Model, Readout};
use bitspike_core::network::{MemoryError, Network};
use bitspike_core::state::StateError;
use proptest::prelude::*;
use words::words_of;

fn input<'i>(model: &Model<'_>, bytes: &'i [u8], words: &'i [u32]) -> Input<'i> {
    if model.input_kind().is_graded() {
        model.input(bytes).expect("as many bytes")
    } else {
        model.input_words(words).expect("as many words")
    }
}

/// Runs some steps of random inputs.
fn advance(network: &mut Network<'_>, source: &mut random::Source, steps: u32) {
    let model = network.model();
    for _ in 0..steps {
        let bytes = source.input(model.input_kind(), model.input_shape().units());
        let words = words_of(&bytes);
        network.step(input(model, &bytes, &words));
    }
}

fn memory(model: &Model<'_>) -> Vec<u32> {
    // Dirty: a network uses its memory whatever was in it.
    vec![0xDEAD_BEEF; model.sizes().memory_words()]
}

fn saved(network: &Network<'_>) -> Vec<u32> {
    let mut words = vec![0xDEAD_BEEF; network.saved_words()];
    assert_eq!(network.save(&mut words), Ok(words.len()));
    words
}

/// The CRC of a saved state, its own word left out.
fn checksum(words: &[u32]) -> u32 {
    let kept = words[..3].iter().chain(&words[4..]);
    let bytes: Vec<u8> = kept.flat_map(|word| word.to_le_bytes()).collect();
    crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&bytes)
}

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 2 } else { count },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(1_500))]

    /// Saved after some steps here, restored into a network that has done something else, and on.
    #[test]
    fn a_stream_moves_in_the_middle(seed: u32, before in 0u32..6, other in 0u32..6, after in 1u32..6) {
        let file = random::model(seed);
        let model = Model::new(&file).expect("the model loads");
        let (mut left, mut right) = (memory(&model), memory(&model));
        let mut here = Network::new(&model, &mut left).expect("as stated");
        let mut there = Network::new(&model, &mut right).expect("as stated");
        let source = &mut random::Source::new(!seed);
        advance(&mut here, source, before);
        advance(&mut there, source, other);
        let state = saved(&here);
        prop_assert!(state.len() <= model.sizes().saved_words());
        if !model.input_kind().is_graded() {
            prop_assert_eq!(state.len(), model.sizes().saved_words());
        }
        prop_assert_eq!(there.restore(&state), Ok(()));
        prop_assert_eq!(saved(&there), state);
        for _ in 0..after {
            let seed = source.range(1, i32::MAX) as u32;
            advance(&mut here, &mut random::Source::new(seed), 1);
            advance(&mut there, &mut random::Source::new(seed), 1);
            prop_assert_eq!(here.first_difference(&there), None);
            prop_assert_eq!(here.steps(), there.steps());
            prop_assert_eq!(here.decision(), there.decision());
            prop_assert_eq!(here.confidence().to_bits(), there.confidence().to_bits());
            prop_assert_eq!(here.is_final(), there.is_final());
        }
        prop_assert_eq!(saved(&there), saved(&here));
    }

    /// Whatever stands behind a right checksum is refused, or is a state that goes on without
    /// breaking anything; a refusal leaves the network as it was.
    #[test]
    fn hostile_states_break_nothing(
        seed: u32,
        steps in prop_oneof![0u32..4, Just(u32::MAX), any::<u32>()],
        changes in prop::collection::vec((any::<usize>(), prop_oneof![
            any::<u32>(), Just(0), Just(1), Just(u32::MAX), Just(1 << 31),
        ]), 0..6),
    ) {
        let file = random::model(seed);
        let model = Model::new(&file).expect("the model loads");
        let mut own = memory(&model);
        let mut network = Network::new(&model, &mut own).expect("as stated");
        let source = &mut random::Source::new(!seed);
        advance(&mut network, source, 2);
        let before = saved(&network);
        let mut state = before.clone();
        state[5] = steps;
        for (at, value) in changes {
            let at = 6 + at % (state.len() - 6);
            state[at] = value;
        }
        state[3] = checksum(&state);
        match network.restore(&state) {
            Err(_) => prop_assert_eq!(saved(&network), before),
            Ok(()) => {
                prop_assert_eq!(&saved(&network), &state);
                for layer in 0..model.layers().len() {
                    let spikes = network.spikes(layer);
                    let tail = spikes.len() % 32;
                    let last = spikes.words().last().copied().unwrap_or(0);
                    prop_assert!(tail == 0 || last >> tail == 0);
                }
                prop_assert!(network.decision().class < model.classes());
                let _ = (network.confidence(), network.is_final());
                // The widest arithmetic agrees: a restored membrane breaks no proof of a width.
                let mut other = memory(&model);
                let mut reference = Network::new(&model, &mut other).expect("as stated");
                reference.force_kernel(bitspike_core::kernel::Kernel::Reference);
                reference.restore(&state).expect("as before");
                let seed = source.range(1, i32::MAX) as u32;
                advance(&mut network, &mut random::Source::new(seed), 3);
                advance(&mut reference, &mut random::Source::new(seed), 3);
                prop_assert_eq!(reference.first_difference(&network), None);
                prop_assert!(network.decision().class < model.classes());
            }
        }
    }
}

/// A model of a wanted kind, its file, and a saved state after three steps.
fn example(wanted: impl Fn(&Model<'_>) -> bool) -> (Vec<u32>, Vec<u32>) {
    for seed in 1.. {
        let file = random::model(seed);
        let model = Model::new(&file).expect("the model loads");
        if wanted(&model) {
            let mut memory = memory(&model);
            let mut network = Network::new(&model, &mut memory).expect("as stated");
            advance(&mut network, &mut random::Source::new(seed), 3);
            let state = saved(&network);
            return (file, state);
        }
    }
    unreachable!("the seeds do not end")
}

/// The refusal of a changed state; `crc` makes the checksum right again.
fn refusal(file: &[u32], state: &[u32], crc: bool, change: impl Fn(&mut Vec<u32>)) -> StateError {
    let model = Model::new(file).expect("the model loads");
    let mut memory = memory(&model);
    let mut network = Network::new(&model, &mut memory).expect("as stated");
    let mut state = state.to_vec();
    change(&mut state);
    if crc {
        state[3] = checksum(&state);
    }
    network.restore(&state).expect_err("it is refused")
}

#[test]
fn every_flipped_bit_of_a_state_is_refused() {
    let (file, state) = example(|_| true);
    for bit in 0..state.len() * 32 {
        if cfg!(miri) && bit % 397 > 0 {
            continue;
        }
        refusal(&file, &state, false, |state| {
            state[bit / 32] ^= 1 << (bit % 32)
        });
    }
}

#[test]
fn every_cut_and_every_longer_state_is_refused_by_name() {
    let (file, state) = example(|_| true);
    for length in 0..state.len() {
        if cfg!(miri) && length > 6 && length % 29 > 0 {
            continue;
        }
        let error = refusal(&file, &state, false, |state| state.truncate(length));
        assert!(
            matches!(error, StateError::Cut { got, .. } if got == length),
            "{error}"
        );
    }
    let error = refusal(&file, &state, false, |state| state.push(0));
    assert!(matches!(error, StateError::Trailing { .. }), "{error}");
    // The stated length follows, and the checksum is right.
    let error = refusal(&file, &state, true, |state| {
        state.push(0);
        state[2] += 4;
    });
    assert!(matches!(error, StateError::Trailing { .. }), "{error}");
    let error = refusal(&file, &state, true, |state| {
        state.pop();
        state[2] -= 4;
    });
    assert!(matches!(error, StateError::Cut { .. }), "{error}");
}

#[test]
fn wrong_headers_are_refused_by_name() {
    let (file, state) = example(|_| true);
    let error = refusal(&file, &state, true, |state| state[0] ^= 1);
    assert!(matches!(error, StateError::Magic { .. }), "{error}");
    let error = refusal(&file, &state, true, |state| state[1] = 2);
    assert!(error.to_string().contains("version 2"), "{error}");
    let error = refusal(&file, &state, true, |state| state[2] += 1);
    assert!(matches!(error, StateError::Checksum { .. }), "{error}");
    let error = refusal(&file, &state, false, |state| state[3] ^= 1);
    assert!(matches!(error, StateError::Checksum { .. }), "{error}");
}

#[test]
fn the_state_of_another_model_is_refused_by_name() {
    let (file, state) = example(|_| true);
    let (other, _) =
        example(|model| model.checksum() != Model::new(&file).expect("loads").checksum());
    let error = refusal(&other, &state, false, |_| ());
    let StateError::Model { expected, got } = error else {
        panic!("{error}");
    };
    assert_eq!((expected, got), (other[3], file[3]));
}

/// A network that some spikes have gone through, whose first layer leaves room in its words.
fn roomy(model: &Model<'_>) -> bool {
    let first = &model.layers()[0];
    first.units() % 32 != 0 && first.units() % 2 == 1 && first.spec().membrane == Membrane::I16
}

#[cfg_attr(miri, ignore = "it looks through many models")]
#[test]
fn set_padding_is_refused_by_name() {
    let (file, state) = example(roomy);
    let model = Model::new(&file).expect("the model loads");
    let units = model.layers()[0].units();
    let error = refusal(&file, &state, true, |state| {
        state[6 + units / 32] |= 1 << (units % 32);
    });
    assert_eq!(error, StateError::Padding { layer: 0 });
    let membranes = 6 + model.sizes().spike_words;
    let error = refusal(&file, &state, true, |state| {
        state[membranes + units / 2] |= 1 << 16;
    });
    assert_eq!(error, StateError::Padding { layer: 0 });
}

#[test]
fn impossible_neurons_are_refused_by_name() {
    let (file, state) = example(|model| model.sizes().spike_words > 1);
    // No threshold is under 1: a membrane of 0 does not fire.
    let error = refusal(&file, &state, true, |state| state[6] ^= 1);
    assert_eq!(
        error,
        StateError::Spike {
            layer: 0,
            neuron: 0
        }
    );
    let model = Model::new(&file).expect("the model loads");
    let membranes = 6 + model.sizes().spike_words;
    let error = refusal(&file, &state, true, |state| {
        state[5] = 0;
        state[6..].fill(0);
        state[membranes] = 0xFFFF_FFFF;
        if model.layers()[0].units() == 1 {
            state[membranes] = 0xFFFF;
        }
    });
    assert_eq!(error, StateError::Rest { layer: 0 });
}

#[cfg_attr(miri, ignore = "it looks through many models")]
#[test]
fn impossible_readouts_are_refused_by_name() {
    let readout = |file: &[u32]| {
        let sizes = Model::new(file).expect("the model loads").sizes();
        6 + sizes.spike_words + sizes.membrane_words
    };
    // Three steps give no four spikes, and no spikes under 0.
    for sum in [4i64, -1, i64::MAX, i64::MIN] {
        let (file, state) = example(|model| model.readout() == Readout::Count);
        let error = refusal(&file, &state, true, |state| {
            state[readout(&file)] = sum as u32;
            state[readout(&file) + 1] = (sum >> 32) as u32;
        });
        assert!(error.to_string().contains("a sum that"), "{sum}: {error}");
    }
    let narrow = |model: &Model<'_>| {
        let last = model.layers().last().expect("a layer");
        model.readout() == Readout::Membrane && last.spec().membrane == Membrane::I16
    };
    let (file, state) = example(narrow);
    let error = refusal(&file, &state, true, |state| {
        state[readout(&file)] = 3 * 32767 + 1;
        state[readout(&file) + 1] = 0;
    });
    assert!(error.to_string().contains("a sum that"), "{error}");
    // Class, step (from 1), strength.
    let (file, state) = example(|model| model.readout() == Readout::FirstSpike);
    let classes = Model::new(&file).expect("the model loads").classes() as u32;
    for first in [
        [classes, 1, 1, 0],
        [0, 4, 1, 0],
        [0, 1, 0, 0],
        [0, 1, 0, 1 << 31],
        [0, 1, 0, 1 << 20],
        [0, 0, 1, 0],
    ] {
        let error = refusal(&file, &state, true, |state| {
            let end = state.len();
            state[end - 4..].copy_from_slice(&first);
        });
        assert!(
            error.to_string().contains("a first spike"),
            "{first:?}: {error}"
        );
    }
    let (file, state) = example(|model| model.readout() == Readout::Count);
    let error = refusal(&file, &state, true, |state| {
        let end = state.len();
        state[end - 4..].copy_from_slice(&[0, 1, 1, 0]);
    });
    assert!(error.to_string().contains("a first spike"), "{error}");
}

#[test]
fn too_little_memory_is_named() {
    let (file, state) = example(|model| model.input_kind() == InputKind::Spikes);
    let model = Model::new(&file).expect("the model loads");
    let mut memory = memory(&model);
    let network = Network::new(&model, &mut memory).expect("as stated");
    let error = network.save(&mut vec![0; state.len() - 1]);
    let (expected, got) = (state.len(), state.len() - 1);
    assert_eq!(error, Err(MemoryError { expected, got }));
}
