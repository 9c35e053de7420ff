//! Evaluation of the integer network, run by `core`: what the device will decide.

use std::time::Instant;

use bitspike_core::kernel::synaptic_operations;
use bitspike_core::model::{Input, InputKind, Layer, Model};
use bitspike_core::network::Network;
use bitspike_core::wide::{Activity, Tables, Wide};
use rayon::prelude::*;
use serde::Serialize;

use crate::data::{Form, Samples};
use crate::wide::{Level, Steps};
use crate::{Error, Result};

/// What an integer network did on some samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Number of samples.
    pub samples: usize,
    /// Samples whose class was decided right.
    pub correct: usize,
    /// Share of them, 0 to 1.
    pub accuracy: f64,
    /// Mean steps of a decision: it ends where it is final (see [`Network::run_until_final`]).
    pub steps_mean: f64,
    /// Spikes a unit and step, by layer, over the steps that were run.
    pub firing_rates: Vec<f64>,
    /// Mean synaptic operations of a decision: one nonzero input times one weight; those of a
    /// static first layer count once.
    pub synops_mean: f64,
    /// Samples a second of wall time, all cores; where the counting of synaptic operations is a pass
    /// of its own, it is left out.
    pub samples_per_second: f64,
}

/// Runs every sample through the network, on all cores.
///
/// Models whose layers [`bitspike_core::wide`] supports run there, with the vector instructions
/// that this processor has; others run as on a device. The integers are the same.
///
/// # Errors
/// [`Error::Usage`] where the samples do not have the model's shape.
pub fn evaluate(model: &Model<'_>, samples: &Samples) -> Result<Evaluation> {
    evaluate_at(Level::detect(), model, samples)
}

/// As [`evaluate`], with the vector instructions of a level.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_at(level: Level, model: &Model<'_>, samples: &Samples) -> Result<Evaluation> {
    check_shape(model, samples)?;
    let indices: Vec<usize> = (0..samples.len()).collect();
    // Large enough that the memory of a network does not count, small enough for an even load.
    let chunk = samples
        .len()
        .div_ceil(8 * rayon::current_num_threads())
        .clamp(1, 64);
    let count = |count: &(dyn Fn(&[usize]) -> Result<Counted> + Sync)| {
        indices
            .par_chunks(chunk)
            .map(count)
            .try_reduce(Counted::default, |a, b| Ok(a.plus(&b)))
    };
    let start = Instant::now();
    let seconds = || start.elapsed().as_secs_f64();
    let mut memory = vec![0; Tables::words(model).unwrap_or(0)];
    let (counted, seconds) = if let Some(tables) = Tables::new(model, &mut memory) {
        let counted = count(&|chunk| decide_wide(level, &tables, model, samples, chunk))?;
        (counted, seconds())
    } else {
        let decided = count(&|chunk| decide(model, samples, chunk))?;
        let seconds = seconds();
        let mut counted = count(&|chunk| activity(model, samples, chunk))?;
        counted.correct = decided.correct;
        (counted, seconds)
    };
    let Counted { correct, activity } = counted;
    let rate = |(layer, spikes): (&Layer, &u64)| {
        *spikes as f64 / layer.units() as f64 / activity.steps as f64
    };
    let layers = model.layers().iter().zip(&activity.spikes);
    Ok(Evaluation {
        samples: samples.len(),
        correct,
        accuracy: correct as f64 / samples.len() as f64,
        steps_mean: activity.steps as f64 / samples.len() as f64,
        firing_rates: layers.map(rate).collect(),
        synops_mean: activity.operations as f64 / samples.len() as f64,
        samples_per_second: samples.len() as f64 / seconds.max(1e-9),
    })
}

/// Refuses samples that the model cannot read, naming both shapes.
///
/// # Errors
/// [`Error::Usage`].
pub fn check_shape(model: &Model<'_>, samples: &Samples) -> Result<()> {
    let shape = model.input_shape();
    let wanted = [shape.height, shape.width, shape.channels].map(usize::from);
    let (reads, holds) = match (model.input_kind(), samples.input().form) {
        (InputKind::Spikes, Form::Still | Form::Counts) => ("spikes", "numbers"),
        (InputKind::U8, Form::Spikes) => ("numbers", "spikes"),
        (InputKind::I8 | InputKind::Bipolar, _) => ("signed values", "none"),
        _ => ("", ""),
    };
    if reads != holds {
        return Err(Error::usage(format!(
            "the model reads {reads}, the data holds {holds}; give it data of the kind it was \
             trained on"
        )));
    }
    if samples.shape() != wanted {
        return Err(Error::usage(format!(
            "the model reads {wanted:?} (height, width, channels), the data has {:?}; give data \
             of the kind it was trained on",
            samples.shape()
        )));
    }
    if samples.classes() > model.classes() {
        return Err(Error::usage(format!(
            "the data has {} classes, the model decides between {}",
            samples.classes(),
            model.classes()
        )));
    }
    Ok(())
}

/// Gives the inputs of a sample's steps to `read`.
fn with_inputs<R>(
    model: &Model<'_>,
    samples: &Samples,
    index: usize,
    read: impl FnOnce(&[Input<'_>]) -> R,
) -> Result<R> {
    let sample = samples.sample(index);
    let inputs = sample.inputs(model);
    let inputs = inputs.map_err(|error| unreadable(index, &error))?;
    Ok(read(&inputs))
}

fn unreadable(index: usize, error: &dyn std::fmt::Display) -> Error {
    Error::usage(format!("sample {index}: {error}"))
}

fn network_error(error: &dyn std::fmt::Display) -> Error {
    Error::failed(error.to_string())
}

/// What some samples gave.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    /// Samples that are decided right.
    correct: usize,
    activity: Activity,
}

impl Counted {
    fn plus(mut self, other: &Self) -> Self {
        self.correct += other.correct;
        self.activity.add(&other.activity);
        self
    }
}

/// Decides samples with the network for wide registers, which counts as it runs.
fn decide_wide(
    level: Level,
    tables: &Tables<'_>,
    model: &Model<'_>,
    samples: &Samples,
    indices: &[usize],
) -> Result<Counted> {
    let mut memory = vec![0; tables.state_words()];
    let mut network = Wide::new(tables, &mut memory).map_err(|error| network_error(&error))?;
    let mut counted = Counted::default();
    let still = samples.input().form.is_still();
    for &index in indices {
        let decision = if still {
            // Read in place.
            let input = model.input(samples.pixels(index));
            let input = input.map_err(|error| unreadable(index, &error))?;
            level.decide(&mut network, Steps::Still(input)).0
        } else {
            with_inputs(model, samples, index, |inputs| {
                level.decide(&mut network, Steps::Each(inputs)).0
            })?
        };
        counted.correct += usize::from(decision.class == usize::from(samples.label(index)));
    }
    counted.activity = network.activity;
    Ok(counted)
}

/// How many of the samples are decided right.
fn decide(model: &Model<'_>, samples: &Samples, indices: &[usize]) -> Result<Counted> {
    let mut memory = vec![0; model.sizes().memory_words()];
    let mut network = Network::new(model, &mut memory).map_err(|error| network_error(&error))?;
    let mut counted = Counted::default();
    let still = samples.input().form.is_still();
    for &index in indices {
        let decision = with_inputs(model, samples, index, |inputs| match inputs {
            // The sums of a still picture are computed once.
            [input, ..] if still => network.run_until_final(*input).0,
            inputs => {
                network.reset();
                for input in inputs {
                    network.step(*input);
                    if network.is_final() {
                        break;
                    }
                }
                network.decision()
            }
        })?;
        counted.correct += usize::from(decision.class == usize::from(samples.label(index)));
    }
    Ok(counted)
}

/// Steps, spikes by layer and synaptic operations.
fn activity(model: &Model<'_>, samples: &Samples, indices: &[usize]) -> Result<Counted> {
    let mut memory = vec![0; model.sizes().memory_words()];
    let mut network = Network::new(model, &mut memory).map_err(|error| network_error(&error))?;
    let mut activity = Activity::default();
    let still = samples.input().form.is_still();
    for &index in indices {
        network.reset();
        with_inputs(model, samples, index, |inputs| {
            for (step, input) in inputs.iter().enumerate() {
                // A still picture's sums are computed once.
                if let Some(first) = model.layers().first()
                    && (step == 0 || !still)
                {
                    activity.operations += synaptic_operations(first, *input);
                }
                network.step(*input);
                activity.steps += 1;
                for (layer, spikes) in activity.spikes.iter_mut().enumerate() {
                    // Behind the last layer there are none.
                    let fired = network.spikes(layer);
                    *spikes += u64::from(fired.count());
                    if let Some(next) = model.layers().get(layer + 1) {
                        let fired = Input::Spikes(fired.words());
                        activity.operations += synaptic_operations(next, fired);
                    }
                }
                if network.is_final() {
                    break;
                }
            }
        })?;
    }
    Ok(Counted {
        correct: 0,
        activity,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitspike_core::lif::{Membrane, Reset};
    use bitspike_core::model::{
        InputKind, LayerParameters, LayerSpec, Metadata, NetworkSpec, Operation, Readout, Spread,
        WeightOrder, write,
    };

    /// Two outputs by count, one an input pixel each: the pixel that is lit fires in every step.
    fn counting(steps: u32) -> Vec<u32> {
        let layer = LayerSpec {
            input_pool: None,
            operation: Operation::Linear { outputs: 2 },
            pool: None,
            order: WeightOrder::OutputMajor,
            membrane: Membrane::I16,
            fraction: 0,
            beta: 0,
            reset: Reset::None,
            thresholds: Spread::Layer,
            biases: None,
        };
        let spec = NetworkSpec {
            input: InputKind::U8,
            shape: [1, 2, 1],
            steps,
            readout: Readout::Count,
            logit_scale: 1.0,
            layers: heapless::Vec::from_slice(&[layer]).unwrap(),
        };
        let layer = LayerParameters {
            weights: &[1, -1, -1, 1],
            thresholds: &[1],
            biases: &[],
        };
        let metadata = Metadata {
            version: Metadata::VERSION,
            ..Metadata::default()
        };
        let mut file = vec![0; 64];
        let words = write(&spec, &[layer], &[], &metadata, &mut file).unwrap();
        file.truncate(words);
        file
    }

    #[test]
    fn decisions_end_where_they_are_final() {
        let file = counting(8);
        let model = Model::new(&file).unwrap();
        // Class 0 leads for good after 4 of 8 steps, class 1 after 5; without spikes it takes all 8.
        let samples = Samples::new([1, 2, 1], 2, vec![9, 0, 0, 9, 0, 0], vec![0, 1, 1]).unwrap();
        let result = evaluate(&model, &samples).unwrap();
        assert_eq!(result.correct, 2);
        assert_eq!(result.steps_mean, (4 + 5 + 8) as f64 / 3.0);
        // 9 spikes of 2 units in 17 steps.
        assert_eq!(result.firing_rates, [9.0 / 2.0 / 17.0]);
    }
}
