//! `bitspike inspect`.

use crate::{Error, Result};

/// Arguments of `bitspike inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `bitspike inspect`.
///
/// # Errors
/// Always: the subcommand is not there yet.
pub fn run(_args: Args) -> Result<()> {
    Err(Error::failed("`bitspike inspect` is not there yet"))
}
