//! demo
use crate::outcome::Outcome;
#[derive(clap::Args)]
pub(crate) struct Arguments {}
pub(crate) fn run(_: &Arguments) -> Outcome {
    crate::setup::ensure()
}
