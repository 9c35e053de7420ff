//! Models at the limits of the format: they load and run, or are refused by name.

mod words;

use bitspike_core::kernel::Kernel;
use bitspike_core::lif::{Membrane, Reset};
use bitspike_core::model::{
    InputKind, InputPool, LayerParameters, LayerSpec, MAX_LAYERS, Metadata, Model, ModelError,
    NetworkSpec, Operation, Pool, PoolKind, Readout, Spread, WeightOrder, WriteError, write,
};
use bitspike_core::network::Network;
use bitspike_core::wide::{Tables, Wide};
use words::words_of;

const LINEAR: LayerSpec = LayerSpec {
    input_pool: None,
    operation: Operation::Linear { outputs: 1 },
    pool: None,
    order: WeightOrder::OutputMajor,
    membrane: Membrane::I16,
    fraction: 0,
    beta: 32768,
    reset: Reset::None,
    thresholds: Spread::Layer,
    biases: None,
};

fn network(input: InputKind, shape: [u16; 3], layers: &[LayerSpec]) -> NetworkSpec {
    NetworkSpec {
        input,
        shape,
        steps: 2,
        readout: Readout::Count,
        logit_scale: 1.0,
        layers: heapless::Vec::from_slice(layers).expect("at most 16 layers"),
    }
}

fn conv(channels: u16, kernel: [u16; 2], padding: [u16; 2]) -> Operation {
    Operation::Conv2d {
        channels,
        kernel,
        stride: [1, 1],
        padding,
    }
}

/// A file whose weights are all +1 and whose thresholds are all 1.
fn try_file(spec: &NetworkSpec, weights: &[usize]) -> Result<Vec<u32>, WriteError> {
    let ones: Vec<Vec<i8>> = weights.iter().map(|count| vec![1; *count]).collect();
    let layers: Vec<LayerParameters<'_>> = ones
        .iter()
        .map(|weights| LayerParameters {
            weights,
            thresholds: &[1],
            biases: &[],
        })
        .collect();
    let metadata = Metadata {
        version: Metadata::VERSION,
        ..Metadata::default()
    };
    // Rows of few weights take a word each.
    let words: usize = weights.iter().map(|count| count + 64).sum();
    let mut file = vec![0; 4096 + words.min(1 << 22)];
    let end = write(spec, &layers, &[], &metadata, &mut file)?;
    file.truncate(end);
    Ok(file)
}

fn file(spec: &NetworkSpec, weights: &[usize]) -> Vec<u32> {
    try_file(spec, weights).unwrap_or_else(|error| panic!("refused: {error}"))
}

fn refusal(spec: &NetworkSpec, weights: &[usize]) -> ModelError {
    match try_file(spec, weights) {
        Err(WriteError::Refused(error)) => error,
        other => panic!("not refused by the loader: {other:?}"),
    }
}

/// Membrane of the first and last neuron and spikes of each layer after one step, by the chosen
/// kernels; the reference must agree.
fn first_step(file: &[u32], bytes: &[u8]) -> Vec<(i32, i32, u32)> {
    let model = Model::new(file).expect("the model loads");
    let words = words_of(bytes);
    let input = if model.input_kind().is_graded() {
        model.input(bytes).expect("as many bytes")
    } else {
        model.input_words(&words).expect("as many words")
    };
    let (mut own, mut other) = (
        vec![0; model.sizes().memory_words()],
        vec![0; model.sizes().memory_words()],
    );
    let mut network = Network::new(&model, &mut own).expect("as stated");
    let mut reference = Network::new(&model, &mut other).expect("as stated");
    reference.force_kernel(Kernel::Reference);
    network.step(input);
    reference.step(input);
    assert_eq!(reference.first_difference(&network), None);
    (0..model.layers().len())
        .map(|layer| {
            let last = network.units(layer) - 1;
            let membranes = (network.membrane(layer, 0), network.membrane(layer, last));
            (membranes.0, membranes.1, network.spikes(layer).count())
        })
        .collect()
}

#[test]
fn sixteen_layers_run() {
    let spec = network(InputKind::Spikes, [1, 1, 3], &[LINEAR; MAX_LAYERS]);
    let mut weights = [1; MAX_LAYERS];
    weights[0] = 3;
    let got = first_step(&file(&spec, &weights), &[0b111, 0, 0, 0]);
    // Three spikes pass the threshold of 1 once; one spike does not.
    let mut expected = vec![(0, 0, 0); MAX_LAYERS];
    expected[0] = (3, 3, 1);
    expected[1] = (1, 1, 0);
    assert_eq!(got, expected);
}

/// Positions far outside a map of many channels: flat indices of their edges pass 32 bits.
#[test]
#[cfg_attr(miri, ignore = "80,000 weights")]
fn windows_far_outside_the_map_see_nothing() {
    for input in [InputKind::Spikes, InputKind::U8] {
        let order = match input {
            InputKind::Spikes => WeightOrder::InputMajor,
            _ => WeightOrder::OutputMajor,
        };
        let layer = LayerSpec {
            operation: Operation::Conv2d {
                channels: 1,
                kernel: [1, 1],
                stride: [1, 60_000],
                padding: [0, 60_000],
            },
            order,
            ..LINEAR
        };
        let spec = network(input, [1, 1, 40_000], &[layer]);
        let mut bytes = vec![
            0;
            if input == InputKind::Spikes {
                5_000
            } else {
                40_000
            }
        ];
        bytes[0] = 1;
        // Three positions; the middle one alone lies on the map.
        let model_file = file(&spec, &[40_000]);
        assert_eq!(first_step(&model_file, &bytes), [(0, 0, 0)]);
        bytes[1] = 1;
        assert_eq!(first_step(&model_file, &bytes), [(0, 0, 1)]);
    }
}

/// The widest layers that there are, in both orders of weights, and the widest input.
#[test]
#[cfg_attr(miri, ignore = "millions of sums")]
fn layers_of_65535_units_run() {
    for order in [WeightOrder::OutputMajor, WeightOrder::InputMajor] {
        let wide = LayerSpec {
            operation: Operation::Linear { outputs: 65_535 },
            order,
            ..LINEAR
        };
        let narrow = LayerSpec { order, ..LINEAR };
        let spec = network(InputKind::Spikes, [1, 1, 2], &[wide, narrow]);
        let got = first_step(&file(&spec, &[2 * 65_535, 65_535]), &[0b11, 0, 0, 0]);
        // 65,535 spikes in: the membrane of 16 bits saturates.
        assert_eq!(got, [(2, 2, 65_535), (32_767, 32_767, 1)], "{order:?}");
        let deep = LayerSpec {
            membrane: Membrane::I32,
            ..narrow
        };
        let spec = network(InputKind::Spikes, [1, 1, 2], &[wide, deep]);
        let got = first_step(&file(&spec, &[2 * 65_535, 65_535]), &[0b11, 0, 0, 0]);
        assert_eq!(got[1], (65_535, 65_535, 1), "{order:?}");
        // The widest input of bytes.
        let spec = network(InputKind::U8, [65_535, 1, 1], &[deep]);
        let got = first_step(&file(&spec, &[65_535]), &[255; 65_535]);
        assert_eq!(got[0], (255 * 65_535, 255 * 65_535, 1), "{order:?}");
    }
    // A map of 255 x 257 positions.
    let map = LayerSpec {
        operation: conv(1, [3, 3], [1, 1]),
        ..LINEAR
    };
    let spec = network(InputKind::U8, [255, 257, 1], &[map]);
    let got = first_step(&file(&spec, &[9]), &vec![1; 65_535]);
    assert_eq!(got[0], (4, 4, 65_535));
}

/// One unit more than 65,535, and products that 32 bits do not hold.
#[test]
fn layers_of_65536_units_are_refused_by_name() {
    let spec = network(InputKind::Spikes, [256, 256, 1], &[LINEAR]);
    assert_eq!(refusal(&spec, &[]), ModelError::Input { got: 65_536 });
    for (shape, operation, got) in [
        ([254, 254, 1], conv(1, [1, 1], [1, 1]), 65_536),
        ([255, 256, 1], conv(2, [1, 1], [0, 0]), 130_560),
        (
            [1, 1, 1],
            conv(65_535, [1, 1], [32_767, 32_767]),
            65_535usize.saturating_pow(3),
        ),
        // Modulo 2^32 it is 6,315, which a wrapping product would accept.
        (
            [1, 1, 1],
            conv(65_333, [1, 1], [32_763, 17_004]),
            65_527usize.saturating_mul(34_009).saturating_mul(65_333),
        ),
    ] {
        let layer = LayerSpec {
            operation,
            ..LINEAR
        };
        let error = refusal(&network(InputKind::Spikes, shape, &[layer]), &[]);
        assert_eq!(error, ModelError::Units { layer: 0, got });
    }
}

/// The largest magnitude that a shape allows is compared with 2^31 - 1, not one that occurs.
#[test]
fn sums_up_to_32_bits_run_and_larger_ones_are_refused_by_name() {
    // 46,155 pixels a place, and as many places in the pooling window as 32 bits hold.
    let summed = |window: [u16; 2]| LayerSpec {
        operation: conv(1, [181, 255], [90, 0]),
        pool: Some(Pool {
            window,
            stride: [255, 1],
        }),
        membrane: Membrane::I32,
        ..LINEAR
    };
    let taps = 181 * 255;
    let largest = |window: u64| taps as u64 * 255 * window;
    let fits = (i32::MAX as u64 / largest(1)) as u16;
    assert!(
        largest(fits.into()) <= i32::MAX as u64 && largest(u64::from(fits) + 1) > i32::MAX as u64
    );
    let spec = network(InputKind::U8, [255, 255, 1], &[summed([fits, 1])]);
    if !cfg!(miri) {
        let got = first_step(&file(&spec, &[taps]), &vec![255; 65_025]);
        assert!(got[0].0 > 1 << 30, "{got:?}");
    }
    let spec = network(InputKind::U8, [255, 255, 1], &[summed([fits + 1, 1])]);
    let error = refusal(&spec, &[taps]);
    let expected = ModelError::Sum {
        layer: 0,
        largest: largest(u64::from(fits) + 1),
    };
    assert_eq!(error, expected);

    // The largest sum of all: 65,535 values, times windows in front of and behind the weights.
    let window = Pool {
        window: [65_535, 65_535],
        stride: [1, 1],
    };
    let layer = LayerSpec {
        input_pool: Some(InputPool {
            kind: PoolKind::Sum,
            pool: window,
        }),
        ..LINEAR
    };
    let spec = network(InputKind::U8, [65_535, 1, 1], &[layer]);
    assert!(matches!(
        refusal(&spec, &[1]),
        ModelError::Shape { layer: 0, .. }
    ));
}

/// Membranes, fraction and beta at their edges, on the largest sums of a spike layer.
#[test]
fn membranes_saturate_at_the_edges_of_the_numerics() {
    for (membrane, max) in [(Membrane::I16, 32_767), (Membrane::I32, i32::MAX)] {
        for (fraction, expected) in [(16, max), (-16, 4096 >> 16), (0, 4096.min(max))] {
            let layer = LayerSpec {
                membrane,
                fraction,
                ..LINEAR
            };
            let spec = network(InputKind::Spikes, [1, 1, 4096], &[layer]);
            let got = first_step(&file(&spec, &[4096]), &[255; 512]);
            let expected = if fraction == 16 {
                (4096i64 << 16).min(max.into()) as i32
            } else {
                expected
            };
            assert_eq!(got[0].0, expected, "{membrane:?} {fraction}");
        }
    }
}

/// The longest decision.
#[test]
fn a_decision_of_65536_steps_runs() {
    let mut spec = network(InputKind::Spikes, [1, 1, 1], &[LINEAR]);
    spec.steps = 65_536;
    let file = file(&spec, &[1]);
    let model = Model::new(&file).expect("the model loads");
    let mut memory = vec![0; model.sizes().memory_words()];
    let mut network = Network::new(&model, &mut memory).expect("as stated");
    if cfg!(miri) {
        return;
    }
    network.run(model.input_words(&[1]).expect("one bit"));
    // The membrane grows by 1 a step, passes the threshold of 1 in the second, and saturates.
    assert_eq!((network.score(0), network.membrane(0, 0)), (65_535, 32_767));
}

/// Counters of the kernels at their limits: every input spikes and meets a weight of +1.
#[test]
fn counters_hold_as_many_spikes_as_meet_a_position() {
    // 15 in a nibble, 255 in a byte, 1,016 in planes; 1,919 in the tables that positions share.
    let taps: &[u16] = if cfg!(miri) {
        &[16, 256]
    } else {
        &[15, 16, 48, 255, 256, 1016, 1017, 1919, 1920, 4095]
    };
    for order in [WeightOrder::InputMajor, WeightOrder::OutputMajor] {
        for &taps in taps {
            let layer = LayerSpec {
                operation: conv(8, [1, 1], [0, 0]),
                order,
                ..LINEAR
            };
            let spec = network(InputKind::Spikes, [3, 3, taps], &[layer]);
            let units = 9 * usize::from(taps);
            let mut spikes = vec![255; units.div_ceil(8)];
            if let Some(last) = spikes.last_mut()
                && !units.is_multiple_of(8)
            {
                *last = (1 << (units % 8)) - 1;
            }
            let got = first_step(&file(&spec, &[8 * usize::from(taps)]), &spikes);
            assert_eq!(got, [(taps.into(), taps.into(), 72)], "{order:?} {taps}");
        }
    }
}

/// The same of the wide network, which adds rows of weights in bytes: 127 of ±1 fit, 31 where a
/// pooling window of 2x2 is folded in.
#[test]
fn bytes_of_the_wide_network_hold_as_many_rows_as_are_added() {
    for window in [1, 2] {
        for taps in [31, 32, 127, 128, 129, 300] {
            let layer = LayerSpec {
                operation: conv(8, [1, 1], [0, 0]),
                pool: Some(Pool {
                    window: [window; 2],
                    stride: [1, 1],
                }),
                order: WeightOrder::InputMajor,
                ..LINEAR
            };
            let spec = network(InputKind::Spikes, [2, 2, taps], &[layer]);
            let file = file(&spec, &[8 * usize::from(taps)]);
            let model = Model::new(&file).expect("the model loads");
            let mut memory = vec![0; Tables::words(&model).expect("it is supported")];
            let tables = Tables::new(&model, &mut memory).expect("as stated");
            let mut state = vec![0; tables.state_words()];
            let mut wide = Wide::new(&tables, &mut state).expect("as stated");
            let units = 4 * usize::from(taps);
            let mut words = vec![u32::MAX; units.div_ceil(32)];
            if !units.is_multiple_of(32) {
                words[units / 32] = (1 << (units % 32)) - 1;
            }
            wide.step(model.input_words(&words).expect("as many bits"));
            let expected = i32::from(window * window * taps);
            assert_eq!(wide.neuron(0, 0), (expected, true), "{window} {taps}");
        }
    }
}
