//! `base`: a configuration that is another one but for what it says.

use toml::{Table, Value};

use super::{shipped, shipped_names};
use crate::{Error, Result};

/// Reads a configuration and, where it names a `base`, lays it over that one: its tables are merged
/// key by key, and every other value, lists included, takes the place of the base's.
///
/// `source` is what an error calls it.
pub(super) fn read(source: &str, text: &str) -> Result<Table> {
    let mut table: Table = text
        .parse()
        .map_err(|error| Error::usage(format!("{source} is not valid TOML: {error}")))?;
    let base = match table.remove("base") {
        None => return Ok(table),
        Some(Value::String(base)) => base,
        Some(_) => return Err(wrong(source, "must be a name in quotes")),
    };
    // Only shipped ones, so that a file says all of itself and no chain of them is endless.
    let Some(text) = shipped(&base) else {
        let names = shipped_names();
        return Err(wrong(
            source,
            &format!("is `{base}`; a configuration that ships is needed, one of {names}"),
        ));
    };
    let mut merged = read(&base, text)?;
    merge(&mut merged, table);
    Ok(merged)
}

fn wrong(source: &str, what: &str) -> Error {
    Error::usage(format!("configuration {source}: base {what}"))
}

fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}
