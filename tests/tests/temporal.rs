//! `bitspike temporal` as a user types it: its files, its document, stopping and going on.

use std::fs;
use std::path::Path;

use bitspike_tests::cli::{Outcome, bitspike};
use serde_json::Value;
use tempfile::tempdir;

#[track_caller]
fn run(dir: &Path, arguments: &[&str], code: i32) -> Outcome {
    let outcome = bitspike(dir, arguments);
    assert_eq!(outcome.code, Some(code), "{outcome:#?}");
    outcome
}

#[test]
fn a_short_run_leaves_its_page_pictures_and_document() {
    let dir = tempdir().expect("a temporary folder");
    let arguments = ["temporal", "--iterations", "12", "--out", "t", "--json"];
    let outcome = run(dir.path(), &arguments, 0);
    let document: Value = serde_json::from_str(&outcome.stdout).expect("one JSON document");
    assert_eq!(document["schema"], 1);
    let networks = document["networks"].as_array().expect("a list");
    let names: Vec<_> = networks.iter().map(|n| n["condition"].clone()).collect();
    assert_eq!(names, ["float", "binary", "wide", "annealed"]);
    for network in networks {
        assert_eq!(network["iterations"], 12, "{network}");
    }
    // What the paper says of the start: the wide network is silent, the annealed one is not.
    assert_eq!(networks[2]["hidden_rate"], 0.0);
    assert!(networks[3]["hidden_rate"].as_f64() > Some(0.01));
    let read = |name: &str| fs::read_to_string(dir.path().join("t").join(name));
    let page = read("temporal.html").expect("the page");
    assert!(!page.contains("http"), "the page points elsewhere");
    for part in [
        "id=\"reached\"",
        "id=\"animation\"",
        "id=\"moments\"",
        "id=\"training\"",
    ] {
        assert!(page.contains(part), "{part} is missing");
    }
    for name in ["float", "binary", "wide", "annealed"] {
        let picture = read(&format!("{name}.svg")).expect("a picture");
        assert!(picture.contains("iteration 12, averaged"), "{name}");
    }

    // The same command refuses the folder, with --resume it changes nothing.
    let again = run(dir.path(), &arguments, 2);
    assert!(again.stderr.contains("--resume"), "{}", again.stderr);
    let resumed = run(dir.path(), &[&arguments[..], &["--resume"]].concat(), 0);
    assert_eq!(resumed.stdout, outcome.stdout);
    assert_eq!(read("temporal.html").expect("the page"), page);
    // Another process makes the same numbers.
    let other = ["temporal", "--iterations", "12", "--out", "u", "--json"];
    let other: Value = serde_json::from_str(&run(dir.path(), &other, 0).stdout).expect("JSON");
    assert_eq!(other["networks"], document["networks"]);
}

#[test]
fn a_folder_of_something_else_and_no_iterations_are_refused() {
    let dir = tempdir().expect("a temporary folder");
    fs::create_dir(dir.path().join("mine")).expect("a folder");
    fs::write(dir.path().join("mine/letter.txt"), "dear").expect("written");
    let outcome = run(dir.path(), &["temporal", "--out", "mine"], 2);
    assert!(outcome.stderr.contains("letter.txt"), "{}", outcome.stderr);
    run(dir.path(), &["temporal", "--iterations", "0"], 2);
    assert!(!dir.path().join("runs").exists());
}

/// Ctrl-C saves, says how to go on, and the run that goes on ends like one that was never stopped.
#[cfg(unix)]
#[test]
fn a_stopped_run_goes_on_to_the_same_numbers() {
    use std::process::Stdio;

    let dir = tempdir().expect("a temporary folder");
    let arguments = ["temporal", "--iterations", "60", "--json", "--out"];
    let mut child = bitspike_tests::cli::command(dir.path(), &[&arguments[..], &["a"]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let settings = dir.path().join("a/settings.json");
    while !settings.exists() && child.try_wait().expect("it can be waited for").is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    std::thread::sleep(std::time::Duration::from_millis(150));
    let id = child.id().to_string();
    let kill = std::process::Command::new("kill")
        .args(["-INT", &id])
        .status();
    assert!(kill.expect("kill is there").success());
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("--resume"), "{stderr}");

    let networks = |outcome: Outcome| -> Value {
        let document: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
        document["networks"].clone()
    };
    let resumed = run(
        dir.path(),
        &[&arguments[..], &["a", "--resume"]].concat(),
        0,
    );
    let whole = run(dir.path(), &[&arguments[..], &["b"]].concat(), 0);
    assert_eq!(networks(resumed), networks(whole));
}
