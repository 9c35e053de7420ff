//! Conversations that are damaged at random, on the line and under the CRC: nothing panics, what the
//! device sends stays whole frames of the protocol, and it goes on serving.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bitspike_core::model::{MAX_LAYERS, Sizes};
use bitspike_core::random::Xorshift32;
use bitspike_link::frame::{FRAME, Number, PAYLOAD, Reader, crc32, encode, encode_payload};
use bitspike_link::message::{Answer, Content, Crash, Part, Request};
use bitspike_link::server::{Machine, serve};

const FILE: &[u8] = include_bytes!("../../core/tests/models/v1-mixed.bsnn");

/// A machine that reads its input to the end.
struct Script<'a> {
    input: std::slice::Iter<'a, u8>,
    output: Vec<u8>,
}

impl Machine for Script<'_> {
    fn receive(&mut self) -> Option<u8> {
        self.input.next().copied()
    }
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.output.extend(bytes);
        true
    }
    fn board(&self) -> &'static str {
        "fuzz"
    }
    fn firmware(&self) -> &'static str {
        "0.0.0"
    }
    fn instructions(&mut self) -> u64 {
        0
    }
    fn stack_bytes(&self) -> (u32, u32) {
        (0, 1)
    }
    fn crash(&self) -> Option<Crash<'static>> {
        None
    }
}

fn payload(message: &impl serde::Serialize) -> Vec<u8> {
    let mut buffer = [0; PAYLOAD];
    let written = postcard::to_slice(message, &mut buffer).expect("a message fits a payload");
    written.to_vec()
}

fn transfer(what: Content, content: &[u8], requests: &mut Vec<Vec<u8>>) {
    let (bytes, crc) = (content.len() as u32, crc32(content));
    requests.push(payload(&Request::Begin { what, bytes, crc }));
    for (index, bytes) in content.chunks(100).enumerate() {
        let offset = 100 * index as u32;
        requests.push(payload(&Request::Piece { offset, bytes }));
    }
    requests.push(payload(&Request::End));
}

/// Every kind of request, in an order in which all of them are carried out.
fn sound() -> Vec<Vec<u8>> {
    let mut requests = vec![payload(&Request::Identify)];
    transfer(Content::Model, FILE, &mut requests);
    transfer(Content::Sample, &[200; 36], &mut requests);
    let read = |what| Request::Read {
        what,
        offset: 0,
        bytes: 4,
    };
    let rest = [
        Request::Step { steps: 2 },
        Request::Save,
        read(Part::State),
        read(Part::Spikes { layer: 0 }),
        read(Part::Membranes { layer: 1 }),
        Request::Decide,
        Request::Reset,
        Request::Run,
        Request::Benchmark { runs: 2 },
        Request::Unload,
        Request::Identify,
    ];
    requests.extend(rest.iter().map(payload));
    requests
}

/// Changes bytes, repeats and cuts pieces of at most `longest` bytes.
fn damage(random: &mut Xorshift32, bytes: &mut Vec<u8>, times: u32, longest: u32) {
    for _ in 0..times {
        if bytes.is_empty() {
            return;
        }
        let at = random.draw() as usize % bytes.len();
        let end = bytes.len().min(at + 1 + (random.draw() % longest) as usize);
        match random.draw() % 5 {
            0 => bytes[at] ^= 1 << (random.draw() % 8),
            1 => bytes[at] = random.draw() as u8,
            2 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][random.draw() as usize % 5],
            3 => drop(bytes.drain(at..end)),
            _ => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
}

/// A conversation of right frames: some left out, repeated, of another session, or damaged under
/// their CRC.
fn conversation(random: &mut Xorshift32, sound: &[Vec<u8>]) -> Vec<u8> {
    let mut input = Vec::new();
    let mut number = Number {
        session: 7,
        sequence: 0,
    };
    for request in sound {
        let mut request = request.clone();
        match random.draw() % 16 {
            0 => continue,
            1..4 => {
                let times = 1 + random.draw() % 3;
                damage(random, &mut request, times, 8);
            }
            4 => number.session ^= 1,
            5 => number.sequence = number.sequence.wrapping_add(random.draw() as u16 % 3),
            _ => {}
        }
        // Long computations are nothing to test here.
        match request.first() {
            Some(6) if request.len() == 5 => request[2..].fill(0),
            Some(11) if request.len() == 3 => request[2] = 0,
            _ => {}
        }
        request.truncate(PAYLOAD);
        let frame = encode_payload(number, &request).expect("it is no longer than a payload");
        let copies = if random.draw().is_multiple_of(16) {
            2
        } else {
            1
        };
        (0..copies).for_each(|_| input.extend(&frame));
        number.sequence = number.sequence.wrapping_add(1);
    }
    input
}

/// The device hears the conversation, and then who asks for it; the host hears its answers, damaged.
fn hear(random: &mut Xorshift32, mut input: Vec<u8>, included: &[u32]) {
    if random.draw().is_multiple_of(2) {
        let times = 1 + random.draw() % 8;
        damage(random, &mut input, times, 64);
    }
    // What is left of a broken frame ends with the 0.
    input.push(0);
    let last = Number {
        session: 99,
        sequence: 0,
    };
    input.extend(encode(last, &Request::Identify).expect("it fits"));
    let sizes = Sizes::of(included);
    let most = sizes.memory_words() + 9 + 2 * included.len() + 32;
    let words = [0, most / 2, most][random.draw() as usize % 3];
    let mut machine = Script {
        input: input.iter(),
        output: Vec::new(),
    };
    serve::<MAX_LAYERS>(&mut machine, &mut vec![random.draw(); words], included);

    let mut reader = Reader::new();
    let mut answered = None;
    let mut length = 0;
    for &byte in &machine.output {
        length += 1;
        assert!(length <= FRAME, "a frame of more than {FRAME} bytes");
        if byte == 0 {
            length = 0;
        }
        if let Some(frame) = reader.feed(byte) {
            let answer = postcard::from_bytes::<Answer<'_>>(frame.payload);
            answered = Some((frame.number, matches!(answer, Ok(Answer::Identity(_)))));
            assert!(
                answer.is_ok(),
                "an answer that cannot be read: {:x?}",
                frame.payload
            );
        }
    }
    assert_eq!((length, reader.damaged()), (0, 0), "no whole frame");
    assert_eq!(answered, Some((last, true)), "it does not serve any more");

    let mut output = machine.output;
    damage(random, &mut output, 4, 64);
    for &byte in &output {
        if let Some(frame) = reader.feed(byte) {
            let mut payload = frame.payload.to_vec();
            damage(random, &mut payload, 2, 8);
            // Refused or read.
            let _ = postcard::from_bytes::<Answer<'_>>(&payload);
        }
    }
}

/// Attacks with one conversation after another; how many there were.
fn attack(seed: u32, until: impl Fn(u32) -> bool) -> u32 {
    let sound = sound();
    let words = FILE.as_chunks().0.iter();
    let included: Vec<u32> = words.map(|word| u32::from_le_bytes(*word)).collect();
    let mut round = 0;
    while until(round) {
        // A generator for each, so that one can be had again alone.
        let random = &mut Xorshift32::new(seed.wrapping_add(round.wrapping_mul(0x9E37_79B9)));
        let input = conversation(random, &sound);
        hear(random, input, &included);
        round += 1;
    }
    round
}

#[test]
fn random_damage_never_stops_the_device() {
    attack(1, |rounds| rounds < 3000);
}

/// `BITSPIKE_FUZZ_SECONDS=300 cargo test -p bitspike-link --test fuzz -- --ignored --nocapture`
#[test]
#[ignore = "runs for as long as BITSPIKE_FUZZ_SECONDS says"]
fn fuzz_the_protocol() {
    let seconds = std::env::var("BITSPIKE_FUZZ_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(60);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = now.map_or(0, |now| now.as_nanos() as u32);
    let start = Instant::now();
    eprintln!("seed {seed}");
    let rounds = attack(seed, |_| start.elapsed() < Duration::from_secs(seconds));
    eprintln!("{rounds} damaged conversations in {seconds} s, seed {seed}");
}
