//! Folding: a trained network in `f32` becomes integers, by docs/numerics.md.
//!
//! Batch norm, the divisor of average pooling and the input scale go into thresholds and biases,
//! in units of one synaptic event: with `g = gain / sqrt(variance + epsilon)`,
//! `theta' = threshold d / |g|` and `c' = d ((0 - mean) + shift / g)`; where `g < 0` the channel's
//! weights and `c'` change sign. The fraction bits of a layer follow from the membranes that the
//! calibration samples reach.

use bitspike_core::lif::{self, Membrane, Reset, to_fixed};
use bitspike_core::model::{
    InputKind, LayerParameters, LayerSpec, Metadata, Model, NetworkSpec, Operation, Pool, Readout,
    Spread, WeightOrder, write,
};
use bitspike_core::network::Network;

use crate::trained::{TrainedLayer, TrainedNetwork};
use crate::{Error, Result};

/// What divides a pixel before the first layer.
const PIXEL_SCALE: f64 = 255.0;

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
    calibration: &[&[u8]],
    metadata: &Metadata<'_>,
) -> Result<Vec<u32>> {
    let mut layers = Vec::new();
    for (index, layer) in network.layers.iter().enumerate() {
        layers.push(FloatLayer::new(index, layer)?);
    }
    let wide = layers
        .iter()
        .map(|layer| layer.numerics(Membrane::I32, 0.0, CALIBRATION_FRACTION));
    let wide = wide.collect::<Result<Vec<_>>>()?;
    let file = assemble(network, &layers, &wide, metadata)?;
    let largest = largest_membranes(&file, calibration)?;
    let mut numerics = Vec::new();
    for (layer, largest) in layers.iter().zip(largest) {
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
    assemble(network, &layers, &numerics, metadata)
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
    fn new(index: usize, trained: &'a TrainedLayer) -> Result<Self> {
        let name = &trained.name;
        let norm = &trained.norm;
        let window = (trained.pool * trained.pool) as f64;
        let divisor = if index == 0 {
            window * PIXEL_SCALE
        } else {
            window
        };
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
            if headroom && let Ok((thresholds, biases)) = self.rounded(fraction, max) {
                return Ok(Numerics {
                    membrane,
                    fraction,
                    thresholds,
                    biases,
                });
            }
        }
        // Even the fewest fraction bits do not fit: say which channel is at fault.
        match self.rounded(-16, max) {
            Ok(_) => Err(Error::failed(format!(
                "{}: membranes up to {largest} do not fit {membrane:?}",
                self.trained.name
            ))),
            Err(channel) => Err(Error::failed(format!(
                "{}, channel {channel}: threshold {} and bias {} in synaptic events do not fit \
                 {membrane:?}; the gain of its batch norm is too small",
                self.trained.name, self.thresholds[channel], self.biases[channel]
            ))),
        }
    }

    /// Thresholds and biases in fixed point, or the channel that does not fit.
    fn rounded(&self, fraction: i8, max: i32) -> Result<(Vec<i32>, Vec<i32>), usize> {
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
            let (Some(threshold), Some(bias)) = (threshold, fits(bias, -max)) else {
                return Err(channel);
            };
            rounded.0.push(threshold);
            rounded.1.push(bias);
        }
        Ok(rounded)
    }

    fn spec(&self, index: usize, numerics: &Numerics) -> Result<LayerSpec> {
        let narrow = |value: usize| {
            u16::try_from(value)
                .map_err(|_| Error::failed(format!("{}: {value} is too large", self.trained.name)))
        };
        let outputs = narrow(self.trained.outputs)?;
        let pool = narrow(self.trained.pool)?;
        let (operation, pool) = match self.trained.kernel {
            None => (Operation::Linear { outputs }, None),
            Some(kernel) => {
                let kernel = [narrow(kernel)?; 2];
                let (stride, padding) = ([1, 1], [0, 0]);
                let pool = (pool > 1).then_some(Pool {
                    window: [pool; 2],
                    stride: [pool; 2],
                });
                (
                    Operation::Conv2d {
                        channels: outputs,
                        kernel,
                        stride,
                        padding,
                    },
                    pool,
                )
            }
        };
        // Whole words of outputs, or a graded input, favour adding columns of weights.
        let order = if index == 0 || outputs >= 32 {
            WeightOrder::InputMajor
        } else {
            WeightOrder::OutputMajor
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
    metadata: &Metadata<'_>,
) -> Result<Vec<u32>> {
    let refused = |error: &dyn std::fmt::Display| {
        Error::failed(format!("the network cannot be written as a model: {error}"))
    };
    let mut specs = heapless::Vec::new();
    for (index, (layer, numerics)) in layers.iter().zip(numerics).enumerate() {
        specs
            .push(layer.spec(index, numerics)?)
            .map_err(|_| refused(&"more than 16 layers"))?;
    }
    let (gains, logit_scale) = readout(network, layers, numerics)?;
    let [height, width, channels] = network.input;
    let side = |value: usize| u16::try_from(value).map_err(|error| refused(&error));
    let spec = NetworkSpec {
        input: InputKind::U8,
        shape: [side(height)?, side(width)?, side(channels)?],
        steps: network.steps,
        readout: Readout::Membrane,
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

/// The largest membrane magnitude of each layer over the samples, in synaptic events.
fn largest_membranes(file: &[u32], samples: &[&[u8]]) -> Result<Vec<f64>> {
    let broken = |error: &dyn std::fmt::Display| Error::failed(format!("calibration: {error}"));
    let model = Model::new(file).map_err(|error| broken(&error))?;
    let mut memory = vec![0; model.sizes().memory_words()];
    let mut network = Network::new(&model, &mut memory).map_err(|error| broken(&error))?;
    let mut largest = vec![0u32; model.layers().len()];
    for sample in samples {
        let input = model.input(sample).map_err(|error| broken(&error))?;
        network.reset();
        for _ in 0..model.steps() {
            network.step(input);
            for (layer, largest) in largest.iter_mut().enumerate() {
                let units = 0..network.units(layer);
                let membranes = units.map(|unit| network.membrane(layer, unit).unsigned_abs());
                *largest = membranes.fold(*largest, u32::max);
            }
        }
    }
    Ok(largest
        .iter()
        .zip(model.layers())
        .map(|(largest, layer)| f64::from(*largest) / f64::from(layer.spec().fraction).exp2())
        .collect())
}
