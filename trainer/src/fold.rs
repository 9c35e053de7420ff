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
mod tests {
    use super::*;
    use crate::sample::Frame;
    use crate::trained::{BatchNorm, Convolution};
    use rand::{Rng, RngExt};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    const METADATA: Metadata<'_> = Metadata {
        version: Metadata::VERSION,
        task: "fold",
        classes: "",
        encoding: "direct",
        provenance: "",
    };

    fn layer(
        random: &mut impl Rng,
        outputs: usize,
        taps: usize,
        convolution: Option<Convolution>,
    ) -> TrainedLayer {
        let mut draw = |low: f32, high: f32, count: usize| -> Vec<f32> {
            (0..count).map(|_| random.random_range(low..high)).collect()
        };
        let scale = (taps as f32).sqrt();
        let mut gain = draw(0.5, 1.5, outputs);
        // One channel is inverted.
        gain[0] = -gain[0];
        TrainedLayer {
            name: format!("layer of {outputs}"),
            outputs,
            convolution,
            latent: draw(-1.0, 1.0, outputs * taps),
            norm: BatchNorm {
                mean: draw(-0.1 * scale, 0.1 * scale, outputs),
                variance: draw(0.05 * scale, 0.2 * scale, outputs),
                gain,
                shift: draw(-0.5, 0.5, outputs),
                epsilon: 1e-5,
            },
            beta: if convolution.is_some() { 0.9 } else { 0.0 },
            threshold: 1.3,
            reset: convolution.is_some(),
        }
    }

    /// 12x12 -> conv 3x3, pool 2 -> 5x5x6 -> linear 4.
    const SQUARE: Convolution = Convolution {
        kernel: [3, 3],
        stride: [1, 1],
        padding: [0, 0],
        pool: [2, 2],
    };

    /// 12x12 -> conv 2x4, padded by 0 and 2, every row and third column, pool 3x1 -> 3x5x6 ->
    /// linear 4.
    const RECTANGULAR: Convolution = Convolution {
        kernel: [2, 4],
        stride: [1, 3],
        padding: [0, 2],
        pool: [3, 1],
    };

    /// Rows and columns of the neurons of a convolution over 12x12 pixels.
    fn output(convolution: Convolution) -> [usize; 2] {
        [0, 1].map(|side| {
            let room = 12 + 2 * convolution.padding[side] - convolution.kernel[side];
            (room / convolution.stride[side] + 1) / convolution.pool[side]
        })
    }

    fn network(random: &mut impl Rng, convolution: Convolution) -> TrainedNetwork {
        let taps = convolution.kernel.iter().product();
        let units = output(convolution).iter().product::<usize>() * 6;
        let layers = vec![
            layer(random, 6, taps, Some(convolution)),
            layer(random, 4, units, None),
        ];
        TrainedNetwork {
            input: [12, 12, 1].into(),
            steps: 6,
            layers,
        }
    }

    /// The mean over the steps of the last layer's normalised currents, in `f64` as trained.
    fn float_logits(network: &TrainedNetwork, pixels: &[u8]) -> Vec<f64> {
        let [first, last] = &network.layers[..] else {
            panic!("two layers")
        };
        let sign = |latent: f32| if latent >= 0.0 { 1.0 } else { -1.0 };
        let normalise = |layer: &TrainedLayer, channel: usize, x: f64| {
            let norm = &layer.norm;
            let value = |values: &[f32]| f64::from(values[channel]);
            let spread = (value(&norm.variance) + f64::from(norm.epsilon)).sqrt();
            value(&norm.gain) / spread * (x - value(&norm.mean)) + value(&norm.shift)
        };
        let Some(convolution) = first.convolution else {
            panic!("a convolution")
        };
        let ([height, width], [down, right]) = (convolution.kernel, convolution.pool);
        let [rows, columns] = output(convolution);
        // A pixel of the padded picture.
        let pixel = |y: usize, x: usize| {
            let [top, left] = convolution.padding;
            match (y.checked_sub(top), x.checked_sub(left)) {
                (Some(y @ 0..12), Some(x @ 0..12)) => f64::from(pixels[y * 12 + x]) / 255.0,
                _ => 0.0,
            }
        };
        let mut currents = Vec::new();
        for (row, column) in (0..rows * columns).map(|at| (at / columns, at % columns)) {
            for channel in 0..6 {
                let mut sum = 0.0;
                for (dy, dx) in (0..down * right).map(|at| (at / right, at % right)) {
                    let top = (row * down + dy) * convolution.stride[0];
                    let left = (column * right + dx) * convolution.stride[1];
                    for (ky, kx) in (0..height * width).map(|at| (at / width, at % width)) {
                        let weight = first.latent[(channel * height + ky) * width + kx];
                        sum += sign(weight) * pixel(top + ky, left + kx);
                    }
                }
                currents.push(normalise(first, channel, sum / (down * right) as f64));
            }
        }
        let units = currents.len();
        let (mut membranes, mut spikes) = (vec![0.0; units], vec![0.0; units]);
        let threshold = f64::from(first.threshold);
        let mut logits = vec![0.0; 4];
        for _ in 0..network.steps {
            for unit in 0..units {
                let decayed = f64::from(first.beta) * membranes[unit];
                membranes[unit] = decayed + currents[unit] - spikes[unit] * threshold;
                spikes[unit] = f64::from(membranes[unit] > threshold);
            }
            for (class, logit) in logits.iter_mut().enumerate() {
                let weights = &last.latent[class * units..][..units];
                let sum = weights.iter().zip(&spikes).map(|(w, s)| sign(*w) * s).sum();
                *logit += normalise(last, class, sum) / f64::from(network.steps);
            }
        }
        logits
    }

    #[test]
    fn integers_follow_the_float_network() {
        follow(SQUARE);
    }

    #[test]
    fn integers_follow_a_float_network_of_uneven_sides() {
        follow(RECTANGULAR);
    }

    fn follow(convolution: Convolution) {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let network = network(&mut random, convolution);
        let mut picture = || (0..144).map(|_| random.random()).collect::<Vec<u8>>();
        let pictures: Vec<Vec<u8>> = (0..200).map(|_| picture()).collect();
        let still = |pixels: &Vec<u8>| Sample::Still(Frame::Bytes(pixels.clone()));
        let calibration: Vec<Sample> = pictures.iter().take(50).map(still).collect();
        let file = fold(&network, &calibration, &METADATA).unwrap();
        let model = Model::new(&file).unwrap();
        let mut memory = vec![0; model.sizes().memory_words()];
        let mut integer = Network::new(&model, &mut memory).unwrap();
        let (mut same, mut worst) = (0, 0f64);
        for pixels in &pictures {
            let logits = float_logits(&network, pixels);
            let decision = integer.run(model.input(pixels).unwrap());
            let best = (0..4)
                .max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
                .unwrap();
            same += usize::from(decision.class == best);
            for (class, logit) in logits.iter().enumerate() {
                let score = integer.score(class) as f64 * f64::from(model.logit_scale());
                worst = worst.max((score - logit).abs());
            }
        }
        assert!(
            same >= 195,
            "{same} of 200 decisions are those of the float network"
        );
        assert!(worst < 0.8, "a logit is off by {worst}");
    }

    #[test]
    fn thresholds_and_biases_are_those_of_the_numerics_page() {
        let trained = TrainedLayer {
            name: "layer 1 (conv)".into(),
            outputs: 2,
            convolution: Some(Convolution {
                kernel: [1, 1],
                pool: [2, 2],
                ..SQUARE
            }),
            latent: vec![0.5, -0.0],
            norm: BatchNorm {
                mean: vec![0.25, -0.5],
                variance: vec![4.0, 0.25],
                gain: vec![1.0, -2.0],
                shift: vec![0.5, 1.0],
                epsilon: 0.0,
            },
            beta: 0.5,
            threshold: 1.0,
            reset: true,
        };
        // g = 1/2 and -4, d = 4: theta' = 8 and 1, c' = 4 (-1/4 + 1) and -4 (1/2 - 1/4).
        let layer = FloatLayer::new(1.0, &trained).unwrap();
        assert_eq!(layer.thresholds, [8.0, 1.0]);
        assert_eq!(layer.biases, [3.0, -1.0]);
        assert_eq!(layer.gains, [0.125, 1.0]);
        // -0.0 is +1, inverted where g < 0.
        assert_eq!(layer.weights, [1, -1]);
        // F = 4: half a unit for the floor in the decay; 48.5 and -15.5 go to the even neighbours.
        assert_eq!(
            layer.rounded(4, 32767),
            Some((vec![128, 16], vec![48, -16]))
        );
        // F = -1: a quarter more for the shift; a threshold of 1/2 rounds to 0 and is refused.
        assert_eq!(layer.rounded(-1, 32767), None);
    }

    #[test]
    fn a_gain_of_zero_is_named() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut network = network(&mut random, SQUARE);
        network.layers[1].norm.gain[2] = 0.0;
        let error = fold(&network, &[], &METADATA).unwrap_err().to_string();
        assert!(error.contains("layer of 4, channel 2"), "{error}");
    }

    #[test]
    fn a_gain_too_small_for_a_threshold_is_named() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut network = network(&mut random, SQUARE);
        network.layers[0].norm.gain[3] = 1e-30;
        let error = fold(&network, &[], &METADATA).unwrap_err().to_string();
        assert!(error.contains("layer of 6, channel 3"), "{error}");
    }
}
