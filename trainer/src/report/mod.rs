//! The report of a run: one HTML page that needs nothing but itself.

mod observe;
mod picture;

use std::path::{Path, PathBuf};

use bitspike_core::model::{Model, Operation, Shape};
use minijinja::{Value, context};

use self::observe::{Judge, Observed};
use crate::config::Config;
use crate::data::{self, Samples, Split};
use crate::evaluate::evaluate;
use crate::files::write_atomically;
use crate::ops::sign::Weights;
use crate::page::{markup, render};
use crate::run::{load_network, read_metrics};
use crate::train::EpochMetrics;
use crate::{Error, Result, model_file};

const TEMPLATE: &str = include_str!("../../templates/report.html");

/// Name of the page in a run directory.
pub const NAME: &str = "report.html";

/// Samples whose spikes are drawn.
const RASTERS: usize = 3;

/// Mistakes that are drawn.
const MISTAKES: usize = 16;

/// Classes of the largest confusion matrix that is drawn.
const LARGEST_MATRIX: usize = 64;

/// The samples that a report looks at, and which part of the data set they are.
#[derive(Debug, Clone, Copy)]
pub struct Looked<'a> {
    /// The samples.
    pub samples: &'a Samples,
    /// `test` or `validation`.
    pub part: &'a str,
}

/// Writes the report of a run directory, with its data set's files in `data`; says why the samples
/// are left out where they cannot be read.
///
/// # Errors
/// [`Error::Usage`] where there is no run, or a file of it is damaged; [`Error::Failed`] where the
/// page cannot be written.
pub fn write(run: &Path, data: Option<&Path>, out: &Path) -> Result<Option<String>> {
    let known = run.join("config.toml");
    if !known.is_file() {
        return Err(Error::usage(format!(
            "{} is not a run directory: it holds no config.toml; give the folder that `bitspike \
             train` wrote",
            run.display()
        )));
    }
    let config = Config::load(&known.to_string_lossy(), &[])?;
    match load_samples(&config, data) {
        Ok((samples, part)) => {
            let looked = Looked {
                samples: &samples,
                part,
            };
            write_page(run, &config, Ok(looked), out)?;
            Ok(None)
        }
        Err(error) => {
            let why = error.to_string();
            write_page(run, &config, Err(&why), out)?;
            Ok(Some(why))
        }
    }
}

/// The test samples; those of the validation where the test files are not there.
fn load_samples(config: &Config, dir: Option<&Path>) -> Result<(Samples, &'static str)> {
    let request = config.data_request(dir);
    match data::load_split(&request, Split::Test) {
        Ok(samples) => Ok((samples, "test")),
        Err(error) => match data::load_split(&request, Split::Validation) {
            Ok(samples) => Ok((samples, "validation")),
            Err(_) => Err(error),
        },
    }
}

/// Writes the report of a run whose configuration and samples are at hand.
///
/// # Errors
/// As [`write()`].
pub fn write_page(
    run: &Path,
    config: &Config,
    looked: Result<Looked<'_>, &str>,
    out: &Path,
) -> Result<()> {
    write_atomically(out, page(run, config, looked)?.as_bytes())
}

/// Where the report of a run lies unless told otherwise.
pub fn path(run: &Path) -> PathBuf {
    run.join(NAME)
}

fn page(run: &Path, config: &Config, looked: Result<Looked<'_>, &str>) -> Result<String> {
    let metrics = read_metrics(run)?;
    let path = run.join(model_file::NAME);
    let words = if path.exists() {
        Some(model_file::read(&path)?)
    } else {
        None
    };
    let model = words.as_deref().map(model_file::view).transpose()?;
    let float = config.network.weights == Weights::Float;
    let without_model = match (&model, float) {
        (Some(_), _) => None,
        (None, true) => {
            Some("The weights are float: there is no integer network and no model file.")
        }
        (None, false) => Some("There is no model file yet: the training is not done."),
    };

    let mut missing = looked.err().map(ToOwned::to_owned);
    let mut seen = None;
    if let Ok(looked) = looked {
        // A float network is judged by its checkpoint, all others by what the device will decide.
        let observed = match &model {
            Some(model) => {
                let evaluation = evaluate(model, looked.samples)?;
                let judge = Judge::Integer(model);
                Some((judge.observe(looked.samples, RASTERS)?, Some(evaluation)))
            }
            None if float && !metrics.is_empty() => {
                let network = load_network(run, config, looked.samples.input())?;
                Some((
                    Judge::Float(&network).observe(looked.samples, RASTERS)?,
                    None,
                ))
            }
            None => {
                missing = Some("the training is not done".to_owned());
                None
            }
        };
        seen = observed.map(|(observed, evaluation)| (looked, observed, evaluation));
    }
    let names = class_names(
        model.as_ref(),
        seen.as_ref().map_or(0, |s| s.0.samples.classes()),
    );
    let config_text = config.to_toml()?;
    let shown = run.display().to_string();
    render(
        TEMPLATE,
        context! {
            title => &shown,
            data_set => &config.data.name,
            version => env!("CARGO_PKG_VERSION"),
            float,
            without_model,
            missing,
            last => metrics.last().map(last_epoch),
            epochs_wanted => config.train.epochs,
            charts => charts(&metrics)?,
            silent => silent(&metrics),
            seen => seen.as_ref().map(|(looked, observed, evaluation)| -> Result<Value> {
                Ok(context! {
                    part => looked.part,
                    samples => looked.samples.len(),
                    correct => observed.correct(looked.samples),
                    accuracy => percent(observed.correct(looked.samples), looked.samples.len()),
                    network => if model.is_some() { "integer" } else { "float" },
                    rasters => rasters(looked.samples, observed, &names)?,
                    matrix => matrix(looked.samples, observed, &names),
                    mistakes => mistakes(looked.samples, observed, &names)?,
                    steps => evaluation.as_ref().map(|e| format!("{:.2}", e.steps_mean)),
                    synops => evaluation.as_ref().map(|e| grouped(e.synops_mean.round() as usize)),
                    rates => evaluation.as_ref().map(|e| {
                        e.firing_rates.iter().map(|rate| format!("{rate:.3}")).collect::<Vec<_>>()
                    }),
                })
            }).transpose()?,
            model => model.as_ref().map(size),
            config => config_text,
            seed => config.train.seed,
            run => shown,
        },
    )
}

/// Names of the classes: the model's, else their numbers.
fn class_names(model: Option<&Model<'_>>, classes: usize) -> Vec<String> {
    let known: Vec<String> = model
        .and_then(|model| model.metadata().ok())
        .map(|metadata| metadata.classes.lines().map(ToOwned::to_owned).collect())
        .unwrap_or_default();
    let count = classes.max(known.len());
    let name = |class: usize| {
        known
            .get(class)
            .cloned()
            .unwrap_or_else(|| class.to_string())
    };
    (0..count).map(name).collect()
}

fn percent(part: usize, whole: usize) -> String {
    format!("{:.2}", 100.0 * part as f64 / whole.max(1) as f64)
}

/// A number with its thousands set apart.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    groups.join(",")
}

fn last_epoch(last: &EpochMetrics) -> Value {
    context! {
        epoch => last.epoch,
        loss => format!("{:.4}", last.loss),
        train => format!("{:.2}", 100.0 * last.train_accuracy),
        validation => format!("{:.2}", 100.0 * last.validation_accuracy),
    }
}

/// Layers that fell silent, in words.
fn silent(metrics: &[EpochMetrics]) -> Vec<String> {
    let Some(last) = metrics.last() else {
        return Vec::new();
    };
    let since = last.silent_since.iter().enumerate();
    since
        .filter_map(|(layer, update)| {
            let update = (*update)?;
            Some(format!(
                "Layer {} has not fired once since update {update}.",
                layer + 1
            ))
        })
        .collect()
}

fn charts(metrics: &[EpochMetrics]) -> Result<Vec<Value>> {
    if metrics.is_empty() {
        return Ok(Vec::new());
    }
    let charts = picture::charts(metrics)?;
    Ok(charts.into_iter().map(markup).collect())
}

fn rasters(samples: &Samples, observed: &Observed, names: &[String]) -> Result<Vec<Value>> {
    let raster = |(index, layers): (usize, &Vec<observe::Raster>)| {
        let decided = observed.decided[index].class;
        let layers = layers.iter().map(|layer| {
            Ok(context! {
                name => &layer.name,
                units => layer.units,
                steps => layer.spikes.len(),
                rate => format!("{:.3}", layer.rate()),
                picture => picture::raster(layer)?,
            })
        });
        Ok(context! {
            label => &names[usize::from(samples.label(index))],
            decided => &names[decided],
            right => decided == usize::from(samples.label(index)),
            picture => picture::sample(samples, index)?,
            layers => layers.collect::<Result<Vec<_>>>()?,
        })
    };
    observed.rasters.iter().enumerate().map(raster).collect()
}

fn matrix(samples: &Samples, observed: &Observed, names: &[String]) -> Option<Vec<Value>> {
    if names.len() > LARGEST_MATRIX {
        return None;
    }
    let counts = observed.matrix(samples, names.len());
    let row = |(class, row): (usize, Vec<usize>)| {
        let all: usize = row.iter().sum();
        let cells = row.iter().enumerate().map(|(decided, &count)| {
            context! {
                count => count,
                right => decided == class,
                shade => format!("{:.3}", (count as f64 / all.max(1) as f64).sqrt()),
            }
        });
        context! {
            name => &names[class],
            cells => cells.collect::<Vec<_>>(),
            recall => if all == 0 { "-".to_owned() } else { percent(row[class], all) },
        }
    };
    Some(counts.into_iter().enumerate().map(row).collect())
}

fn mistakes(samples: &Samples, observed: &Observed, names: &[String]) -> Result<Vec<Value>> {
    let worst = observed.worst(samples, MISTAKES);
    let mistake = |index: usize| {
        Ok(context! {
            index,
            label => &names[usize::from(samples.label(index))],
            decided => &names[observed.decided[index].class],
            picture => picture::sample(samples, index)?,
        })
    };
    worst.into_iter().map(mistake).collect()
}

fn size(model: &Model<'_>) -> Value {
    let sides = |shape: Shape| format!("{} x {} x {}", shape.height, shape.width, shape.channels);
    let layers = model.layers().iter().enumerate().map(|(index, layer)| {
        let spec = layer.spec();
        let linear = matches!(spec.operation, Operation::Linear { .. });
        let membrane = format!("{:?}", spec.membrane).to_lowercase();
        context! {
            name => observe::layer_name(layer, index),
            input => sides(layer.input()),
            output => sides(layer.output()),
            kernel => if linear { "-".to_owned() } else { {
                let [height, width] = layer.kernel();
                format!("{height} x {width}")
            } },
            weights => grouped(usize::from(layer.output().channels) * layer.taps()),
            bytes => grouped(model.weights(layer).len() * 4),
            membrane => format!("{membrane}, {} fraction bits", spec.fraction),
        }
    });
    let sizes = model.sizes();
    context! {
        layers => layers.collect::<Vec<_>>(),
        file => grouped(sizes.file_bytes),
        weights => grouped(model_file::weight_bytes(model)),
        memory => grouped(sizes.memory_words() * 4),
        input => grouped(sizes.input_bytes),
        steps => model.steps(),
        readout => format!("{:?}", model.readout()).to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
    }

    #[test]
    fn a_folder_without_a_run_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = write(dir.path(), None, &path(dir.path())).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("no config.toml"), "{error}");
        assert!(!path(dir.path()).exists());
    }
}
