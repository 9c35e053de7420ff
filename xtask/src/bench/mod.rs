//! `cargo xtask bench`: instructions, RAM and flash of networks on emulated machines.
//!
//! `tests/src/bin/networks.rs` writes the networks, the inputs, and the hash of the state that the
//! host ends with; a machine that ends with another one fails the benchmark.

mod cost;
mod device;
mod host;
mod table;
mod train;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::boards::{self, Board};
use crate::firmware::{self, Image};
use crate::outcome::{Failure, Outcome};
use crate::run::{cargo, root, stream_to_string, target_dir};
use crate::setup;
use crate::toolchain::Toolchain;

/// Flags of `cargo xtask bench`.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  cargo xtask bench --json bench.json                     every network on every machine\n  cargo xtask bench --on m3 --only conv2 --density 0.05   one row\n  cargo xtask bench --on m0,m3 --only mnist --model run/model.bsnn --kernel auto\n\nInstructions, not clock cycles: the emulator gives each the same time. They are exact on RISC-V and\nto one timer tick (40 to 62.5 instructions) on Arm. The rows of the host come from the trainer."
)]
pub(crate) struct Arguments {
    /// Another benchmark
    #[command(subcommand)]
    other: Option<Other>,
    /// Write the rows as a JSON array
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Machines [default: all]
    #[arg(long, value_name = "MACHINES", value_delimiter = ',')]
    on: Vec<String>,
    /// Only this network: mnist, shd, shd-small, dvs, conv2
    #[arg(long, value_name = "NETWORK")]
    only: Option<String>,
    /// Kernels: auto (the choice by layer), dense, event, reference
    #[arg(
        long,
        value_name = "KERNELS",
        value_delimiter = ',',
        default_value = "auto,dense,event"
    )]
    kernel: Vec<String>,
    /// Input spikes a step, 0 to 1, and so the rate of the hidden layers; of `mnist` the rate alone,
    /// since it reads pictures; of `conv2` the input alone [default: those of docs/results.md]
    #[arg(long, value_name = "RATES", value_delimiter = ',')]
    density: Vec<f64>,
    /// A trained model file in place of the seeded network `mnist`
    #[arg(long, value_name = "FILE.bsnn")]
    model: Option<PathBuf>,
}

/// Benchmarks beside that of the kernels.
#[derive(clap::Subcommand)]
enum Other {
    /// Seconds and memory of training iterations, and the ratio to snnTorch
    Train(train::Arguments),
    /// Samples a second of `bitspike eval` on this machine, and the ratio to snnTorch
    Host(host::Arguments),
    /// Fit the cost table of core anew, from measurements on emulated machines
    Fit(cost::Arguments),
    /// How often the cost table chooses the faster kernel, on networks that it was not fitted on
    Sweep(cost::Arguments),
}

/// A network with inputs, as the host wrote and computed them.
#[derive(Debug, Deserialize)]
struct Case {
    network: String,
    kernel: String,
    density: f64,
    model: PathBuf,
    inputs: PathBuf,
    samples: usize,
    /// Steps of a decision.
    steps: u32,
    warm_up: usize,
    #[serde(rename = "static")]
    is_static: bool,
    layers: Vec<String>,
    weight_bytes: u64,
    state_bytes: u64,
    hidden_rate: f64,
    input_rate: f64,
    rates: Vec<f64>,
    costs: Vec<cost::Known>,
    hash: String,
}

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

/// A line of the JSON document.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
enum Row {
    /// The mean over samples.
    Instructions {
        network: String,
        target: String,
        kernel: String,
        density: f64,
        phase: String,
        instructions: f64,
        samples: usize,
    },
    /// Of the build that the instructions come from (`bench`), or of the smallest program that
    /// decides (`classify`).
    Memory {
        network: String,
        target: String,
        program: &'static str,
        kernel: String,
        /// Static RAM: state, scratch and one input, and what the program itself needs.
        ram_bytes: u64,
        flash_bytes: u64,
        weight_bytes: u64,
        /// State and scratch of the network, a part of `ram_bytes`.
        state_bytes: u64,
        /// Flash without the model.
        code_bytes: u64,
        /// Stack of the whole program, and of one step; unknown where it was not run.
        stack_bytes: Option<u64>,
        step_stack_bytes: Option<u64>,
    },
}

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    match &arguments.other {
        Some(Other::Train(arguments)) => return train::run(arguments),
        Some(Other::Host(arguments)) => return host::run(arguments),
        Some(Other::Fit(arguments)) => return cost::fit(arguments),
        Some(Other::Sweep(arguments)) => return cost::sweep(arguments),
        None => {}
    }
    let boards = boards::chosen(&arguments.on)?;
    let ready: Vec<(Board, Toolchain)> = boards
        .into_iter()
        .map(|board| setup::ready_for(&board).map(|toolchain| (board, toolchain)))
        .collect::<Outcome<_>>()?;
    let cases = cases(arguments)?;
    print_rates(&cases);
    let mut rows = Vec::new();
    let mut unfit = Vec::new();
    for (board, toolchain) in &ready {
        for case in &cases {
            note!(
                "{} with kernel {} at {} % on {}",
                case.network,
                case.kernel,
                100.0 * case.density,
                board.name
            );
            match measure(board, toolchain, case, &mut rows) {
                Err(Failure::DoesNotFit(why)) => {
                    note!("{}: {why}", board.name);
                    unfit.push((board.name.clone(), why));
                }
                other => other?,
            }
        }
    }
    table::print(&rows, &unfit, &command_line())?;
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&rows).expect("plain data");
        fs::write(path, text + "\n").map_err(|e| Failure::file("write", path, &e))?;
    }
    Ok(())
}

fn command_line() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    format!("cargo xtask {}", arguments.join(" "))
}

/// The program that writes networks and inputs into the folder of the benchmarks.
fn networks(kernels: &[&str]) -> Command {
    let mut command = cargo();
    command.args(["run", "--quiet", "--locked", "--package", "bitspike-tests"]);
    command.args(["--bin", "networks", "--", "--out"]);
    command.arg(target_dir().join("bench"));
    command.args(["--kernels", &kernels.join(",")]);
    command
}

/// Runs it.
fn written(command: &mut Command) -> Outcome<Vec<Case>> {
    let text = stream_to_string(command)?;
    let cases: Cases = serde_json::from_str(&text)
        .map_err(|error| Failure::Work(format!("the networks' document: {error}")))?;
    Ok(cases.cases)
}

/// Has the host write the networks and inputs.
fn cases(arguments: &Arguments) -> Outcome<Vec<Case>> {
    for kernel in &arguments.kernel {
        device::letter(kernel)?;
    }
    if let Some(density) = arguments.density.iter().find(|d| !(0.0..=1.0).contains(*d)) {
        return Err(Failure::Usage(format!(
            "--density {density}: it is a share, 0 to 1"
        )));
    }
    let kernels: Vec<&str> = arguments.kernel.iter().map(String::as_str).collect();
    let mut command = networks(&kernels);
    if let Some(only) = &arguments.only {
        command.args(["--only", only]);
    }
    if !arguments.density.is_empty() {
        let densities: Vec<String> = arguments.density.iter().map(f64::to_string).collect();
        command.args(["--density", &densities.join(",")]);
    }
    if let Some(model) = &arguments.model {
        let model = fs::canonicalize(model).map_err(|error| {
            Failure::Usage(format!(
                "cannot read the model {}: {error}",
                model.display()
            ))
        })?;
        command.arg("--model").arg(model);
    }
    let cases = written(&mut command)?;
    if cases.is_empty() {
        return Err(Failure::Usage(format!(
            "no network is called `{}`; see `cargo xtask bench --help`",
            arguments.only.as_deref().unwrap_or_default()
        )));
    }
    Ok(cases)
}

/// What was asked of the seeded networks, and what they really do.
fn print_rates(cases: &[Case]) {
    for case in cases {
        let layers: Vec<String> = case
            .layers
            .iter()
            .zip(&case.rates)
            .map(|(layer, rate)| format!("{layer} {:.2} %", 100.0 * rate))
            .collect();
        note!(
            "{} {} at {} %: asked hidden {:.0} %; input not 0 {:.2} %, fired {}",
            case.network,
            case.kernel,
            100.0 * case.density,
            100.0 * case.hidden_rate,
            100.0 * case.input_rate,
            layers.join(", ")
        );
    }
}

/// Builds and runs one case on one board.
fn measure(board: &Board, toolchain: &Toolchain, case: &Case, rows: &mut Vec<Row>) -> Outcome {
    let image = firmware::build(board, toolchain, "bench", Some(&case.model))?;
    let measured = device::run(&image.runner, case, &board.name)?;
    let mut phase = |phase: String, values: &[f64]| {
        rows.push(Row::Instructions {
            network: case.network.clone(),
            target: board.name.clone(),
            kernel: case.kernel.clone(),
            density: case.density,
            phase,
            instructions: values.iter().sum::<f64>() / values.len().max(1) as f64,
            samples: values.len(),
        });
    };
    if case.is_static {
        phase("decision".into(), &measured.decisions);
    }
    phase("step".into(), &measured.steps);
    for (index, layer) in case.layers.iter().enumerate() {
        let values: Vec<f64> = measured.layers.iter().map(|step| step[index]).collect();
        phase(format!("layer:{layer}"), &values);
    }
    if let Some(first) = case.layers.first().filter(|_| !measured.sums.is_empty()) {
        phase(format!("sums:{first}"), &measured.sums);
    }
    let memory = |program, image: &Image, stacks: [Option<u64>; 2]| Row::Memory {
        network: case.network.clone(),
        target: board.name.clone(),
        program,
        kernel: case.kernel.clone(),
        ram_bytes: image.ram_bytes,
        flash_bytes: image.flash_bytes,
        weight_bytes: case.weight_bytes,
        state_bytes: case.state_bytes,
        code_bytes: image.code_bytes,
        stack_bytes: stacks[0],
        step_stack_bytes: stacks[1],
    };
    let stacks = [Some(measured.stack), Some(measured.step_stack)];
    let mut programs = vec![memory("bench", &image, stacks)];
    if case.kernel == "auto" {
        let image = firmware::build(board, toolchain, "classify", Some(&case.model))?;
        programs.push(memory("classify", &image, [None, None]));
    }
    // Several densities may share a network.
    programs.retain(|row| !rows.contains(row));
    rows.append(&mut programs);
    Ok(())
}

/// The peer's figures, one file for all: `tests/peers/cmsis-nn.json`.
fn peers() -> Outcome<serde_json::Value> {
    let path = root().join("tests/peers/cmsis-nn.json");
    let text = fs::read_to_string(&path).map_err(|e| Failure::file("read", &path, &e))?;
    serde_json::from_str(&text).map_err(|e| Failure::Work(format!("{}: {e}", path.display())))
}
