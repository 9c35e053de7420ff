//! Training, folding, export and evaluation of spiking networks with 1-bit weights.

// They panic where nobody reads: `out` has what to use.
#![deny(clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::print_stderr))]

#[macro_use]
pub mod out;

pub mod anneal;
pub mod assess;
pub mod backend;
mod batch;
mod chart;
pub mod cli;
pub mod config;
pub mod cost;
pub mod curves;
pub mod data;
pub mod device;
mod emulator;
pub mod encoding;
pub mod error;
pub mod evaluate;
pub mod files;
pub mod finish;
pub mod fold;
pub mod loss;
pub mod model_file;
pub mod net;
pub mod ops;
pub mod optim;
mod page;
pub mod plot;
pub mod report;
pub mod run;
pub mod sample;
mod seed;
pub mod temporal;
mod tensors;
pub mod trace;
pub mod train;
pub mod trained;
pub mod verify;
pub mod wide;

pub use error::{Error, Result};
