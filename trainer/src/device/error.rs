//! What can go wrong between host and device, by name.

use std::io;
use std::time::Duration;

use bitspike_core::model::{MAX_LAYERS, Model};
use bitspike_link::message::Refusal;

use super::Identified;
use crate::Error;

/// Names of requests that are refused in words of their own.
pub(super) const SAVE: &str = "save";
pub(super) const RESTORE: &str = "restore the state";

/// Why a device did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// No answer within the time-out, however often the request was sent.
    #[error(
        "the device does not answer `{request}` within {:.1} s ({sent} times sent, {damaged} damaged frames came); \
         does it run the firmware's `serve`, at {} baud?",
        .waited.as_secs_f64(),
        super::SERIAL_BAUD
    )]
    TimedOut {
        /// The request.
        request: &'static str,
        /// How long it was waited for.
        waited: Duration,
        /// How often it was sent.
        sent: u32,
        /// Frames that came and were damaged.
        damaged: u32,
    },
    /// The line is gone: a cable was pulled, a socket closed, an emulator ended.
    #[error("the line to the device is gone: {0}")]
    Closed(#[source] io::Error),
    /// The device speaks another version of the protocol.
    #[error("the device speaks version {device} of the protocol, this program version {host}")]
    Protocol {
        /// The device's version.
        device: u16,
        /// This program's version.
        host: u16,
    },
    /// The device has started anew, or another host has taken it over.
    #[error("the device has started anew, or another host has taken it over: begin again")]
    Session,
    /// The device refuses, and goes on serving.
    #[error("the device refuses `{request}`: {why}")]
    Refused {
        /// The request.
        request: &'static str,
        /// Why, by name.
        kind: Refused,
        /// Why, in words.
        why: String,
    },
    /// An answer arrived whole, and is none to the request.
    #[error("the device answers `{request}` with something else than the protocol says")]
    Garbled {
        /// The request.
        request: &'static str,
    },
    /// A request failed before: what the device did since is unknown.
    #[error("the line failed before: open it again")]
    Lost,
}

/// The kinds of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The device does not know the request.
    Unknown,
    /// It has no model.
    NoModel,
    /// It has no sample.
    NoSample,
    /// It has not enough memory.
    Memory,
    /// What was transferred is not complete or not right.
    Transfer,
    /// It does not accept the model.
    Model,
    /// It does not accept the sample.
    Sample,
    /// It does not accept the saved state.
    State,
    /// There is no such thing to read, or a number is out of range.
    Range,
}

impl LinkError {
    /// The error of a refusal.
    pub(crate) fn refused(request: &'static str, refusal: &Refusal<'_>) -> Self {
        let (kind, why) = match *refusal {
            Refusal::Session => return Self::Session,
            Refusal::Unknown => (Refused::Unknown, "it does not know this request".into()),
            Refusal::NoModel => (
                Refused::NoModel,
                "it has no model; `bitspike device load` brings one".into(),
            ),
            Refusal::NoSample => (Refused::NoSample, "no sample is loaded".into()),
            Refusal::Memory { needed, free } => {
                let way_out = match request {
                    SAVE | RESTORE => {
                        "; a saved state stands beside model, state and sample: there is more room with the model \
                         in the firmware, or on a board with more RAM"
                    }
                    _ => "; a board with more RAM holds it",
                };
                let sizes = format!("it takes {needed} bytes of memory, there are {free}");
                (Refused::Memory, sizes + way_out)
            }
            Refusal::NoTransfer => (Refused::Transfer, "no transfer has begun".into()),
            Refusal::Offset { expected, got } => (
                Refused::Transfer,
                format!("a piece starts at byte {got}, the transfer goes on at {expected}"),
            ),
            Refusal::Cut { expected, got } => (
                Refused::Transfer,
                format!("the transfer is cut: {got} bytes of {expected}"),
            ),
            Refusal::Checksum { expected, got } => (
                Refused::Transfer,
                format!("what has arrived has CRC-32 {got:#010x}, not {expected:#010x}"),
            ),
            Refusal::Model { reason } => (
                Refused::Model,
                format!("the model is not accepted: {reason}"),
            ),
            Refusal::SampleLength { expected, got } => (
                Refused::Sample,
                format!("the sample has {got} bytes, the device's model reads {expected}"),
            ),
            Refusal::Sample { reason } => (
                Refused::Sample,
                format!("the sample is not accepted: {reason}"),
            ),
            Refusal::State { reason } => (
                Refused::State,
                format!("the saved state is not accepted: {reason}"),
            ),
            Refusal::Range { available, end } => (
                Refused::Range,
                format!("there are {available} bytes to read, not {end}"),
            ),
            Refusal::Count => (Refused::Range, "a number is 0 or too large".into()),
        };
        Self::Refused { request, kind, why }
    }

    /// For a model that does not fit: what all of it takes, what the device has, and what to do.
    /// The device's own words where the file is none.
    pub(crate) fn with_room(self, file: &[u8], device: &Identified) -> Self {
        let Self::Refused {
            request,
            kind: Refused::Memory,
            why,
        } = self
        else {
            return self;
        };
        let kind = Refused::Memory;
        let words: Vec<u32> = file
            .as_chunks()
            .0
            .iter()
            .copied()
            .map(u32::from_le_bytes)
            .collect();
        let Ok(model) = Model::<MAX_LAYERS>::new(&words) else {
            return Self::Refused { request, kind, why };
        };
        let sizes = model.sizes();
        let state = 4 * sizes.memory_words();
        let sample = sizes.input_bytes.next_multiple_of(4);
        let (used, all) = (state + sample, file.len() + state + sample);
        let (memory, free) = (device.memory_bytes, device.free_bytes);
        let board = &device.board;
        let beside = if file.len() > free as usize {
            format!(", and {free} for the file while the model in its firmware is in use")
        } else {
            String::new()
        };
        let way_out = if used <= memory as usize {
            format!(
                "with the model in the firmware the file stays in flash, and {used} bytes do: \
                 `cargo xtask firmware {board} --bin serve --model FILE`, or `flash` in place of `firmware`"
            )
        } else {
            "`bitspike cost FILE` shows the boards that hold it".into()
        };
        let why = format!(
            "the model takes {all} bytes of memory ({} of the file, {state} of the network's state, {sample} of a \
             sample), there are {memory}{beside}; {way_out}",
            file.len(),
        );
        Self::Refused { request, kind, why }
    }

    /// The kind of refusal, where it is one.
    pub fn kind(&self) -> Option<Refused> {
        match self {
            Self::Refused { kind, .. } => Some(*kind),
            _ => None,
        }
    }
}

impl From<LinkError> for Error {
    fn from(error: LinkError) -> Self {
        let message = error.to_string();
        // Wrong input; what else goes wrong is the work's.
        match error.kind() {
            Some(
                Refused::Memory
                | Refused::Model
                | Refused::Sample
                | Refused::State
                | Refused::NoModel,
            ) => Self::usage(message),
            _ => Self::failed(message),
        }
    }
}
