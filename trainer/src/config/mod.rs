//! The configuration of a training: a TOML file, changed by `--set key=value`, then fixed.

mod keys;

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Table;

use self::keys::{check_keys, flatten, set};
use crate::anneal::Schedule;
use crate::{Error, Result};

/// The configurations that ship with the crate and run by name.
const SHIPPED: &[(&str, &str)] = &[("mnist", include_str!("../../configs/mnist.toml"))];

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

/// The `data` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Name of the data set.
    pub name: String,
    /// Part of the training data that is held back for validation.
    pub validation: f64,
    /// Training pictures are moved by up to this many pixels, rows and columns alike.
    #[serde(default)]
    pub shift: usize,
    /// Use only so many training samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// The `network` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Time steps of a decision.
    pub steps: u32,
    /// Decay of the membrane in a step.
    pub beta: f32,
    /// Slope of the fast-sigmoid surrogate gradient.
    pub slope: f32,
    /// The layers, first to last; the last one is read out.
    pub layers: Vec<Layer>,
}

/// One layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Layer {
    /// A convolution without padding, average pooling, then neurons.
    Conv {
        /// Output channels.
        channels: usize,
        /// Side of the kernel.
        kernel: usize,
        /// Side of the pooling window, 1 for none.
        #[serde(default = "no_pool")]
        pool: usize,
    },
    /// A layer in which every output reads every input.
    Linear {
        /// Outputs.
        outputs: usize,
    },
}

fn no_pool() -> usize {
    1
}

/// One value for all hidden layers, or one a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PerLayer {
    /// The same for all.
    All(f32),
    /// One a hidden layer, first to last.
    Each(Vec<f32>),
}

impl PerLayer {
    /// The values of `layers` hidden layers.
    pub fn values(&self, layers: usize) -> Vec<f32> {
        match self {
            Self::All(value) => vec![*value; layers],
            Self::Each(values) => values.clone(),
        }
    }
}

/// The `threshold` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// How the thresholds move.
    pub schedule: Schedule,
    /// Where they start.
    pub initial: PerLayer,
    /// Where they go.
    #[serde(rename = "final")]
    pub last: PerLayer,
    /// Part of the remaining way that an update covers (exponential only).
    pub rate: f32,
    /// Part of the training after which they start to move.
    pub start: f64,
}

/// The `train` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Seed of all that is random.
    pub seed: u64,
    /// Passes over the training data.
    pub epochs: u32,
    /// Samples an update.
    pub batch: usize,
    /// Peak learning rate.
    pub learning_rate: f32,
    /// Updates over which the learning rate rises.
    pub warmup: u64,
    /// Weight of a batch in the running statistics of batch norm.
    pub norm_momentum: f32,
}

impl Config {
    /// The configuration `source`, the name of a shipped one or the path of a TOML file, changed
    /// by `key=value` settings.
    ///
    /// # Errors
    /// If there is none, or it has a key or value that it cannot have.
    pub fn load(source: &str, settings: &[String]) -> Result<Self> {
        let shipped = SHIPPED.iter().find(|(name, _)| *name == source);
        let text = match shipped {
            Some((_, text)) => (*text).to_owned(),
            None => std::fs::read_to_string(source).map_err(|error| {
                let names: Vec<_> = SHIPPED.iter().map(|(name, _)| *name).collect();
                Error::usage(format!(
                    "cannot read the configuration `{source}`: {error}; give the path of a TOML \
                     file or one of the names {}",
                    names.join(", ")
                ))
            })?,
        };
        let mut table: Table = text
            .parse()
            .map_err(|error| Error::usage(format!("{source} is not valid TOML: {error}")))?;
        for setting in settings {
            set(&mut table, setting)?;
        }
        check_keys(&table, "")?;
        let config: Self = table.try_into().map_err(|error: toml::de::Error| {
            Error::usage(format!(
                "configuration {source}: {}",
                error.to_string().trim_end()
            ))
        })?;
        config.check()?;
        Ok(config)
    }

    /// A name for runs: that of a shipped configuration, or the file's without its ending.
    pub fn run_name(source: &str) -> String {
        let stem = Path::new(source).file_stem().unwrap_or(source.as_ref());
        stem.to_string_lossy().into_owned()
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
        let hidden = self.network.layers.len().saturating_sub(1);
        let per_layer = |key: &str, values: &PerLayer| {
            let values = values.values(hidden);
            require(
                values.len() == hidden,
                key,
                &format!("one value, or a list of one for each of the {hidden} hidden layers"),
            )?;
            require(
                values.iter().all(|v| v.is_finite() && *v > 0.0),
                key,
                "above 0",
            )
        };
        let (data, network, train) = (&self.data, &self.network, &self.train);
        require(
            data.validation > 0.0 && data.validation < 1.0,
            "data.validation",
            "in (0, 1)",
        )?;
        require(data.limit != Some(0), "data.limit", "at least 1")?;
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
        require(network.slope >= 0.0, "network.slope", "at least 0")?;
        let last = network.layers.last();
        require(
            matches!(last, Some(Layer::Linear { .. })),
            "network.layers",
            "a list whose last layer is linear: it is read out",
        )?;
        let sound = |layer: &Layer| match layer {
            Layer::Conv {
                channels,
                kernel,
                pool,
            } => *channels > 0 && *kernel > 0 && *pool > 0,
            Layer::Linear { outputs } => *outputs > 0,
        };
        require(
            network.layers.iter().all(sound),
            "network.layers",
            "sizes of at least 1",
        )?;
        per_layer("threshold.initial", &self.threshold.initial)?;
        per_layer("threshold.final", &self.threshold.last)?;
        require(
            (0.0..=1.0).contains(&self.threshold.rate),
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
            (0.0..=1.0).contains(&train.norm_momentum),
            "train.norm_momentum",
            "0 to 1",
        )
    }
}

fn require(holds: bool, key: &str, expected: &str) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Error::usage(format!("{key} must be {expected}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(settings: &[&str]) -> Result<Config> {
        let settings: Vec<String> = settings.iter().map(|s| (*s).to_owned()).collect();
        Config::load("mnist", &settings)
    }

    fn message(settings: &[&str]) -> String {
        load(settings).expect_err("refused").to_string()
    }

    #[test]
    fn settings_change_values_of_any_type() -> Result<()> {
        let settings = [
            "train.epochs=3",
            "data.limit=100",
            "threshold.schedule=cosine",
            "network.beta=0.5",
        ];
        let config = load(&settings)?;
        assert_eq!((config.train.epochs, config.data.limit), (3, Some(100)));
        assert_eq!(config.threshold.schedule, Schedule::Cosine);
        assert_eq!(config.network.beta, 0.5);
        Ok(())
    }

    #[test]
    fn the_resolved_copy_is_the_same_configuration() -> Result<()> {
        let config = load(&["threshold.final=[1.5, 2.0]", "data.limit=100"])?;
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("config.toml");
        std::fs::write(&path, config.to_toml()?).expect("written");
        assert_eq!(Config::load(&path.to_string_lossy(), &[])?, config);
        Ok(())
    }

    #[test]
    fn every_known_key_is_a_key_of_the_types() -> Result<()> {
        let config = load(&["data.limit=100"])?;
        let text = config.to_toml()?;
        for key in keys::KEYS {
            let leaf = key.rsplit('.').next().unwrap_or(key);
            assert!(text.contains(leaf), "{key} in {text}");
        }
        Ok(())
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest() {
        assert_eq!(
            message(&["train.epoch=3"]),
            "unknown configuration key `train.epoch`; did you mean `train.epochs`?"
        );
        assert!(message(&["bach=3"]).ends_with("did you mean `train.batch`?"));
    }

    #[test]
    fn a_value_out_of_range_is_refused_by_name() {
        assert!(message(&["train.epochs=0"]).starts_with("train.epochs must be"));
        assert!(message(&["network.steps=0"]).starts_with("network.steps must be"));
        assert!(message(&["threshold.final=[1.0]"]).contains("2 hidden layers"));
        assert!(message(&["train.epochs=many"]).contains("epochs"));
    }

    #[test]
    fn the_first_difference_is_named() -> Result<()> {
        let difference = load(&[])?.difference(&load(&["train.batch=64"])?)?;
        assert_eq!(
            difference,
            Some(("train.batch".into(), "128".into(), "64".into()))
        );
        let limit = load(&[])?.difference(&load(&["data.limit=64"])?)?;
        assert_eq!(
            limit,
            Some(("data.limit".into(), "not set".into(), "64".into()))
        );
        Ok(())
    }
}
