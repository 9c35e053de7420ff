//! The serial protocol between a host and a device that runs a network.
//!
//! docs/protocol.md is the page for other implementations; this crate is the one place of the
//! protocol for the firmware and the `bitspike` command. A [`frame`] is a number, a postcard
//! [`message`] and a CRC-32 in COBS; [`server`] is the device's side, which needs bytes in and
//! bytes out and nothing else of its machine.
//!
//! No heap, no unsafe code, and nothing that can panic on what a line may bring.
#![no_std]
#![forbid(unsafe_code)]

pub mod frame;
pub mod message;
pub mod server;
mod wire;

/// Version of the protocol: that of docs/protocol.md.
pub const PROTOCOL_VERSION: u16 = 2;

/// Most bytes of each text of a [crash](message::Crash).
pub const CRASH_BYTES: usize = 48;

/// Most bytes of a [piece](message::Request::Piece) or of [data](message::Answer::Data).
pub const PIECE_BYTES: usize = 192;
