//! Random model files, each fixed by a seed: any shape, pooling, read-out and numerics.

use bitspike_core::lif::{Membrane, Reset};
use bitspike_core::model::{
    InputKind, InputPool, LayerParameters, LayerSpec, Metadata, NetworkSpec, Operation, Pool,
    PoolKind, Readout, Spread, WeightOrder, write,
};
use bitspike_core::random::Xorshift32;

/// Draws from small ranges and lists.
pub(crate) struct Source(Xorshift32);

impl Source {
    /// A source of its own for each seed.
    pub(crate) fn new(seed: u32) -> Self {
        let mut random = Xorshift32::new(seed);
        // Seeds that are close have close first draws.
        for _ in 0..8 {
            random.draw();
        }
        Self(random)
    }

    /// A value in `low..=high`.
    pub(crate) fn range(&mut self, low: i32, high: i32) -> i32 {
        let size = (i64::from(high) - i64::from(low) + 1) as u64;
        (i64::from(low) + (u64::from(self.0.draw()) % size) as i64) as i32
    }

    fn side(&mut self, high: i32) -> u16 {
        self.range(1, high) as u16
    }

    fn one_in(&mut self, n: i32) -> bool {
        self.range(1, n) == 1
    }

    fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.range(0, values.len() as i32 - 1) as usize]
    }

    /// An input of a model as bytes: one a graded value, or packed words of bits.
    pub(crate) fn input(&mut self, kind: InputKind, units: usize) -> Vec<u8> {
        let rate = self.range(0, 4);
        if kind.is_graded() {
            let mut value = || (self.range(1, 4) <= rate).then(|| self.range(0, 255) as u8);
            return (0..units).map(|_| value().unwrap_or(0)).collect();
        }
        let mut words = vec![0u32; units.div_ceil(32)];
        for unit in 0..units {
            words[unit / 32] |= u32::from(self.range(1, 4) <= rate) << (unit % 32);
        }
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

/// The words of a random model file of up to four layers.
///
/// # Panics
/// Never: seeds that draw shapes which do not chain draw again.
pub(crate) fn model(seed: u32) -> Vec<u32> {
    let source = &mut Source::new(seed);
    loop {
        if let Some(file) = try_model(source) {
            return file;
        }
    }
}

fn pool(source: &mut Source, largest: i32) -> Pool {
    Pool {
        window: [source.side(largest), source.side(largest)],
        stride: [source.side(2), source.side(2)],
    }
}

fn layer(source: &mut Source, kind: InputKind) -> LayerSpec {
    let plain = kind == InputKind::Bipolar;
    let conv = source.one_in(2);
    let kinds = if kind.is_graded() {
        &[PoolKind::Sum][..]
    } else {
        &[PoolKind::Sum, PoolKind::Max]
    };
    let input_pool = (!plain && source.one_in(4)).then(|| InputPool {
        kind: source.pick(kinds),
        pool: pool(source, 2),
    });
    let operation = if conv {
        let padding = if plain { 0 } else { 1 };
        Operation::Conv2d {
            // Of 16, two positions are computed at once.
            channels: if source.one_in(4) { 16 } else { source.side(9) },
            kernel: [source.side(3), source.side(3)],
            stride: [source.side(2), source.side(2)],
            padding: [0; 2].map(|_| source.range(0, padding) as u16),
        }
    } else {
        // Some have several blocks of outputs, or more than four.
        let most = source.pick(&[40, 40, 40, 40, 150, 600]);
        Operation::Linear {
            outputs: source.side(most),
        }
    };
    let spreads = [Spread::Layer, Spread::Channel, Spread::Neuron];
    LayerSpec {
        input_pool,
        operation,
        pool: (conv && !plain && source.one_in(3)).then(|| pool(source, 2)),
        order: source.pick(&[WeightOrder::OutputMajor, WeightOrder::InputMajor]),
        membrane: source.pick(&[Membrane::I16, Membrane::I16, Membrane::I32]),
        fraction: source.pick(&[-16, -3, -1, 0, 0, 2, 4, 16]),
        beta: source.pick(&[0, 1, 16384, 29491, 31130, 32767, 32768]),
        reset: source.pick(&[Reset::Subtract, Reset::Zero, Reset::None]),
        thresholds: source.pick(&spreads),
        biases: source.one_in(2).then(|| source.pick(&spreads)),
    }
}

/// Rows or columns of a window's positions.
fn positions(size: u16, window: u16, stride: u16, padding: u16) -> Option<u16> {
    Some((size + 2 * padding).checked_sub(window)? / stride + 1)
}

fn pooled([height, width, channels]: [u16; 3], pool: Pool) -> Option<[u16; 3]> {
    let side = |size, i: usize| positions(size, pool.window[i], pool.stride[i], 0);
    Some([side(height, 0)?, side(width, 1)?, channels])
}

/// Weights of an output, and the shape of the layer's neurons.
fn geometry(shape: [u16; 3], layer: &LayerSpec) -> Option<(usize, [u16; 3])> {
    let map = match layer.input_pool {
        Some(input_pool) => pooled(shape, input_pool.pool)?,
        None => shape,
    };
    match layer.operation {
        Operation::Linear { outputs } => {
            Some((map.map(usize::from).iter().product(), [1, 1, outputs]))
        }
        Operation::Conv2d {
            channels,
            kernel,
            stride,
            padding,
        } => {
            let side = |i: usize| positions(map[i], kernel[i], stride[i], padding[i]);
            let taps = [kernel[0], kernel[1], map[2]];
            let output = [side(0)?, side(1)?, channels];
            let output = layer.pool.map_or(Some(output), |pool| pooled(output, pool));
            Some((taps.map(usize::from).iter().product(), output?))
        }
    }
}

struct Values {
    weights: Vec<i8>,
    thresholds: Vec<i32>,
    biases: Vec<i32>,
}

fn try_model(source: &mut Source) -> Option<Vec<u32>> {
    let kinds = [
        InputKind::Spikes,
        InputKind::U8,
        InputKind::I8,
        InputKind::Bipolar,
    ];
    let input = source.pick(&kinds);
    let mut spec = NetworkSpec {
        input,
        shape: [source.side(6), source.side(6), source.side(3)],
        steps: source.range(1, 8) as u32,
        readout: Readout::Count,
        logit_scale: 0.25,
        layers: heapless::Vec::new(),
    };
    let (mut kind, mut shape) = (input, spec.shape);
    let mut parameters = Vec::new();
    for _ in 0..source.range(1, 4) {
        let layer = layer(source, kind);
        let (taps, output) = geometry(shape, &layer)?;
        let channels = usize::from(output[2]);
        let units: usize = output.map(usize::from).iter().product();
        let count = |spread| match spread {
            Spread::Layer => 1,
            Spread::Channel => channels,
            Spread::Neuron => units,
        };
        // Of the size of sums, so that some neurons fire and some do not; now and then the edges.
        let scale = 2f64.powi(layer.fraction.into()) * kind.largest() as f64;
        let (_, max) = layer.membrane.range();
        let most = ((taps as f64).sqrt() * scale * 2.0).clamp(1.0, f64::from(max)) as i32;
        let value = |source: &mut Source, low| match source.range(0, 40) {
            0 => max,
            1 => low,
            _ => source.range(low.max(-most), most),
        };
        let biases = layer.biases.map_or(0, count);
        let min = layer.membrane.range().0;
        parameters.push(Values {
            weights: (0..taps * channels)
                .map(|_| source.pick(&[-1, 1]))
                .collect(),
            thresholds: (0..count(layer.thresholds))
                .map(|_| value(source, 1))
                .collect(),
            biases: (0..biases).map(|_| value(source, min)).collect(),
        });
        spec.layers.push(layer).ok()?;
        (kind, shape) = (InputKind::Spikes, output);
    }
    let outputs: u16 = shape.iter().product();
    let groups: Vec<u16> = (1..=outputs)
        .filter(|groups| outputs.is_multiple_of(*groups))
        .collect();
    let last = spec.layers.last_mut()?;
    spec.readout = match source.range(0, 3) {
        0 => Readout::Count,
        1 => {
            last.reset = Reset::None;
            Readout::Membrane
        }
        2 => Readout::FirstSpike,
        _ => Readout::Population {
            groups: source.pick(&groups),
        },
    };
    let gains: Vec<u16> = if spec.readout.has_gains() {
        (0..outputs)
            .map(|_| source.range(1, 32767) as u16)
            .collect()
    } else {
        Vec::new()
    };
    let layers: Vec<LayerParameters<'_>> = parameters
        .iter()
        .map(|values| LayerParameters {
            weights: &values.weights,
            thresholds: &values.thresholds,
            biases: &values.biases,
        })
        .collect();
    let metadata = Metadata {
        version: Metadata::VERSION,
        task: "random",
        ..Metadata::default()
    };
    let mut file = vec![0; 1 << 16];
    let words = write(&spec, &layers, &gains, &metadata, &mut file).ok()?;
    file.truncate(words);
    Some(file)
}
