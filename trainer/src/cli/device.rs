//! `bitspike device`: a device at a serial port, behind a socket, or emulated.

mod monitor;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bitspike_core::model::Model;
use clap::Subcommand;
use indicatif::ProgressStyle;
use serde_json::json;

use super::eval::model_path;
use super::verify::{progress_bar, samples};
use crate::device::{Client, Timing, open, serial_ports};
use crate::verify::{Depth, Report, check_model, frame_of, verify_device};
use crate::{Error, Result, model_file};

const EXAMPLES: &str = "Examples:
  bitspike device list
  bitspike device info --port /dev/ttyACM0
  bitspike device load run/model.bsnn --port /dev/ttyACM0
  bitspike device verify run --port tcp:localhost:7777 --samples 100
  bitspike device monitor run --port emulator:m3

A port is the path of a serial port, tcp:HOST:PORT, or emulator:BOARD, which builds and starts the
board's `serve` with the model inside. docs/protocol.md is the protocol.";

/// Arguments of `bitspike device`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the serial ports of this machine
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Say who the device is: board, versions, model, memory, stack, what ended its last run
    Info {
        #[command(flatten)]
        line: Line,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Load a model into the device's memory, where there is room
    Load {
        /// A model file, or a run directory that holds one
        #[arg(value_name = "MODEL|RUN", required_unless_present = "unload")]
        model: Option<PathBuf>,
        /// Go back to the model in the firmware
        #[arg(long, conflicts_with = "model")]
        unload: bool,
        #[command(flatten)]
        line: Line,
    },
    /// Decide on samples
    Run {
        #[command(flatten)]
        work: Work,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Compare every spike and membrane with the host
    Verify {
        #[command(flatten)]
        work: Work,
        /// Read every spike and membrane over the line, in place of a hash of them
        #[arg(long)]
        full: bool,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Count the instructions of decisions
    Bench {
        #[command(flatten)]
        work: Work,
        /// Decisions on each sample
        #[arg(long, value_name = "N", default_value_t = 1,
              value_parser = clap::value_parser!(u16).range(1..))]
        runs: u16,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Draw the spikes of a layer while the device runs, a line a step
    Monitor {
        #[command(flatten)]
        work: Work,
        #[command(flatten)]
        picture: monitor::Picture,
    },
}

/// How the device is reached.
#[derive(Debug, clap::Args)]
struct Line {
    /// A serial port, tcp:HOST:PORT, or emulator:BOARD
    #[arg(long, value_name = "PORT")]
    port: String,
    /// Seconds to wait for an answer, repetitions included
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    timeout: f64,
}

/// A model, samples for it, and a device.
#[derive(Debug, clap::Args)]
struct Work {
    /// A model file, or a run directory that holds one
    #[arg(value_name = "MODEL|RUN")]
    model: PathBuf,
    #[command(flatten)]
    line: Line,
    /// Load the model into the device first
    #[arg(long)]
    load: bool,
    /// How many samples
    #[arg(long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
    /// Folder with the data set whose test samples are taken [default: seeded inputs]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Runs `bitspike device`.
///
/// # Errors
/// Where the device cannot be reached or refuses; and [`Error::Failed`] where a bit differs.
pub fn run(args: Args) -> Result<()> {
    match args.command {
        Command::List { json } => list(json),
        Command::Info { line, json } => info(&line, json),
        Command::Load {
            model,
            unload: _,
            line,
        } => match model {
            Some(model) => load(&model_path(&model)?, &line),
            None => {
                line.open(None)?.unload()?;
                say!("the model in the firmware is in use")?;
                Ok(())
            }
        },
        Command::Run { work, json } => decide(&work, json),
        Command::Verify { work, full, json } => {
            verify(&work, if full { Depth::Full } else { Depth::Hash }, json)
        }
        Command::Bench { work, runs, json } => bench(&work, runs, json),
        Command::Monitor { work, picture } => {
            let words = work.words()?;
            let model = model_file::view(&words)?;
            let samples = samples(&model, work.samples as usize, work.data.as_deref())?;
            picture.check(&model)?;
            let mut client = work.client(&model)?;
            picture.draw(&mut client, &model, &samples)
        }
    }
}

impl Line {
    fn open(&self, model: Option<&Path>) -> Result<Client> {
        if !(0.05..=3600.0).contains(&self.timeout) {
            return Err(Error::usage(format!(
                "--timeout {}: give 0.05 to 3600 seconds",
                self.timeout
            )));
        }
        let timing = Timing {
            answer: Duration::from_secs_f64(self.timeout),
            ..Timing::default()
        };
        Ok(Client::open(open(&self.port, model)?, timing)?)
    }
}

impl Work {
    fn words(&self) -> Result<Vec<u32>> {
        model_file::read(&model_path(&self.model)?)
    }

    /// A session with a device that has the model.
    fn client(&self, model: &Model<'_>) -> Result<Client> {
        let path = model_path(&self.model)?;
        // An emulator is built with the model inside, unless the line is to bring it.
        let mut client = self.line.open((!self.load).then_some(&*path))?;
        if self.load {
            load_file(&mut client, &path)?;
        }
        check_model(&client, model)?;
        Ok(client)
    }
}

fn list(json: bool) -> Result<()> {
    let ports = serial_ports()?;
    if json {
        say!("{:#}", json!({ "schema": 1, "ports": ports }))?;
    } else if ports.is_empty() {
        say!("no serial ports; `--port tcp:HOST:PORT` and `--port emulator:m3` need none")?;
    } else {
        ports.iter().try_for_each(|port| say!("{port}"))?;
    }
    Ok(())
}

fn info(line: &Line, json: bool) -> Result<()> {
    let client = line.open(None)?;
    let device = client.identified();
    if json {
        say!(
            "{:#}",
            json!({ "schema": 1, "port": line.port, "device": device })
        )?;
        return Ok(());
    }
    say!("{} (firmware {})", device.board, device.firmware)?;
    say!(
        "  protocol {}, model format {}, saved states {}",
        device.protocol,
        device.model_format,
        device.state_format
    )?;
    say!(
        "  {} bytes of memory for models and states, {} of them free",
        device.memory_bytes,
        device.free_bytes
    )?;
    say!(
        "  {} bytes of stack used at most, of {}",
        device.stack_bytes,
        device.stack_limit_bytes
    )?;
    if let Some(crash) = &device.crash {
        say!("  the last run ended in {crash}")?;
    }
    match device.model {
        Some(model) => say!(
            "  model {:08x} ({}): {} bytes, {} layers, {} classes, {} steps, samples of {} bytes",
            model.checksum,
            if model.loaded {
                "loaded"
            } else {
                "in the firmware"
            },
            model.file_bytes,
            model.layers,
            model.classes,
            model.steps,
            model.sample_bytes
        )?,
        None => say!("  no model: the one in the firmware is damaged")?,
    }
    Ok(())
}

fn load(path: &Path, line: &Line) -> Result<()> {
    // Not `model_file::read`: what the device refuses, and how, is its own word.
    let mut client = line.open(None)?;
    load_file(&mut client, path)?;
    let model = client.identified().model;
    say!(
        "the device has the model {:08x}, {} bytes are free",
        model.map_or(0, |model| model.checksum),
        client.identified().free_bytes
    )?;
    Ok(())
}

fn load_file(client: &mut Client, path: &Path) -> Result<()> {
    let file = fs::read(path).map_err(|error| {
        Error::usage(format!("cannot read the model {}: {error}", path.display()))
    })?;
    let bar = progress_bar(file.len() as u64);
    let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let loaded = client.load_model(&file, |bytes| bar.inc(bytes as u64));
    bar.finish_and_clear();
    Ok(loaded?)
}

fn verify(work: &Work, depth: Depth, json: bool) -> Result<()> {
    let words = work.words()?;
    let model = model_file::view(&words)?;
    let samples = samples(&model, work.samples as usize, work.data.as_deref())?;
    let mut client = work.client(&model)?;
    let bar = progress_bar(samples.len() as u64);
    let report = verify_device(&mut client, &model, &samples, depth, || bar.inc(1));
    bar.finish_and_clear();
    let report = report?;
    let (requests, repeated) = client.traffic();
    if json {
        say!(
            "{:#}",
            json!({
                "schema": 1, "model": work.model, "port": work.line.port, "device": report,
                "requests": requests, "repeated": repeated,
            })
        )?;
    } else {
        print(&report)?;
        say!("  {requests} requests, {repeated} of them repeated")?;
    }
    match &report.first_difference {
        None => Ok(()),
        Some(difference) => Err(Error::failed(format!(
            "the device does not agree\n{difference}"
        ))),
    }
}

fn print(report: &Report) -> Result<()> {
    say!("{} ({})", report.machine, report.title)?;
    say!(
        "  {} differing bits of {} over {} samples",
        report.differing_bits,
        report.compared_bits,
        report.samples
    )?;
    if let Some(stack) = report.stack_bytes {
        say!("  {stack} bytes of stack")?;
    }
    if let Some(instructions) = report.instructions_per_decision {
        say!("  {instructions:.0} instructions a decision (not clock cycles on an emulator)")?;
    }
    Ok(())
}

/// One sample through the device, by its own steps where it has other inputs in each.
fn decide(work: &Work, json: bool) -> Result<()> {
    let words = work.words()?;
    let model = model_file::view(&words)?;
    let samples = samples(&model, work.samples as usize, work.data.as_deref())?;
    let mut client = work.client(&model)?;
    let mut rows = Vec::new();
    for (index, sample) in samples.iter().enumerate() {
        sample.inputs(&model)?;
        client.reset()?;
        let mut instructions = 0;
        for step in 0..model.steps() {
            if let Some(frame) = frame_of(sample, step as usize) {
                client.load_sample(&frame.to_bytes())?;
            }
            instructions += client.step(1)?.instructions;
        }
        let (class, confidence) = client.decide()?;
        let confidence = f32::from_bits(confidence);
        if !json {
            say!(
                "sample {index}: class {class}, confidence {confidence:.3}, {instructions} instructions"
            )?;
        }
        rows.push(json!({
            "class": class, "confidence": confidence, "instructions": instructions,
        }));
    }
    if json {
        say!(
            "{:#}",
            json!({ "schema": 1, "model": work.model, "samples": rows })
        )?;
    }
    Ok(())
}

fn bench(work: &Work, runs: u16, json: bool) -> Result<()> {
    let words = work.words()?;
    let model = model_file::view(&words)?;
    let samples = samples(&model, work.samples as usize, work.data.as_deref())?;
    let mut client = work.client(&model)?;
    let bar = progress_bar(samples.len() as u64);
    let (mut instructions, mut steps) = (0, 0);
    for sample in &samples {
        // A decision on the first frame: the device repeats one input.
        if let Some(frame) = frame_of(sample, 0) {
            client.load_sample(&frame.to_bytes())?;
        }
        let (taken, stepped) = client.benchmark(runs)?;
        instructions += taken;
        steps += u64::from(stepped);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let decisions = samples.len() as u64 * u64::from(runs);
    let mean = |value: u64| value as f64 / decisions as f64;
    if json {
        say!(
            "{:#}",
            json!({
                "schema": 1, "model": work.model, "decisions": decisions,
                "instructions": mean(instructions), "steps": mean(steps),
            })
        )?;
    } else {
        say!(
            "{:.0} instructions and {:.2} steps a decision, over {decisions} decisions (by the board's counter)",
            mean(instructions),
            mean(steps)
        )?;
    }
    Ok(())
}
