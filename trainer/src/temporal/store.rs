//! The folder of a run of the temporal task.
//!
//! ```text
//! settings.json          seed and iterations
//! CONDITION.safetensors  a network's state and all that its output did so far
//! CONDITION.svg          the membrane at three moments beside the target
//! results.json           what the networks reached
//! temporal.html          everything on one page, with an animation
//! lock                   held by the process that trains
//! ```

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::network::Network;
use super::{Condition, Observation, STEPS};
use crate::files::{lock_folder, write_atomically};
use crate::tensors::{deserialise, serialise};
use crate::{Error, Result};

const SETTINGS: &str = "settings.json";

/// What a run is started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Version of the file.
    pub schema: u32,
    /// Seed of input and initial weights.
    pub seed: u64,
    /// Iterations of each network.
    pub iterations: u64,
}

/// A folder that this process holds the lock of.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Unlocked by the system when the process ends, however it ends.
    _lock: File,
}

impl Folder {
    /// Takes hold of a folder for a run: a new one, or, with `resume`, one that may hold a run
    /// with the same settings.
    ///
    /// # Errors
    /// If another process holds it, if it holds something and `resume` is not set, if it was
    /// started with other settings, or if it cannot be written.
    pub fn open(path: &Path, settings: Settings, resume: bool) -> Result<Self> {
        let shown = path.display();
        let failed =
            |error| Error::failed(format!("cannot write the run directory {shown}: {error}"));
        fs::create_dir_all(path).map_err(failed)?;
        let folder = Self {
            path: path.to_owned(),
            _lock: lock_folder(path)?,
        };
        let known = path.join(SETTINGS);
        if known.exists() {
            if !resume {
                return Err(Error::usage(format!(
                    "{shown} already holds a run; add --resume to go on with it, or give another \
                     folder by --out"
                )));
            }
            folder.check(settings)?;
            return Ok(folder);
        }
        let mut entries = fs::read_dir(path).map_err(failed)?.flatten();
        let foreign = |entry: &fs::DirEntry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name != "lock" && !name.ends_with(".tmp")
        };
        if let Some(entry) = entries.find(foreign) {
            return Err(Error::usage(format!(
                "{shown} is not a run of the temporal task: it holds `{}`; give a new folder by \
                 --out",
                entry.file_name().to_string_lossy()
            )));
        }
        folder.write(SETTINGS, &json(&settings)?)?;
        Ok(folder)
    }

    fn check(&self, settings: Settings) -> Result<()> {
        let path = self.path.join(SETTINGS);
        let wrong = |error: &dyn std::fmt::Display| {
            Error::usage(format!(
                "{}: {error}; give another folder by --out",
                path.display()
            ))
        };
        let text = fs::read(&path).map_err(|error| wrong(&error))?;
        let before: Settings = serde_json::from_slice(&text).map_err(|error| wrong(&error))?;
        if before == settings {
            return Ok(());
        }
        Err(wrong(&format!(
            "started with --seed {} --iterations {}, not --seed {} --iterations {}",
            before.seed, before.iterations, settings.seed, settings.iterations
        )))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file of the folder.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        write_atomically(&self.path.join(name), text.as_bytes())
    }

    fn file(&self, condition: Condition) -> PathBuf {
        self.path.join(format!("{}.safetensors", condition.name()))
    }

    /// Saves a network and its observations.
    ///
    /// # Errors
    /// If the file cannot be written; what it held before is then still there.
    pub fn save(
        &self,
        condition: Condition,
        network: &Network,
        observations: &[Observation],
    ) -> Result<()> {
        let list = |f: fn(&Observation) -> f32| observations.iter().map(f).collect::<Vec<f32>>();
        let membranes = observations.iter().flat_map(|o| o.membrane.iter().copied());
        let mut tensors = network.tensors()?;
        tensors.extend([
            ("observed.error".to_owned(), list(|o| o.error)),
            ("observed.threshold".to_owned(), list(|o| o.threshold)),
            ("observed.hidden_rate".to_owned(), list(|o| o.hidden_rate)),
            ("observed.membrane".to_owned(), membranes.collect()),
        ]);
        write_atomically(&self.file(condition), &serialise(&tensors)?)
    }

    /// The network of a condition and its observations so far; a new one where nothing was saved.
    ///
    /// # Errors
    /// If the saved file is damaged.
    pub fn load(&self, condition: Condition, seed: u64) -> Result<(Network, Vec<Observation>)> {
        let mut network = Network::new(condition, seed)?;
        let path = self.file(condition);
        let wrong = |what: &dyn std::fmt::Display| {
            Error::usage(format!(
                "{} is damaged: {what}; remove it to train this network anew",
                path.display()
            ))
        };
        if !path.exists() {
            return Ok((network, Vec::new()));
        }
        let bytes = fs::read(&path)
            .map_err(|error| Error::failed(format!("cannot read {}: {error}", path.display())))?;
        let tensors = deserialise(&bytes).map_err(|error| wrong(&error))?;
        let take = |name: &str, len: usize| match tensors.get(name) {
            Some(values) if values.len() == len => Ok(values.clone()),
            Some(values) => Err(wrong(&format!(
                "{name} has {} values, expected {len}",
                values.len()
            ))),
            None => Err(wrong(&format!("{name} is missing"))),
        };
        let count = tensors.get("observed.error").map_or(0, Vec::len);
        let error = take("observed.error", count)?;
        let threshold = take("observed.threshold", count)?;
        let hidden_rate = take("observed.hidden_rate", count)?;
        let membrane = take("observed.membrane", count * STEPS)?;
        network.restore(count as u64, take)?;
        let observations = membrane
            .chunks(STEPS)
            .enumerate()
            .map(|(i, membrane)| Observation {
                error: error[i],
                threshold: threshold[i],
                hidden_rate: hidden_rate[i],
                membrane: membrane.to_vec(),
            });
        let observations = observations.collect();
        Ok((network, observations))
    }
}

/// A value as indented JSON with a line end.
pub(crate) fn json(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n")
        .map_err(|error| Error::failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train(
        network: &mut Network,
        observations: &mut Vec<Observation>,
        count: usize,
    ) -> Result<()> {
        for _ in 0..count {
            observations.push(network.iterate()?);
        }
        Ok(())
    }

    #[test]
    fn a_stopped_network_goes_on_to_the_same_bits() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            schema: 1,
            seed: 3,
            iterations: 8,
        };
        for condition in Condition::ALL {
            let mut whole = (Network::new(condition, 3)?, Vec::new());
            train(&mut whole.0, &mut whole.1, 8)?;

            let path = dir.path().join(condition.name());
            let folder = Folder::open(&path, settings, true)?;
            let (mut network, mut observations) = folder.load(condition, 3)?;
            train(&mut network, &mut observations, 5)?;
            folder.save(condition, &network, &observations)?;
            let (mut network, mut observations) = folder.load(condition, 3)?;
            assert_eq!((network.iteration(), observations.len()), (5, 5));
            train(&mut network, &mut observations, 3)?;
            assert_eq!(observations, whole.1);
            assert_eq!(network.tensors()?, whole.0.tensors()?);
        }
        Ok(())
    }

    #[test]
    fn damage_and_other_settings_are_named() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            schema: 1,
            seed: 3,
            iterations: 8,
        };
        let folder = Folder::open(dir.path(), settings, false)?;
        let held = Folder::open(dir.path(), settings, true).unwrap_err();
        assert!(held.to_string().contains("another process"), "{held}");
        let (network, observations) = folder.load(Condition::Float, 3)?;
        folder.save(Condition::Float, &network, &observations)?;
        let path = folder.file(Condition::Float);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let error = folder.load(Condition::Float, 3).unwrap_err();
        assert!(error.to_string().contains("float.safetensors is damaged"));
        // Another network's file.
        let (network, observations) = folder.load(Condition::Wide, 3)?;
        folder.save(Condition::Wide, &network, &observations)?;
        let mut tensors = network.tensors()?;
        tensors.retain(|(name, _)| name != "layers.1.bias");
        fs::write(&path, serialise(&tensors)?).unwrap();
        let error = folder.load(Condition::Float, 3).unwrap_err();
        assert!(error.to_string().contains("is missing"), "{error}");

        drop(folder);
        let refused = |settings, resume| Folder::open(dir.path(), settings, resume).unwrap_err();
        let error = refused(settings, false);
        assert!(error.to_string().contains("--resume"), "{error}");
        let error = refused(
            Settings {
                seed: 4,
                ..settings
            },
            true,
        );
        assert!(error.to_string().contains("--seed 3"), "{error}");
        Ok(())
    }
}
