//! docs/protocol.md: its frames and its lists are those of this crate.

use std::fs;
use std::path::Path;

use bitspike_link::frame::{Encoded, FRAME, Number, PAYLOAD, Reader, crc32, encode};
use bitspike_link::message::{
    Answer, Content, Identity, ModelIdentity, Part, Progress, Refusal, Request,
};
use bitspike_link::{CRASH_BYTES, PIECE_BYTES, PROTOCOL_VERSION};

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
    fs::read_to_string(path).expect("the page")
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.join(" ")
}

fn at(sequence: u16) -> Number {
    Number {
        session: 0x1234,
        sequence,
    }
}

/// The page's conversation: requests and answers with their frames.
fn conversation() -> Vec<(&'static str, Encoded)> {
    let request = |sequence, request| encode(at(sequence), &request).expect("it fits");
    let answer = |sequence, answer| encode(at(sequence), &answer).expect("it fits");
    let identity = Answer::Identity(Identity {
        protocol: 2,
        firmware: "0.1.0",
        board: "m3",
        model_format: 1,
        state_format: 1,
        memory_bytes: 2_097_152,
        free_bytes: 2_096_808,
        stack_bytes: 4436,
        stack_limit_bytes: 2_096_992,
        damaged_frames: 0,
        model: Some(ModelIdentity {
            checksum: 0x9BC3_7B62,
            file_bytes: 368,
            state_bytes: 344,
            sample_bytes: 36,
            packed: false,
            layers: 3,
            classes: 3,
            steps: 4,
            loaded: false,
            sample: false,
        }),
        transfer: None,
        crash: None,
    });
    let sample = [200; 36];
    vec![
        ("> Identify", request(0, Request::Identify)),
        ("< Identity", answer(0, identity)),
        (
            "> Begin",
            request(
                1,
                Request::Begin {
                    what: Content::Sample,
                    bytes: 36,
                    crc: crc32(&sample),
                },
            ),
        ),
        ("< Done", answer(1, Answer::Done)),
        (
            "> Piece",
            request(
                2,
                Request::Piece {
                    offset: 0,
                    bytes: &sample,
                },
            ),
        ),
        ("< Done", answer(2, Answer::Done)),
        ("> Step", request(3, Request::Step { steps: 1 })),
        ("< Refused", answer(3, Answer::Refused(Refusal::NoSample))),
    ]
}

#[test]
fn the_frames_of_the_page_are_those_of_this_crate() {
    let page = page();
    let frames = conversation();
    let lines: Vec<String> = frames
        .iter()
        .map(|(name, frame)| format!("{name:<11} {}", hex(frame)))
        .collect();
    for line in &lines {
        assert!(
            page.contains(line.as_str()),
            "the page should have\n{}",
            lines.join("\n")
        );
    }
    // Each is read, too.
    for (name, frame) in &frames {
        let mut reader = Reader::new();
        assert!(
            frame.iter().any(|byte| reader.feed(*byte).is_some()),
            "{name}"
        );
    }
}

/// The first byte of a message is the number of its variant, which the page gives beside its name.
#[test]
fn the_page_numbers_every_message_as_this_crate_does() {
    fn payload(message: &impl serde::Serialize) -> Vec<u8> {
        let mut buffer = [0; PAYLOAD];
        postcard::to_slice(message, &mut buffer)
            .expect("it fits")
            .to_vec()
    }
    let (what, crc, offset) = (Content::Model, 0, 0);
    let requests = [
        Request::Identify,
        Request::Begin {
            what,
            bytes: 0,
            crc,
        },
        Request::Piece { offset, bytes: &[] },
        Request::End,
        Request::Unload,
        Request::Reset,
        Request::Step { steps: 1 },
        Request::Run,
        Request::Decide,
        Request::Save,
        Request::Read {
            what: Part::State,
            offset,
            bytes: 1,
        },
        Request::Benchmark { runs: 1 },
    ];
    let (class, steps, confidence, hash, instructions) = (0, 0, 0, 0, 0);
    let answers = [
        Answer::Done,
        Answer::Stepped {
            steps,
            hash,
            instructions,
            last: false,
        },
        Answer::Ran {
            class,
            steps,
            confidence,
            hash,
            instructions,
        },
        Answer::Decided {
            class,
            steps,
            confidence,
        },
        Answer::Saved { bytes: 0 },
        Answer::Data { bytes: &[] },
        Answer::Benchmarked {
            instructions,
            steps,
        },
    ];
    let (expected, got, needed, free, reason) = (0, 0, 0, 0, "");
    let refusals = [
        Refusal::Unknown,
        Refusal::Session,
        Refusal::NoModel,
        Refusal::NoSample,
        Refusal::Memory { needed, free },
        Refusal::NoTransfer,
        Refusal::Offset { expected, got },
        Refusal::Cut { expected, got },
        Refusal::Checksum { expected, got },
        Refusal::Model { reason },
        Refusal::SampleLength { expected, got },
        Refusal::Sample { reason },
        Refusal::State { reason },
        Refusal::Range {
            available: 0,
            end: 0,
        },
        Refusal::Count,
    ];
    let page = page();
    let named = |debug: String, number: u8| {
        let name = debug
            .split(|c: char| !c.is_alphanumeric())
            .next()
            .unwrap_or_default();
        let row = format!("| {number} | `{name}` |");
        assert!(page.contains(&row), "the page should have the row {row}");
    };
    for (index, request) in requests.iter().enumerate() {
        assert_eq!(usize::from(payload(request)[0]), index);
        named(format!("{request:?}"), payload(request)[0]);
    }
    for (index, answer) in answers.iter().enumerate() {
        assert_eq!(usize::from(payload(answer)[0]), index + 1);
        named(format!("{answer:?}"), payload(answer)[0]);
    }
    named("Identity".into(), 0);
    named(
        "Refused".into(),
        payload(&Answer::Refused(Refusal::Count))[0],
    );
    for (index, refusal) in refusals.iter().enumerate() {
        assert_eq!(usize::from(payload(refusal)[0]), index);
        named(format!("{refusal:?}"), payload(refusal)[0]);
    }
    let progress = Progress {
        what: Content::State,
        bytes: 1,
        received: 0,
    };
    assert_eq!(payload(&progress), [2, 1, 0, 0, 0, 0, 0, 0, 0]);
    for (name, value) in [
        ("version ", usize::from(PROTOCOL_VERSION)),
        ("at most ", CRASH_BYTES),
        ("at most ", PIECE_BYTES),
        ("at most ", PAYLOAD),
        ("at most ", FRAME),
    ] {
        let text = format!("{name}{value}");
        assert!(page.contains(&text), "the page should say `{text}`");
    }
}
