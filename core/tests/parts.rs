//! Random networks by some parts of the engine alone: the same bits as by all, or refused by name.

mod random;
mod words;

use bitspike_core::kernel::Kernel;
use bitspike_core::model::{Input, InputKind, Model, ModelError, parts};
use bitspike_core::network::Network;
use words::words_of;

/// Networks that are drawn.
const CASES: u32 = if cfg!(miri) { 1 } else { 1_000 };
const STEPS: usize = 4;

fn input<'i, const P: u32>(
    model: &Model<'_, 16, P>,
    bytes: &'i [u8],
    words: &'i [u32],
) -> Input<'i> {
    if model.input_kind().is_graded() {
        model.input(bytes).expect("as many bytes")
    } else {
        model.input_words(words).expect("as many words")
    }
}

/// Everything that can be seen of a network after each step, by these parts of the engine.
fn seen<const P: u32>(file: &[u32], seed: u32) -> Result<Vec<u64>, ModelError> {
    let model = Model::<16, P>::sized(file)?;
    let mut memory = vec![0xDEAD_BEEF; model.sizes().memory_words()];
    let mut network = Network::new(&model, &mut memory).expect("as stated");
    let mut source = random::Source::new(seed);
    let mut seen = Vec::new();
    for _ in 0..STEPS {
        let bytes = source.input(model.input_kind(), model.input_shape().units());
        let words = words_of(&bytes);
        network.step(input(&model, &bytes, &words));
        for layer in 0..model.layers().len() {
            seen.extend(network.spikes(layer).words().iter().map(|&w| u64::from(w)));
            seen.extend(network.membrane_words(layer).iter().map(|&w| u64::from(w)));
        }
        let decision = network.decision();
        seen.extend([decision.class as u64, network.is_final().into()]);
        seen.extend(decision.first_spike.map(u64::from));
        seen.extend((0..model.classes()).map(|class| network.score(class) as u64));
        seen.push(network.confidence().to_bits().into());
    }
    Ok(seen)
}

/// How many of the networks these parts can compute.
fn accepted<const P: u32>() -> u32 {
    let mut accepted = 0;
    for seed in 1..=CASES {
        let file = random::model(seed);
        match seen::<P>(&file, seed) {
            Ok(some) => {
                assert_eq!(parts::of(&file) & !P, 0, "seed {seed}");
                assert_eq!(Ok(some), seen::<{ parts::ALL }>(&file, seed), "seed {seed}");
                accepted += 1;
            }
            Err(error) => {
                assert!(matches!(error, ModelError::Part { .. }), "seed {seed}");
                assert_ne!(parts::of(&file) & !P, 0, "seed {seed}");
            }
        }
    }
    accepted
}

macro_rules! parts_are_enough {
    ($($name:ident: $parts:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let accepted = accepted::<{ $parts }>();
                assert!(cfg!(miri) || accepted >= 10, "{accepted} networks");
            }
        )*
    };
}

/// Without the part the bits are the same, only slower, so that no network shows whether it is there.
#[test]
fn pairs_are_of_layers_of_16_channels() {
    let mut needed = [0; 2];
    for seed in 1..=CASES {
        let file = random::model(seed);
        let model = Model::<16>::new(&file).expect("a random model loads");
        let mut kind = model.input_kind();
        let mut pairs = false;
        for layer in model.layers() {
            pairs |= Kernel::choose(layer, kind) == Kernel::Event && layer.output().channels == 16;
            kind = InputKind::Spikes;
        }
        assert_eq!(parts::of(&file) & parts::PAIRS != 0, pairs, "seed {seed}");
        needed[usize::from(pairs)] += 1;
    }
    assert!(
        cfg!(miri) || needed.iter().all(|&models| models >= 10),
        "{needed:?}"
    );
}

/// All but these.
const fn without(parts: u32) -> u32 {
    parts::ALL & !parts
}

parts_are_enough! {
    without_reference: without(parts::REFERENCE);
    without_event: without(parts::EVENT);
    without_dense: without(parts::ROWS | parts::SIGNS | parts::TABLES);
    without_signs: without(parts::SIGNS);
    without_tables: without(parts::TABLES);
    without_deep: without(parts::DEEP);
    without_blocks: without(parts::BLOCKS);
    without_wide: without(parts::WIDE);
    without_wide_and_unpacked: without(parts::WIDE | parts::UNPACKED);
    without_words: without(parts::WORDS);
    without_halves: without(parts::HALVES);
    without_boxes: without(parts::BOXES);
    unsigned_alone: without(parts::SPIKES | parts::SIGNED | parts::BIPOLAR);
    spikes_alone: without(parts::UNSIGNED | parts::SIGNED | parts::BIPOLAR);
    bipolar_alone: without(parts::UNSIGNED | parts::SIGNED | parts::SPIKES);
    by_count_alone: without(parts::MEMBRANE | parts::FIRST_SPIKE | parts::POPULATION);
    by_membrane_alone: without(parts::COUNT | parts::FIRST_SPIKE | parts::POPULATION);
    by_first_spike_alone: without(parts::COUNT | parts::MEMBRANE | parts::POPULATION);
    by_population_alone: without(parts::COUNT | parts::MEMBRANE | parts::FIRST_SPIKE);
    events_of_narrow_neurons: without(
        parts::REFERENCE | parts::ROWS | parts::TABLES | parts::WIDE | parts::UNPACKED
    );
}
