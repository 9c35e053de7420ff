//! `bitspike data convert` as a user types it, and the page's steps for a data set of one's own.

use std::fs;
use std::path::Path;
use std::process::Command;

use bitspike_tests::cli::bitspike;
use serde_json::Value;

/// Recordings of three classes in N-MNIST's format, some events each, and their TOML.
fn recordings(dir: &Path) {
    for (class, count) in [(0u8, 2u8), (1, 1), (2, 3)] {
        for sample in 0..count {
            let folder = dir.join(format!("in/Train/{class}"));
            fs::create_dir_all(&folder).unwrap();
            let event = |n: u8| [n, 33 - n, (n % 2) << 7, class, 10 * n + sample];
            let events: Vec<u8> = (0..5 + class).flat_map(event).collect();
            fs::write(folder.join(format!("{sample}.bin")), events).unwrap();
        }
    }
    let toml = |name: &str, format: &str, train: &str| {
        fs::write(
            dir.join(name),
            format!(
                "[data]\nname = \"three\"\nvalidation = 0.2\n\n[data.source]\nformat = \"{format}\"\n\
                 train = \"{train}\"\nclasses = 3\nsensor = {{ height = 34, width = 34, polarities = 2 }}\n\n\
                 [data.frames]\nstep = 1.0\n\n{}",
                bitspike_tests::cli::TINY.split_once("\n\n[network]").unwrap().1.replacen("", "[network]", 1)
            ),
        )
        .unwrap();
    };
    toml("events.toml", "events", "Train");
    toml("csv.toml", "csv", "three.csv.gz");
}

fn checked(dir: &Path, toml: &str, data: &str) -> Value {
    let outcome = bitspike(dir, &["data", "check", toml, "--data", data, "--json"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    serde_json::from_str(&outcome.stdout).unwrap()
}

#[test]
fn converted_recordings_are_the_same_recordings() {
    let dir = tempfile::tempdir().unwrap();
    recordings(dir.path());
    fs::create_dir(dir.path().join("out")).unwrap();
    let convert = |out: &str| {
        let arguments = ["data", "convert", "events.toml", "--data", "in", "-o", out];
        bitspike(dir.path(), &arguments)
    };
    let outcome = convert("out/three.csv.gz");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(
        outcome.stdout.contains("6 recordings of 5 to 7 events"),
        "{outcome:?}"
    );
    let (before, after) = (
        checked(dir.path(), "events.toml", "in"),
        checked(dir.path(), "csv.toml", "out"),
    );
    assert_eq!(before["training"], after["training"]);
    assert_eq!(before["training"]["samples"], 6);

    // Plain where the name does not end in .gz, and with the events as they were.
    assert_eq!(convert("out/three.csv").code, Some(0));
    let text = fs::read_to_string(dir.path().join("out/three.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "sample,class,time_us,x,y,polarity");
    assert_eq!(lines.len(), 1 + 2 * 5 + 6 + 3 * 7);
    assert_eq!(lines[1], "0,0,0,0,33,0");
    assert_eq!(lines[2], "0,0,10,1,32,1");
}

#[test]
fn what_cannot_be_converted_leaves_no_file_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    recordings(dir.path());
    let convert = |arguments: &[&str]| {
        let mut all = vec!["data", "convert", "events.toml", "--data", "in"];
        all.extend(arguments);
        bitspike(dir.path(), &all)
    };
    let outcome = convert(&["-o", "nowhere/three.csv"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("nowhere/three.csv"), "{outcome:?}");

    let outcome = convert(&["--part", "test", "-o", "three.csv"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("test"), "{outcome:?}");
    assert!(!dir.path().join("three.csv").exists());

    // A recording that is cut within an event: what was there before stays.
    fs::write(dir.path().join("three.csv"), "before").unwrap();
    fs::write(dir.path().join("in/Train/2/1.bin"), [1, 2, 3]).unwrap();
    let outcome = convert(&["-o", "three.csv"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("2/1.bin"), "{outcome:?}");
    let kept = fs::read_to_string(dir.path().join("three.csv")).unwrap();
    assert_eq!(kept, "before");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_named() {
    let dir = tempfile::tempdir().unwrap();
    recordings(dir.path());
    let arguments = [
        "data",
        "convert",
        "events.toml",
        "--data",
        "in",
        "-o",
        "/dev/full",
    ];
    let outcome = bitspike(dir.path(), &arguments);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("/dev/full"), "{outcome:?}");
}

/// docs/datasets.md: the files and the commands of "Add a data set", as they stand there.
#[test]
fn the_page_s_steps_for_a_new_data_set_work() {
    let python = Command::new("python3").arg("--version").output();
    if !python.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: there is no python3 to run the page's make.py");
        return;
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/datasets.md");
    let page = fs::read_to_string(page).unwrap();
    let section = page.split_once("## Add a data set").unwrap().1;
    let blocks = blocks(section.split_once("\n## ").unwrap().0);
    let [script, toml, commands] = blocks.as_slice() else {
        panic!("a script, a TOML and the commands are expected: {blocks:?}");
    };
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("make.py"), script).unwrap();
    fs::write(dir.path().join("sweeps.toml"), toml).unwrap();
    for line in commands.trim_end().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.split_first() {
            Some((&"python3", arguments)) => {
                let status = Command::new("python3")
                    .args(arguments)
                    .current_dir(dir.path())
                    .status();
                assert!(status.unwrap().success(), "{line}");
            }
            Some((&"bitspike", arguments)) => {
                let outcome = bitspike(dir.path(), arguments);
                assert_eq!(outcome.code, Some(0), "{line}: {outcome:?}");
            }
            _ => panic!("`{line}` is not a command that a newcomer could type"),
        }
    }
}

/// The indented blocks of a page's section.
fn blocks(section: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut inside = false;
    for line in section.lines() {
        if let Some(code) = line.strip_prefix("    ") {
            if !inside {
                blocks.push(String::new());
            }
            inside = true;
            let block = blocks.last_mut().expect("just pushed");
            block.push_str(code);
            block.push('\n');
        } else if line.is_empty() && inside {
            blocks.last_mut().expect("a block is open").push('\n');
        } else {
            inside = false;
        }
    }
    blocks
}
