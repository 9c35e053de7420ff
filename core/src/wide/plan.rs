//! Where a layer's unpacked weights and its state lie.

use super::LINE;
use super::sums::VALUES;
use crate::lif::{Lif, Membrane};
use crate::model::{InputKind, Layer, Model, Parameters, static_sums};

/// Neurons that advance together, as many as a word of spikes has bits.
pub(super) const RUN: usize = 64;

/// Values of each kind that a model needs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Room {
    /// Words of the tables.
    pub(super) tables: usize,
    /// Neurons, those that fill up rows and runs included.
    pub(super) neurons: usize,
    /// Those of a first layer that reads a graded input, whose sums are kept.
    loaded: usize,
    /// Those of the widest of the other layers.
    widest: usize,
    /// The longest list of spikes, and of where pixels begin in it.
    listed: usize,
    starts: usize,
}

impl Room {
    /// Words of the state, each part from a line on.
    pub(super) fn words(&self) -> usize {
        self.parts().iter().sum()
    }

    /// Words of membranes, fired neurons, their packed spikes, sums that are kept, sums of a step,
    /// spikes that are listed and where pixels begin among them.
    pub(super) fn parts(&self) -> [usize; 7] {
        [
            self.neurons.div_ceil(2),
            self.neurons.div_ceil(4),
            self.neurons.div_ceil(32),
            self.loaded,
            self.widest,
            self.listed.div_ceil(2),
            self.starts.div_ceil(2),
        ]
        .map(|words| words.next_multiple_of(LINE))
    }
}

/// A layer as a convolution without pooling: pairs are rows, then columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) map: [usize; 2],
    pub(super) channels: usize,
    /// The kernel with the pooling's window folded in.
    pub(super) kernel: [usize; 2],
    pub(super) pitch: [usize; 2],
    pub(super) padding: [usize; 2],
    pub(super) output: [usize; 2],
    pub(super) outputs: usize,
    /// Outputs of a row: 16, 32 or 64.
    pub(super) lanes: usize,
    pub(super) blocks: usize,
    /// Rows that may be added in a byte.
    pub(super) flush: usize,
    /// Whether the sums of a graded input are proven to fit 16 bits.
    pub(super) half: bool,
    pub(super) lif: Lif,
    /// First word among the tables.
    pub(super) weights_at: usize,
    pub(super) thresholds_at: usize,
    pub(super) biases_at: usize,
    /// For each pixel, the windows that read it.
    pub(super) fan_at: usize,
    /// First of the neurons, and their number, in whole runs.
    pub(super) neurons_at: usize,
    pub(super) neurons: usize,
}

/// Plans of all layers; `None` where one is not supported.
pub(super) fn lay_out<const LAYERS: usize>(
    model: &Model<'_, LAYERS>,
) -> Option<(heapless::Vec<Plan, LAYERS>, Room)> {
    let mut plans = heapless::Vec::new();
    let mut room = Room::default();
    let mut kind = model.input_kind();
    for layer in model.layers() {
        plans.push(Plan::new(layer, kind, &mut room)?).ok()?;
        kind = InputKind::Spikes;
    }
    Some((plans, room))
}

impl Plan {
    fn new(layer: &Layer, kind: InputKind, room: &mut Room) -> Option<Self> {
        let spec = layer.spec();
        let (window, [down, right]) = layer.pool();
        let places = window[0] * window[1];
        let supported = spec.input_pool.is_none()
            && kind != InputKind::Bipolar
            && spec.membrane == Membrane::I16
            && layer.is_narrow()
            && places <= 127;
        if !supported {
            return None;
        }
        let (map, output, stride) = (layer.map(), layer.output(), layer.stride());
        let kernel = layer.kernel();
        let outputs = usize::from(output.channels);
        let lanes = match outputs {
            ..=16 => 16,
            17..=32 => 32,
            _ => 64,
        };
        let mut plan = Self {
            map: [map.height.into(), map.width.into()],
            channels: map.channels.into(),
            kernel: [0, 1].map(|i| (window[i] - 1) * stride[i] + kernel[i]),
            pitch: [down * stride[0], right * stride[1]],
            padding: layer.padding(),
            output: [output.height.into(), output.width.into()],
            outputs,
            lanes,
            blocks: outputs.div_ceil(lanes),
            flush: 127 / places,
            half: static_sums(layer, kind).0,
            lif: layer.lif(),
            weights_at: 0,
            thresholds_at: 0,
            biases_at: 0,
            fan_at: 0,
            neurons_at: room.neurons,
            neurons: 0,
        };
        let mut take = |words: usize| {
            let at = room.tables;
            room.tables = at.checked_add(words.checked_next_multiple_of(LINE)?)?;
            Some(at)
        };
        plan.neurons = (plan.positions() * plan.row()).checked_next_multiple_of(RUN)?;
        let weights = plan.taps().checked_mul(plan.row())?;
        plan.weights_at = take(weights.checked_add(VALUES * plan.lanes)?.div_ceil(4))?;
        plan.thresholds_at = take(plan.neurons / 2)?;
        plan.biases_at = take(plan.neurons / 2)?;
        plan.fan_at = take(plan.map[0] * plan.map[1])?;
        room.neurons += plan.neurons;
        if kind.is_graded() {
            room.loaded = plan.neurons;
        } else {
            room.widest = room.widest.max(plan.neurons);
        }
        room.listed = room.listed.max(plan.map[0] * plan.map[1] * plan.channels);
        room.starts = room.starts.max(plan.map[0] * (plan.map[1] + 1));
        Some(plan)
    }

    #[inline(always)]
    pub(super) fn positions(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Outputs of a position, filled up to whole rows of weights.
    #[inline(always)]
    pub(super) fn row(&self) -> usize {
        self.blocks * self.lanes
    }

    /// Taps of the kernel with the pooling folded in.
    #[inline(always)]
    pub(super) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.channels
    }

    /// Flat index of a neuron among rows that are filled up.
    #[inline(always)]
    pub(super) fn padded(&self, neuron: usize) -> usize {
        neuron / self.outputs * self.row() + neuron % self.outputs
    }

    /// Writes weights, parameters and fan-outs of the layer.
    pub(super) fn unpack<const LAYERS: usize>(
        &self,
        model: &Model<'_, LAYERS>,
        layer: &Layer,
        tables: &mut [u32],
    ) {
        self.unpack_weights(model, layer, tables);
        // What fills up a row never fires.
        self.unpack_parameters(
            tables,
            self.thresholds_at,
            model.thresholds(layer),
            i16::MAX,
        );
        self.unpack_parameters(tables, self.biases_at, model.biases(layer), 0);
        let pixels = 0..self.map[0] * self.map[1];
        for (pixel, fan) in pixels.zip(tables.iter_mut().skip(self.fan_at)) {
            *fan = self.fan(layer, pixel);
        }
    }

    /// One parameter a neuron.
    fn unpack_parameters(&self, tables: &mut [u32], at: usize, from: Parameters<'_>, filler: i16) {
        let words = tables.get_mut(at..).unwrap_or(&mut []);
        let halves = bytemuck::cast_slice_mut::<u32, i16>(words);
        for (index, half) in halves.iter_mut().take(self.neurons).enumerate() {
            let (position, channel) = (index / self.row(), index % self.row());
            let neuron = position * self.outputs + channel;
            *half = if channel < self.outputs && position < self.positions() {
                from.get(neuron, channel) as i16
            } else {
                filler
            };
        }
    }

    fn unpack_weights<const LAYERS: usize>(
        &self,
        model: &Model<'_, LAYERS>,
        layer: &Layer,
        tables: &mut [u32],
    ) {
        let (window, _) = layer.pool();
        let (kernel, stride) = (layer.kernel(), layer.stride());
        let words = tables.get_mut(self.weights_at..).unwrap_or(&mut []);
        let bytes = bytemuck::cast_slice_mut::<u32, i8>(words);
        let bytes = bytes.get_mut(..self.taps() * self.row());
        let bytes = bytes.unwrap_or(&mut []);
        bytes.fill(0);
        let places = (0..window[0]).flat_map(|dy| (0..window[1]).map(move |dx| [dy, dx]));
        for [dy, dx] in places {
            for tap in 0..layer.taps() {
                let (pixel, channel) = (tap / self.channels, tap % self.channels);
                let ky = pixel / kernel[1] + dy * stride[0];
                let kx = pixel % kernel[1] + dx * stride[1];
                let folded = (ky * self.kernel[1] + kx) * self.channels + channel;
                for output in 0..self.outputs {
                    let (block, lane) = (output / self.lanes, output % self.lanes);
                    let at = (block * self.taps() + folded) * self.lanes + lane;
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte += if model.weight(layer, output, tap) {
                            1
                        } else {
                            -1
                        };
                    }
                }
            }
        }
    }

    /// Weights that meet a value of a pixel.
    fn fan(&self, layer: &Layer, pixel: usize) -> u32 {
        let ([kernel_rows, kernel_columns], (window, _)) = (layer.kernel(), layer.pool());
        let stride = layer.stride();
        let side = |at: usize, i: usize, kernel: usize| -> usize {
            let reads = |corner: usize| {
                let places = (0..window[i]).map(move |place| corner + place * stride[i]);
                places
                    .filter(|first| (*first..first + kernel).contains(&(at + self.padding[i])))
                    .count()
            };
            (0..self.output[i])
                .map(|position| reads(position * self.pitch[i]))
                .sum()
        };
        let rows = side(pixel / self.map[1].max(1), 0, kernel_rows);
        let columns = side(pixel % self.map[1].max(1), 1, kernel_columns);
        (rows * columns * self.outputs) as u32
    }
}
