//! A layer with the geometry that follows from its spec and what it reads.

use super::error::ModelError;
use super::format::{
    Head, InputKind, LayerSpec, Operation, Pool, PoolKind, Readout, Spread, WeightOrder,
};
use super::prelude::Sizes;
use super::{MAX_LAYERS, MAX_STEPS, MAX_UNITS};
use crate::bits::words_for;
use crate::lif::{Beta, Lif, Reset};

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
    /// The spec as in the file.
    pub fn spec(&self) -> &LayerSpec {
        &self.spec
    }

    /// Shape of what the layer reads, before any pooling of its input.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// Shape of what the weights see: the input, pooled where the spec says so; for a linear
    /// layer without pooling, one position with all values as channels.
    pub fn map(&self) -> Shape {
        match self.spec.input_pool {
            // The loader has checked that the window fits.
            Some(input_pool) => pooled(self.input, input_pool.pool).unwrap_or(self.input),
            None if self.is_linear() => Shape {
                height: 1,
                width: 1,
                channels: self.input.units() as u16,
            },
            None => self.input,
        }
    }

    /// Whether every output reads the whole input.
    pub fn is_linear(&self) -> bool {
        matches!(self.spec.operation, Operation::Linear { .. })
    }

    /// Shape of the layer's neurons.
    pub fn output(&self) -> Shape {
        self.output
    }

    /// Number of neurons.
    pub fn units(&self) -> usize {
        self.output.units()
    }

    /// Height and width of the kernel over [`map`](Self::map).
    pub fn kernel(&self) -> [usize; 2] {
        match self.spec.operation {
            Operation::Linear { .. } => [self.map().height.into(), self.map().width.into()],
            Operation::Conv2d { kernel, .. } => kernel.map(usize::from),
        }
    }

    /// Rows and columns between positions of the kernel.
    pub fn stride(&self) -> [usize; 2] {
        match self.spec.operation {
            Operation::Linear { .. } => [1, 1],
            Operation::Conv2d { stride, .. } => stride.map(usize::from),
        }
    }

    /// Rows and columns of padding.
    pub fn padding(&self) -> [usize; 2] {
        match self.spec.operation {
            Operation::Linear { .. } => [0, 0],
            Operation::Conv2d { padding, .. } => padding.map(usize::from),
        }
    }

    /// Inputs of one weighted sum: kernel height x kernel width x channels.
    pub fn taps(&self) -> usize {
        let [height, width] = self.kernel();
        height * width * usize::from(self.map().channels)
    }

    /// Window and stride of the pooling between the sum and the neurons; `[1, 1]` for none.
    pub fn pool(&self) -> ([usize; 2], [usize; 2]) {
        match self.spec.pool {
            Some(Pool { window, stride }) => (window.map(usize::from), stride.map(usize::from)),
            None => ([1, 1], [1, 1]),
        }
    }

    /// The neurons' numerics.
    pub fn lif(&self) -> Lif {
        Lif {
            beta: Beta::from_bits(self.spec.beta),
            fraction: self.spec.fraction,
            membrane: self.spec.membrane,
            reset: self.spec.reset,
        }
    }

    /// Whether 32-bit arithmetic is proven exact for the neurons.
    pub(crate) fn is_narrow(&self) -> bool {
        self.narrow
    }

    /// Words of a row of weights, at least 1.
    #[inline]
    pub fn row_words(&self) -> usize {
        // A row has a bit; the compiler does not know, and rows are cut by this length.
        words_for(self.row_bits()).max(1)
    }

    /// Weight bits of a row, and the number of rows.
    pub(super) fn row_bits(&self) -> usize {
        match self.spec.order {
            WeightOrder::OutputMajor => self.taps(),
            WeightOrder::InputMajor => self.output.channels.into(),
        }
    }

    pub(super) fn rows(&self) -> usize {
        match self.spec.order {
            WeightOrder::OutputMajor => self.output.channels.into(),
            WeightOrder::InputMajor => self.taps(),
        }
    }

    /// Number of parameters of a spread.
    pub(super) fn parameters(&self, spread: Spread) -> usize {
        match spread {
            Spread::Layer => 1,
            Spread::Channel => self.output.channels.into(),
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

    fn new(
        index: usize,
        spec: &LayerSpec,
        input: Shape,
        kind: InputKind,
        at: Offsets,
    ) -> Result<Self, ModelError> {
        let shape = |what| ModelError::Shape { layer: index, what };
        let undefined = |what| Err(ModelError::Undefined { layer: index, what });
        if spec.beta > Beta::ONE.to_bits() {
            return Err(ModelError::Numerics {
                layer: index,
                what: "beta",
            });
        }
        if !(-16..=16).contains(&spec.fraction) {
            return Err(ModelError::Numerics {
                layer: index,
                what: "fraction",
            });
        }
        let bipolar = kind == InputKind::Bipolar;
        let mut map = input;
        let mut largest = kind.largest();
        if let Some(input_pool) = spec.input_pool {
            if bipolar {
                return undefined("pooling of bipolar input");
            }
            match input_pool.kind {
                PoolKind::Sum => largest *= window_size(input_pool.pool),
                PoolKind::Max if kind.is_graded() => {
                    return undefined("max pooling of graded input");
                }
                PoolKind::Max => {}
            }
            map = pooled(input, input_pool.pool).ok_or(shape("input pooling window"))?;
        }
        let (kernel, stride, padding, channels) = match spec.operation {
            Operation::Linear { outputs } => {
                if spec.pool.is_some() {
                    return undefined("pooling of a linear layer's sums");
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
        if bipolar && (padding != [0, 0] || spec.pool.is_some()) {
            return undefined("padding or pooling of bipolar input");
        }
        let taps = [kernel[0], kernel[1], map.channels]
            .map(u64::from)
            .iter()
            .product::<u64>();
        let height = positions(map.height, padding[0], kernel[0], stride[0]);
        let width = positions(map.width, padding[1], kernel[1], stride[1]);
        let mut output = Shape {
            height: height.ok_or(shape("kernel"))?,
            width: width.ok_or(shape("kernel"))?,
            channels,
        };
        let mut largest = taps.saturating_mul(largest);
        if let Some(pool) = spec.pool {
            output = pooled(output, pool).ok_or(shape("pooling window"))?;
            largest = largest.saturating_mul(window_size(pool));
        }
        if !(1..=MAX_UNITS).contains(&output.units()) {
            return Err(ModelError::Units {
                layer: index,
                got: output.units(),
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
        let words = (layer.rows() as u64 * layer.row_words() as u64)
            .saturating_add(4 * layer.units() as u64);
        if u64::from(at.parameters) + words > u64::from(u32::MAX) {
            return Err(ModelError::Units {
                layer: index,
                got: layer.units(),
            });
        }
        Ok(layer)
    }

    /// First words of weights, thresholds and biases among the parameters, and the end.
    pub(super) fn sections(&self) -> [usize; 4] {
        let words = |spread| self.spec.membrane.words(self.parameters(spread));
        let weights = self.weights_at as usize;
        let thresholds = weights + self.rows() * self.row_words();
        let biases = thresholds + words(self.spec.thresholds);
        [
            weights,
            thresholds,
            biases,
            biases + self.spec.biases.map_or(0, words),
        ]
    }
}

/// Number of positions of a kernel along one side; `None` where it does not fit or has no size.
fn positions(size: u16, padding: u16, kernel: u16, stride: u16) -> Option<u16> {
    if kernel == 0 || stride == 0 {
        return None;
    }
    let room = (u32::from(size) + 2 * u32::from(padding)).checked_sub(kernel.into())?;
    u16::try_from(room / u32::from(stride) + 1).ok()
}

fn pooled(shape: Shape, pool: Pool) -> Option<Shape> {
    Some(Shape {
        height: positions(shape.height, 0, pool.window[0], pool.stride[0])?,
        width: positions(shape.width, 0, pool.window[1], pool.stride[1])?,
        channels: shape.channels,
    })
}

fn window_size(pool: Pool) -> u64 {
    u64::from(pool.window[0]) * u64::from(pool.window[1])
}

/// Words that hold the first layer's sums of a graded input: 16 bits each where they fit.
pub(crate) fn static_sums(first: &Layer, kind: InputKind) -> (bool, usize) {
    if !kind.is_graded() {
        return (true, 0);
    }
    let (window, _) = first.pool();
    let input_window = first
        .spec
        .input_pool
        .map_or(1, |pool| window_size(pool.pool));
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
pub(crate) fn readout_words(units: usize) -> usize {
    2 * units + 4
}

/// Where the next layer's words begin.
#[derive(Debug, Clone, Copy, Default)]
struct Offsets {
    parameters: u32,
    membranes: u32,
    spikes: u32,
}

/// Checks shapes and numerics layer by layer and lays out the network's words.
///
/// Layers come one at a time, so that a device never holds their specs twice.
#[derive(Debug)]
pub(super) struct Planner {
    head: Head,
    input_units: usize,
    /// What the next layer reads.
    shape: Shape,
    kind: InputKind,
    at: Offsets,
    count: usize,
    widest: usize,
    sum_words: usize,
    last: Option<(usize, Reset)>,
}

impl Planner {
    /// Starts with what is said of the network as a whole.
    pub(super) fn new(head: Head) -> Result<Self, ModelError> {
        let [height, width, channels] = head.shape;
        let units = head.shape.map(u64::from).iter().product::<u64>();
        let input_units = usize::try_from(units).unwrap_or(usize::MAX);
        if !(1..=MAX_UNITS).contains(&input_units) {
            return Err(ModelError::Input { got: input_units });
        }
        if !(1..=MAX_STEPS).contains(&head.steps) {
            return Err(ModelError::Steps { got: head.steps });
        }
        if !head.logit_scale.is_finite() {
            return Err(ModelError::LogitScale {
                bits: head.logit_scale.to_bits(),
            });
        }
        let layers = head.layers as usize;
        if !(1..=MAX_LAYERS).contains(&layers) {
            return Err(ModelError::Layers { got: layers });
        }
        Ok(Self {
            input_units,
            shape: Shape {
                height,
                width,
                channels,
            },
            kind: head.input,
            at: Offsets::default(),
            count: 0,
            widest: 0,
            sum_words: 0,
            last: None,
            head,
        })
    }

    /// Checks the next layer.
    pub(super) fn layer(&mut self, spec: &LayerSpec) -> Result<Layer, ModelError> {
        let layer = Layer::new(self.count, spec, self.shape, self.kind, self.at)?;
        let units = layer.units();
        if self.count == 0 {
            self.sum_words = static_sums(&layer, self.kind).1;
        }
        self.at.parameters = layer.sections()[3] as u32;
        self.at.membranes += spec.membrane.words(units) as u32;
        self.at.spikes += words_for(units) as u32;
        self.widest = self.widest.max(units);
        self.shape = layer.output;
        self.kind = InputKind::Spikes;
        self.last = Some((units, spec.reset));
        self.count += 1;
        Ok(layer)
    }

    /// The sizes of the network, once all layers have come; without the lengths of file and
    /// sections.
    pub(super) fn finish(self) -> Result<Sizes, ModelError> {
        let Some((outputs, reset)) = self.last else {
            return Err(ModelError::Layers { got: 0 });
        };
        let readout = self.head.readout;
        check_readout(readout, outputs, reset)?;
        let gains = if readout.has_gains() {
            outputs.div_ceil(2)
        } else {
            0
        };
        let graded = self.head.input.is_graded();
        Ok(Sizes {
            file_bytes: 0,
            network_bytes: 0,
            metadata_bytes: 0,
            parameter_words: self.at.parameters as usize + gains,
            membrane_words: self.at.membranes as usize,
            spike_words: self.at.spikes as usize,
            scratch_words: self.sum_words + readout_words(outputs),
            input_bytes: if graded {
                self.input_units
            } else {
                4 * words_for(self.input_units)
            },
            widest: self.widest,
            layers: self.count,
        })
    }
}

fn check_readout(readout: Readout, outputs: usize, reset: Reset) -> Result<(), ModelError> {
    let what = match readout {
        Readout::Membrane if reset != Reset::None => {
            "the membrane read-out needs an output layer without reset"
        }
        Readout::Population { groups } if groups == 0 || !outputs.is_multiple_of(groups.into()) => {
            "the outputs do not divide into equal groups"
        }
        _ => return Ok(()),
    };
    Err(ModelError::Readout { what })
}
