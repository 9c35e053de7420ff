//! Requests and answers, as postcard writes them. docs/protocol.md lists their numbers and fields.
//!
//! Numbers have a fixed width: postcard's own way of writing them holds checks that can panic, which
//! firmware must not, and readers in other languages have less to do. Lengths of bytes and text are
//! postcard's varints.
//!
//! The order of variants and fields is the protocol: a change needs another
//! [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION) and its page.

use serde::{Deserialize, Serialize};

/// What a host asks. A device answers each request once, and a repeated one as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Who are you? Opens a session, whatever there was before. Answer: [`Answer::Identity`].
    Identify,
    /// A transfer to the device begins; what was being transferred before is forgotten. A sample
    /// replaces the former one at once. Answer: [`Answer::Done`].
    Begin {
        /// What follows.
        what: Content,
        /// Its length in bytes.
        #[serde(with = "postcard::fixint::le")]
        bytes: u32,
        /// Its CRC-32.
        #[serde(with = "postcard::fixint::le")]
        crc: u32,
    },
    /// The next bytes of the transfer, at most [`PIECE_BYTES`](crate::PIECE_BYTES). Answer: `Done`.
    Piece {
        /// Where they stand: the bytes that came before.
        #[serde(with = "postcard::fixint::le")]
        offset: u32,
        /// The bytes.
        #[serde(borrow)]
        #[serde(serialize_with = "crate::wire::bytes")]
        bytes: &'a [u8],
    },
    /// The transfer is complete: the device checks it and takes it over, or stays as it was.
    /// Answer: `Done`.
    End,
    /// Forget a loaded model; the one in the firmware is in use again, at rest, without a sample.
    /// Answer: `Done`.
    Unload,
    /// The network rests. Answer: `Done`.
    Reset,
    /// Steps with the loaded sample from where the network is. Answer: [`Answer::Stepped`].
    Step {
        /// How many, at least 1.
        #[serde(with = "postcard::fixint::le")]
        steps: u32,
    },
    /// A decision on the loaded sample, from rest, over all of the model's steps. Answer:
    /// [`Answer::Ran`].
    Run,
    /// The decision after the steps so far. Answer: [`Answer::Decided`].
    Decide,
    /// Keeps the network's state in the device's free memory, to be [read](Request::Read). Answer:
    /// [`Answer::Saved`].
    Save,
    /// Bytes of what the network holds. Answer: [`Answer::Data`].
    Read {
        /// Of what.
        what: Part,
        /// The first byte.
        #[serde(with = "postcard::fixint::le")]
        offset: u32,
        /// How many, at most [`PIECE_BYTES`](crate::PIECE_BYTES).
        #[serde(with = "postcard::fixint::le")]
        bytes: u16,
    },
    /// Decides on the loaded sample several times, from rest, each time until the decision is
    /// final. Answer: [`Answer::Benchmarked`].
    Benchmark {
        /// How many times, at least 1.
        #[serde(with = "postcard::fixint::le")]
        runs: u16,
    },
}

/// What is transferred to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// A model file (docs/model-format.md), into memory.
    Model,
    /// One input: a byte a graded value, or little-endian words of 32 spikes each.
    Sample,
    /// A saved state (docs/state-format.md).
    State,
}

/// What can be read from a device, in little-endian words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// A layer's spikes of the last step: bit `i % 32` of word `i / 32`.
    Spikes {
        /// Index of the layer.
        layer: u8,
    },
    /// A layer's membranes after the last step: two `i16` a word, the first in the low half, or one
    /// `i32`.
    Membranes {
        /// Index of the layer.
        layer: u8,
    },
    /// The state that was [saved](Request::Save) last.
    State,
}

/// What a device answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer<'a> {
    /// Who it is.
    #[serde(borrow)]
    Identity(Identity<'a>),
    /// It is done.
    Done,
    /// Steps have been taken.
    Stepped {
        /// Steps since rest.
        #[serde(with = "postcard::fixint::le")]
        steps: u32,
        /// CRC-64/XZ over spikes and membranes of every layer after the last of them.
        #[serde(with = "postcard::fixint::le")]
        hash: u64,
        /// Instructions that they took.
        #[serde(with = "postcard::fixint::le")]
        instructions: u64,
        /// Whether further steps up to the model's cannot change the decision.
        last: bool,
    },
    /// A decision has been made.
    Ran {
        /// The class.
        #[serde(with = "postcard::fixint::le")]
        class: u16,
        /// Steps after which it was final.
        #[serde(with = "postcard::fixint::le")]
        steps: u32,
        /// Its confidence after all steps, an `f32` as bits.
        #[serde(with = "postcard::fixint::le")]
        confidence: u32,
        /// CRC-64/XZ over spikes and membranes of every layer after every step.
        #[serde(with = "postcard::fixint::le")]
        hash: u64,
        /// Instructions until it was final.
        #[serde(with = "postcard::fixint::le")]
        instructions: u64,
    },
    /// The decision after the steps so far.
    Decided {
        /// The class.
        #[serde(with = "postcard::fixint::le")]
        class: u16,
        /// Steps since rest.
        #[serde(with = "postcard::fixint::le")]
        steps: u32,
        /// Its confidence, an `f32` as bits.
        #[serde(with = "postcard::fixint::le")]
        confidence: u32,
    },
    /// The state is kept.
    Saved {
        /// Its length.
        #[serde(with = "postcard::fixint::le")]
        bytes: u32,
    },
    /// What was asked to be read.
    Data {
        /// The bytes.
        #[serde(serialize_with = "crate::wire::bytes")]
        bytes: &'a [u8],
    },
    /// The decisions have been made.
    Benchmarked {
        /// Instructions of all of them.
        #[serde(with = "postcard::fixint::le")]
        instructions: u64,
        /// Steps of all of them.
        #[serde(with = "postcard::fixint::le")]
        steps: u32,
    },
    /// It is not done, and nothing has changed but what the refusal says.
    Refused(Refusal<'a>),
}

/// Who a device is. The first field keeps its place in every version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity<'a> {
    /// The version of the protocol that it speaks.
    #[serde(with = "postcard::fixint::le")]
    pub protocol: u16,
    /// The version of its firmware.
    #[serde(serialize_with = "crate::wire::text")]
    pub firmware: &'a str,
    /// The board's name, as `cargo xtask firmware` knows it.
    #[serde(serialize_with = "crate::wire::text")]
    pub board: &'a str,
    /// The version of model files that it reads.
    #[serde(with = "postcard::fixint::le")]
    pub model_format: u32,
    /// The version of saved states that it reads and writes.
    #[serde(with = "postcard::fixint::le")]
    pub state_format: u32,
    /// Memory for a loaded model, the network's state, a sample and transfers.
    #[serde(with = "postcard::fixint::le")]
    pub memory_bytes: u32,
    /// What is left of it: the longest model file or state that it takes now.
    #[serde(with = "postcard::fixint::le")]
    pub free_bytes: u32,
    /// Most stack used since the start.
    #[serde(with = "postcard::fixint::le")]
    pub stack_bytes: u32,
    /// The room for it. Where all of it has been used, the stack may have met other data, and
    /// nothing that the device says can be relied on.
    #[serde(with = "postcard::fixint::le")]
    pub stack_limit_bytes: u32,
    /// Frames received so far that were damaged.
    #[serde(with = "postcard::fixint::le")]
    pub damaged_frames: u32,
    /// The model in use; none where the one in the firmware is damaged and none was loaded.
    pub model: Option<ModelIdentity>,
    /// A transfer that has begun and not ended.
    pub transfer: Option<Progress>,
    /// What ended the run before this one, where a panic or a fault did.
    pub crash: Option<Crash<'a>>,
}

/// How a run of the firmware ended that did not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crash<'a> {
    /// What happened, in words of at most [`CRASH_BYTES`](crate::CRASH_BYTES).
    #[serde(serialize_with = "crate::wire::text")]
    pub what: &'a str,
    /// The end of the source file's path, as long at most; empty for a fault of the processor.
    #[serde(serialize_with = "crate::wire::text")]
    pub file: &'a str,
    /// The line in it; for a fault the address of the instruction.
    #[serde(with = "postcard::fixint::le")]
    pub line: u32,
}

/// Which model a device uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelIdentity {
    /// CRC-32 that its file states.
    #[serde(with = "postcard::fixint::le")]
    pub checksum: u32,
    /// Length of its file.
    #[serde(with = "postcard::fixint::le")]
    pub file_bytes: u32,
    /// Memory of its state and one sample.
    #[serde(with = "postcard::fixint::le")]
    pub state_bytes: u32,
    /// Bytes of a sample.
    #[serde(with = "postcard::fixint::le")]
    pub sample_bytes: u32,
    /// Whether a sample is spikes or bipolar values, 32 a word, and not a byte a value.
    pub packed: bool,
    /// Number of layers.
    pub layers: u8,
    /// Number of classes.
    #[serde(with = "postcard::fixint::le")]
    pub classes: u16,
    /// Steps of a decision.
    #[serde(with = "postcard::fixint::le")]
    pub steps: u32,
    /// Whether it came over the line, and not with the firmware.
    pub loaded: bool,
    /// Whether a sample is loaded.
    pub sample: bool,
}

/// How far a transfer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is transferred.
    pub what: Content,
    /// Its length.
    #[serde(with = "postcard::fixint::le")]
    pub bytes: u32,
    /// Bytes that have arrived.
    #[serde(with = "postcard::fixint::le")]
    pub received: u32,
}

/// Why a device does not do what it is asked. It goes on serving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal<'a> {
    /// The payload is no request of this version.
    Unknown,
    /// The request is of a session that is not the device's: it has restarted, or another host has
    /// opened a session.
    Session,
    /// There is no model.
    NoModel,
    /// There is no sample.
    NoSample,
    /// There is not enough memory.
    Memory {
        /// Bytes that it takes.
        #[serde(with = "postcard::fixint::le")]
        needed: u32,
        /// Bytes that there are for it.
        #[serde(with = "postcard::fixint::le")]
        free: u32,
    },
    /// No transfer has begun.
    NoTransfer,
    /// A piece does not stand where the transfer goes on, or passes its end.
    Offset {
        /// Where the next one must start.
        #[serde(with = "postcard::fixint::le")]
        expected: u32,
        /// Where this one starts.
        #[serde(with = "postcard::fixint::le")]
        got: u32,
    },
    /// The transfer ends early; it can go on.
    Cut {
        /// Bytes that were announced.
        #[serde(with = "postcard::fixint::le")]
        expected: u32,
        /// Bytes that have arrived.
        #[serde(with = "postcard::fixint::le")]
        got: u32,
    },
    /// What has arrived is not what was announced.
    Checksum {
        /// CRC-32 that was announced.
        #[serde(with = "postcard::fixint::le")]
        expected: u32,
        /// CRC-32 of what has arrived.
        #[serde(with = "postcard::fixint::le")]
        got: u32,
    },
    /// The model file is not accepted; the former model stays in use.
    Model {
        /// Why, in words.
        #[serde(serialize_with = "crate::wire::text")]
        reason: &'a str,
    },
    /// The sample has not the length that the model reads.
    SampleLength {
        /// Bytes that the model reads.
        #[serde(with = "postcard::fixint::le")]
        expected: u32,
        /// Bytes that were announced.
        #[serde(with = "postcard::fixint::le")]
        got: u32,
    },
    /// The sample is not accepted; there is none now.
    Sample {
        /// Why, in words.
        #[serde(serialize_with = "crate::wire::text")]
        reason: &'a str,
    },
    /// The saved state is not accepted; the network is as it was.
    State {
        /// Why, in words.
        #[serde(serialize_with = "crate::wire::text")]
        reason: &'a str,
    },
    /// There is nothing to read: no such layer, no saved state, or bytes behind the end.
    Range {
        /// Bytes that there are.
        #[serde(with = "postcard::fixint::le")]
        available: u32,
        /// The first byte behind those that were asked for.
        #[serde(with = "postcard::fixint::le")]
        end: u32,
    },
    /// A number of steps, runs or bytes is 0 or too large.
    Count,
}
