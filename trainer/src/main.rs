//! The `bitspike` command: parse, run, exit code. Everything else is library.

use std::process::ExitCode;

use clap::Parser;

// Training allocates and drops large tensors in every update; the system's allocator would return
// them to the kernel and fault them in again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match bitspike_trainer::cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            bitspike_trainer::out::note(format_args!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}
