//! Evaluation of the float network during training: accuracy, firing rates, dead neurons.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::batch::batch;
use crate::data::Samples;
use crate::net::{Mode, Network};
use crate::ops::sums_over_rows;

/// Samples that run through the network at a time.
const SAMPLES_AT_ONCE: usize = 250;

/// What a float network did on some samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// Samples that were looked at.
    pub samples: usize,
    /// Those whose class was found.
    pub correct: usize,
    /// Spikes a unit and step, by layer that fires.
    pub firing_rates: Vec<f64>,
    /// Units that never fired, by layer that fires.
    pub dead_neurons: Vec<usize>,
}

impl Assessment {
    /// Part of the samples whose class was found.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.samples.max(1) as f64
    }
}

/// Runs the float network, with its running statistics, over samples.
///
/// # Errors
/// If the samples do not have the network's input shape.
pub fn assess(network: &Network, samples: &Samples) -> Result<Assessment> {
    let mut correct = 0;
    let mut spikes: Vec<Vec<f64>> = Vec::new();
    let indices: Vec<usize> = (0..samples.len()).collect();
    for indices in indices.chunks(SAMPLES_AT_ONCE) {
        let forward = network.forward(&batch(samples, indices, None)?, Mode::Evaluate)?;
        let predicted = predictions(&forward.scores.to_vec2()?);
        correct += count_correct(&predicted, indices.iter().map(|&i| samples.label(i)));
        for (layer, tensor) in forward.spikes.iter().enumerate() {
            let units = tensor.elem_count() / tensor.dim(0)?;
            if spikes.len() == layer {
                spikes.push(vec![0.0; units]);
            }
            let counts = sums_over_rows(tensor)?;
            let totals = spikes[layer].iter_mut().zip(&counts);
            totals.for_each(|(total, count)| *total += f64::from(*count));
        }
    }
    let rounds = (samples.len() * network.steps()) as f64;
    let rate = |counts: &Vec<f64>| counts.iter().sum::<f64>() / (rounds * counts.len() as f64);
    let dead = |counts: &Vec<f64>| counts.iter().filter(|count| **count == 0.0).count();
    Ok(Assessment {
        samples: samples.len(),
        correct,
        firing_rates: spikes.iter().map(rate).collect(),
        dead_neurons: spikes.iter().map(dead).collect(),
    })
}

/// The class with the largest score of each sample, the lowest where several have it.
pub(crate) fn predictions(scores: &[Vec<f32>]) -> Vec<usize> {
    let best = |scores: &Vec<f32>| {
        let better = |best: usize, class: usize| {
            if scores[class] > scores[best] {
                class
            } else {
                best
            }
        };
        (0..scores.len()).fold(0, better)
    };
    scores.iter().map(best).collect()
}

/// How many predictions are the samples' labels.
pub(crate) fn count_correct(predicted: &[usize], labels: impl Iterator<Item = u8>) -> usize {
    predicted
        .iter()
        .zip(labels)
        .filter(|(class, label)| **class == usize::from(*label))
        .count()
}
