//! The three conditions of the paper: float weights, binary ones with thresholds that stay, and
//! binary ones with annealed thresholds.

use clap::ValueEnum;
use toml::{Table, Value};

use super::keys::{flatten, set};
use crate::{Error, Result};

/// A condition of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Condition {
    /// Float weights, thresholds that stay at their initial values
    Float,
    /// 1-bit weights, thresholds that stay at their initial values
    Binary,
    /// 1-bit weights, thresholds that move from their initial to their final values
    Annealed,
}

impl Condition {
    /// Its name, as in `[condition.NAME]` and `--condition NAME`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Binary => "binary",
            Self::Annealed => "annealed",
        }
    }
}

/// Takes the table `condition` out of a configuration and applies what it says about one of them.
pub(super) fn apply(table: &mut Table, condition: Option<Condition>) -> Result<()> {
    let conditions = match table.remove("condition") {
        None => Table::new(),
        Some(Value::Table(conditions)) => conditions,
        Some(_) => {
            return Err(Error::usage(
                "`condition` must be a table, such as [condition.float]",
            ));
        }
    };
    // The others are checked too, so that a mistake does not wait for the condition to be asked for.
    let known = [Condition::Float, Condition::Binary, Condition::Annealed];
    for (name, _) in &conditions {
        if !known.iter().any(|condition| condition.name() == name) {
            return Err(Error::usage(format!(
                "condition.{name}: the conditions are float, binary and annealed"
            )));
        }
    }
    for of in known {
        let mut changed = table.clone();
        let (weights, still) = match of {
            Condition::Float => ("float", true),
            Condition::Binary => ("binary", true),
            Condition::Annealed => ("binary", false),
        };
        set(&mut changed, &format!("network.weights={weights}"))?;
        if still {
            set(&mut changed, "threshold.schedule=none")?;
        }
        if let Some(settings) = conditions.get(of.name()) {
            let Value::Table(settings) = settings else {
                return Err(Error::usage(format!(
                    "condition.{} must be a table",
                    of.name()
                )));
            };
            let mut leaves = Vec::new();
            flatten(settings, "", &mut leaves);
            for (key, value) in leaves {
                set(&mut changed, &format!("{key}={value}"))?;
            }
        }
        if condition == Some(of) {
            *table = changed;
            break;
        }
    }
    Ok(())
}
