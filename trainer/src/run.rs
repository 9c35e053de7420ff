//! A run directory: the resolved configuration, metrics, checkpoints, and a lock.
//!
//! ```text
//! config.toml        the configuration with all settings applied
//! metrics.jsonl      a line an epoch
//! metrics.csv        the same as a table
//! checkpoints/       NUMBER.safetensors and NUMBER.json for the last two, by number of updates;
//!                    best.safetensors where patience is set
//! report.html        written at the end, beside model.bsnn and pictures
//! lock               held by the process that trains
//! ```
//!
//! Every file is written beside its place, synced and renamed: a process that is killed leaves the
//! old file or the new one. A checkpoint counts from the moment its JSON is there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::data::{InputSpec, Samples, Splits};
use crate::files::{lock_folder, write_atomically};
use crate::net::Network;
use crate::ops::with_values;
use crate::tensors::{Tensors, deserialise, serialise};
use crate::train::{EpochMetrics, Progress};
use crate::{Error, Result};

/// The tensors of the best epoch, among the checkpoints.
const BEST: &str = "best.safetensors";

/// Checkpoints that are kept.
const KEPT: usize = 2;

/// A run directory that this process holds the lock of.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    /// Unlocked by the system when the process ends, however it ends.
    _lock: File,
}

/// The JSON beside a checkpoint's tensors.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    schema: u32,
    /// SHA-256 of the tensors' file, so that a pair that does not belong together is noticed.
    tensors: String,
    /// SHA-256 of the training and validation data.
    data: String,
    progress: Progress,
}

impl RunDir {
    /// Takes hold of a run directory for a configuration: a new one, or, with `resume`, one that
    /// may hold a run of the same configuration.
    ///
    /// # Errors
    /// If another process holds it, if it holds something and `resume` is not set, if its
    /// configuration differs, or if it cannot be written.
    pub fn open(path: &Path, config: &Config, resume: bool) -> Result<Self> {
        let shown = path.display();
        let cannot =
            |error| Error::failed(format!("cannot write the run directory {shown}: {error}"));
        fs::create_dir_all(path.join("checkpoints")).map_err(cannot)?;
        let lock = lock_folder(path)?;
        let run = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        let known = run.path.join("config.toml");
        if known.exists() {
            if !resume {
                return Err(Error::usage(format!(
                    "{shown} already holds a run; add --resume to go on with it, or give another \
                     folder by --out"
                )));
            }
            let before = Config::load(&known.to_string_lossy(), &[])?;
            if let Some((key, before, now)) = before.difference(config)? {
                return Err(Error::usage(format!(
                    "{shown} was started with {key} = {before}, not {now}; resume it with the same \
                     value, or start another run by --out"
                )));
            }
            run.remove_leftovers();
        } else {
            run.refuse_foreign_files()?;
            run.remove_leftovers();
            write_atomically(&known, config.to_toml()?.as_bytes())?;
        }
        Ok(run)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what a killed process left: half-written files, and tensors without their JSON.
    fn remove_leftovers(&self) {
        let unfinished = |path: &Path| match path.extension().and_then(|ending| ending.to_str()) {
            Some("tmp") => true,
            Some("safetensors") => !path.with_extension("json").exists() && !path.ends_with(BEST),
            _ => false,
        };
        for folder in [&self.path, &self.path.join("checkpoints")] {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            for path in entries.map(|entry| entry.path()).filter(|p| unfinished(p)) {
                // A file that cannot be removed costs space, nothing else.
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Refuses a folder that holds something else than an empty run.
    fn refuse_foreign_files(&self) -> Result<()> {
        let shown = self.path.display();
        let entries = fs::read_dir(&self.path)
            .map_err(|error| Error::failed(format!("cannot read {shown}: {error}")))?;
        let ours = |name: &str| name == "lock" || name == "checkpoints" || name.ends_with(".tmp");
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !ours(&name) {
                return Err(Error::usage(format!(
                    "{shown} is not a run directory: it holds `{name}`; give a new folder by --out"
                )));
            }
        }
        Ok(())
    }

    /// The lines of `metrics.jsonl`.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub fn metrics(&self) -> Result<Vec<EpochMetrics>> {
        read_metrics(&self.path)
    }

    /// Adds a line to `metrics.jsonl`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append_metrics(&self, metrics: &EpochMetrics) -> Result<()> {
        let mut lines = self.metrics()?;
        lines.push(metrics.clone());
        self.write_metrics(&lines)
    }

    /// Drops the metrics of epochs after `epochs`, which a checkpoint does not cover.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn keep_epochs(&self, epochs: u64) -> Result<()> {
        let mut lines = self.metrics()?;
        let before = lines.len();
        lines.retain(|metrics| metrics.epoch <= epochs);
        if lines.len() < before {
            self.write_metrics(&lines)
        } else {
            Ok(())
        }
    }

    fn write_metrics(&self, lines: &[EpochMetrics]) -> Result<()> {
        let mut text = String::new();
        for line in lines {
            text += &to_json(line)?;
            text.push('\n');
        }
        write_atomically(&self.path.join("metrics.jsonl"), text.as_bytes())?;
        write_atomically(&self.path.join("metrics.csv"), csv(lines).as_bytes())
    }

    /// Writes a checkpoint, with the digest of the data it was trained on, and drops old ones.
    ///
    /// # Errors
    /// If it cannot be written; older checkpoints are then still there.
    pub fn save_checkpoint(
        &self,
        network: &mut Network,
        progress: &Progress,
        data: &str,
    ) -> Result<()> {
        let tensors = serialise(&network_tensors(network)?)?;
        let (data, progress) = (data.to_owned(), progress.clone());
        let state = State {
            schema: 1,
            tensors: digest(&tensors),
            data,
            progress,
        };
        let path = self.checkpoint(state.progress.update);
        write_atomically(&path.with_extension("safetensors"), &tensors)?;
        write_atomically(&path.with_extension("json"), to_json(&state)?.as_bytes())?;
        for old in self.checkpoints()?.into_iter().skip(KEPT) {
            let old = self.checkpoint(old);
            // A file that cannot be removed costs space, nothing else.
            let _ = fs::remove_file(old.with_extension("json"));
            let _ = fs::remove_file(old.with_extension("safetensors"));
        }
        Ok(())
    }

    /// Loads the last whole checkpoint into the network, if there is one.
    ///
    /// # Errors
    /// If it was made with other data, or none of those there can be read.
    pub fn load_checkpoint(&self, network: &mut Network, data: &str) -> Result<Option<Progress>> {
        let mut trouble = None;
        for update in self.checkpoints()? {
            let (state, tensors) = match self.read_checkpoint(update) {
                Ok(checkpoint) => checkpoint,
                Err(error) => {
                    tracing::warn!("{error}; going back to the checkpoint before");
                    trouble = Some(error);
                    continue;
                }
            };
            if state.data != data {
                return Err(Error::usage(format!(
                    "{} was trained on other data; give the same --data as before, or start \
                     another run by --out",
                    self.path.display()
                )));
            }
            restore_tensors(network, &tensors)?;
            return Ok(Some(state.progress));
        }
        trouble.map_or(Ok(None), Err)
    }

    /// Writes the tensors of the best epoch so far.
    ///
    /// # Errors
    /// If they cannot be written; those of the best epoch before are then still there.
    pub fn save_best(&self, network: &mut Network) -> Result<()> {
        let path = self.path.join("checkpoints").join(BEST);
        write_atomically(&path, &serialise(&network_tensors(network)?)?)
    }

    /// Loads the tensors of the best epoch.
    ///
    /// # Errors
    /// If they are not there or damaged.
    pub fn load_best(&self, network: &mut Network) -> Result<()> {
        let path = self.path.join("checkpoints").join(BEST);
        let wrong = |error: &dyn std::fmt::Display| {
            Error::failed(format!(
                "the best epoch's weights, {}: {error}; train again in another folder",
                path.display()
            ))
        };
        let bytes = fs::read(&path).map_err(|error| wrong(&error))?;
        let tensors = deserialise(&bytes).map_err(|error| wrong(&error))?;
        restore_tensors(network, &tensors)
    }

    fn checkpoint(&self, update: u64) -> PathBuf {
        self.path.join("checkpoints").join(format!("{update:08}"))
    }

    /// Numbers of the checkpoints that are there, the last one first.
    fn checkpoints(&self) -> Result<Vec<u64>> {
        let folder = self.path.join("checkpoints");
        let entries = fs::read_dir(&folder)
            .map_err(|error| Error::failed(format!("cannot read {}: {error}", folder.display())))?;
        let number = |entry: fs::DirEntry| {
            let name = entry.file_name();
            name.to_str()?.strip_suffix(".json")?.parse::<u64>().ok()
        };
        let mut numbers: Vec<u64> = entries.flatten().filter_map(number).collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        Ok(numbers)
    }

    fn read_checkpoint(&self, update: u64) -> Result<(State, Tensors)> {
        let path = self.checkpoint(update);
        let wrong = |error: &dyn std::fmt::Display| {
            Error::failed(format!("checkpoint {}: {error}", path.display()))
        };
        let text = fs::read_to_string(path.with_extension("json")).map_err(|e| wrong(&e))?;
        let state: State = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
        let bytes = fs::read(path.with_extension("safetensors")).map_err(|e| wrong(&e))?;
        if digest(&bytes) != state.tensors {
            return Err(wrong(&"its tensors are damaged"));
        }
        let tensors = deserialise(&bytes).map_err(|error| wrong(&error))?;
        Ok((state, tensors))
    }
}

/// The lines of `metrics.jsonl` in a run directory, none where there is no such file.
///
/// # Errors
/// If the file is there and cannot be read.
pub fn read_metrics(run: &Path) -> Result<Vec<EpochMetrics>> {
    let path = run.join("metrics.jsonl");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let wrong = |error: &dyn std::fmt::Display| {
        Error::failed(format!("cannot read {}: {error}", path.display()))
    };
    let text = fs::read_to_string(&path).map_err(|error| wrong(&error))?;
    let line = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| {
            Error::usage(format!(
                "{} is damaged: line {}: {error}",
                path.display(),
                number + 1
            ))
        })
    };
    text.lines().enumerate().map(line).collect()
}

/// A float network that finished training, from its run directory: nothing is locked or changed.
///
/// # Errors
/// If the run holds no finished training, or what it holds cannot be read.
pub fn load_network(run: &Path, config: &Config, input: InputSpec) -> Result<Network> {
    let mut network = Network::new(config, input, 1)?;
    let folder = run.join("checkpoints");
    let best = folder.join(BEST);
    let path = if config.train.patience.is_some() && best.exists() {
        best
    } else {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let numbered = entries.filter_map(|entry| {
            let path = entry.path();
            let number = path.file_stem()?.to_str()?.parse::<u64>().ok()?;
            let whole = path.with_extension("json").exists();
            (whole && path.extension()? == "safetensors").then_some((number, path))
        });
        let last = numbered.max_by_key(|(number, _)| *number);
        last.map(|(_, path)| path).ok_or_else(|| {
            Error::usage(format!(
                "{} holds no checkpoint; go on with the training by `bitspike train` with --resume",
                run.display()
            ))
        })?
    };
    let wrong = |error: &dyn std::fmt::Display| {
        Error::usage(format!("cannot read {}: {error}", path.display()))
    };
    let bytes = fs::read(&path).map_err(|error| wrong(&error))?;
    restore_tensors(&mut network, &deserialise(&bytes).map_err(|e| wrong(&e))?)?;
    Ok(network)
}

/// Names of a parameter's moments in a checkpoint, behind its own.
const MOMENTS: [&str; 2] = ["first_moment", "second_moment"];

/// All numbers of the network that training changes, by name.
fn network_tensors(network: &mut Network) -> Result<Vec<(String, Vec<f32>)>> {
    let mut tensors = Vec::new();
    for parameter in network.parameters() {
        let value = with_values(&parameter.value, |value| Ok(value.to_vec()))?;
        tensors.push((parameter.name.clone(), value));
        for (moment, values) in MOMENTS.iter().zip(parameter.moments()?) {
            tensors.push((format!("{}.{moment}", parameter.name), values));
        }
    }
    for (name, running) in network.running_mut() {
        tensors.push((format!("{name}.mean"), running.mean.clone()));
        tensors.push((format!("{name}.variance"), running.variance.clone()));
    }
    tensors.push(("thresholds".into(), network.thresholds()));
    Ok(tensors)
}

fn restore_tensors(network: &mut Network, tensors: &Tensors) -> Result<()> {
    let take = |name: &str, len: usize| match tensors.get(name) {
        Some(values) if values.len() == len => Ok(values.clone()),
        Some(values) => Err(Error::failed(format!(
            "checkpoint: {name} has {} values, expected {len}",
            values.len()
        ))),
        None => Err(Error::failed(format!("checkpoint: {name} is missing"))),
    };
    for parameter in network.parameters_mut() {
        let (name, len) = (parameter.name.clone(), parameter.value.elem_count());
        let value = take(&name, len)?;
        let device = parameter.value.device();
        let value = Tensor::from_vec(value, parameter.value.shape(), device)?;
        parameter.value.set(&value)?;
        let [first, second] = MOMENTS.map(|moment| take(&format!("{name}.{moment}"), len));
        parameter.set_moments([first?, second?])?;
    }
    for (name, running) in network.running_mut() {
        running.mean = take(&format!("{name}.mean"), running.mean.len())?;
        running.variance = take(&format!("{name}.variance"), running.variance.len())?;
    }
    let hidden = network.thresholds().len();
    network.set_thresholds(&take("thresholds", hidden)?);
    Ok(())
}

/// The metrics as a table, with a column for each layer's threshold, rate and dead neurons.
fn csv(lines: &[EpochMetrics]) -> String {
    let layers = lines.first().map_or(0, |line| line.thresholds.len());
    let mut columns: Vec<String> = ["epoch", "loss", "train_accuracy", "validation_accuracy"]
        .map(String::from)
        .to_vec();
    columns.extend(["learning_rate", "seconds"].map(String::from));
    for name in ["threshold", "firing_rate", "dead_neurons", "silent_since"] {
        columns.extend((1..=layers).map(|layer| format!("{name}_{layer}")));
    }
    let mut text = columns.join(",") + "\n";
    for line in lines {
        let mut values = vec![
            line.epoch.to_string(),
            line.loss.to_string(),
            line.train_accuracy.to_string(),
            line.validation_accuracy.to_string(),
            line.learning_rate.to_string(),
            line.seconds.to_string(),
        ];
        values.extend(line.thresholds.iter().map(f32::to_string));
        values.extend(line.firing_rates.iter().map(f64::to_string));
        values.extend(line.dead_neurons.iter().map(usize::to_string));
        let silent = line.silent_since.iter();
        values.extend(silent.map(|update| update.map_or(String::new(), |u| u.to_string())));
        text += &values.join(",");
        text.push('\n');
    }
    text
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::failed(error.to_string()))
}

fn digest(bytes: &[u8]) -> String {
    hexadecimal(Sha256::digest(bytes).as_slice())
}

/// SHA-256 of the training and validation samples.
pub(crate) fn data_digest(splits: &Splits) -> String {
    let mut hash = Sha256::new();
    let parts: [&Samples; 2] = [&splits.train, &splits.validation];
    for samples in parts {
        for index in 0..samples.len() {
            samples.digest(index, |bytes| hash.update(bytes));
        }
    }
    hexadecimal(hash.finalize().as_slice())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
