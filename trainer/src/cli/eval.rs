//! `bitspike eval`.

use crate::{Error, Result};

/// Arguments of `bitspike eval`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `bitspike eval`.
///
/// # Errors
/// Always: the subcommand is not there yet.
pub fn run(_args: Args) -> Result<()> {
    Err(Error::failed("`bitspike eval` is not there yet"))
}
