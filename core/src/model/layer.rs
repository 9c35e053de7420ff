//! A layer with the geometry that follows from its spec and what it reads.

use super::MAX_UNITS;
use super::error::ModelError;
use super::format::{InputKind, LayerSpec, Operation, Pool, PoolKind, Spread, WeightOrder};
use crate::bits::words_for;
use crate::lif::{Beta, Lif, Membrane, Reset};

/// Height, width and channels of a feature map; flat index `(y * width + x) * channels + c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
    /// Channels.
    pub channels: u16,
}

impl Shape {
    const NONE: Self = Self {
        height: 0,
        width: 0,
        channels: 0,
    };

    /// Number of values; the largest `usize` where a 32-bit one does not hold it.
    pub const fn units(&self) -> usize {
        (self.height as usize)
            .saturating_mul(self.width as usize)
            .saturating_mul(self.channels as usize)
    }
}

/// A checked layer: its spec, and what follows from it.
///
/// A linear layer is a convolution with one output position: over a 1x1 map whose channels are
/// the flattened input, or over the whole map where its input is pooled.
///
/// Kept small, since a device holds sixteen of them: what follows from other fields is computed.
///
/// ```
/// use bitspike_core::model::{Model, Shape, pack_words};
/// static FILE: [u32; 92] = pack_words(include_bytes!("../../tests/models/v1-mixed.bsnn"));
/// let model = Model::new(&FILE)?;
/// let first = &model.layers()[0];
/// // 6x6 pixels, five 3x3 kernels padded by 1, sums pooled 2x2.
/// assert_eq!(first.output(), Shape { height: 3, width: 3, channels: 5 });
/// assert_eq!((first.units(), first.taps(), first.padding()), (45, 9, [1, 1]));
/// assert_eq!(first.pool(), ([2, 2], [2, 2]));
/// # Ok::<(), bitspike_core::model::ModelError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    spec: LayerSpec,
    input: Shape,
    output: Shape,
    narrow: bool,
    /// First word of the layer among the parameters.
    weights_at: u32,
    /// First word of the layer among the membranes and among the spikes.
    pub(crate) membranes_at: u32,
    pub(crate) spikes_at: u32,
}

impl Layer {
    /// What stands in room for layers that a model does not have.
    pub(super) const NONE: Self = Self {
        spec: LayerSpec {
            input_pool: None,
            operation: Operation::Linear { outputs: 0 },
            pool: None,
            order: WeightOrder::OutputMajor,
            membrane: Membrane::I16,
            fraction: 0,
            beta: 0,
            reset: Reset::None,
            thresholds: Spread::Layer,
            biases: None,
        },
        input: Shape::NONE,
        output: Shape::NONE,
        narrow: false,
        weights_at: 0,
        membranes_at: 0,
        spikes_at: 0,
    };

    /// The spec as in the file.
    pub const fn spec(&self) -> &LayerSpec {
        &self.spec
    }

    /// Shape of what the layer reads, before any pooling of its input.
    pub const fn input(&self) -> Shape {
        self.input
    }

    /// Shape of what the weights see: the input, pooled where the spec says so; for a linear
    /// layer without pooling, one position with all values as channels.
    #[inline(never)]
    pub const fn map(&self) -> Shape {
        match self.spec.input_pool {
            // The loader has checked that the window fits.
            Some(input_pool) => match pooled(self.input, input_pool.pool) {
                Some(map) => map,
                None => self.input,
            },
            None if self.is_linear() => Shape {
                height: 1,
                width: 1,
                channels: self.input.units() as u16,
            },
            None => self.input,
        }
    }

    /// Whether every output reads the whole input.
    pub const fn is_linear(&self) -> bool {
        matches!(self.spec.operation, Operation::Linear { .. })
    }

    /// Shape of the layer's neurons.
    pub const fn output(&self) -> Shape {
        self.output
    }

    /// Number of neurons.
    pub const fn units(&self) -> usize {
        self.output.units()
    }

    /// Height and width of the kernel over [`map`](Self::map).
    pub const fn kernel(&self) -> [usize; 2] {
        match self.spec.operation {
            Operation::Linear { .. } => {
                let map = self.map();
                wide([map.height, map.width])
            }
            Operation::Conv2d { kernel, .. } => wide(kernel),
        }
    }

    /// Rows and columns between positions of the kernel.
    pub const fn stride(&self) -> [usize; 2] {
        match self.spec.operation {
            Operation::Linear { .. } => [1, 1],
            Operation::Conv2d { stride, .. } => wide(stride),
        }
    }

    /// Rows and columns of padding.
    pub const fn padding(&self) -> [usize; 2] {
        match self.spec.operation {
            Operation::Linear { .. } => [0, 0],
            Operation::Conv2d { padding, .. } => wide(padding),
        }
    }

    /// Inputs of one weighted sum: kernel height x kernel width x channels.
    #[inline(never)]
    pub const fn taps(&self) -> usize {
        let [height, width] = self.kernel();
        height * width * self.map().channels as usize
    }

    /// Window and stride of the pooling between the sum and the neurons; `[1, 1]` for none.
    pub const fn pool(&self) -> ([usize; 2], [usize; 2]) {
        match self.spec.pool {
            Some(Pool { window, stride }) => (wide(window), wide(stride)),
            None => ([1, 1], [1, 1]),
        }
    }

    /// The neurons' numerics.
    pub const fn lif(&self) -> Lif {
        Lif {
            beta: Beta::from_bits(self.spec.beta),
            fraction: self.spec.fraction,
            membrane: self.spec.membrane,
            reset: self.spec.reset,
        }
    }

    /// Whether 32-bit arithmetic is proven exact for the neurons.
    pub(crate) const fn is_narrow(&self) -> bool {
        self.narrow
    }

    /// Words of a row of weights, at least 1.
    #[inline]
    pub const fn row_words(&self) -> usize {
        // A row has a bit; the compiler does not know, and rows are cut by this length.
        let words = words_for(self.row_bits());
        if words > 1 { words } else { 1 }
    }

    /// Weight bits of a row, and the number of rows.
    pub(super) const fn row_bits(&self) -> usize {
        match self.spec.order {
            WeightOrder::OutputMajor => self.taps(),
            WeightOrder::InputMajor => self.output.channels as usize,
        }
    }

    pub(super) const fn rows(&self) -> usize {
        match self.spec.order {
            WeightOrder::OutputMajor => self.output.channels as usize,
            WeightOrder::InputMajor => self.taps(),
        }
    }

    /// Number of parameters of a spread.
    #[inline(never)]
    pub(super) const fn parameters(&self, spread: Spread) -> usize {
        match spread {
            Spread::Layer => 1,
            Spread::Channel => self.output.channels as usize,
            Spread::Neuron => self.units(),
        }
    }

    /// Bit of the weight from `tap` to `output` among the layer's weights.
    #[inline]
    pub(crate) fn weight_bit(&self, output: usize, tap: usize) -> usize {
        let (row, column) = match self.spec.order {
            WeightOrder::OutputMajor => (output, tap),
            WeightOrder::InputMajor => (tap, output),
        };
        row * self.row_words() * 32 + column
    }

    /// A layer that reads `input`; `index` is its place among the layers.
    pub(super) const fn new(
        index: usize,
        spec: &LayerSpec,
        input: Shape,
        kind: InputKind,
        at: Offsets,
    ) -> Result<Self, ModelError> {
        if spec.beta > Beta::ONE.to_bits() {
            return Err(numerics(index, "beta"));
        }
        if spec.fraction < -16 || spec.fraction > 16 {
            return Err(numerics(index, "fraction"));
        }
        let bipolar = matches!(kind, InputKind::Bipolar);
        let mut map = input;
        let mut largest = kind.largest();
        if let Some(input_pool) = spec.input_pool {
            if bipolar {
                return Err(undefined(index, "pooling of bipolar input"));
            }
            match input_pool.kind {
                PoolKind::Sum => largest *= window_size(input_pool.pool),
                PoolKind::Max if kind.is_graded() => {
                    return Err(undefined(index, "max pooling of graded input"));
                }
                PoolKind::Max => {}
            }
            map = match pooled(input, input_pool.pool) {
                Some(map) => map,
                None => return Err(misfit(index, "input pooling window")),
            };
        }
        let (kernel, stride, padding, channels) = match spec.operation {
            Operation::Linear { outputs } => {
                if spec.pool.is_some() {
                    return Err(undefined(index, "pooling of a linear layer's sums"));
                }
                if spec.input_pool.is_none() {
                    map = Shape {
                        height: 1,
                        width: 1,
                        channels: input.units() as u16,
                    };
                }
                ([map.height, map.width], [1, 1], [0, 0], outputs)
            }
            Operation::Conv2d {
                channels,
                kernel,
                stride,
                padding,
            } => (kernel, stride, padding, channels),
        };
        if bipolar && (padding[0] != 0 || padding[1] != 0 || spec.pool.is_some()) {
            return Err(undefined(index, "padding or pooling of bipolar input"));
        }
        let taps = kernel[0] as u64 * kernel[1] as u64 * map.channels as u64;
        let height = positions(map.height, padding[0], kernel[0], stride[0]);
        let width = positions(map.width, padding[1], kernel[1], stride[1]);
        let (Some(height), Some(width)) = (height, width) else {
            return Err(misfit(index, "kernel"));
        };
        let mut output = Shape {
            height,
            width,
            channels,
        };
        let mut largest = taps.saturating_mul(largest);
        if let Some(pool) = spec.pool {
            output = match pooled(output, pool) {
                Some(output) => output,
                None => return Err(misfit(index, "pooling window")),
            };
            largest = largest.saturating_mul(window_size(pool));
        }
        let units = output.units();
        if units < 1 || units > MAX_UNITS {
            return Err(ModelError::Units {
                layer: index,
                got: units,
            });
        }
        if largest > i32::MAX as u64 {
            return Err(ModelError::Sum {
                layer: index,
                largest,
            });
        }
        let mut layer = Self {
            spec: *spec,
            input,
            output,
            narrow: false,
            weights_at: at.parameters,
            membranes_at: at.membranes,
            spikes_at: at.spikes,
        };
        layer.narrow = layer.lif().is_narrow(largest);
        // Nothing behind this point can overflow.
        let words =
            (layer.rows() as u64 * layer.row_words() as u64).saturating_add(4 * units as u64);
        if at.parameters as u64 + words > u32::MAX as u64 {
            return Err(ModelError::Units {
                layer: index,
                got: units,
            });
        }
        Ok(layer)
    }

    /// First words of weights, thresholds and biases among the parameters, and the end.
    pub(super) const fn sections(&self) -> [usize; 4] {
        let membrane = self.spec.membrane;
        let weights = self.weights_at as usize;
        let thresholds = weights + self.rows() * self.row_words();
        let biases = thresholds + membrane.words(self.parameters(self.spec.thresholds));
        let bias_words = match self.spec.biases {
            Some(spread) => membrane.words(self.parameters(spread)),
            None => 0,
        };
        [weights, thresholds, biases, biases + bias_words]
    }
}

const fn numerics(layer: usize, what: &'static str) -> ModelError {
    ModelError::Numerics { layer, what }
}

const fn undefined(layer: usize, what: &'static str) -> ModelError {
    ModelError::Undefined { layer, what }
}

/// What does not fit what it reads.
const fn misfit(layer: usize, what: &'static str) -> ModelError {
    ModelError::Shape { layer, what }
}

const fn wide(pair: [u16; 2]) -> [usize; 2] {
    [pair[0] as usize, pair[1] as usize]
}

/// Number of positions of a kernel along one side; `None` where it does not fit or has no size.
const fn positions(size: u16, padding: u16, kernel: u16, stride: u16) -> Option<u16> {
    if kernel == 0 || stride == 0 {
        return None;
    }
    let padded = size as u32 + 2 * padding as u32;
    if padded < kernel as u32 {
        return None;
    }
    let positions = (padded - kernel as u32) / stride as u32 + 1;
    if positions > u16::MAX as u32 {
        return None;
    }
    Some(positions as u16)
}

const fn pooled(shape: Shape, pool: Pool) -> Option<Shape> {
    let height = positions(shape.height, 0, pool.window[0], pool.stride[0]);
    let width = positions(shape.width, 0, pool.window[1], pool.stride[1]);
    match (height, width) {
        (Some(height), Some(width)) => Some(Shape {
            height,
            width,
            channels: shape.channels,
        }),
        _ => None,
    }
}

const fn window_size(pool: Pool) -> u64 {
    pool.window[0] as u64 * pool.window[1] as u64
}

/// Words that hold the first layer's sums of a graded input: 16 bits each where they fit.
pub(crate) const fn static_sums(first: &Layer, kind: InputKind) -> (bool, usize) {
    if !kind.is_graded() {
        return (true, 0);
    }
    let (window, _) = first.pool();
    let input_window = match first.spec.input_pool {
        Some(input_pool) => window_size(input_pool.pool),
        None => 1,
    };
    let largest = first.taps() as u64 * kind.largest() * input_window;
    let half = largest * (window[0] * window[1]) as u64 <= i16::MAX as u64;
    (
        half,
        if half {
            first.units().div_ceil(2)
        } else {
            first.units()
        },
    )
}

/// Words of the read-out: an `i64` a neuron of the last layer, then the first spike: class, step and strength.
pub(crate) const fn readout_words(units: usize) -> usize {
    2 * units + 4
}

/// Where the next layer's words begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offsets {
    pub(super) parameters: u32,
    pub(super) membranes: u32,
    pub(super) spikes: u32,
}
