//! `bitspike curves`.

use std::path::{Path, PathBuf};

use crate::curves::{Curve, draw};
use crate::run::read_metrics;
use crate::{Error, Result};

const EXAMPLES: &str = "Examples:
  bitspike curves runs/mnist-1 -o curves.svg                    one training, a colour a layer
  bitspike curves runs/fixed runs/annealed -o dead-neurons.svg  two trainings beside each other";

/// Arguments of `bitspike curves`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Run directories
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// The picture to write
    #[arg(short, long, value_name = "FILE.svg")]
    output: PathBuf,
}

/// Runs `bitspike curves`.
///
/// # Errors
/// If a run has no metrics, or the picture cannot be written.
pub fn run(args: Args) -> Result<()> {
    let mut named = Vec::new();
    for run in &args.runs {
        let metrics = read_metrics(run)?;
        if metrics.is_empty() {
            return Err(Error::usage(format!(
                "{}: no metrics.jsonl with an epoch in it; give a run directory of \
                 `bitspike train` in which an epoch is done",
                run.display()
            )));
        }
        named.push((name(run), metrics));
    }
    let curves: Vec<Curve<'_>> = named
        .iter()
        .map(|(name, metrics)| Curve {
            name: name.clone(),
            metrics,
        })
        .collect();
    draw(&curves, &args.output)?;
    say!("{}", args.output.display())?;
    Ok(())
}

/// The last part of a run's path.
fn name(run: &Path) -> String {
    let name = run.file_name().unwrap_or(run.as_os_str());
    name.to_string_lossy().into_owned()
}
