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

/// The first number of steps after which no continuation of the record changes the class: tried
/// out with the best and the worst that the other steps could bring.
fn first_final_step(readout: Readout, record: &Record) -> u32 {
    let size = match readout {
        Readout::Membrane => return record.len() as u32,
        Readout::FirstSpike => {
            let first = record
                .iter()
                .position(|step| step.iter().any(|(spike, _)| *spike));
            return first.map_or(record.len(), |step| step + 1) as u32;
        }
        Readout::Population { groups } => OUTPUTS / usize::from(groups),
        Readout::Count => 1,
    };
    let classes = OUTPUTS / size;
    let after = |steps: usize, extra: &dyn Fn(usize) -> i64| {
        let mut scores = vec![0; classes];
        for step in &record[..steps] {
            for (j, (spike, _)) in step.iter().enumerate() {
                scores[j / size] += i64::from(*spike);
            }
        }
        let left = ((record.len() - steps) * size) as i64;
        for (class, score) in scores.iter_mut().enumerate() {
            *score += left * extra(class);
        }
        lowest_best(&scores)
    };
    (1..=record.len())
        .find(|&steps| {
            let now = after(steps, &|_| 0);
            (0..classes).all(|rival| after(steps, &|class| i64::from(class == rival)) == now)
        })
        .expect("after the last step nothing can change") as u32
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
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 3 } else { 4_000 }, failure_persistence: None,
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
        // The decision of the first step after which it was said to be final.
        let mut early = None;
        for input in &inputs {
            let word = [*input];
            network.step(model.input_words(&word).expect("seven bits"));
            if network.is_final() {
                early = early.or(Some((network.decision(), network.steps())));
            } else {
                prop_assert!(early.is_none(), "final, and then not");
            }
            record.push(std::array::from_fn(|j| {
                (network.spikes(0).get(j), network.membrane(0, j).into())
            }));
        }
        let decision = network.decision();
        let got = (decision.class, decision.first_spike);
        prop_assert_eq!(got, expected(readout, &record, &gains), "{:?}", readout);
        let (early, steps) = early.expect("final after the last step");
        prop_assert_eq!(early, decision, "after {} of {} steps", steps, inputs.len());
        prop_assert_eq!(steps, first_final_step(readout, &record));
        let confidence = network.confidence();
        prop_assert!((0.0..=1.001).contains(&confidence), "{}", confidence);
    }
}

/// Inputs in which one output fires in every step and no other does.
#[test]
fn a_clear_lead_ends_the_decision_early() {
    let steps = 8;
    for (class, readout, expected) in [
        // A lead of 4 with 4 steps left is enough against higher classes only.
        (0, Readout::Count, 4),
        (1, Readout::Count, 5),
        (OUTPUTS - 1, Readout::Count, 5),
        // One of two neurons of its group fires: half the lead.
        (1, Readout::Population { groups: 3 }, 6),
        (2, Readout::FirstSpike, 1),
        (2, Readout::Membrane, steps),
    ] {
        let mut weights = vec![-1; OUTPUTS * INPUTS];
        weights[class * INPUTS..(class + 1) * INPUTS].fill(1);
        let file = file(readout, &weights, 1, &[1; OUTPUTS], steps);
        let model = Model::new(&file).expect("the model loads");
        let mut memory = vec![0; model.sizes().memory_words()];
        let mut network = Network::new(&model, &mut memory).expect("the memory is as stated");
        let input = model.input_words(&[(1 << INPUTS) - 1]).expect("seven bits");
        let (decision, used) = network.run_until_final(input);
        assert_eq!((used, network.steps()), (expected, expected), "{readout:?}");
        assert_eq!(decision, network.run(input), "{readout:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 3 } else { 2_000 },
                                        failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_static_input_stops_early_with_the_same_decision(
        readout in readouts(),
        weights in prop::collection::vec(prop_oneof![Just(-1i8), Just(1i8)], OUTPUTS * INPUTS),
        threshold in 1i32..5,
        gains in prop::collection::vec(1u16..4, OUTPUTS),
        input in 0u32..1 << INPUTS,
        steps in 1u32..12,
    ) {
        let file = file(readout, &weights, threshold, &gains, steps);
        let model = Model::new(&file).expect("the model loads");
        let mut memory = vec![0; model.sizes().memory_words()];
        let mut network = Network::new(&model, &mut memory).expect("the memory is as stated");
        let word = [input];
        let input = model.input_words(&word).expect("seven bits");
        let (decision, used) = network.run_until_final(input);
        prop_assert!((1..=steps).contains(&used));
        prop_assert_eq!(decision, network.run(input));
        prop_assert_eq!(network.steps(), steps);
    }
}
