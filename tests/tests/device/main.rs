//! Host and device over lines that are bad, cut, silent or speak another protocol.
//!
//! A device in this process has a clock of its own, so that ten thousand requests over a bad line take
//! seconds; what concerns machines runs `serve` on them.

mod crash;
mod line;
mod room;
mod stopped;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bitspike_core::hash::StateHash;
use bitspike_core::model::{Model, Sizes};
use bitspike_core::network::Network;
use bitspike_core::random::Xorshift32;
use bitspike_link::frame::{Number, Reader, encode};
use bitspike_link::message::{Answer, Part, Request};
use bitspike_tests::cli::bitspike;
use bitspike_tests::device::{Firmware, read_model, root, small_model};
use bitspike_trainer::data::idx::Idx;
use bitspike_trainer::device::{Client, LinkError, Port, Refused, Timing, open};
use bitspike_trainer::sample::{Frame, Sample};
use bitspike_trainer::verify::{Depth, seeded_samples, verify_device};
use line::{Faulty, InProcess, Pulled};

/// Answers within two seconds of the line's own clock.
const TIMING: Timing = Timing {
    answer: Duration::from_secs(2),
    resend: Duration::from_millis(20),
};

fn model_words() -> Vec<u32> {
    read_model(&small_model())
}

fn file() -> Vec<u8> {
    std::fs::read(small_model()).expect("the small model is there")
}

/// A device with room for the small model twice.
fn device() -> InProcess {
    let words = model_words();
    let sizes = Sizes::of(&words);
    InProcess::start(sizes.memory_words() + 9 + 4 * words.len(), words)
}

/// What the host computes beside the device.
struct Twin<'a> {
    network: Network<'a>,
    sample: Vec<u8>,
}

impl Twin<'_> {
    fn step(&mut self) -> u64 {
        let input = self.network.model().input(&self.sample).expect("36 bytes");
        self.network.step(input);
        let mut hash = StateHash::new();
        hash.update(&self.network);
        hash.finish()
    }
}

#[test]
fn verify_over_a_bad_line_is_right_or_a_named_error_over_ten_thousand_requests() {
    let words = model_words();
    let model = Model::new(&words).unwrap();
    let (mut requests, mut repeated, mut failures, mut verified) = (0, 0, 0, 0);
    let mut seed = 0;
    while requests < 10_000 {
        let line = Faulty::new(device(), 100, seed);
        let samples = seeded_samples(&model, 6, seed.into());
        seed += 1;
        let Ok(mut client) = Client::open(Box::new(line), TIMING) else {
            failures += 1;
            continue;
        };
        match verify_device(&mut client, &model, &samples, Depth::Full, || ()) {
            Ok(report) => {
                assert_eq!(report.differing_bits, 0, "{report:?}");
                assert_eq!(report.first_difference, None);
                verified += report.samples;
            }
            Err(error) => {
                let message = error.to_string();
                assert!(
                    message.contains("does not answer") || message.contains("begin again"),
                    "{message}"
                );
                failures += 1;
            }
        }
        requests += client.traffic().0;
        repeated += client.traffic().1;
    }
    eprintln!(
        "{requests} requests, {repeated} repeated, {verified} samples, {failures} named errors"
    );
    // The line was bad, and the work was done all the same.
    assert!(repeated > requests / 10, "{repeated} of {requests}");
    assert!(verified > 50 && failures < 10, "{verified}, {failures}");
}

#[test]
fn any_request_over_a_bad_line_is_answered_rightly_or_fails_by_name_in_time() {
    let (words, file) = (model_words(), file());
    let model = Model::new(&words).unwrap();
    let mut memory = vec![0; model.sizes().memory_words()];
    let mut twin = Twin {
        network: Network::new(&model, &mut memory).unwrap(),
        sample: vec![0; 36],
    };
    let mut random = Xorshift32::new(3);
    // So short that some requests are given up.
    let timing = Timing {
        answer: Duration::from_millis(600),
        ..TIMING
    };
    let line = Box::new(Faulty::new(device(), 100, 77));
    let mut client = Client::open(line, timing).expect("one of ten sendings arrives");
    client.load_sample(&twin.sample).unwrap();
    let mut done = 0;
    let mut failed = 0;
    while client.traffic().0 < 10_000 {
        let (kind, before) = (random.draw() % 9, client.traffic().0);
        let outcome = one_request(&mut client, &mut twin, kind, &mut random, &file);
        let used = client.traffic().0 - before;
        assert!(used < 500, "{used} requests for one");
        match outcome {
            Ok(()) => done += 1,
            Err(error) => {
                // What the device did is unknown: host and device start anew together.
                let LinkError::TimedOut { waited, .. } = error else {
                    panic!("{error}");
                };
                assert!(
                    waited < timing.answer + Duration::from_millis(5),
                    "{waited:?}"
                );
                failed += 1;
                while client.reopen().is_err() || client.load_sample(&twin.sample).is_err() {}
                twin.network.reset();
                while client.reset().is_err() {
                    let _ = client.reopen();
                }
            }
        }
    }
    eprintln!("{done} done, {failed} failed by name");
    assert!(
        failed > 0 && done > 300 && failed < done / 4,
        "{done}, {failed}"
    );
}

/// Asks the device and the twin for the same, and compares.
fn one_request(
    client: &mut Client,
    twin: &mut Twin<'_>,
    kind: u32,
    random: &mut Xorshift32,
    file: &[u8],
) -> Result<(), LinkError> {
    match kind {
        0 => {
            // Where it fails, the twin's new sample is what the next attempt loads.
            twin.sample = (0..36).map(|_| random.draw() as u8).collect();
            client.load_sample(&twin.sample)?;
        }
        1 | 2 => {
            let count = 1 + random.draw() % 3;
            let stepped = client.step(count)?;
            let hash = (0..count).map(|_| twin.step()).last();
            assert_eq!(
                (stepped.steps, Some(stepped.hash)),
                (twin.network.steps(), hash)
            );
        }
        3 => {
            let ran = client.run()?;
            twin.network.reset();
            let mut hash = StateHash::new();
            for _ in 0..twin.network.model().steps() {
                twin.step();
                hash.update(&twin.network);
            }
            assert_eq!(ran.hash, hash.finish());
            assert_eq!(usize::from(ran.class), twin.network.decision().class);
        }
        4 => {
            client.reset()?;
            twin.network.reset();
        }
        5 => {
            let layers = client.read_layers(twin.network.model())?;
            for (index, (spikes, membranes)) in layers.iter().enumerate() {
                assert_eq!(spikes, twin.network.spikes(index).words());
                assert_eq!(membranes, twin.network.membrane_words(index));
            }
        }
        6 => {
            let state = client.save()?;
            let mut expected = vec![0; twin.network.saved_words()];
            twin.network.save(&mut expected).expect("it has room");
            assert_eq!(state, bytemuck::cast_slice::<u32, u8>(&expected));
            client.restore(&state)?;
        }
        7 => {
            client.load_model(file, |_| ())?;
            twin.network.reset();
            client.load_sample(&twin.sample)?;
        }
        _ => {
            let refused = client.step(0).expect_err("0 steps are none");
            if refused.kind() != Some(Refused::Range) {
                return Err(refused);
            }
        }
    }
    Ok(())
}

/// A line whose device says something else than it computed, in frames that are right.
struct Lying {
    inner: InProcess,
    reader: Reader,
    lie: fn(&mut Vec<u8>),
}

impl Port for Lying {
    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.inner.send(bytes)
    }

    fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> std::io::Result<usize> {
        let mut read = [0; 512];
        let count = self.inner.receive(&mut read, wait)?;
        let mut told = Vec::new();
        for &byte in &read[..count] {
            if let Some(frame) = self.reader.feed(byte) {
                let mut payload = frame.payload.to_vec();
                (self.lie)(&mut payload);
                told.extend(bitspike_link::frame::encode_payload(frame.number, &payload).unwrap());
            }
        }
        buffer[..told.len()].copy_from_slice(&told);
        Ok(told.len())
    }

    fn now(&self) -> Duration {
        self.inner.now()
    }
}

#[test]
fn a_device_that_computes_something_else_is_found_and_the_place_named() {
    let words = model_words();
    let model = Model::new(&words).unwrap();
    let samples = seeded_samples(&model, 3, 1);
    let verify = |lie, depth| {
        let line = Lying {
            inner: device(),
            reader: Reader::new(),
            lie,
        };
        let mut client = Client::open(Box::new(line), TIMING).unwrap();
        verify_device(&mut client, &model, &samples, depth, || ())
    };
    // Data: one bit of every piece; the first is that of layer 0's spikes.
    let report = verify(
        |payload| {
            if payload[0] == 6 {
                payload[2] ^= 1;
            }
        },
        Depth::Full,
    )
    .unwrap();
    let difference = report.first_difference.expect("a difference");
    assert!(
        difference.contains("sample 0: layer 0, step 0, neuron 0"),
        "{difference}"
    );
    assert!(report.differing_bits > 0);
    // A wrong hash of a run whose states are right.
    let error = verify(
        |payload| {
            if payload[0] == 3 {
                payload[12] ^= 1;
            }
        },
        Depth::Hash,
    )
    .unwrap_err();
    assert!(error.to_string().contains("sample 0"), "{error}");
}

#[test]
fn what_a_device_refuses_is_named_and_it_goes_on_serving() {
    let words = model_words();
    let model = Model::new(&words).unwrap();
    let mut client = Client::open(Box::new(device()), TIMING).unwrap();
    let free = client.identified().free_bytes;

    let error = client.load_model(&vec![0; 100_000], |_| ()).unwrap_err();
    assert_eq!(error.kind(), Some(Refused::Memory));
    let message = error.to_string();
    assert!(
        message.contains("100000 bytes") && message.contains(&free.to_string()),
        "{message}"
    );

    let mut newer = file();
    newer[4] = 2;
    let error = client.load_model(&newer, |_| ()).unwrap_err();
    assert_eq!(error.kind(), Some(Refused::Model));
    assert!(error.to_string().contains("version 2"), "{error}");

    let error = client.load_sample(&[0; 35]).unwrap_err();
    assert_eq!(error.kind(), Some(Refused::Sample));
    assert!(error.to_string().contains("35 bytes"), "{error}");

    let error = client.run().unwrap_err();
    assert_eq!(error.kind(), Some(Refused::NoSample));
    let error = client.restore(&[0; 40]).unwrap_err();
    assert_eq!(error.kind(), Some(Refused::State));
    let error = client.read(Part::Spikes { layer: 9 }, 4).unwrap_err();
    assert_eq!(error.kind(), Some(Refused::Range));

    let samples = seeded_samples(&model, 2, 5);
    let report = verify_device(&mut client, &model, &samples, Depth::Hash, || ()).unwrap();
    assert_eq!((report.differing_bits, report.samples), (0, 2));

    // A sample of another shape is refused before it is sent, too.
    let wrong = [Sample::Still(Frame::Bytes(vec![0; 35]))];
    let error = verify_device(&mut client, &model, &wrong, Depth::Hash, || ()).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("35"), "{error}");
}

#[test]
fn a_device_that_is_silent_or_speaks_another_protocol_is_named_in_time() {
    // Nobody answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp:{}", listener.local_addr().unwrap());
    let timing = Timing {
        answer: Duration::from_millis(400),
        ..TIMING
    };
    let start = Instant::now();
    let error = Client::open(open(&address, None).unwrap(), timing).unwrap_err();
    assert!(
        matches!(error, LinkError::TimedOut { sent: 2.., .. }),
        "{error}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );

    // Somebody does, of another version.
    let answering = |payload: Vec<u8>| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp:{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut reader, mut byte) = (Reader::new(), [0]);
            while stream.read(&mut byte).unwrap_or(0) == 1 {
                if let Some(frame) = reader.feed(byte[0]) {
                    let frame =
                        bitspike_link::frame::encode_payload(frame.number, &payload).unwrap();
                    let _ = stream.write_all(&frame);
                }
            }
        });
        Client::open(open(&address, None).unwrap(), timing).unwrap_err()
    };
    let error = answering(vec![0, 9, 0, 1, 2, 3]);
    assert!(
        matches!(error, LinkError::Protocol { device: 9, host: 2 }),
        "{error}"
    );
    let error = answering(b"\x77what".to_vec());
    assert!(matches!(error, LinkError::Garbled { .. }), "{error}");
}

#[test]
fn another_host_takes_over_and_the_first_is_told() {
    // Two clients at one line cannot be; a request of another session can come over it.
    let mut line = device();
    let number = |session, sequence| Number { session, sequence };
    for (at, request) in [
        (number(1, 0), Request::Identify),
        (number(2, 0), Request::Identify),
        (number(1, 1), Request::Reset),
    ] {
        line.send(&encode(at, &request).unwrap()).unwrap();
    }
    let mut buffer = [0; 1024];
    let count = line.receive(&mut buffer, Duration::ZERO).unwrap();
    let mut reader = Reader::new();
    let refused = buffer[..count].iter().any(|&byte| {
        reader.feed(byte).is_some_and(|frame| {
            matches!(
                postcard::from_bytes(frame.payload),
                Ok(Answer::Refused(bitspike_link::message::Refusal::Session))
            )
        })
    });
    assert!(refused);
}

/// An emulated machine whose serial port is a TCP port; it is ended when dropped.
struct Machine {
    child: Child,
    address: String,
}

impl Machine {
    fn start(name: &str, model: &Path) -> Self {
        Self::of(&Firmware::build(name, "serve", model), &[])
    }

    /// One that runs this image, by an emulator that is told `more`.
    fn of(firmware: &Firmware, more: &[String]) -> Self {
        let mut runner = firmware.runner.clone();
        // A port that was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        for word in &mut runner {
            if word == "stdio" {
                *word = format!("tcp:127.0.0.1:{port},server=on,wait=off");
            }
        }
        let child = Command::new(&runner[0])
            .args(&runner[1..])
            .args(more)
            .stdin(Stdio::null())
            .spawn()
            .expect("the emulator starts; `cargo xtask setup` brings it");
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(30), "no port {port}");
            thread::sleep(Duration::from_millis(20));
        }
        Self {
            child,
            address: format!("tcp:127.0.0.1:{port}"),
        }
    }

    fn line(&self) -> Box<dyn Port> {
        open(&self.address, None).expect("the emulator listens")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_machine_survives_pulled_cables_cut_transfers_and_a_bad_line() {
    let (words, file) = (model_words(), file());
    let model = Model::new(&words).unwrap();
    let machine = Machine::start("m3", &small_model());
    let timing = Timing::default();

    // The cable is pulled in the middle of a transfer, at several places; then plugged in again.
    for left in [60, 200, 400] {
        let line = Pulled {
            inner: machine.line(),
            left,
        };
        let mut client = Client::open(Box::new(line), timing).unwrap();
        let error = client.load_model(&file, |_| ()).unwrap_err();
        assert!(matches!(error, LinkError::Closed(_)), "{error}");
        // Nothing more goes over a line of which nobody knows what it did.
        assert!(matches!(client.reset(), Err(LinkError::Lost)));
        drop(client);

        let mut client = Client::open(machine.line(), timing).unwrap();
        let loaded = client.identified().model.expect("the former model").loaded;
        assert!(!loaded, "a cut model is in use");
        let samples = seeded_samples(&model, 2, 9);
        let report = verify_device(&mut client, &model, &samples, Depth::Hash, || ()).unwrap();
        assert_eq!(report.differing_bits, 0);
    }

    // A bad line; the emulator's clock is the real one, so that fewer requests must do.
    let line = Faulty::new(machine.line(), 100, 4);
    let bad = Timing {
        answer: Duration::from_secs(10),
        resend: Duration::from_millis(30),
    };
    let mut client = Client::open(Box::new(line), bad).unwrap();
    client.load_model(&file, |_| ()).unwrap();
    assert!(client.identified().model.unwrap().loaded);
    let samples = seeded_samples(&model, 2, 1);
    let report = verify_device(&mut client, &model, &samples, Depth::Full, || ()).unwrap();
    assert_eq!(report.differing_bits, 0, "{report:?}");
    let (requests, repeated) = client.traffic();
    eprintln!("{requests} requests, {repeated} repeated");
    assert!(repeated > 0);
    drop(client);

    // The machine ends in the middle.
    let mut client = Client::open(machine.line(), timing).unwrap();
    drop(machine);
    let error = client.reset().unwrap_err();
    assert!(matches!(error, LinkError::Closed(_)), "{error}");
}

/// Each machine that has a serial port: the included model, and one over the line where there is room.
#[test]
fn every_machine_serves() {
    for board in ["m0", "m3", "m4", "m7", "m33", "rv32", "rv32imac"] {
        let port = format!("emulator:{board}");
        let small = small_model();
        let small = small.to_str().unwrap();
        for load in [&[][..], &["--load"]] {
            let command = [
                "device",
                "verify",
                small,
                "--port",
                &port,
                "--samples",
                "4",
                "--json",
            ];
            let outcome = bitspike(root(), &[&command[..], load].concat());
            assert_eq!(outcome.code, Some(0), "{board}: {outcome:#?}");
            let document: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
            assert_eq!(document["device"]["machine"], board);
            assert_eq!(document["device"]["differing_bits"], 0);
            assert_eq!(document["device"]["samples"], 4);
        }
    }
}

/// The client that was written from docs/protocol.md alone; none where there is no Python.
fn python_client(dir: &Path, arguments: &[&str]) -> Option<(Option<i32>, String)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/serial_client.py");
    let output = Command::new("python3")
        .arg(script)
        .args(arguments)
        .current_dir(dir)
        .output();
    let Ok(output) = output else {
        eprintln!("SKIPPED: python3 is not there, so tests/peers/serial_client.py did not run");
        return None;
    };
    let text = [output.stdout, output.stderr].concat();
    Some((
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}

#[test]
fn a_client_from_the_page_alone_drives_a_machine_and_finds_its_trace() {
    let dir = tempfile::tempdir().unwrap();
    let small = small_model();
    let small = small.to_str().unwrap();
    let picture: Vec<u8> = (0..36).map(|pixel| 7 * pixel).collect();
    let pictures = Idx::new(vec![1, 6, 6], picture).unwrap();
    pictures.write(&dir.path().join("pictures")).unwrap();
    let trace = ["trace", small, "--images", "pictures", "--json"];
    for (name, arguments) in [
        ("t.json", &trace[..]),
        ("m.json", &["inspect", small, "--json"]),
    ] {
        let outcome = bitspike(dir.path(), arguments);
        assert_eq!(outcome.code, Some(0), "{outcome:#?}");
        std::fs::write(dir.path().join(name), outcome.stdout).unwrap();
    }
    let machine = Machine::start("m3", &small_model());
    let arguments = [&machine.address, "--trace", "t.json", "--model", "m.json"];
    let Some((code, text)) = python_client(dir.path(), &arguments) else {
        return;
    };
    assert_eq!(code, Some(0), "{text}");
    let report: serde_json::Value = serde_json::from_str(&text).expect("one JSON document");
    assert_eq!(report["identity"]["board"], "m3");
    assert_eq!(report["identity"]["model"]["checksum"], model_words()[3]);
    assert_eq!(report["refused"], "SampleLength 2400000001000000");
    let model = model_words();
    let model = Model::new(&model).unwrap();
    let units: usize = model.layers().iter().map(|layer| layer.units()).sum();
    assert_eq!(report["compared"], 2 * units * model.steps() as usize);

    // It does compare: another trace is found.
    let path = dir.path().join("t.json");
    let mut trace: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let membrane = &mut trace["steps"][2]["layers"][1]["membrane"][3];
    *membrane = (membrane.as_i64().unwrap() + 1).into();
    std::fs::write(&path, trace.to_string()).unwrap();
    let (code, text) = python_client(dir.path(), &arguments).expect("it ran before");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("step 2, layer 1, neuron 3"), "{text}");
}

/// Wrong uses of `bitspike device` end with 2 and say what to do; a dead line ends with 1.
#[test]
fn the_command_names_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let small = small_model();
    let small = small.to_str().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("tcp:{}", silent.local_addr().unwrap());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let closed = format!("tcp:{}", closed.unwrap());
    std::fs::write(dir.path().join("large.bsnn"), vec![0; 3 << 20]).unwrap();
    let mut newer = file();
    newer[4] = 2;
    std::fs::write(dir.path().join("newer.bsnn"), newer).unwrap();
    let cases: [(&[&str], i32, &str); 8] = [
        (&["info", "--port", "/dev/nowhere"], 2, "/dev/nowhere"),
        (&["info", "--port", &closed], 2, "cannot reach"),
        (&["info", "--port", "emulator:m9"], 2, "m9"),
        (
            &["info", "--port", "emulator:m3", "--timeout", "0"],
            2,
            "--timeout",
        ),
        (
            &["load", "large.bsnn", "--port", "emulator:m3"],
            2,
            "it takes 3145728 bytes of memory, there are",
        ),
        (
            &["load", "newer.bsnn", "--port", "emulator:m3"],
            2,
            "format version 2",
        ),
        (
            &["monitor", small, "--port", "emulator:m3", "--layer", "3"],
            2,
            "the layers 0 to 2",
        ),
        (
            &["info", "--port", &silent, "--timeout", "0.3"],
            1,
            "does not answer `identify`",
        ),
    ];
    for (arguments, code, part) in cases {
        let outcome = bitspike(dir.path(), &[&["device"], arguments].concat());
        assert_eq!(outcome.code, Some(code), "{outcome:#?}");
        assert!(outcome.stderr.contains(part), "`{part}`: {outcome:#?}");
        assert_eq!(outcome.stdout, "", "{outcome:#?}");
    }
}

#[test]
fn the_monitor_prints_a_line_a_step() {
    let small = small_model();
    let small = small.to_str().unwrap();
    let picture = ["--layer", "0", "--samples", "2", "--width", "9"];
    let command = ["device", "monitor", small, "--port", "emulator:rv32"];
    let outcome = bitspike(root(), &[&command[..], &picture].concat());
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    // Two samples of four steps, each between its name and its decision.
    assert_eq!(lines.len(), 12, "{lines:#?}");
    assert!(lines[0].starts_with("sample 0: layer 0, 45 neurons, 5 a column"));
    assert!(lines[6].starts_with("sample 1"), "{lines:#?}");
    assert!(lines[11].starts_with("class "), "{lines:#?}");
    let words = model_words();
    let model = Model::new(&words).unwrap();
    let mut memory = vec![0; model.sizes().memory_words()];
    let mut network = Network::new(&model, &mut memory).unwrap();
    let samples = seeded_samples(&model, 2, 1);
    for (step, input) in samples[1].inputs(&model).unwrap().into_iter().enumerate() {
        network.step(input);
        let line = lines[7 + step];
        let raster = line.split('│').nth(1).expect("bars");
        assert_eq!(raster.chars().count(), 9, "{line}");
        let count = network.spikes(0).count();
        assert!(line.ends_with(&format!("│ {count}")), "{count}: {line}");
    }
}
