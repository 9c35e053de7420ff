//! Which compiler builds for a microcontroller target on this machine, and how it is called.

use std::path::Path;
use std::process::Command;

use crate::outcome::Outcome;
use crate::run::{answer, capture, find_program};

/// The name under which rustup knows the distribution's compiler.
pub(crate) const LINKED: &str = "bitspike-distro";

/// How core and the firmware are compiled for a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The compiler in use has the target's library.
    InUse,
    /// The distribution's compiler builds the library from its source (`-Z build-std`).
    /// With the toolchain's name where rustup links it, else it is the compiler in use.
    BuildStd(Option<&'static str>),
}

impl Toolchain {
    /// The toolchain that can build for `target` here, or `None` where set-up has yet to run.
    pub(crate) fn detect(target: &str) -> Outcome<Option<Self>> {
        if has_library(target)? {
            return Ok(Some(Self::InUse));
        }
        if !has_linker() {
            return Ok(None);
        }
        if has_source(&mut Command::new("rustc")) && !crate::toolchain::has_rustup() {
            return Ok(Some(Self::BuildStd(None)));
        }
        let linked = has_source(Command::new("rustc").arg(format!("+{LINKED}")));
        Ok(linked.then_some(Self::BuildStd(Some(LINKED))))
    }

    /// `cargo SUBCOMMAND --target TARGET`, with what this toolchain needs to build for it.
    pub(crate) fn cargo(&self, subcommand: &str, target: &str) -> Command {
        let mut command = crate::run::cargo();
        if let Self::BuildStd(name) = self {
            let variable = target.to_uppercase().replace(['-', '.'], "_");
            command.env("RUSTC_BOOTSTRAP", "1");
            command.env(format!("CARGO_TARGET_{variable}_LINKER"), "ld.lld");
            if let Some(name) = name {
                // Inherited from an outer `cargo run`, it would win over `+NAME` in nested calls.
                command.env("RUSTUP_TOOLCHAIN", name);
            }
        }
        command.args([subcommand, "--target", target]);
        if let Self::BuildStd(_) = self {
            command.args(["-Z", "build-std=core"]);
        }
        command
    }
}

/// Whether rustup manages the compiler in use.
pub(crate) fn has_rustup() -> bool {
    find_program("rustup").is_some()
}

/// Whether the compiler in use has the compiled library of `target`.
pub(crate) fn has_library(target: &str) -> Outcome<bool> {
    let dir =
        capture(Command::new("rustc").args(["--print", "target-libdir", "--target", target]))?;
    let entries = std::fs::read_dir(dir.trim());
    Ok(entries.is_ok_and(|mut entries| {
        entries.any(|entry| {
            entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
        })
    }))
}

/// Whether a compiler's own library source lies where cargo looks for it.
pub(crate) fn has_source(rustc: &mut Command) -> bool {
    let sysroot = answer(rustc.args(["--print", "sysroot"]));
    sysroot.is_some_and(|sysroot| {
        Path::new(sysroot.trim())
            .join("lib/rustlib/src/rust/library/Cargo.lock")
            .is_file()
    })
}

/// Whether the linker that building from source needs is there.
pub(crate) fn has_linker() -> bool {
    find_program("ld.lld").is_some()
}
