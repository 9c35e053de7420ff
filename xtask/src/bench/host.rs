//! `cargo xtask bench host`: samples a second on this machine, beside snnTorch's.
//!
//! Ours are measured by the trainer's example `time_inference`, the peer's by
//! `tests/peers/snntorch_inference.py`: the MNIST network at 8 steps on the same pictures, one after
//! the other in every round, so that a machine that slows down slows both.

use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::{command_line, networks, train, written};
use crate::outcome::{Failure, Outcome};
use crate::run::{capture, cargo, root, stream, target_dir};

/// Flags of `cargo xtask bench host`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask bench host                         ours alone, at each level of vector instructions\n  cargo xtask bench host --peer                  and the ratio to snnTorch, installed into target/peers\n  cargo xtask bench host --peer --threads 1      one thread each: CPU seconds mean something on a busy machine"
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
    /// A trained model of 28x28 pictures in place of the seeded one, whose hidden layers fire at 10 %
    #[arg(long, value_name = "FILE.bsnn")]
    model: Option<PathBuf>,
    /// Write the rows as a JSON array
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Levels of vector instructions, the best one last.
const LEVELS: [&str; 2] = ["baseline", "avx2"];

/// Pictures that snnTorch reads at once.
const BATCH: &str = "128";

/// Steps of a decision.
const STEPS: &str = "8";

/// How many times more samples a second ours has to take, and ought to.
const MUST: f64 = 10.0;
const AIM: f64 = 100.0;

/// What a program measured, one line of JSON.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Measured {
    samples: f64,
    /// Of the wall clock, and of all processors together.
    seconds: f64,
    cpu_seconds: f64,
    #[serde(default)]
    firing_rates: Vec<f64>,
}

/// A line of the table, also of the JSON document of all benchmarks.
#[derive(Debug, Serialize)]
struct Row {
    network: &'static str,
    target: &'static str,
    kernel: String,
    phase: &'static str,
    #[serde(flatten)]
    measured: Measured,
}

/// Measures, prints, and fails where ours is not so much faster as is asked for.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let mut build = cargo();
    build.args([
        "build",
        "--quiet",
        "--locked",
        "--package",
        "bitspike-trainer",
    ]);
    stream(build.args(["--example", "time_inference"]))?;
    written(networks(&[]).args(["--set", "host"]))?;
    let folder = target_dir().join("bench");
    let seeded = folder.join("host.bsnn");
    let model = arguments.model.as_ref().unwrap_or(&seeded);
    let pictures = folder.join("host-images.idx");
    let ours = target_dir().join("debug/examples/time_inference");
    let python = arguments.peer.then(train::peer).transpose()?;
    let mut best: Vec<Option<Measured>> = vec![None; LEVELS.len() + 1];
    for round in 1..=arguments.rounds {
        note!("round {round} of {}", arguments.rounds);
        let (peer, levels) = best.split_last_mut().expect("there is one more");
        for (level, best) in LEVELS.iter().zip(levels) {
            let mut command = Command::new(&ours);
            command.arg(model).arg(&pictures);
            command.arg(folder.join("host-labels.idx")).arg(level);
            match measure(&mut command, arguments) {
                Ok(measured) => lower(best, measured),
                // Another processor lacks some instructions; the baseline it has.
                Err(_) if *level != LEVELS[0] => note!("not on this processor: {level}"),
                Err(failure) => return Err(failure),
            }
        }
        if let Some(python) = &python {
            let mut command = Command::new(python);
            command.arg(root().join("tests/peers/snntorch_inference.py"));
            command.arg(&pictures).args([STEPS, BATCH]);
            lower(peer, measure(&mut command, arguments)?);
        }
    }
    let names = LEVELS
        .map(str::to_owned)
        .into_iter()
        .chain(["snnTorch".into()]);
    let rows: Vec<Row> = names
        .zip(best)
        .filter_map(|(kernel, measured)| {
            Some(Row {
                network: "mnist",
                target: "host",
                kernel,
                phase: "decision",
                measured: measured?,
            })
        })
        .collect();
    print(&rows, arguments.peer)?;
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&rows).expect("plain data");
        std::fs::write(path, text + "\n").map_err(|e| Failure::file("write", path, &e))?;
    }
    verdict(&rows, arguments.peer)
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

/// Keeps the lowest times of several rounds.
fn lower(best: &mut Option<Measured>, new: Measured) {
    *best = Some(match best.take() {
        None => new,
        Some(old) => Measured {
            seconds: old.seconds.min(new.seconds),
            cpu_seconds: old.cpu_seconds.min(new.cpu_seconds),
            ..new
        },
    });
}

fn print(rows: &[Row], peer: bool) -> Outcome {
    say!(
        "| MNIST network, {STEPS} steps | samples/s | s a 10,000 | CPU s | ratio | ratio of CPU s |\n|---|---|---|---|---|---|"
    )?;
    let theirs = peer.then(|| rows.last()).flatten().map(|row| &row.measured);
    for row in rows {
        let Measured {
            samples,
            seconds,
            cpu_seconds,
            ..
        } = row.measured;
        let ratios = theirs.map_or([String::new(), String::new()], |theirs| {
            [theirs.seconds / seconds, theirs.cpu_seconds / cpu_seconds]
                .map(|ratio| format!("{ratio:.1}"))
        });
        say!(
            "| {} | {:.0} | {:.3} | {:.3} | {} | {} |",
            row.kernel,
            samples / seconds,
            1e4 * seconds / samples,
            1e4 * cpu_seconds / samples,
            ratios[0],
            ratios[1]
        )?;
    }
    if let Some(row) = rows.first() {
        let rates = row.measured.firing_rates.iter();
        let rates: Vec<String> = rates.map(|rate| format!("{rate:.3}")).collect();
        say!("\nfiring rates by layer: {}", rates.join(" "))?;
    }
    say!("{}", command_line())?;
    if let Ok(load) = std::fs::read_to_string("/proc/loadavg") {
        say!("load of the machine at the end: {}", load.trim())?;
    }
    Ok(())
}

/// What the best level has to keep.
fn verdict(rows: &[Row], peer: bool) -> Outcome {
    let [.., ours, theirs] = rows else {
        return Ok(());
    };
    if !peer {
        return Ok(());
    }
    let ratio = theirs.measured.seconds / ours.measured.seconds;
    if ratio < MUST {
        return Err(Failure::Work(format!(
            "{ratio:.1} times the samples a second of snnTorch, {MUST} is asked for"
        )));
    }
    if ratio < AIM {
        say!("{ratio:.1} times the samples a second of snnTorch; the aim is {AIM}")?;
    }
    Ok(())
}
