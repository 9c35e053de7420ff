//! The tables of a configuration and their defaults.

use serde::{Deserialize, Serialize};

use super::sides;
use crate::anneal::Schedule;
use crate::data::Framing;
use crate::data::format::Source;
use crate::loss::Loss;
use crate::ops::sign::Weights;
use crate::ops::surrogate::{Shape, Unit};
use crate::optim::Optimiser;

/// The `data` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Name of the data set.
    pub name: String,
    /// Part of the training data that is held back for validation.
    pub validation: f64,
    /// Training pictures are moved by up to this many pixels, rows and columns alike.
    #[serde(default)]
    pub shift: usize,
    /// Training pictures are turned by up to this many degrees either way.
    #[serde(default)]
    pub rotation: f32,
    /// Training pictures grow or shrink by up to this part of their size; of recordings, rows and
    /// columns, of a cochlea its channels.
    #[serde(default)]
    pub scale: f32,
    /// Training recordings are moved by up to this many time steps, earlier or later.
    #[serde(default)]
    pub shift_steps: usize,
    /// Training recordings last longer or shorter by up to this part of their length.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stretch: f32,
    /// Use only so many training samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// How events become frames; for data sets of recordings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<Framing>,
    /// Where the samples are and how they are stored, for a data set that is not known by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

fn is_zero(part: &f32) -> bool {
    *part == 0.0
}

/// The `network` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Time steps of a decision.
    pub steps: u32,
    /// Decay of the membrane in a step, where a layer does not say otherwise.
    pub beta: f32,
    /// What a weight is in the forward pass.
    #[serde(default)]
    pub weights: Weights,
    /// From where the weights start.
    #[serde(default)]
    pub initial_weights: InitialWeights,
    /// How the gradient goes through the sign of a weight.
    #[serde(default)]
    pub straight_through: StraightThrough,
    /// What is done to currents before the neurons, where a layer does not say otherwise.
    #[serde(default)]
    pub norm: Norm,
    /// Shape of the surrogate gradient.
    #[serde(default)]
    pub surrogate: Shape,
    /// Unit in which the surrogate measures the distance from the threshold.
    #[serde(default)]
    pub surrogate_unit: Unit,
    /// Slope of the surrogate gradient.
    pub slope: f32,
    /// How the last layer decides.
    #[serde(default)]
    pub readout: Readout,
    /// The layers, first to last; the last one is read out.
    pub layers: Vec<Layer>,
}

impl Network {
    /// Layers whose neurons fire and have thresholds: the hidden ones, and the last where its
    /// spikes are counted.
    pub fn spiking_layers(&self) -> usize {
        let read_out = usize::from(self.readout == Readout::Membrane);
        self.layers.len().saturating_sub(read_out)
    }
}

/// From where the weights start: uniform within a bound of zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InitialWeights {
    /// Within 0.1.
    #[default]
    Uniform,
    /// Within `sqrt(1.5 / (fan in + fan out))`, as the binary layers of the reference.
    Glorot,
    /// Within `1 / sqrt(fan in)`, as the float layers of the reference.
    FanIn,
}

/// How the gradient goes through the sign of a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StraightThrough {
    /// As it is where the latent weight lies in `[-1, 1]`, else 0.
    #[default]
    Cut,
    /// As it is everywhere (the reference).
    Identity,
}

/// What is done to currents before the neurons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// Batch norm over the batch and all time steps.
    #[default]
    Batch,
    /// Batch norm over the batch, for each time step; the running statistics follow the steps one
    /// after the other (the reference).
    Step,
    /// A trained bias is added.
    Bias,
    /// Nothing.
    None,
}

/// How the last layer decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Readout {
    /// By its mean current over the steps: neurons that keep nothing and never fire.
    #[default]
    Membrane,
    /// By its spikes.
    Count,
}

/// One layer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Layer {
    /// A convolution, average pooling, then neurons. Pairs are rows, then columns; one number stands
    /// for both.
    Conv {
        /// Output channels.
        channels: usize,
        /// Rows and columns of the kernel.
        #[serde(with = "sides")]
        kernel: [usize; 2],
        /// Rows and columns between positions of the kernel.
        #[serde(with = "sides")]
        #[serde(default = "sides::one", skip_serializing_if = "sides::are_one")]
        stride: [usize; 2],
        /// Rows and columns of zeros on each side of the input.
        #[serde(with = "sides")]
        #[serde(default, skip_serializing_if = "sides::are_zero")]
        padding: [usize; 2],
        /// Rows and columns of the pooling window, which moves by its own size; 1 for none.
        #[serde(with = "sides")]
        #[serde(default = "sides::one")]
        pool: [usize; 2],
        /// Instead of the network's `beta`.
        #[serde(skip_serializing_if = "Option::is_none")]
        beta: Option<f32>,
        /// Instead of the network's `norm`.
        #[serde(skip_serializing_if = "Option::is_none")]
        norm: Option<Norm>,
        /// Part of the currents that is left out in training.
        #[serde(default)]
        dropout: f32,
    },
    /// A layer in which every output reads every input.
    Linear {
        /// Outputs.
        outputs: usize,
        /// Instead of the network's `beta`.
        #[serde(skip_serializing_if = "Option::is_none")]
        beta: Option<f32>,
        /// Instead of the network's `norm`.
        #[serde(skip_serializing_if = "Option::is_none")]
        norm: Option<Norm>,
        /// Part of the currents that is left out in training.
        #[serde(default)]
        dropout: f32,
    },
}

impl Layer {
    /// What the layer says about the decay of its membranes.
    pub fn beta(&self) -> Option<f32> {
        match self {
            Self::Conv { beta, .. } | Self::Linear { beta, .. } => *beta,
        }
    }

    /// What the layer says about its currents.
    pub fn norm(&self) -> Option<Norm> {
        match self {
            Self::Conv { norm, .. } | Self::Linear { norm, .. } => *norm,
        }
    }

    /// Part of the layer's currents that is left out in training.
    pub fn dropout(&self) -> f32 {
        match self {
            Self::Conv { dropout, .. } | Self::Linear { dropout, .. } => *dropout,
        }
    }
}

/// One value for all layers with thresholds, or one a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PerLayer {
    /// The same for all.
    All(f32),
    /// One a layer, first to last.
    Each(Vec<f32>),
}

impl PerLayer {
    /// The values of `layers` layers.
    pub fn values(&self, layers: usize) -> Vec<f32> {
        match self {
            Self::All(value) => vec![*value; layers],
            Self::Each(values) => values.clone(),
        }
    }
}

/// How often thresholds move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Every {
    /// After every update.
    #[default]
    Update,
    /// After every epoch.
    Epoch,
}

/// The `threshold` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// How the thresholds move.
    pub schedule: Schedule,
    /// How often they move.
    #[serde(default)]
    pub every: Every,
    /// Where they start.
    pub initial: PerLayer,
    /// Where they go.
    #[serde(rename = "final")]
    pub last: PerLayer,
    /// Part of the remaining way that a move covers (exponential only).
    pub rate: PerLayer,
    /// Part of the training after which they start to move.
    pub start: f64,
}

/// What the learning rate does after its rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// It follows a cosine.
    #[default]
    Cosine,
    /// It stays.
    None,
}

/// The `train` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Seed of all that is random.
    pub seed: u64,
    /// Passes over the training data.
    pub epochs: u32,
    /// Samples an update.
    pub batch: usize,
    /// The loss.
    #[serde(default)]
    pub loss: Loss,
    /// Target of the right class in a squared loss: its firing rate, or its membrane.
    #[serde(default = "target_right")]
    pub target_right: f32,
    /// Target of the other classes in a squared loss.
    #[serde(default = "target_wrong")]
    pub target_wrong: f32,
    /// The rule by which parameters follow their gradients.
    #[serde(default)]
    pub optimiser: Optimiser,
    /// Momentum of the optimiser `sgd`.
    #[serde(default)]
    pub momentum: f32,
    /// Peak learning rate.
    pub learning_rate: f32,
    /// Updates over which the learning rate rises.
    pub warmup: u64,
    /// What the learning rate does then.
    #[serde(default)]
    pub decay: Decay,
    /// Updates in which the cosine takes the learning rate to 0; it rises again in as many. All
    /// updates of the training where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_cosine: Option<u64>,
    /// Largest norm of all gradients together; longer ones are shortened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_gradient: Option<f32>,
    /// Whether latent weights are clamped to `[-1, 1]` after each update.
    #[serde(default = "yes")]
    pub clip_weights: bool,
    /// Epochs without a better validation accuracy after which the training ends; the network is
    /// then that of the best epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<u32>,
    /// Weight of a batch in the running statistics of batch norm.
    pub norm_momentum: f32,
}

fn target_right() -> f32 {
    0.8
}

fn target_wrong() -> f32 {
    0.2
}

fn yes() -> bool {
    true
}
