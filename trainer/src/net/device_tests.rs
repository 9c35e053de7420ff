//! The losses of a training on another device are those on the processor.

use candle_core::{Device, Tensor};
use rand::RngExt;

use super::*;
use crate::loss::Criterion;
use crate::ops::by_candle;
use crate::optim::{Move, clip};
use crate::seed::{Purpose, stream};

const UPDATES: u64 = 100;
const BATCH: usize = 32;
const SHAPE: [usize; 3] = [9, 8, 2];
const CLASSES: usize = 4;

/// Losses over 100 updates of a small network with every operation of a training: convolutions with
/// pooling, batch norm over the batch or by step, dropout, and a layer without batch norm.
fn losses(device: &Device, settings: &[&str]) -> Result<Vec<f32>> {
    let mut all = vec![
        "network.steps=4".to_owned(),
        r#"network.layers=[
        { kind = "conv", channels = 6, kernel = 3, pool = 2, dropout = 0.1 },
        { kind = "conv", channels = 8, kernel = 2 },
        { kind = "linear", outputs = 12, norm = "bias" },
        { kind = "linear", outputs = 4 }]"#
            .to_owned(),
    ];
    all.extend(settings.iter().map(|setting| (*setting).to_owned()));
    let config = Config::load("mnist", &all)?;
    let mut network = Network::new(&config, SHAPE, UPDATES)?;
    network.move_to(device)?;
    let mut random = stream(3, Purpose::Order, [0, 0]);
    let labels: Vec<u8> = (0..BATCH).map(|index| (index % CLASSES) as u8).collect();
    let criterion = Criterion {
        loss: config.train.loss,
        right: config.train.target_right,
        wrong: config.train.target_wrong,
        steps: network.steps(),
    };
    let mut losses = Vec::new();
    for update in 1..=UPDATES {
        // A class lights up its own rows; 256ths keep the first layer's sums exact.
        let size = SHAPE.iter().product::<usize>();
        let pixels = (0..BATCH * size).map(|index| {
            let (row, class) = (index % size / 16, index / size % CLASSES);
            let most = if row / 2 == class { 256 } else { 96 };
            random.random_range(0..most) as f32 / 256.0
        });
        let shape = (BATCH, SHAPE[0], SHAPE[1], SHAPE[2]);
        let batch = Tensor::from_vec(pixels.collect(), shape, &Device::Cpu)?;
        let forward = network.forward(&batch, Mode::Train { update })?;
        let (loss, of_output) = criterion.evaluate(&forward.output, &labels)?;
        let gradients = network.backward(&forward, &of_output)?;
        let step = Move {
            optimiser: config.train.optimiser,
            momentum: config.train.momentum,
            rate: 1e-3,
            scale: clip(&gradients, 1.0)?,
            update,
        };
        for (parameter, gradient) in network.parameters_mut().zip(&gradients) {
            parameter.update(gradient, &step)?;
        }
        network.absorb(&forward.statistics, config.train.norm_momentum);
        network.anneal(update);
        assert_eq!(network.fired(&forward)?.len(), network.thresholds().len());
        losses.push(loss);
    }
    Ok(losses)
}

/// Sums in another order round otherwise, and a spike that flips for it changes the loss by far more
/// than the rounding; so the losses are alike, to 2 % of the first one, not equal.
fn assert_alike(ours: &[f32], others: &[f32]) {
    assert_eq!(ours.len(), others.len());
    let differences = ours.iter().zip(others).map(|(a, b)| (a - b).abs());
    let largest = differences.fold(0.0, f32::max) / ours[0];
    eprintln!("losses differ by {:.2} % of the first one", 100.0 * largest);
    assert!(largest < 0.02, "{ours:?}, {others:?}");
    // The training did something.
    assert!(ours[UPDATES as usize - 1] < 0.9 * ours[0], "{ours:?}");
}

/// Sides that differ.
const RECTANGULAR: &str = r#"network.layers=[
    { kind = "conv", channels = 6, kernel = [1, 3], padding = [0, 1], pool = [3, 2] },
    { kind = "conv", channels = 8, kernel = [2, 3], stride = [1, 2], padding = [1, 0] },
    { kind = "linear", outputs = 4 }]"#;

const SETTINGS: [&[&str]; 3] = [
    &[],
    &["network.norm=step", "network.weights=float"],
    &[RECTANGULAR],
];

/// What a GPU computes, but for the kernels of neurons, by the same code on the processor.
#[test]
fn the_way_of_a_gpu_trains_as_the_processor_does() -> Result<()> {
    for settings in SETTINGS {
        let ours = losses(&Device::Cpu, settings)?;
        let others = by_candle(|| losses(&Device::Cpu, settings))?;
        assert_alike(&ours, &others);
    }
    Ok(())
}

/// Needs a GPU: `cargo xtask cuda --test` runs it.
#[cfg(feature = "cuda")]
#[test]
#[ignore = "needs an NVIDIA GPU: cargo xtask cuda --test"]
fn a_gpu_trains_as_the_processor_does() -> Result<()> {
    let gpu = Device::new_cuda(0)?;
    for settings in SETTINGS {
        assert_alike(&losses(&Device::Cpu, settings)?, &losses(&gpu, settings)?);
    }
    Ok(())
}
