//! `cargo xtask verify`: networks of the paper's three topologies, every spike and membrane on
//! every emulated machine held against the host.
//!
//! `tests/src/bin/networks.rs` writes the networks, `bitspike verify` compares; here stands which
//! network runs where, and how many values must have been compared.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde::Deserialize;

use crate::boards::{self, Board};
use crate::outcome::{Failure, Outcome};
use crate::run::{cargo, root, stream, stream_to_string, target_dir};
use crate::{firmware, setup};

/// The networks, and the smaller sibling that runs where one does not fit.
const NETWORKS: [(&str, Option<&str>); 3] =
    [("mnist", None), ("shd", Some("shd-small")), ("dvs", None)];

/// Steps of a decision of the networks that read a stream.
const STEPS: &str = "20";

/// Spikes and membranes that CI compares, for each network on each machine.
const VALUES: u64 = 10_000_000;

/// Flags of `cargo xtask verify`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask verify                         10 million values of each network on each machine\n  cargo xtask verify --values 50000000       a thousand million over all, some quarter of an hour\n  cargo xtask verify --on m0 --only shd      one network on one machine, or its smaller sibling\n\nA value is one spike or one membrane of one step. Where a network does not fit a machine, both sizes\nare printed, and its smaller sibling is compared there. One differing bit fails the command."
)]
pub(crate) struct Arguments {
    /// Spikes and membranes to compare, for each network on each machine
    #[arg(long, value_name = "N", default_value_t = VALUES,
          value_parser = clap::value_parser!(u64).range(1..))]
    values: u64,
    /// Machines [default: all emulated ones]
    #[arg(long, value_name = "MACHINES", value_delimiter = ',')]
    on: Vec<String>,
    /// Only this network: mnist, shd, dvs
    #[arg(long, value_name = "NETWORK")]
    only: Option<String>,
}

/// What is read of a network's description.
#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    model: PathBuf,
}

/// What is read of `bitspike verify --json`.
#[derive(Deserialize)]
struct Verification {
    machines: Vec<Machine>,
}

#[derive(Deserialize)]
struct Machine {
    machine: String,
    samples: u64,
    compared_values: u64,
    compared_bits: u64,
    differing_bits: u64,
}

/// A line of the table, and what it adds to the sums.
struct Row {
    network: &'static str,
    machine: Machine,
}

/// Compares what the flags choose.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let boards = boards::chosen(&arguments.on)?;
    let networks: Vec<_> = NETWORKS
        .into_iter()
        .filter(|(name, _)| arguments.only.as_deref().is_none_or(|only| only == *name))
        .collect();
    if networks.is_empty() {
        return Err(Failure::Usage(format!(
            "no network is called `{}`; there are mnist, shd, dvs",
            arguments.only.as_deref().unwrap_or_default()
        )));
    }
    compare_all(&networks, &boards, arguments.values)
}

/// Compares every network on every emulated machine, as CI does.
pub(crate) fn check() -> Outcome {
    compare_all(&NETWORKS, &boards::emulated()?, VALUES)
}

/// Compares, prints a table, and fails where anything differs or was left out.
fn compare_all(
    networks: &[(&'static str, Option<&'static str>)],
    boards: &[Board],
    values: u64,
) -> Outcome {
    let start = Instant::now();
    stream(cargo().args(["build", "--package", "bitspike-trainer", "--locked"]))?;
    let mut rows = Vec::new();
    for &(name, smaller) in networks {
        let refused = compare(name, boards, values, &mut rows)?;
        match smaller {
            Some(smaller) if !refused.is_empty() => {
                if let Some(board) = compare(smaller, &refused, values, &mut rows)?.first() {
                    return Err(Failure::Work(format!(
                        "{}: neither {name} nor {smaller} fits",
                        board.name
                    )));
                }
            }
            None if !refused.is_empty() => {
                return Err(Failure::Work(format!(
                    "{}: {name} does not fit, and has no smaller sibling",
                    refused[0].name
                )));
            }
            _ => {}
        }
    }
    print(&rows, start.elapsed().as_secs_f64())?;
    judge(&rows, values)
}

/// Compares one network on the boards that hold it; gives those that do not.
fn compare(
    name: &'static str,
    boards: &[Board],
    values: u64,
    rows: &mut Vec<Row>,
) -> Outcome<Vec<Board>> {
    let model = network(name)?;
    let (mut fit, mut refused) = (Vec::new(), Vec::new());
    for board in boards {
        match firmware::build(board, &setup::ready_for(board)?, "classify", Some(&model)) {
            Ok(_) => fit.push(board.name.as_str()),
            Err(Failure::DoesNotFit(why)) => {
                note!("{}: {why}", board.name);
                refused.push(board.clone());
            }
            Err(other) => return Err(other),
        }
    }
    if !fit.is_empty() {
        // One sample on the host says how many values a sample has.
        let one = verify(&model, "host", 1)?;
        let each = one.machines.first().map_or(1, |host| host.compared_values);
        let samples = values.div_ceil(each.max(1));
        let verification = verify(&model, &fit.join(","), samples)?;
        let missing = fit
            .iter()
            .find(|name| verification.machines.iter().all(|m| m.machine != **name));
        if let Some(machine) = missing {
            return Err(Failure::Work(format!(
                "{name} was not compared on {machine}"
            )));
        }
        rows.extend(verification.machines.into_iter().map(|machine| Row {
            network: name,
            machine,
        }));
    }
    Ok(refused)
}

/// Has the network written.
fn network(name: &str) -> Outcome<PathBuf> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--locked", "--package", "bitspike-tests"]);
    command.args(["--bin", "networks", "--", "--kernels", "auto"]);
    command.args(["--only", name, "--steps", STEPS, "--out"]);
    command.arg(target_dir().join("verify"));
    let text = stream_to_string(&mut command)?;
    let cases: Cases = serde_json::from_str(&text)
        .map_err(|error| Failure::Work(format!("the networks' document: {error}")))?;
    let case = cases.cases.into_iter().next();
    case.map(|case| case.model)
        .ok_or_else(|| Failure::Work(format!("no network of the name {name} was written")))
}

/// `bitspike verify` with seeded samples; a differing bit is in its document and its exit code.
fn verify(model: &Path, machines: &str, samples: u64) -> Outcome<Verification> {
    let mut command = Command::new(target_dir().join("debug/bitspike"));
    command
        .current_dir(root())
        .args(["verify", "--json", "--on", machines, "--samples"])
        .arg(samples.to_string())
        .arg(model);
    let text = stream_to_string(&mut command)?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::Work(format!("the document of `bitspike verify`: {error}")))
}

fn print(rows: &[Row], seconds: f64) -> Outcome {
    say!("| network | machine | samples | spikes and membranes | their bits | differing bits |")?;
    say!("|---|---|---|---|---|---|")?;
    for Row { network, machine } in rows {
        say!(
            "| {network} | {} | {} | {} | {} | {} |",
            machine.machine,
            machine.samples,
            machine.compared_values,
            machine.compared_bits,
            machine.differing_bits
        )?;
    }
    let sum = |count: fn(&Machine) -> u64| rows.iter().map(|row| count(&row.machine)).sum::<u64>();
    say!(
        "\n{} differing bits over {} spikes and membranes ({} bits), in {seconds:.0} s",
        sum(|m| m.differing_bits),
        sum(|m| m.compared_values),
        sum(|m| m.compared_bits)
    )
}

/// Nothing differs, and as much was compared as was asked for.
fn judge(rows: &[Row], values: u64) -> Outcome {
    for Row { network, machine } in rows {
        let Machine {
            machine,
            differing_bits,
            compared_values,
            ..
        } = machine;
        if *differing_bits > 0 {
            return Err(Failure::Work(format!(
                "{network} on {machine}: {differing_bits} bits differ from the host"
            )));
        }
        if *compared_values < values {
            return Err(Failure::Work(format!(
                "{network} on {machine}: {compared_values} values compared, {values} asked for"
            )));
        }
    }
    Ok(())
}
