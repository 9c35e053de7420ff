//! Rows and columns of a layer: two numbers, or one that stands for both.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::{Table, Value};

use crate::{Error, Result};

/// The largest side that a model file can hold.
const LARGEST: i64 = u16::MAX as i64;

/// The keys of a convolution that have sides, with the smallest value of each.
const KEYS: [(&str, i64); 4] = [("kernel", 1), ("stride", 1), ("padding", 0), ("pool", 1)];

/// As in a configuration.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Sides {
    Same(usize),
    Each([usize; 2]),
}

/// Refuses sides that are out of range or not one or two numbers, by layer and key.
pub(super) fn check(config: &Table) -> Result<()> {
    let network = config.get("network").and_then(Value::as_table);
    let layers = network.and_then(|network| network.get("layers")?.as_array());
    for (index, layer) in layers.into_iter().flatten().enumerate() {
        for (key, smallest) in KEYS {
            let Some(value) = layer.get(key) else {
                continue;
            };
            let fits = |value: &Value| {
                let side = value.as_integer();
                side.is_some_and(|side| (smallest..=LARGEST).contains(&side))
            };
            let sound = match value {
                Value::Array(sides) => sides.len() == 2 && sides.iter().all(fits),
                side => fits(side),
            };
            if !sound {
                return Err(Error::usage(format!(
                    "network.layers: layer {} has {key} = {value}; it must be {smallest} to \
                     {LARGEST}, one number for both sides or two: [rows, columns]",
                    index + 1
                )));
            }
        }
    }
    Ok(())
}

pub(super) fn serialize<S: Serializer>(
    &[rows, columns]: &[usize; 2],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    let sides = if rows == columns {
        Sides::Same(rows)
    } else {
        Sides::Each([rows, columns])
    };
    sides.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<[usize; 2], D::Error> {
    Ok(match Sides::deserialize(deserializer)? {
        Sides::Same(side) => [side; 2],
        Sides::Each(sides) => sides,
    })
}

/// The sides of what is not there but for its place.
pub(super) fn one() -> [usize; 2] {
    [1, 1]
}

pub(super) fn are_one(sides: &[usize; 2]) -> bool {
    *sides == [1, 1]
}

pub(super) fn are_zero(sides: &[usize; 2]) -> bool {
    *sides == [0, 0]
}
