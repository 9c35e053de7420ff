//! What every neuron of a model reads, sums, holds and fires, step by step, on one sample.

mod input;

use bitspike_core::kernel::reference::synaptic_sum;
use bitspike_core::model::{Input, Layer, Model};
use bitspike_core::network::Network;
use serde::Serialize;

pub use input::Sample;

use crate::{Error, Result};

/// A run of a model over one sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// The steps, first to last.
    pub steps: Vec<Step>,
    /// The decided class.
    pub decision: usize,
    /// Step of the first output spike, from 0, where the read-out decided by it.
    pub first_spike: Option<u32>,
    /// Number of steps after which nothing could change the decision any more.
    pub final_after: u32,
    /// Score of each class after all steps: spikes, or the summed membrane times its gain.
    pub scores: Vec<i64>,
}

/// A time step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The layers, first to last.
    pub layers: Vec<LayerTrace>,
}

/// A layer in a time step; all lists are in flat order, `(y * width + x) * channels + c`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerTrace {
    /// What the layer read, before any pooling of it: the input of the step, or the spikes of the
    /// layer before.
    pub input: Vec<i32>,
    /// The synaptic sum of each neuron, by the reference kernel.
    pub sum: Vec<i32>,
    /// The membrane of each neuron after the clamp.
    pub membrane: Vec<i32>,
    /// The spike of each neuron, 0 or 1.
    pub spikes: Vec<u8>,
}

impl Trace {
    /// Runs all steps of the model over a sample. Membranes and spikes are those of the kernels
    /// that inference uses, sums those of the reference.
    ///
    /// # Errors
    /// [`Error::Usage`] for a sample that is not of the model's kind.
    pub fn of(model: &Model<'_>, sample: &Sample) -> Result<Self> {
        let mut memory = vec![0; model.sizes().memory_words()];
        let mut network =
            Network::new(model, &mut memory).map_err(|error| Error::failed(error.to_string()))?;
        let mut steps = Vec::new();
        let mut final_after = None;
        for step in 0..model.steps() {
            let input = sample.input(model, step)?;
            network.step(input);
            if network.is_final() {
                final_after = final_after.or(Some(network.steps()));
            }
            let layers = model.layers().iter().enumerate();
            let layers = layers.map(|(index, layer)| match index.checked_sub(1) {
                None => layer_trace(&network, index, layer, input),
                Some(before) => {
                    let spikes = network.spikes(before);
                    layer_trace(&network, index, layer, Input::Spikes(spikes.words()))
                }
            });
            let layers = layers.collect();
            steps.push(Step { layers });
        }
        let decision = network.decision();
        Ok(Self {
            steps,
            decision: decision.class,
            first_spike: decision.first_spike,
            final_after: final_after.unwrap_or(model.steps()),
            scores: (0..model.classes())
                .map(|class| network.score(class))
                .collect(),
        })
    }
}

fn layer_trace(network: &Network<'_>, index: usize, layer: &Layer, input: Input<'_>) -> LayerTrace {
    let weights = network.model().weights(layer);
    let channels = usize::from(layer.output().channels);
    let spikes = network.spikes(index);
    let sum = |neuron| synaptic_sum(layer, weights, input, neuron / channels, neuron % channels);
    let units = 0..layer.units();
    LayerTrace {
        input: (0..layer.input().units())
            .map(|value| input.value(value))
            .collect(),
        sum: units.clone().map(sum).collect(),
        membrane: units
            .clone()
            .map(|neuron| network.membrane(index, neuron))
            .collect(),
        spikes: units.map(|neuron| spikes.get(neuron).into()).collect(),
    }
}
