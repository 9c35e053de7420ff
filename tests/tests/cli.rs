//! The command line as a user types it: exit codes, messages that name what is wrong, JSON.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use bitspike_tests::cli::{Outcome, TINY, bitspike, command, tiny_with};
use bitspike_trainer::data::idx::Idx;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

/// A folder with `tiny.toml` in it.
fn folder() -> TempDir {
    let dir = tempdir().expect("a temporary folder");
    fs::write(dir.path().join("tiny.toml"), TINY).expect("the configuration is written");
    dir
}

/// A trained run, shared by the tests that only read it.
fn trained() -> &'static str {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    let run = RUN.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli");
        // The last session's; there is none the first time.
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a folder for the shared run");
        fs::write(dir.join("tiny.toml"), TINY).expect("the configuration is written");
        done(&bitspike(&dir, &["train", "tiny.toml", "--out", "run"]));
        dir.join("run")
    });
    run.to_str().expect("a path in UTF-8")
}

#[track_caller]
fn done(outcome: &Outcome) {
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
}

/// The command ended with `code`, said each of `parts` on standard error, and nothing elsewhere.
#[track_caller]
fn refused(outcome: &Outcome, code: i32, parts: &[&str]) {
    assert_eq!(outcome.code, Some(code), "{outcome:#?}");
    assert_eq!(outcome.stdout, "", "{outcome:#?}");
    for part in parts {
        assert!(
            outcome.stderr.contains(part),
            "`{part}` is missing in\n{}",
            outcome.stderr
        );
    }
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
}

/// Standard output is one JSON document of schema 1, and nothing else.
#[track_caller]
fn document(outcome: &Outcome) -> Value {
    done(outcome);
    let document: Value = serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("not one JSON document: {error}\n{}", outcome.stdout));
    assert_eq!(document["schema"], 1, "{document}");
    document
}

fn pictures(dir: &Path, name: &str, shape: [usize; 3]) {
    let idx = Idx::new(shape.to_vec(), vec![0; shape.iter().product()]).expect("dimensions fit");
    idx.write(&dir.join(name)).expect("pictures are written");
}

fn labels(dir: &Path, name: &str, labels: &[u8]) {
    let idx = Idx::new(vec![labels.len()], labels.to_vec()).expect("dimensions fit");
    idx.write(&dir.join(name)).expect("labels are written");
}

#[test]
fn training_leaves_the_files_of_a_run() {
    let dir = folder();
    let outcome = bitspike(dir.path(), &["train", "tiny.toml", "--out", "runs/a"]);
    done(&outcome);
    let first = outcome.stdout.lines().next().unwrap_or_default();
    assert!(
        first.contains("accuracy of the integer network"),
        "{outcome:#?}"
    );
    for name in [
        "config.toml",
        "metrics.jsonl",
        "checkpoints",
        "model.bsnn",
        "overview.svg",
        "report.html",
    ] {
        assert!(
            dir.path().join("runs/a").join(name).exists(),
            "{name} is missing"
        );
    }
}

#[test]
fn trials_are_runs_with_a_summary() {
    let dir = folder();
    done(&bitspike(
        dir.path(),
        &["train", "tiny.toml", "--out", "t", "--trials", "2"],
    ));
    for name in ["trial-1/model.bsnn", "trial-2/model.bsnn", "summary.json"] {
        assert!(
            dir.path().join("t").join(name).exists(),
            "{name} is missing"
        );
    }
    let summary = fs::read_to_string(dir.path().join("t/summary.json")).expect("a summary");
    let summary: Value = serde_json::from_str(&summary).expect("JSON");
    assert_eq!(summary["schema"], 1);
}

#[test]
fn every_json_is_one_document() {
    let run = trained();
    let here = Path::new(run);
    let eval = document(&bitspike(here, &["eval", run, "--limit", "50", "--json"]));
    assert_eq!(eval["samples"], 50);
    for key in [
        "model",
        "correct",
        "accuracy",
        "steps_mean",
        "firing_rates",
        "synops_mean",
        "samples_per_second",
    ] {
        assert!(!eval[key].is_null(), "{key} is missing in {eval}");
    }
    let inspect = document(&bitspike(here, &["inspect", run, "--json", "--weights"]));
    assert_eq!(
        inspect["layers"].as_array().map(Vec::len),
        Some(2),
        "{inspect}"
    );
    assert_eq!(inspect["steps"], 2);
    let arguments = ["verify", run, "--on", "host", "--samples", "3", "--json"];
    let verify = document(&bitspike(here, &arguments));
    assert_eq!(verify["machines"][0]["differing_bits"], 0, "{verify}");
    document(&bitspike(here, &["data", "list", "--json"]));
    document(&bitspike(here, &["data", "check", "mnist", "--json"]));
}

#[test]
fn pictures_and_labels_of_ones_own_are_evaluated() {
    let dir = folder();
    pictures(dir.path(), "images.gz", [3, 28, 28]);
    labels(dir.path(), "labels", &[0, 1, 2]);
    let arguments = [
        "eval",
        trained(),
        "--images",
        "images.gz",
        "--labels",
        "labels",
        "--json",
    ];
    assert_eq!(document(&bitspike(dir.path(), &arguments))["samples"], 3);
}

/// Sides that differ go from the configuration into the model; wrong ones are named.
#[test]
fn a_convolution_may_have_two_sides() {
    let dir = folder();
    let layer = |sides: &str| {
        let text = tiny_with(&[("kernel = 5, pool = 4", sides)]);
        fs::write(dir.path().join("tiny.toml"), text).expect("the configuration is written");
        bitspike(dir.path(), &["train", "tiny.toml", "--out", "run"])
    };
    for (sides, parts) in [
        (
            "kernel = [1, 7, 1]",
            ["layer 1 has kernel = [1, 7, 1]", "[rows, columns]"],
        ),
        (
            "kernel = 3, stride = [0, 1]",
            ["layer 1 has stride = [0, 1]", "must be 1 to"],
        ),
        (
            "kernel = [1, 40]",
            ["layer 1 (conv): a kernel of 1 x 40", "28 x 28"],
        ),
    ] {
        refused(&layer(sides), 2, &parts);
    }
    done(&layer(
        "kernel = [2, 7], stride = [3, 1], padding = [0, 3], pool = [2, 4]",
    ));
    let inspected = document(&bitspike(dir.path(), &["inspect", "run", "--json"]));
    let first = &inspected["layers"][0];
    assert_eq!(first["kernel"], json!([2, 7]));
    assert_eq!(first["stride"], json!([3, 1]));
    assert_eq!(first["padding"], json!([0, 3]));
    assert_eq!(first["pool"], json!({ "window": [2, 4], "stride": [2, 4] }));
    // Rows 0 to 27 hold nine kernels, of which four pairs are pooled.
    assert_eq!(first["shape_out"], json!([4, 7, 4]));
    let evaluated = document(&bitspike(dir.path(), &["eval", "run", "--json"]));
    assert_eq!(evaluated["samples"], 1000);
}

#[test]
fn an_export_is_the_model_of_the_run() {
    let dir = folder();
    done(&bitspike(
        dir.path(),
        &["export", trained(), "-o", "digits.bsnn"],
    ));
    let model = fs::read(Path::new(trained()).join("model.bsnn")).expect("the run's model");
    assert_eq!(
        fs::read(dir.path().join("digits.bsnn")).expect("the export"),
        model
    );
    let outcome = bitspike(
        dir.path(),
        &["export", trained(), "-o", "missing/digits.bsnn"],
    );
    refused(&outcome, 1, &["cannot write", "missing/digits.bsnn"]);
}

#[test]
fn a_wrong_path_is_named() {
    let dir = folder();
    for arguments in [
        vec!["eval", "no-such.bsnn"],
        vec!["inspect", "no-such.bsnn"],
        vec!["verify", "no-such.bsnn", "--on", "host"],
        vec!["export", "no-such.bsnn", "-o", "x.bsnn"],
        vec!["train", "no-such.bsnn"],
    ] {
        refused(&bitspike(dir.path(), &arguments), 2, &["no-such.bsnn"]);
    }
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    refused(
        &bitspike(dir.path(), &["eval", "empty"]),
        2,
        &["empty is neither a model file nor"],
    );
}

#[test]
fn a_missing_data_folder_is_named_with_the_way_to_get_it() {
    let dir = folder();
    let way = ["nowhere", "bitspike data fetch mnist --dir"];
    let train = ["train", "tiny.toml", "--out", "run", "--data", "nowhere"];
    refused(&bitspike(dir.path(), &train), 2, &way);
    assert!(
        !dir.path().join("run").exists(),
        "a run without data leaves no folder"
    );
    refused(
        &bitspike(dir.path(), &["eval", trained(), "--data", "nowhere"]),
        2,
        &way,
    );
    refused(
        &bitspike(dir.path(), &["data", "check", "mnist", "--data", "nowhere"]),
        2,
        &way,
    );
    refused(
        &bitspike(dir.path(), &["data", "check", "mnits"]),
        2,
        &["mnits", "known: mnist"],
    );
}

#[test]
fn labels_that_do_not_match_their_pictures_are_told_with_both_counts() {
    let dir = folder();
    pictures(dir.path(), "images", [3, 28, 28]);
    labels(dir.path(), "labels", &[0, 1]);
    let eval = |images: &str, labels: &str| {
        bitspike(
            dir.path(),
            &["eval", trained(), "--images", images, "--labels", labels],
        )
    };
    refused(
        &eval("images", "labels"),
        2,
        &["3 pictures in images", "2 labels in labels"],
    );
    refused(
        &eval("labels", "images"),
        2,
        &["labels: 1 dimensions where 3 are wanted"],
    );
    pictures(dir.path(), "small", [2, 14, 14]);
    refused(&eval("small", "labels"), 2, &["[14, 14, 1]", "[28, 28, 1]"]);
    let alone = bitspike(dir.path(), &["eval", trained(), "--images", "images"]);
    refused(&alone, 2, &["--labels"]);
    // As a folder of `--data`, where the files have their published names.
    pictures(dir.path(), "t10k-images-idx3-ubyte", [3, 28, 28]);
    labels(dir.path(), "t10k-labels-idx1-ubyte", &[0, 1]);
    let outcome = bitspike(dir.path(), &["eval", trained(), "--data", "."]);
    refused(
        &outcome,
        2,
        &[
            "t10k-images-idx3-ubyte but 2 labels in",
            "t10k-labels-idx1-ubyte",
        ],
    );
}

#[test]
fn an_unknown_key_is_named_with_the_one_that_was_meant() {
    let dir = folder();
    let set = ["train", "tiny.toml", "--set", "train.epoch=3"];
    refused(
        &bitspike(dir.path(), &set),
        2,
        &["train.epoch", "train.epochs"],
    );
    let text = TINY.replace("epochs = 1", "epochs = 1\nlearning_rat = 0.1");
    fs::write(dir.path().join("typo.toml"), text).expect("the configuration is written");
    let outcome = bitspike(dir.path(), &["train", "typo.toml"]);
    refused(&outcome, 2, &["train.learning_rat", "train.learning_rate"]);
    let wrong = ["train", "tiny.toml", "--set", "train.epochs=many"];
    refused(&bitspike(dir.path(), &wrong), 2, &["epochs"]);
    let zero = ["train", "tiny.toml", "--set", "train.epochs=0"];
    refused(
        &bitspike(dir.path(), &zero),
        2,
        &["train.epochs must be at least 1"],
    );
    assert!(
        !dir.path().join("runs").exists(),
        "a refused training leaves no folder"
    );
}

#[test]
fn a_run_is_not_mixed_with_another() {
    let dir = folder();
    let train = |more: &[&str]| {
        bitspike(
            dir.path(),
            &[&["train", "tiny.toml", "--out", "run"], more].concat(),
        )
    };
    // `--resume` starts where nothing is there yet, and ends at once where all is done.
    done(&train(&["--resume"]));
    let model = fs::read(dir.path().join("run/model.bsnn")).expect("a model");
    done(&train(&["--resume"]));
    assert_eq!(
        fs::read(dir.path().join("run/model.bsnn")).expect("a model"),
        model
    );
    refused(&train(&[]), 2, &["run", "--resume", "--out"]);
    let changed = train(&["--resume", "--set", "train.batch=16"]);
    refused(&changed, 2, &["train.batch", "32", "16"]);
    fs::create_dir(dir.path().join("mine")).expect("a folder");
    fs::write(dir.path().join("mine/notes.txt"), "").expect("a file");
    let foreign = bitspike(dir.path(), &["train", "tiny.toml", "--out", "mine"]);
    refused(&foreign, 2, &["mine", "notes.txt"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let dir = folder();
    fs::write(dir.path().join("file"), "").expect("a file");
    let outcome = bitspike(dir.path(), &["train", "tiny.toml", "--out", "file/run"]);
    refused(&outcome, 1, &["cannot write", "file/run"]);
}

#[test]
fn a_gpu_is_refused_with_the_command_that_builds_for_one() {
    let dir = folder();
    let arguments = ["train", "mnist", "--device", "cuda", "--out", "run"];
    let outcome = bitspike(dir.path(), &arguments);
    refused(
        &outcome,
        2,
        &["--device cuda", "cargo xtask cuda", "docs/gpu.md"],
    );
    assert!(!dir.path().join("run").exists());
}

#[test]
fn a_damaged_model_is_refused_by_its_cause() {
    let dir = folder();
    let whole = fs::read(Path::new(trained()).join("model.bsnn")).expect("a model");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    fs::write(dir.path().join("flipped.bsnn"), flipped).expect("a file");
    fs::write(dir.path().join("cut.bsnn"), &whole[..whole.len() - 5]).expect("a file");
    fs::write(dir.path().join("other.bsnn"), TINY).expect("a file");
    for (name, cause) in [
        ("flipped.bsnn", "checksum"),
        ("cut.bsnn", "cut"),
        ("other.bsnn", ""),
    ] {
        for more in [&["inspect"][..], &["eval"], &["verify", "--on", "host"]] {
            let arguments = [&more[..1], &[name], &more[1..]].concat();
            refused(&bitspike(dir.path(), &arguments), 2, &[name, cause]);
        }
    }
}

#[test]
fn wrong_use_names_the_argument() {
    let dir = folder();
    refused(
        &bitspike(dir.path(), &["evaluate"]),
        2,
        &["evaluate", "eval"],
    );
    refused(
        &bitspike(dir.path(), &["eval", "--limt", "3"]),
        2,
        &["--limt", "--limit"],
    );
    refused(
        &bitspike(dir.path(), &["eval", trained(), "--limit", "0"]),
        2,
        &["--limit", "0"],
    );
    refused(&bitspike(dir.path(), &[]), 2, &["Usage: bitspike", "train"]);
    let version = bitspike(dir.path(), &["--version"]);
    done(&version);
    assert_eq!(
        version.stdout,
        concat!("bitspike ", env!("CARGO_PKG_VERSION"), "\n")
    );
    for command in [
        "train", "eval", "export", "inspect", "trace", "verify", "data",
    ] {
        done(&bitspike(dir.path(), &[command, "--help"]));
    }
}

#[test]
fn a_download_from_nowhere_fails_with_its_address() {
    let dir = folder();
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        format!("http://{}/", listener.local_addr().expect("its address"))
    };
    let outcome = bitspike(
        dir.path(),
        &["data", "fetch", "mnist", "--dir", "m", "--url", &address],
    );
    refused(
        &outcome,
        1,
        &[&address, "train-images-idx3-ubyte.gz", "--url"],
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_with_the_command_that_goes_on() {
    let dir = folder();
    let arguments = [
        "train",
        "tiny.toml",
        "--out",
        "run",
        "--set",
        "train.epochs=100000",
    ];
    let mut child = command(dir.path(), &arguments)
        .stderr(Stdio::piped())
        .spawn()
        .expect("bitspike starts");
    let mut lines = BufReader::new(child.stderr.take().expect("its messages")).lines();
    let mut next = || lines.next().map(|line| line.expect("UTF-8"));
    while !next().expect("training starts").contains("epoch 2/") {}
    let status = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .expect("kill is there");
    assert!(status.success());
    let rest: Vec<String> = std::iter::from_fn(next).collect();
    assert_eq!(
        child.wait().expect("it ends").code(),
        Some(130),
        "{rest:#?}"
    );
    assert!(
        rest.last().is_some_and(|line| line.contains("--out run")),
        "{rest:#?}"
    );
    assert!(
        rest.last().is_some_and(|line| line.ends_with("--resume")),
        "{rest:#?}"
    );
    let outcome = bitspike(dir.path(), &["eval", "run"]);
    refused(&outcome, 2, &["run holds no model.bsnn yet", "--resume"]);
}
