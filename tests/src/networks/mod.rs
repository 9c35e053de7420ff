//! Seeded networks of the shapes that the benchmarks and the long comparisons use.
//!
//! The weights are random; thresholds and biases are then set as a trained network has them: the
//! bias takes a channel's mean current away (as batch norm does), the threshold is a multiple of
//! the current's spread, and that multiple is searched until the layer fires at the rate asked for.

mod calibrate;
pub mod chains;
mod inputs;

use bitspike_core::lif::{Membrane, Reset};
use bitspike_core::model::{
    InputKind, LayerParameters, LayerSpec, Metadata, NetworkSpec, Operation, Pool, Readout, Spread,
    WeightOrder, write,
};

pub use calibrate::{Rates, Run, WARM_UP, rates};
pub use inputs::{events, pictures};

/// beta 0.9 in Q1.15.
const BETA: u16 = 29491;

/// The shape of a network, and how it is fed.
#[derive(Debug, Clone, Copy)]
pub struct Topology {
    /// Name in the benchmark's rows.
    pub name: &'static str,
    /// Kind of the input values.
    pub input: InputKind,
    /// Height, width and channels of the input.
    pub shape: [u16; 3],
    /// Steps of a decision; a stream has one, and runs on.
    pub steps: u32,
    /// The layers, first to last.
    pub layers: &'static [LayerShape],
    /// Rates of hidden spikes, and of input spikes where the input is spikes, that are measured
    /// where none are named.
    pub densities: &'static [f64],
    /// Whether the hidden layers fire at the density of the input; else always at this rate.
    pub hidden_rate: Option<f64>,
    /// Decay of the last layer; its reset is "none", its read-out the membranes.
    pub last_beta: u16,
}

/// A layer's shape.
#[derive(Debug)]
pub struct LayerShape {
    /// Name in the benchmark's rows.
    pub name: &'static str,
    /// Outputs or output channels.
    pub outputs: u16,
    /// Side of a convolution's kernel; `None` for a linear layer.
    pub kernel: Option<u16>,
    /// Side of the average pooling behind a convolution; 1 for none.
    pub pool: u16,
}

const fn conv(name: &'static str, outputs: u16, pool: u16) -> LayerShape {
    LayerShape {
        name,
        outputs,
        kernel: Some(5),
        pool,
    }
}

const fn linear(name: &'static str, outputs: u16) -> LayerShape {
    LayerShape {
        name,
        outputs,
        kernel: None,
        pool: 1,
    }
}

/// The paper's three topologies, and the second convolution of the MNIST network alone.
pub const TOPOLOGIES: &[Topology] = &[
    Topology {
        name: "mnist",
        input: InputKind::U8,
        shape: [28, 28, 1],
        steps: 4,
        layers: &[
            conv("conv1", 16, 2),
            conv("conv2", 64, 2),
            linear("linear", 10),
        ],
        densities: &[0.10],
        hidden_rate: None,
        last_beta: 0,
    },
    Topology {
        name: "shd",
        input: InputKind::Spikes,
        shape: [1, 1, 700],
        steps: 1,
        layers: &[linear("linear1", 3000), linear("linear2", 20)],
        densities: &[0.02],
        hidden_rate: None,
        last_beta: BETA,
    },
    Topology {
        name: "shd-small",
        input: InputKind::Spikes,
        shape: [1, 1, 700],
        steps: 1,
        layers: &[linear("linear1", 1500), linear("linear2", 20)],
        densities: &[0.02],
        hidden_rate: None,
        last_beta: BETA,
    },
    Topology {
        name: "dvs",
        input: InputKind::Spikes,
        shape: [32, 32, 2],
        steps: 1,
        layers: &[
            conv("conv1", 16, 2),
            conv("conv2", 32, 2),
            linear("linear", 11),
        ],
        densities: &[0.02],
        hidden_rate: None,
        last_beta: BETA,
    },
    // One output behind it: the read-out of 4,096 neurons would cost more than the layer.
    Topology {
        name: "conv2",
        input: InputKind::Spikes,
        shape: [12, 12, 16],
        steps: 1,
        layers: &[conv("conv2", 64, 1), linear("read", 1)],
        densities: &[0.02, 0.05, 0.10, 0.20],
        hidden_rate: Some(0.10),
        last_beta: 0,
    },
];

/// The topology of that name.
pub fn topology(name: &str) -> Option<&'static Topology> {
    TOPOLOGIES.iter().find(|topology| topology.name == name)
}

/// Order of the weights of layers that read spikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As `bitspike train` writes them.
    Exported,
    /// One order for all.
    All(WeightOrder),
}

impl Topology {
    /// A seeded network that fires at `density`, fed with `inputs`.
    ///
    /// # Panics
    /// Where the topology is not one that core accepts.
    pub fn build(&self, density: f64, order: Order, inputs: &[Vec<u8>]) -> Vec<u32> {
        let mut network = calibrate::Parts::new(self, order);
        network.calibrate(self.hidden_rate.unwrap_or(density), inputs);
        if order == Order::Exported {
            network.reorder(density, self.hidden_rate.unwrap_or(density));
        }
        network.file(self.layers.len())
    }

    /// Seeded inputs: pictures where the network reads pixels, else spikes at `density`.
    pub fn inputs(&self, density: f64, count: usize) -> Vec<Vec<u8>> {
        let units = self.shape.iter().map(|&side| usize::from(side)).product();
        if self.input.is_graded() {
            pictures(self.shape[0].into(), self.shape[1].into(), count)
        } else {
            events(units, density, count)
        }
    }

    fn spec(&self, index: usize, order: Order) -> LayerSpec {
        let layer = &self.layers[index];
        let kind = if index == 0 {
            self.input
        } else {
            InputKind::Spikes
        };
        let graded = kind.is_graded();
        let last = index + 1 == self.layers.len();
        LayerSpec {
            input_pool: None,
            operation: match layer.kernel {
                None => Operation::Linear {
                    outputs: layer.outputs,
                },
                Some(side) => Operation::Conv2d {
                    channels: layer.outputs,
                    kernel: [side; 2],
                    stride: [1, 1],
                    padding: [0, 0],
                },
            },
            pool: (layer.pool > 1).then_some(Pool {
                window: [layer.pool; 2],
                stride: [layer.pool; 2],
            }),
            order: match order {
                Order::All(order) if !graded && layer.outputs > 1 => order,
                _ => WeightOrder::OutputMajor,
            },
            membrane: Membrane::I16,
            fraction: 0,
            beta: if last { self.last_beta } else { BETA },
            reset: if last { Reset::None } else { Reset::Subtract },
            thresholds: Spread::Channel,
            biases: Some(Spread::Channel),
        }
    }
}

/// The words of a model file.
fn assemble(
    topology: &Topology,
    specs: &[LayerSpec],
    parameters: &[LayerParameters<'_>],
    readout: Readout,
) -> Vec<u32> {
    let spec = NetworkSpec {
        input: topology.input,
        shape: topology.shape,
        steps: topology.steps,
        readout,
        logit_scale: 1.0,
        layers: heapless::Vec::from_slice(specs).expect("at most 16 layers"),
    };
    let gains = if readout.has_gains() {
        parameters.last().map_or(0, |last| last.thresholds.len())
    } else {
        0
    };
    let metadata = Metadata {
        version: Metadata::VERSION,
        task: topology.name,
        provenance: "seeded weights",
        ..Metadata::default()
    };
    let room: usize = parameters.iter().map(|layer| layer.weights.len()).sum();
    let mut file = vec![0; room + 4096];
    let words = write(
        &spec,
        parameters,
        &vec![i16::MAX as u16; gains],
        &metadata,
        &mut file,
    );
    file.truncate(words.expect("a topology that core accepts"));
    file
}

#[cfg(test)]
mod tests {
    use bitspike_core::model::Model;

    use super::*;

    /// Multiplications of the same topology in a conventional network.
    fn operations(model: &Model<'_>) -> usize {
        let layers = model.layers().iter().map(|layer| {
            let (window, _) = layer.pool();
            layer.taps() * layer.units() * window[0] * window[1]
        });
        layers.sum()
    }

    #[test]
    fn the_shapes_are_those_of_the_peer() {
        let expected = [
            ("mnist", 1_879_040),
            ("shd", 2_160_000),
            ("dvs", 1_916_000),
            ("conv2", 1_638_400 + 4096),
        ];
        for (name, expected) in expected {
            let topology = topology(name).unwrap();
            let parts = calibrate::Parts::new(topology, Order::Exported);
            let file = parts.file(topology.layers.len());
            assert_eq!(operations(&Model::new(&file).unwrap()), expected, "{name}");
        }
    }

    #[test]
    fn a_calibrated_network_fires_at_the_rate_asked_for() {
        let topology = topology("conv2").unwrap();
        let inputs = topology.inputs(0.05, 12);
        let file = topology.build(0.05, Order::Exported, &inputs);
        let model = Model::new(&file).unwrap();
        let rates = rates(&model, &inputs, 4);
        assert!((rates.input - 0.05).abs() < 0.01, "{rates:?}");
        assert!((rates.layers[0] - 0.10).abs() < 0.01, "{rates:?}");
    }
}
