//! A layer in training: its parameters, running statistics and threshold.

use candle_core::{Device, Tensor, Var};
use rand::RngExt;

use super::EPSILON;
use crate::anneal::Annealing;
use crate::config::{self, Config, InitialWeights, Norm};
use crate::ops::norm::{Grouping, Statistics};
use crate::ops::sign::Binarise;
use crate::ops::synapse::Synapse;
use crate::optim::Parameter;
use crate::seed::{Purpose, stream};
use crate::trained::{self, Convolution, TrainedLayer};
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct Layer {
    pub(super) name: String,
    /// `None` for a linear layer.
    pub(super) convolution: Option<Convolution>,
    pub(super) binarise: Binarise,
    pub(super) synapse: Synapse,
    pub(super) latent: Parameter,
    pub(super) gain: Parameter,
    pub(super) shift: Parameter,
    pub(super) beta: f32,
    pub(super) norm: Norm,
    pub(super) dropout: f32,
    pub(super) running: Statistics,
    /// `None` for the last layer where its membranes are read out.
    pub(super) threshold: Option<(f32, Annealing)>,
}

impl Layer {
    pub(super) fn new(
        index: usize,
        spec: config::Layer,
        [height, width, channels]: [usize; 3],
        annealing: Option<Annealing>,
        config: &Config,
    ) -> Result<Self> {
        let network = &config.network;
        let (convolution, [height, width, channels], outputs) = match spec {
            config::Layer::Conv {
                channels: outputs,
                kernel,
                stride,
                padding,
                pool,
                ..
            } => {
                let convolution = Convolution {
                    kernel,
                    stride,
                    padding,
                    pool,
                };
                (Some(convolution), [height, width, channels], outputs)
            }
            config::Layer::Linear { outputs, .. } => {
                (None, [1, 1, height * width * channels], outputs)
            }
        };
        let kind = if convolution.is_some() {
            "conv"
        } else {
            "linear"
        };
        let name = format!("layer {} ({kind})", index + 1);
        let Convolution {
            kernel,
            stride,
            padding,
            pool,
        } = convolution.unwrap_or(Convolution::OF_POINT);
        let binarise = Binarise {
            outputs,
            kernel,
            stride,
            channels,
            pool,
            weights: network.weights,
            cut: network.straight_through == config::StraightThrough::Cut,
        };
        let synapse = Synapse {
            height,
            width,
            channels,
            kernel: binarise.window(),
            stride: binarise.pitch(),
            padding,
            outputs,
            input_gradient: index > 0,
        };
        let (needed, padded) = (synapse.kernel, synapse.padded());
        if padded[0] < needed[0] || padded[1] < needed[1] {
            let sides = |[rows, columns]: [usize; 2]| format!("{rows} x {columns}");
            let mut with = String::new();
            if pool != [1, 1] {
                with = format!(" and a pool of {}", sides(pool));
            }
            return Err(Error::usage(format!(
                "{name}: a kernel of {}{with} needs a map of at least {}, this one is {} with its \
                 padding; change `kernel`, `pool` or `padding` of the layer in network.layers",
                sides(kernel),
                sides(needed),
                sides(padded)
            )));
        }

        let mut random = stream(config.train.seed, Purpose::Weights, [index as u64, 0]);
        let [rows, columns] = kernel;
        let shape = (outputs, rows, columns, channels);
        let count = outputs * rows * columns * channels;
        let area = (rows * columns) as f32;
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
            convolution,
            binarise,
            synapse,
            latent: Parameter::new(
                format!("layers.{index}.latent"),
                latent,
                config.train.clip_weights,
            ),
            gain: Parameter::new(format!("layers.{index}.norm.gain"), gain, false),
            shift: Parameter::new(format!("layers.{index}.norm.shift"), shift, false),
            beta: spec.beta().unwrap_or(network.beta),
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
    pub(super) fn points(&self) -> usize {
        self.synapse.out_height() * self.synapse.out_width()
    }

    pub(super) fn trained(&self) -> Result<TrainedLayer> {
        let fires = self.threshold.is_some();
        Ok(TrainedLayer {
            name: self.name.clone(),
            outputs: self.binarise.outputs,
            convolution: self.convolution,
            latent: self.latent.value.flatten_all()?.to_vec1()?,
            norm: trained::BatchNorm {
                mean: self.running.mean.clone(),
                variance: self.running.variance.clone(),
                gain: self.gain.value.to_vec1()?,
                shift: self.shift.value.to_vec1()?,
                epsilon: EPSILON,
            },
            // Where currents are summed, the neurons keep nothing and are never reset.
            beta: if fires { self.beta } else { 0.0 },
            threshold: self.threshold.map_or(1.0, |(threshold, _)| threshold),
            reset: fires,
        })
    }
}
