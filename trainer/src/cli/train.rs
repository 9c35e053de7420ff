//! `bitspike train`.

use crate::{Error, Result};

/// Arguments of `bitspike train`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `bitspike train`.
///
/// # Errors
/// Always: the subcommand is not there yet.
pub fn run(_args: Args) -> Result<()> {
    Err(Error::failed("`bitspike train` is not there yet"))
}
