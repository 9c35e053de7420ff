//! The `bitspike` command: parse, run, exit code. Everything else is library.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match bitspike_trainer::cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
