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
