//! `bitspike data`.

use crate::{Error, Result};

/// Arguments of `bitspike data`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `bitspike data`.
///
/// # Errors
/// Always: the subcommand is not there yet.
pub fn run(_args: Args) -> Result<()> {
    Err(Error::failed("`bitspike data` is not there yet"))
}
