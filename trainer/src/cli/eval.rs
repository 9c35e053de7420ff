//! `bitspike eval`.

use std::path::{Path, PathBuf};

use bitspike_core::model::Model;
use serde_json::json;

use crate::assess::assess;
use crate::config::Config;
use crate::data::{self, DataRequest, Samples, Split};
use crate::evaluate::{Evaluation, evaluate};
use crate::ops::sign::Weights;
use crate::run::load_network;
use crate::{Error, Result, model_file};

const EXAMPLES: &str = "Examples:
  bitspike eval runs/mnist-1                     the bundled test pictures
  bitspike eval runs/mnist-1 --data DIR          the test pictures of the full files in DIR
  bitspike eval model.bsnn --images t10k-images-idx3-ubyte.gz --labels t10k-labels-idx1-ubyte.gz";

/// Arguments of `bitspike eval`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A model file, or a run directory that holds one
    #[arg(value_name = "MODEL|RUN")]
    model: PathBuf,
    /// Where the samples are
    #[command(flatten)]
    source: Source,
    /// Use only the first samples
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Where samples are read from.
#[derive(Debug, clap::Args)]
struct Source {
    /// Folder with the data set's files [default: the small set that comes with bitspike]
    #[arg(long, value_name = "DIR", conflicts_with_all = ["images", "labels"])]
    data: Option<PathBuf>,
    /// Which part of the data set
    #[arg(long, value_enum, default_value_t = Split::Test)]
    split: Split,
    /// Pictures in an IDX file
    #[arg(long, value_name = "IDX", requires = "labels")]
    images: Option<PathBuf>,
    /// Their labels in an IDX file
    #[arg(long, value_name = "IDX", requires = "images")]
    labels: Option<PathBuf>,
}

/// Runs `bitspike eval`.
///
/// # Errors
/// If the model or the data cannot be read, or do not belong together.
pub fn run(args: Args) -> Result<()> {
    if let Some(config) = float_run(&args.model)? {
        return of_float_network(&args, &config);
    }
    let path = model_path(&args.model)?;
    let words = model_file::read(&path)?;
    let model = model_file::view(&words)?;
    let mut samples = args.source.load(&args.model, Some(&model))?;
    if let Some(limit) = args.limit {
        samples.truncate(limit as usize);
    }
    let result = evaluate(&model, &samples)?;
    if args.json {
        say!("{:#}", document(&path, &result))?;
    } else {
        print(&result)?;
    }
    Ok(())
}

/// The configuration of a run whose weights are float, which has no model file.
fn float_run(run: &Path) -> Result<Option<Config>> {
    let known = run.join("config.toml");
    if !known.is_file() {
        return Ok(None);
    }
    let config = Config::load(&known.to_string_lossy(), &[])?;
    Ok((config.network.weights == Weights::Float).then_some(config))
}

/// Evaluates the network of a run with float weights.
fn of_float_network(args: &Args, config: &Config) -> Result<()> {
    let mut samples = args.source.load(&args.model, None)?;
    if let Some(limit) = args.limit {
        samples.truncate(limit as usize);
    }
    let network = load_network(&args.model, config, samples.input())?;
    let assessed = assess(&network, &samples)?;
    if args.json {
        let document = json!({
            "schema": 1,
            "model": args.model,
            "weights": "float",
            "samples": assessed.samples,
            "correct": assessed.correct,
            "accuracy": assessed.accuracy(),
            "steps_mean": config.network.steps,
            "firing_rates": assessed.firing_rates,
        });
        say!("{document:#}")?;
    } else {
        say!(
            "accuracy of the float network: {:.2} % ({} of {} samples); its weights are float, so \
             there is no integer network",
            100.0 * assessed.accuracy(),
            assessed.correct,
            assessed.samples
        )?;
    }
    Ok(())
}

/// The model file that an argument `MODEL|RUN` names.
///
/// # Errors
/// [`Error::Usage`] for a run without a model, or where there is nothing.
pub(super) fn model_path(model: &Path) -> Result<PathBuf> {
    if !model.is_dir() {
        return Ok(model.to_owned());
    }
    let path = model.join(model_file::NAME);
    if path.exists() {
        return Ok(path);
    }
    let shown = model.display();
    Err(Error::usage(if model.join("config.toml").exists() {
        format!(
            "{shown} holds no {} yet: the training is not done; go on with it by \
             `bitspike train {shown}/config.toml --out {shown} --resume`",
            model_file::NAME
        )
    } else {
        format!("{shown} is neither a model file nor a run directory")
    }))
}

impl Source {
    /// The samples, as the run's configuration says, or else the model.
    fn load(&self, path: &Path, model: Option<&Model<'_>>) -> Result<Samples> {
        if let (Some(images), Some(labels)) = (&self.images, &self.labels) {
            return data::read_pair(images, labels);
        }
        // A run knows its data set and how its validation set was cut.
        let known = path.join("config.toml");
        let config = if known.exists() {
            Some(Config::load(&known.to_string_lossy(), &[])?)
        } else if self.split != Split::Test {
            return Err(Error::usage(
                "--split: only a run directory knows how its training data was cut; give the run \
                 instead of the model file",
            ));
        } else {
            None
        };
        let dir = self.data.as_deref();
        if let (None, Some(model)) = (&config, model) {
            let encoding = model_file::encoding(model)?;
            let request = DataRequest {
                source: encoding.source.as_ref(),
                frames: encoding.frames.as_ref(),
                steps: model.steps(),
                ..DataRequest::test(model_file::task(model)?, dir)
            };
            return data::load_split(&request, self.split);
        }
        let Some(config) = config else {
            return Err(Error::usage(format!(
                "{} holds no config.toml",
                path.display()
            )));
        };
        data::load_split(&config.data_request(dir), self.split)
    }
}

fn document(path: &Path, result: &Evaluation) -> serde_json::Value {
    let mut document = json!(result);
    document["schema"] = json!(1);
    document["model"] = json!(path);
    document
}

fn print(result: &Evaluation) -> Result<()> {
    say!(
        "accuracy of the integer network: {:.2} % ({} of {} samples)",
        100.0 * result.accuracy,
        result.correct,
        result.samples
    )?;
    let rates: Vec<String> = result
        .firing_rates
        .iter()
        .map(|rate| format!("{rate:.3}"))
        .collect();
    say!("firing rates by layer: {}", rates.join(" "))?;
    say!(
        "synaptic operations a decision: {:.0}, steps: {}",
        result.synops_mean,
        result.steps_mean
    )?;
    say!(
        "{:.0} samples a second on this machine",
        result.samples_per_second
    )
}
