//! The keys of a configuration: which there are, setting one by its name, naming a wrong one.

use toml::{Table, Value};

use crate::{Error, Result};

/// Every key that a configuration may have; the keys of a list's tables follow the list's.
pub(super) const KEYS: &[&str] = &[
    "data.name",
    "data.validation",
    "data.shift",
    "data.rotation",
    "data.scale",
    "data.shift_steps",
    "data.stretch",
    "data.limit",
    "data.frames.step",
    "data.frames.value",
    "data.frames.group",
    "data.frames.polarity",
    "data.frames.history",
    "data.source.format",
    "data.source.train",
    "data.source.test",
    "data.source.classes",
    "data.source.sensor.height",
    "data.source.sensor.width",
    "data.source.sensor.polarities",
    "data.source.label",
    "data.source.first_class",
    "data.source.test_takes",
    "network.steps",
    "network.beta",
    "network.weights",
    "network.initial_weights",
    "network.straight_through",
    "network.norm",
    "network.surrogate",
    "network.surrogate_unit",
    "network.slope",
    "network.readout",
    "network.layers",
    "network.layers.kind",
    "network.layers.channels",
    "network.layers.kernel",
    "network.layers.stride",
    "network.layers.padding",
    "network.layers.pool",
    "network.layers.outputs",
    "network.layers.beta",
    "network.layers.norm",
    "network.layers.dropout",
    "threshold.schedule",
    "threshold.every",
    "threshold.initial",
    "threshold.final",
    "threshold.rate",
    "threshold.start",
    "train.seed",
    "train.epochs",
    "train.batch",
    "train.loss",
    "train.target_right",
    "train.target_wrong",
    "train.optimiser",
    "train.momentum",
    "train.learning_rate",
    "train.warmup",
    "train.decay",
    "train.half_cosine",
    "train.clip_gradient",
    "train.clip_weights",
    "train.patience",
    "train.norm_momentum",
];

/// Applies one `key=value`; the value is TOML, or a bare word for a string.
pub(super) fn set(table: &mut Table, setting: &str) -> Result<()> {
    let Some((key, value)) = setting.split_once('=') else {
        return Err(Error::usage(format!(
            "--set {setting}: expected key=value, for example --set train.epochs=3"
        )));
    };
    let (key, value) = (key.trim(), value.trim());
    if !KEYS.contains(&key) {
        return Err(unknown_key(key));
    }
    let parsed = format!("v = {value}").parse::<Table>();
    let parsed = parsed.ok().and_then(|mut table| table.remove("v"));
    let value = parsed.unwrap_or_else(|| Value::String(value.to_owned()));
    let mut path: Vec<&str> = key.split('.').collect();
    let leaf = path.pop().unwrap_or(key);
    let mut table = table;
    for part in path {
        let entry = table
            .entry(part)
            .or_insert_with(|| Value::Table(Table::new()));
        table = match entry {
            Value::Table(table) => table,
            _ => {
                return Err(Error::usage(format!(
                    "--set {key}: `{part}` is not a table; set it as a whole: {part}=[...]"
                )));
            }
        };
    }
    table.insert(leaf.to_owned(), value);
    Ok(())
}

/// Refuses the first key of `table`, which stands at `path`, that no configuration has.
pub(super) fn check_keys(table: &Table, path: &str) -> Result<()> {
    for (name, value) in table {
        let key = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let inner = format!("{key}.");
        if !KEYS
            .iter()
            .any(|known| *known == key || known.starts_with(&inner))
        {
            return Err(unknown_key(&key));
        }
        match value {
            Value::Table(table) => check_keys(table, &key)?,
            Value::Array(values) => {
                let mut tables = values.iter().filter_map(Value::as_table);
                tables.try_for_each(|table| check_keys(table, &key))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn unknown_key(key: &str) -> Error {
    let leaf = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
    let likeness = |known: &&&str| {
        let whole = strsim::jaro_winkler(known, key);
        whole.max(strsim::jaro_winkler(&leaf(known), &leaf(key)))
    };
    let nearest = KEYS
        .iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let nearest = nearest.map_or("train.epochs", |key| key);
    Error::usage(format!(
        "unknown configuration key `{key}`; did you mean `{nearest}`?"
    ))
}

/// Lists every key that has a value, with the value as TOML.
pub(super) fn flatten(table: &Table, path: &str, leaves: &mut Vec<(String, String)>) {
    for (name, value) in table {
        let key = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        match value {
            Value::Table(table) => flatten(table, &key, leaves),
            value => leaves.push((key, value.to_string())),
        }
    }
}
