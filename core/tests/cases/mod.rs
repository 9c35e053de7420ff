//! Seeded random networks, each kernel against the reference, without heap or `std`: the same
//! cases on the host (tests/kernels.rs) and on every device (firmware/tests/kernels.rs).
//!
//! The property tests in src/kernel/suite.rs draw larger networks and shrink what fails; these are
//! small enough for 16 KiB of RAM.

use bitspike_core::hash::StateHash;
use bitspike_core::kernel::Kernel;
use bitspike_core::lif::{Membrane, Reset};
use bitspike_core::model::{
    Input, InputKind, InputPool, LayerParameters, LayerSpec, Metadata, Model, NetworkSpec,
    Operation, Pool, PoolKind, Readout, Spread, WeightOrder, write,
};
use bitspike_core::network::{Difference, Network};
use bitspike_core::random::Xorshift32;

/// Layers of a network at most.
const LAYERS: usize = 2;
/// Weights, parameters and words that the buffers hold; a case that needs more is left out. All
/// of them and the writer's 9 KiB of stack fit the micro:bit's 16 KiB.
const WEIGHTS: usize = 768;
const UNITS: usize = 66;
const FILE: usize = 300;
const MEMORY: usize = 360;
pub(crate) const INPUTS: usize = 192;
/// Steps of a case.
pub(crate) const STEPS: usize = 3;

/// All memory that the cases need.
pub(crate) struct Buffers {
    weights: [i8; WEIGHTS],
    thresholds: [i32; LAYERS * UNITS],
    biases: [i32; LAYERS * UNITS],
    pub(crate) file: [u32; FILE],
    reference: [u32; MEMORY],
    other: [u32; MEMORY],
    input: [u32; INPUTS / 4],
}

impl Buffers {
    /// Memory that is all 0.
    pub(crate) const fn new() -> Self {
        Self {
            weights: [0; WEIGHTS],
            thresholds: [0; LAYERS * UNITS],
            biases: [0; LAYERS * UNITS],
            file: [0; FILE],
            reference: [0; MEMORY],
            other: [0; MEMORY],
            input: [0; INPUTS / 4],
        }
    }
}

/// What came of the cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Cases whose shapes fit.
    pub(crate) cases: usize,
    /// Runs of a kernel that supports at least one layer of its case.
    pub(crate) runs: usize,
    /// Spikes of the reference.
    pub(crate) spikes: u32,
    /// Hash of every spike and membrane of the reference, to compare machines.
    pub(crate) hash: u64,
}

/// A kernel that differs from the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed {
    /// Number of the case.
    pub(crate) case: usize,
    /// The kernel; `None` for the choice by layer.
    pub(crate) kernel: Option<Kernel>,
    /// Where it differs first.
    pub(crate) difference: Difference,
}

/// Runs `count` cases.
///
/// # Errors
/// [`Failed`] at the first difference.
pub(crate) fn run(buffers: &mut Buffers, count: usize) -> Result<Passed, Failed> {
    let mut passed = Passed {
        cases: 0,
        runs: 0,
        spikes: 0,
        hash: 0,
    };
    each(buffers, count, |case, seed, words, buffers| {
        passed.cases += 1;
        compare(case, seed, words, buffers, &mut passed)
    })?;
    Ok(passed)
}

/// Builds `count` cases, and gives `visit` the number, the seed and the words of the file of each
/// whose shapes fit.
///
/// # Errors
/// The first of `visit`.
pub(crate) fn each<E>(
    buffers: &mut Buffers,
    count: usize,
    mut visit: impl FnMut(usize, u32, usize, &mut Buffers) -> Result<(), E>,
) -> Result<(), E> {
    let mut random = Xorshift32::new(1);
    for case in 0..count {
        let seed = random.draw();
        if let Some(words) = build(&mut Xorshift32::new(seed), buffers) {
            visit(case, seed, words, buffers)?;
        }
    }
    Ok(())
}

/// Every kernel that supports a layer of the case, and the choice by layer, step by step.
fn compare(
    case: usize,
    seed: u32,
    words: usize,
    buffers: &mut Buffers,
    passed: &mut Passed,
) -> Result<(), Failed> {
    let Some(file) = buffers.file.get(..words) else {
        return Ok(());
    };
    let Ok(model) = &Model::<LAYERS>::sized(file) else {
        return Ok(());
    };
    let choices = [None]
        .into_iter()
        .chain(Kernel::ALL.iter().map(|kernel| Some(*kernel)));
    for kernel in choices {
        let mut kind = model.input_kind();
        let mut any = kernel.is_none();
        for layer in model.layers() {
            any |= kernel.is_some_and(|kernel| kernel.supports(layer, kind));
            kind = InputKind::Spikes;
        }
        if !any {
            continue;
        }
        passed.runs += 1;
        // A network must not depend on what it finds in its memory.
        buffers.reference.fill(0x5555_5555);
        buffers.other.fill(0xDEAD_BEEF);
        let (Ok(mut reference), Ok(mut other)) = (
            Network::new(model, &mut buffers.reference),
            Network::new(model, &mut buffers.other),
        ) else {
            return Ok(());
        };
        reference.force_kernel(Kernel::Reference);
        if let Some(kernel) = kernel {
            other.force_kernel(kernel);
        }
        let mut hash = StateHash::new();
        let mut random = Xorshift32::new(!seed);
        let density = one_of(&mut random, &[0, 8, 64, 128, 256]);
        for _ in 0..STEPS {
            let Some(input) = input(model, density, &mut random, &mut buffers.input) else {
                return Ok(());
            };
            reference.step(input);
            other.step(input);
            if let Some(difference) = other.first_difference(&reference) {
                return Err(Failed {
                    case,
                    kernel,
                    difference,
                });
            }
            hash.update(&reference);
            passed.spikes += (0..LAYERS)
                .map(|layer| reference.spikes(layer).count())
                .sum::<u32>();
        }
        passed.hash = passed.hash.rotate_left(1) ^ hash.finish();
    }
    Ok(())
}

/// A random input at a density of 256.
pub(crate) fn input<'i, const N: usize>(
    model: &Model<'_, N>,
    density: u32,
    random: &mut Xorshift32,
    words: &'i mut [u32],
) -> Option<Input<'i>> {
    let units = model.input_shape().units();
    words.fill(0);
    let graded = model.input_kind().is_graded();
    for unit in 0..units {
        let (draw, value) = (random.draw() >> 24, random.draw() >> 24);
        let (index, shift, value) = if graded {
            (unit / 4, unit % 4 * 8, value)
        } else {
            (unit / 32, unit % 32, 1)
        };
        if draw < density {
            *words.get_mut(index)? |= value << shift;
        }
    }
    if graded {
        let bytes: &[u8] = bytemuck::cast_slice(words);
        model.input(bytes.get(..units)?).ok()
    } else {
        model.input_words(words.get(..units.div_ceil(32))?).ok()
    }
}

/// The model file of a case, in words; `None` where its shapes do not fit.
fn build(random: &mut Xorshift32, buffers: &mut Buffers) -> Option<usize> {
    let input = one_of(
        random,
        &[
            InputKind::Spikes,
            InputKind::Spikes,
            InputKind::Bipolar,
            InputKind::U8,
            InputKind::I8,
        ],
    );
    let side = |random: &mut Xorshift32| 1 + below(random, 7) as u16;
    let channels = one_of(random, &[1, 2, 3, 5, 31, 33]);
    let shape = [side(random), side(random), channels];
    let mut spec = NetworkSpec {
        input,
        shape,
        steps: STEPS as u32,
        readout: Readout::Count,
        logit_scale: 1.0,
        layers: heapless::Vec::new(),
    };
    let mut taken = 0;
    let mut shape = shape.map(usize::from);
    let mut counts = [[0; 3]; LAYERS];
    for (index, count) in counts
        .iter_mut()
        .enumerate()
        .take(1 + below(random, 2) as usize)
    {
        let kind = if index == 0 { input } else { InputKind::Spikes };
        let layer = layer(random, kind);
        let (taps, output) = geometry(&layer, shape)?;
        let units: usize = output.iter().product();
        let of = |spread| match spread {
            Spread::Layer => 1,
            Spread::Channel => output[2],
            Spread::Neuron => units,
        };
        *count = [
            taps * output[2],
            of(layer.thresholds),
            layer.biases.map_or(0, of),
        ];
        taken += count[0];
        if units > UNITS || taken > WEIGHTS {
            return None;
        }
        shape = output;
        spec.layers.push(layer).ok()?;
    }
    buffers
        .weights
        .fill_with(|| if random.draw() >> 31 == 1 { 1 } else { -1 });
    let scale = 1 + below(
        random,
        one_of(&mut Xorshift32::new(random.state()), &[8, 100, 32767]),
    );
    for (slot, layer) in spec.layers.iter().enumerate() {
        let (_, max) = layer.membrane.range();
        // One in eight at the edge of the type.
        let mut draw = |edge, low: i32| match below(random, 8) {
            0 => edge,
            _ => low + below(random, scale) as i32,
        };
        let here = slot * UNITS..(slot + 1) * UNITS;
        buffers
            .thresholds
            .get_mut(here.clone())?
            .fill_with(|| draw(max, 1));
        let low = -(scale as i32) / 2;
        buffers.biases.get_mut(here)?.fill_with(|| draw(-max, low));
    }
    let mut parameters = [LayerParameters {
        weights: &[],
        thresholds: &[],
        biases: &[],
    }; LAYERS];
    let mut at = 0;
    for (slot, (to, [weights, thresholds, biases])) in parameters.iter_mut().zip(counts).enumerate()
    {
        let start = slot * UNITS;
        *to = LayerParameters {
            weights: buffers.weights.get(at..at + weights)?,
            thresholds: buffers.thresholds.get(start..start + thresholds)?,
            biases: buffers.biases.get(start..start + biases)?,
        };
        at += weights;
    }
    let metadata = Metadata {
        version: Metadata::VERSION,
        ..Metadata::default()
    };
    let parameters = parameters.get(..spec.layers.len())?;
    write(&spec, parameters, &[], &metadata, &mut buffers.file).ok()
}

/// A layer that reads inputs of this kind.
fn layer(random: &mut Xorshift32, kind: InputKind) -> LayerSpec {
    let linear = below(random, 2) == 0;
    let bipolar = kind == InputKind::Bipolar;
    let outputs = one_of(random, &[1, 3, 8, 31, 33, 65]);
    let side = |random: &mut Xorshift32| 1 + below(random, 3) as u16;
    let pool = |random: &mut Xorshift32| Pool {
        window: [side(random), side(random)],
        stride: [side(random), side(random)],
    };
    let spreads = [Spread::Layer, Spread::Channel, Spread::Neuron];
    let kinds: &[PoolKind] = if kind == InputKind::Spikes {
        &[PoolKind::Sum, PoolKind::Max]
    } else {
        &[PoolKind::Sum]
    };
    let operation = if linear {
        Operation::Linear { outputs }
    } else {
        let padding = if bipolar { 0 } else { below(random, 3) as u16 };
        Operation::Conv2d {
            channels: outputs,
            kernel: [side(random), side(random)],
            stride: [1 + below(random, 2) as u16, 1 + below(random, 2) as u16],
            padding: [padding, padding],
        }
    };
    let sometimes = |random: &mut Xorshift32, of| !bipolar && below(random, of) == 0;
    LayerSpec {
        input_pool: sometimes(random, 8).then(|| InputPool {
            kind: one_of(random, kinds),
            pool: pool(random),
        }),
        operation,
        pool: (sometimes(random, 3) && !linear).then(|| pool(random)),
        order: one_of(random, &[WeightOrder::OutputMajor, WeightOrder::InputMajor]),
        membrane: one_of(random, &[Membrane::I16, Membrane::I16, Membrane::I32]),
        fraction: below(random, 33) as i8 - 16,
        beta: one_of(random, &[0, 32768, 29491, 16384, 31130]),
        reset: one_of(random, &[Reset::Subtract, Reset::Zero, Reset::None]),
        thresholds: one_of(random, &spreads),
        biases: one_of(random, &[None, Some(Spread::Channel), Some(Spread::Neuron)]),
    }
}

/// Taps and output shape of a layer, computed apart from the crate's own geometry.
fn geometry(spec: &LayerSpec, mut shape: [usize; 3]) -> Option<(usize, [usize; 3])> {
    let positions = |size: usize, window: u16, stride: u16| {
        Some(size.checked_sub(window.into())? / usize::from(stride.max(1)) + 1)
    };
    let pooled = |[height, width, channels]: [usize; 3], pool: Pool| {
        let ([rows, columns], [down, right]) = (pool.window, pool.stride);
        Some([
            positions(height, rows, down)?,
            positions(width, columns, right)?,
            channels,
        ])
    };
    if let Some(input_pool) = spec.input_pool {
        shape = pooled(shape, input_pool.pool)?;
    }
    let [height, width, depth] = shape;
    match spec.operation {
        Operation::Linear { outputs } => Some((height * width * depth, [1, 1, outputs.into()])),
        Operation::Conv2d {
            channels,
            kernel: [rows, columns],
            stride: [down, right],
            padding: [above, left],
        } => {
            let mut output = [
                positions(height + 2 * usize::from(above), rows, down)?,
                positions(width + 2 * usize::from(left), columns, right)?,
                channels.into(),
            ];
            if let Some(pool) = spec.pool {
                output = pooled(output, pool)?;
            }
            Some((usize::from(rows) * usize::from(columns) * depth, output))
        }
    }
}

/// Uniform in `0 .. limit`, but for the bias of a remainder.
fn below(random: &mut Xorshift32, limit: u32) -> u32 {
    random.draw() % limit.max(1)
}

fn one_of<T: Copy>(random: &mut Xorshift32, choices: &[T]) -> T {
    choices[below(random, choices.len() as u32) as usize]
}
