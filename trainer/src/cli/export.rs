//! `bitspike export`.

use crate::{Error, Result};

/// Arguments of `bitspike export`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `bitspike export`.
///
/// # Errors
/// Always: the subcommand is not there yet.
pub fn run(_args: Args) -> Result<()> {
    Err(Error::failed("`bitspike export` is not there yet"))
}
