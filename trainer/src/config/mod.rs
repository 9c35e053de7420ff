//! The configuration of a training: a TOML file, over the shipped one that it names as its `base`
//! if it does, changed by `--set key=value`, then fixed.

mod base;
mod condition;
mod keys;
mod sides;
mod tables;

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Table;

use self::keys::{check_keys, flatten, set};
use crate::data::DataRequest;
use crate::loss::Loss;
use crate::{Error, Result};

pub use self::condition::Condition;
pub use self::tables::*;

/// The configurations that ship with the crate and run by name.
const SHIPPED: &[(&str, &str)] = &[
    ("mnist", include_str!("../../configs/mnist.toml")),
    (
        "fashion-mnist",
        include_str!("../../configs/fashion-mnist.toml"),
    ),
    (
        "spoken-digits",
        include_str!("../../configs/spoken-digits.toml"),
    ),
    (
        "spoken-digits-wav",
        include_str!("../../configs/spoken-digits-wav.toml"),
    ),
    ("nmnist", include_str!("../../configs/nmnist.toml")),
    (
        "nmnist-small",
        include_str!("../../configs/nmnist-small.toml"),
    ),
    ("dvs-clips", include_str!("../../configs/dvs-clips.toml")),
    ("deep", include_str!("../../configs/deep.toml")),
    (
        "paper/mnist",
        include_str!("../../configs/paper/mnist.toml"),
    ),
    (
        "paper/mnist-10-steps",
        include_str!("../../configs/paper/mnist-10-steps.toml"),
    ),
    (
        "paper/fashion-mnist",
        include_str!("../../configs/paper/fashion-mnist.toml"),
    ),
    (
        "paper/dvs-gesture",
        include_str!("../../configs/paper/dvs-gesture.toml"),
    ),
    ("paper/shd", include_str!("../../configs/paper/shd.toml")),
];

/// A checked configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The data set and what is done to it.
    pub data: Data,
    /// The network's shape and neurons.
    pub network: Network,
    /// The thresholds of the hidden layers over the training.
    pub threshold: Threshold,
    /// The training itself.
    pub train: Train,
}

impl Config {
    /// The configuration `source`, the name of a shipped one or the path of a TOML file, changed
    /// by `key=value` settings.
    ///
    /// # Errors
    /// If there is none, or it has a key or value that it cannot have.
    pub fn load(source: &str, settings: &[String]) -> Result<Self> {
        Self::load_condition(source, None, settings)
    }

    /// The same under one of the paper's conditions: what the file says about it is applied before
    /// the settings.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_condition(
        source: &str,
        condition: Option<Condition>,
        settings: &[String],
    ) -> Result<Self> {
        let text = match shipped(source) {
            Some(text) => text.to_owned(),
            None => std::fs::read_to_string(source).map_err(|error| {
                Error::usage(format!(
                    "cannot read the configuration `{source}`: {error}; give the path of a TOML \
                     file or one of the names {}",
                    shipped_names()
                ))
            })?,
        };
        let mut table = base::read(source, &text)?;
        condition::apply(&mut table, condition)?;
        for setting in settings {
            set(&mut table, setting)?;
        }
        check_keys(&table, "")?;
        sides::check(&table)?;
        let config: Self = table.try_into().map_err(|error: toml::de::Error| {
            Error::usage(format!(
                "configuration {source}: {}",
                error.to_string().trim_end()
            ))
        })?;
        config.check()?;
        Ok(config)
    }

    /// The request for its data, with the files in a folder.
    pub fn data_request<'a>(&'a self, dir: Option<&'a Path>) -> DataRequest<'a> {
        DataRequest {
            name: &self.data.name,
            source: self.data.source.as_ref(),
            dir,
            frames: self.data.frames.as_ref(),
            steps: self.network.steps,
            validation: self.data.validation,
            limit: self.data.limit,
            seed: self.train.seed,
        }
    }

    /// A name for runs: that of a shipped configuration, or the file's without its ending.
    pub fn run_name(source: &str) -> String {
        if shipped(source).is_some() {
            return source.replace('/', "-");
        }
        let stem = Path::new(source).file_stem().unwrap_or(source.as_ref());
        stem.to_string_lossy().into_owned()
    }

    /// The names of the configurations that ship with the crate.
    pub fn shipped() -> impl Iterator<Item = &'static str> {
        SHIPPED.iter().map(|(name, _)| *name)
    }

    /// The configuration as TOML.
    ///
    /// # Errors
    /// Never for a checked configuration.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).map_err(|error| Error::failed(error.to_string()))
    }

    /// The first key whose value differs, with the value here and in `other`.
    ///
    /// # Errors
    /// Never for checked configurations.
    pub fn difference(&self, other: &Self) -> Result<Option<(String, String, String)>> {
        let flat = |config: &Self| -> Result<Vec<(String, String)>> {
            let table = Table::try_from(config).map_err(|e| Error::failed(e.to_string()))?;
            let mut leaves = Vec::new();
            flatten(&table, "", &mut leaves);
            Ok(leaves)
        };
        let (here, there) = (flat(self)?, flat(other)?);
        let look_up = |leaves: &[(String, String)], key: &str| {
            let found = leaves.iter().find(|(name, _)| name == key);
            found.map_or("not set".to_owned(), |(_, value)| value.clone())
        };
        let mut keys = here.iter().chain(&there).map(|(key, _)| key);
        Ok(keys
            .find(|key| look_up(&here, key) != look_up(&there, key))
            .map(|key| (key.clone(), look_up(&here, key), look_up(&there, key))))
    }

    fn check(&self) -> Result<()> {
        let spiking = self.network.spiking_layers();
        let kind = match self.network.readout {
            Readout::Membrane => "hidden layers",
            Readout::Count => "layers",
        };
        let per_layer = |key: &str, values: &PerLayer| {
            let values = values.values(spiking);
            require(
                values.len() == spiking,
                key,
                &format!("one value, or a list of one for each of the {spiking} {kind}"),
            )?;
            Ok::<_, Error>(values)
        };
        let above_zero = |key: &str, values: &PerLayer| {
            let values = per_layer(key, values)?;
            let above = values.iter().all(|v| v.is_finite() && *v > 0.0);
            require(above, key, "above 0")
        };
        let (data, network, train) = (&self.data, &self.network, &self.train);
        require(
            data.validation > 0.0 && data.validation < 1.0,
            "data.validation",
            "in (0, 1)",
        )?;
        require(data.limit != Some(0), "data.limit", "at least 1")?;
        require(
            (0.0..=180.0).contains(&data.rotation),
            "data.rotation",
            "0 to 180 degrees",
        )?;
        require((0.0..1.0).contains(&data.scale), "data.scale", "in [0, 1)")?;
        require(
            (0.0..1.0).contains(&data.stretch),
            "data.stretch",
            "in [0, 1)",
        )?;
        require(
            (1..=65_536).contains(&network.steps),
            "network.steps",
            "1 to 65536",
        )?;
        require(
            (0.0..=1.0).contains(&network.beta),
            "network.beta",
            "0 to 1",
        )?;
        let mut betas = network.layers.iter().filter_map(Layer::beta);
        require(
            betas.all(|beta| (0.0..=1.0).contains(&beta)),
            "beta of network.layers",
            "0 to 1",
        )?;
        require(network.slope >= 0.0, "network.slope", "at least 0")?;
        let last = network.layers.last();
        require(
            matches!(last, Some(Layer::Linear { .. })),
            "network.layers",
            "a list whose last layer is linear: it is read out",
        )?;
        let sound = |layer: &Layer| match layer {
            Layer::Conv { channels, .. } => *channels > 0,
            Layer::Linear { outputs, .. } => *outputs > 0,
        };
        require(
            network.layers.iter().all(sound),
            "network.layers",
            "sizes of at least 1",
        )?;
        let dropouts = network.layers.iter().map(Layer::dropout);
        require(
            dropouts.clone().all(|p| (0.0..1.0).contains(&p)),
            "dropout of network.layers",
            "0 to below 1",
        )?;
        above_zero("threshold.initial", &self.threshold.initial)?;
        above_zero("threshold.final", &self.threshold.last)?;
        let rates = per_layer("threshold.rate", &self.threshold.rate)?;
        require(
            rates.iter().all(|rate| (0.0..=1.0).contains(rate)),
            "threshold.rate",
            "0 to 1",
        )?;
        require(
            (0.0..=1.0).contains(&self.threshold.start),
            "threshold.start",
            "0 to 1",
        )?;
        require(train.epochs > 0, "train.epochs", "at least 1")?;
        require(train.batch > 1, "train.batch", "at least 2, for batch norm")?;
        let rate = train.learning_rate;
        require(
            rate.is_finite() && rate > 0.0,
            "train.learning_rate",
            "above 0",
        )?;
        require(
            (0.0..1.0).contains(&train.momentum),
            "train.momentum",
            "0 to below 1",
        )?;
        require(
            train.half_cosine != Some(0),
            "train.half_cosine",
            "at least 1",
        )?;
        require(train.patience != Some(0), "train.patience", "at least 1")?;
        require(
            train
                .clip_gradient
                .is_none_or(|norm| norm.is_finite() && norm > 0.0),
            "train.clip_gradient",
            "above 0",
        )?;
        require(
            train.target_right.is_finite() && train.target_wrong.is_finite(),
            "train.target_right and train.target_wrong",
            "finite",
        )?;
        let loss_fits = match train.loss {
            Loss::CrossEntropy => true,
            Loss::MseCount => network.readout == Readout::Count,
            Loss::MseMembrane => network.readout == Readout::Membrane,
        };
        require(
            loss_fits,
            "train.loss",
            "one that fits network.readout: mse-count needs \"count\", mse-membrane \"membrane\"",
        )?;
        require(
            (0.0..=1.0).contains(&train.norm_momentum),
            "train.norm_momentum",
            "0 to 1",
        )
    }
}

/// The text of a configuration that ships.
fn shipped(name: &str) -> Option<&'static str> {
    let found = SHIPPED.iter().find(|(known, _)| *known == name);
    found.map(|(_, text)| *text)
}

/// Their names, for a message.
fn shipped_names() -> String {
    Config::shipped().collect::<Vec<_>>().join(", ")
}

fn require(holds: bool, key: &str, expected: &str) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Error::usage(format!("{key} must be {expected}")))
    }
}

#[cfg(test)]
mod tests;
