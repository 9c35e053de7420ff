//! Folding: a trained network in `f32` becomes integers, by docs/numerics.md.
//!
//! Batch norm, the divisor of average pooling and the input scale go into thresholds and biases,
//! in units of one synaptic event: with `g = gain / sqrt(variance + epsilon)`,
//! `theta' = threshold d / |g|` and `c' = d ((0 - mean) + shift / g)`; where `g < 0` the channel's
//! weights and `c'` change sign. The fraction bits of a layer follow from the membranes that the
//! calibration samples reach, the order of its weights from the rates at which they fire.

use bitspike_core::cost;
use bitspike_core::lif::{self, Membrane, Reset, to_fixed};
use bitspike_core::model::{
    Input, InputKind, Layer, LayerParameters, LayerSpec, Metadata, Model, NetworkSpec, Operation,
    Pool, Readout, Spread, WeightOrder, write,
};
use bitspike_core::network::Network;

use crate::data::Form;
use crate::model_file::with_rates;
use crate::sample::Sample;
use crate::trained::{TrainedLayer, TrainedNetwork};
use crate::{Error, Result};

/// A threshold below so many units would lose its shape in 16 bits: the layer takes 32.
const SMALLEST_THRESHOLD: i32 = 8;

/// Fraction bits at which membranes are measured, fewer where thresholds would not fit.
const CALIBRATION_FRACTION: i8 = 8;

/// Folds a network and gives the words of its model file.
///
/// `calibration` are inputs whose membranes set the fraction bits: some hundred training samples.
///
/// # Errors
/// [`Error::Failed`] naming layer and channel where a gain is 0 or not finite, or a threshold fits
/// no type.
pub fn fold(
    network: &TrainedNetwork,
    calibration: &[Sample],
    metadata: &Metadata<'_>,
) -> Result<Vec<u32>> {
    let mut layers = Vec::new();
    for (index, layer) in network.layers.iter().enumerate() {
        let scale = if index == 0 {
            network.input.form.scale()
        } else {
            1.0
        };
        layers.push(FloatLayer::new(scale, layer)?);
    }
    let wide = layers
        .iter()
        .map(|layer| layer.numerics(Membrane::I32, 0.0, CALIBRATION_FRACTION));
    let wide = wide.collect::<Result<Vec<_>>>()?;
    let orders = vec![WeightOrder::OutputMajor; layers.len()];
    let file = assemble(network, &layers, &wide, &orders, metadata)?;
    let observed = observe(&file, calibration)?;
    let orders = orders_at(&file, &observed.rates)?;
    let provenance = with_rates(metadata.provenance, &observed.rates);
    let metadata = &Metadata {
        provenance: &provenance,
        ..*metadata
    };
    let mut numerics = Vec::new();
    for (layer, largest) in layers.iter().zip(observed.membranes) {
        let narrow = layer
            .numerics(Membrane::I16, largest, 16)
            .ok()
            .filter(|numerics| {
                numerics
                    .thresholds
                    .iter()
                    .all(|&threshold| threshold >= SMALLEST_THRESHOLD)
            });
        numerics.push(match narrow {
            Some(narrow) => narrow,
            None => layer.numerics(Membrane::I32, largest, 16)?,
        });
    }
    assemble(network, &layers, &numerics, &orders, metadata)
}

/// The orders of the weights that the cost table chooses at these rates: of the input, then of the
/// layers.
fn orders_at(file: &[u32], rates: &[f64]) -> Result<Vec<WeightOrder>> {
    let model = view(file)?;
    let mut kind = model.input_kind();
    let layers = model.layers().iter().zip(rates);
    let order = layers.map(|(layer, &rate)| {
        let order = cost::choose(cost::Class::ArmV7M, layer, kind, rate);
        kind = InputKind::Spikes;
        order
    });
    Ok(order.collect())
}

/// A layer in units of one synaptic event.
struct FloatLayer<'a> {
    trained: &'a TrainedLayer,
    /// +1 or -1, sign changes of the fold included.
    weights: Vec<i8>,
    /// `threshold d / |g|` by channel.
    thresholds: Vec<f64>,
    /// `c'` by channel.
    biases: Vec<f64>,
    /// `|g| / d` by channel.
    gains: Vec<f64>,
}

/// Thresholds and biases of a layer in one fixed-point format.
struct Numerics {
    membrane: Membrane,
    fraction: i8,
    thresholds: Vec<i32>,
    biases: Vec<i32>,
}

impl<'a> FloatLayer<'a> {
    /// `scale` divided the values that the layer reads in training.
    fn new(scale: f32, trained: &'a TrainedLayer) -> Result<Self> {
        let name = &trained.name;
        let norm = &trained.norm;
        let [rows, columns] = trained.convolution.map_or([1, 1], |of| of.pool);
        let divisor = (rows * columns) as f64 * f64::from(scale);
        let taps = trained.latent.len() / trained.outputs.max(1);
        let mut layer = Self {
            trained,
            weights: Vec::with_capacity(trained.latent.len()),
            thresholds: Vec::new(),
            biases: Vec::new(),
            gains: Vec::new(),
        };
        for (channel, latent) in trained.latent.chunks(taps.max(1)).enumerate() {
            let value =
                |values: &[f32]| f64::from(values.get(channel).copied().unwrap_or(f32::NAN));
            let spread = (value(&norm.variance) + f64::from(norm.epsilon)).sqrt();
            let g = value(&norm.gain) / spread;
            if g == 0.0 || !g.is_finite() {
                return Err(Error::failed(format!(
                    "{name}, channel {channel}: the gain of its batch norm is {g}, so it cannot be \
                     folded; train longer or with another seed"
                )));
            }
            let bias = divisor * ((0.0 - value(&norm.mean)) + value(&norm.shift) / g);
            let sign = if g < 0.0 { -1 } else { 1 };
            layer
                .thresholds
                .push(f64::from(trained.threshold) * divisor / g.abs());
            layer.biases.push(if g < 0.0 { -bias } else { bias });
            layer.gains.push(g.abs() / divisor);
            let weights = latent
                .iter()
                .map(|&latent| if latent >= 0.0 { sign } else { -sign });
            layer.weights.extend(weights);
        }
        Ok(layer)
    }

    fn beta(&self) -> lif::Beta {
        lif::beta(self.trained.beta.into())
    }

    /// The numerics with the most fraction bits, up to `fraction`, at which thresholds, biases
    /// and twice the `largest` membrane (in synaptic events) fit the type.
    fn numerics(&self, membrane: Membrane, largest: f64, fraction: i8) -> Result<Numerics> {
        let (_, max) = membrane.range();
        for fraction in (-16..=fraction).rev() {
            let headroom = to_fixed(2.0 * largest, fraction).is_some_and(|value| value <= max);
            if headroom && let Some((thresholds, biases)) = self.rounded(fraction, max) {
                return Ok(Numerics {
                    membrane,
                    fraction,
                    thresholds,
                    biases,
                });
            }
        }
        // The channel with the largest threshold is the one that asks for the fewest fraction bits.
        let magnitude = |channel: usize| self.thresholds[channel].max(self.biases[channel].abs());
        let channel = (0..self.thresholds.len())
            .max_by(|&a, &b| magnitude(a).total_cmp(&magnitude(b)))
            .unwrap_or(0);
        Err(Error::failed(format!(
            "{}, channel {channel}: with a threshold of {:e}, a bias of {:e} and membranes up to \
             {largest:e} synaptic events the layer does not fit {membrane:?}; the gain of the \
             channel's batch norm is too small beside the others': train longer or with another seed",
            self.trained.name, self.thresholds[channel], self.biases[channel],
        )))
    }

    /// Thresholds and biases in fixed point; `None` where one does not fit.
    fn rounded(&self, fraction: i8, max: i32) -> Option<(Vec<i32>, Vec<i32>)> {
        let beta = self.beta();
        let scale = f64::from(fraction).exp2();
        // The mean loss of the floor in the decay, and that of the shift of the sums.
        let mut offset = 0.0;
        if beta > lif::Beta::ZERO && beta < lif::Beta::ONE {
            offset += 0.5;
        }
        if fraction < 0 {
            offset += (1.0 - scale) / 2.0;
        }
        let fits = |value: Option<i32>, min: i32| value.filter(|value| (min..=max).contains(value));
        let mut rounded = (Vec::new(), Vec::new());
        for channel in 0..self.thresholds.len() {
            let threshold = fits(to_fixed(self.thresholds[channel], fraction), 1);
            let bias = to_fixed(self.biases[channel] * scale + offset, 0);
            rounded.0.push(threshold?);
            rounded.1.push(fits(bias, -max)?);
        }
        Some(rounded)
    }

    fn spec(&self, numerics: &Numerics, order: WeightOrder) -> Result<LayerSpec> {
        let narrow = |value: usize| {
            u16::try_from(value)
                .map_err(|_| Error::failed(format!("{}: {value} is too large", self.trained.name)))
        };
        let outputs = narrow(self.trained.outputs)?;
        let pair = |[rows, columns]: [usize; 2]| Ok::<_, Error>([narrow(rows)?, narrow(columns)?]);
        let (operation, pool) = match self.trained.convolution {
            None => (Operation::Linear { outputs }, None),
            Some(convolution) => {
                let window = pair(convolution.pool)?;
                let pool = (window != [1, 1]).then_some(Pool {
                    window,
                    stride: window,
                });
                let operation = Operation::Conv2d {
                    channels: outputs,
                    kernel: pair(convolution.kernel)?,
                    stride: pair(convolution.stride)?,
                    padding: pair(convolution.padding)?,
                };
                (operation, pool)
            }
        };
        Ok(LayerSpec {
            input_pool: None,
            operation,
            pool,
            order,
            membrane: numerics.membrane,
            fraction: numerics.fraction,
            beta: self.beta().to_bits(),
            reset: if self.trained.reset {
                Reset::Subtract
            } else {
                Reset::None
            },
            thresholds: Spread::Channel,
            biases: Some(Spread::Channel),
        })
    }
}

/// Writes the model file.
fn assemble(
    network: &TrainedNetwork,
    layers: &[FloatLayer<'_>],
    numerics: &[Numerics],
    orders: &[WeightOrder],
    metadata: &Metadata<'_>,
) -> Result<Vec<u32>> {
    let refused = |error: &dyn std::fmt::Display| {
        Error::failed(format!("the network cannot be written as a model: {error}"))
    };
    let mut specs = heapless::Vec::new();
    for ((layer, numerics), &order) in layers.iter().zip(numerics).zip(orders) {
        specs
            .push(layer.spec(numerics, order)?)
            .map_err(|_| refused(&"more than 16 layers"))?;
    }
    let (gains, logit_scale) = readout(network, layers, numerics)?;
    let [height, width, channels] = network.input.shape;
    let side = |value: usize| u16::try_from(value).map_err(|error| refused(&error));
    let spec = NetworkSpec {
        input: match network.input.form {
            Form::Still | Form::Counts => InputKind::U8,
            Form::Spikes => InputKind::Spikes,
        },
        shape: [side(height)?, side(width)?, side(channels)?],
        steps: network.steps,
        readout: if counted(layers) {
            Readout::Count
        } else {
            Readout::Membrane
        },
        logit_scale,
        layers: specs,
    };
    let parameters: Vec<_> = layers
        .iter()
        .zip(numerics)
        .map(|(layer, numerics)| LayerParameters {
            weights: &layer.weights,
            thresholds: &numerics.thresholds,
            biases: &numerics.biases,
        })
        .collect();
    // Weights take at most a word each, the sections a few hundred bytes.
    let room: usize = layers
        .iter()
        .map(|layer| layer.weights.len() + 3 * layer.gains.len())
        .sum();
    let text = metadata.task.len() + metadata.classes.len() + metadata.provenance.len();
    let mut file = vec![0; room + text + 1024];
    let words =
        write(&spec, &parameters, &gains, metadata, &mut file).map_err(|error| refused(&error))?;
    file.truncate(words);
    Ok(file)
}

/// Whether the last layer is read out by its spikes; else it is not reset, and its membranes are.
fn counted(layers: &[FloatLayer<'_>]) -> bool {
    layers.last().is_some_and(|layer| layer.trained.reset)
}

/// One gain a class, which puts the membranes of the last layer back on one scale, and the factor
/// from scores to the logits of the training.
fn readout(
    network: &TrainedNetwork,
    layers: &[FloatLayer<'_>],
    numerics: &[Numerics],
) -> Result<(Vec<u16>, f32)> {
    let (Some(last), Some(numerics)) = (layers.last(), numerics.last()) else {
        return Err(Error::failed("a network without layers cannot be folded"));
    };
    if counted(layers) {
        // Counts are the logits, and need no gains.
        return Ok((Vec::new(), 1.0));
    }
    let largest = last.gains.iter().copied().fold(0.0, f64::max);
    let gain = |gain: &f64| {
        let rounded = to_fixed(f64::from(i16::MAX) * gain / largest, 0);
        rounded
            .and_then(|gain| u16::try_from(gain).ok())
            .unwrap_or(0)
            .max(1)
    };
    let scale = largest / f64::from(i16::MAX) / f64::from(network.steps);
    Ok((
        last.gains.iter().map(gain).collect(),
        (scale / f64::from(numerics.fraction).exp2()) as f32,
    ))
}

/// What the calibration samples do.
struct Observed {
    /// The largest membrane magnitude of each layer, in synaptic events.
    membranes: Vec<f64>,
    /// Share of the input that is not 0, then spikes a unit and step by layer.
    rates: Vec<f64>,
}

fn view(file: &[u32]) -> Result<Model<'_>> {
    Model::new(file).map_err(|error| Error::failed(format!("calibration: {error}")))
}

fn observe(file: &[u32], samples: &[Sample]) -> Result<Observed> {
    let broken = |error: &dyn std::fmt::Display| Error::failed(format!("calibration: {error}"));
    let model = view(file)?;
    let mut memory = vec![0; model.sizes().memory_words()];
    let mut network = Network::new(&model, &mut memory).map_err(|error| broken(&error))?;
    let mut largest = vec![0u32; model.layers().len()];
    let mut spikes = vec![0u64; model.layers().len() + 1];
    let mut steps = 0u64;
    for sample in samples {
        let inputs = sample.inputs(&model).map_err(|error| broken(&error))?;
        network.reset();
        for input in inputs {
            network.step(input);
            steps += 1;
            spikes[0] += nonzero(input);
            for (layer, largest) in largest.iter_mut().enumerate() {
                let units = 0..network.units(layer);
                let membranes = units.map(|unit| network.membrane(layer, unit).unsigned_abs());
                *largest = membranes.fold(*largest, u32::max);
                spikes[layer + 1] += u64::from(network.spikes(layer).count());
            }
        }
    }
    let units = model.layers().iter().map(Layer::units);
    let units = [model.input_shape().units()].into_iter().chain(units);
    Ok(Observed {
        membranes: largest
            .iter()
            .zip(model.layers())
            .map(|(largest, layer)| f64::from(*largest) / f64::from(layer.spec().fraction).exp2())
            .collect(),
        rates: spikes
            .iter()
            .zip(units)
            .map(|(&spikes, units)| spikes as f64 / (units as f64 * steps.max(1) as f64))
            .collect(),
    })
}

/// Values of an input that are not 0.
fn nonzero(input: Input<'_>) -> u64 {
    match input {
        Input::Spikes(words) | Input::Bipolar(words) => {
            words.iter().map(|word| u64::from(word.count_ones())).sum()
        }
        Input::U8(bytes) | Input::I8(bytes) => {
            bytes.iter().filter(|byte| **byte != 0).count() as u64
        }
    }
}

#[cfg(test)]
mod tests;
