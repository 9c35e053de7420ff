//! `bitspike trace`.

use std::path::PathBuf;

use serde_json::json;

use super::eval::model_path;
use crate::trace::{Sample, Trace};
use crate::{Error, Result, model_file};

const EXAMPLES: &str = "Examples:
  bitspike trace runs/mnist-1 --images t10k-images-idx3-ubyte.gz --index 7 --json
  bitspike trace model.bsnn --events recording.csv --index 0 --json
  bitspike trace model.bsnn --spikes rows.txt --index 2 --json

Files:
  --images  an IDX file of bytes (.gz or not), three dimensions, or four with channels last; the
            picture is the input of every step
  --events  a line an event, `step,address`, in any order; address is (y * width + x) * channels + c
  --spikes  a line a step, a 0 or 1 an input in flat order, spaces and commas between them or not
Events and rows count steps from 0 to the end of the file; sample I of a model of T steps is the
steps I*T to I*T + T - 1. Empty lines and lines that start with # are skipped.

The JSON: steps[t].layers[l] with input, sum, membrane (after the clamp) and spikes; decision, scores,
first_spike, final_after. Together with `bitspike inspect MODEL --json --weights` it is enough to
compute every bit anew.";

/// Arguments of `bitspike trace`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A model file, or a run directory that holds one
    #[arg(value_name = "MODEL|RUN")]
    model: PathBuf,
    /// Where the sample is
    #[command(flatten)]
    source: Source,
    /// Which sample of the file, from 0
    #[arg(long, value_name = "I", default_value_t = 0)]
    index: u32,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// The file of the sample.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// Pictures in an IDX file, for a model that reads graded values
    #[arg(long, value_name = "IDX")]
    images: Option<PathBuf>,
    /// Events in a CSV file, for a model that reads spikes
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Rows of spikes in a text file, for a model that reads spikes
    #[arg(long, value_name = "FILE")]
    spikes: Option<PathBuf>,
}

/// Runs `bitspike trace`.
///
/// # Errors
/// If the model or the sample cannot be read, or do not belong together.
pub fn run(args: Args) -> Result<()> {
    let path = model_path(&args.model)?;
    let words = model_file::read(&path)?;
    let model = model_file::view(&words)?;
    let index = args.index as usize;
    let Source {
        images,
        events,
        spikes,
    } = &args.source;
    let (file, sample) = match (images, events, spikes) {
        (Some(file), _, _) => (file, Sample::from_images(&model, file, index)?),
        (_, Some(file), _) => (file, Sample::from_events(&model, file, index)?),
        (_, _, Some(file)) => (file, Sample::from_spikes(&model, file, index)?),
        (None, None, None) => {
            return Err(Error::usage("give --images, --events or --spikes"));
        }
    };
    let trace = Trace::of(&model, &sample)?;
    if args.json {
        let mut document = json!(trace);
        document["schema"] = json!(1);
        document["model"] = json!(path);
        document["file"] = json!(file);
        document["index"] = json!(index);
        say!("{document}")?;
    } else {
        print(&trace)?;
    }
    Ok(())
}

fn print(trace: &Trace) -> Result<()> {
    for (t, step) in trace.steps.iter().enumerate() {
        for (index, layer) in step.layers.iter().enumerate() {
            let largest = |values: &[i32]| values.iter().max().copied().unwrap_or(0);
            say!(
                "step {t}, layer {index}: {} of {} inputs are not 0, {} of {} neurons spike; \
                 largest sum {}, largest membrane {}",
                layer.input.iter().filter(|value| **value != 0).count(),
                layer.input.len(),
                layer.spikes.iter().filter(|spike| **spike == 1).count(),
                layer.spikes.len(),
                largest(&layer.sum),
                largest(&layer.membrane),
            )?;
        }
    }
    say!("scores: {:?}", trace.scores)?;
    say!(
        "decision: class {}, final after {} of {} steps",
        trace.decision,
        trace.final_after,
        trace.steps.len()
    )
}
