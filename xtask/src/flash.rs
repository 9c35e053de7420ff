//! `cargo xtask flash`: builds for a real board and hands the image to probe-rs or to the board's own
//! loader; says what is missing and how to get it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use crate::boards::{self, Board, Loader, Probe};
use crate::outcome::{Failure, Outcome};
use crate::run::{answer, find_program, shown, stream};
use crate::uf2::uf2;
use crate::{elf, firmware, setup};

/// Flags of `cargo xtask flash`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask flash nrf52840-dk --model run/model.bsnn    `classify` by the board's debug probe\n  cargo xtask flash rp2040-pico --with uf2                a file to copy to the drive that the Pico shows\n  cargo xtask flash esp32-c3 --with espflash              over the board's USB port\n  cargo xtask flash stm32f4-discovery --dry-run           build, and only show the commands\n\nExit codes: 0 done, 1 the build or the loader failed, 2 wrong use, or a program or board is missing.\nStep by step: docs/first-board.md"
)]
pub(crate) struct Arguments {
    /// The real board: nrf52840-dk, rp2040-pico, rp2350-pico2, stm32f4-discovery, esp32-c3
    board: String,
    /// The program to flash
    #[arg(long, default_value = "classify")]
    bin: String,
    /// The model to include; without it the small one that ships with the firmware
    #[arg(long, value_name = "FILE.bsnn")]
    model: Option<PathBuf>,
    /// How to flash [default: the first of the board's ways that is installed]
    #[arg(long, value_enum)]
    with: Option<Way>,
    /// Which debug probe, where there are several, as `probe-rs list` shows it: VID:PID or VID:PID:SERIAL
    #[arg(long, value_name = "PROBE")]
    probe: Option<String>,
    /// Build, show the commands, and flash nothing
    #[arg(long)]
    dry_run: bool,
}

/// Ways to a board's flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    ProbeRs,
    Picotool,
    Espflash,
    Uf2,
}

impl Way {
    /// The ways to a board, the one that needs least first.
    fn to(probe: &Probe) -> &'static [Self] {
        match probe.loader {
            None => &[Self::ProbeRs],
            Some(Loader::Picotool) => &[Self::Picotool, Self::ProbeRs, Self::Uf2],
            Some(Loader::Espflash) => &[Self::Espflash, Self::ProbeRs],
        }
    }

    /// The value of `--with`.
    fn name(self) -> String {
        let value = self.to_possible_value().expect("no way is hidden");
        value.get_name().to_owned()
    }

    /// The program that it needs, and how to get it.
    fn program(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::ProbeRs => Some((
                "probe-rs",
                "`cargo install probe-rs-tools --locked`; on Linux also its udev rules: https://probe.rs/docs/getting-started/probe-setup",
            )),
            Self::Picotool => Some((
                "picotool",
                "the package `picotool` of your system, or https://github.com/raspberrypi/picotool/releases",
            )),
            Self::Espflash => Some(("espflash", "`cargo install espflash --locked`")),
            Self::Uf2 => None,
        }
    }

    fn is_installed(self) -> bool {
        self.program()
            .is_none_or(|(program, _)| find_program(program).is_some())
    }
}

/// Builds and flashes.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let board = boards::find(&arguments.board)?;
    let Some(probe) = board.probe() else {
        return Err(Failure::Usage(emulated(&board, arguments)));
    };
    let way = match arguments.with {
        Some(way) if !Way::to(probe).contains(&way) => {
            let ways: Vec<_> = Way::to(probe).iter().map(|way| way.name()).collect();
            return Err(Failure::Usage(format!(
                "--with {} does not reach {}; there is {}",
                way.name(),
                board.title,
                ways.join(", ")
            )));
        }
        given => given,
    };
    let toolchain = setup::ready_for(&board)?;
    let image = firmware::build(
        &board,
        &toolchain,
        &arguments.bin,
        arguments.model.as_deref(),
    )?;
    firmware::print(&image, &board);

    // A file is no flashing: it is written only where it is asked for.
    let installed = Way::to(probe)
        .iter()
        .find(|way| **way != Way::Uf2 && way.is_installed());
    let way = match way.or(installed.copied()) {
        Some(way) => way,
        None if arguments.dry_run => Way::to(probe)[0],
        None => return Err(Failure::Usage(missing(&board, probe, Way::to(probe)))),
    };
    if way == Way::Uf2 {
        return write_uf2(&board, &image.elf);
    }
    let commands = commands(way, probe, &image.elf, arguments.probe.as_deref());
    if arguments.dry_run {
        for command in &commands {
            say!("{}", shown(command))?;
        }
        return Ok(());
    }
    if !way.is_installed() {
        return Err(Failure::Usage(missing(&board, probe, &[way])));
    }
    if way == Way::ProbeRs && no_probe() {
        return Err(Failure::Usage(format!(
            "no debug probe is connected, says `probe-rs list`; {} needs {}",
            board.title, probe.needs
        )));
    }
    for mut command in commands {
        stream(&mut command).map_err(|failure| match failure {
            Failure::Work(text) => {
                Failure::Work(format!("{text}; {} needs {}", board.title, probe.needs))
            }
            other => other,
        })?;
    }
    say!(
        "{} runs `{}`. What it says, and where it stopped if it did, by RTT: probe-rs attach --chip {} {}",
        board.title,
        arguments.bin,
        probe.chip,
        image.elf.display()
    )?;
    Ok(())
}

/// What to type instead for a machine that is emulated.
fn emulated(board: &Board, arguments: &Arguments) -> String {
    let mut command = Command::new("cargo");
    command.args(["xtask", "firmware", &board.name, "--bin", &arguments.bin]);
    if let Some(model) = &arguments.model {
        command.arg("--model").arg(model);
    }
    command.arg("--run");
    format!(
        "{} is emulated and needs no flashing; this runs it: {}",
        board.title,
        shown(&command)
    )
}

/// Every way that would do, and how to get it.
fn missing(board: &Board, probe: &Probe, ways: &[Way]) -> String {
    let mut text = format!("nothing is installed that flashes {}:", board.title);
    for way in ways {
        match way.program() {
            Some((program, how)) => text.push_str(&format!("\n  {program} is missing: {how}")),
            None => text.push_str(&format!(
                "\n  or, without any program: cargo xtask flash {} --with uf2",
                board.name
            )),
        }
    }
    text.push_str(&format!("\nIt also needs {}", probe.needs));
    text
}

/// Whether probe-rs sees no probe.
fn no_probe() -> bool {
    answer(Command::new("probe-rs").arg("list"))
        .is_some_and(|text| text.contains("No debug probes"))
}

fn commands(way: Way, probe: &Probe, elf: &Path, which: Option<&str>) -> Vec<Command> {
    let command = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments);
        command
    };
    match way {
        Way::ProbeRs => {
            let mut commands = vec![
                command("probe-rs", &["download", "--chip", &probe.chip, "--verify"]),
                command("probe-rs", &["reset", "--chip", &probe.chip]),
            ];
            for command in &mut commands {
                command.args(which.map(|which| ["--probe", which]).into_iter().flatten());
            }
            if probe.loader == Some(Loader::Espflash) {
                // With the boot loader and the image's header around the ELF.
                commands[0].args(["--binary-format", "idf"]);
            }
            commands[0].arg(elf);
            commands
        }
        Way::Picotool => {
            let mut load = command("picotool", &["load", "--verify", "--execute"]);
            load.arg(elf);
            vec![load]
        }
        Way::Espflash => {
            let mut flash = command("espflash", &["flash", "--chip", &probe.chip]);
            flash.arg(elf);
            vec![flash]
        }
        Way::Uf2 => Vec::new(),
    }
}

/// Writes the file beside the ELF, and says what to do with it.
fn write_uf2(board: &Board, elf: &Path) -> Outcome {
    // The boot loader refuses the file of another chip by this number.
    let family = match board.probe().map(|probe| &*probe.chip) {
        Some("RP2040") => 0xE48B_FF56,
        _ => 0xE48B_FF59,
    };
    let path = elf.with_extension("uf2");
    let file = uf2(family, &elf::flashed(elf)?);
    fs::write(&path, file).map_err(|e| Failure::file("write", &path, &e))?;
    say!(
        "{}\nHold BOOTSEL while you plug in the USB cable, then copy this file to the drive that appears; the board starts by itself.",
        path.display()
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(board: &str) -> Arguments {
        Arguments {
            board: board.into(),
            bin: "classify".into(),
            model: Some("run/my model.bsnn".into()),
            with: None,
            probe: None,
            dry_run: false,
        }
    }

    fn refusal(arguments: &Arguments) -> String {
        match run(arguments).unwrap_err() {
            Failure::Usage(text) => text,
            other => panic!("{other:?} is not exit code 2"),
        }
    }

    #[test]
    fn an_emulated_board_names_the_command_that_runs_it() {
        assert_eq!(
            refusal(&arguments("m3")),
            "Arm MPS2 AN385 (Cortex-M3) is emulated and needs no flashing; this runs it: cargo xtask \
             firmware m3 --bin classify --model 'run/my model.bsnn' --run"
        );
    }

    #[test]
    fn an_unknown_board_and_a_way_that_does_not_reach_it_are_refused() {
        let text = refusal(&arguments("arduino"));
        assert!(text.contains("no board is named `arduino`"), "{text}");
        assert!(text.contains("esp32-c3"), "{text}");
        let text = refusal(&Arguments {
            with: Some(Way::Uf2),
            ..arguments("nrf52840-dk")
        });
        assert_eq!(
            text,
            "--with uf2 does not reach Nordic nRF52840-DK (Cortex-M4); there is probe-rs"
        );
    }

    #[test]
    fn what_is_missing_is_named_with_the_way_to_get_it() {
        for board in boards::all().unwrap() {
            let Some(probe) = board.probe() else { continue };
            let text = missing(&board, probe, Way::to(probe));
            assert!(text.contains("cargo install probe-rs-tools"), "{text}");
            assert!(text.contains(&probe.needs), "{text}");
            let loader = match probe.loader {
                None => continue,
                Some(Loader::Picotool) => "picotool is missing",
                Some(Loader::Espflash) => "cargo install espflash",
            };
            assert!(text.contains(loader), "{text}");
        }
    }

    #[test]
    fn the_commands_name_chip_probe_and_image() {
        let lines = |board: &str, way, which| -> Vec<String> {
            let board = boards::find(board).unwrap();
            let commands = commands(way, board.probe().unwrap(), Path::new("a.elf"), which);
            commands.iter().map(shown).collect()
        };
        assert_eq!(
            lines("nrf52840-dk", Way::ProbeRs, Some("1366:1051")),
            [
                "probe-rs download --chip nRF52840_xxAA --verify --probe 1366:1051 a.elf",
                "probe-rs reset --chip nRF52840_xxAA --probe 1366:1051"
            ]
        );
        assert_eq!(
            lines("rp2040-pico", Way::Picotool, None),
            ["picotool load --verify --execute a.elf"]
        );
        assert_eq!(
            lines("esp32-c3", Way::Espflash, None),
            ["espflash flash --chip esp32c3 a.elf"]
        );
    }
}
