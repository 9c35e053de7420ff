//! A device that runs the firmware's `serve`, over a serial port, a TCP socket or a pipe to an
//! emulator. docs/protocol.md is the protocol, the crate `bitspike-link` its frames and messages.

mod client;
mod error;
mod identity;
mod port;

pub use client::{Client, Ran, Stepped, Timing};
pub use error::{LinkError, Refused};
pub use identity::{Identified, IdentifiedCrash, IdentifiedModel};
pub use port::{Port, SERIAL_BAUD, open, serial_ports};
