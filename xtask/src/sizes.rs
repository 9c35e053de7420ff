//! `cargo xtask sizes`: flash and RAM of every program on every board, held against
//! `firmware/sizes.json`, and no panic in any of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::boards;
use crate::elf;
use crate::firmware;
use crate::outcome::{Failure, Outcome};
use crate::run::{capture, root};
use crate::setup;

/// Growth that needs no word, in percent.
const FREE: f64 = 3.0;
/// The programs; they include the small model that ships, `stream` its own.
const PROGRAMS: [&str; 4] = ["classify", "bench", "serve", "stream"];

/// Flags of `cargo xtask sizes`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask sizes            print the table; fails where something grew\n  cargo xtask sizes --update   commit to the sizes as they are\n\nA program that grows by more than 3 % needs a line in CHANGELOG.md with the words\n\"size of `classify`\" and the growth in percent, as in: Size of `classify`: 5 % more, for ..."
)]
pub(crate) struct Arguments {
    /// Write the sizes as they are into firmware/sizes.json
    #[arg(long)]
    update: bool,
}

/// The committed file.
#[derive(Serialize, Deserialize)]
struct Committed {
    /// The compiler that the sizes are of: another one makes other code.
    compiler: String,
    /// By `board program`.
    sizes: BTreeMap<String, Size>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Size {
    /// Flash without the model.
    code_bytes: u64,
    ram_bytes: u64,
}

/// What CI checks.
pub(crate) fn check() -> Outcome {
    run(&Arguments { update: false })
}

/// Builds, prints, compares.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let (sizes, panics) = measure()?;
    print(&sizes)?;
    if !panics.is_empty() {
        return Err(Failure::Work(format!(
            "code that can panic is linked:\n  {}\n`arm-none-eabi-objdump -dC` shows who calls it",
            panics.join("\n  ")
        )));
    }
    let path = path();
    let compiler = capture(Command::new("rustc").arg("--version"))?
        .trim()
        .to_owned();
    if path.exists() {
        let text = fs::read_to_string(&path).map_err(|e| Failure::file("read", &path, &e))?;
        let before: Committed = serde_json::from_str(&text)
            .map_err(|e| Failure::Work(format!("{}: {e}", path.display())))?;
        let news = root().join("CHANGELOG.md");
        let news = fs::read_to_string(&news).map_err(|e| Failure::file("read", &news, &e))?;
        if before.compiler == compiler {
            let grown = grown(&before.sizes, &sizes, &news);
            if !grown.is_empty() {
                return Err(Failure::Work(format!(
                    "larger than in {}, and CHANGELOG.md does not say so (see `cargo xtask sizes --help`):\n  {}",
                    path.display(),
                    grown.join("\n  ")
                )));
            }
        } else {
            note!(
                "not compared: the committed sizes are those of {}, this is {compiler}",
                before.compiler
            );
        }
    }
    if arguments.update {
        let text =
            serde_json::to_string_pretty(&Committed { compiler, sizes }).expect("plain data");
        fs::write(&path, text + "\n").map_err(|e| Failure::file("write", &path, &e))?;
    }
    Ok(())
}

fn path() -> PathBuf {
    root().join("firmware/sizes.json")
}

/// The sizes, and the panics that are linked.
fn measure() -> Outcome<(BTreeMap<String, Size>, Vec<String>)> {
    let mut sizes = BTreeMap::new();
    let mut panics = Vec::new();
    for board in boards::all()? {
        let toolchain = setup::ready_for(&board)?;
        // Linking takes one core a program.
        firmware::prepare(&board, &toolchain, &PROGRAMS[..3])?;
        for program in PROGRAMS {
            let image = firmware::build(&board, &toolchain, program, None)?;
            let name = format!("{} {program}", board.name);
            for symbol in elf::panics(&image.elf)? {
                panics.push(format!("{name}: {symbol}"));
            }
            let (code_bytes, ram_bytes) = (image.code_bytes, image.ram_bytes);
            sizes.insert(
                name,
                Size {
                    code_bytes,
                    ram_bytes,
                },
            );
        }
    }
    Ok((sizes, panics))
}

fn print(sizes: &BTreeMap<String, Size>) -> Outcome {
    say!("| board and program | flash without model | static RAM |\n|---|---|---|")?;
    for (name, size) in sizes {
        say!("| {name} | {} | {} |", size.code_bytes, size.ram_bytes)?;
    }
    Ok(())
}

/// What grew by more than is free and more than the news says.
fn grown(
    before: &BTreeMap<String, Size>,
    after: &BTreeMap<String, Size>,
    news: &str,
) -> Vec<String> {
    let mut grown = Vec::new();
    for (name, size) in after {
        // A new program or board has nothing to be held against.
        let Some(old) = before.get(name) else {
            continue;
        };
        let program = name.split(' ').next_back().unwrap_or(name);
        let said = said(program, news);
        let pairs = [
            ("flash", old.code_bytes, size.code_bytes),
            ("RAM", old.ram_bytes, size.ram_bytes),
        ];
        for (what, old, new) in pairs {
            let percent = 100.0 * (new as f64 - old as f64) / old.max(1) as f64;
            if percent > FREE && percent > said {
                grown.push(format!(
                    "{name}: {what} {old} to {new}, {percent:.1} % more"
                ));
            }
        }
    }
    grown
}

/// The largest growth in percent that the news admits for a program.
fn said(program: &str, news: &str) -> f64 {
    let words = format!("size of `{program}`");
    let lines = news
        .lines()
        .filter(|line| line.to_lowercase().contains(&words));
    let percents = lines.filter_map(|line| {
        let (before, _) = line.split_once(" %")?;
        before.rsplit(' ').next()?.parse::<f64>().ok()
    });
    percents.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(code_bytes: u64) -> BTreeMap<String, Size> {
        let size = Size {
            code_bytes,
            ram_bytes: 100,
        };
        BTreeMap::from([("m3 classify".to_owned(), size)])
    }

    #[test]
    fn growth_needs_a_line_that_admits_it() {
        let before = sizes(1000);
        assert!(grown(&before, &sizes(1030), "").is_empty());
        assert!(grown(&before, &sizes(500), "").is_empty());
        assert_eq!(grown(&before, &sizes(1040), "").len(), 1);
        let line = "- Size of `classify`: 5 % more, for a reason.";
        assert!(grown(&before, &sizes(1040), line).is_empty());
        assert_eq!(grown(&before, &sizes(1060), line).len(), 1);
        let other = "- Size of `bench`: 5 % more.";
        assert_eq!(grown(&before, &sizes(1040), other).len(), 1);
    }
}
