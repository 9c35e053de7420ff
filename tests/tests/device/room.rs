//! Models that do not fit: each way to refuse one says what it takes, what there is, and what to do.

use std::fs;
use std::path::{Path, PathBuf};

use bitspike_core::lif::{Membrane, Reset};
use bitspike_core::model::{
    InputKind, LayerParameters, LayerSpec, MAX_LAYERS, Metadata, Model, NetworkSpec, Operation,
    Readout, Sizes, Spread, WeightOrder, write,
};
use bitspike_tests::cli::bitspike;
use bitspike_tests::device::root;
use bitspike_trainer::device::{Client, Refused, Timing, open};

/// Every emulated machine.
const MACHINES: [&str; 7] = ["m0", "m3", "m4", "m7", "m33", "rv32", "rv32imac"];

/// Bytes of the model, its state and a sample.
struct Needed {
    path: PathBuf,
    file: usize,
    state: usize,
    sample: usize,
}

impl Needed {
    fn all(&self) -> usize {
        self.file + self.state + self.sample
    }
}

/// A model of one convolution of `side` squared pixels, whose state is much larger than its file, or
/// of one linear layer of as many neurons, whose file is.
fn model(dir: &Path, side: u16, outputs: Option<u16>) -> Needed {
    let channels = outputs.unwrap_or(4);
    let operation = match outputs {
        Some(outputs) => Operation::Linear { outputs },
        None => Operation::Conv2d {
            channels,
            kernel: [3; 2],
            stride: [1; 2],
            padding: [0; 2],
        },
    };
    let layer = |operation| LayerSpec {
        input_pool: None,
        operation,
        pool: None,
        order: WeightOrder::OutputMajor,
        membrane: Membrane::I16,
        fraction: 0,
        beta: 0,
        reset: Reset::Subtract,
        thresholds: Spread::Channel,
        biases: None,
    };
    let spec = NetworkSpec {
        input: InputKind::Spikes,
        shape: [side, side, 1],
        steps: 1,
        readout: Readout::Count,
        logit_scale: 1.0,
        layers: heapless::Vec::from_slice(&[layer(operation)]).expect("one layer"),
    };
    let taps = if outputs.is_some() {
        usize::from(side) * usize::from(side)
    } else {
        9
    };
    let weights = vec![1; usize::from(channels) * taps];
    let thresholds = vec![1; channels.into()];
    let parameters = [LayerParameters {
        weights: &weights,
        thresholds: &thresholds,
        biases: &[],
    }];
    let mut words = vec![0; weights.len() / 16 + 4096 + thresholds.len()];
    let metadata = Metadata {
        version: Metadata::VERSION,
        ..Metadata::default()
    };
    let length = write(&spec, &parameters, &[], &metadata, &mut words);
    words.truncate(length.expect("core accepts it"));
    Model::<MAX_LAYERS>::new(&words).expect("it is a model");
    let sizes = Sizes::of(&words);
    let path = dir.join(format!("{side}-{}.bsnn", outputs.is_some()));
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    fs::write(&path, bytes).expect("the model is written");
    Needed {
        path,
        file: 4 * words.len(),
        state: 4 * sizes.memory_words(),
        sample: sizes.input_bytes.next_multiple_of(4),
    }
}

/// Loading it into a device ends with 2 and says all sizes.
#[track_caller]
fn not_loaded(board: &str, needed: &Needed, parts: &[&str]) {
    let model = needed.path.to_str().expect("UTF-8");
    let port = format!("emulator:{board}");
    let outcome = bitspike(root(), &["device", "load", model, "--port", &port]);
    assert_eq!(outcome.code, Some(2), "{board}: {outcome:#?}");
    let memory = if board == "m0" { 10_752 } else { 2 << 20 };
    let sizes = format!(
        "the model takes {} bytes of memory ({} of the file, {} of the network's state, {} of a sample), there are {memory}",
        needed.all(),
        needed.file,
        needed.state,
        needed.sample
    );
    for part in parts.iter().copied().chain([&*sizes]) {
        assert!(
            outcome.stderr.contains(part),
            "{board}: `{part}`: {outcome:#?}"
        );
    }
}

#[test]
fn a_state_without_room_is_refused_over_the_line_and_at_the_build() {
    let dir = tempfile::tempdir().expect("a folder");
    let needed = model(dir.path(), 48, None);
    not_loaded("m0", &needed, &["`bitspike cost FILE`"]);

    // The same with the model in the firmware.
    let name = needed.path.to_str().expect("UTF-8");
    let command = ["device", "verify", name, "--port", "emulator:m0"];
    let outcome = bitspike(root(), &command);
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    let sizes = format!(
        "the network's state and a sample take {} bytes of RAM, `serve` has 10752 for them",
        needed.state + needed.sample
    );
    for part in [&*sizes, "`bitspike cost "] {
        assert!(outcome.stderr.contains(part), "`{part}`: {outcome:#?}");
    }
}

#[test]
fn a_file_without_room_is_refused_before_it_is_sent_and_may_stay_in_flash() {
    let dir = tempfile::tempdir().expect("a folder");
    for board in MACHINES {
        let (side, outputs) = if board == "m0" { (64, 40) } else { (128, 1100) };
        let needed = model(dir.path(), side, Some(outputs));
        let inside = format!(
            "{} bytes do: `cargo xtask firmware {board} --bin serve --model FILE`",
            needed.state + needed.sample
        );
        let parts = [
            &*inside,
            "for the file while the model in its firmware is in use",
        ];
        not_loaded(board, &needed, &parts);
    }
}

/// A saved state needs as much again.
#[test]
fn a_saved_state_without_room_is_refused_with_both_sizes() {
    let dir = tempfile::tempdir().expect("a folder");
    let needed = model(dir.path(), 18, None);
    let line = open("emulator:m0", Some(&needed.path)).expect("it fits the firmware");
    let mut client = Client::open(line, Timing::default()).expect("it answers");
    let free = client.identified().free_bytes;
    for (error, request) in [
        (client.save().expect_err("no room"), "save"),
        (
            client.restore(&vec![0; needed.state]).expect_err("no room"),
            "restore the state",
        ),
    ] {
        assert_eq!(error.kind(), Some(Refused::Memory), "{error}");
        let text = error.to_string();
        for part in [
            request,
            "it takes ",
            &format!("bytes of memory, there are {free}; "),
            "board with more RAM",
        ] {
            assert!(text.contains(part), "`{part}`: {text}");
        }
    }
    // The device goes on with the model that it has.
    let identified = client.identify().expect("it answers");
    assert_eq!(identified.free_bytes, free);
    assert!(identified.model.is_some(), "{identified:?}");
}
