//! The device's side, driven by frames alone: numbers, transfers, refusals, hostile requests.

use std::collections::VecDeque;

use bitspike_core::hash::StateHash;
use bitspike_core::model::{MAX_LAYERS, Model, Sizes};
use bitspike_core::network::Network;
use bitspike_link::frame::{Number, Reader, crc32, encode, encode_payload};
use bitspike_link::message::{Answer, Content, Crash, Part, Refusal, Request};
use bitspike_link::server::{Machine, serve};
use bitspike_link::{CRASH_BYTES, PIECE_BYTES, PROTOCOL_VERSION};
use proptest::prelude::*;

/// The small model that the tests of core share: 36 bytes of input, 4 steps, 3 classes.
const FILE: &[u8] = include_bytes!("../../core/tests/models/v1-mixed.bsnn");

fn included() -> Vec<u32> {
    let words = FILE.as_chunks().0.iter();
    words.map(|word| u32::from_le_bytes(*word)).collect()
}

/// The longest record that there is.
const CRASH: Option<Crash<'static>> = Some(Crash {
    what: "index out of bounds: the len is 12 but it is 123",
    file: "a/path/of/which/only/the/end/is/kept/src/main.rs",
    line: u32::MAX,
});

/// A machine that reads a script and ends with it.
struct Script {
    input: VecDeque<u8>,
    output: Vec<u8>,
    clock: u64,
}

impl Machine for Script {
    fn receive(&mut self) -> Option<u8> {
        self.input.pop_front()
    }
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.output.extend(bytes);
        true
    }
    fn board(&self) -> &'static str {
        "script"
    }
    fn firmware(&self) -> &'static str {
        "1.2.3"
    }
    fn instructions(&mut self) -> u64 {
        self.clock += 10;
        self.clock
    }
    fn stack_bytes(&self) -> (u32, u32) {
        (77, 100)
    }
    fn crash(&self) -> Option<Crash<'static>> {
        CRASH
    }
}

/// What the device answers to bytes, in `memory` words, with an included model.
fn raw(input: Vec<u8>, words: usize, model: &[u32]) -> Vec<(Number, Vec<u8>)> {
    let mut machine = Script {
        input: input.into(),
        output: Vec::new(),
        clock: 0,
    };
    // What was in memory before must not matter.
    serve::<MAX_LAYERS>(&mut machine, &mut vec![0xDEAD_BEEF; words], model);
    let mut reader = Reader::new();
    let frames = machine.output.iter().filter_map(|&byte| {
        let frame = reader.feed(byte)?;
        Some((frame.number, frame.payload.to_vec()))
    });
    let frames = frames.collect();
    assert_eq!(reader.damaged(), 0, "the device sends whole frames alone");
    frames
}

/// One session's requests after `Identify`, in order, and each one's answer given to `check`.
fn ask(words: usize, requests: &[Request<'_>], check: impl Fn(usize, Answer<'_>)) {
    let all = [&[Request::Identify], requests].concat();
    let bytes = all.iter().enumerate().flat_map(|(index, request)| {
        encode(at(index as u16), request).expect("a request fits a frame")
    });
    let answers = raw(bytes.collect(), words, &included());
    assert_eq!(answers.len(), all.len(), "one answer a request");
    for (index, (number, payload)) in answers.iter().enumerate() {
        assert_eq!(*number, at(index as u16));
        let answer = postcard::from_bytes(payload).expect("an answer");
        if let Some(index) = index.checked_sub(1) {
            check(index, answer);
        } else {
            assert!(matches!(answer, Answer::Identity(_)), "{answer:?}");
        }
    }
}

fn at(sequence: u16) -> Number {
    Number {
        session: 5,
        sequence,
    }
}

/// Enough for the network, a sample and the model once more.
fn room() -> usize {
    let sizes = Sizes::of(&included());
    sizes.memory_words() + 9 + 2 * FILE.len() / 4 + 64
}

/// A transfer in pieces of `size` bytes.
fn transfer(what: Content, content: &[u8], size: usize) -> Vec<Request<'_>> {
    let mut requests = vec![Request::Begin {
        what,
        bytes: content.len() as u32,
        crc: crc32(content),
    }];
    let pieces = content.chunks(size).enumerate();
    requests.extend(pieces.map(|(index, bytes)| Request::Piece {
        offset: (index * size) as u32,
        bytes,
    }));
    requests.push(Request::End);
    requests
}

const SAMPLE: [u8; 36] = [200; 36];

#[test]
fn the_longest_identity_fits_a_frame_and_says_what_ended_the_last_run() {
    struct Longest(Script);
    impl Machine for Longest {
        fn receive(&mut self) -> Option<u8> {
            self.0.receive()
        }
        fn send(&mut self, bytes: &[u8]) -> bool {
            self.0.send(bytes)
        }
        fn board(&self) -> &'static str {
            "stm32f4-discovery-and-more"
        }
        fn firmware(&self) -> &'static str {
            "10.20.300-alpha.1"
        }
        fn instructions(&mut self) -> u64 {
            0
        }
        fn stack_bytes(&self) -> (u32, u32) {
            (1, 2)
        }
        fn crash(&self) -> Option<Crash<'static>> {
            CRASH
        }
    }
    let crash = CRASH.unwrap();
    assert_eq!(
        (crash.what.len(), crash.file.len()),
        (CRASH_BYTES, CRASH_BYTES)
    );
    let begin = Request::Begin {
        what: Content::Sample,
        bytes: 36,
        crc: 0,
    };
    let requests = [Request::Identify, begin, Request::Identify];
    let input = requests.iter().enumerate();
    let input = input.flat_map(|(index, request)| encode(at(index as u16), request).unwrap());
    let mut machine = Longest(Script {
        input: input.collect(),
        output: Vec::new(),
        clock: 0,
    });
    serve::<MAX_LAYERS>(&mut machine, &mut vec![0; room()], &included());
    let mut reader = Reader::new();
    let mut identities = 0;
    for byte in machine.0.output {
        if let Some(frame) = reader.feed(byte)
            && let Ok(Answer::Identity(identity)) = postcard::from_bytes(frame.payload)
        {
            assert_eq!(identity.crash, CRASH);
            identities += 1;
        }
    }
    // The second one has a model and a transfer too.
    assert_eq!(identities, 2);
}

#[test]
fn a_run_equals_the_host() {
    let words = included();
    let model = Model::new(&words).unwrap();
    let mut memory = vec![0; model.sizes().memory_words()];
    let mut network = Network::new(&model, &mut memory).unwrap();
    let mut whole = StateHash::new();
    let mut hashes = Vec::new();
    for _ in 0..model.steps() {
        network.step(model.input(&SAMPLE).unwrap());
        whole.update(&network);
        let mut hash = StateHash::new();
        hash.update(&network);
        hashes.push(hash.finish());
    }
    let expected = whole.finish();
    let membranes: Vec<u8> = bytemuck::cast_slice(network.membrane_words(0)).to_vec();

    let mut requests = transfer(Content::Sample, &SAMPLE, 10);
    let run = requests.len();
    requests.push(Request::Run);
    let read = Request::Read {
        what: Part::Membranes { layer: 0 },
        offset: 0,
        bytes: membranes.len().min(PIECE_BYTES) as u16,
    };
    requests.extend([read, Request::Decide, Request::Reset]);
    requests.extend([Request::Step { steps: 1 }; 4]);
    requests.push(Request::Benchmark { runs: 3 });
    ask(room(), &requests, |index, answer| {
        match index.wrapping_sub(run) {
            0 => match answer {
                Answer::Ran {
                    class,
                    hash,
                    confidence,
                    instructions,
                    ..
                } => {
                    assert_eq!(usize::from(class), network.decision().class);
                    assert_eq!(hash, expected);
                    assert_eq!(confidence, network.confidence().to_bits());
                    assert_eq!(instructions, 10);
                }
                other => panic!("{other:?}"),
            },
            1 => assert_eq!(
                answer,
                Answer::Data {
                    bytes: &membranes[..membranes.len().min(PIECE_BYTES)]
                }
            ),
            2 => assert!(
                matches!(answer, Answer::Decided { steps: 4, .. }),
                "{answer:?}"
            ),
            step @ 4..8 => match answer {
                Answer::Stepped { steps, hash, .. } => {
                    assert_eq!((steps as usize, hash), (step - 3, hashes[step - 4]));
                }
                other => panic!("{other:?}"),
            },
            8 => assert!(matches!(answer, Answer::Benchmarked { .. }), "{answer:?}"),
            _ => assert_eq!(answer, Answer::Done),
        }
    });
}

#[test]
fn a_repeated_request_is_not_carried_out_again_and_an_old_one_not_at_all() {
    let mut input = Vec::new();
    let mut send = |sequence: u16, request: Request<'_>| {
        input.extend(encode(at(sequence), &request).unwrap());
    };
    send(0, Request::Identify);
    for (index, request) in transfer(Content::Sample, &SAMPLE, 36)
        .into_iter()
        .enumerate()
    {
        send(1 + index as u16, request);
    }
    for _ in 0..3 {
        send(4, Request::Step { steps: 1 });
    }
    // From before, delayed.
    send(2, transfer(Content::Sample, &SAMPLE, 36)[1]);
    send(0, Request::Identify);
    // One from the future belongs to no request that was answered.
    send(9, Request::Reset);
    send(5, Request::Step { steps: 1 });
    let answers = raw(input, room(), &included());
    let numbers: Vec<u16> = answers.iter().map(|(number, _)| number.sequence).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 4, 4, 5]);
    assert_eq!(answers[4], answers[5]);
    assert_eq!(answers[4], answers[6]);
    let steps = |payload: &[u8]| match postcard::from_bytes(payload) {
        Ok(Answer::Stepped { steps, .. }) => steps,
        other => panic!("{other:?}"),
    };
    assert_eq!((steps(&answers[4].1), steps(&answers[7].1)), (1, 2));
}

#[test]
fn a_session_that_is_not_open_is_told_so_and_the_open_one_goes_on() {
    let other = Number {
        session: 6,
        sequence: 1,
    };
    let mut input = Vec::new();
    let mut send = |number: Number, request: Request<'_>| {
        input.extend(encode(number, &request).unwrap());
    };
    send(other, Request::Reset);
    send(at(0), Request::Identify);
    send(other, Request::Reset);
    send(at(0), Request::Identify);
    send(at(1), Request::Reset);
    let answers = raw(input, room(), &included());
    let refused = |payload: &[u8]| {
        postcard::from_bytes::<Answer<'_>>(payload) == Ok(Answer::Refused(Refusal::Session))
    };
    assert!(refused(&answers[0].1) && refused(&answers[2].1));
    assert_eq!((answers[0].0, answers[2].0), (other, other));
    assert_eq!(answers[1], answers[3]);
    assert_eq!(answers[4].0, at(1));
}

#[test]
fn the_sequence_wraps() {
    let mut input = Vec::new();
    for sequence in [65_534, 65_535, 0, 1] {
        let request = if sequence == 65_534 {
            Request::Identify
        } else {
            Request::Reset
        };
        input.extend(encode(at(sequence), &request).unwrap());
    }
    assert_eq!(raw(input, room(), &included()).len(), 4);
}

#[test]
fn a_model_is_loaded_used_and_unloaded() {
    let mut requests = transfer(Content::Model, FILE, PIECE_BYTES);
    requests.push(Request::Identify);
    let loaded = requests.len();
    requests.extend(transfer(Content::Sample, &SAMPLE, 36));
    requests.push(Request::Run);
    let ran = requests.len();
    requests.extend([Request::Unload, Request::Identify]);
    let count = requests.len();
    ask(room(), &requests, |index, answer| {
        match (index + 1, answer) {
            (at, Answer::Identity(identity)) => {
                assert_eq!(identity.protocol, PROTOCOL_VERSION);
                assert_eq!((identity.board, identity.firmware), ("script", "1.2.3"));
                assert_eq!(identity.memory_bytes as usize, 4 * room());
                let model = identity.model.expect("a model");
                assert_eq!(model.checksum, included()[3]);
                assert_eq!((model.loaded, model.sample), (at == loaded, false));
                let taken = if model.loaded { FILE.len() } else { 0 };
                assert_eq!(
                    identity.free_bytes as usize,
                    4 * room() - taken - model.state_bytes as usize
                );
                assert!(at == loaded || at == count);
            }
            (at, answer) if at == ran => {
                assert!(matches!(answer, Answer::Ran { .. }), "{answer:?}")
            }
            (_, answer) => assert_eq!(answer, Answer::Done),
        }
    });
}

#[test]
fn what_is_wrong_with_a_transfer_is_named_and_the_former_model_stays() {
    let mut damaged = FILE.to_vec();
    damaged[100] ^= 1;
    let mut newer = FILE.to_vec();
    newer[4] = 2;
    let begin = |what, bytes, crc| Request::Begin { what, bytes, crc };
    let cases: Vec<(Vec<Request<'_>>, &str)> = vec![
        (transfer(Content::Model, &damaged, 100), "checksum"),
        (transfer(Content::Model, &newer, 100), "version 2"),
        (
            vec![begin(Content::Model, 1 << 20, 0)],
            "Memory { needed: 1048576",
        ),
        (vec![begin(Content::Model, u32::MAX, 0)], "Memory"),
        (vec![begin(Content::Model, 7, 0)], "multiple of 4"),
        (
            vec![begin(Content::Sample, 35, 0)],
            "SampleLength { expected: 36, got: 35 }",
        ),
        (
            vec![begin(Content::Sample, 36, 0), Request::End],
            "Cut { expected: 36, got: 0 }",
        ),
        (vec![Request::End], "NoTransfer"),
        (
            vec![Request::Piece {
                offset: 0,
                bytes: &[1],
            }],
            "NoTransfer",
        ),
        (
            vec![
                begin(Content::Sample, 36, 0),
                Request::Piece {
                    offset: 1,
                    bytes: &[1],
                },
            ],
            "Offset { expected: 0, got: 1 }",
        ),
        (
            vec![
                begin(Content::Sample, 36, 0),
                Request::Piece {
                    offset: 0,
                    bytes: &[1; 37],
                },
            ],
            "Offset",
        ),
        (
            vec![
                begin(Content::Sample, 36, 0),
                Request::Piece {
                    offset: u32::MAX,
                    bytes: &[1; 37],
                },
            ],
            "Offset",
        ),
        (
            vec![
                begin(Content::Sample, 36, 0),
                Request::Piece {
                    offset: 0,
                    bytes: &SAMPLE,
                },
                Request::End,
            ],
            "Checksum { expected: 0",
        ),
        (transfer(Content::State, &[7; 24], 24), "not a saved state"),
        (vec![begin(Content::State, 4 * room() as u32, 0)], "Memory"),
        (vec![Request::Run], "NoSample"),
        (vec![Request::Step { steps: 0 }], "Count"),
        (vec![Request::Step { steps: 65_537 }], "Count"),
        (vec![Request::Benchmark { runs: 0 }], "Count"),
        (
            vec![Request::Read {
                what: Part::Spikes { layer: 200 },
                offset: 0,
                bytes: 4,
            }],
            "Range { available: 0, end: 4 }",
        ),
        (
            vec![Request::Read {
                what: Part::State,
                offset: u32::MAX,
                bytes: 192,
            }],
            "Range",
        ),
        (
            vec![Request::Read {
                what: Part::State,
                offset: 0,
                bytes: 193,
            }],
            "Count",
        ),
    ];
    for (mut requests, expected) in cases {
        let refused = requests.len() - 1;
        requests.push(Request::Identify);
        ask(room(), &requests, |index, answer| match answer {
            Answer::Refused(refusal) => {
                assert_eq!(index, refused, "{refusal:?}");
                let said = format!("{refusal:?}");
                assert!(said.contains(expected), "`{expected}` is not in `{said}`");
            }
            Answer::Identity(identity) => {
                let model = identity.model.expect("the former model");
                assert_eq!((model.checksum, model.loaded), (included()[3], false));
            }
            Answer::Done => assert!(index < refused, "{expected} is not refused"),
            other => panic!("{other:?}"),
        });
    }
}

#[test]
fn a_state_moves_to_another_device() {
    let sizes = Sizes::of(&included());
    let saved_bytes = 4 * sizes.saved_words();
    let mut requests = transfer(Content::Sample, &SAMPLE, 36);
    requests.extend([Request::Step { steps: 2 }, Request::Save]);
    let first_read = requests.len();
    // What is there at most; reads behind the true end are refused by size.
    requests.extend((0..saved_bytes / 4).map(|word| Request::Read {
        what: Part::State,
        offset: 4 * word as u32,
        bytes: 4,
    }));
    let step = requests.len();
    requests.push(Request::Step { steps: 1 });
    let (saved, third) = (std::cell::RefCell::new(Vec::new()), std::cell::Cell::new(0));
    ask(room(), &requests, |index, answer| match answer {
        Answer::Data { bytes } => saved.borrow_mut().extend(bytes),
        Answer::Stepped { hash, .. } if index == step => third.set(hash),
        Answer::Saved { bytes } => assert!(bytes as usize <= saved_bytes),
        Answer::Refused(Refusal::Range { .. }) => assert!(index > first_read),
        _ => {}
    });
    let saved = saved.into_inner();
    let mut requests = transfer(Content::Sample, &SAMPLE, 36);
    requests.extend(transfer(Content::State, &saved, 50));
    let step = requests.len();
    requests.push(Request::Step { steps: 1 });
    ask(room(), &requests, |index, answer| match answer {
        Answer::Stepped { steps, hash, .. } => {
            assert_eq!((index, steps, hash), (step, 3, third.get()))
        }
        other => assert_eq!(other, Answer::Done),
    });
}

#[test]
fn a_device_whose_model_is_damaged_says_so_and_takes_another() {
    let mut damaged = included();
    damaged[40] ^= 1;
    let mut requests = vec![Request::Identify, Request::Run, Request::Decide];
    requests.extend(transfer(Content::Model, FILE, 192));
    requests.push(Request::Identify);
    let bytes = requests
        .iter()
        .enumerate()
        .flat_map(|(index, request)| encode(at(index as u16), request).unwrap());
    let answers = raw(bytes.collect(), room(), &damaged);
    let has_model = |payload: &[u8]| match postcard::from_bytes(payload) {
        Ok(Answer::Identity(identity)) => identity.model.is_some(),
        other => panic!("{other:?}"),
    };
    assert!(!has_model(&answers[0].1));
    for refused in &answers[1..3] {
        assert_eq!(
            postcard::from_bytes(&refused.1),
            Ok(Answer::Refused(Refusal::NoModel))
        );
    }
    assert!(has_model(&answers.last().unwrap().1));
}

/// Requests as postcard writes them, of any values.
fn any_request() -> impl Strategy<Value = Vec<u8>> {
    let tail = prop::collection::vec(prop_oneof![0..4u8, any::<u8>()], 0..20);
    (0..14u8, tail).prop_map(|(tag, tail)| [vec![tag], tail].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Right frames with any payload: one answer each, no panic, and the device goes on serving.
    #[test]
    fn hostile_requests_are_answered(
        payloads in prop::collection::vec(any_request(), 1..40),
        words in prop_oneof![Just(0), 0..room(), Just(room())],
    ) {
        let mut input = encode(at(0), &Request::Identify).unwrap().to_vec();
        for (index, payload) in payloads.iter().enumerate() {
            // Long computations are nothing to test here.
            let payload = match payload[..] {
                [6, ..] => &[6, 1, 0, 0, 0][..],
                [11, ..] => &[11, 1, 0],
                _ => &payload[..],
            };
            input.extend(encode_payload(at(1 + index as u16), payload).unwrap());
        }
        let last = at(1 + payloads.len() as u16);
        input.extend(encode(last, &Request::Identify).unwrap());
        let answers = raw(input, words, &included());
        prop_assert_eq!(answers.len(), payloads.len() + 2);
        for (_, payload) in &answers {
            prop_assert!(postcard::from_bytes::<Answer<'_>>(payload).is_ok());
        }
        let identity = postcard::from_bytes(&answers.last().unwrap().1);
        prop_assert!(matches!(identity, Ok(Answer::Identity(_))), "{identity:?}");
    }
}
