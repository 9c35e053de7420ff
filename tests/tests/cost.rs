//! `bitspike cost` against what emulated machines count and what programs really take.

use std::fs;
use std::path::{Path, PathBuf};

use bitspike_core::kernel::Kernel;
use bitspike_core::model::{InputKind, Model};
use bitspike_tests::cli::bitspike;
use bitspike_tests::device::{Finished, Firmware};
use bitspike_tests::networks::{Order, rates, topology};
use serde_json::Value;
use tempfile::TempDir;

/// Estimated instructions of a decision may be so far off.
const TOLERANCE: f64 = 0.15;

/// Estimated bytes of flash and RAM, whose programs change with the compiler.
const SIZES: f64 = 0.10;

/// A seeded network in a file.
struct Saved {
    folder: TempDir,
    words: Vec<u32>,
    inputs: Vec<Vec<u8>>,
}

impl Saved {
    /// The network of a topology that fires at `rate` on so many inputs.
    fn new(name: &str, rate: f64, inputs: usize) -> Self {
        let topology = topology(name).unwrap();
        let inputs = topology.inputs(rate, inputs);
        let words = topology.build(rate, Order::Exported, &inputs);
        let saved = Self {
            folder: tempfile::tempdir().unwrap(),
            words,
            inputs,
        };
        let bytes: Vec<u8> = saved
            .words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        fs::write(saved.path(), bytes).unwrap();
        saved
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("network.bsnn")
    }

    /// What the program `bench` says to each input behind `request`, and to the end.
    fn bench(&self, machine: &str, request: u8) -> Finished {
        let mut requests = Vec::new();
        for input in &self.inputs {
            requests.push(request);
            requests.extend(input);
        }
        requests.push(b'Q');
        Firmware::build(machine, "bench", &self.path()).run(&requests)
    }
}

fn near(what: &str, estimate: f64, measured: f64, tolerance: f64) {
    let error = estimate / measured - 1.0;
    assert!(
        error.abs() < tolerance,
        "{what}: estimated {estimate:.0}, measured {measured:.0}: {:.1} % off",
        100.0 * error
    );
}

/// The document of `bitspike cost`, whatever it ends with.
fn costs(arguments: &[&str]) -> (Option<i32>, Value, String) {
    let outcome = bitspike(Path::new("."), arguments);
    let document = serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}: {outcome:#?}"));
    (outcome.code, document, outcome.stderr)
}

/// The seeded MNIST network at 10 %, a decision of 4 steps.
fn a_decision_is_estimated_as_it_is_counted(machine: &str) {
    let network = Saved::new("mnist", 0.10, 8);
    let path = network.path();
    let model = Model::new(&network.words).unwrap();
    // All layers fire at 10 % but the last one, which is not read by another.
    let fired = rates(&model, &network.inputs, 0);
    assert!(
        fired.layers[..2]
            .iter()
            .all(|rate| (rate - 0.10).abs() < 0.01)
    );

    let arguments = ["cost", path.to_str().unwrap(), "--on", machine, "--json"];
    let (code, document, _) = costs(&[&arguments[..], &["--density", "0.1"]].concat());
    assert_eq!(code, Some(0), "{document}");
    let estimate = &document["machines"][0];

    let finished = network.bench(machine, b'R');
    let counts = finished.lines("decision");
    assert_eq!(counts.len(), network.inputs.len(), "{}", finished.output);
    let number = |line: &std::collections::HashMap<&str, &str>, key| -> f64 {
        line[key].parse().expect("a number")
    };
    let sum: f64 = counts.iter().map(|line| number(line, "instructions")).sum();
    near(
        &format!("instructions of a decision on {machine}"),
        estimate["instructions_per_decision"].as_f64().unwrap(),
        sum / counts.len() as f64,
        TOLERANCE,
    );

    let classify = Firmware::build(machine, "classify", &path);
    let of = |key: &str| estimate[key].as_f64().unwrap();
    near(
        "flash",
        of("flash_bytes"),
        classify.flash_bytes as f64,
        SIZES,
    );
    near("RAM", of("ram_bytes"), classify.ram_bytes as f64, SIZES);
}

#[test]
fn m0() {
    a_decision_is_estimated_as_it_is_counted("m0");
}

#[test]
fn m3() {
    a_decision_is_estimated_as_it_is_counted("m3");
}

#[test]
fn rv32() {
    a_decision_is_estimated_as_it_is_counted("rv32");
}

/// Rows of 94 words, which take more stack than any layer of the table has.
fn the_stack_of_wide_rows_is_covered(machine: &str) {
    let network = Saved::new("shd", 0.02, 5);
    let path = network.path();
    let (code, document, _) = costs(&["cost", path.to_str().unwrap(), "--on", machine, "--json"]);
    assert_eq!(code, Some(0), "{document}");
    let estimate = document["machines"][0]["stack_bytes"].as_u64().unwrap();

    let finished = network.bench(machine, b'S');
    let measured: u64 = finished.lines("end")[0]["running"].parse().unwrap();
    assert!(
        (measured..measured + measured / 5).contains(&estimate),
        "stack on {machine}: estimated {estimate}, measured {measured}"
    );
}

#[test]
fn the_stack_of_wide_rows_is_covered_on_m3() {
    the_stack_of_wide_rows_is_covered("m3");
}

#[test]
fn the_stack_of_wide_rows_is_covered_on_rv32() {
    the_stack_of_wide_rows_is_covered("rv32");
}

#[test]
fn a_board_that_is_too_small_is_refused_with_both_sizes() {
    let network = Saved::new("shd", 0.02, 5);
    let path = network.path();
    let path = path.to_str().unwrap();
    let (code, document, said) = costs(&["cost", path, "--on", "m3,m0", "--json"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("m0 cannot hold the model"), "{said}");
    assert!(said.contains("it has 262144"), "{said}");
    assert_eq!(document["schema"], 1);
    assert_eq!(document["machines"][0]["fits"], true);
    assert_eq!(document["machines"][1]["fits"], false);
    // Where no board is named, those that are too small are only marked.
    let (code, document, _) = costs(&["cost", path, "--json"]);
    assert_eq!(code, Some(0));
    let machines = document["machines"].as_array().unwrap();
    assert!(machines.iter().any(|machine| machine["fits"] == false));
}

#[test]
fn wrong_boards_and_rates_are_wrong_use() {
    let model = bitspike_tests::device::small_model();
    let model = model.to_str().unwrap();
    for (arguments, expected) in [
        (["--on", "m9"], "no board is named `m9`; there are"),
        (["--density", "1.5"], "it is a share, 0 to 1"),
        (["--density", "many"], "invalid float"),
    ] {
        let outcome = bitspike(Path::new("."), &["cost", model, arguments[0], arguments[1]]);
        assert_eq!(outcome.code, Some(2), "{outcome:#?}");
        assert!(outcome.stderr.contains(expected), "{outcome:#?}");
    }
}

/// Few spikes are for the event-driven kernel, many for the dense one.
#[test]
fn the_choice_follows_the_rate() {
    let chosen = |name, layer, density| {
        let topology = topology(name).unwrap();
        let inputs = topology.inputs(0.10, 5);
        let file = topology.build(density, Order::Exported, &inputs);
        let model = Model::new(&file).unwrap();
        Kernel::choose(&model.layers()[layer], InputKind::Spikes)
    };
    // Twenty outputs of 1,500 inputs.
    assert_eq!(chosen("shd-small", 1, 0.01), Kernel::Event);
    assert_eq!(chosen("shd-small", 1, 0.9), Kernel::Dense);
    // Ten outputs take 2,816 bytes more in the other order, which they may; of 4,096 inputs 11 KB.
    assert_eq!(chosen("mnist", 2, 0.01), Kernel::Event);
    assert_eq!(chosen("conv2", 1, 0.01), Kernel::Dense);
}
