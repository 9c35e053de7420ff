//! The images of real boards in Unicorn, an emulator of processors alone, held against `core`:
//! tests/boards/emulate.py says what that shows.
//!
//! `pip install -r tests/boards/requirements.txt && cargo test -p bitspike-tests --test boards -- --ignored`;
//! `cargo xtask test` runs them where Python has Unicorn, and says so where it has not.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use bitspike_core::hash::StateHash;
use bitspike_core::model::Model;
use bitspike_core::network::Network;
use bitspike_core::random::Xorshift32;
use bitspike_tests::device::{Finished, Firmware, read_model, root, small_model};

#[path = "../../stream/tests/motion/mod.rs"]
mod motion;

/// Both tests on each board, under a name of its own.
macro_rules! on_each_board {
    ($($module:ident $board:literal),* $(,)?) => {
        $(mod $module {
            #[test]
            #[ignore = "needs Unicorn: pip install -r tests/boards/requirements.txt"]
            fn decisions_equal_the_host() {
                super::decisions_equal_the_host($board);
            }

            #[test]
            #[ignore = "needs Unicorn: pip install -r tests/boards/requirements.txt"]
            fn a_sensor_at_its_pins_is_read_and_watched() {
                super::a_sensor_at_its_pins_is_read_and_watched($board);
            }
        })*
    };
}

on_each_board!(
    nrf52840_dk "nrf52840-dk",
    stm32f4_discovery "stm32f4-discovery",
    rp2040_pico "rp2040-pico",
    rp2350_pico2 "rp2350-pico2",
    esp32_c3 "esp32-c3",
);

/// What the board says, by RTT.
fn emulate(board: &str, elf: &Path, recording: Option<&Path>, input: &[u8]) -> Finished {
    let mut emulator = Command::new("python3")
        .arg(root().join("tests/boards/emulate.py"))
        .arg(board)
        .arg(elf)
        .args(recording)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut pipe = emulator.stdin.take().expect("standard input is piped");
    pipe.write_all(input).expect("it reads its input first");
    drop(pipe);
    let output = emulator.wait_with_output().expect("it ends");
    let (status, text) = (output.status, String::from_utf8(output.stdout));
    let output = text.expect("the board sends text");
    assert!(status.success(), "{board}: {output}");
    Finished { status, output }
}

/// `classify` on seeded pictures: decision and hash of every spike and membrane.
fn decisions_equal_the_host(board: &str) {
    let file = read_model(&small_model());
    let model = Model::new(&file).unwrap();
    let mut random = Xorshift32::new(1);
    let mut requests = Vec::new();
    let mut expected = Vec::new();
    let mut memory = vec![0; model.sizes().memory_words()];
    let mut network = Network::new(&model, &mut memory).unwrap();
    for density in 0..8 {
        let picture: Vec<u8> = (0..model.sizes().input_bytes)
            .map(|_| {
                if random.draw() % 8 < density {
                    random.draw() as u8
                } else {
                    0
                }
            })
            .collect();
        requests.push(b'H');
        requests.extend(&picture);
        let mut hash = StateHash::new();
        network.reset();
        for _ in 0..model.steps() {
            network.step(model.input(&picture).unwrap());
            hash.update(&network);
        }
        let class = network.decision().class.to_string();
        expected.push((class, format!("{:016x}", hash.finish())));
    }
    requests.push(b'Q');
    let firmware = Firmware::build(board, "classify", &small_model());
    let finished = emulate(board, &firmware.elf, None, &requests);
    let answers: Vec<_> = finished
        .lines("sample")
        .iter()
        .map(|answer| (answer["decision"].to_owned(), answer["hash"].to_owned()))
        .collect();
    assert_eq!(answers, expected, "{board}: {}", finished.output);
    assert_eq!(finished.lines("bitspike")[0]["board"], board);
    assert_eq!(finished.lines("end")[0]["samples"], "8");
}

/// `stream` with an accelerometer at the board's two pins, which plays the recording.
fn a_sensor_at_its_pins_is_read_and_watched(board: &str) {
    let model_path = root().join("stream/motion/motion.bsnn");
    let recording = root().join("stream/motion/recording.bin");
    let firmware = Firmware::build(board, "stream", &model_path);
    let finished = emulate(board, &firmware.elf, Some(&recording), b"");
    let windows: Vec<_> = finished
        .lines("window")
        .iter()
        .map(|window| (window["decision"].to_owned(), window["hash"].to_owned()))
        .collect();
    let file = motion::words(motion::MODEL);
    let expected: Vec<_> = motion::expected(&Model::new(&file).unwrap())
        .into_iter()
        .map(|(class, hash)| (class.to_string(), format!("{hash:016x}")))
        .collect();
    assert_eq!(windows, expected, "{board}: {}", finished.output);
}
