//! The firmware on emulated machines, held against `core` on the host.
//!
//! `cargo test -p bitspike-tests --test qemu m0` runs what concerns one machine. The emulators and
//! compiler targets come by `cargo xtask setup`; without them these tests fail and say so.

use std::fs;
use std::path::Path;

use bitspike_core::hash::StateHash;
use bitspike_core::lif::{Membrane, Reset};
use bitspike_core::model::{
    InputKind, LayerParameters, LayerSpec, Metadata, Model, NetworkSpec, Operation, Readout,
    Spread, WeightOrder, write,
};
use bitspike_core::network::Network;
use bitspike_core::random::Xorshift32;
use bitspike_tests::device::{Firmware, first_difference, read_model, root, small_model};

#[path = "../../core/tests/cases/mod.rs"]
mod cases;
#[path = "../../stream/tests/motion/mod.rs"]
mod motion;

/// Each test on each machine, under the machine's name.
macro_rules! on_each_machine {
    ($($test:ident),* $(,)?) => {
        on_each_machine!(@machine m0 { $($test),* });
        on_each_machine!(@machine m3 { $($test),* });
        on_each_machine!(@machine m4 { $($test),* });
        on_each_machine!(@machine m7 { $($test),* });
        on_each_machine!(@machine m33 { $($test),* });
        on_each_machine!(@machine rv32 { $($test),* });
        on_each_machine!(@machine rv32imac { $($test),* });
    };
    (@machine $machine:ident { $($test:ident),* }) => {
        mod $machine {
            $(
                #[test]
                fn $test() {
                    super::$test(stringify!($machine));
                }
            )*
        }
    };
}

on_each_machine!(
    every_step_equals_the_host,
    spikes_as_input_equal_the_host,
    damaged_models_are_refused_on_the_device,
    kernels_equal_the_reference_on_the_device,
    bench_counts_and_ends_in_the_host_s_state,
    a_damaged_model_ends_the_program,
    requests_that_make_no_sense_end_the_program,
    panics_and_faults_are_reported_after_the_reset,
    a_stream_from_a_sensor_equals_the_host,
);

/// Pictures from silent to full, the same on every run.
fn every_step_equals_the_host(machine: &str) {
    let file = read_model(&small_model());
    let model = Model::new(&file).unwrap();
    let mut random = Xorshift32::new(1);
    let samples: Vec<Vec<u8>> = (0..24)
        .map(|density| {
            let mut pixel = || {
                if random.draw() % 24 < density {
                    random.draw()
                } else {
                    0
                }
            };
            (0..model.sizes().input_bytes)
                .map(|_| pixel() as u8)
                .collect()
        })
        .collect();
    compare(
        &Firmware::build(machine, "classify", &small_model()),
        machine,
        &model,
        &samples,
    );
}

/// A network that reads packed spikes, and the count read-out.
fn spikes_as_input_equal_the_host(machine: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spikes.bsnn");
    let file = spiking_model();
    save(&path, &file);
    let model = Model::new(&file).unwrap();
    let mut random = Xorshift32::new(7);
    let samples: Vec<Vec<u8>> = (0..8)
        .map(|_| {
            let words = [random.draw(), random.draw() & 0xFF];
            words.iter().flat_map(|word| word.to_le_bytes()).collect()
        })
        .collect();
    compare(
        &Firmware::build(machine, "classify", &path),
        machine,
        &model,
        &samples,
    );
}

/// Sends each sample twice, hashed and dumped, and compares every line with the host.
fn compare(firmware: &Firmware, machine: &str, model: &Model<'_>, samples: &[Vec<u8>]) {
    let mut requests = Vec::new();
    for sample in samples {
        for mode in [b'H', b'D'] {
            requests.push(mode);
            requests.extend(sample);
        }
    }
    requests.push(b'Q');
    let finished = firmware.run(&requests);
    assert!(finished.status.success(), "{machine}: {}", finished.output);

    let greeting = &finished.lines("bitspike")[0];
    assert_eq!(greeting["board"], machine);
    assert_eq!(greeting["model"], format!("{:08x}", model.checksum()));
    assert_eq!(greeting["inputs"], model.sizes().input_bytes.to_string());
    assert_eq!(greeting["state"], model.sizes().memory_words().to_string());

    let mut memory = vec![0; model.sizes().memory_words()];
    let mut network = Network::new(model, &mut memory).unwrap();
    let (states, answers) = (finished.lines("state"), finished.lines("sample"));
    assert_eq!(answers.len(), 2 * samples.len());
    let mut states = states.iter();
    let mut fired = 0;
    for (index, sample) in samples.iter().enumerate() {
        let words = words(sample);
        let input = if model.input_kind().is_graded() {
            model.input(sample).unwrap()
        } else {
            model.input_words(&words).unwrap()
        };
        let mut hash = StateHash::new();
        network.reset();
        let mut steps = None;
        for step in 0..model.steps() {
            network.step(input);
            hash.update(&network);
            if network.is_final() {
                steps = steps.or(Some(network.steps()));
            }
            for layer in 0..model.layers().len() {
                fired += network.spikes(layer).count();
                let state = states.next().expect("a line for every step and layer");
                assert_eq!(state["step"], step.to_string());
                assert_eq!(state["layer"], layer.to_string());
                if let Some(difference) = first_difference(&network, layer, state) {
                    panic!("sample {index}, host against {machine}: {difference}");
                }
            }
        }
        let hash = format!("{:016x}", hash.finish());
        for answer in &answers[2 * index..2 * index + 2] {
            assert_eq!(answer["decision"], network.decision().class.to_string());
            let steps = steps.expect("final after the last step");
            assert_eq!(answer["steps"], steps.to_string());
            assert_eq!(answer["hash"], hash, "sample {index} on {machine}");
            assert_eq!(
                answer["confidence"],
                format!("{:08x}", network.confidence().to_bits())
            );
            assert!(answer["instructions"].parse::<u64>().unwrap() > 1000);
        }
    }
    assert!(fired > 0, "inputs that make no neuron fire test nothing");
    let end = &finished.lines("end")[0];
    assert_eq!(end["samples"], (2 * samples.len()).to_string());
}

/// Whole words of a sample; the last bytes of a graded one may be missing.
fn words(bytes: &[u8]) -> Vec<u32> {
    bytes
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
        .collect()
}

/// Every bit flipped, every length, random words: see firmware/tests/refuse.rs.
fn damaged_models_are_refused_on_the_device(machine: &str) {
    let finished = Firmware::build(machine, "refuse", &small_model()).run(&[]);
    assert!(finished.status.success(), "{machine}: {}", finished.output);
    assert!(
        finished.output.ends_with("passed\n"),
        "{machine}: {}",
        finished.output
    );
    let words = read_model(&small_model()).len();
    let counts = finished.lines("refused");
    assert_eq!(counts[0]["bits"], (32 * words).to_string());
    assert_eq!(counts[1]["lengths"], words.to_string());
    assert_eq!(finished.lines("refuse")[0]["board"], machine);
}

/// The cases that core's own test runs, computed on the device; and to the same bits as here.
fn kernels_equal_the_reference_on_the_device(machine: &str) {
    let finished = Firmware::build(machine, "kernels", &small_model()).run(b"");
    assert!(finished.status.success(), "{machine}: {}", finished.output);
    assert_eq!(finished.lines("kernels")[0]["board"], machine);
    let equal = &finished.lines("equal")[0];
    let mut buffers = Box::new(cases::Buffers::new());
    let passed = cases::run(&mut buffers, equal["drawn"].parse().unwrap()).unwrap();
    assert!(passed.runs > 1_000, "{passed:?}");
    assert_eq!(equal["runs"], passed.runs.to_string());
    assert_eq!(equal["hash"], format!("{:016x}", passed.hash));
}

fn bench_counts_and_ends_in_the_host_s_state(machine: &str) {
    let file = read_model(&small_model());
    let model = Model::new(&file).unwrap();
    let picture = [90; 36];
    let mut requests = Vec::new();
    for letter in [b'R', b'S', b'L'] {
        requests.push(letter);
        requests.extend(picture);
    }
    requests.extend(b"HKrZHQ");
    let firmware = Firmware::build(machine, "bench", &small_model());
    let finished = firmware.run(&requests);
    assert!(finished.status.success(), "{machine}: {}", finished.output);

    let mut memory = vec![0; model.sizes().memory_words()];
    let mut network = Network::new(&model, &mut memory).unwrap();
    let hash = |network: &Network<'_>| {
        let mut hash = StateHash::new();
        hash.update(network);
        format!("{:016x}", hash.finish())
    };
    let decision = network.run(model.input(&picture).unwrap());
    assert_eq!(
        finished.lines("decision")[0]["class"],
        decision.class.to_string()
    );
    for _ in 0..2 {
        network.step(model.input(&picture).unwrap());
    }
    let states = finished.lines("state");
    assert_eq!(states[0]["hash"], hash(&network), "{machine}");
    network.reset();
    assert_eq!(states[1]["hash"], hash(&network), "{machine}");

    let step: u64 = finished.lines("step")[0]["instructions"].parse().unwrap();
    let layers = finished.lines("layers")[0]["instructions"];
    let layers: Vec<u64> = layers.split(',').map(|n| n.parse().unwrap()).collect();
    assert_eq!(layers.len(), model.layers().len() + 1);
    let sum: u64 = layers.iter().sum();
    assert!(
        step > 1_000 && sum > step / 2 && sum < 2 * step + 1_000,
        "{step}, {layers:?}"
    );
    let bytes: u64 = finished.lines("end")[0]["running"].parse().unwrap();
    assert!((100..10_000).contains(&bytes), "{bytes} bytes of stack");

    let unknown = firmware.run(b"K?");
    assert_eq!(unknown.status.code(), Some(1), "{}", unknown.output);
}

/// A bit of the model that changes in flash, which the program says, and one before the build, which
/// fails.
fn a_damaged_model_ends_the_program(machine: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut firmware = Firmware::build(machine, "classify", &small_model());
    let mut file = read_model(&small_model());
    let whole = bytes(&file);
    *file.last_mut().unwrap() ^= 1;
    let cause = Model::new(&file).unwrap_err();
    let mut image = fs::read(&firmware.elf).unwrap();
    let mut places = image.windows(whole.len());
    let at = places.position(|part| part == whole).expect("the model");
    image[at..at + whole.len()].copy_from_slice(&bytes(&file));
    let path = folder.path().join("damaged.elf");
    fs::write(&path, image).unwrap();
    let elf = firmware.elf.display().to_string();
    let words = firmware.runner.iter_mut().filter(|word| **word == elf);
    words.for_each(|word| *word = path.display().to_string());
    let finished = firmware.run(b"Q");
    assert_eq!(finished.output, format!("refused: {cause}\n"));
    assert_eq!(finished.status.code(), Some(1));

    let path = folder.path().join("damaged.bsnn");
    save(&path, &file);
    let message = Firmware::refused(machine, "classify", &path);
    assert!(
        message.contains("damaged.bsnn: the model is refused: the checksum does not match"),
        "{machine}: {message}"
    );
}

fn requests_that_make_no_sense_end_the_program(machine: &str) {
    let firmware = Firmware::build(machine, "classify", &small_model());
    let unknown = firmware.run(b"x");
    assert_eq!(unknown.status.code(), Some(1), "{}", unknown.output);
    assert!(
        unknown
            .output
            .contains("failed: no request has the number 120"),
        "{}",
        unknown.output
    );

    let cut = firmware.run(b"H12");
    assert_eq!(cut.status.code(), Some(1), "{}", cut.output);
    assert!(
        cut.output
            .contains("failed: the input ended within a sample"),
        "{}",
        cut.output
    );

    let closed = firmware.run(b"");
    assert_eq!(closed.status.code(), Some(0), "{}", closed.output);
    assert_eq!(closed.lines("end")[0]["samples"], "0");
}

/// See firmware/tests/crash.rs; the report comes from the second start, out of RAM that outlives the
/// reset.
fn panics_and_faults_are_reported_after_the_reset(machine: &str) {
    let firmware = Firmware::build(machine, "crash", &small_model());
    for (request, report) in [
        (b"P", "panic: on purpose at tests/crash.rs:"),
        (b"F", " at address 0x"),
    ] {
        let finished = firmware.run(request);
        let output = &finished.output;
        assert_ne!(finished.status.code(), Some(0), "{machine}: {output}");
        let lines: Vec<_> = output.lines().collect();
        assert!(lines[0].starts_with("crash board="), "{machine}: {output}");
        assert_eq!(lines.len(), 2, "{machine}: {output}");
        assert!(
            lines[1].starts_with("panic: ") && lines[1].contains(report),
            "{machine}: {output}"
        );
    }
}

/// The driver, a sensor that plays a recording, encoder and network on the device: class and hash of each
/// window as core alone has them here; and another model is refused by name.
fn a_stream_from_a_sensor_equals_the_host(machine: &str) {
    let path = root().join("stream/motion/motion.bsnn");
    let finished = Firmware::build(machine, "stream", &path).run(b"");
    assert!(finished.status.success(), "{machine}: {}", finished.output);
    let file = motion::words(motion::MODEL);
    let model = Model::new(&file).unwrap();
    let greeting = &finished.lines("bitspike")[0];
    assert_eq!(greeting["board"], machine);
    assert_eq!(greeting["model"], format!("{:08x}", model.checksum()));
    let windows: Vec<_> = finished
        .lines("window")
        .iter()
        .map(|window| (window["decision"].to_owned(), window["hash"].to_owned()))
        .collect();
    let expected: Vec<_> = motion::expected(&model)
        .into_iter()
        .map(|(class, hash)| (class.to_string(), format!("{hash:016x}")))
        .collect();
    assert_eq!(windows, expected, "{machine}");
    assert_eq!(finished.lines("end")[0]["windows"], "12");

    let other = Firmware::build(machine, "stream", &small_model()).run(b"");
    assert_eq!(other.status.code(), Some(1), "{machine}: {}", other.output);
    assert_eq!(
        other.output,
        "refused: the model does not read 6 channels of spikes, up and down of three axes\n"
    );
}

/// 40 spike trains in, 50 hidden neurons, 5 classes by spike count.
fn spiking_model() -> Vec<u32> {
    let hidden = LayerSpec {
        input_pool: None,
        operation: Operation::Linear { outputs: 50 },
        pool: None,
        order: WeightOrder::InputMajor,
        membrane: Membrane::I16,
        fraction: 4,
        beta: 29491,
        reset: Reset::Subtract,
        thresholds: Spread::Layer,
        biases: None,
    };
    let output = LayerSpec {
        operation: Operation::Linear { outputs: 5 },
        order: WeightOrder::OutputMajor,
        membrane: Membrane::I32,
        reset: Reset::Zero,
        ..hidden
    };
    let spec = NetworkSpec {
        input: InputKind::Spikes,
        shape: [1, 1, 40],
        steps: 6,
        readout: Readout::Count,
        logit_scale: 1.0,
        layers: heapless::Vec::from_slice(&[hidden, output]).unwrap(),
    };
    let mut random = Xorshift32::new(3);
    let mut sign = || {
        if random.draw().is_multiple_of(2) {
            1
        } else {
            -1
        }
    };
    let weights: [Vec<i8>; 2] = [40 * 50, 50 * 5].map(|count| (0..count).map(|_| sign()).collect());
    let [first, last] = &weights;
    let parameters = [
        LayerParameters {
            weights: first,
            thresholds: &[20],
            biases: &[],
        },
        LayerParameters {
            weights: last,
            thresholds: &[12],
            biases: &[],
        },
    ];
    let metadata = Metadata {
        version: Metadata::VERSION,
        ..Metadata::default()
    };
    let mut file = vec![0; 1024];
    let words = write(&spec, &parameters, &[], &metadata, &mut file).unwrap();
    file.truncate(words);
    file
}

fn bytes(file: &[u32]) -> Vec<u8> {
    file.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn save(path: &Path, file: &[u32]) {
    fs::write(path, bytes(file)).unwrap();
}
