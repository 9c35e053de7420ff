//! The network in training: built from a configuration and an input shape, whatever the data set.

use candle_core::{Device, Tensor, Var};
use rand::RngExt;

use crate::anneal::Annealing;
use crate::config::{self, Config, InitialWeights, Norm};
use crate::data::InputSpec;
use crate::loss::Loss;
use crate::ops::dropout::Dropout;
use crate::ops::lif::Lif;
use crate::ops::norm::{BatchNorm, Grouping, Statistics};
use crate::ops::sign::{Binarise, Weights};
use crate::ops::surrogate::Surrogate;
use crate::ops::synapse::Synapse;
use crate::ops::with_values;
use crate::optim::Parameter;
use crate::seed::{Purpose, stream};
use crate::trained::{self, TrainedLayer, TrainedNetwork};
use crate::{Error, Result};

/// Added to the variances of batch norm.
const EPSILON: f32 = 1e-5;

/// A network with its parameters, running statistics and thresholds.
#[derive(Debug)]
pub struct Network {
    input: InputSpec,
    steps: usize,
    beta: f32,
    surrogate: Surrogate,
    /// Whether the output is the membranes of every step, not their mean.
    every_step: bool,
    seed: u64,
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
    norm: Norm,
    dropout: f32,
    running: Statistics,
    /// `None` for the last layer where its membranes are read out.
    threshold: Option<(f32, Annealing)>,
}

/// What a forward pass gives.
#[derive(Debug)]
pub struct Forward {
    /// Scores `[batch, classes]`: spike counts, or mean membranes.
    pub scores: Tensor,
    /// What the loss is computed on: the scores, or membranes `[batch * steps, classes]`.
    pub output: Tensor,
    /// Spikes of each layer that fires, `[batch * steps, rows, columns, channels]`.
    pub spikes: Vec<Tensor>,
    /// Statistics of the batch, one a layer with batch norm in training.
    pub statistics: Vec<Option<Statistics>>,
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
    /// Before dropout.
    normal: Tensor,
    dropout: Option<Dropout>,
    /// What the neurons get.
    current: Tensor,
    /// `None` where the membranes are read out.
    lif: Option<Lif>,
    /// Whether the sums were averaged over the steps.
    averaged: bool,
}

/// Which statistics batch norm uses, and whether currents drop out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Those of the batch; currents drop out, others in each update.
    Train {
        /// Number of the update.
        update: u64,
    },
    /// The running ones, and nothing drops out.
    Evaluate,
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
            beta: network.beta,
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

    /// Scores and spikes of a batch: `[batch, height, width, channels]` of values from 0 to 1 for
    /// still pictures, `[batch * steps, height, width, channels]` of spikes or counts for recordings.
    ///
    /// A still picture is the same at every step, and so is the current of the first layer: it is
    /// computed once. Every layer runs over all steps at once.
    ///
    /// # Errors
    /// If the batch does not have the network's input shape.
    pub fn forward(&self, batch: &Tensor, mode: Mode) -> Result<Forward> {
        let (mut spikes, mut statistics, mut traces) = (Vec::new(), Vec::new(), Vec::new());
        let rows_of_sample = if self.input.form.is_still() {
            1
        } else {
            self.steps
        };
        let (mut signal, samples) = (batch.clone(), batch.dim(0)? / rows_of_sample);
        for (index, layer) in self.layers.iter().enumerate() {
            let taps = layer.binarise.taps(&layer.latent.value)?;
            let mut sums = layer.synapse.sums(&signal, &taps)?;
            let (rows, outputs) = (sums.dim(0)?, layer.synapse.outputs);
            let averaged = layer.threshold.is_none() && !self.every_step;
            if layer.threshold.is_none() {
                sums = sums.reshape((rows, outputs))?;
            }
            if averaged {
                // The mean over the steps of the currents, `[batch, outputs]`.
                sums = sums.reshape((samples, rows / samples, outputs))?.mean(1)?;
            }
            let of_batch = match (mode, layer.norm) {
                (Mode::Train { .. }, Norm::Batch) => Some(Grouping::ALL),
                (Mode::Train { .. }, Norm::Step) => Some(Grouping {
                    groups: sums.dim(0)? / samples,
                    points: layer.points(),
                }),
                _ => None,
            };
            let of_batch = of_batch.map(|grouping| Statistics::of(&sums, grouping));
            let of_batch = of_batch.transpose()?;
            let used = of_batch.as_ref().unwrap_or(&layer.running);
            let norm = BatchNorm::new(used, EPSILON, of_batch.is_some());
            statistics.push(of_batch);
            let normal = norm.normalise(&sums, &layer.gain.value, &layer.shift.value)?;
            let dropout = match mode {
                Mode::Train { update } if layer.dropout > 0.0 => Some(Dropout {
                    probability: layer.dropout,
                    seed: self.seed,
                    update,
                    layer: index as u64,
                }),
                _ => None,
            };
            let once = normal.dim(0)? == samples && self.steps > 1;
            let current = match dropout {
                // Other currents drop out at every step: they differ from here on.
                Some(dropout) if once && layer.threshold.is_some() => {
                    dropout.apply(&self.at_every_step(&normal)?)?
                }
                Some(dropout) => dropout.apply(&normal)?,
                None => normal.clone(),
            };
            let lif = layer.threshold.map(|(threshold, _)| Lif {
                steps: self.steps,
                beta: self.beta,
                threshold,
                surrogate: self.surrogate,
                constant: self.steps > 1 && once && dropout.is_none(),
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
                normal,
                dropout,
                current,
                lif,
                averaged,
            });
        }
        let by_step = |output: &Tensor| {
            let (rows, classes) = (output.dim(0)?, self.classes());
            output.reshape((samples, rows / samples, classes))
        };
        let counted = self
            .layers
            .last()
            .is_some_and(|layer| layer.threshold.is_some());
        let scores = if counted {
            by_step(&signal)?.sum(1)?
        } else {
            by_step(&signal)?.mean(1)?
        };
        let output = if counted { scores.clone() } else { signal };
        Ok(Forward {
            scores,
            output,
            spikes,
            statistics,
            traces,
        })
    }

    /// The same values for every step: `[n, ..]` to `[n * steps, ..]`.
    fn at_every_step(&self, values: &Tensor) -> candle_core::Result<Tensor> {
        let mut dims = values.dims().to_vec();
        dims.insert(1, self.steps);
        let repeated = values.unsqueeze(1)?.broadcast_as(dims)?;
        repeated.contiguous()?.flatten(0, 1)
    }

    /// Gradients of all parameters, in the order of [`Network::parameters`], from that of the
    /// output.
    ///
    /// The layers are run back one by one, without candle's graph: it would zero and add once more
    /// for every tensor, although each has one consumer.
    ///
    /// # Errors
    /// If the gradient does not have the shape of the output.
    pub fn backward(&self, forward: &Forward, of_output: &Tensor) -> Result<Vec<Tensor>> {
        let mut gradients = Vec::new();
        let mut grad = of_output.clone();
        for (index, (layer, trace)) in self.layers.iter().zip(&forward.traces).enumerate().rev() {
            if let Some(lif) = trace.lif {
                if index + 1 == self.layers.len() {
                    // A count's gradient is that of each of its spikes.
                    grad = self.at_every_step(&grad)?;
                }
                grad = lif.backward(&trace.current, &forward.spikes[index], &grad)?;
            }
            if let Some(dropout) = trace.dropout {
                grad = dropout.apply(&grad.contiguous()?)?;
                if trace.normal.dim(0)? < grad.dim(0)? {
                    let mut dims = trace.normal.dims().to_vec();
                    dims.insert(1, self.steps);
                    grad = grad.reshape(dims)?.sum(1)?;
                }
            }
            let (of_sums, of_gain, of_shift) =
                trace.norm.backward(&trace.sums, &layer.gain.value, &grad)?;
            grad = of_sums;
            if trace.averaged {
                let (samples, outputs) = grad.dims2()?;
                let steps = trace.input.dim(0)? / samples;
                let every_step = (samples, steps, outputs);
                grad = (grad / steps as f64)?
                    .unsqueeze(1)?
                    .broadcast_as(every_step)?;
            }
            let (of_input, of_taps) = layer.synapse.backward(&trace.input, &trace.taps, &grad)?;
            let of_latent = layer.binarise.backward(&layer.latent.value, &of_taps)?;
            // What a layer does not have stays as it is.
            let trained = |gradient: Tensor, has| {
                if has {
                    Ok(gradient)
                } else {
                    gradient.zeros_like()
                }
            };
            let normalised = matches!(layer.norm, Norm::Batch | Norm::Step);
            let of_gain = trained(of_gain, normalised)?;
            let of_shift = trained(of_shift, layer.norm != Norm::None)?;
            gradients.extend([of_shift, of_gain, of_latent]);
            match of_input {
                Some(of_input) => grad = of_input,
                None => break,
            }
        }
        gradients.reverse();
        Ok(gradients)
    }

    /// For each layer with neurons that fire, whether any of them did in a forward pass.
    ///
    /// # Errors
    /// If the spikes are not `f32` on the CPU.
    pub fn fired(&self, forward: &Forward) -> Result<Vec<bool>> {
        let fired = forward.spikes.iter().map(|spikes| {
            Ok(with_values(spikes, |spikes| {
                Ok(spikes.iter().any(|spike| *spike > 0.0))
            })?)
        });
        fired.collect()
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
        config: &Config,
    ) -> Result<Self> {
        let network = &config.network;
        let (kind, [height, width, channels], outputs, kernel, pool) = match spec {
            config::Layer::Conv {
                channels: outputs,
                kernel,
                pool,
                ..
            } => ("conv", [height, width, channels], outputs, kernel, pool),
            config::Layer::Linear { outputs, .. } => {
                ("linear", [1, 1, height * width * channels], outputs, 1, 1)
            }
        };
        let name = format!("layer {} ({kind})", index + 1);
        let binarise = Binarise {
            outputs,
            kernel,
            channels,
            pool,
            weights: network.weights,
            cut: network.straight_through == config::StraightThrough::Cut,
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

        let mut random = stream(config.train.seed, Purpose::Weights, [index as u64, 0]);
        let shape = (outputs, binarise.kernel, binarise.kernel, channels);
        let count = outputs * binarise.kernel * binarise.kernel * channels;
        let area = (binarise.kernel * binarise.kernel) as f32;
        let (fan_in, fan_out) = (area * channels as f32, area * outputs as f32);
        let bound = match network.initial_weights {
            InitialWeights::Uniform => 0.1,
            InitialWeights::Glorot => (1.5 / (fan_in + fan_out)).sqrt(),
            InitialWeights::FanIn => 1.0 / fan_in.sqrt(),
        };
        let latent: Vec<f32> = (0..count)
            .map(|_| random.random_range(-bound..bound))
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
        let norm = spec.norm().unwrap_or(network.norm);
        // Without batch norm, what it divides by is 1.
        let spread = match norm {
            Norm::Batch | Norm::Step => 1.0,
            Norm::Bias | Norm::None => 1.0 - EPSILON,
        };
        let (mean, variance) = (vec![0.0; outputs], vec![spread; outputs]);
        Ok(Self {
            convolution: kind == "conv",
            binarise,
            synapse,
            latent: Parameter::new(
                format!("layers.{index}.latent"),
                latent,
                config.train.clip_weights,
            ),
            gain: Parameter::new(format!("layers.{index}.norm.gain"), gain, false),
            shift: Parameter::new(format!("layers.{index}.norm.shift"), shift, false),
            norm,
            dropout: spec.dropout(),
            running: Statistics {
                mean,
                variance,
                rows: 0,
                grouping: Grouping::ALL,
            },
            threshold: annealing.map(|annealing| (annealing.initial, annealing)),
            name,
        })
    }

    /// Points of the output map.
    fn points(&self) -> usize {
        self.synapse.out_height() * self.synapse.out_width()
    }

    fn trained(&self, beta: f32) -> Result<TrainedLayer> {
        let fires = self.threshold.is_some();
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
            // Where currents are summed, the neurons keep nothing and are never reset.
            beta: if fires { beta } else { 0.0 },
            threshold: self.threshold.map_or(1.0, |(threshold, _)| threshold),
            reset: fires,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layers run back one by one give what candle's graph over the same operations gives.
    fn check_backward(settings: &[&str]) -> Result<()> {
        let mut all = vec!["network.steps=3".to_owned()];
        all.extend(settings.iter().map(|setting| (*setting).to_owned()));
        let config = Config::load("mnist", &all)?;
        let network = Network::new(&config, [9, 8, 2], 1)?;
        let mut random = stream(1, Purpose::Order, [0, 0]);
        let mut uniform = |count| {
            (0..count)
                .map(|_| random.random::<f32>())
                .collect::<Vec<_>>()
        };
        let batch = Tensor::from_vec(uniform(7 * 9 * 8 * 2), (7, 9, 8, 2), &Device::Cpu)?;
        let forward = network.forward(&batch, Mode::Train { update: 1 })?;
        let (rows, classes) = forward.output.dims2()?;
        let of_output = Tensor::from_vec(uniform(rows * classes), (rows, classes), &Device::Cpu)?;
        let ours = network.backward(&forward, &of_output)?;
        let plain = (&forward.output * &of_output)?.sum_all()?.backward()?;
        assert_eq!(ours.len(), network.parameters().count());
        for (index, (parameter, ours)) in network.parameters().zip(&ours).enumerate() {
            let Some(plain) = plain.get(&parameter.value) else {
                panic!("no gradient of {}", parameter.name);
            };
            assert_eq!(ours.dims(), plain.dims(), "{}", parameter.name);
            let largest = |x: &Tensor| x.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>();
            let norm = network.layers[index / 3].norm;
            let trained = match index % 3 {
                0 => true,
                1 => matches!(norm, Norm::Batch | Norm::Step),
                _ => norm != Norm::None,
            };
            if !trained {
                assert_eq!(largest(ours)?, 0.0, "{} has a gradient", parameter.name);
                continue;
            }
            let difference = largest(&(ours - plain)?)? / largest(plain)?.max(1.0);
            assert!(
                difference < 1e-5,
                "{} differs by {difference}",
                parameter.name
            );
            // A shift before another batch norm of the same values has none but for rounding.
            assert!(largest(plain)? > 0.0, "{} has no gradient", parameter.name);
        }
        Ok(())
    }

    #[test]
    fn backward_is_that_of_the_graph() -> Result<()> {
        check_backward(&[r#"network.layers=[
            { kind = "conv", channels = 3, kernel = 3, pool = 2 },
            { kind = "conv", channels = 4, kernel = 2 },
            { kind = "linear", outputs = 6 },
            { kind = "linear", outputs = 5 }]"#])
    }

    /// As in the reference: batch norm by step, a bias in the last layer, dropout, counts.
    #[test]
    fn backward_of_counts_biases_and_dropout_is_that_of_the_graph() -> Result<()> {
        for shape in [
            "fast-sigmoid",
            "arctan",
            "sigmoid",
            "triangular",
            "straight-through",
        ] {
            check_backward(&[
                r#"network.layers=[
                { kind = "conv", channels = 3, kernel = 3, pool = 2, dropout = 0.2 },
                { kind = "linear", outputs = 6, norm = "none" },
                { kind = "linear", outputs = 5, norm = "bias", dropout = 0.3 }]"#,
                "network.readout=count",
                "network.norm=step",
                "network.slope=0.2",
                &format!("network.surrogate={shape}"),
                "network.surrogate_unit=absolute",
                "network.straight_through=identity",
            ])?;
        }
        Ok(())
    }

    #[test]
    fn backward_of_membranes_and_float_weights_is_that_of_the_graph() -> Result<()> {
        check_backward(&[
            r#"network.layers=[
            { kind = "conv", channels = 3, kernel = 3, pool = 2 },
            { kind = "linear", outputs = 5 }]"#,
            "train.loss=mse-membrane",
            "network.weights=float",
            "network.initial_weights=fan-in",
        ])
    }

    /// The running statistics follow the steps one after the other, as in the reference.
    #[test]
    fn statistics_of_steps_are_absorbed_in_their_order() -> Result<()> {
        let settings = ["network.norm=step".to_owned(), "network.steps=2".to_owned()];
        let config = Config::load("mnist", &settings)?;
        let mut network = Network::new(&config, [28, 28, 1], 1)?;
        let statistics = |groups: usize, channels: usize| Statistics {
            mean: (0..groups * channels)
                .map(|i| (i / channels) as f32 + 1.0)
                .collect(),
            variance: vec![1.0; groups * channels],
            rows: 10,
            grouping: Grouping { groups, points: 1 },
        };
        network.absorb(
            &[Some(statistics(1, 16)), Some(statistics(2, 64)), None],
            0.5,
        );
        let means: Vec<f32> = network.running_mut().map(|(_, r)| r.mean[0]).collect();
        // Twice half way to 1; half way to 1 and then to 2; untouched.
        assert_eq!(means, [0.75, 1.25, 0.0]);
        Ok(())
    }
}
