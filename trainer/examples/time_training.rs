//! Seconds and memory of training iterations, as a line of JSON; `cargo xtask bench train` runs it
//! beside the same networks in snnTorch.
//!
//! ```text
//! cargo run -p bitspike-trainer --example time_training -- mnist 100 128 5 cpu
//! ```
//!
//! The arguments are the network (`mnist`, or `shd`), time steps, batch, iterations, and the device
//! (`cpu`, or `cuda`). One more iteration runs before those that are timed. Every iteration is whole: forward, loss, backward,
//! update, thresholds.

mod clock;

use std::time::Instant;

use bitspike_trainer::backend::Choice;
use bitspike_trainer::config::Config;
use bitspike_trainer::data::{Form, InputSpec};
use bitspike_trainer::loss::Criterion;
use bitspike_trainer::net::{Mode, Network};
use bitspike_trainer::optim::Move;
use bitspike_trainer::{Error, Result};
use candle_core::{Device, Tensor};
use clap::ValueEnum;
use clock::cpu_seconds;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let usage = || Error::usage("usage: time_training mnist|shd STEPS BATCH ITERATIONS cpu|cuda");
    let [name, numbers @ .., device] = words.as_slice() else {
        return Err(usage());
    };
    let device = Choice::from_str(device, false)
        .map_err(|_| usage())?
        .device()?;
    let numbers: Option<Vec<usize>> = numbers.iter().map(|word| word.parse().ok()).collect();
    let Some([steps, batch, iterations]) = numbers.as_deref().and_then(|n| n.first_chunk()) else {
        return Err(usage());
    };
    let (steps, batch, iterations) = (*steps, *batch, *iterations);
    let settings = [format!("network.steps={steps}")];
    let config = Config::load(&format!("paper/{name}"), &settings)?;
    let (shape, form, classes, rate) = match name.as_str() {
        "mnist" => ([28, 28, 1], Form::Still, 10, None),
        "shd" => ([1, 1, 700], Form::Spikes, 20, Some(0.02)),
        _ => return Err(usage()),
    };
    let rows = if form.is_still() {
        batch
    } else {
        batch * steps
    };
    let mut network = Network::new(&config, InputSpec { shape, form }, 1_000_000)?;
    network.move_to(&device.device)?;
    let values = pixels(rows * shape.iter().product::<usize>(), rate);
    let inputs = Tensor::from_vec(values, (rows, shape[0], shape[1], shape[2]), &Device::Cpu)?;
    let labels: Vec<u8> = (0..batch).map(|index| (index % classes) as u8).collect();
    let criterion = Criterion {
        loss: config.train.loss,
        right: config.train.target_right,
        wrong: config.train.target_wrong,
        steps,
    };
    let (mut seconds, mut warm) = (Vec::new(), 0.0);
    for update in 1..=iterations as u64 + 1 {
        let start = Instant::now();
        let forward = network.forward(&inputs, Mode::Train { update })?;
        let (_, of_output) = criterion.evaluate(&forward.output, &labels)?;
        let gradients = network.backward(&forward, &of_output)?;
        let step = Move {
            optimiser: config.train.optimiser,
            momentum: config.train.momentum,
            rate: config.train.learning_rate,
            scale: 1.0,
            update,
        };
        for (parameter, gradient) in network.parameters_mut().zip(&gradients) {
            parameter.update(gradient, &step)?;
        }
        network.absorb(&forward.statistics, config.train.norm_momentum);
        network.anneal(update);
        seconds.push(start.elapsed().as_secs_f64());
        if update == 1 {
            warm = cpu_seconds();
        }
    }
    seconds.remove(0);
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    let cpu = (cpu_seconds() - warm) / iterations as f64;
    println!(
        "{{\"network\":\"{name}\",\"steps\":{steps},\"batch\":{batch},\"seconds\":{median:.4},\
         \"cpu_seconds\":{cpu:.4},\"peak_bytes\":{}}}",
        peak_bytes()
    );
    Ok(())
}

/// Pictures with a fifth of their pixels lit as digits have, or spikes at a rate; the same always.
fn pixels(count: usize, rate: Option<f64>) -> Vec<f32> {
    let mut state = 1u64;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    let mut value = || match rate {
        Some(rate) => f32::from(uniform() < rate),
        None if uniform() < 0.2 => uniform() as f32,
        None => 0.0,
    };
    (0..count).map(|_| value()).collect()
}

/// The largest memory that the process had, where the system tells.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
