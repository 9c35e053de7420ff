//! `cargo xtask bench train`: seconds and memory of training iterations, beside snnTorch's.
//!
//! Ours are measured by the trainer's example `time_training`, the peer's by
//! `tests/peers/snntorch_training.py`; both print a line of JSON and time the same networks. They
//! run one after the other in every round, so that a machine that slows down slows both.

use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::command_line;
use crate::cuda;
use crate::outcome::{Failure, Outcome};
use crate::run::{capture, cargo, root, stream, target_dir};

/// Flags of `cargo xtask bench train`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask bench train                        ours alone\n  cargo xtask bench train --peer                 and the ratio to snnTorch, installed into target/peers\n  cargo xtask bench train --peer --threads 1     one thread each: CPU seconds mean something on a busy machine\n  cargo xtask bench train --peer --device cuda   both on an NVIDIA GPU; builds what `cargo xtask cuda` builds"
)]
pub(crate) struct Arguments {
    /// Time snnTorch 1.0 on PyTorch too, alternating; needs python3 with venv, and a network once
    #[arg(long)]
    peer: bool,
    /// Rounds; the lowest seconds of all rounds count
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Threads of both [default: all processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// Where both train
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    device: Device,
    /// Write the rows as a JSON array
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Where a network trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Device {
    Cpu,
    Cuda,
}

/// Network, time steps, batch, iterations a round, and how many times the peer must be slower.
const WORK: [(&str, u32, u32, u32, f64); 4] = [
    ("mnist", 100, 128, 3, 3.0),
    ("mnist", 8, 128, 5, 2.0),
    ("mnist", 16, 128, 5, 2.0),
    ("shd", 100, 32, 3, 10.0),
];

/// Ours may take so many times longer when the time steps double.
const DOUBLED: f64 = 2.1;

/// Ours may take so much memory for the first row.
const MEMORY: u64 = 2 << 30;

/// What a program measured.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Measured {
    /// Of the wall clock, a training iteration.
    seconds: f64,
    /// Of all processors together.
    cpu_seconds: f64,
    peak_bytes: u64,
}

/// A line of the table.
#[derive(Debug, Serialize)]
struct Row {
    network: &'static str,
    steps: u32,
    batch: u32,
    ours: Measured,
    peer: Option<Measured>,
}

/// Measures, prints, and fails where ours does not keep what the table of docs/results.md asks for.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let (ours, libraries) = program(arguments.device)?;
    let device = match arguments.device {
        Device::Cpu => "cpu",
        Device::Cuda => "cuda",
    };
    let python = arguments.peer.then(peer).transpose()?;
    let script = root().join("tests/peers/snntorch_training.py");
    let mut rows = Vec::new();
    for (network, steps, batch, iterations, _) in WORK {
        let (mut best, mut best_peer) = (None, None);
        for round in 1..=arguments.rounds {
            note!("{network}, {steps} steps, batch {batch}: round {round}");
            let work = [network.into(), steps.to_string(), batch.to_string()];
            let work = work
                .into_iter()
                .chain([iterations.to_string(), device.into()]);
            let mut command = Command::new(&ours);
            if let Some(libraries) = &libraries {
                command.env("LD_LIBRARY_PATH", libraries);
            }
            lower(&mut best, measure(command.args(work.clone()), arguments)?);
            if let Some(python) = &python {
                let mut command = Command::new(python);
                command.arg(&script).args(work);
                lower(&mut best_peer, measure(&mut command, arguments)?);
            }
        }
        let Some(ours) = best else { continue };
        rows.push(Row {
            network,
            steps,
            batch,
            ours,
            peer: best_peer,
        });
    }
    print(&rows)?;
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&rows).expect("plain data");
        std::fs::write(path, text + "\n").map_err(|e| Failure::file("write", path, &e))?;
    }
    // What the rows have to keep is asked of the processor.
    match arguments.device {
        Device::Cpu => verdict(&rows),
        Device::Cuda => Ok(()),
    }
}

/// Builds the program that times ours; returns its path, and where its libraries are if it needs
/// to be told.
fn program(device: Device) -> Outcome<(PathBuf, Option<String>)> {
    const EXAMPLE: &str = "time_training";
    if device == Device::Cuda {
        let (program, libraries) = cuda::example(EXAMPLE)?;
        return Ok((program, Some(libraries)));
    }
    let mut build = cargo();
    build.args(["build", "--quiet", "--locked", "--package"]);
    stream(build.args(["bitspike-trainer", "--example", EXAMPLE]))?;
    let program = target_dir().join("debug/examples").join(EXAMPLE);
    Ok((program, None))
}

/// Runs a program that prints a line of JSON.
fn measure(command: &mut Command, arguments: &Arguments) -> Outcome<Measured> {
    if let Some(threads) = arguments.threads {
        for variable in ["RAYON_NUM_THREADS", "OMP_NUM_THREADS"] {
            command.env(variable, threads.to_string());
        }
    }
    let text = capture(command)?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::Work(format!("not a line of JSON: {error}: {text}")))
}

/// Keeps the lowest times of several rounds, and the highest memory.
fn lower(best: &mut Option<Measured>, new: Measured) {
    *best = Some(match best.take() {
        None => new,
        Some(old) => Measured {
            seconds: old.seconds.min(new.seconds),
            cpu_seconds: old.cpu_seconds.min(new.cpu_seconds),
            peak_bytes: old.peak_bytes.max(new.peak_bytes),
        },
    });
}

/// The Python of an environment that has the peer, made where there is none.
pub(super) fn peer() -> Outcome<PathBuf> {
    let venv = target_dir().join("peers/venv");
    let python = venv.join("bin/python");
    let has_it = || {
        let mut command = Command::new(&python);
        let found = command.args(["-c", "import snntorch, numpy"]).output();
        found.is_ok_and(|output| output.status.success())
    };
    if !has_it() {
        stream(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", "-r"]);
        stream(install.arg(root().join("tests/peers/requirements.txt")))?;
    }
    Ok(python)
}

fn print(rows: &[Row]) -> Outcome {
    say!(
        "| network | T | batch | s/iteration | CPU s | peak MiB | snnTorch s | CPU s | peak MiB | ratio | ratio of CPU s |"
    )?;
    say!("|---|---|---|---|---|---|---|---|---|---|---|")?;
    let mebibytes = |bytes: u64| bytes >> 20;
    for row in rows {
        let ours = &row.ours;
        let left = format!(
            "| {} | {} | {} | {:.3} | {:.3} | {} |",
            row.network,
            row.steps,
            row.batch,
            ours.seconds,
            ours.cpu_seconds,
            mebibytes(ours.peak_bytes)
        );
        match &row.peer {
            None => say!("{left} | | | | |")?,
            Some(peer) => say!(
                "{left} {:.3} | {:.3} | {} | {:.1} | {:.1} |",
                peer.seconds,
                peer.cpu_seconds,
                mebibytes(peer.peak_bytes),
                peer.seconds / ours.seconds,
                peer.cpu_seconds / ours.cpu_seconds
            )?,
        }
    }
    say!("\n{}", command_line())?;
    if let Ok(load) = std::fs::read_to_string("/proc/loadavg") {
        say!("load of the machine at the end: {}", load.trim())?;
    }
    Ok(())
}

/// What the rows have to keep.
fn verdict(rows: &[Row]) -> Outcome {
    let mut missed = Vec::new();
    for (row, (network, steps, _, _, must)) in rows.iter().zip(WORK) {
        let Some(peer) = &row.peer else { continue };
        let ratio = peer.seconds / row.ours.seconds;
        if ratio < must {
            missed.push(format!(
                "{network} at T = {steps} is {ratio:.1} times faster than snnTorch, {must} is asked for"
            ));
        }
    }
    if let [first, eight, sixteen, ..] = rows {
        if first.ours.peak_bytes > MEMORY {
            missed.push(format!(
                "{} bytes of memory, 2 GiB are allowed",
                first.ours.peak_bytes
            ));
        }
        let grown = sixteen.ours.seconds / eight.ours.seconds;
        say!("T doubled from 8 to 16: {grown:.2} times the time")?;
        if grown > DOUBLED {
            missed.push(format!(
                "doubling T takes {grown:.2} times the time, {DOUBLED} is allowed"
            ));
        }
    }
    if missed.is_empty() {
        return Ok(());
    }
    Err(Failure::Work(missed.join("; ")))
}
