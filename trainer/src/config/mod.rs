//! The configuration of a training: a TOML file, changed by `--set key=value`, then fixed.

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
        if SHIPPED.iter().any(|(name, _)| *name == source) {
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
    use crate::anneal::Schedule;
    use crate::ops::sign::Weights;

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
        let config = load(&[
            "data.limit=100",
            "train.half_cosine=9",
            "train.clip_gradient=1.0",
            "train.patience=3",
            "data.stretch=0.1",
            "data.frames.step=1.0",
            "data.frames.history=2",
            "data.source.format=csv",
            "data.source.train=a",
            "data.source.test=b",
            "data.source.classes=2",
            "data.source.test_takes=1",
            "data.source.sensor.height=1",
            "data.source.sensor.width=2",
            "data.source.sensor.polarities=1",
            "network.layers=[{kind='conv', channels=1, kernel=1, stride=2, padding=[0, 1], beta=0.5, norm='bias'}, {kind='linear', outputs=2}]",
        ])?;
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

    fn first_layer(keys: &str) -> String {
        format!(
            "network.layers=[{{kind='conv', channels=1, {keys}}}, {{kind='linear', outputs=2}}]"
        )
    }

    #[test]
    fn sides_are_two_numbers_or_one_for_both() -> Result<()> {
        let config = load(&[&first_layer("kernel=5, stride=2, pool=[2, 2]")])?;
        let layer = config.network.layers[0];
        let same = load(&[&first_layer(
            "kernel=[5, 5], stride=[2, 2], padding=0, pool=2",
        )])?;
        assert_eq!(layer, same.network.layers[0]);
        let config = load(&[&first_layer(
            "kernel=[1, 7], stride=[1, 4], padding=[0, 3], pool=[1, 2]",
        )])?;
        let expected = Layer::Conv {
            channels: 1,
            kernel: [1, 7],
            stride: [1, 4],
            padding: [0, 3],
            pool: [1, 2],
            beta: None,
            norm: None,
            dropout: 0.0,
        };
        assert_eq!(config.network.layers[0], expected);
        let text = config.to_toml()?;
        let sides =
            |text: &str| text.parse::<Table>().expect("TOML")["network"]["layers"][0].clone();
        assert_eq!(sides(&text)["kernel"].to_string(), "[1, 7]");
        // What a configuration could not say before stays out of those that do not say it.
        let square = sides(&load(&[&first_layer("kernel=5")])?.to_toml()?);
        let square = square.as_table().expect("a table");
        let keys: Vec<_> = square.keys().map(String::as_str).collect();
        assert_eq!(keys, ["channels", "dropout", "kernel", "kind", "pool"]);
        assert_eq!(square["kernel"].to_string(), "5");
        Ok(())
    }

    #[test]
    fn wrong_sides_are_refused_by_layer_and_key() {
        for (keys, expected) in [
            ("kernel=0", "layer 1 has kernel = 0; it must be 1 to 65535"),
            (
                "kernel=[1, -7]",
                "layer 1 has kernel = [1, -7]; it must be 1",
            ),
            (
                "kernel=[1, 7, 1]",
                "layer 1 has kernel = [1, 7, 1]; it must be",
            ),
            ("kernel=[7]", "layer 1 has kernel = [7]; it must be"),
            ("kernel=1.5", "layer 1 has kernel = 1.5; it must be"),
            ("kernel=65536", "layer 1 has kernel = 65536; it must be"),
            (
                "kernel=1, stride=[1, 0]",
                "layer 1 has stride = [1, 0]; it must be 1",
            ),
            (
                "kernel=1, padding=-1",
                "layer 1 has padding = -1; it must be 0",
            ),
            (
                "kernel=1, pool=[0, 1]",
                "layer 1 has pool = [0, 1]; it must be 1",
            ),
            ("kernel='5'", "layer 1 has kernel = \"5\"; it must be 1"),
        ] {
            let message = message(&[&first_layer(keys)]);
            assert!(message.contains(expected), "{message}");
        }
        assert!(message(&[&first_layer("pool=2")]).contains("kernel"));
    }

    #[test]
    fn every_shipped_configuration_is_sound_under_each_condition() -> Result<()> {
        for name in Config::shipped() {
            for condition in [
                None,
                Some(Condition::Float),
                Some(Condition::Binary),
                Some(Condition::Annealed),
            ] {
                let config = Config::load_condition(name, condition, &[])?;
                let float = condition == Some(Condition::Float);
                assert_eq!(config.network.weights == Weights::Float, float, "{name}");
                let still = config.threshold.schedule == Schedule::None;
                if let Some(condition) = condition {
                    assert_eq!(
                        still,
                        condition != Condition::Annealed,
                        "{name} {condition:?}"
                    );
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_loss_that_the_readout_does_not_give_is_refused() {
        assert!(message(&["train.loss=mse-count"]).starts_with("train.loss must be"));
        assert!(
            message(&["network.readout=count", "train.loss=mse-membrane"])
                .starts_with("train.loss must be")
        );
        assert!(
            message(&["network.readout=count", "threshold.final=[1.0, 2.0]"]).contains("3 layers")
        );
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
