//! Firmware on emulated machines: built, run with a limit on time, read line by line.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bitspike_core::model::Model;
use bitspike_core::network::{Difference, Network};
use serde::Deserialize;

/// A machine that has not ended by then is stopped.
const PATIENCE: Duration = Duration::from_secs(120);

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests is a folder of the repository")
}

/// The small model that the firmware includes where none is named.
pub fn small_model() -> PathBuf {
    root().join("core/tests/models/v1-mixed.bsnn")
}

/// A built firmware binary, as `cargo xtask firmware --json` describes it.
#[derive(Debug, Deserialize)]
pub struct Firmware {
    /// The image.
    pub elf: PathBuf,
    /// The command that runs it on the emulated machine.
    pub runner: Vec<String>,
    /// Flash of program and model in bytes.
    pub flash_bytes: u64,
    /// Static RAM in bytes.
    pub ram_bytes: u64,
}

/// What a run gave.
#[derive(Debug)]
pub struct Finished {
    /// How the emulator ended.
    pub status: ExitStatus,
    /// What the machine wrote.
    pub output: String,
}

impl Firmware {
    /// Builds a binary or on-target test for a machine.
    ///
    /// # Panics
    /// With the builder's own message: where set-up has not run, it names the command to type.
    pub fn build(machine: &str, binary: &str, model: &Path) -> Self {
        let output = builder(machine, binary, model);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{message}");
        serde_json::from_slice(&output.stdout).expect("--json prints one document")
    }

    /// What the builder says of a model that it does not include.
    ///
    /// # Panics
    /// Where it builds the binary.
    pub fn refused(machine: &str, binary: &str, model: &Path) -> String {
        let output = builder(machine, binary, model);
        assert!(!output.status.success(), "{machine}: it is built");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Runs it on the emulated machine with `input` on its standard input.
    ///
    /// # Panics
    /// Where the emulator does not start, or does not end in time.
    pub fn run(&self, input: &[u8]) -> Finished {
        let mut emulator = Command::new(&self.runner[0])
            .args(&self.runner[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "cannot start {}: {error}; type `cargo xtask setup`",
                    self.runner[0]
                )
            });
        let mut pipe = emulator.stdin.take().expect("standard input is piped");
        let mut output = emulator.stdout.take().expect("standard output is piped");
        let status = thread::scope(|scope| {
            // A machine that refuses its model reads nothing: that is for its output to say.
            scope.spawn(move || pipe.write_all(input));
            let text = scope.spawn(move || {
                let mut text = String::new();
                output.read_to_string(&mut text).map(|_| text)
            });
            let status = wait(&mut emulator);
            (status, text.join().expect("the reader does not panic"))
        });
        let (Some(status), Ok(output)) = status else {
            panic!(
                "{} did not end within {} s",
                self.runner.join(" "),
                PATIENCE.as_secs()
            );
        };
        Finished { status, output }
    }
}

fn builder(machine: &str, binary: &str, model: &Path) -> Output {
    Command::new("cargo")
        .args([
            "xtask", "firmware", machine, "--json", "--bin", binary, "--model",
        ])
        .arg(model)
        .current_dir(root())
        .output()
        .expect("cargo starts, since it runs this test")
}

/// Waits for the emulator; stops it where it takes too long.
fn wait(emulator: &mut Child) -> Option<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Ok(Some(status)) = emulator.try_wait() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    // Nothing is left to do about an emulator that cannot be stopped.
    let _ = emulator.kill();
    let _ = emulator.wait();
    None
}

impl Finished {
    /// The `key=value` fields of all lines that start with `kind`, in order.
    pub fn lines(&self, kind: &str) -> Vec<HashMap<&str, &str>> {
        let lines = self.output.lines().map(|line| line.split(' '));
        lines
            .filter_map(|mut words| (words.next() == Some(kind)).then_some(words))
            .map(|words| words.filter_map(|word| word.split_once('=')).collect())
            .collect()
    }
}

/// The first neuron at which a `state` line differs from the network's state.
///
/// # Panics
/// Where the line is not as `firmware/src/bin/classify.rs` describes it.
pub fn first_difference(
    network: &Network<'_>,
    layer: usize,
    state: &HashMap<&str, &str>,
) -> Option<Difference> {
    let (spikes, membranes) = (words(state["spikes"]), words(state["membranes"]));
    let units = network.units(layer);
    assert_eq!(
        spikes.len(),
        network.spikes(layer).words().len(),
        "spike words of layer {layer}"
    );
    let wide = membranes.len() == units;
    assert!(
        wide || membranes.len() == units.div_ceil(2),
        "membrane words of layer {layer}"
    );
    network.difference(layer, |neuron| {
        let membrane = if wide {
            membranes[neuron] as i32
        } else {
            i32::from((membranes[neuron / 2] >> (neuron % 2 * 16)) as i16)
        };
        (membrane, spikes[neuron / 32] >> (neuron % 32) & 1 == 1)
    })
}

fn words(text: &str) -> Vec<u32> {
    let digits = text.as_bytes().chunks(8);
    let word = |digits| u32::from_str_radix(str::from_utf8(digits).expect("ASCII"), 16);
    digits
        .map(|digits| word(digits).expect("eight hexadecimal digits"))
        .collect()
}

/// A model file as words.
///
/// # Panics
/// Where it cannot be read, or is refused.
pub fn read_model(path: &Path) -> Vec<u32> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let words: Vec<u32> = bytes
        .chunks(4)
        .map(|word| u32::from_le_bytes(word.try_into().expect("a model file is whole words")))
        .collect();
    Model::new(&words).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
    words
}
