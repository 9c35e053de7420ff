//! The command line: one file a subcommand, each of which turns raw arguments into a validated
//! plan and runs it.

pub mod cost;
pub mod curves;
pub mod data;
pub mod device;
pub mod eval;
pub mod export;
pub mod inspect;
pub mod report;
pub mod temporal;
pub mod trace;
pub mod train;
pub mod verify;

use clap::{Parser, Subcommand};

use crate::Result;

/// Train spiking networks with 1-bit weights and run them, bit for bit, on microcontrollers.
#[derive(Debug, Parser)]
#[command(name = "bitspike", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Train a network from a configuration, by name or from a file
    Train(train::Args),
    /// Accuracy, firing rates and synaptic operations of the integer network
    Eval(eval::Args),
    /// Fold a trained run to integers and write the model file
    Export(export::Args),
    /// Show what a model file contains
    Inspect(inspect::Args),
    /// Print what every neuron of a model reads, sums, holds and fires on one sample
    Trace(trace::Args),
    /// Run a model on the host and on emulated devices and compare every bit
    Verify(verify::Args),
    /// Talk to a device that runs the firmware's `serve`
    Device(device::Args),
    /// Estimate flash, RAM and instructions on boards, before one is bought
    Cost(cost::Args),
    /// Draw loss, accuracy, thresholds, firing rates and dead neurons of trainings
    Curves(curves::Args),
    /// Write the report of a run: one HTML page
    Report(report::Args),
    /// Train the paper's temporal task, to fire at step 75, and show it
    Temporal(temporal::Args),
    /// List, check or fetch data sets
    Data(data::Args),
}

impl Cli {
    /// Runs the subcommand to its end.
    ///
    /// # Errors
    /// Whatever the subcommand reports; [`crate::Error::exit_code`] is the process's exit code.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Train(args) => train::run(args),
            Command::Eval(args) => eval::run(args),
            Command::Export(args) => export::run(args),
            Command::Inspect(args) => inspect::run(args),
            Command::Trace(args) => trace::run(args),
            Command::Verify(args) => verify::run(args),
            Command::Device(args) => device::run(args),
            Command::Cost(args) => cost::run(args),
            Command::Curves(args) => curves::run(args),
            Command::Report(args) => report::run(args),
            Command::Temporal(args) => temporal::run(args),
            Command::Data(args) => data::run(args),
        }
    }
}
