//! The network in training: built from a configuration and an input shape, whatever the data set.

mod layer;
mod pass;

use candle_core::Device;

use crate::anneal::Annealing;
use crate::config::{Config, Norm};
use crate::data::InputSpec;
use crate::loss::Loss;
use crate::ops::norm::Statistics;
use crate::ops::sign::Weights;
use crate::ops::surrogate::Surrogate;
use crate::optim::Parameter;
use crate::trained::TrainedNetwork;
use crate::{Error, Result};

use layer::Layer;
pub use pass::{Forward, Mode};

/// Added to the variances of batch norm.
const EPSILON: f32 = 1e-5;

/// A network with its parameters, running statistics and thresholds.
#[derive(Debug)]
pub struct Network {
    input: InputSpec,
    steps: usize,
    surrogate: Surrogate,
    /// Whether the output is the membranes of every step, not their mean.
    every_step: bool,
    seed: u64,
    layers: Vec<Layer>,
}

impl Network {
    /// A network of the configuration's topology for samples of the given shape and form; `updates`
    /// is the number of moves of the thresholds in the whole training.
    ///
    /// # Errors
    /// If the shapes do not chain.
    pub fn new(config: &Config, input: impl Into<InputSpec>, updates: u64) -> Result<Self> {
        let input = input.into();
        let (network, threshold) = (&config.network, &config.threshold);
        let spiking = network.spiking_layers();
        let start = (threshold.start * updates as f64).round() as u64;
        let (initial, last) = (
            threshold.initial.values(spiking),
            threshold.last.values(spiking),
        );
        let ends = initial
            .into_iter()
            .zip(last)
            .zip(threshold.rate.values(spiking));
        let mut annealings = ends.map(|((initial, last), rate)| Annealing {
            schedule: threshold.schedule,
            initial,
            last,
            rate,
            start,
            total: updates,
        });
        let mut shape = input.shape;
        let mut layers = Vec::new();
        for (index, spec) in config.network.layers.iter().enumerate() {
            let annealing = annealings.next();
            let layer = Layer::new(index, *spec, shape, annealing, config)?;
            let synapse = layer.synapse;
            shape = [synapse.out_height(), synapse.out_width(), synapse.outputs];
            layers.push(layer);
        }
        Ok(Self {
            input,
            steps: network.steps as usize,
            surrogate: Surrogate {
                shape: network.surrogate,
                unit: network.surrogate_unit,
                slope: network.slope,
            },
            every_step: config.train.loss == Loss::MseMembrane,
            seed: config.train.seed,
            layers,
        })
    }

    /// Takes the network to a device: what it computes from now on is computed there.
    ///
    /// # Errors
    /// If the device has no room for it.
    pub fn move_to(&mut self, device: &Device) -> Result<()> {
        for parameter in self.parameters_mut() {
            parameter.move_to(device)?;
        }
        Ok(())
    }

    /// Where the network computes.
    pub fn device(&self) -> Device {
        let first = self.parameters().next();
        first.map_or(Device::Cpu, |parameter| parameter.value.device().clone())
    }

    /// Shape and form of a sample.
    pub fn input(&self) -> InputSpec {
        self.input
    }

    /// Time steps of a decision.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Classes that are told apart.
    pub fn classes(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.synapse.outputs)
    }

    /// Names of the layers, as in messages.
    pub fn layer_names(&self) -> Vec<String> {
        self.layers.iter().map(|layer| layer.name.clone()).collect()
    }

    /// All parameters, in a fixed order.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.layers
            .iter()
            .flat_map(|layer| [&layer.latent, &layer.gain, &layer.shift])
    }

    /// All parameters, to update them.
    pub fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        self.layers.iter_mut().flat_map(
            |Layer {
                 latent,
                 gain,
                 shift,
                 ..
             }| [latent, gain, shift],
        )
    }

    /// The running statistics of batch norm with a name for checkpoints, one a layer.
    pub fn running_mut(&mut self) -> impl Iterator<Item = (String, &mut Statistics)> {
        let layers = self.layers.iter_mut().enumerate();
        layers.map(|(index, layer)| (format!("layers.{index}.norm"), &mut layer.running))
    }

    /// Moves the running statistics towards those of a batch.
    pub fn absorb(&mut self, statistics: &[Option<Statistics>], momentum: f32) {
        for (layer, batch) in self.layers.iter_mut().zip(statistics) {
            let Some(batch) = batch else { continue };
            // The running variance estimates that of the population, hence rows - 1.
            let unbiased = batch.rows as f32 / (batch.rows - 1).max(1) as f32;
            let running = &mut layer.running;
            let channels = running.mean.len();
            let groups = batch.mean.chunks_exact(channels);
            let groups: Vec<_> = groups.zip(batch.variance.chunks_exact(channels)).collect();
            // Where steps have statistics of their own, those of a current that never changes count
            // once a step.
            let repeats = match layer.norm {
                Norm::Step if groups.len() == 1 => self.steps,
                _ => 1,
            };
            for (means, variances) in std::iter::repeat_n(groups, repeats).flatten() {
                for (mean, new) in running.mean.iter_mut().zip(means) {
                    *mean += (new - *mean) * momentum;
                }
                for (variance, new) in running.variance.iter_mut().zip(variances) {
                    *variance += (new * unbiased - *variance) * momentum;
                }
            }
            running.rows += batch.rows;
        }
    }

    /// The thresholds of the layers that fire.
    pub fn thresholds(&self) -> Vec<f32> {
        self.layers
            .iter()
            .filter_map(|layer| layer.threshold.map(|(value, _)| value))
            .collect()
    }

    /// Sets the thresholds of the layers that fire.
    pub fn set_thresholds(&mut self, thresholds: &[f32]) {
        let hidden = self
            .layers
            .iter_mut()
            .filter_map(|layer| layer.threshold.as_mut());
        for ((threshold, _), value) in hidden.zip(thresholds) {
            *threshold = *value;
        }
    }

    /// Moves the thresholds, for the `done`-th time.
    pub fn anneal(&mut self, done: u64) {
        for (threshold, annealing) in self.layers.iter_mut().filter_map(|l| l.threshold.as_mut()) {
            *threshold = annealing.next(*threshold, done);
        }
    }

    /// The network in plain numbers, for the fold.
    ///
    /// # Errors
    /// If its weights are float, or a parameter cannot be read.
    pub fn trained(&self) -> Result<TrainedNetwork> {
        if self
            .layers
            .iter()
            .any(|layer| layer.binarise.weights == Weights::Float)
        {
            return Err(Error::usage(
                "a network with float weights has no integer form; train it with \
                 --set network.weights=binary",
            ));
        }
        let layers = self.layers.iter().map(Layer::trained);
        let steps = u32::try_from(self.steps).map_err(|_| Error::failed("too many steps"))?;
        Ok(TrainedNetwork {
            input: self.input,
            steps,
            layers: layers.collect::<Result<_>>()?,
        })
    }
}

#[cfg(test)]
mod device_tests;
#[cfg(test)]
mod tests;
