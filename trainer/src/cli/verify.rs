//! `bitspike verify`.

use crate::{Error, Result};

/// Arguments of `bitspike verify`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `bitspike verify`.
///
/// # Errors
/// Always: the subcommand is not there yet.
pub fn run(_args: Args) -> Result<()> {
    Err(Error::failed("`bitspike verify` is not there yet"))
}
