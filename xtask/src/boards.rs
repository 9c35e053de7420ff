//! The boards of `firmware/boards/`, one folder each.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::outcome::{Failure, Outcome};
use crate::run::root;

/// What `board.toml` says of a board.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Board {
    /// The short name used everywhere on the command line: `m0`.
    pub(crate) name: String,
    /// The machine in words.
    pub(crate) title: String,
    /// The compiler's target triple.
    pub(crate) target: String,
    /// Flash of the machine.
    pub(crate) flash_bytes: u64,
    /// RAM of the machine.
    pub(crate) ram_bytes: u64,
    /// What it is, beside its memory.
    #[serde(flatten)]
    pub(crate) machine: Machine,
}

/// What runs the firmware of a board.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Machine {
    /// An emulator that stands for it.
    Emulator(Emulator),
    /// The board itself.
    Probe(Probe),
}

/// How a real board is flashed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probe {
    /// The chip's name in probe-rs.
    pub(crate) chip: String,
    /// What is needed to reach it, in words.
    pub(crate) needs: String,
    /// A program that flashes it without a debug probe.
    pub(crate) loader: Option<Loader>,
}

/// Programs that flash a board over its own USB port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Loader {
    /// Raspberry Pi's, for a board in its boot mode.
    Picotool,
    /// Espressif's, for a board whose boot loader comes with it.
    Espflash,
}

/// An emulated machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Emulator {
    /// The program, found on `PATH`.
    pub(crate) program: String,
    /// The arguments that choose the machine.
    pub(crate) arguments: Vec<String>,
}

/// What every emulator is started with. One instruction advances the clock by one nanosecond, so
/// that counts repeat to the digit.
const COMMON: [&str; 10] = [
    "-icount",
    "shift=0",
    "-display",
    "none",
    "-monitor",
    "none",
    "-serial",
    "none",
    "-semihosting-config",
    "enable=on,target=native",
];

impl Board {
    /// The emulator that stands for it, where it is no real board.
    pub(crate) fn emulator(&self) -> Option<&Emulator> {
        match &self.machine {
            Machine::Emulator(emulator) => Some(emulator),
            Machine::Probe(_) => None,
        }
    }

    /// How it is flashed, where it is a real board.
    pub(crate) fn probe(&self) -> Option<&Probe> {
        match &self.machine {
            Machine::Emulator(_) => None,
            Machine::Probe(probe) => Some(probe),
        }
    }

    /// Why it cannot be run here, and what to type instead.
    pub(crate) fn is_real(&self) -> String {
        format!(
            "{} is a real board, which no emulator runs; type `cargo xtask flash {}`",
            self.title, self.name
        )
    }

    /// The command that runs `elf` on the emulated machine; empty for a real board.
    pub(crate) fn runner(&self, elf: &Path) -> Vec<String> {
        let Some(emulator) = self.emulator() else {
            return Vec::new();
        };
        let mut words = vec![emulator.program.clone()];
        words.extend(emulator.arguments.iter().cloned());
        words.extend(COMMON.map(str::to_owned));
        words.push("-kernel".into());
        words.push(elf.display().to_string());
        words
    }
}

/// Every board, by name.
pub(crate) fn all() -> Outcome<Vec<Board>> {
    let folder = root().join("firmware/boards");
    let entries = std::fs::read_dir(&folder).map_err(|e| Failure::file("read", &folder, &e))?;
    let mut boards = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| Failure::file("read", &folder, &e))?;
        boards.push(read(&entry.path().join("board.toml"))?);
    }
    boards.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(boards)
}

/// Every emulated board, by name.
pub(crate) fn emulated() -> Outcome<Vec<Board>> {
    let mut boards = all()?;
    boards.retain(|board| board.emulator().is_some());
    Ok(boards)
}

/// The emulated boards of these names; every one where there is no name.
pub(crate) fn chosen(names: &[String]) -> Outcome<Vec<Board>> {
    if names.is_empty() {
        return emulated();
    }
    let boards = names.iter().map(|name| find(name));
    let boards: Vec<Board> = boards.collect::<Outcome<_>>()?;
    match boards.iter().find(|board| board.emulator().is_none()) {
        Some(board) => Err(Failure::Usage(board.is_real())),
        None => Ok(boards),
    }
}

/// The board of that name.
pub(crate) fn find(name: &str) -> Outcome<Board> {
    let boards = all()?;
    if let Some(board) = boards.iter().find(|board| board.name == name) {
        return Ok(board.clone());
    }
    let names = |emulated| {
        let known = boards.iter();
        let known = known.filter(|board| board.emulator().is_some() == emulated);
        known.map(|board| board.name.as_str()).collect::<Vec<_>>()
    };
    Err(Failure::Usage(format!(
        "no board is named `{name}`; there are the emulated {}, and {}",
        names(true).join(", "),
        names(false).join(", ")
    )))
}

fn read(path: &PathBuf) -> Outcome<Board> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::file("read", path, &e))?;
    toml::from_str(&text).map_err(|e| Failure::Work(format!("{}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_emulated_boards_are_chosen() {
        assert_eq!(chosen(&[]).unwrap().len(), 7);
        assert_eq!(chosen(&["m0".into()]).unwrap()[0].name, "m0");
        let message = chosen(&["m0".into(), "esp32-c3".into()])
            .unwrap_err()
            .to_string();
        assert!(message.contains("cargo xtask flash esp32-c3"), "{message}");
    }

    #[test]
    fn every_board_file_is_read_and_an_unknown_name_lists_the_known_ones() {
        let boards = all().unwrap();
        assert!(boards.len() >= 12);
        let message = find("m9").unwrap_err().to_string();
        assert!(
            message.contains("m0, m3, m33, m4, m7, rv32, rv32imac, and esp32-c3, nrf52840-dk"),
            "{message}"
        );
    }
}
