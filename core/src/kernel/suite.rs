//! The test suite that every kernel runs: random networks, step by step against the reference.

extern crate std;

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::{BLOCK, Kernel, Outputs, synaptic_operations};
use crate::lif::{Membrane, Reset};
use crate::model::{
    Input, InputKind, InputPool, LayerParameters, LayerSpec, Metadata, Model, NetworkSpec,
    Operation, Pool, PoolKind, Readout, Spread, WeightOrder, WriteError, write,
};
use crate::network::Network;
use crate::wide::{Activity, Tables, Wide};

/// Runs the suite over one kernel.
macro_rules! kernel_suite {
    ($kernel:expr) => {
        #[test]
        fn equals_the_reference() {
            $crate::kernel::suite::check($kernel);
        }
    };
}
pub(super) use kernel_suite;

/// A network in numbers that proptest can shrink.
#[derive(Debug, Clone)]
struct Case {
    input: InputKind,
    shape: [u16; 3],
    layers: Vec<LayerCase>,
    /// Chance of a set input bit, of 256; graded values are below it too.
    density: u32,
    seed: u64,
}

#[derive(Debug, Clone)]
struct LayerCase {
    spec: LayerSpec,
    /// Thresholds and biases are drawn up to this magnitude.
    scale: i32,
}

const STEPS: usize = 5;

/// Synapses and units of a layer, at most. Interpreted, a large network takes an hour.
const MOST_SYNAPSES: usize = if cfg!(miri) { 4_000 } else { 1 << 30 };
const MOST_UNITS: usize = if cfg!(miri) { 400 } else { 20_000 };

pub(super) fn check(kernel: Kernel) {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        // Interpreted, a case takes seconds.
        cases: if cfg!(miri) { 2 } else { 1_500 },
        failure_persistence: None,
        max_global_rejects: 4_000,
        ..ProptestConfig::default()
    });
    let supported = core::cell::Cell::new(0);
    runner
        .run(&case(kernel), |case| {
            let Some(file) = build(&case) else {
                return Err(TestCaseError::reject("shape"));
            };
            let model = Model::new(&file).expect("the writer's own model loads");
            let mut kind = case.input;
            let mut any = false;
            for layer in model.layers() {
                any |= kernel.supports(layer, kind);
                kind = InputKind::Spikes;
            }
            supported.set(supported.get() + u32::from(any));
            compare(&case, &model, kernel)
        })
        .unwrap_or_else(|error| panic!("{kernel:?} against the reference: {error}"));
    assert!(
        cfg!(miri) || supported.get() > 750,
        "{kernel:?} ran in {} cases only",
        supported.get()
    );
}

/// The suite over the layout for wide registers, which is no kernel of a layer but a whole network.
#[test]
fn wide_equals_the_reference() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 3_000 },
        failure_persistence: None,
        max_global_rejects: 20_000,
        ..ProptestConfig::default()
    });
    let supported = core::cell::Cell::new(0);
    runner
        .run(&case(Kernel::Reference), |case| {
            let Some(file) = build(&case) else {
                return Err(TestCaseError::reject("shape"));
            };
            let model = Model::new(&file).expect("the writer's own model loads");
            let Some(words) = Tables::words(&model) else {
                return Ok(());
            };
            supported.set(supported.get() + 1);
            compare_wide(&case, &model, words)
        })
        .unwrap_or_else(|error| panic!("wide against the reference: {error}"));
    assert!(
        cfg!(miri) || supported.get() > 300,
        "it ran in {} cases only",
        supported.get()
    );
}

fn compare_wide(case: &Case, model: &Model<'_>, words: usize) -> Result<(), TestCaseError> {
    let mut memory = vec![0xDEAD_BEEF; words];
    let tables = Tables::new(model, &mut memory).expect("the memory is as stated");
    let mut state = vec![0x5555_5555; tables.state_words()];
    let mut wide = Wide::new(&tables, &mut state).expect("the memory is as stated");
    let mut memory = vec![0; model.sizes().memory_words()];
    let mut reference = Network::new(model, &mut memory).expect("the memory is as stated");
    reference.force_kernel(Kernel::Reference);
    let mut random = Random(case.seed);
    let mut expected = Activity::default();
    for _ in 0..STEPS {
        let (bytes, bits) = inputs(case, &mut random);
        let input = if case.input.is_graded() {
            model.input(&bytes).expect("as many values as stated")
        } else {
            model.input_words(&bits).expect("as many bits as stated")
        };
        reference.step(input);
        wide.step(input);
        expected.steps += 1;
        let mut source = input;
        for (index, layer) in model.layers().iter().enumerate() {
            let difference = reference.difference(index, |neuron| wide.neuron(index, neuron));
            if let Some(difference) = difference {
                return Err(TestCaseError::fail(std::format!("{difference}")));
            }
            let fired = reference.spikes(index);
            expected.spikes[index] += u64::from(fired.count());
            expected.operations += synaptic_operations(layer, source);
            source = Input::Spikes(fired.words());
        }
        prop_assert_eq!(reference.decision(), wide.decision());
        prop_assert_eq!(reference.is_final(), wide.is_final());
        prop_assert_eq!(expected, wide.activity);
    }
    Ok(())
}

/// Steps the kernel and the reference side by side and compares every membrane and spike.
fn compare(case: &Case, model: &Model<'_>, kernel: Kernel) -> Result<(), TestCaseError> {
    let words = model.sizes().memory_words();
    // Dirty memory: a network must not depend on what it finds.
    let (mut left, mut right) = (vec![0xDEAD_BEEF; words], vec![0x5555_5555; words]);
    let mut reference = Network::new(model, &mut left).expect("the memory is as stated");
    let mut network = Network::new(model, &mut right).expect("the memory is as stated");
    reference.force_kernel(Kernel::Reference);
    network.force_kernel(kernel);
    let mut random = Random(case.seed);
    for _ in 0..STEPS {
        let (bytes, bits) = inputs(case, &mut random);
        let input = if case.input.is_graded() {
            model.input(&bytes).expect("as many values as stated")
        } else {
            model.input_words(&bits).expect("as many bits as stated")
        };
        check_sums(model, kernel, input)?;
        reference.step(input);
        network.step(input);
        if let Some(difference) = network.first_difference(&reference) {
            return Err(TestCaseError::fail(std::format!("{difference}")));
        }
        prop_assert_eq!(reference.decision(), network.decision());
    }
    Ok(())
}

/// Compares the first layer's sums themselves, which membranes can hide by shifts and saturation.
fn check_sums(model: &Model<'_>, kernel: Kernel, input: Input<'_>) -> Result<(), TestCaseError> {
    let layer = &model.layers()[0];
    if !kernel.supports(layer, model.input_kind()) {
        return Ok(());
    }
    let channels = usize::from(layer.output().channels);
    let weights = model.weights(layer);
    let sums = |kernel: Kernel| {
        let mut sums = vec![None; layer.units()];
        kernel.sums(layer, weights, input, &mut |position, block, outputs| {
            let first = block * BLOCK;
            let (values, positions) = match outputs {
                Outputs::Sums(sums) => (sums.to_vec(), 1),
                Outputs::Counts(counts) => (counts.sums().to_vec(), 1),
                Outputs::Pair(counts) => (counts.sums().to_vec(), 2),
                Outputs::Wide(counts) => (
                    counts.blocks().flat_map(|counts| counts.sums()).collect(),
                    1,
                ),
            };
            let count = positions * channels - first;
            for (k, value) in values.iter().take(count).enumerate() {
                let sum = &mut sums[position * channels + first + k];
                assert_eq!(sum.replace(*value), None, "a block came twice");
            }
        });
        sums
    };
    let (expected, got) = (sums(Kernel::Reference), sums(kernel));
    prop_assert_eq!(expected, got, "sums of layer 0");
    Ok(())
}

/// splitmix64: the draws of a case follow from its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z >> 32) as u32
    }

    fn below(&mut self, limit: u32) -> u32 {
        self.next() % limit.max(1)
    }
}

fn inputs(case: &Case, random: &mut Random) -> (Vec<u8>, Vec<u32>) {
    let units = case
        .shape
        .iter()
        .map(|side| usize::from(*side))
        .product::<usize>();
    let bytes = (0..units)
        .map(|_| random.below(case.density.max(1)) as u8)
        .collect();
    let mut bits = vec![0; units.div_ceil(32)];
    // In one case of four a third is full, whatever the density.
    let full = if case.seed.is_multiple_of(4) {
        units / 3
    } else {
        0
    };
    for index in 0..units {
        if index < full || random.below(256) < case.density {
            bits[index / 32] |= 1 << (index % 32);
        }
    }
    (bytes, bits)
}

/// The model file of a case; `None` where its shapes do not fit.
fn build(case: &Case) -> Option<Vec<u32>> {
    let mut spec = NetworkSpec {
        input: case.input,
        shape: case.shape,
        steps: STEPS as u32,
        readout: Readout::Count,
        logit_scale: 1.0,
        layers: heapless::Vec::new(),
    };
    let mut random = Random(!case.seed);
    let mut parameters: Vec<[Vec<i32>; 2]> = Vec::new();
    let mut weights: Vec<Vec<i8>> = Vec::new();
    let mut shape = case.shape.map(usize::from);
    for layer in &case.layers {
        // Layers behind one whose windows do not fit are left out.
        let Some((taps, output)) = geometry(&layer.spec, shape) else {
            break;
        };
        let units = output.iter().product::<usize>();
        if units > MOST_UNITS || units.saturating_mul(taps) > MOST_SYNAPSES {
            break;
        }
        shape = output;
        // Of one output in eight all are set: with full inputs it counts the most there is.
        let mut row = |set: bool| {
            let sign = |_| if set || random.below(2) == 0 { 1 } else { -1 };
            (0..taps).map(sign).collect::<Vec<_>>()
        };
        weights.push(
            (0..output[2])
                .flat_map(|channel| row(channel % 8 == 3))
                .collect(),
        );
        let (_, max) = layer.spec.membrane.range();
        let count = |spread| match spread {
            Spread::Layer => 1,
            Spread::Channel => output[2],
            Spread::Neuron => units,
        };
        // One in eight at the edge of the type.
        let mut draw = |edge: i32, low: i32| {
            if random.below(8) == 0 {
                edge
            } else {
                low + random.below(layer.scale as u32) as i32
            }
        };
        let thresholds = (0..count(layer.spec.thresholds))
            .map(|_| draw(max, 1))
            .collect();
        let biases = layer.spec.biases.map_or(0, count);
        let biases = (0..biases).map(|_| draw(-max, -layer.scale / 2)).collect();
        parameters.push([thresholds, biases]);
        let _ = spec.layers.push(layer.spec);
    }
    if spec.layers.is_empty() {
        return None;
    }
    let layers: Vec<_> = weights
        .iter()
        .zip(&parameters)
        .map(|(weights, [thresholds, biases])| LayerParameters {
            weights,
            thresholds,
            biases,
        })
        .collect();
    let metadata = Metadata {
        version: Metadata::VERSION,
        ..Metadata::default()
    };
    let mut file = vec![0; 1 << 18];
    match write(&spec, &layers, &[], &metadata, &mut file) {
        Ok(words) => file.truncate(words),
        // A megabyte is as much as a case may take.
        Err(WriteError::Buffer) => return None,
        Err(error) => panic!("the case is valid: {error}"),
    }
    Some(file)
}

/// Taps and output shape of a layer, computed apart from the crate's own geometry.
fn geometry(spec: &LayerSpec, mut shape: [usize; 3]) -> Option<(usize, [usize; 3])> {
    let positions = |size: usize, window: u16, stride: u16| {
        Some(size.checked_sub(window.into())? / usize::from(stride) + 1)
    };
    let pooled = |shape: [usize; 3], pool: Pool| {
        Some([
            positions(shape[0], pool.window[0], pool.stride[0])?,
            positions(shape[1], pool.window[1], pool.stride[1])?,
            shape[2],
        ])
    };
    if let Some(input_pool) = spec.input_pool {
        shape = pooled(shape, input_pool.pool)?;
    }
    match spec.operation {
        Operation::Linear { outputs } => Some((shape.iter().product(), [1, 1, outputs.into()])),
        Operation::Conv2d {
            channels,
            kernel,
            stride,
            padding,
        } => {
            let side =
                |i: usize| positions(shape[i] + 2 * usize::from(padding[i]), kernel[i], stride[i]);
            let mut output = [side(0)?, side(1)?, channels.into()];
            if let Some(pool) = spec.pool {
                output = pooled(output, pool)?;
            }
            let taps = usize::from(kernel[0]) * usize::from(kernel[1]) * shape[2];
            Some((taps, output))
        }
    }
}

fn case(kernel: Kernel) -> impl Strategy<Value = Case> {
    let kinds = match kernel {
        Kernel::Graded => vec![InputKind::U8, InputKind::I8],
        Kernel::Dense => vec![InputKind::Spikes, InputKind::Bipolar],
        Kernel::Event => vec![InputKind::Spikes],
        Kernel::Reference => {
            vec![
                InputKind::Spikes,
                InputKind::Bipolar,
                InputKind::U8,
                InputKind::I8,
            ]
        }
    };
    prop::sample::select(kinds).prop_flat_map(move |input| {
        let side = || 3u16..12;
        // Some have many channels, some are higher or wider than others; the event-driven kernel
        // notes 64 columns at a time.
        let shape = prop_oneof![
            8 => (side(), side(), prop_oneof![1u16..5, 30u16..70]),
            1 => (66u16..70, 3u16..6, 1u16..3),
            1 => (3u16..6, 66u16..140, 1u16..3),
        ]
        .prop_map(|(height, width, channels)| [height, width, channels]);
        let layers = prop::collection::vec(layer(kernel), 1..4);
        let density = prop_oneof![Just(0u32), Just(256), 1u32..256];
        (Just(input), shape, layers, density, any::<u64>()).prop_map(
            |(input, shape, mut layers, density, seed)| {
                let first = &mut layers[0].spec;
                restrict(first, input);
                Case {
                    input,
                    shape,
                    layers,
                    density,
                    seed,
                }
            },
        )
    })
}

/// Leaves out of a first layer what its input's kind does not define.
fn restrict(first: &mut LayerSpec, input: InputKind) {
    if input == InputKind::Bipolar {
        first.input_pool = None;
        first.pool = None;
        if let Operation::Conv2d { padding, .. } = &mut first.operation {
            *padding = [0, 0];
        }
    } else if input.is_graded()
        && let Some(pool) = &mut first.input_pool
    {
        pool.kind = PoolKind::Sum;
    }
}

fn pool() -> impl Strategy<Value = Pool> {
    ([1u16..4, 1u16..4], [1u16..4, 1u16..4]).prop_map(|(window, stride)| Pool { window, stride })
}

fn layer(kernel: Kernel) -> impl Strategy<Value = LayerCase> {
    // Also a width of which two positions are computed at once, and ones that are gathered by four
    // blocks, whole and not.
    let outputs = |wide| {
        prop_oneof![
            16 => 1u16..20,
            4 => Just(16),
            6 => 30u16..150,
            2 => 225u16..=256,
            wide => 230u16..600,
        ]
    };
    let operation = prop_oneof![
        outputs(2).prop_map(|outputs| Operation::Linear { outputs }),
        (
            outputs(1),
            // With pooling up to 21 rows, more than the event-driven kernel looks at together.
            (prop_oneof![8 => 1u16..5, 1 => 5u16..8], 1u16..5).prop_map(|(y, x)| [y, x]),
            [1u16..3, 1u16..3],
            [0u16..3, 0u16..3]
        )
            .prop_map(|(channels, kernel, stride, padding)| Operation::Conv2d {
                channels,
                kernel,
                stride,
                padding
            }),
    ];
    let orders = match kernel {
        Kernel::Dense | Kernel::Graded => vec![WeightOrder::OutputMajor],
        Kernel::Event => vec![WeightOrder::InputMajor],
        _ => vec![WeightOrder::OutputMajor, WeightOrder::InputMajor],
    };
    // Only the reference and the choice by layer run layers that pool their input.
    let input_pools = if kernel == Kernel::Reference {
        0.3
    } else {
        0.05
    };
    let input_pool = prop::option::weighted(
        input_pools,
        (
            prop_oneof![Just(PoolKind::Sum), Just(PoolKind::Max)],
            pool(),
        )
            .prop_map(|(kind, pool)| InputPool { kind, pool }),
    );
    let spread = || {
        prop_oneof![
            Just(Spread::Layer),
            Just(Spread::Channel),
            Just(Spread::Neuron)
        ]
    };
    let numerics = (
        prop_oneof![Just(Membrane::I16), Just(Membrane::I32)],
        -16i8..=16,
        prop_oneof![Just(0u16), Just(32768), 0u16..=32768],
        prop_oneof![Just(Reset::Subtract), Just(Reset::Zero), Just(Reset::None)],
    );
    (
        operation,
        input_pool,
        prop::option::of(pool()),
        prop::sample::select(orders),
        numerics,
        (spread(), prop::option::of(spread())),
        prop_oneof![1i32..100, 1i32..32767],
    )
        .prop_map(
            |(operation, input_pool, pool, order, numerics, (thresholds, biases), scale)| {
                let (membrane, fraction, beta, reset) = numerics;
                let linear = matches!(operation, Operation::Linear { .. });
                let pool = if linear { None } else { pool };
                let spec = LayerSpec {
                    input_pool,
                    operation,
                    pool,
                    order,
                    membrane,
                    fraction,
                    beta,
                    reset,
                    thresholds,
                    biases,
                };
                LayerCase { spec, scale }
            },
        )
}
