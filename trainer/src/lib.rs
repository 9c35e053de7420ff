//! Training, folding, export and evaluation of spiking networks with 1-bit weights.

pub mod cli;
pub mod data;
pub mod error;
pub mod files;
pub mod trained;

pub use error::{Error, Result};
