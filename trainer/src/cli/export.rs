//! `bitspike export`.

use std::path::PathBuf;

use bitspike_core::model::{InputKind, WeightOrder};

use super::eval::model_path;
use crate::{Error, Result, model_file};

const EXAMPLES: &str = "Examples:
  bitspike export runs/mnist-1 -o digits.bsnn
  bitspike export runs/mnist-1 -o digits.bsnn --kernel auto,dense,event    one a layer";

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
    /// The kernel of all layers, or one a layer: `auto` leaves the choice of the training, by the
    /// cost table; a layer that reads numbers has one kernel
    #[arg(
        long,
        value_name = "KERNELS",
        value_delimiter = ',',
        default_value = "auto"
    )]
    kernel: Vec<Choice>,
}

/// A kernel for a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Choice {
    Auto,
    Dense,
    Event,
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
    let mut words = model_file::read(&model_path(&args.run)?)?;
    if args.kernel != [Choice::Auto] {
        words = with_kernels(&words, &args.kernel)?;
    }
    model_file::save(&args.output, &words)?;
    say!(
        "{}: {} bytes, {} of them weights",
        args.output.display(),
        words.len() * 4,
        model_file::weight_bytes(&model_file::view(&words)?)
    )?;
    Ok(())
}

/// The model with the weights in the order that each layer's kernel reads.
fn with_kernels(words: &[u32], kernels: &[Choice]) -> Result<Vec<u32>> {
    let model = model_file::view(words)?;
    let layers = model.layers();
    if kernels.len() != 1 && kernels.len() != layers.len() {
        return Err(Error::usage(format!(
            "--kernel: {} kernels for {} layers; give one, or one a layer",
            kernels.len(),
            layers.len()
        )));
    }
    let mut orders = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let kernel = kernels.get(index).or(kernels.first());
        let reads_spikes = index > 0 || model.input_kind() == InputKind::Spikes;
        let named = kernels.len() > 1;
        orders.push(match kernel {
            Some(Choice::Dense) => WeightOrder::OutputMajor,
            Some(Choice::Event) if reads_spikes => WeightOrder::InputMajor,
            Some(Choice::Event) if named => {
                return Err(Error::usage(format!(
                    "--kernel: layer {index} reads {:?} values, which the event-driven kernel does \
                     not; give it `auto`",
                    model.input_kind()
                )));
            }
            _ => layer.spec().order,
        });
    }
    model_file::reordered(&model, &orders)
}
