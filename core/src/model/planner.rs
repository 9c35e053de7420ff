//! The layout of a network: layer by layer, and what they need together.

use super::error::ModelError;
use super::format::{Head, InputKind, LayerSpec, Readout};
use super::layer::{Layer, Offsets, Shape, readout_words, static_sums};
use super::prelude::Sizes;
use super::{MAX_LAYERS, MAX_STEPS, MAX_UNITS};
use crate::bits::words_for;
use crate::lif::Reset;

/// Checks shapes and numerics layer by layer and lays out the network's words.
///
/// Layers come one at a time, so that a device never holds their specs twice.
#[derive(Debug, Clone, Copy)]
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
    pub(super) const fn new(head: Head) -> Result<Self, ModelError> {
        let [height, width, channels] = head.shape;
        let shape = Shape {
            height,
            width,
            channels,
        };
        let input_units = shape.units();
        if input_units < 1 || input_units > MAX_UNITS {
            return Err(ModelError::Input { got: input_units });
        }
        if head.steps < 1 || head.steps > MAX_STEPS {
            return Err(ModelError::Steps { got: head.steps });
        }
        if !head.logit_scale.is_finite() {
            return Err(ModelError::LogitScale {
                bits: head.logit_scale.to_bits(),
            });
        }
        let layers = head.layers as usize;
        if layers < 1 || layers > MAX_LAYERS {
            return Err(ModelError::Layers { got: layers });
        }
        Ok(Self {
            input_units,
            shape,
            kind: head.input,
            at: Offsets {
                parameters: 0,
                membranes: 0,
                spikes: 0,
            },
            count: 0,
            widest: 0,
            sum_words: 0,
            last: None,
            head,
        })
    }

    /// Checks the next layer.
    pub(super) const fn layer(&mut self, spec: &LayerSpec) -> Result<Layer, ModelError> {
        let layer = match Layer::new(self.count, spec, self.shape, self.kind, self.at) {
            Ok(layer) => layer,
            Err(error) => return Err(error),
        };
        let units = layer.units();
        if self.count == 0 {
            self.sum_words = static_sums(&layer, self.kind).1;
        }
        self.at.parameters = layer.sections()[3] as u32;
        self.at.membranes += spec.membrane.words(units) as u32;
        self.at.spikes += words_for(units) as u32;
        if units > self.widest {
            self.widest = units;
        }
        self.shape = layer.output();
        self.kind = InputKind::Spikes;
        self.last = Some((units, spec.reset));
        self.count += 1;
        Ok(layer)
    }

    /// The sizes of the network, once all layers have come; without the lengths of file and
    /// sections.
    pub(super) const fn finish(self) -> Result<Sizes, ModelError> {
        let Some((outputs, reset)) = self.last else {
            return Err(ModelError::Layers { got: 0 });
        };
        let readout = self.head.readout;
        if let Some(what) = unfit(readout, outputs, reset) {
            return Err(ModelError::Readout { what });
        }
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

/// What of a read-out does not match the last layer.
const fn unfit(readout: Readout, outputs: usize, reset: Reset) -> Option<&'static str> {
    match readout {
        Readout::Membrane if !matches!(reset, Reset::None) => {
            Some("the membrane read-out needs an output layer without reset")
        }
        Readout::Population { groups }
            if groups == 0 || !outputs.is_multiple_of(groups as usize) =>
        {
            Some("the outputs do not divide into equal groups")
        }
        _ => None,
    }
}
