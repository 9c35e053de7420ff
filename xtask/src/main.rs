//! Set-up, demo, tests, benchmarks and firmware builds: `cargo xtask help`.

// They panic where nobody reads: `out` has what to use.
#![deny(clippy::print_stdout, clippy::print_stderr)]

#[macro_use]
mod out;

mod bench;
mod boards;
mod cuda;
mod demo;
mod elf;
mod firmware;
mod flash;
mod licences;
mod outcome;
mod run;
mod setup;
mod sizes;
mod test;
mod toolchain;
mod uf2;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use outcome::Failure;

/// Set-up, demo, tests, benchmarks and firmware builds of bitspike.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "Examples:\n  cargo xtask demo                     train, fold, export and check on three emulated machines\n  cargo xtask test                     everything that CI checks\n  cargo xtask firmware m0 --run        build `classify` for the micro:bit and start it in the emulator\n\nExit codes: 0 done, 1 the work failed, 2 wrong use or set-up missing, 130 interrupted,\n141 a program that it ran was ended because nobody reads its output."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install the emulators and compiler targets that the other commands need
    Setup(setup::Arguments),
    /// Train on real digits and check the network bit for bit on emulated machines
    Demo(demo::Arguments),
    /// Check format, lints, documentation, licences and every test, emulated machines included
    Test(test::Arguments),
    /// Count instructions, RAM and flash on emulated machines, beside those of a peer
    Bench(bench::Arguments),
    /// Print flash and RAM of every program on every board, and hold them against the committed ones
    Sizes(sizes::Arguments),
    /// Compare every spike and membrane of three networks with the host, on every emulated machine
    Verify(verify::Arguments),
    /// Build the trainer for NVIDIA GPUs, or lint what that adds
    Cuda(cuda::Arguments),
    /// Build a firmware binary for a board, with a model inside
    Firmware(firmware::Arguments),
    /// Build for a real board and write it to its flash
    Flash(flash::Arguments),
}

fn main() -> ExitCode {
    if let Some(code) = cuda::nvcc::called() {
        return code;
    }
    let result = match Arguments::parse().command {
        Command::Setup(arguments) => setup::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Sizes(arguments) => sizes::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Cuda(arguments) => cuda::run(&arguments),
        Command::Firmware(arguments) => firmware::run(&arguments),
        Command::Flash(arguments) => flash::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // As quiet as a program that the signal ends.
        Err(Failure::Unread) => Failure::Unread.exit_code(),
        Err(failure) => {
            note!("error: {failure}");
            failure.exit_code()
        }
    }
}
