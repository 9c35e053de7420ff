//! Commands whose output nobody reads, as after `| head -1`: no panic, and the work is done.

use std::fs;
use std::io::pipe;
use std::process::{Command, Stdio};

use bitspike_tests::cli::{TINY, command};
use bitspike_tests::device::{root, small_model};
use bitspike_trainer::data::idx::Idx;

/// The exit code, and what is written to standard error, of a command whose standard output is a
/// pipe that nobody reads.
#[track_caller]
fn unread(mut command: Command) -> (Option<i32>, String) {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let output = command.stdout(writer).stderr(Stdio::piped()).output();
    let output = output.expect("the command starts");
    let said = String::from_utf8(output.stderr).expect("text");
    (output.status.code(), said)
}

fn small() -> String {
    small_model().to_str().expect("a path in UTF-8").to_owned()
}

/// The quiet end of a command of `bitspike`: 0, without a word.
#[track_caller]
fn quiet(arguments: &[&str]) {
    let outcome = unread(command(root(), arguments));
    assert_eq!(outcome, (Some(0), String::new()), "{arguments:?}");
}

#[test]
fn what_a_model_is_and_costs_need_not_be_read() {
    let small = small();
    quiet(&["inspect", &small]);
    quiet(&["inspect", &small, "--json", "--weights"]);
    quiet(&["cost", &small]);
    quiet(&["cost", &small, "--on", "m3", "--json"]);
    quiet(&["data", "list"]);
    quiet(&["device", "list"]);
    quiet(&["--help"]);
}

#[test]
fn a_trace_need_not_be_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("pictures");
    let picture = Idx::new(vec![1, 6, 6], vec![200; 36]).expect("dimensions fit");
    picture.write(&file).expect("a picture is written");
    let file = file.to_str().expect("a path in UTF-8");
    quiet(&["trace", &small(), "--images", file]);
    quiet(&["trace", &small(), "--images", file, "--json"]);
}

#[test]
fn who_a_device_is_and_what_it_draws_need_not_be_read() {
    quiet(&["device", "info", "--port", "emulator:m3"]);
    // It would draw for minutes.
    let monitor = ["device", "monitor", &small(), "--port", "emulator:m3"];
    quiet(&[&monitor[..], &["--samples", "1000000"]].concat());
}

#[test]
fn a_training_whose_results_nobody_reads_leaves_all_its_files() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("tiny.toml"), TINY).expect("the configuration is written");
    let (code, said) = unread(command(dir.path(), &["train", "tiny.toml", "--out", "run"]));
    assert_eq!(code, Some(0), "{said}");
    assert!(dir.path().join("run/report.html").is_file());
}

#[test]
fn messages_that_nobody_reads_do_not_change_the_exit_code() {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let status = command(root(), &["inspect", "nowhere.bsnn"])
        .stderr(writer)
        .status();
    assert_eq!(status.expect("bitspike starts").code(), Some(2));
}

/// What cannot be written for another reason is said.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let output = command(root(), &["inspect", &small()])
        .stdout(full.expect("Linux has it"))
        .output()
        .expect("bitspike starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write to standard output"), "{said}");
}

#[test]
fn xtask_ends_quietly_too() {
    let xtask = |arguments: &[&str]| {
        let mut command = Command::new("cargo");
        command.arg("xtask").args(arguments).current_dir(root());
        command
    };
    let list = unread(xtask(&["test", "--list"]));
    assert_eq!(list, (Some(0), String::new()));
    let (code, said) = unread(xtask(&["firmware", "m3", "--json"]));
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}
