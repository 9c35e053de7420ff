//! The conversation with `bench` on an emulated machine; firmware/src/bin/bench.rs describes it.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::Case;
use crate::outcome::{Failure, Outcome};

/// A machine that has not ended by then is stopped.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a run gave, one value a sample.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) decisions: Vec<f64>,
    pub(super) steps: Vec<f64>,
    pub(super) layers: Vec<Vec<f64>>,
    /// Of the first layer's synaptic sums alone, where its input is spikes.
    pub(super) sums: Vec<f64>,
    /// Bytes of stack of decisions and steps alone, and of the program.
    pub(super) step_stack: u64,
    pub(super) stack: u64,
}

/// The request for a kernel by its name on the command line.
pub(super) fn letter(kernel: &str) -> Outcome<&'static [u8]> {
    match kernel {
        "auto" => Ok(b""),
        "reference" => Ok(b"Kr"),
        "dense" => Ok(b"Kd"),
        "event" => Ok(b"Ke"),
        other => Err(Failure::Usage(format!(
            "no kernel is called `{other}`; there are auto, dense, event, reference"
        ))),
    }
}

/// Runs the inputs of a case.
pub(super) fn run(runner: &[String], case: &Case, machine: &str) -> Outcome<Measured> {
    let bytes = std::fs::read(&case.inputs).map_err(|e| Failure::file("read", &case.inputs, &e))?;
    let count = case.samples + case.warm_up;
    let inputs: Vec<&[u8]> = bytes.chunks(bytes.len() / count.max(1)).collect();
    let failed = |what: &str| {
        Failure::Work(format!(
            "{} with kernel {} on {machine}: {what}",
            case.network, case.kernel
        ))
    };
    let text = talk(runner, requests(case, &inputs)?).map_err(|what| failed(&what))?;
    let mut measured = Measured::default();
    let mut hashes = 0;
    let mut ended = false;
    for line in text.lines() {
        let (kind, fields) = line.split_once(' ').unwrap_or((line, ""));
        let field = |key: &str| {
            let mut words = fields.split(' ').filter_map(|word| word.split_once('='));
            words.find(|(name, _)| *name == key).map(|(_, value)| value)
        };
        let number = |key| field(key).and_then(|value| value.parse::<u64>().ok());
        let unreadable = || failed(&format!("it says `{line}`"));
        match kind {
            "bitspike" if field("board") == Some(machine) => {}
            "decision" => measured
                .decisions
                .push(number("instructions").ok_or_else(unreadable)? as f64),
            "step" => measured
                .steps
                .push(number("instructions").ok_or_else(unreadable)? as f64),
            "sums" => measured
                .sums
                .push(number("instructions").ok_or_else(unreadable)? as f64),
            "layers" => {
                let values = field("instructions").ok_or_else(unreadable)?.split(',');
                let values: Result<Vec<f64>, _> = values.map(str::parse).collect();
                let values = values.map_err(|_| unreadable())?;
                if values.len() != case.layers.len() + 1 {
                    return Err(unreadable());
                }
                measured.layers.push(values);
            }
            "state" => {
                hashes += 1;
                if field("hash") != Some(&*case.hash) {
                    return Err(failed(&format!(
                        "it ends in another state than the host: hash {}, not {}; see `bitspike verify`",
                        field("hash").unwrap_or("none"),
                        case.hash
                    )));
                }
            }
            "end" => {
                ended = true;
                measured.stack = number("stack").ok_or_else(unreadable)?;
                measured.step_stack = number("running").ok_or_else(unreadable)?;
            }
            _ => return Err(unreadable()),
        }
    }
    if !ended || hashes == 0 {
        return Err(failed("it ended early"));
    }
    // A stream's first steps are not typical.
    if !case.is_static {
        measured.steps.drain(..case.warm_up);
        measured.layers.drain(..case.warm_up);
    }
    Ok(measured)
}

fn requests(case: &Case, inputs: &[&[u8]]) -> Outcome<Vec<u8>> {
    let mut requests = letter(&case.kernel)?.to_vec();
    let mut each = |letters: &[&[u8]]| {
        for input in inputs {
            for letter in letters {
                requests.extend(*letter);
                requests.extend(*input);
            }
        }
    };
    if case.is_static {
        each(&[b"R"]);
        requests.extend(b"H");
        // A step after a decision, in which the hidden layers fire as they do on average.
        let mut each = |input: &[u8]| {
            for letter in [b'R', b'S', b'R', b'L'] {
                requests.push(letter);
                requests.extend(input);
            }
        };
        inputs.iter().for_each(|input| each(input));
    } else {
        each(&[b"S"]);
        requests.extend(b"HZ");
        for input in inputs {
            requests.push(b'L');
            requests.extend(*input);
        }
        requests.extend(b"H");
        // The machine runs the kernel of the weights' order, which the reference has not.
        if case.kernel != "reference" {
            for input in inputs.iter().skip(case.warm_up) {
                requests.push(b'X');
                requests.extend(*input);
            }
        }
    }
    requests.push(b'Q');
    Ok(requests)
}

/// What the machine writes when it is sent all requests.
fn talk(runner: &[String], requests: Vec<u8>) -> Result<String, String> {
    let mut emulator = Command::new(&runner[0])
        .args(&runner[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| {
            format!(
                "cannot start {}: {error}; type `cargo xtask setup`",
                runner[0]
            )
        })?;
    let (mut input, mut output) = (
        emulator.stdin.take().expect("it is piped"),
        emulator.stdout.take().expect("it is piped"),
    );
    let (sender, receiver) = mpsc::channel();
    // A machine that refuses its model reads nothing: that is for its output to say.
    thread::spawn(move || input.write_all(&requests));
    thread::spawn(move || {
        let mut text = String::new();
        let read = output.read_to_string(&mut text).map(|_| text);
        sender.send(read.map_err(|error| error.to_string()))
    });
    let text = receiver.recv_timeout(PATIENCE);
    if text.is_err() {
        // It ends by itself otherwise; one that cannot be stopped is beyond help.
        let _ = emulator.kill();
    }
    let _ = emulator.wait();
    text.map_err(|_| format!("no end within {} s", PATIENCE.as_secs()))?
}
