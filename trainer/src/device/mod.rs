//! A device that runs the firmware's `serve`, over a serial port, a TCP socket or a pipe to an
//! emulator. docs/protocol.md is the protocol, the crate `bitspike-link` its frames and messages.

mod client;
mod error;
mod port;

pub use client::{Client, Identified, IdentifiedCrash, IdentifiedModel, Ran, Stepped, Timing};
pub use error::{LinkError, Refused};
pub use port::{Port, SERIAL_BAUD, open, serial_ports};
