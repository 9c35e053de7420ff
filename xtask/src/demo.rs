//! `cargo xtask demo`: the whole path, from labelled pictures to three emulated microcontrollers.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::outcome::{Failure, Outcome};
use crate::run::{cargo, root, stream, stream_to_string, target_dir};
use crate::setup;

/// Accuracy that the integer network must reach on the bundled test pictures.
const ACCURACY: f64 = 0.96;
/// Length of the demo's training, chosen on the validation samples.
const EPOCHS: &str = "train.epochs=30";
/// The machines, and how many samples run on each.
const MACHINES: &str = "host,m0,m3,rv32";
const SAMPLES: &str = "100";

/// Flags of `cargo xtask demo`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask demo\n  cargo xtask demo --set train.epochs=2     shorter, and less accurate"
)]
pub(crate) struct Arguments {
    /// Change a setting of the training, as `bitspike train` takes it
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// What is read of `bitspike eval --json`.
#[derive(Deserialize)]
struct Evaluation {
    accuracy: f64,
    samples: u64,
    correct: u64,
}

/// What is read of `bitspike verify --json`.
#[derive(Deserialize)]
struct Verification {
    machines: Vec<Machine>,
}

#[derive(Deserialize)]
struct Machine {
    machine: String,
    title: String,
    samples: u64,
    differing_bits: u64,
    first_difference: Option<String>,
    flash_bytes: Option<u64>,
    ram_bytes: Option<u64>,
    stack_bytes: Option<u64>,
    instructions_per_decision: Option<f64>,
}

/// Trains, evaluates, verifies and sums up.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    setup::ensure()?;
    stream(cargo().args(["build", "--package", "bitspike-trainer", "--locked"]))?;

    let start = Instant::now();
    let folder = target_dir().join("demo");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|e| Failure::file("remove", &folder, &e))?;
    }
    let run = folder.join("run");
    let mut train = bitspike(&["train", "mnist", "--out"]);
    train.arg(shortened(&run));
    // The bundled set is a sixth of the full one: more epochs make up for it.
    train.args(["--set", EPOCHS]);
    for setting in &arguments.set {
        train.args(["--set", setting]);
    }
    stream(&mut train)?;

    let evaluation: Evaluation = document(bitspike(&["eval", "--json"]).arg(shortened(&run)))?;
    let model = run.join("model.bsnn");
    let mut verify = bitspike(&["verify", "--json", "--on", MACHINES, "--samples", SAMPLES]);
    verify
        .args(["--data", "trainer/data/mnist-small"])
        .arg(shortened(&model));
    // Where bits differ it names the first one and fails by itself.
    let verification: Verification = document(&mut verify)?;

    say!(
        "\nTrained, folded, exported and checked in {:.0} s",
        start.elapsed().as_secs_f64()
    )?;
    say!(
        "accuracy of the integer network: {:.2} % ({} of {} test pictures)",
        100.0 * evaluation.accuracy,
        evaluation.correct,
        evaluation.samples
    )?;
    verification.machines.iter().try_for_each(Machine::print)?;
    say!("picture: {}", run.join("overview.svg").display())?;
    say!("model:   {}", model.display())?;
    judge(&evaluation, &verification, &run)
}

impl Machine {
    fn print(&self) -> Outcome {
        say!("{} ({})", self.machine, self.title)?;
        say!(
            "  {} differing bits over {} samples",
            self.differing_bits,
            self.samples
        )?;
        if let (Some(flash), Some(ram)) = (self.flash_bytes, self.ram_bytes) {
            let stack = self
                .stack_bytes
                .map_or_else(String::new, |bytes| format!(" and {bytes} of stack"));
            say!("  {flash} bytes of flash, {ram} bytes of RAM{stack}")?;
        }
        if let Some(instructions) = self.instructions_per_decision {
            say!("  {instructions:.0} instructions a decision (instructions, not clock cycles)")?;
        }
        Ok(())
    }
}

/// Holds the results against what the demo promises.
fn judge(evaluation: &Evaluation, verification: &Verification, run: &Path) -> Outcome {
    let mut failures = Vec::new();
    if evaluation.accuracy < ACCURACY {
        failures.push(format!(
            "the accuracy is {:.2} %, and {:.0} % is asked for",
            100.0 * evaluation.accuracy,
            100.0 * ACCURACY
        ));
    }
    for machine in MACHINES.split(',') {
        match verification
            .machines
            .iter()
            .find(|report| report.machine == machine)
        {
            None => failures.push(format!("{machine} was not compared")),
            Some(report) if report.differing_bits > 0 => failures.push(format!(
                "{machine} differs from the host: {}",
                report.first_difference.as_deref().unwrap_or("see above")
            )),
            Some(_) => {}
        }
    }
    let picture = run.join("overview.svg");
    if !picture.is_file() {
        failures.push(format!("there is no picture {}", picture.display()));
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(Failure::Work(failures.join("\n       ")))
    }
}

/// The `bitspike` command that was just built.
fn bitspike(arguments: &[&str]) -> Command {
    let mut command = Command::new(target_dir().join("debug/bitspike"));
    command.current_dir(root()).args(arguments);
    command
}

/// A path as it is typed in the repository's root.
fn shortened(path: &Path) -> PathBuf {
    path.strip_prefix(root()).unwrap_or(path).to_owned()
}

/// Runs a command for the JSON document on its stdout.
fn document<T: DeserializeOwned>(command: &mut Command) -> Outcome<T> {
    let text = stream_to_string(command)?;
    serde_json::from_str(&text).map_err(|error| {
        let name = command
            .get_args()
            .next()
            .unwrap_or(OsStr::new(""))
            .to_string_lossy();
        Failure::Work(format!(
            "the document of `bitspike {name}` is not as expected: {error}"
        ))
    })
}
