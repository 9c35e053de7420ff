//! Who a device is, as the commands say it.

use bitspike_link::message::Identity;
use serde::Serialize;

/// Who a device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identified {
    /// The board's name.
    pub board: String,
    /// The version of its firmware.
    pub firmware: String,
    /// The version of the protocol.
    pub protocol: u16,
    /// The version of model files that it reads.
    pub model_format: u32,
    /// The version of saved states that it reads and writes.
    pub state_format: u32,
    /// Memory for a loaded model, the network's state, a sample and transfers.
    pub memory_bytes: u32,
    /// What is left of it.
    pub free_bytes: u32,
    /// Most stack used since the start.
    pub stack_bytes: u32,
    /// The room for it.
    pub stack_limit_bytes: u32,
    /// Frames that reached it damaged.
    pub damaged_frames: u32,
    /// Its model.
    pub model: Option<IdentifiedModel>,
    /// What ended the run of its firmware before this one, where a panic or a fault did.
    pub crash: Option<IdentifiedCrash>,
}

/// How a run of the firmware ended that did not end by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IdentifiedCrash {
    /// What happened, in the firmware's words.
    pub what: String,
    /// The end of the source file's path; empty for a fault of the processor.
    pub file: String,
    /// The line in it; for a fault the address of the instruction.
    pub line: u32,
}

impl std::fmt::Display for IdentifiedCrash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, file, line } = self;
        if file.is_empty() {
            write!(f, "a fault at address {line:#010x}: {what}")
        } else {
            write!(f, "a panic at {file}:{line}: {what}")
        }
    }
}

/// Which model a device uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct IdentifiedModel {
    /// CRC-32 of its file, as the file states.
    pub checksum: u32,
    /// Length of its file.
    pub file_bytes: u32,
    /// Memory of its state and a sample.
    pub state_bytes: u32,
    /// Bytes of a sample.
    pub sample_bytes: u32,
    /// Number of layers.
    pub layers: u8,
    /// Number of classes.
    pub classes: u16,
    /// Steps of a decision.
    pub steps: u32,
    /// Whether it came over the line.
    pub loaded: bool,
}

impl Identified {
    /// Before a device has said who it is.
    pub(super) fn nobody() -> Self {
        Self {
            board: String::new(),
            firmware: String::new(),
            protocol: 0,
            model_format: 0,
            state_format: 0,
            memory_bytes: 0,
            free_bytes: 0,
            stack_bytes: 0,
            stack_limit_bytes: 0,
            damaged_frames: 0,
            model: None,
            crash: None,
        }
    }

    /// Whether the stack may have met other data: then nothing that the device says can be relied on.
    pub fn stack_is_full(&self) -> bool {
        self.stack_bytes >= self.stack_limit_bytes
    }
}

impl From<Identity<'_>> for Identified {
    fn from(identity: Identity<'_>) -> Self {
        Self {
            board: identity.board.into(),
            firmware: identity.firmware.into(),
            protocol: identity.protocol,
            model_format: identity.model_format,
            state_format: identity.state_format,
            memory_bytes: identity.memory_bytes,
            free_bytes: identity.free_bytes,
            stack_bytes: identity.stack_bytes,
            stack_limit_bytes: identity.stack_limit_bytes,
            damaged_frames: identity.damaged_frames,
            model: identity.model.map(|model| IdentifiedModel {
                checksum: model.checksum,
                file_bytes: model.file_bytes,
                state_bytes: model.state_bytes,
                sample_bytes: model.sample_bytes,
                layers: model.layers,
                classes: model.classes,
                steps: model.steps,
                loaded: model.loaded,
            }),
            crash: identity.crash.map(|crash| IdentifiedCrash {
                what: crash.what.into(),
                file: crash.file.into(),
                line: crash.line,
            }),
        }
    }
}
