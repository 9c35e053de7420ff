//! The boards of `firmware/boards/`, one folder each.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::outcome::{Failure, Outcome};
use crate::run::root;

/// What `board.toml` says of a board.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// The emulator that stands for it.
    pub(crate) emulator: Emulator,
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
    /// The command that runs `elf` on the emulated machine.
    pub(crate) fn runner(&self, elf: &Path) -> Vec<String> {
        let mut words = vec![self.emulator.program.clone()];
        words.extend(self.emulator.arguments.iter().cloned());
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

/// The board of that name.
pub(crate) fn find(name: &str) -> Outcome<Board> {
    let boards = all()?;
    if let Some(board) = boards.iter().find(|board| board.name == name) {
        return Ok(board.clone());
    }
    let known: Vec<_> = boards.iter().map(|board| board.name.as_str()).collect();
    Err(Failure::Usage(format!(
        "no board is named `{name}`; there are {}",
        known.join(", ")
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
    fn every_board_file_is_read_and_an_unknown_name_lists_the_known_ones() {
        let boards = all().unwrap();
        assert!(boards.len() >= 7);
        let message = find("m9").unwrap_err().to_string();
        assert!(
            message.contains("m0, m3, m33, m4, m7, rv32, rv32imac"),
            "{message}"
        );
    }
}
