//! `cargo xtask firmware`: builds a firmware binary with a model inside and says how to run it.
//! The one place that knows compilers and emulators: tests and `bitspike verify` call it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use crate::boards::{self, Board};
use crate::elf::footprint;
use crate::outcome::{Failure, Outcome};
use crate::run::{capture, capture_or, root, stream, target_dir};
use crate::setup;
use crate::toolchain::Toolchain;

/// Flags of `cargo xtask firmware`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask firmware m0                               `classify` with the small model that ships\n  cargo xtask firmware rv32 --model run/model.bsnn --json\n  cargo xtask firmware m3 --bin refuse --run            one on-target test on one machine"
)]
pub(crate) struct Arguments {
    /// The board, a name of firmware/boards: m0, m3, m4, m7, m33, rv32, rv32imac, or a real one as
    /// nrf52840-dk; `cargo xtask sizes` shows all
    board: String,
    /// The binary or on-target test to build
    #[arg(long, default_value = "classify")]
    bin: String,
    /// The model to include; without it the small one that ships with the firmware
    #[arg(long, value_name = "FILE.bsnn")]
    model: Option<PathBuf>,
    /// Print one JSON document on stdout and nothing else
    #[arg(long)]
    json: bool,
    /// Run it on the emulated machine, standard input and output passed through
    #[arg(long, conflicts_with = "json")]
    run: bool,
    /// What the machine's serial port is connected to, as QEMU names it: `stdio`, or a port as in
    /// `tcp:127.0.0.1:7777,server=on,wait=off` [default: stdio for `serve`, else none]
    #[arg(long, value_name = "CHARDEV")]
    serial: Option<String>,
}

/// The document that `--json` prints.
#[derive(Serialize)]
pub(crate) struct Image {
    schema: u32,
    board: String,
    pub(crate) machine: String,
    target: String,
    pub(crate) elf: PathBuf,
    pub(crate) runner: Vec<String>,
    pub(crate) flash_bytes: u64,
    pub(crate) ram_bytes: u64,
    pub(crate) code_bytes: u64,
    model_bytes: u64,
}

/// Builds and reports.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let board = boards::find(&arguments.board)?;
    let toolchain = setup::ready_for(&board)?;
    let mut image = build(
        &board,
        &toolchain,
        &arguments.bin,
        arguments.model.as_deref(),
    )?;
    if let Some(serial) = &arguments.serial {
        connect(&mut image.runner, serial);
    }
    if arguments.json {
        say!("{}", serde_json::to_string(&image).expect("plain data"))?;
        return Ok(());
    }
    print(&image, &board);
    if arguments.run {
        if image.runner.is_empty() {
            return Err(Failure::Usage(board.is_real()));
        }
        return stream(Command::new(&image.runner[0]).args(&image.runner[1..]));
    }
    Ok(())
}

/// Says on stderr what was built.
pub(crate) fn print(image: &Image, board: &Board) {
    note!(
        "{}: {} bytes of flash ({} of them the model), {} of {} bytes of RAM before the stack\n{}",
        image.machine,
        image.flash_bytes,
        image.model_bytes,
        image.ram_bytes,
        board.ram_bytes,
        image.elf.display()
    );
}

/// `cargo SUBCOMMAND` in the firmware's workspace for a board, with the small model included.
pub(crate) fn cargo(toolchain: &Toolchain, subcommand: &str, board: &Board) -> Command {
    let mut command = toolchain.cargo(subcommand, &board.target);
    command
        .args(["--release", "--locked", "--target-dir"])
        .arg(target_dir().join("firmware"))
        .current_dir(root().join("firmware"))
        .env("BITSPIKE_BOARD", &board.name)
        .env("BITSPIKE_MODEL", default_model(""));
    if board.probe().is_some() {
        // No emulator answers semihosting calls.
        command.args(["--features", "rtt"]);
    }
    command
}

/// The model that is included in a program where none is named.
fn default_model(program: &str) -> PathBuf {
    root().join(match program {
        "stream" => "stream/motion/motion.bsnn",
        _ => "core/tests/models/v1-mixed.bsnn",
    })
}

/// Builds a binary or on-target test for a board, with a model inside.
pub(crate) fn build(
    board: &Board,
    toolchain: &Toolchain,
    name: &str,
    model: Option<&Path>,
) -> Outcome<Image> {
    let model = model.map_or_else(|| default_model(name), Path::to_path_buf);
    let bytes = fs::read(&model).map_err(|error| {
        Failure::Usage(format!(
            "cannot read the model {}: {error}",
            model.display()
        ))
    })?;
    let model = fs::canonicalize(&model).map_err(|e| Failure::file("find", &model, &e))?;
    let kind = kind_of(name)?;
    let model_bytes = bytes.len() as u64;
    if model_bytes > board.flash_bytes {
        return Err(Failure::DoesNotFit(format!(
            "{} does not fit {}: the model takes {model_bytes} bytes, there are {} of flash; {}",
            model.display(),
            board.title,
            board.flash_bytes,
            way_out(&model, board, name)
        )));
    }

    // Another process must not replace the binary between the build and the copy.
    let _lock = lock()?;
    let mut command = cargo(toolchain, "build", board);
    command
        .args([
            "--quiet",
            kind,
            name,
            "--message-format=json-render-diagnostics",
        ])
        .env("BITSPIKE_MODEL", &model);
    let messages = capture_or(&mut command, |text| {
        if let Some(cause) = refused(text) {
            let model = model.display();
            let more = format!("`bitspike inspect {model}` says more");
            return Some(Failure::Work(format!("{model}: {cause}; {more}")));
        }
        shortage(text, board).map(|what| {
            Failure::DoesNotFit(format!(
                "{} does not fit {}: {what}; {}",
                model.display(),
                board.title,
                way_out(&model, board, name)
            ))
        })
    })?;
    let built = executable(&messages, name)?;
    let elf = keep(
        &built,
        &format!("{}-{name}-{:016x}.elf", board.name, digest(&bytes)),
    )?;

    let size = footprint(&elf)?;
    if size.flash_bytes > board.flash_bytes || size.ram_bytes > board.ram_bytes {
        return Err(Failure::DoesNotFit(format!(
            "{} does not fit {}: {} of {} bytes of flash, {} of {} bytes of RAM; {}",
            model.display(),
            board.title,
            size.flash_bytes,
            board.flash_bytes,
            size.ram_bytes,
            board.ram_bytes,
            way_out(&model, board, name)
        )));
    }
    let mut runner = board.runner(&elf);
    if name == "serve" {
        connect(&mut runner, "stdio");
    }
    Ok(Image {
        schema: 1,
        board: board.name.clone(),
        machine: board.title.clone(),
        target: board.target.clone(),
        runner,
        elf,
        flash_bytes: size.flash_bytes,
        ram_bytes: size.ram_bytes,
        code_bytes: size.flash_bytes.saturating_sub(model_bytes),
        model_bytes,
    })
}

/// Connects the machine's serial port to something else than before.
fn connect(runner: &mut [String], serial: &str) {
    let flag = runner.iter().position(|word| word == "-serial");
    if let Some(value) = flag.and_then(|at| runner.get_mut(at + 1)) {
        *value = serial.to_owned();
    }
}

/// Builds programs that include the small model, all at once, so that [`build`] finds them built.
pub(crate) fn prepare(board: &Board, toolchain: &Toolchain, programs: &[&str]) -> Outcome {
    let _lock = lock()?;
    let mut command = cargo(toolchain, "build", board);
    command.arg("--quiet");
    command.args(programs.iter().flat_map(|program| ["--bin", program]));
    capture(&mut command).map(|_| ())
}

/// Why the compiler has refused the model, in the words of `Model::included`.
fn refused(messages: &str) -> Option<&str> {
    let at = messages.find("the model is refused: ")?;
    messages[at..].lines().next()
}

/// What is too small, with both sizes: by `serve` itself, or by what the linker says of a region.
fn shortage(messages: &str, board: &Board) -> Option<String> {
    if let Some(at) = messages.find("the network's state and a sample take ") {
        return messages[at..].lines().next().map(str::to_owned);
    }
    // A line a section, each with all that is behind the region's end.
    let line = messages
        .lines()
        .rfind(|line| line.contains("will not fit in region"))?;
    let (_, region) = line.split_once("in region '")?;
    let over = line.rsplit_once("overflowed by ").and_then(|(_, bytes)| {
        let digits = bytes.split(' ').next()?;
        digits.parse::<u64>().ok()
    })?;
    let (what, there) = match region.split('\'').next()? {
        "RAM" => ("RAM", board.ram_bytes),
        _ => ("flash", board.flash_bytes),
    };
    Some(format!(
        "program and model take {} bytes of {what}, there are {there}",
        there + over
    ))
}

/// What to do where a model does not fit.
fn way_out(model: &Path, board: &Board, program: &str) -> String {
    let model = model.display();
    let boards = format!("`bitspike cost {model}` shows the boards that hold it");
    if program == "serve" && board.emulator().is_some() {
        format!(
            "{boards}; `bitspike verify {model} --on {}` takes `classify`, which needs less RAM",
            board.name
        )
    } else {
        boards
    }
}

/// Cargo's flag for a target of the firmware package: its binaries and its on-target tests.
fn kind_of(name: &str) -> Outcome<&'static str> {
    for (folder, flag) in [("src/bin", "--bin"), ("tests", "--test")] {
        if root()
            .join("firmware")
            .join(folder)
            .join(format!("{name}.rs"))
            .is_file()
        {
            return Ok(flag);
        }
    }
    Err(Failure::Usage(format!(
        "the firmware has no `{name}`: see firmware/src/bin and firmware/tests for what there is"
    )))
}

fn lock() -> Outcome<File> {
    let folder = target_dir().join("firmware");
    fs::create_dir_all(&folder).map_err(|e| Failure::file("create", &folder, &e))?;
    let path = folder.join(".xtask-lock");
    let file = File::create(&path).map_err(|e| Failure::file("create", &path, &e))?;
    file.lock().map_err(|e| Failure::file("lock", &path, &e))?;
    Ok(file)
}

/// The path of the binary in cargo's messages.
fn executable(messages: &str, name: &str) -> Outcome<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| Failure::Work(format!("cargo built no executable of the name `{name}`")))
}

/// Copies the binary to a path that depends on what is inside, so that no build disturbs a run.
fn keep(built: &Path, name: &str) -> Outcome<PathBuf> {
    let folder = target_dir().join("firmware/images");
    fs::create_dir_all(&folder).map_err(|e| Failure::file("create", &folder, &e))?;
    let (kept, fresh) = (
        folder.join(name),
        folder.join(format!("{name}.{}", std::process::id())),
    );
    fs::copy(built, &fresh).map_err(|e| Failure::file("copy", built, &e))?;
    fs::rename(&fresh, &kept).map_err(|e| Failure::file("rename", &fresh, &e))?;
    Ok(kept)
}

fn digest(bytes: &[u8]) -> u64 {
    crc::Crc::<u64>::new(&crc::CRC_64_XZ).checksum(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_named_with_both_sizes() {
        let board = boards::find("m0").expect("the micro:bit is there");
        let linker = "rust-lld: error: section '.bss' will not fit in region 'RAM': overflowed by 100 bytes\n\
                      rust-lld: error: section '.uninit' will not fit in region 'RAM': overflowed by 216 bytes\n";
        assert_eq!(
            shortage(linker, &board).as_deref(),
            Some("program and model take 16600 bytes of RAM, there are 16384")
        );
        let flash = "rust-lld: error: section '.rodata' will not fit in region 'FLASH': overflowed by 8 bytes";
        assert_eq!(
            shortage(flash, &board).as_deref(),
            Some("program and model take 262152 bytes of flash, there are 262144")
        );
        assert_eq!(shortage("error: expected `;`", &board), None);
    }
}
