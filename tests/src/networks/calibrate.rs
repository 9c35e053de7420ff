//! Thresholds and biases at which a network of random weights fires as asked.

use bitspike_core::cost;
use bitspike_core::hash::StateHash;
use bitspike_core::lif::{Membrane, Reset};
use bitspike_core::model::{InputKind, LayerParameters, LayerSpec, Model, Readout, Spread};
use bitspike_core::network::Network;
use bitspike_core::random::Xorshift32;

use super::{Order, Topology, assemble};

/// Steps of a stream before its rates are counted.
pub const WARM_UP: usize = 4;

/// A network in parts, before it is a file.
pub(super) struct Parts<'t> {
    topology: &'t Topology,
    specs: Vec<LayerSpec>,
    weights: Vec<Vec<i8>>,
    thresholds: Vec<Vec<i32>>,
    biases: Vec<Vec<i32>>,
}

impl<'t> Parts<'t> {
    /// Random weights, thresholds of 1, no bias.
    pub(super) fn new(topology: &'t Topology, order: Order) -> Self {
        let mut random = Xorshift32::new(1);
        let mut parts = Self {
            topology,
            specs: Vec::new(),
            weights: Vec::new(),
            thresholds: Vec::new(),
            biases: Vec::new(),
        };
        let mut shape = topology.shape.map(usize::from);
        for (index, layer) in topology.layers.iter().enumerate() {
            let outputs = usize::from(layer.outputs);
            let taps = match layer.kernel {
                None => shape.iter().product(),
                Some(side) => usize::from(side).pow(2) * shape[2],
            };
            shape = match layer.kernel {
                None => [1, 1, outputs],
                Some(side) => {
                    let pooled = |size| (size + 1 - usize::from(side)) / usize::from(layer.pool);
                    [pooled(shape[0]), pooled(shape[1]), outputs]
                }
            };
            let mut sign = || if random.draw() >> 31 == 1 { 1 } else { -1 };
            parts
                .weights
                .push((0..taps * outputs).map(|_| sign()).collect());
            parts.thresholds.push(vec![1; outputs]);
            parts.biases.push(vec![0; outputs]);
            parts.specs.push(topology.spec(index, order));
        }
        parts
    }

    /// The first `count` layers as a model file.
    pub(super) fn file(&self, count: usize) -> Vec<u32> {
        self.file_of(count, &self.specs[..count])
    }

    fn file_of(&self, count: usize, specs: &[LayerSpec]) -> Vec<u32> {
        let parameters: Vec<_> = (0..count)
            .map(|layer| LayerParameters {
                weights: &self.weights[layer],
                thresholds: &self.thresholds[layer],
                biases: match specs[layer].biases {
                    None => &[],
                    Some(_) => &self.biases[layer],
                },
            })
            .collect();
        // A network that is cut short, to calibrate, decides nothing.
        let readout = if count == self.specs.len() {
            Readout::Membrane
        } else {
            Readout::Count
        };
        assemble(self.topology, specs, &parameters, readout)
    }

    /// Sets thresholds and biases, layer by layer, so that the hidden layers fire at `rate`.
    pub(super) fn calibrate(&mut self, rate: f64, inputs: &[Vec<u8>]) {
        for index in 0..self.specs.len() {
            let currents = self.currents(index, inputs);
            self.specs[index].fraction = fraction(&currents);
            let last = index + 1 == self.specs.len();
            // The last layer's spikes decide nothing.
            let (mut low, mut high) = if last { (3.0, 3.0) } else { (0.01, 100.0) };
            for _ in 0..16 {
                let middle = f64::sqrt(low * high);
                self.set(index, middle, &currents);
                if last {
                    break;
                }
                let file = self.file(index + 1);
                let model = Model::new(&file).expect("the writer's own model");
                if rates(&model, inputs, WARM_UP).layers[index] > rate {
                    low = middle;
                } else {
                    high = middle;
                }
            }
        }
    }

    /// Takes the order of the weights whose kernel the cost table chooses, at these rates of the
    /// input and of the hidden layers.
    pub(super) fn reorder(&mut self, input: f64, hidden: f64) {
        let file = self.file(self.specs.len());
        let model = Model::new(&file).expect("the writer's own model");
        let mut kind = model.input_kind();
        for (index, (layer, spec)) in model.layers().iter().zip(&mut self.specs).enumerate() {
            let rate = if index == 0 { input } else { hidden };
            spec.order = cost::choose(cost::Class::ArmV7M, layer, kind, rate);
            kind = InputKind::Spikes;
        }
    }

    fn set(&mut self, index: usize, multiple: f64, currents: &[Current]) {
        let scale = f64::from(self.specs[index].fraction).exp2();
        let limit = f64::from(i16::MAX);
        for (channel, current) in currents.iter().enumerate() {
            let threshold = (multiple * current.spread * scale).round();
            self.thresholds[index][channel] = threshold.clamp(1.0, limit) as i32;
            let bias = (0.5 - current.mean * scale).round();
            self.biases[index][channel] = bias.clamp(-limit, limit) as i32;
        }
    }

    /// The synaptic sums that the channels of a layer see.
    fn currents(&self, index: usize, inputs: &[Vec<u8>]) -> Vec<Current> {
        let mut specs = self.specs[..=index].to_vec();
        // Such a membrane is the sum itself.
        specs[index] = LayerSpec {
            membrane: Membrane::I32,
            fraction: 0,
            beta: 0,
            reset: Reset::None,
            thresholds: Spread::Channel,
            biases: None,
            ..specs[index]
        };
        let file = self.file_of(index + 1, &specs);
        let model = Model::new(&file).expect("the writer's own model");
        let channels = usize::from(model.layers()[index].output().channels);
        let mut sums = vec![[0.0; 3]; channels];
        Run::new(&model, inputs).each(|step, network| {
            if step < WARM_UP && !model.input_kind().is_graded() {
                return;
            }
            for neuron in 0..network.units(index) {
                let value = f64::from(network.membrane(index, neuron));
                let [count, sum, squares] = &mut sums[neuron % channels];
                *count += 1.0;
                *sum += value;
                *squares += value * value;
            }
        });
        sums.iter()
            .map(|[count, sum, squares]| {
                let mean = sum / count;
                Current {
                    mean,
                    spread: (squares / count - mean * mean).max(0.0).sqrt().max(0.5),
                }
            })
            .collect()
    }
}

/// Mean and standard deviation of a channel's synaptic sum.
struct Current {
    mean: f64,
    spread: f64,
}

/// The most fraction bits, up to 4, at which membranes of ten times the currents fit 16 bits.
fn fraction(currents: &[Current]) -> i8 {
    let largest = currents
        .iter()
        .map(|current| 10.0 * (current.mean.abs() + 2.0 * current.spread))
        .fold(1.0, f64::max);
    (f64::from(i16::MAX) / largest)
        .log2()
        .floor()
        .clamp(-16.0, 4.0) as i8
}

/// How often the units of a network fire.
#[derive(Debug, Clone)]
pub struct Rates {
    /// Share of the input that is not 0.
    pub input: f64,
    /// Spikes a unit and step, by layer.
    pub layers: Vec<f64>,
}

/// The rates of a network: over the steps of each picture, or over a stream behind its warm-up.
///
/// # Panics
/// Where the inputs are not the model's.
pub fn rates(model: &Model<'_>, inputs: &[Vec<u8>], warm_up: usize) -> Rates {
    let graded = model.input_kind().is_graded();
    let mut fired = vec![0; model.layers().len()];
    let mut steps = 0;
    Run::new(model, inputs).each(|step, network| {
        if step >= warm_up || graded {
            steps += 1;
            for (layer, fired) in fired.iter_mut().enumerate() {
                *fired += network.spikes(layer).count();
            }
        }
    });
    let nonzero = |input: &Vec<u8>| -> usize {
        let bytes = input.iter();
        if graded {
            bytes.filter(|&&byte| byte > 0).count()
        } else {
            bytes.map(|byte| byte.count_ones() as usize).sum()
        }
    };
    let units = inputs.len() * model.input_shape().units();
    Rates {
        input: inputs.iter().map(nonzero).sum::<usize>() as f64 / units.max(1) as f64,
        layers: fired
            .iter()
            .zip(model.layers())
            .map(|(&fired, layer)| fired as f64 / (layer.units() * steps.max(1)) as f64)
            .collect(),
    }
}

/// A network that runs through inputs: each picture from rest for the model's steps, or a stream.
pub struct Run<'m> {
    model: &'m Model<'m>,
    inputs: &'m [Vec<u8>],
}

impl<'m> Run<'m> {
    /// The inputs as they travel to a device.
    pub fn new(model: &'m Model<'m>, inputs: &'m [Vec<u8>]) -> Self {
        Self { model, inputs }
    }

    /// Calls `after` behind every step, with its number since the network was at rest.
    ///
    /// # Panics
    /// Where the inputs are not the model's.
    pub fn each(&self, mut after: impl FnMut(usize, &Network<'_>)) {
        let mut memory = vec![0; self.model.sizes().memory_words()];
        let mut network = Network::new(self.model, &mut memory).expect("memory as stated");
        for bytes in self.inputs {
            if self.model.input_kind().is_graded() {
                network.reset();
                let input = self.model.input(bytes).expect("inputs of the model");
                for step in 0..self.model.steps() as usize {
                    network.step(input);
                    after(step, &network);
                }
            } else {
                let words: Vec<u32> = words(bytes);
                let input = self.model.input_words(&words).expect("inputs of the model");
                network.step(input);
                after(network.steps() as usize - 1, &network);
            }
        }
    }

    /// Hash of the state that is left at the end.
    ///
    /// # Panics
    /// Where the inputs are not the model's.
    pub fn hash(&self) -> u64 {
        let mut hash = 0;
        self.each(|_, network| {
            let mut state = StateHash::new();
            state.update(network);
            hash = state.finish();
        });
        hash
    }
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes
        .chunks(4)
        .map(|word| u32::from_le_bytes(word.try_into().expect("whole words")))
        .collect()
}
