//! A trained network in plain `f32`: what training hands to the fold.

use crate::data::InputSpec;

/// The input scale, layers and read-out of a trained network.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedNetwork {
    /// Shape and form of the input; the network was trained on its values divided by
    /// [`Form::scale`](crate::data::Form::scale).
    pub input: InputSpec,
    /// Time steps of a decision.
    pub steps: u32,
    /// The layers, first to last; the last one is read out: by its spikes where it is reset,
    /// else by its summed membranes.
    pub layers: Vec<TrainedLayer>,
}

/// One trained layer: binary weights, synaptic sum, average pooling, batch norm, LIF.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedLayer {
    /// A name for messages, as in the configuration: `layer 2 (conv)`.
    pub name: String,
    /// Output channels of a convolution, or outputs of a linear layer.
    pub outputs: usize,
    /// The convolution; `None` for a linear layer over the whole (flattened) input.
    pub convolution: Option<Convolution>,
    /// Latent weights, `[out][ky][kx][in]` or `[out][in]` with `in` in the order row, column,
    /// channel. A weight is +1 where its latent value is at least 0, else -1.
    pub latent: Vec<f32>,
    /// Batch norm of the current after pooling, one value an output.
    pub norm: BatchNorm,
    /// Decay of the membrane, 0 to 1.
    pub beta: f32,
    /// Firing threshold, above 0.
    pub threshold: f32,
    /// Whether a spike is followed by the subtraction of the threshold; else there is no reset.
    pub reset: bool,
}

/// The geometry of a convolution; pairs are rows, then columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Rows and columns between its positions.
    pub stride: [usize; 2],
    /// Rows and columns of zeros on each side of the input.
    pub padding: [usize; 2],
    /// Window of the average pooling between the convolution and its LIF; 1 x 1 for none.
    pub pool: [usize; 2],
}

impl Convolution {
    /// What a linear layer does to the one point of its flattened input.
    pub(crate) const OF_POINT: Self = Self {
        kernel: [1, 1],
        stride: [1, 1],
        padding: [0, 0],
        pool: [1, 1],
    };
}

/// The parameters of a batch norm in evaluation: `gain * (x - mean) / sqrt(variance + epsilon) + shift`.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm {
    /// Running mean, one value an output.
    pub mean: Vec<f32>,
    /// Running variance, one value an output.
    pub variance: Vec<f32>,
    /// Gain, one value an output.
    pub gain: Vec<f32>,
    /// Shift, one value an output.
    pub shift: Vec<f32>,
    /// Added to the variance.
    pub epsilon: f32,
}
