//! `bitspike inspect` and `bitspike trace`: two documents, enough to compute every bit anew.

use std::fs;
use std::path::Path;
use std::process::Command;

use bitspike_core::model::{InputKind, Model, Readout};
use bitspike_tests::cli::bitspike;
use bitspike_tests::device::{read_model, small_model};
use bitspike_trainer::data::idx::Idx;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

#[path = "../../core/tests/random/mod.rs"]
mod random;

/// The program that computes anew; none where there is no Python.
fn recompute(dir: &Path, model: &str, trace: &str) -> Option<(i32, String)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/recompute.py");
    let output = Command::new("python3")
        .args([script, model, trace])
        .current_dir(dir)
        .output();
    let Ok(output) = output else {
        eprintln!("SKIPPED: python3 is not there, so tests/vectors/recompute.py did not run");
        return None;
    };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    Some((output.status.code().unwrap_or(-1), text))
}

fn write_model(path: &Path, file: &[u32]) {
    let bytes: Vec<u8> = file.iter().flat_map(|word| word.to_le_bytes()).collect();
    fs::write(path, bytes).expect("the model is written");
}

/// Runs a command of bitspike and keeps the document that it prints.
fn document(dir: &Path, arguments: &[&str], name: &str) -> Value {
    let outcome = bitspike(dir, arguments);
    assert_eq!(outcome.code, Some(0), "{arguments:?}: {outcome:#?}");
    fs::write(dir.join(name), &outcome.stdout).expect("the document is written");
    let document: Value = serde_json::from_str(&outcome.stdout).expect("one JSON document");
    assert_eq!(document["schema"], 1);
    document
}

/// A folder with `model.bsnn` and `samples`, three of them, and the flag that reads those.
fn folder(file: &[u32], seed: u32) -> (TempDir, &'static str) {
    let dir = tempdir().expect("a temporary folder");
    write_model(&dir.path().join("model.bsnn"), file);
    let model = Model::new(file).expect("the model loads");
    let (kind, shape) = (model.input_kind(), model.input_shape());
    let source = &mut random::Source::new(seed);
    let samples = dir.path().join("samples");
    if kind.is_graded() {
        let pictures: Vec<Vec<u8>> = (0..3).map(|_| source.input(kind, shape.units())).collect();
        let mut dims = vec![3, shape.height.into(), shape.width.into()];
        if shape.channels > 1 {
            dims.push(shape.channels.into());
        }
        let idx = Idx::new(dims, pictures.concat()).expect("dimensions fit");
        idx.write(&samples).expect("the pictures are written");
        return (dir, "--images");
    }
    let rows: Vec<String> = (0..3 * model.steps())
        .map(|_| {
            let bytes = source.input(kind, shape.units());
            (0..shape.units())
                .map(|i| char::from(b'0' + (bytes[i / 8] >> (i % 8) & 1)))
                .collect()
        })
        .collect();
    if kind == InputKind::Spikes && seed.is_multiple_of(2) {
        let mut text = "step,address\n".to_owned();
        for (step, row) in rows.iter().enumerate() {
            for (address, _) in row.match_indices('1') {
                text += &format!("{step},{address}\n");
            }
        }
        // So that the last sample is in the file even where it is silent.
        text += &format!("{},0\n", rows.len() - 1);
        fs::write(&samples, text).expect("the events are written");
        return (dir, "--events");
    }
    fs::write(&samples, rows.join("\n")).expect("the rows are written");
    (dir, "--spikes")
}

/// Traces sample 1 or 2 of a model and computes it anew; whether neurons fired.
fn traced_and_recomputed(file: &[u32], seed: u32) -> Option<bool> {
    let (dir, flag) = folder(file, seed);
    let inspect = ["inspect", "model.bsnn", "--json", "--weights"];
    document(dir.path(), &inspect, "model.json");
    let index = (1 + seed % 2).to_string();
    let trace = [
        "trace",
        "model.bsnn",
        flag,
        "samples",
        "--index",
        &index,
        "--json",
    ];
    let trace = document(dir.path(), &trace, "trace.json");
    let model = Model::new(file).expect("the model loads");
    assert_eq!(
        trace["steps"].as_array().map(Vec::len),
        Some(model.steps() as usize)
    );
    let (code, text) = recompute(dir.path(), "model.json", "trace.json")?;
    assert_eq!(code, 0, "seed {seed}: {text}");
    assert!(text.starts_with("equal: "), "seed {seed}: {text}");
    Some(!text.contains(", 0 of them spikes"))
}

#[test]
fn the_fixture_is_recomputed_from_its_documents() {
    let file = read_model(&small_model());
    if let Some(fired) = traced_and_recomputed(&file, 3) {
        assert!(fired, "a sample that makes no neuron fire tests nothing");
    }
}

#[test]
fn random_models_are_recomputed_from_their_documents() {
    let mut fired = 0;
    let mut seen = Vec::new();
    for seed in 1..=40 {
        let file = random::model(seed);
        let model = Model::new(&file).expect("the model loads");
        let readout = match model.readout() {
            Readout::Population { .. } => Readout::Population { groups: 0 },
            other => other,
        };
        seen.push((Some(readout), None));
        seen.push((None, Some(model.input_kind())));
        match traced_and_recomputed(&file, seed) {
            Some(some) => fired += u32::from(some),
            None => return,
        }
    }
    assert!(fired > 20, "{fired} of 40 fire");
    for kind in [
        InputKind::Spikes,
        InputKind::U8,
        InputKind::I8,
        InputKind::Bipolar,
    ] {
        assert!(seen.contains(&(None, Some(kind))), "{kind:?} did not come");
    }
    for readout in [
        Readout::Count,
        Readout::Membrane,
        Readout::FirstSpike,
        Readout::Population { groups: 0 },
    ] {
        assert!(
            seen.contains(&(Some(readout), None)),
            "{readout:?} did not come"
        );
    }
}

/// The program is not one that always agrees: a value changed in any list is found.
#[test]
fn a_changed_trace_is_told_from_the_true_one() {
    let (dir, flag) = folder(&read_model(&small_model()), 3);
    let inspect = ["inspect", "model.bsnn", "--json", "--weights"];
    document(dir.path(), &inspect, "model.json");
    let trace = ["trace", "model.bsnn", flag, "samples", "--json"];
    let trace = document(dir.path(), &trace, "trace.json");
    for name in ["input", "sum", "membrane", "spikes"] {
        let mut changed = trace.clone();
        let value = &mut changed["steps"][1]["layers"][1][name][2];
        *value = (1 - value.as_i64().expect("a number")).into();
        fs::write(dir.path().join("changed.json"), changed.to_string()).expect("it is written");
        let Some((code, text)) = recompute(dir.path(), "model.json", "changed.json") else {
            return;
        };
        assert_eq!(code, 1, "{name}: {text}");
        assert!(
            text.contains("different: step 1, layer 1, index 2"),
            "{name}: {text}"
        );
    }
    for name in ["decision", "scores"] {
        let mut changed = trace.clone();
        match &mut changed[name] {
            Value::Array(scores) => scores[0] = 12_345.into(),
            decision => *decision = 77.into(),
        }
        fs::write(dir.path().join("changed.json"), changed.to_string()).expect("it is written");
        let changed = recompute(dir.path(), "model.json", "changed.json");
        assert_eq!(changed.map(|(code, _)| code), Some(1), "{name}");
    }
}

/// The document of a model has the keys that the contract of the command names.
#[test]
fn the_documents_have_their_shape() {
    let (dir, flag) = folder(&read_model(&small_model()), 3);
    let inspect = ["inspect", "model.bsnn", "--json", "--weights"];
    let model = document(dir.path(), &inspect, "model.json");
    let conv = &model["layers"][0];
    assert_eq!(conv["kind"], "conv2d");
    assert_eq!(conv["weights"].as_array().map(Vec::len), Some(5));
    // [out][ky][kx][in]
    assert_eq!(conv["weights"][4][2].as_array().map(Vec::len), Some(3));
    assert!(
        [1, -1]
            .map(Value::from)
            .contains(&conv["weights"][4][2][2][0])
    );
    for key in [
        "shape_in",
        "shape_out",
        "kernel",
        "stride",
        "padding",
        "pool",
        "threshold",
        "bias",
        "beta",
        "f",
        "membrane",
        "reset",
        "input",
    ] {
        assert!(!conv[key].is_null(), "{key} is missing in {conv}");
    }
    assert_eq!(conv["input"]["kind"], "u8");
    assert_eq!(conv["membrane"], "i16");
    assert_eq!(conv["reset"], "subtract");
    let linear = &model["layers"][2];
    assert_eq!(linear["weights"][0].as_array().map(Vec::len), Some(28));
    assert_eq!(linear["bias"], serde_json::json!([1, -2, 0]));
    assert_eq!(model["readout"]["kind"], "membrane");
    assert_eq!(
        model["readout"]["gains"],
        serde_json::json!([32767, 1200, 800])
    );
    assert_eq!(model["steps"], 4);
    // Without the flag: no weights.
    let short = document(dir.path(), &inspect[..3], "short.json");
    assert!(short["layers"][0]["weights"].is_null());
    let trace = ["trace", "model.bsnn", flag, "samples", "--json"];
    let trace = document(dir.path(), &trace, "trace.json");
    let layer = &trace["steps"][3]["layers"][1];
    for (key, len) in [("input", 45), ("sum", 28), ("membrane", 28), ("spikes", 28)] {
        assert_eq!(layer[key].as_array().map(Vec::len), Some(len), "{key}");
    }
    let text = bitspike(dir.path(), &["trace", "model.bsnn", flag, "samples"]);
    assert!(text.stdout.contains("decision: class"), "{text:#?}");
}

/// Every wrong file is named, with what is wrong in it; the exit code is 2.
#[test]
fn wrong_samples_are_refused_by_name() {
    let graded = read_model(&small_model());
    let (pictures, _) = folder(&graded, 3);
    let spiking = (1..)
        .map(random::model)
        .find(|file| {
            let model = Model::new(file).expect("the model loads");
            model.input_kind() == InputKind::Spikes && model.input_shape().units() > 4
        })
        .expect("the seeds do not end");
    let model = Model::new(&spiking).expect("the model loads");
    let units = model.input_shape().units();
    let (rows, _) = folder(&spiking, 1);
    let long = "1".repeat(units + 1);
    let outside = format!("0,1\n3,{units}\n");
    for (dir, text, flag, index, parts) in [
        (
            &pictures,
            None,
            "--images",
            "3",
            &["--index 3", "samples", "3 pictures"][..],
        ),
        (&pictures, None, "--spikes", "0", &["samples", "--images"]),
        (&pictures, None, "--events", "0", &["samples", "--images"]),
        (&pictures, Some("no IDX"), "--images", "0", &["other"]),
        (&rows, None, "--images", "0", &["samples", "--spikes"]),
        (&rows, None, "--spikes", "3", &["samples", "--index"]),
        (
            &rows,
            Some("01x"),
            "--spikes",
            "0",
            &["other", "line 1", "`x`"],
        ),
        (
            &rows,
            Some(&long),
            "--spikes",
            "0",
            &["other", "line 1", "the model reads"],
        ),
        (&rows, Some(""), "--spikes", "0", &["other", "0 rows"]),
        (&rows, Some(""), "--events", "0", &["other", "no events"]),
        (
            &rows,
            Some("# text\n\n1;2"),
            "--events",
            "0",
            &["other", "line 3", "`1;2`"],
        ),
        (&rows, Some("-1,2"), "--events", "0", &["other", "line 1"]),
        (
            &rows,
            Some(&outside),
            "--events",
            "0",
            &["other", "line 2", "outside"],
        ),
        (
            &rows,
            Some("0,0"),
            "--events",
            "1",
            &["other", "step 0", "--index"],
        ),
    ] {
        let name = match text {
            None => "samples",
            Some(text) => {
                fs::write(dir.path().join("other"), text).expect("a file");
                "other"
            }
        };
        let arguments = [
            "trace",
            "model.bsnn",
            flag,
            name,
            "--index",
            index,
            "--json",
        ];
        let outcome = bitspike(dir.path(), &arguments);
        assert_eq!(outcome.code, Some(2), "{arguments:?} {outcome:#?}");
        assert_eq!(outcome.stdout, "");
        for part in parts {
            assert!(
                outcome.stderr.contains(part),
                "`{part}` is missing in {outcome:#?}"
            );
        }
    }
    let missing = ["trace", "model.bsnn", "--events", "nowhere.csv", "--json"];
    let outcome = bitspike(rows.path(), &missing);
    assert_eq!(outcome.code, Some(2), "{outcome:#?}");
    assert!(outcome.stderr.contains("nowhere.csv"), "{outcome:#?}");
    let none = bitspike(rows.path(), &["trace", "model.bsnn", "--json"]);
    assert_eq!(none.code, Some(2), "{none:#?}");
}
