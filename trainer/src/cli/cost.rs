//! `bitspike cost`.

use std::path::PathBuf;

use super::eval::model_path;
use crate::cost::{Board, Costs, Rates};
use crate::{Error, Result, model_file};

const EXAMPLES: &str = "Examples:
  bitspike cost runs/mnist-1                       every board of firmware/boards
  bitspike cost model.bsnn --on m0,m3 --json
  bitspike cost model.bsnn --density 0.05          at 5 % spikes in place of the training's rates

All figures are estimates, from a table measured on emulated machines: instructions, not clock cycles.
`bitspike verify` counts them, and the bytes, for one model on one machine.";

/// Arguments of `bitspike cost`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A model file, or a run directory that holds one
    #[arg(value_name = "MODEL|RUN")]
    model: PathBuf,
    /// The boards [default: all of firmware/boards]
    #[arg(long, value_name = "MACHINES", value_delimiter = ',')]
    on: Vec<String>,
    /// Spikes a unit and step, 0 to 1, of the input and all layers [default: the rates that the model
    /// holds from its training, else 0.1]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    density: Option<f64>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().map_err(|error| error.to_string())?;
    if (0.0..=1.0).contains(&rate) {
        Ok(rate)
    } else {
        Err("it is a share, 0 to 1".into())
    }
}

/// Runs `bitspike cost`.
///
/// # Errors
/// [`Error::Usage`] if the model cannot be read, a board is not known, or one that was named cannot
/// hold the model.
pub fn run(args: Args) -> Result<()> {
    let words = model_file::read(&model_path(&args.model)?)?;
    let model = model_file::view(&words)?;
    let boards = Board::named(&args.on)?;
    let costs = Costs::of(&model, &boards, Rates::of(&model, args.density))?;
    if args.json {
        let mut document = serde_json::json!(costs);
        document["schema"] = 1.into();
        document["model"] = serde_json::json!(args.model);
        say!("{document:#}")?;
    } else {
        print(&costs)?;
    }
    let refused: Vec<&str> = costs
        .machines
        .iter()
        .filter_map(|machine| machine.refused.as_deref())
        .collect();
    if args.on.is_empty() || refused.is_empty() {
        return Ok(());
    }
    Err(Error::usage(refused.join("\n")))
}

fn print(costs: &Costs) -> Result<()> {
    let rates: Vec<String> = costs
        .rates
        .iter()
        .map(|rate| format!("{rate:.3}"))
        .collect();
    say!(
        "estimates, at firing rates of {} (input, then layers; {})",
        rates.join(" "),
        costs.rates_from
    )?;
    say!(
        "synaptic operations: {:.0} a step, {:.0} a decision of {} steps",
        costs.synaptic_operations_per_step,
        costs.synaptic_operations_per_decision,
        costs.steps
    )?;
    for (index, layer) in costs.layers.iter().enumerate() {
        say!(
            "layer {index}: kernel {}, {:.1} nonzero inputs a step, {:.0} synaptic operations",
            layer.kernel,
            layer.nonzero_inputs,
            layer.synaptic_operations
        )?;
    }
    if costs.layers.iter().any(|layer| layer.kernel == "reference") {
        say!(
            "a layer with the reference kernel takes many times more than is estimated here: \
             `bitspike train` writes none"
        )?;
    }
    say!(
        "{:<18} {:>20} {:>24} {:>14} {:>18}",
        "board",
        "flash, bytes",
        "RAM with stack, bytes",
        "a step",
        "a decision"
    )?;
    for machine in &costs.machines {
        let of = |used: u64, there: u64| format!("{used} of {there}");
        say!(
            "{:<18} {:>20} {:>24} {:>14.0} {:>18.0}{}",
            machine.machine,
            of(machine.flash_bytes, machine.flash_available_bytes),
            of(
                machine.ram_bytes + machine.stack_bytes,
                machine.ram_available_bytes
            ),
            machine.instructions_per_step,
            machine.instructions_per_decision,
            if machine.refused.is_some() {
                "  does not fit"
            } else {
                ""
            }
        )?;
    }
    say!("the last two columns are instructions, not clock cycles")
}
