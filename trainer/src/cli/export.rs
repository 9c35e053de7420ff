//! `bitspike export`.

use std::path::PathBuf;

use super::eval::model_path;
use crate::{Error, Result, model_file};

const EXAMPLES: &str = "Examples:
  bitspike export runs/mnist-1 -o digits.bsnn";

/// Arguments of `bitspike export`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The run directory of a finished training
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The model file to write
    #[arg(short, long, value_name = "FILE.bsnn")]
    output: PathBuf,
}

/// Runs `bitspike export`: the run's model, checked, under another name.
///
/// # Errors
/// If the run has no model yet, or the file cannot be written.
pub fn run(args: Args) -> Result<()> {
    if !args.run.is_dir() {
        return Err(Error::usage(format!(
            "{} is no run directory",
            args.run.display()
        )));
    }
    let words = model_file::read(&model_path(&args.run)?)?;
    model_file::save(&args.output, &words)?;
    println!(
        "{}: {} bytes, {} of them weights",
        args.output.display(),
        words.len() * 4,
        model_file::weight_bytes(&model_file::view(&words)?)
    );
    Ok(())
}
