//! Forward and backward through the layers, each over all time steps at once.

use std::sync::Arc;

use candle_core::Tensor;

use super::layer::Layer;
use super::{EPSILON, Network};
use crate::config::Norm;
use crate::ops::dropout::Dropout;
use crate::ops::lif::Lif;
use crate::ops::neurons::{Neurons, OfSpikes};
use crate::ops::norm::{BatchNorm, Grouping, Statistics};
use crate::ops::signs::Signs;
use crate::ops::synapse::Synapse;
use crate::ops::{any_positive, on_host};
use crate::{Error, Result};

/// What a forward pass gives.
#[derive(Debug)]
pub struct Forward {
    /// Scores `[batch, classes]`: spike counts, or mean membranes.
    pub scores: Tensor,
    /// What the loss is computed on: the scores, or membranes `[batch * steps, classes]`.
    pub output: Tensor,
    /// Spikes of each layer that fires, `[batch * steps, rows, columns, channels]`.
    pub spikes: Vec<Tensor>,
    /// Statistics of the batch, one a layer with batch norm in training.
    pub statistics: Vec<Option<Statistics>>,
    traces: Vec<Trace>,
}

/// What backward needs of a layer.
#[derive(Debug)]
struct Trace {
    input: Tensor,
    taps: Tensor,
    /// Synaptic sums; their mean over the steps where the layer is read out.
    sums: Tensor,
    activity: Activity,
    /// Whether the sums were averaged over the steps.
    averaged: bool,
}

/// How a layer came from its sums to what it gives.
#[derive(Debug)]
enum Activity {
    /// In one operation, on the processor.
    Fused(Neurons),
    /// Operation by operation.
    Plain(Currents),
}

/// Currents, and the neurons that they go to.
#[derive(Debug)]
struct Currents {
    norm: BatchNorm,
    /// Before dropout.
    normal: Tensor,
    /// What they are multiplied by where some drop out.
    factors: Option<Tensor>,
    /// What the neurons get.
    current: Tensor,
    /// `None` where the membranes are read out.
    lif: Option<Lif>,
}

/// Which statistics batch norm uses, and whether currents drop out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Those of the batch; currents drop out, others in each update.
    Train {
        /// Number of the update.
        update: u64,
    },
    /// The running ones, and nothing drops out.
    Evaluate,
}

impl Network {
    /// Scores and spikes of a batch: `[batch, height, width, channels]` of values from 0 to 1 for
    /// still pictures, `[batch * steps, height, width, channels]` of spikes or counts for recordings.
    ///
    /// A still picture is the same at every step, and so is the current of the first layer: it is
    /// computed once. Every layer runs over all steps at once.
    ///
    /// # Errors
    /// If the batch does not have the network's input shape.
    pub fn forward(&self, batch: &Tensor, mode: Mode) -> Result<Forward> {
        let (mut spikes, mut statistics, mut traces) = (Vec::new(), Vec::new(), Vec::new());
        let rows_of_sample = if self.input.form.is_still() {
            1
        } else {
            self.steps
        };
        let batch = batch.to_device(&self.device())?;
        let (mut signal, samples) = (batch.clone(), batch.dim(0)? / rows_of_sample);
        for (index, layer) in self.layers.iter().enumerate() {
            let taps = layer.binarise.taps(&layer.latent.value)?;
            let mut sums = layer.synapse.sums(&signal, &taps)?;
            let (rows, outputs) = (sums.dim(0)?, layer.synapse.outputs);
            let averaged = layer.threshold.is_none() && !self.every_step;
            if layer.threshold.is_none() {
                sums = sums.reshape((rows, outputs))?;
            }
            if averaged {
                // The mean over the steps of the currents, `[batch, outputs]`.
                sums = sums.reshape((samples, rows / samples, outputs))?.mean(1)?;
            }
            let of_batch = match (mode, layer.norm) {
                (Mode::Train { .. }, Norm::Batch) => Some(Grouping::ALL),
                (Mode::Train { .. }, Norm::Step) => Some(Grouping {
                    groups: sums.dim(0)? / samples,
                    points: layer.points(),
                }),
                _ => None,
            };
            let of_batch = of_batch.map(|grouping| Statistics::of(&sums, grouping));
            let of_batch = of_batch.transpose()?;
            let used = of_batch.as_ref().unwrap_or(&layer.running);
            let norm = BatchNorm::new(used, EPSILON, of_batch.is_some());
            statistics.push(of_batch);
            let dropout = match mode {
                Mode::Train { update } if layer.dropout > 0.0 => Some(Dropout {
                    probability: layer.dropout,
                    seed: self.seed,
                    update,
                    layer: index as u64,
                }),
                _ => None,
            };
            let (output, activity) = self.activity(layer, &sums, norm, dropout, samples)?;
            let input = std::mem::replace(&mut signal, output);
            if layer.threshold.is_some() {
                spikes.push(signal.clone());
            }
            traces.push(Trace {
                input,
                taps,
                sums,
                activity,
                averaged,
            });
        }
        let by_step = |output: &Tensor| {
            let (rows, classes) = (output.dim(0)?, self.classes());
            output.reshape((samples, rows / samples, classes))
        };
        let counted = self
            .layers
            .last()
            .is_some_and(|layer| layer.threshold.is_some());
        let scores = if counted {
            by_step(&signal)?.sum(1)?
        } else {
            by_step(&signal)?.mean(1)?
        };
        let output = if counted { scores.clone() } else { signal };
        Ok(Forward {
            scores,
            output,
            spikes,
            statistics,
            traces,
        })
    }

    /// From the sums of a layer to its spikes, or to its currents where these are read out.
    fn activity(
        &self,
        layer: &Layer,
        sums: &Tensor,
        norm: BatchNorm,
        dropout: Option<Dropout>,
        samples: usize,
    ) -> candle_core::Result<(Tensor, Activity)> {
        let (gain, shift) = (&layer.gain.value, &layer.shift.value);
        let once = sums.dim(0)? == samples && self.steps > 1;
        let lif = layer.threshold.map(|(threshold, _)| Lif {
            steps: self.steps,
            beta: layer.beta,
            threshold,
            surrogate: self.surrogate,
            constant: once,
        });
        if let Some(lif) = lif
            && on_host(sums)
        {
            let values = if once { self.steps } else { 1 } * sums.elem_count();
            let mask = dropout.map(|dropout| Arc::new(dropout.mask(values)));
            let neurons = Neurons { norm, mask, lif };
            let spikes = neurons.spikes(sums, gain, shift)?;
            return Ok((spikes, Activity::Fused(neurons)));
        }
        let normal = norm.normalise(sums, gain, shift)?;
        let mut current = normal.clone();
        if dropout.is_some() && once && lif.is_some() {
            // Other currents drop out at every step: they differ from here on.
            current = self.at_every_step(&normal)?;
        }
        let factors = dropout.map(|dropout| dropout.factors(current.shape(), current.device()));
        let factors = factors.transpose()?;
        if let Some(factors) = &factors {
            current = (current * factors)?;
        }
        let constant = once && dropout.is_none();
        let lif = lif.map(|lif| Lif { constant, ..lif });
        let output = match lif {
            Some(lif) => lif.spikes(&current)?,
            None => current.clone(),
        };
        let currents = Currents {
            norm,
            normal,
            factors,
            current,
            lif,
        };
        Ok((output, Activity::Plain(currents)))
    }

    /// The same values for every step: `[n, ..]` to `[n * steps, ..]`.
    fn at_every_step(&self, values: &Tensor) -> candle_core::Result<Tensor> {
        let mut dims = values.dims().to_vec();
        dims.insert(1, self.steps);
        let repeated = values.unsqueeze(1)?.broadcast_as(dims)?;
        repeated.contiguous()?.flatten(0, 1)
    }

    /// Gradients of all parameters, in the order of [`Network::parameters`], from that of the
    /// output.
    ///
    /// The layers are run back one by one, without candle's graph: it would zero and add once more
    /// for every tensor, although each has one consumer.
    ///
    /// # Errors
    /// If the gradient does not have the shape of the output.
    pub fn backward(&self, forward: &Forward, of_output: &Tensor) -> Result<Vec<Tensor>> {
        let mut gradients = Vec::new();
        let mut grad = of_output.clone();
        // The layer of whose sums that is the gradient; `None` where it is that of spikes.
        let mut reader: Option<(Synapse, Signs)> = None;
        for (index, (layer, trace)) in self.layers.iter().zip(&forward.traces).enumerate().rev() {
            let spikes = forward.spikes.get(index);
            let (of_sums, of_gain, of_shift) = match (&trace.activity, spikes) {
                (Activity::Fused(neurons), Some(spikes)) => {
                    let of_spikes = match &reader {
                        Some((synapse, signs)) => OfSpikes::Read(synapse, signs, &grad),
                        None => OfSpikes::Given(&grad),
                    };
                    let line = (&*layer.gain.value, &*layer.shift.value);
                    neurons.backward(&trace.sums, line, spikes, of_spikes)?
                }
                (Activity::Fused(_), None) => return Err(Error::failed("no spikes were kept")),
                (Activity::Plain(currents), spikes) => {
                    let counted = index + 1 == self.layers.len();
                    let grad = self.plain_back(currents, spikes, &grad, counted)?;
                    currents
                        .norm
                        .backward(&trace.sums, &layer.gain.value, &grad)?
                }
            };
            grad = of_sums;
            if trace.averaged {
                let (samples, outputs) = grad.dims2()?;
                let steps = trace.input.dim(0)? / samples;
                let every_step = (samples, steps, outputs);
                grad = (grad / steps as f64)?
                    .unsqueeze(1)?
                    .broadcast_as(every_step)?;
            }
            let latent = &layer.latent.value;
            let of_taps = layer
                .synapse
                .tap_gradient(&trace.input, &trace.taps, &grad)?;
            let of_latent = layer.binarise.backward(latent, &of_taps)?;
            // What a layer does not have stays as it is.
            let trained = |gradient: Tensor, has| {
                if has {
                    Ok(gradient)
                } else {
                    gradient.zeros_like()
                }
            };
            let normalised = matches!(layer.norm, Norm::Batch | Norm::Step);
            let of_gain = trained(of_gain, normalised)?;
            let of_shift = trained(of_shift, layer.norm != Norm::None)?;
            gradients.extend([of_shift, of_gain, of_latent]);
            if !layer.synapse.input_gradient {
                break;
            }
            reader = None;
            if on_host(&grad) {
                let signs = layer.binarise.signs(latent)?;
                reader = signs.map(|signs| (layer.synapse, signs));
            }
            if reader.is_none() {
                grad = layer
                    .synapse
                    .input_gradient(&trace.input, &trace.taps, &grad)?;
            }
        }
        gradients.reverse();
        Ok(gradients)
    }

    /// Back from what a layer gave to its normalised sums, operation by operation; `counted` where
    /// the gradient is that of spike counts.
    fn plain_back(
        &self,
        currents: &Currents,
        spikes: Option<&Tensor>,
        grad: &Tensor,
        counted: bool,
    ) -> candle_core::Result<Tensor> {
        let mut grad = grad.clone();
        if let (Some(lif), Some(spikes)) = (currents.lif, spikes) {
            if counted {
                // A count's gradient is that of each of its spikes.
                grad = self.at_every_step(&grad)?;
            }
            grad = lif.backward(&currents.current, spikes, &grad)?;
        }
        if let Some(factors) = &currents.factors {
            grad = (grad * factors)?;
            if currents.normal.dim(0)? < grad.dim(0)? {
                let mut dims = currents.normal.dims().to_vec();
                dims.insert(1, self.steps);
                grad = grad.reshape(dims)?.sum(1)?;
            }
        }
        Ok(grad)
    }

    /// For each layer with neurons that fire, whether any of them did in a forward pass.
    ///
    /// # Errors
    /// If the spikes cannot be read.
    pub fn fired(&self, forward: &Forward) -> Result<Vec<bool>> {
        let fired = forward.spikes.iter().map(any_positive);
        Ok(fired.collect::<candle_core::Result<_>>()?)
    }
}
