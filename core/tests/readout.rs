//! Every read-out against the rules of docs/numerics.md, applied to the recorded spikes and membranes.

use bitspike_core::lif::{Membrane, Reset};
use bitspike_core::model::{
    InputKind, LayerParameters, LayerSpec, Metadata, Model, NetworkSpec, Operation, Readout,
    Spread, WeightOrder, write,
};
use bitspike_core::network::Network;
use proptest::prelude::*;

const OUTPUTS: usize = 6;
const INPUTS: usize = 7;

/// One linear layer on spikes; small weights and thresholds make ties frequent.
fn file(readout: Readout, weights: &[i8], threshold: i32, gains: &[u16], steps: u32) -> Vec<u32> {
    let layer = LayerSpec {
        input_pool: None,
        operation: Operation::Linear {
            outputs: OUTPUTS as u16,
        },
        pool: None,
        order: WeightOrder::OutputMajor,
        membrane: Membrane::I16,
        fraction: 0,
        beta: 29491,
        reset: if readout == Readout::Membrane {
            Reset::None
        } else {
            Reset::Subtract
        },
        thresholds: Spread::Layer,
        biases: None,
    };
    let spec = NetworkSpec {
        input: InputKind::Spikes,
        shape: [1, 1, INPUTS as u16],
        steps,
        readout,
        logit_scale: 0.5,
        layers: heapless::Vec::from_slice(&[layer]).expect("one layer fits"),
    };
    let layer = LayerParameters {
        weights,
        thresholds: &[threshold],
        biases: &[],
    };
    let metadata = Metadata {
        version: Metadata::VERSION,
        ..Metadata::default()
    };
    let gains = if readout.has_gains() { gains } else { &[] };
    let mut file = vec![0; 128];
    let words = write(&spec, &[layer], gains, &metadata, &mut file).expect("the model is valid");
    file.truncate(words);
    file
}

/// The lowest index of the largest score.
fn lowest_best(scores: &[i64]) -> usize {
    let best = scores.iter().max().expect("there are classes");
    scores
        .iter()
        .position(|score| score == best)
        .expect("the best is one of them")
}

/// Spike and membrane of each output, step by step.
type Record = Vec<[(bool, i64); OUTPUTS]>;

/// The class by the page's rule, from the record alone.
fn expected(readout: Readout, record: &Record, gains: &[u16]) -> (usize, Option<u32>) {
    let sum = |value: fn((bool, i64)) -> i64, j: usize| -> i64 {
        record.iter().map(|step| value(step[j])).sum()
    };
    let spikes = |j| sum(|(spike, _)| spike.into(), j);
    let membrane = |j: usize| i64::from(gains[j]) * sum(|(_, membrane)| membrane, j);
    let each = |score: &dyn Fn(usize) -> i64| (0..OUTPUTS).map(score).collect::<Vec<_>>();
    match readout {
        Readout::Count => (lowest_best(&each(&spikes)), None),
        Readout::Membrane => (lowest_best(&each(&membrane)), None),
        Readout::Population { groups } => {
            let counts = each(&spikes);
            let size = OUTPUTS / usize::from(groups);
            let sums: Vec<i64> = counts
                .chunks(size)
                .map(|group| group.iter().sum())
                .collect();
            (lowest_best(&sums), None)
        }
        Readout::FirstSpike => {
            let first = record
                .iter()
                .position(|step| step.iter().any(|(spike, _)| *spike));
            let Some(first) = first else {
                return (lowest_best(&each(&membrane)), None);
            };
            let strength = |j: usize| match record[first][j] {
                (true, membrane) => i64::from(gains[j]) * membrane,
                (false, _) => i64::MIN,
            };
            (lowest_best(&each(&strength)), Some(first as u32))
        }
    }
}

fn readouts() -> impl Strategy<Value = Readout> {
    prop_oneof![
        Just(Readout::Count),
        Just(Readout::Membrane),
        Just(Readout::FirstSpike),
        prop::sample::select(vec![1u16, 2, 3, 6]).prop_map(|groups| Readout::Population { groups }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None,
                                        ..ProptestConfig::default() })]

    #[test]
    fn decides_as_the_page_says(
        readout in readouts(),
        weights in prop::collection::vec(prop_oneof![Just(-1i8), Just(1i8)], OUTPUTS * INPUTS),
        threshold in 1i32..9,
        gains in prop::collection::vec(1u16..4, OUTPUTS),
        inputs in prop::collection::vec(0u32..1 << INPUTS, 1..8),
    ) {
        let file = file(readout, &weights, threshold, &gains, inputs.len() as u32);
        let model = Model::new(&file).expect("the model loads");
        let mut memory = vec![0; model.sizes().memory_words()];
        let mut network = Network::new(&model, &mut memory).expect("the memory is as stated");
        let mut record = Record::new();
        for input in &inputs {
            let word = [*input];
            network.step(model.input_words(&word).expect("seven bits"));
            record.push(std::array::from_fn(|j| {
                (network.spikes(0).get(j), network.membrane(0, j).into())
            }));
        }
        let decision = network.decision();
        let got = (decision.class, decision.first_spike);
        prop_assert_eq!(got, expected(readout, &record, &gains), "{:?}", readout);
        let confidence = network.confidence();
        prop_assert!((0.0..=1.001).contains(&confidence), "{}", confidence);
    }
}
