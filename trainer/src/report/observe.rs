//! What a network decides on samples, and which of its neurons fire.

use bitspike_core::model::{Layer, Model, Operation};
use bitspike_core::network::Network;
use rayon::prelude::*;

use crate::assess::predictions;
use crate::batch::batch;
use crate::data::Samples;
use crate::evaluate::check_shape;
use crate::net::{self, Mode};
use crate::ops::with_values;
use crate::{Error, Result};

/// Samples that run through a network at a time.
const SAMPLES_AT_ONCE: usize = 250;

/// Who decides.
pub(super) enum Judge<'a> {
    /// The integer network, as the device will.
    Integer(&'a Model<'a>),
    /// The float network of a run without an integer one.
    Float(&'a net::Network),
}

/// A decision.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decided {
    /// The class.
    pub(super) class: usize,
    /// By how much its score is above that of the right class; 0 where it is that.
    pub(super) margin: f64,
}

/// The spikes of a layer on one sample.
#[derive(Debug, Clone)]
pub(super) struct Raster {
    pub(super) name: String,
    pub(super) units: usize,
    /// For every time step, whether each unit fired.
    pub(super) spikes: Vec<Vec<bool>>,
}

/// Decisions on all samples, and the spikes on the first ones.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) decided: Vec<Decided>,
    pub(super) rasters: Vec<Vec<Raster>>,
}

/// A name for people, as in the configuration.
pub(super) fn layer_name(layer: &Layer, index: usize) -> String {
    let kind = match layer.spec().operation {
        Operation::Linear { .. } => "linear",
        _ => "conv",
    };
    format!("layer {} ({kind})", index + 1)
}

impl Raster {
    /// Spikes a unit and step.
    pub(super) fn rate(&self) -> f64 {
        let fired = self.spikes.iter().flatten().filter(|fired| **fired).count();
        fired as f64 / (self.units * self.spikes.len()).max(1) as f64
    }
}

impl Judge<'_> {
    /// Runs all samples, and draws the spikes of the first ones.
    pub(super) fn observe(&self, samples: &Samples, rasters: usize) -> Result<Observed> {
        let rasters = rasters.min(samples.len());
        match self {
            Self::Integer(model) => {
                check_shape(model, samples)?;
                let indices: Vec<usize> = (0..samples.len()).collect();
                let decided: Result<Vec<Vec<Decided>>> = indices
                    .par_chunks(SAMPLES_AT_ONCE)
                    .map(|chunk| decide(model, samples, chunk))
                    .collect();
                let rasters = (0..rasters).map(|index| integer_rasters(model, samples, index));
                Ok(Observed {
                    decided: decided?.concat(),
                    rasters: rasters.collect::<Result<_>>()?,
                })
            }
            Self::Float(network) => observe_float(network, samples, rasters),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::failed(error.to_string())
}

fn decide(model: &Model<'_>, samples: &Samples, indices: &[usize]) -> Result<Vec<Decided>> {
    let mut memory = vec![0; model.sizes().memory_words()];
    let mut network = Network::new(model, &mut memory).map_err(failed)?;
    let decide = |&index: &usize| {
        let sample = samples.sample(index);
        network.reset();
        for input in sample.inputs(model)? {
            network.step(input);
        }
        let class = network.decision().class;
        let label = usize::from(samples.label(index));
        let margin = network.score(class) as f64 - network.score(label) as f64;
        Ok(Decided { class, margin })
    };
    indices.iter().map(decide).collect()
}

fn integer_rasters(model: &Model<'_>, samples: &Samples, index: usize) -> Result<Vec<Raster>> {
    let mut memory = vec![0; model.sizes().memory_words()];
    let mut network = Network::new(model, &mut memory).map_err(failed)?;
    let layers = model.layers().iter().enumerate();
    let mut rasters: Vec<Raster> = layers
        .map(|(index, layer)| Raster {
            name: layer_name(layer, index),
            units: layer.units(),
            spikes: Vec::new(),
        })
        .collect();
    let sample = samples.sample(index);
    for input in sample.inputs(model)? {
        network.step(input);
        for (layer, raster) in rasters.iter_mut().enumerate() {
            let spikes = network.spikes(layer);
            let fired = (0..raster.units).map(|unit| spikes.get(unit));
            raster.spikes.push(fired.collect());
        }
    }
    Ok(rasters)
}

fn observe_float(network: &net::Network, samples: &Samples, rasters: usize) -> Result<Observed> {
    let indices: Vec<usize> = (0..samples.len()).collect();
    let mut decided = Vec::new();
    for indices in indices.chunks(SAMPLES_AT_ONCE) {
        let forward = network.forward(&batch(samples, indices, None)?, Mode::Evaluate)?;
        let scores = forward.scores.to_vec2::<f32>()?;
        let classes = predictions(&scores);
        for ((index, scores), class) in indices.iter().zip(&scores).zip(classes) {
            let margin = scores[class] - scores[usize::from(samples.label(*index))];
            let margin = f64::from(margin);
            decided.push(Decided { class, margin });
        }
    }
    let names = network.layer_names();
    let of_sample = |index: usize| -> Result<Vec<Raster>> {
        let forward = network.forward(&batch(samples, &[index], None)?, Mode::Evaluate)?;
        let raster = |(layer, spikes): (usize, &candle_core::Tensor)| {
            let units = spikes.elem_count() / spikes.dim(0)?;
            let fired = |row: &[f32]| row.iter().map(|spike| *spike > 0.0).collect();
            let spikes = with_values(spikes, |values| {
                Ok(values.chunks(units.max(1)).map(fired).collect())
            })?;
            Ok(Raster {
                name: names.get(layer).cloned().unwrap_or_default(),
                units,
                spikes,
            })
        };
        forward.spikes.iter().enumerate().map(raster).collect()
    };
    Ok(Observed {
        decided,
        rasters: (0..rasters).map(of_sample).collect::<Result<_>>()?,
    })
}

impl Observed {
    /// Samples whose class was found.
    pub(super) fn correct(&self, samples: &Samples) -> usize {
        let pairs = self.decided.iter().enumerate();
        pairs
            .filter(|(index, decided)| decided.class == usize::from(samples.label(*index)))
            .count()
    }

    /// How many samples of each class (row) were taken for each class (column).
    pub(super) fn matrix(&self, samples: &Samples, classes: usize) -> Vec<Vec<usize>> {
        let mut counts = vec![vec![0; classes]; classes];
        for (index, decided) in self.decided.iter().enumerate() {
            counts[usize::from(samples.label(index))][decided.class] += 1;
        }
        counts
    }

    /// The wrong decisions that were furthest from right, at most `count` of them.
    pub(super) fn worst(&self, samples: &Samples, count: usize) -> Vec<usize> {
        let wrong =
            |index: &usize| self.decided[*index].class != usize::from(samples.label(*index));
        let mut worst: Vec<usize> = (0..self.decided.len()).filter(wrong).collect();
        worst.sort_by(|a, b| {
            let (a, b) = (self.decided[*a].margin, self.decided[*b].margin);
            b.total_cmp(&a)
        });
        worst.truncate(count);
        worst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_decisions_are_counted_by_class_and_the_worst_come_first() -> Result<()> {
        let labels = vec![0, 1, 2, 2];
        let samples = Samples::new([1, 1, 1], 3, vec![0; 4], labels)?;
        let decided = |class, margin| Decided { class, margin };
        let observed = Observed {
            decided: vec![
                decided(0, 0.0),
                decided(2, 3.0),
                decided(1, 7.0),
                decided(0, 5.0),
            ],
            rasters: Vec::new(),
        };
        assert_eq!(observed.correct(&samples), 1);
        assert_eq!(
            observed.matrix(&samples, 3),
            [[1, 0, 0], [0, 0, 1], [1, 1, 0]]
        );
        assert_eq!(observed.worst(&samples, 2), [2, 3]);
        Ok(())
    }
}
