//! Emulators as processes that end with this one.

use std::process::{Child, Command, Stdio};

use crate::{Error, Result};

/// Starts an emulator with pipes to its standard input and output.
///
/// On Linux the kernel ends it with the thread that starts it, even where that is killed.
///
/// # Errors
/// [`Error::Usage`] where it does not start.
pub(crate) fn start(machine: &str, program: &str, arguments: &[String]) -> Result<Child> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    #[cfg(target_os = "linux")]
    ends_with_this(&mut command);
    command.spawn().map_err(|error| {
        Error::usage(format!(
            "{machine}: cannot start {program}: {error}; run `cargo xtask setup`"
        ))
    })
}

#[cfg(target_os = "linux")]
fn ends_with_this(command: &mut Command) {
    use std::io;
    use std::os::unix::process::CommandExt;

    use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

    let parent = getpid();
    let ask = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have died before it was asked for.
        match getppid() {
            Some(now) if now == parent => Ok(()),
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    };
    // SAFETY: two system calls and nothing else: both may be made between fork and exec.
    unsafe { command.pre_exec(ask) };
}
