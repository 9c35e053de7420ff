//! Running other programs: shown before they run, judged by how they end.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use crate::outcome::{Failure, Outcome};

/// Numbers of signals, the same on every Unix.
const SIGINT: i32 = 2;
const SIGPIPE: i32 = 13;

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a folder of the repository")
}

/// Cargo's output folder: `CARGO_TARGET_DIR` where it is set, else `target/`.
pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// A `cargo` command in the repository root, by the toolchain that the user runs.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root());
    command
}

/// The command as a person would type it: folder, environment, program, arguments.
pub(crate) fn shown(command: &Command) -> String {
    let mut line = String::new();
    if let Some(dir) = command.get_current_dir().filter(|dir| *dir != root()) {
        let dir = dir.strip_prefix(root()).unwrap_or(dir);
        let _ = write!(line, "cd {} && ", quoted(&dir.to_string_lossy()));
    }
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            let (key, value) = (key.to_string_lossy(), value.to_string_lossy());
            let _ = write!(line, "{key}={} ", quoted(&value));
        }
    }
    line.push_str(&quoted(&command.get_program().to_string_lossy()));
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&quoted(&argument.to_string_lossy()));
    }
    line
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Shows the command on stderr and runs it with its output passed through.
pub(crate) fn stream(command: &mut Command) -> Outcome {
    note!("$ {}", shown(command));
    let status = command
        .status()
        .map_err(|error| cannot_start(command, &error))?;
    judge(command, status)
}

/// Runs the command quietly; its stdout is returned, its stderr is shown only where it fails.
pub(crate) fn capture(command: &mut Command) -> Outcome<String> {
    capture_or(command, |_| None)
}

/// Runs the command quietly; where it fails, `named` may make a better failure of its stderr,
/// which else is shown.
pub(crate) fn capture_or(
    command: &mut Command,
    named: impl FnOnce(&str) -> Option<Failure>,
) -> Outcome<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| cannot_start(command, &error))?;
    if !output.status.success()
        && let Some(failure) = named(&String::from_utf8_lossy(&output.stderr))
    {
        return Err(failure);
    }
    captured(command, output)
}

/// Shows the command and runs it with stderr passed through; its stdout is returned.
pub(crate) fn stream_to_string(command: &mut Command) -> Outcome<String> {
    note!("$ {}", shown(command));
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| cannot_start(command, &error))?;
    captured(command, output)
}

/// What the command prints where it starts and ends with 0; nothing of it is shown.
pub(crate) fn answer(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether the command starts and ends with 0; nothing of it is shown.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    answer(command).is_some()
}

/// The first file of that name in the folders of `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
}

fn captured(command: &Command, output: Output) -> Outcome<String> {
    judge(command, output.status).inspect_err(|_| {
        note!("{}", String::from_utf8_lossy(&output.stderr).trim_end());
    })?;
    String::from_utf8(output.stdout).map_err(|_| {
        Failure::Work(format!(
            "`{}` printed something that is not text",
            shown(command)
        ))
    })
}

fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    let program = command.get_program().to_string_lossy();
    Failure::Usage(format!("cannot start {program}: {error}; is it installed?"))
}

fn judge(command: &Command, status: ExitStatus) -> Outcome {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    match status.code() {
        Some(0) => Ok(()),
        Some(130) => Err(Failure::Interrupted),
        _ if signal == Some(SIGINT) => Err(Failure::Interrupted),
        Some(141) => Err(Failure::Unread),
        _ if signal == Some(SIGPIPE) => Err(Failure::Unread),
        _ => Err(Failure::Work(format!(
            "`{}` ended with {status}",
            shown(command)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let mut command = Command::new("cargo");
        command
            .current_dir(root().join("firmware"))
            .env("RUSTC_BOOTSTRAP", "1");
        command.args(["build", "a b", "it's"]);
        assert_eq!(
            shown(&command),
            r"cd firmware && RUSTC_BOOTSTRAP=1 cargo build 'a b' 'it'\''s'"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_nobody_reads_is_no_failure_of_its_work() {
        for end in ["kill -PIPE $$", "exit 141"] {
            let ended = capture(Command::new("sh").args(["-c", end]));
            assert!(matches!(ended, Err(Failure::Unread)), "{ended:?}");
        }
    }
}
