//! An emulated machine: built by `cargo xtask firmware`, driven over its standard input and output.
//!
//! The lines are described in firmware/src/bin/classify.rs.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use bitspike_core::lif::Membrane;
use bitspike_core::model::Model;
use bitspike_core::network::{Difference, Network};
use serde::Deserialize;

use super::{Expected, Report, differing_bits};
use crate::emulator::start;
use crate::sample::{Frame, Sample};
use crate::{Error, Result};

/// A machine that says nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// A built firmware binary, and how to run it.
#[derive(Debug, Clone, Deserialize)]
pub struct Image {
    /// What the machine is.
    pub machine: String,
    /// The command that runs the binary on the emulated machine.
    pub runner: Vec<String>,
    /// Flash of program and model, in bytes.
    pub flash_bytes: u64,
    /// Static RAM in bytes.
    pub ram_bytes: u64,
}

impl Image {
    /// Builds the firmware of a machine with a model inside.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown machine or missing set-up, [`Error::Failed`] where the build
    /// fails or the model does not fit; the build's own message goes to stderr.
    pub fn build(machine: &str, model: &Path) -> Result<Self> {
        Self::build_program(machine, "classify", Some(model))
    }

    /// Builds a program of the firmware, with a model inside: the small one that ships, if none.
    ///
    /// # Errors
    /// As [`Image::build`].
    pub fn build_program(machine: &str, program: &str, model: Option<&Path>) -> Result<Self> {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let mut command = Command::new("cargo");
        command.args(["xtask", "firmware", machine, "--json", "--bin", program]);
        if let Some(model) = model {
            let model = std::path::absolute(model)
                .map_err(|error| Error::usage(format!("{}: {error}", model.display())))?;
            command.arg("--model").arg(model);
        }
        let output = command
            .current_dir(root)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| {
                Error::usage(format!(
                    "cannot run `cargo xtask firmware` in {root}: {error}"
                ))
            })?;
        if !output.status.success() {
            let message = format!("the firmware for {machine} was not built, see above");
            return Err(match output.status.code() {
                Some(2) => Error::usage(message),
                _ => Error::failed(message),
            });
        }
        serde_json::from_slice(&output.stdout).map_err(|error| {
            Error::failed(format!(
                "`cargo xtask firmware {machine}` gave no document: {error}"
            ))
        })
    }
}

/// Runs samples on an emulated machine and compares each with the host.
///
/// # Errors
/// [`Error::Failed`] where the emulator dies, hangs or answers something else than agreed.
pub fn verify_on(
    machine: &str,
    image: &Image,
    model: &Model<'_>,
    samples: &[Sample],
    mut progress: impl FnMut(),
) -> Result<Report> {
    let mut memory = vec![0; model.sizes().memory_words()];
    let mut network = Network::new(model, &mut memory)
        .map_err(|error| Error::failed(format!("host: {error}")))?;
    let mut report = Report {
        machine: machine.into(),
        title: image.machine.clone(),
        flash_bytes: Some(image.flash_bytes),
        ram_bytes: Some(image.ram_bytes),
        ..Report::default()
    };
    let mut emulator = Emulator::start(machine, &image.runner)?;
    let greeting = emulator.fields("bitspike")?;
    if greeting.get("model") != Some(&format!("{:08x}", model.checksum())) {
        return Err(emulator.error("it runs another model than the one to verify"));
    }
    let mut instructions = 0;
    for (index, sample) in samples.iter().enumerate() {
        let expected = Expected::of(&mut network, &sample.inputs(model)?);
        emulator.send(false, sample)?;
        let answer = emulator.fields("sample")?;
        let number = |key: &str, radix| {
            answer
                .get(key)
                .and_then(|value| u64::from_str_radix(value, radix).ok())
        };
        let same = number("hash", 16) == Some(expected.hash)
            && number("decision", 10) == Some(expected.decision.class as u64)
            && number("steps", 10) == Some(expected.steps.into())
            && number("confidence", 16) == Some(expected.confidence.into());
        if !same {
            let bits = report.differing_bits;
            compare_states(&mut emulator, &mut network, sample, index, &mut report)?;
            if report.differing_bits == bits {
                return Err(emulator.error(&format!(
                    "sample {index}: all spikes and membranes are equal, but decision, steps, hash \
                     or confidence are not: expected {expected:x?}, got {answer:?}"
                )));
            }
        }
        instructions += number("instructions", 10).unwrap_or(0);
        report.add_compared(model);
        progress();
    }
    report.instructions_per_decision = Some(instructions as f64 / samples.len().max(1) as f64);
    emulator.finish()?;
    let end = emulator.fields("end")?;
    report.stack_bytes = end.get("stack").and_then(|value| value.parse().ok());
    emulator.wait()?;
    Ok(report)
}

/// Has the machine send its state after every step, and counts the bits that differ.
fn compare_states(
    emulator: &mut Emulator,
    network: &mut Network<'_>,
    sample: &Sample,
    index: usize,
    report: &mut Report,
) -> Result<()> {
    let model = network.model();
    let inputs = sample.inputs(model)?;
    emulator.send(true, sample)?;
    network.reset();
    for (step, input) in inputs.into_iter().enumerate() {
        network.step(input);
        let mut states = Vec::new();
        for layer in 0..model.layers().len() {
            let fields = emulator.fields("state")?;
            let place = [("step", step as u64), ("layer", layer as u64)];
            if place
                .iter()
                .any(|(key, value)| fields.get(*key) != Some(&value.to_string()))
            {
                return Err(emulator.error("it sends its state in another order than agreed"));
            }
            let words = |key: &str| fields.get(key).and_then(|text| parse_words(text));
            let (Some(spikes), Some(membranes)) = (words("spikes"), words("membranes")) else {
                return Err(emulator.error("it sends a state that cannot be read"));
            };
            states.push((spikes, membranes));
        }
        report.differing_bits +=
            differing_bits(network, |layer| (&states[layer].0, &states[layer].1));
        for (layer, (spikes, membranes)) in states.iter().enumerate() {
            if let Some(difference) = difference(network, layer, spikes, membranes) {
                let device = format!("on {}", report.machine);
                report.note(index, &difference, model, ["on the host", &device]);
            }
        }
    }
    emulator.fields("sample").map(|_| ())
}

/// The first neuron of a layer that differs from the state a device sent.
pub(super) fn difference(
    network: &Network<'_>,
    layer: usize,
    spikes: &[u32],
    membranes: &[u32],
) -> Option<Difference> {
    let wide = network.model().layers()[layer].spec().membrane == Membrane::I32;
    network.difference(layer, |neuron| {
        let word = |words: &[u32], index: usize| words.get(index).copied().unwrap_or(0);
        let membrane = if wide {
            word(membranes, neuron) as i32
        } else {
            i32::from((word(membranes, neuron / 2) >> (neuron % 2 * 16)) as i16)
        };
        (
            membrane,
            word(spikes, neuron / 32) >> (neuron % 32) & 1 == 1,
        )
    })
}

/// Words of eight hexadecimal digits each, without separators.
fn parse_words(text: &str) -> Option<Vec<u32>> {
    let chunks = text.as_bytes().chunks(8);
    chunks
        .map(|digits| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())
        .collect()
}

/// A running emulator; it is killed when dropped.
struct Emulator {
    machine: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Emulator {
    fn start(machine: &str, runner: &[String]) -> Result<Self> {
        let [program, arguments @ ..] = runner else {
            return Err(Error::usage(format!(
                "{machine} is a real board, which no emulator runs: flash it with `cargo xtask flash {machine} \
                 --bin serve`, then `bitspike device verify`"
            )));
        };
        let mut child = start(machine, program, arguments)?;
        let (sender, lines) = channel();
        if let Some(output) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(output)
                    .lines()
                    .map_while(std::result::Result::ok)
                {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        let input = child.stdin.take();
        Ok(Self {
            machine: machine.into(),
            child,
            input,
            lines,
        })
    }

    fn error(&self, what: &str) -> Error {
        Error::failed(format!("{}: {what}", self.machine))
    }

    /// Sends a request: `H` or `D` with the one frame of all steps, `h` or `d` with one a step; `D`
    /// and `d` ask for the state of every step.
    fn send(&mut self, dump: bool, sample: &Sample) -> Result<()> {
        let (mode, frames) = match sample {
            Sample::Still(frame) => (b"HD", std::slice::from_ref(frame)),
            Sample::Sequence(frames) => (b"hd", frames.as_slice()),
        };
        let mut request = vec![mode[usize::from(dump)]];
        request.extend(frames.iter().flat_map(Frame::to_bytes));
        self.write(&request)
    }

    fn write(&mut self, request: &[u8]) -> Result<()> {
        let sent = self.input.as_mut().map_or(Ok(()), |input| {
            input.write_all(request).and_then(|()| input.flush())
        });
        // A machine that has died has said why in its last line, which the next read gives.
        sent.map_err(|error| match self.lines.try_recv() {
            Ok(line) => self.error(&line),
            Err(_) => self.error(&format!("the emulator takes no input: {error}")),
        })
    }

    /// The `key=value` fields of the next line, which must start with `kind`.
    fn fields(&mut self, kind: &str) -> Result<HashMap<String, String>> {
        let line = self
            .lines
            .recv_timeout(PATIENCE)
            .map_err(|error| match error {
                RecvTimeoutError::Timeout => {
                    self.error(&format!("no answer for {} seconds", PATIENCE.as_secs()))
                }
                RecvTimeoutError::Disconnected => self.error("the emulator ended early"),
            })?;
        let mut words = line.split(' ');
        if words.next() != Some(kind) {
            return Err(self.error(&line));
        }
        let fields = words.filter_map(|word| word.split_once('='));
        Ok(fields
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect())
    }

    fn finish(&mut self) -> Result<()> {
        self.write(b"Q")
    }

    fn wait(mut self) -> Result<()> {
        self.input = None;
        let status = self
            .child
            .wait()
            .map_err(|error| self.error(&error.to_string()))?;
        if status.success() {
            Ok(())
        } else {
            Err(self.error(&format!("the emulator ended with {status}")))
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
