//! `cargo xtask bench fit` and `sweep`: the cost table of `core`, measured and judged.
//!
//! What a layer's loops do (`terms` of core/src/cost) and what the table makes of it come with the
//! networks, from `tests/src/bin/networks.rs`; here machines run, and constants are fitted.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::{Case, command_line, device, networks, written};
use crate::boards;
use crate::firmware;
use crate::outcome::{Failure, Outcome};
use crate::run::{root, stream};
use crate::setup;

/// Flags of `cargo xtask bench fit` and `sweep`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask bench fit              write core/src/cost/table.rs anew, after a kernel has changed\n  cargo xtask bench sweep            judge it; fails under 95 %\n  cargo xtask bench sweep --json sweep.json"
)]
pub(crate) struct Arguments {
    /// Write what was measured as a JSON array
    #[arg(long, value_name = "FILE")]
    json: Option<std::path::PathBuf>,
}

/// The machines that stand for the classes, in the order of the table.
const CLASSES: [&str; 3] = ["m0", "m3", "rv32"];

/// The parts of the table, in its order.
const PARTS: [&str; 7] = [
    "dense",
    "dense, tables",
    "event",
    "scan",
    "load",
    "driven",
    "readout",
];
const LOAD: usize = 4;
const DRIVEN: usize = 5;

/// Terms of a part at most.
const TERMS: usize = 9;

/// Share of choices that have to be right.
const MUST: f64 = 0.95;

/// What the table knows of a layer.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Known {
    /// By machine: the part that runs, and its terms.
    parts: BTreeMap<String, (usize, [f64; TERMS])>,
    /// Whether the kernel asked for is the one that runs.
    forced: bool,
    spikes: f64,
    driven: [f64; TERMS],
    /// By machine, then by kernel.
    estimates: BTreeMap<String, BTreeMap<String, f64>>,
}

/// A measurement.
#[derive(Debug, Clone, Serialize)]
struct Measured {
    target: &'static str,
    network: String,
    layer: String,
    kernel: String,
    density: f64,
    spikes: f64,
    part: usize,
    terms: [f64; TERMS],
    instructions: f64,
    stack_bytes: u64,
}

/// Measures the networks of a set on every class; gives the cases too.
fn measure(set: &str) -> Outcome<(Vec<Case>, Vec<Measured>)> {
    let cases = written(networks(&["dense", "event"]).args(["--set", set]))?;
    let mut rows = Vec::new();
    for target in CLASSES {
        let board = boards::find(target)?;
        let toolchain = setup::ready_for(&board)?;
        for (number, case) in cases.iter().enumerate() {
            note!(
                "{target}, {} of {}: {} with kernel {} at {} %",
                number + 1,
                cases.len(),
                case.network,
                case.kernel,
                100.0 * case.density
            );
            let image = firmware::build(&board, &toolchain, "bench", Some(&case.model))?;
            let measured = device::run(&image.runner, case, target)?;
            add(target, case, &measured, &mut rows);
        }
    }
    Ok((cases, rows))
}

/// Turns a run into rows, one a layer and part.
fn add(target: &'static str, case: &Case, measured: &device::Measured, rows: &mut Vec<Measured>) {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    for (index, known) in case.costs.iter().enumerate() {
        let each: Vec<f64> = measured.layers.iter().map(|step| step[index]).collect();
        let layer = case.layers.get(index).map_or("read-out", String::as_str);
        let Some(&(part, terms)) = known.parts.get(target) else {
            continue;
        };
        let mut row = |part: usize, terms, instructions| {
            rows.push(Measured {
                target,
                network: case.network.clone(),
                layer: layer.to_owned(),
                kernel: case.kernel.clone(),
                density: case.density,
                spikes: known.spikes,
                part,
                terms,
                instructions,
                stack_bytes: measured.step_stack,
            });
        };
        if part == LOAD {
            // A decision loads once, as many steps alone each time.
            let steps = f64::from(case.steps);
            let (step, decision) = (mean(&measured.steps), mean(&measured.decisions));
            let load = (steps * step - decision) / (steps - 1.0);
            row(LOAD, terms, load);
            row(DRIVEN, known.driven, mean(&each) - load);
        } else if known.forced {
            row(part, terms, mean(&each));
        }
    }
}

/// Fits the table and writes it.
pub(crate) fn fit(arguments: &Arguments) -> Outcome {
    let (_, rows) = measure("fit")?;
    save(arguments, &rows)?;
    let mut table = Vec::new();
    say!("| class | part | measurements | error, mean | largest |\n|---|---|---|---|---|")?;
    for target in CLASSES {
        for (part, name) in PARTS.iter().enumerate() {
            let rows: Vec<&Measured> = rows
                .iter()
                .filter(|row| row.target == target && row.part == part)
                .collect();
            let constants = solve(&rows);
            let errors: Vec<f64> = rows
                .iter()
                .map(|row| (dot(&constants, &row.terms) / row.instructions - 1.0).abs())
                .collect();
            say!(
                "| {target} | {name} | {} | {:.1} % | {:.1} % |",
                rows.len(),
                100.0 * errors.iter().sum::<f64>() / errors.len().max(1) as f64,
                100.0 * errors.iter().copied().fold(0.0, f64::max)
            )?;
            table.push(constants);
        }
    }
    // A run takes the stack of its part with the most: no part takes more than the least run with it.
    let stacks = CLASSES.map(|target| {
        PARTS.map(|name| {
            let alike = |row: &&Measured| row.target == target && PARTS[row.part] == name;
            let bytes = rows.iter().filter(alike).map(|row| row.stack_bytes);
            bytes.min().unwrap_or(0)
        })
    });
    write(&table, stacks)
}

/// The constants that are not negative and have the least squares of relative errors.
fn solve(rows: &[&Measured]) -> [f64; TERMS] {
    let mut products = [[0.0; TERMS]; TERMS];
    let mut targets = [0.0; TERMS];
    for row in rows {
        let scaled = row.terms.map(|term| term / row.instructions);
        for (i, a) in scaled.iter().enumerate() {
            targets[i] += a;
            for (j, b) in scaled.iter().enumerate() {
                products[i][j] += a * b;
            }
        }
    }
    // Coordinate descent: each constant in turn takes its best value.
    let mut constants = [0.0; TERMS];
    for _ in 0..50_000 {
        for i in 0..TERMS {
            if products[i][i] > 0.0 {
                let others = dot(&products[i], &constants) - products[i][i] * constants[i];
                constants[i] = ((targets[i] - others) / products[i][i]).max(0.0);
            }
        }
    }
    constants
}

fn dot(a: &[f64; TERMS], b: &[f64; TERMS]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Writes `core/src/cost/table.rs`.
fn write(table: &[[f64; TERMS]], stacks: [[u64; PARTS.len()]; 3]) -> Outcome {
    let path = root().join("core/src/cost/table.rs");
    let before = fs::read_to_string(&path).map_err(|e| Failure::file("read", &path, &e))?;
    let (code, _) = before
        .split_once("/// Most stack of a step.")
        .ok_or_else(|| Failure::Work(format!("{}: not as it was written", path.display())))?;
    let rows: Vec<String> = table
        .iter()
        .map(|row| format!("{:?}", row.map(|value| (100.0 * value).round() / 100.0)))
        .collect();
    let classes: Vec<String> = rows
        .chunks(PARTS.len())
        .map(|parts| format!("[{}]", parts.join(", ")))
        .collect();
    let text = format!(
        "{code}/// Most stack of a step.\nconst STACK_BYTES: [[u32; {parts}]; 3] = {stacks:?};\n\n/// By class and part.\nconst CONSTANTS: [[[f64; TERMS]; {parts}]; 3] = [{}];\n",
        classes.join(", "),
        parts = PARTS.len()
    );
    fs::write(&path, text).map_err(|e| Failure::file("write", &path, &e))?;
    stream(Command::new("rustfmt").arg("--edition=2024").arg(&path))
}

/// A choice between two kernels for a layer.
struct Choice {
    name: String,
    /// By kernel: measured.
    measured: BTreeMap<String, f64>,
    /// By kernel: what the table says.
    estimates: BTreeMap<String, f64>,
}

/// Judges the table by networks that it was not fitted on.
pub(crate) fn sweep(arguments: &Arguments) -> Outcome {
    let (cases, rows) = measure("held-out")?;
    save(arguments, &rows)?;
    let mut choices: BTreeMap<String, Choice> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.part < LOAD) {
        let name = format!(
            "{} {} layer {} at {} %",
            row.target,
            row.network,
            row.layer,
            100.0 * row.density
        );
        let choice = choices.entry(name.clone()).or_insert_with(|| Choice {
            name,
            measured: BTreeMap::new(),
            estimates: estimates(&cases, row),
        });
        choice.measured.insert(row.kernel.clone(), row.instructions);
    }
    judge(&choices.into_values().collect::<Vec<_>>())
}

/// What the table says of the layer of a row.
fn estimates(cases: &[Case], row: &Measured) -> BTreeMap<String, f64> {
    let case = cases
        .iter()
        .find(|case| (&case.network, case.density) == (&row.network, row.density));
    let known = case.and_then(|case| {
        let index = case.layers.iter().position(|layer| *layer == row.layer)?;
        case.costs.get(index)?.estimates.get(row.target)
    });
    known.cloned().unwrap_or_default()
}

fn judge(choices: &[Choice]) -> Outcome {
    let mut right = 0;
    let (mut best, mut chosen) = (0.0, 0.0);
    let mut errors = Vec::new();
    say!("| wrong choice | dense | event | lost |\n|---|---|---|---|")?;
    for choice in choices {
        let of = |list: &BTreeMap<String, f64>, kernel| list.get(kernel).copied();
        let [Some(dense), Some(event)] = ["dense", "event"].map(|k| of(&choice.measured, k)) else {
            continue;
        };
        let [Some(d), Some(e)] = ["dense", "event"].map(|k| of(&choice.estimates, k)) else {
            continue;
        };
        errors.extend([(d / dense - 1.0).abs(), (e / event - 1.0).abs()]);
        let taken = if e < d { event } else { dense };
        let least = dense.min(event);
        best += least;
        chosen += taken;
        if taken <= least {
            right += 1;
        } else {
            say!(
                "| {} | {dense:.0} | {event:.0} | {:.1} % |",
                choice.name,
                100.0 * (taken / least - 1.0)
            )?;
        }
    }
    let share = f64::from(right) / choices.len().max(1) as f64;
    errors.sort_by(f64::total_cmp);
    say!(
        "\n{right} of {} choices right ({:.1} %); {:.2} % more instructions than with all right;\nestimates are off by {:.1} % in the mean, {:.1} % at the worst\n{}",
        choices.len(),
        100.0 * share,
        100.0 * (chosen / best - 1.0),
        100.0 * errors.iter().sum::<f64>() / errors.len().max(1) as f64,
        100.0 * errors.last().copied().unwrap_or(0.0),
        command_line()
    )?;
    if share < MUST {
        return Err(Failure::Work(format!(
            "the table chooses the faster kernel in {:.1} %, {} % is asked for; `cargo xtask bench fit` fits it anew",
            100.0 * share,
            100.0 * MUST
        )));
    }
    Ok(())
}

fn save(arguments: &Arguments, rows: &[Measured]) -> Outcome {
    let Some(path) = &arguments.json else {
        return Ok(());
    };
    let text = serde_json::to_string_pretty(rows).expect("plain data");
    fs::write(path, text + "\n").map_err(|e| Failure::file("write", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_found_and_none_is_negative() {
        let row = |terms: [f64; TERMS], instructions| Measured {
            target: "m0",
            network: String::new(),
            layer: String::new(),
            kernel: String::new(),
            density: 0.0,
            spikes: 0.0,
            part: 0,
            terms,
            instructions,
            stack_bytes: 0,
        };
        let mut rows = Vec::new();
        for i in 1..20 {
            let mut terms = [0.0; TERMS];
            let i = f64::from(i);
            (terms[0], terms[1], terms[2]) = (1.0, i, i * i % 7.0);
            // The third term has no part in it; its constant must not fall below 0.
            rows.push(row(terms, 50.0 + 3.0 * i));
        }
        let found = solve(&rows.iter().collect::<Vec<_>>());
        assert!((found[0] - 50.0).abs() < 0.1, "{found:?}");
        assert!((found[1] - 3.0).abs() < 0.01, "{found:?}");
        assert!((0.0..0.01).contains(&found[2]), "{found:?}");
    }

    #[test]
    fn a_table_that_is_wrong_too_often_fails() {
        let choice = |event| Choice {
            name: String::new(),
            measured: BTreeMap::from([("dense".into(), 10.0), ("event".into(), event)]),
            estimates: BTreeMap::from([("dense".into(), 10.0), ("event".into(), 9.0)]),
        };
        let mut choices: Vec<Choice> = (0..19).map(|_| choice(8.0)).collect();
        choices.push(choice(11.0));
        assert!(judge(&choices).is_ok());
        choices.push(choice(11.0));
        assert!(judge(&choices).is_err());
    }
}
