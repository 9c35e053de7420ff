//! `core::wide` as the trainer compiles it, at every level of vector instructions that this
//! processor has, against the reference: the cases that devices run, and networks of real sizes.

use bitspike_core::kernel::Kernel;
use bitspike_core::model::{Input, Model};
use bitspike_core::network::Network;
use bitspike_core::random::Xorshift32;
use bitspike_core::wide::{Tables, Wide};
use bitspike_tests::networks::{Order, TOPOLOGIES, chains};
use bitspike_trainer::wide::{Level, Steps};

#[allow(
    dead_code,
    reason = "only the cases are used, not the run of the kernels"
)]
#[path = "../../core/tests/cases/mod.rs"]
mod cases;

fn levels() -> impl Iterator<Item = Level> {
    Level::ALL.into_iter().filter(|level| level.is_available())
}

/// Decides once by each, and compares decision, steps, every membrane and every spike; whether the
/// model is supported.
fn compare(what: &str, model: &Model<'_>, inputs: &[Input<'_>]) -> bool {
    let mut words = vec![0xDEAD_BEEF; Tables::words(model).unwrap_or(0)];
    let Some(tables) = Tables::new(model, &mut words) else {
        return false;
    };
    for level in levels() {
        let mut state = vec![0x5555_5555; tables.state_words()];
        let mut wide = Wide::new(&tables, &mut state).unwrap();
        let mut memory = vec![0; model.sizes().memory_words()];
        let mut reference = Network::new(model, &mut memory).unwrap();
        reference.force_kernel(Kernel::Reference);
        for still in [false, true] {
            let steps = if still {
                Steps::Still(inputs[0])
            } else {
                Steps::Each(inputs)
            };
            let got = level.decide(&mut wide, steps);
            let expected = if still {
                reference.run_until_final(inputs[0])
            } else {
                reference.reset();
                for input in inputs {
                    reference.step(*input);
                    if reference.is_final() {
                        break;
                    }
                }
                (reference.decision(), reference.steps())
            };
            for layer in 0..model.layers().len() {
                let difference = reference.difference(layer, |neuron| wide.neuron(layer, neuron));
                if let Some(difference) = difference {
                    panic!("{what} at {level:?}: {difference}");
                }
            }
            assert_eq!(got, expected, "{what} at {level:?}");
        }
    }
    true
}

#[test]
fn every_level_equals_the_reference_on_the_devices_cases() {
    let mut buffers = Box::new(cases::Buffers::new());
    let mut supported = 0;
    cases::each(&mut buffers, 10_000, |case, seed, words, buffers| {
        let model = Model::new(&buffers.file[..words]).unwrap();
        let mut random = Xorshift32::new(!seed);
        let density = [0, 8, 64, 128, 256][random.draw() as usize % 5];
        let mut memory = [[0; cases::INPUTS / 4]; cases::STEPS];
        let inputs: Option<Vec<_>> = memory
            .iter_mut()
            .map(|words| cases::input(&model, density, &mut random, words))
            .collect();
        if let Some(inputs) = inputs {
            supported += u32::from(compare(&format!("case {case}"), &model, &inputs));
        }
        Ok::<_, ()>(())
    })
    .unwrap();
    assert!(supported > 1_000, "it ran in {supported} cases only");
}

#[test]
fn every_level_equals_the_reference_on_networks_of_real_sizes() {
    for topology in TOPOLOGIES.iter().chain(chains::FITTED) {
        let density = topology.densities[0];
        let bytes = topology.inputs(density, 4);
        let file = topology.build(density, Order::Exported, &bytes);
        let model = Model::new(&file).unwrap();
        let words: Vec<Vec<u32>> = bytes
            .iter()
            .map(|bytes| {
                let words = bytes.as_chunks().0.iter();
                words.map(|word| u32::from_le_bytes(*word)).collect()
            })
            .collect();
        let inputs = bytes.iter().zip(&words).map(|(bytes, words)| {
            if model.input_kind().is_graded() {
                model.input(bytes).unwrap()
            } else {
                model.input_words(words).unwrap()
            }
        });
        let inputs: Vec<_> = inputs.collect();
        assert!(compare(topology.name, &model, &inputs), "{}", topology.name);
    }
}
