//! `bitspike train`.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use candle_core::Device;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use crate::assess::assess;
use crate::backend::Choice;
use crate::config::{Condition, Config};
use crate::curves::{self, Curve};
use crate::data::{self, Splits};
use crate::files::write_atomically;
use crate::finish::{PICTURE_FILE, finish};
use crate::ops::sign::Weights;
use crate::report::{self, Looked};
use crate::run::RunDir;
use crate::train::{EpochMetrics, Observer, Outcome, Progress, Trainer};
use crate::{Error, Result, model_file};

const EXAMPLES: &str = "Examples:
  bitspike train mnist                          the small set that comes with bitspike
  bitspike train mnist --data DIR               the full files in DIR
  bitspike train mnist --set train.epochs=3 --set network.steps=8
  bitspike train mnist --out runs/a --resume    go on where runs/a stopped, or start it
  bitspike train my.toml --trials 5             five seeds, and a summary of them
  bitspike train paper/mnist --condition binary --data DIR --set network.steps=10";

/// Interrupts within this time are one press of Ctrl-C.
const SAME_PRESS: Duration = Duration::from_millis(500);

/// Arguments of `bitspike train`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Name of a configuration that comes with bitspike, or path of a TOML file
    #[arg(value_name = "NAME|FILE.toml")]
    config: String,
    /// One of the paper's conditions, with what the configuration says about it
    #[arg(long, value_enum)]
    condition: Option<Condition>,
    /// Change a value of the configuration; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Folder with the data set's files [default: the small set that comes with bitspike]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder for the run [default: runs/NAME-SEED]
    #[arg(long, value_name = "RUN")]
    out: Option<PathBuf>,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    device: Choice,
    /// Seed of all that is random, as --set train.seed=N
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Train so many times with seeds N, N+1, ..., into RUN/trial-1 and so on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    trials: Option<u32>,
    /// Go on from the run's last checkpoint; starts where nothing is there yet
    #[arg(long)]
    resume: bool,
}

/// Runs `bitspike train`.
///
/// # Errors
/// If the arguments do not make a training, the run directory cannot be written, or the user
/// stopped it.
pub fn run(args: Args) -> Result<()> {
    let chosen = args.device.device()?;
    if let Some(note) = chosen.note {
        note!("{note}");
    }
    let mut settings = args.set.clone();
    settings.extend(args.seed.map(|seed| format!("train.seed={seed}")));
    let config = Config::load_condition(&args.config, args.condition, &settings)?;
    let mut name = Config::run_name(&args.config);
    if let Some(condition) = args.condition {
        name = format!("{name}-{}", condition.name());
    }
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| Path::new("runs").join(format!("{name}-{}", config.train.seed)));
    let stop = stop_on_interrupt()?;
    let plan = Plan {
        data: args.data,
        device: chosen.device,
        resume: args.resume,
        stop,
    };
    match args.trials {
        None => plan.train(&config, &out).map(|_| ()),
        Some(trials) => plan.trials(&config, &out, trials),
    }
}

/// What all trials of a command share.
struct Plan {
    data: Option<PathBuf>,
    device: Device,
    resume: bool,
    stop: Arc<AtomicBool>,
}

impl Plan {
    /// Trains one run to its end, folds it and says what it reached.
    fn train(&self, config: &Config, out: &Path) -> Result<Reached> {
        let splits = data::load(&config.data_request(self.data.as_deref()))?;
        let mut trainer = Trainer::new(config, &splits)?;
        trainer.move_to(&self.device)?;
        let run = RunDir::open(out, config, self.resume)?;
        if self.resume {
            trainer.restore(&run)?;
        }
        note!(
            "{}: {} training, {} validation, {} test samples; {} updates in {} epochs",
            out.display(),
            splits.train.len(),
            splits.validation.len(),
            splits.test.as_ref().map_or(0, |test| test.len()),
            trainer.total(),
            config.train.epochs
        );
        let mut display = Display::new(&trainer, config.train.epochs, self.stop.clone());
        let outcome = trainer.run(&run, &mut display)?;
        display.bar.finish_and_clear();
        if outcome == Outcome::Stopped {
            return Err(Error::Stopped(format!(
                "stopped after update {} of {}; to go on:\n  {}",
                trainer.progress().update,
                trainer.total(),
                command_to_resume()
            )));
        }
        let network = trainer.network();
        let metrics = run.metrics()?;
        let curve = Curve {
            name: out.display().to_string(),
            metrics: &metrics,
        };
        curves::draw(&[curve], &out.join(curves::NAME))?;
        let float_test = match &splits.test {
            Some(test) => Some(assess(network, test)?.accuracy()),
            None => {
                say!(
                    "the test files of {} are not there: validation is all there is",
                    config.data.name
                )?;
                None
            }
        };
        let float_validation = assess(network, &splits.validation)?.accuracy();
        let mut reached = Reached {
            seed: config.train.seed,
            epochs: metrics.len(),
            best_epoch: trainer.progress().best.map(|best| best.epoch),
            test: None,
            float_test,
            validation: None,
            float_validation,
        };
        if config.network.weights == Weights::Float {
            if let Some(float_test) = float_test {
                say!(
                    "test accuracy of the float network: {:.2} %",
                    100.0 * float_test
                )?;
            }
            say!(
                "validation accuracy of the float network: {:.2} %",
                100.0 * float_validation
            )?;
            say!(
                "the weights are float: there is no integer network, and no {}",
                model_file::NAME
            )?;
        } else {
            let history = &trainer.progress().history;
            let report = finish(out, config, &network.trained()?, &splits, history)?;
            if let (Some(integer), Some(float_test)) = (&report.integer, float_test) {
                say!(
                    "test accuracy of the integer network: {:.2} % ({} of {}); float: {:.2} %",
                    100.0 * integer.accuracy,
                    integer.correct,
                    integer.samples,
                    100.0 * float_test
                )?;
            }
            say!(
                "validation accuracy: {:.2} % integer, {:.2} % float",
                100.0 * report.integer_validation_accuracy,
                100.0 * float_validation
            )?;
            say!(
                "{}: {} bytes, {} of them weights; {} bytes of memory",
                out.join(model_file::NAME).display(),
                report.model_bytes,
                report.weight_bytes,
                report.memory_bytes
            )?;
            say!("{}", out.join(PICTURE_FILE).display())?;
            reached.test = report.integer.map(|integer| integer.accuracy);
            reached.validation = Some(report.integer_validation_accuracy);
        }
        say!("{}", out.join(curves::NAME).display())?;
        self.report(config, out, &splits)?;
        Ok(reached)
    }

    /// Writes the page of a finished run.
    fn report(&self, config: &Config, out: &Path, splits: &Splits) -> Result<()> {
        let looked = match &splits.test {
            Some(test) => Looked {
                samples: test,
                part: "test",
            },
            None => Looked {
                samples: &splits.validation,
                part: "validation",
            },
        };
        let page = report::path(out);
        report::write_page(out, config, Ok(looked), &page)?;
        say!("{}", page.display())?;
        Ok(())
    }

    /// Trains with consecutive seeds and summarises the runs.
    fn trials(&self, config: &Config, out: &Path, trials: u32) -> Result<()> {
        let mut reached = Vec::new();
        for trial in 1..=trials {
            let mut config = config.clone();
            config.train.seed += u64::from(trial - 1);
            reached.push(self.train(&config, &out.join(format!("trial-{trial}")))?);
        }
        let spread = |of: fn(&Reached) -> Option<f64>| {
            let values: Option<Vec<f64>> = reached.iter().map(of).collect();
            values.map(|values| Spread::of(values.into_iter()))
        };
        let (test, float_test) = (spread(|t| t.test), spread(|t| t.float_test));
        let summary = json!({
            "schema": 1,
            "trials": reached,
            "test": test,
            "float_test": float_test,
            "validation": spread(|trial| trial.validation),
            "float_validation": spread(|trial| Some(trial.float_validation)),
        });
        write_atomically(
            &out.join("summary.json"),
            format!("{summary:#}\n").as_bytes(),
        )?;
        let validation = spread(|trial| trial.validation);
        let known = [
            ("test accuracy of the integer network", test),
            ("test accuracy of the float network", float_test),
            ("validation accuracy of the integer network", validation),
        ];
        let first = known
            .into_iter()
            .find_map(|(name, spread)| Some((name, spread?)));
        if let Some((name, spread)) = first {
            say!(
                "{name} over {trials} trials: mean {:.2} %, deviation {:.2}, best {:.2} %",
                100.0 * spread.mean,
                100.0 * spread.deviation,
                100.0 * spread.best
            )?;
        }
        Ok(())
    }
}

/// Accuracies that a run reached, 0 to 1; of the integer network, where there is one, unless named
/// float.
#[derive(Debug, Serialize)]
struct Reached {
    seed: u64,
    epochs: usize,
    best_epoch: Option<u64>,
    test: Option<f64>,
    float_test: Option<f64>,
    validation: Option<f64>,
    float_validation: f64,
}

/// Mean, standard deviation of a sample, and best of some accuracies.
#[derive(Debug, Clone, Copy, Serialize)]
struct Spread {
    mean: f64,
    deviation: f64,
    best: f64,
}

impl Spread {
    fn of(values: impl ExactSizeIterator<Item = f64> + Clone) -> Self {
        let n = values.len() as f64;
        let mean = values.clone().sum::<f64>() / n;
        let squares = values
            .clone()
            .map(|value| (value - mean).powi(2))
            .sum::<f64>();
        let deviation = (squares / (n - 1.0).max(1.0)).sqrt();
        Self {
            mean,
            deviation,
            best: values.fold(0.0, f64::max),
        }
    }
}

/// A progress bar on a terminal, else a line an epoch; stops the training when asked to.
struct Display {
    bar: ProgressBar,
    epochs: u32,
    stop: Arc<AtomicBool>,
}

impl Display {
    fn new(trainer: &Trainer<'_>, epochs: u32, stop: Arc<AtomicBool>) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(trainer.total());
            let template = "{wide_bar} {pos}/{len} updates, {eta} left";
            bar.set_style(
                ProgressStyle::with_template(template)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.set_position(trainer.progress().update);
            // The time left is that of this process: what was done before took none of it.
            bar.reset_eta();
            bar
        } else {
            ProgressBar::hidden()
        };
        Self { bar, epochs, stop }
    }
}

impl Observer for Display {
    fn updated(&mut self, progress: &Progress) -> ControlFlow<()> {
        self.bar.set_position(progress.update);
        if self.stop.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn fell_silent(&mut self, layer: &str, update: u64) {
        self.bar.suspend(|| {
            note!(
                "warning: {layer} fell silent at step {update}: no neuron of it fired in the batch; \
                 lower its threshold, or anneal it more slowly"
            );
        });
    }

    fn epoch_done(&mut self, metrics: &EpochMetrics) {
        let list = |values: Vec<String>| values.join(" ");
        let line = format!(
            "epoch {}/{}: loss {:.4}, train {:.2} %, validation {:.2} %, thresholds {}, rates {}, \
             dead {}, {:.1} s",
            metrics.epoch,
            self.epochs,
            metrics.loss,
            100.0 * metrics.train_accuracy,
            100.0 * metrics.validation_accuracy,
            list(
                metrics
                    .thresholds
                    .iter()
                    .map(|v| format!("{v:.3}"))
                    .collect()
            ),
            list(
                metrics
                    .firing_rates
                    .iter()
                    .map(|v| format!("{v:.3}"))
                    .collect()
            ),
            list(
                metrics
                    .dead_neurons
                    .iter()
                    .map(ToString::to_string)
                    .collect()
            ),
            metrics.seconds
        );
        self.bar.suspend(|| note!("{line}"));
    }
}

/// A flag that Ctrl-C sets; another one, not at once, ends the process where it stands.
pub(super) fn stop_on_interrupt() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let mut first = None;
    ctrlc::set_handler(move || {
        // Programs that pass a signal on may deliver one press of the keys twice.
        let first: &mut Instant = first.get_or_insert_with(Instant::now);
        if flag.swap(true, Ordering::Relaxed) && first.elapsed() > SAME_PRESS {
            std::process::exit(130);
        }
    })
    .map_err(|error| Error::failed(format!("cannot listen for Ctrl-C: {error}")))?;
    Ok(stop)
}

/// The command that was typed, with `--resume`.
pub(super) fn command_to_resume() -> String {
    let mut words: Vec<String> = std::env::args().collect();
    if !words.iter().any(|word| word == "--resume") {
        words.push("--resume".into());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+".contains(c);
    let quoted = words.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}
