//! The network in training: built from a configuration and an input shape, whatever the data set.

use candle_core::{Device, Tensor, Var};
use rand::RngExt;

use crate::anneal::Annealing;
use crate::config::{self, Config};
use crate::ops::lif::Lif;
use crate::ops::norm::{BatchNorm, Statistics};
use crate::ops::sign::Binarise;
use crate::ops::synapse::Synapse;
use crate::optim::Parameter;
use crate::seed::{Purpose, stream};
use crate::trained::{self, TrainedLayer, TrainedNetwork};
use crate::{Error, Result};

/// Latent weights start uniform within this of zero.
const INITIAL_WEIGHT: f32 = 0.1;

/// Added to the variances of batch norm.
const EPSILON: f32 = 1e-5;

/// A network with its parameters, running statistics and thresholds.
#[derive(Debug)]
pub struct Network {
    input: [usize; 3],
    steps: usize,
    beta: f32,
    slope: f32,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    name: String,
    convolution: bool,
    binarise: Binarise,
    synapse: Synapse,
    latent: Parameter,
    gain: Parameter,
    shift: Parameter,
    running: Statistics,
    /// `None` for the last layer, which is read out.
    threshold: Option<(f32, Annealing)>,
}

/// What a forward pass gives.
#[derive(Debug)]
pub struct Forward {
    /// Scores `[batch, classes]`.
    pub scores: Tensor,
    /// Spikes of each hidden layer, `[batch * steps, rows, columns, channels]`.
    pub spikes: Vec<Tensor>,
    /// Statistics of the batch, one a layer; empty in evaluation.
    pub statistics: Vec<Statistics>,
    traces: Vec<Trace>,
}

/// What backward needs of a layer.
#[derive(Debug)]
struct Trace {
    input: Tensor,
    taps: Tensor,
    /// Synaptic sums; their mean over the steps where the layer is read out.
    sums: Tensor,
    norm: BatchNorm,
    current: Tensor,
    /// `None` where the layer is read out.
    lif: Option<Lif>,
}

/// Which statistics batch norm uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Those of the batch.
    Train,
    /// The running ones.
    Evaluate,
}

impl Network {
    /// A network of the configuration's topology for samples of the given height, width and
    /// channels; `updates` is the length of the training, for the thresholds.
    ///
    /// # Errors
    /// If the shapes do not chain.
    pub fn new(config: &Config, input: [usize; 3], updates: u64) -> Result<Self> {
        let hidden = config.network.layers.len() - 1;
        let threshold = &config.threshold;
        let ends = threshold
            .initial
            .values(hidden)
            .into_iter()
            .zip(threshold.last.values(hidden));
        let start = (threshold.start * updates as f64).round() as u64;
        let mut annealings = ends.map(|(initial, last)| {
            let (schedule, rate) = (threshold.schedule, threshold.rate);
            Annealing {
                schedule,
                initial,
                last,
                rate,
                start,
                total: updates,
            }
        });
        let mut shape = input;
        let mut layers = Vec::new();
        for (index, spec) in config.network.layers.iter().enumerate() {
            let annealing = annealings.next();
            let layer = Layer::new(index, *spec, shape, annealing, config.train.seed)?;
            let synapse = layer.synapse;
            shape = [synapse.out_height(), synapse.out_width(), synapse.outputs];
            layers.push(layer);
        }
        let network = &config.network;
        let (steps, beta, slope) = (network.steps as usize, network.beta, network.slope);
        Ok(Self {
            input,
            steps,
            beta,
            slope,
            layers,
        })
    }

    /// Height, width and channels of a sample.
    pub fn input(&self) -> [usize; 3] {
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

    /// Scores and spikes of a batch `[batch, height, width, channels]` of values from 0 to 1.
    ///
    /// The input is the same at every step, and so is the current of the first layer: it is
    /// computed once. Every layer runs over all steps at once.
    ///
    /// # Errors
    /// If the batch does not have the network's input shape.
    pub fn forward(&self, batch: &Tensor, mode: Mode) -> Result<Forward> {
        let (mut spikes, mut statistics, mut traces) = (Vec::new(), Vec::new(), Vec::new());
        let mut signal = batch.clone();
        for layer in &self.layers {
            let taps = layer.binarise.taps(&layer.latent.value)?;
            let mut sums = layer.synapse.sums(&signal, &taps)?;
            if layer.threshold.is_none() {
                // The mean over the steps of the currents, `[batch, outputs]`.
                let samples = batch.dim(0)?;
                let shape = (samples, sums.dim(0)? / samples, layer.synapse.outputs);
                sums = sums.reshape(shape)?.mean(1)?;
            }
            let norm = match mode {
                Mode::Train => {
                    statistics.push(Statistics::of(&sums)?);
                    BatchNorm::new(&statistics[statistics.len() - 1], EPSILON, true)
                }
                Mode::Evaluate => BatchNorm::new(&layer.running, EPSILON, false),
            };
            let current = norm.normalise(&sums, &layer.gain.value, &layer.shift.value)?;
            let lif = layer.threshold.map(|(threshold, _)| Lif {
                steps: self.steps,
                beta: self.beta,
                threshold,
                slope: self.slope,
                constant: spikes.is_empty(),
            });
            let input = std::mem::replace(&mut signal, current.clone());
            if let Some(lif) = lif {
                signal = lif.spikes(&current)?;
                spikes.push(signal.clone());
            }
            traces.push(Trace {
                input,
                taps,
                sums,
                norm,
                current,
                lif,
            });
        }
        Ok(Forward {
            scores: signal,
            spikes,
            statistics,
            traces,
        })
    }

    /// Gradients of all parameters, in the order of [`Network::parameters`], from that of the
    /// scores.
    ///
    /// The layers are run back one by one, without candle's graph: it would zero and add once more
    /// for every tensor, although each has one consumer.
    ///
    /// # Errors
    /// If the gradient does not have the shape of the scores.
    pub fn backward(&self, forward: &Forward, of_scores: &Tensor) -> Result<Vec<Tensor>> {
        let mut gradients = Vec::new();
        let mut grad = of_scores.clone();
        for (index, (layer, trace)) in self.layers.iter().zip(&forward.traces).enumerate().rev() {
            if let Some(lif) = trace.lif {
                grad = lif.backward(&trace.current, &forward.spikes[index], &grad)?;
            }
            let (of_sums, of_gain, of_shift) =
                trace.norm.backward(&trace.sums, &layer.gain.value, &grad)?;
            grad = of_sums;
            if trace.lif.is_none() {
                let (samples, outputs) = grad.dims2()?;
                let steps = trace.input.dim(0)? / samples;
                let every_step = (samples, steps, outputs);
                grad = (grad / steps as f64)?
                    .unsqueeze(1)?
                    .broadcast_as(every_step)?;
            }
            let (of_input, of_taps) = layer.synapse.backward(&trace.input, &trace.taps, &grad)?;
            let of_latent = layer.binarise.backward(&layer.latent.value, &of_taps)?;
            gradients.extend([of_shift, of_gain, of_latent]);
            match of_input {
                Some(of_input) => grad = of_input,
                None => break,
            }
        }
        gradients.reverse();
        Ok(gradients)
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
    pub fn absorb(&mut self, statistics: &[Statistics], momentum: f32) {
        for (layer, batch) in self.layers.iter_mut().zip(statistics) {
            // The running variance estimates that of the population, hence rows - 1.
            let unbiased = batch.rows as f32 / (batch.rows - 1).max(1) as f32;
            let running = &mut layer.running;
            for (mean, new) in running.mean.iter_mut().zip(&batch.mean) {
                *mean += (new - *mean) * momentum;
            }
            for (variance, new) in running.variance.iter_mut().zip(&batch.variance) {
                *variance += (new * unbiased - *variance) * momentum;
            }
            running.rows += batch.rows;
        }
    }

    /// The thresholds of the hidden layers.
    pub fn thresholds(&self) -> Vec<f32> {
        self.layers
            .iter()
            .filter_map(|layer| layer.threshold.map(|(value, _)| value))
            .collect()
    }

    /// Sets the thresholds of the hidden layers.
    pub fn set_thresholds(&mut self, thresholds: &[f32]) {
        let hidden = self
            .layers
            .iter_mut()
            .filter_map(|layer| layer.threshold.as_mut());
        for ((threshold, _), value) in hidden.zip(thresholds) {
            *threshold = *value;
        }
    }

    /// Moves the thresholds after update number `done`.
    pub fn anneal(&mut self, done: u64) {
        for (threshold, annealing) in self.layers.iter_mut().filter_map(|l| l.threshold.as_mut()) {
            *threshold = annealing.next(*threshold, done);
        }
    }

    /// The network in plain numbers, for the fold.
    ///
    /// # Errors
    /// If a parameter cannot be read.
    pub fn trained(&self) -> Result<TrainedNetwork> {
        let layers = self.layers.iter().map(|layer| layer.trained(self.beta));
        let steps = u32::try_from(self.steps).map_err(|_| Error::failed("too many steps"))?;
        Ok(TrainedNetwork {
            input: self.input,
            steps,
            layers: layers.collect::<Result<_>>()?,
        })
    }
}

impl Layer {
    fn new(
        index: usize,
        spec: config::Layer,
        [height, width, channels]: [usize; 3],
        annealing: Option<Annealing>,
        seed: u64,
    ) -> Result<Self> {
        let (kind, [height, width, channels], outputs, kernel, pool) = match spec {
            config::Layer::Conv {
                channels: outputs,
                kernel,
                pool,
            } => ("conv", [height, width, channels], outputs, kernel, pool),
            config::Layer::Linear { outputs } => {
                ("linear", [1, 1, height * width * channels], outputs, 1, 1)
            }
        };
        let name = format!("layer {} ({kind})", index + 1);
        let binarise = Binarise {
            outputs,
            kernel,
            channels,
            pool,
        };
        let side = binarise.side();
        if height < side || width < side {
            return Err(Error::usage(format!(
                "{name}: a kernel of {kernel} and a pool of {pool} need a map of at least {side} x \
                 {side}, this one is {height} x {width}; change network.layers"
            )));
        }
        let (stride, input_gradient) = (pool, index > 0);
        let kernel = side;
        let synapse = Synapse {
            height,
            width,
            channels,
            kernel,
            stride,
            outputs,
            input_gradient,
        };

        let mut random = stream(seed, Purpose::Weights, [index as u64, 0]);
        let shape = (outputs, binarise.kernel, binarise.kernel, channels);
        let count = outputs * binarise.kernel * binarise.kernel * channels;
        let latent: Vec<f32> = (0..count)
            .map(|_| random.random_range(-INITIAL_WEIGHT..INITIAL_WEIGHT))
            .collect();
        let latent = Var::from_tensor(&Tensor::from_vec(latent, shape, &Device::Cpu)?)?;
        let gain = Var::from_tensor(&Tensor::from_vec(
            vec![1f32; outputs],
            outputs,
            &Device::Cpu,
        )?)?;
        let shift = Var::from_tensor(&Tensor::from_vec(
            vec![0f32; outputs],
            outputs,
            &Device::Cpu,
        )?)?;
        let (mean, variance) = (vec![0.0; outputs], vec![1.0; outputs]);
        Ok(Self {
            convolution: kind == "conv",
            binarise,
            synapse,
            latent: Parameter::new(format!("layers.{index}.latent"), latent, true),
            gain: Parameter::new(format!("layers.{index}.norm.gain"), gain, false),
            shift: Parameter::new(format!("layers.{index}.norm.shift"), shift, false),
            running: Statistics {
                mean,
                variance,
                rows: 0,
            },
            threshold: annealing.map(|annealing| (annealing.initial, annealing)),
            name,
        })
    }

    fn trained(&self, beta: f32) -> Result<TrainedLayer> {
        let hidden = self.threshold.is_some();
        Ok(TrainedLayer {
            name: self.name.clone(),
            outputs: self.binarise.outputs,
            kernel: self.convolution.then_some(self.binarise.kernel),
            pool: self.binarise.pool,
            latent: self.latent.value.flatten_all()?.to_vec1()?,
            norm: trained::BatchNorm {
                mean: self.running.mean.clone(),
                variance: self.running.variance.clone(),
                gain: self.gain.value.to_vec1()?,
                shift: self.shift.value.to_vec1()?,
                epsilon: EPSILON,
            },
            // The read-out sums currents: its neurons keep nothing and are never reset.
            beta: if hidden { beta } else { 0.0 },
            threshold: self.threshold.map_or(1.0, |(threshold, _)| threshold),
            reset: hidden,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layers run back one by one give what candle's graph over the same operations gives.
    #[test]
    fn backward_is_that_of_the_graph() -> Result<()> {
        let layers = r#"network.layers=[
            { kind = "conv", channels = 3, kernel = 3, pool = 2 },
            { kind = "conv", channels = 4, kernel = 2 },
            { kind = "linear", outputs = 6 },
            { kind = "linear", outputs = 5 }]"#;
        let config = Config::load("mnist", &[layers.into(), "network.steps=3".into()])?;
        let network = Network::new(&config, [9, 8, 2], 1)?;
        let mut random = stream(1, Purpose::Order, [0, 0]);
        let mut uniform = |count| {
            (0..count)
                .map(|_| random.random::<f32>())
                .collect::<Vec<_>>()
        };
        let batch = Tensor::from_vec(uniform(7 * 9 * 8 * 2), (7, 9, 8, 2), &Device::Cpu)?;
        let of_scores = Tensor::from_vec(uniform(7 * 5), (7, 5), &Device::Cpu)?;

        let forward = network.forward(&batch, Mode::Train)?;
        let ours = network.backward(&forward, &of_scores)?;
        let plain = (&forward.scores * &of_scores)?.sum_all()?.backward()?;
        assert_eq!(ours.len(), network.parameters().count());
        for (parameter, ours) in network.parameters().zip(&ours) {
            let Some(plain) = plain.get(&parameter.value) else {
                panic!("no gradient of {}", parameter.name);
            };
            assert_eq!(ours.dims(), plain.dims(), "{}", parameter.name);
            let largest = |x: Tensor| x.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>();
            let difference = largest((ours - plain)?)?;
            assert!(
                difference < 1e-5,
                "{} differs by {difference}",
                parameter.name
            );
            assert!(
                largest(plain.clone())? > 0.0,
                "{} has no gradient",
                parameter.name
            );
        }
        Ok(())
    }
}
