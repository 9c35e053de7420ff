//! The serialised values of a model file (postcard); their order is the format.

use serde::{Deserialize, Serialize};

use crate::lif::{Membrane, Reset};

/// What the network reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputKind {
    /// Spikes: one bit a value, 0 or 1.
    Spikes,
    /// Graded values `0 ..= 255`, one byte each.
    U8,
    /// Graded values `-128 ..= 127`, one byte each.
    I8,
    /// Bipolar values: one bit a value, 1 is +1 and 0 is -1.
    Bipolar,
}

impl InputKind {
    /// Largest magnitude of one value.
    pub const fn largest(self) -> u64 {
        match self {
            Self::Spikes | Self::Bipolar => 1,
            Self::U8 => 255,
            Self::I8 => 128,
        }
    }

    /// Whether a value takes a byte, not a bit.
    pub const fn is_graded(self) -> bool {
        matches!(self, Self::U8 | Self::I8)
    }
}

/// A network without its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// Kind of the input values.
    pub input: InputKind,
    /// Height, width and channels of the input; the flat index is `(y * width + x) * channels + c`.
    pub shape: [u16; 3],
    /// Time steps of a decision, `1 ..= 65,536`.
    pub steps: u32,
    /// How the decision is read out of the last layer.
    pub readout: Readout,
    /// Multiplies the scores of the read-out to logits, for the confidence of a decision.
    pub logit_scale: f32,
    /// The layers, first to last.
    pub layers: heapless::Vec<LayerSpec, { super::MAX_LAYERS }>,
}

impl NetworkSpec {
    /// What stands before the layers in the section.
    pub(super) fn head(&self) -> Head {
        Head {
            input: self.input,
            shape: self.shape,
            steps: self.steps,
            readout: self.readout,
            logit_scale: self.logit_scale,
            layers: self.layers.len() as u32,
        }
    }
}

/// The start of the section of layers: a [`NetworkSpec`] up to the number of its layers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) input: InputKind,
    pub(super) shape: [u16; 3],
    pub(super) steps: u32,
    pub(super) readout: Readout,
    pub(super) logit_scale: f32,
    pub(super) layers: u32,
}

/// How a decision is read out of the last layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Readout {
    /// The class with the most output spikes.
    Count,
    /// The class with the largest membrane, summed over the steps and multiplied by its gain.
    /// The last layer's reset is "none".
    Membrane,
    /// The class that fires first; the membrane rule where none fires.
    FirstSpike,
    /// The most output spikes over equal groups of consecutive neurons.
    Population {
        /// Number of groups, which is the number of classes.
        groups: u16,
    },
}

impl Readout {
    /// Whether the file holds one gain a class, `1 ..= 32767`, behind the last layer's parameters.
    pub const fn has_gains(self) -> bool {
        matches!(self, Self::Membrane | Self::FirstSpike)
    }
}

/// A layer without its parameters: what it reads, its synaptic sum and its neurons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerSpec {
    /// Pooling of the layer's input, before its weights.
    pub input_pool: Option<InputPool>,
    /// The weighted sum.
    pub operation: Operation,
    /// Sum pooling between a convolution and its neurons (average pooling: the divisor lives in
    /// the threshold).
    pub pool: Option<Pool>,
    /// Order of the weight bits in the file.
    pub order: WeightOrder,
    /// Type of membrane, threshold and bias.
    pub membrane: Membrane,
    /// Fraction bits of membrane, threshold and bias, -16 ..= 16.
    pub fraction: i8,
    /// Decay in Q1.15: `0 ..= 32768`.
    pub beta: u16,
    /// What follows a spike.
    pub reset: Reset,
    /// How many thresholds there are.
    pub thresholds: Spread,
    /// How many biases there are; `None` for no bias.
    pub biases: Option<Spread>,
}

/// The weighted sum of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Every output reads the whole input, flattened in its order.
    Linear {
        /// Number of outputs.
        outputs: u16,
    },
    /// Cross-correlation with zero padding, one group, dilation 1.
    Conv2d {
        /// Number of output channels.
        channels: u16,
        /// Height and width of the kernel.
        kernel: [u16; 2],
        /// Rows and columns between output positions.
        stride: [u16; 2],
        /// Rows above and below, columns left and right, that read as "no spike".
        padding: [u16; 2],
    },
}

/// A pooling window; no padding, windows that do not fit are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Height and width of the window.
    pub window: [u16; 2],
    /// Rows and columns between windows.
    pub stride: [u16; 2],
}

/// What a pooling of the input computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PoolKind {
    /// The sum over the window; of spikes: their count.
    Sum,
    /// The OR over the window; single-bit inputs only.
    Max,
}

/// Pooling of a layer's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputPool {
    /// What the window computes.
    pub kind: PoolKind,
    /// The window.
    pub pool: Pool,
}

/// How parameters are shared between the neurons of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Spread {
    /// One for the layer.
    Layer,
    /// One for each output channel.
    Channel,
    /// One for each neuron, in flat order.
    Neuron,
}

/// Order of the weight bits in the file. A row starts at a word; its padding bits are 0.
///
/// A tap is one input of the weighted sum: `(ky * kernel width + kx) * channels + c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WeightOrder {
    /// A row of taps for each output: for kernels that compute outputs one by one.
    OutputMajor,
    /// A row of outputs for each tap: for kernels that add the columns of set input bits.
    InputMajor,
}
