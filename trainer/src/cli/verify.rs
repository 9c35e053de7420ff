//! `bitspike verify`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::thread;

use bitspike_core::model::Model;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::eval::model_path;
use crate::data::{self, DataRequest, Split};
use crate::evaluate::check_shape;
use crate::sample::Sample;
use crate::verify::{Image, Report, seeded_samples, verify_host, verify_on};
use crate::{Error, Result, model_file};

const EXAMPLES: &str = "Examples:
  bitspike verify runs/mnist-1 --on host,m0,m3,rv32 --samples 100
  bitspike verify model.bsnn --on m4,m7,m33,rv32imac --data DIR --json

The machines are emulated; `cargo xtask setup` brings the emulators.";

/// Seed of the inputs that are made where no data is given.
const SEED: u64 = 1;

/// Arguments of `bitspike verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A model file, or a run directory that holds one
    #[arg(value_name = "MODEL|RUN")]
    model: PathBuf,
    /// The machines to compare with the host; `host` compares its fast kernels with the reference
    #[arg(long, value_name = "MACHINES", value_delimiter = ',', required = true)]
    on: Vec<String>,
    /// How many samples
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
    /// Folder with the data set whose test samples are taken [default: seeded inputs]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs `bitspike verify`.
///
/// # Errors
/// If a machine cannot be built or run; and [`Error::Failed`] where a bit differs.
pub fn run(args: Args) -> Result<()> {
    let path = model_path(&args.model)?;
    let words = model_file::read(&path)?;
    let model = model_file::view(&words)?;
    let samples = samples(&model, args.samples as usize, args.data.as_deref())?;
    let mut images = Vec::new();
    for machine in &args.on {
        let host = machine == "host";
        images.push((
            machine,
            if host {
                None
            } else {
                Some(Image::build(machine, &path)?)
            },
        ));
    }
    let bar = progress_bar((images.len() * samples.len()) as u64);
    let compare = |machine: &str, image: &Option<Image>| match image {
        None => verify_host(&model, &samples, || bar.inc(1)),
        Some(image) => verify_on(machine, image, &model, &samples, || bar.inc(1)),
    };
    // Each emulator is a process of its own; the threads only wait for them.
    let reports: Vec<Result<Report>> = thread::scope(|scope| {
        let threads: Vec<_> = images
            .iter()
            .map(|(machine, image)| scope.spawn(|| compare(machine.as_str(), image)))
            .collect();
        let lost = |_| Err(Error::failed("a comparison ended early"));
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(lost))
            .collect()
    });
    bar.finish_and_clear();
    let reports = reports.into_iter().collect::<Result<Vec<_>>>()?;
    if args.json {
        say!(
            "{:#}",
            json!({ "schema": 1, "model": path, "machines": reports })
        )?;
    } else {
        print(&reports)?;
    }
    let differing: Vec<&str> = reports
        .iter()
        .filter(|report| report.differing_bits > 0)
        .filter_map(|report| report.first_difference.as_deref())
        .collect();
    if differing.is_empty() {
        return Ok(());
    }
    Err(Error::failed(format!(
        "the machines do not agree\n{}",
        differing.join("\n")
    )))
}

/// The first test samples of a data set, or seeded inputs.
pub(super) fn samples(model: &Model<'_>, count: usize, data: Option<&Path>) -> Result<Vec<Sample>> {
    let Some(dir) = data else {
        return Ok(seeded_samples(model, count, SEED));
    };
    let encoding = model_file::encoding(model)?;
    let request = DataRequest {
        source: encoding.source.as_ref(),
        frames: encoding.frames.as_ref(),
        steps: model.steps(),
        ..DataRequest::test(model_file::task(model)?, Some(dir))
    };
    let test = data::load_split(&request, Split::Test)?;
    check_shape(model, &test)?;
    if test.len() < count {
        return Err(Error::usage(format!(
            "--samples {count}: {} has {} test samples",
            dir.display(),
            test.len()
        )));
    }
    Ok((0..count).map(|index| test.sample(index)).collect())
}

pub(super) fn progress_bar(len: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} samples, {eta} left");
    ProgressBar::new(len).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn print(reports: &[Report]) -> Result<()> {
    for report in reports {
        say!("{} ({})", report.machine, report.title)?;
        say!(
            "  {} differing bits of {} over {} samples",
            report.differing_bits,
            report.compared_bits,
            report.samples
        )?;
        if let (Some(flash), Some(ram)) = (report.flash_bytes, report.ram_bytes) {
            let stack = report.stack_bytes.unwrap_or(0);
            say!("  {flash} bytes of flash, {ram} bytes of RAM and {stack} of stack")?;
        }
        if let Some(instructions) = report.instructions_per_decision {
            say!("  {instructions:.0} instructions a decision (not clock cycles)")?;
        }
    }
    Ok(())
}
