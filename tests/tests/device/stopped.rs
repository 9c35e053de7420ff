//! Commands that are stopped: their emulators end with them.
#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bitspike_tests::cli::command;
use bitspike_tests::device::{root, small_model};

/// Starts a command that draws for hours; gives it with the process id of its emulator (empty where
/// there is no `ps`).
fn drawing() -> (Child, impl Iterator<Item = std::io::Result<String>>, String) {
    let small = small_model();
    let small = small.to_str().unwrap();
    let arguments = ["device", "monitor", small, "--port", "emulator:m4"];
    let arguments = [&arguments[..], &["--samples", "1000000"]].concat();
    let mut running = command(root(), &arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    lines.next().expect("it draws").unwrap();
    let id = running.id().to_string();
    (running, lines, ps(&["-o", "pid=", "--ppid", &id]))
}

fn ps(arguments: &[&str]) -> String {
    let listed = Command::new("ps").args(arguments).output();
    let text = listed.map_or_else(|_| Vec::new(), |listed| listed.stdout);
    String::from_utf8_lossy(&text).trim().into()
}

/// Whether a process runs; one that has ended and was not asked for is listed as `Z`.
fn runs(id: &str) -> bool {
    let state = ps(&["-o", "stat=", "-p", id]);
    !state.is_empty() && !state.starts_with('Z')
}

fn kill(signal: &str, running: &Child) {
    let id = running.id().to_string();
    let status = Command::new("kill").args([signal, &id]).status().unwrap();
    assert!(status.success());
}

/// Stopped by a signal, the command ends with 130, and its emulator ends with it.
#[test]
fn a_stopped_command_takes_its_emulator_along() {
    let (mut running, mut lines, emulator) = drawing();
    kill("-TERM", &running);
    // Its lines end with it.
    while lines.next().is_some() {}
    assert_eq!(running.wait().unwrap().code(), Some(130));
    // Where there is no `ps`, the code must do.
    assert!(emulator.is_empty() || !runs(&emulator), "{emulator} runs");
}

/// Nothing of this program runs when it is killed: the kernel ends the emulator.
#[cfg(target_os = "linux")]
#[test]
fn a_killed_command_leaves_no_emulator() {
    let (mut running, _lines, emulator) = drawing();
    assert!(runs(&emulator), "`ps` finds the emulator `{emulator}`");
    kill("-KILL", &running);
    assert_eq!(running.wait().unwrap().code(), None);
    let start = Instant::now();
    while runs(&emulator) {
        let waited = start.elapsed();
        assert!(waited < Duration::from_secs(5), "{emulator} runs on");
        thread::sleep(Duration::from_millis(10));
    }
}
