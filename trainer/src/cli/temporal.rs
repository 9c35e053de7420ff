//! `bitspike temporal`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::train::{command_to_resume, stop_on_interrupt};
use crate::temporal::measure::Reached;
use crate::temporal::store::{Folder, Settings};
use crate::temporal::{Condition, Observation, figure, page, store};
use crate::{Error, Result};

const EXAMPLES: &str = "Examples:
  bitspike temporal                              about a minute; then open runs/temporal-1/temporal.html
  bitspike temporal --seed 2 --out runs/two
  bitspike temporal --out runs/two --resume      go on where it stopped, or start it
  bitspike temporal --iterations 50 --json";

/// Name of the page in the folder.
const PAGE_FILE: &str = "temporal.html";

/// Iterations after which a network is saved.
const SAVED_EVERY: u64 = 200;

/// Arguments of `bitspike temporal`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder for the results [default: runs/temporal-SEED]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seed of the input and of the initial weights
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Iterations of each network
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    iterations: u64,
    /// Go on with a run that was stopped; starts where nothing is there yet
    #[arg(long)]
    resume: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs `bitspike temporal`.
///
/// # Errors
/// If the folder cannot be written or holds something else, or the user stopped it.
pub fn run(args: Args) -> Result<()> {
    let settings = Settings {
        schema: 1,
        seed: args.seed,
        iterations: args.iterations,
    };
    let stop = stop_on_interrupt()?;
    let default = || Path::new("runs").join(format!("temporal-{}", args.seed));
    let folder = Folder::open(&args.out.unwrap_or_else(default), settings, args.resume)?;
    let runs = train(&folder, settings, &stop)?;
    for (reached, observations) in &runs {
        let picture = figure::moments_file(reached.condition, observations)?;
        folder.write(&format!("{}.svg", reached.condition.name()), &picture)?;
    }
    let command = format!(
        "bitspike temporal --seed {} --iterations {}",
        settings.seed, settings.iterations
    );
    folder.write(PAGE_FILE, &page::page(settings, &runs, &command)?)?;
    let reached: Vec<&Reached> = runs.iter().map(|(reached, _)| reached).collect();
    let document = json!({
        "schema": 1,
        "seed": settings.seed,
        "iterations": settings.iterations,
        "page": folder.path().join(PAGE_FILE),
        "networks": reached,
    });
    folder.write("results.json", &store::json(&document)?)?;
    if args.json {
        say!("{document:#}")?;
    } else {
        for reached in reached {
            print(reached)?;
        }
        say!("{}", folder.path().join(PAGE_FILE).display())?;
    }
    Ok(())
}

/// Trains the networks one after another, each from where it was saved.
fn train(
    folder: &Folder,
    settings: Settings,
    stop: &AtomicBool,
) -> Result<Vec<(Reached, Vec<Observation>)>> {
    let networks = Condition::ALL.len() as u64;
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new(networks * settings.iterations)
    } else {
        ProgressBar::hidden()
    };
    let template = "{msg:9} {wide_bar} {pos}/{len} iterations, {eta} left";
    bar.set_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut runs = Vec::new();
    for condition in Condition::ALL {
        bar.set_message(condition.name());
        let (mut network, mut observations) = folder.load(condition, settings.seed)?;
        bar.inc(network.iteration());
        if !observations.is_empty() {
            bar.reset_eta();
        }
        while network.iteration() < settings.iterations {
            observations.push(network.iterate()?);
            bar.inc(1);
            let done = network.iteration();
            let stopped = stop.load(Ordering::Relaxed);
            if stopped || done == settings.iterations || done.is_multiple_of(SAVED_EVERY) {
                folder.save(condition, &network, &observations)?;
            }
            if stopped {
                bar.finish_and_clear();
                return Err(Error::Stopped(format!(
                    "stopped after iteration {done} of {} of the network `{}`; to go on:\n  {}",
                    settings.iterations,
                    condition.name(),
                    command_to_resume()
                )));
            }
        }
        let Some(reached) = Reached::of(condition, &observations) else {
            return Err(Error::failed("no iteration was done"));
        };
        runs.push((reached, observations));
    }
    bar.finish_and_clear();
    Ok(runs)
}

fn print(reached: &Reached) -> Result<()> {
    let steps = |steps: &[usize]| {
        if steps.is_empty() {
            return "never".to_owned();
        }
        let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
        steps.join(" ")
    };
    say!("{}:", reached.condition.title())?;
    say!(
        "  error {:.4}, hidden firing rate {:.4}; fires at: {}",
        reached.error,
        reached.hidden_rate,
        steps(&reached.spike_steps)
    )?;
    say!(
        "  averaged membrane above the threshold at: {}; in time in {:.0} % of the last iterations",
        steps(&reached.averaged_spike_steps),
        100.0 * reached.in_time_share
    )?;
    Ok(())
}
