//! Serial lines: bytes to and from a host.
//!
//! A board's folder may have a file `serial.rs` with a type `Line` and a function `open`, which
//! takes one of the drivers here or its own.

#![allow(dead_code, reason = "a build is for one board, with one of these")]

mod cmsdk;
mod esp32;
mod nrf;
mod ns16550;
mod pl011;
mod stm32;

pub use cmsdk::Cmsdk;
pub use esp32::Esp32;
pub use nrf::Nrf;
pub use ns16550::Ns16550;
pub use pl011::Pl011;
pub use stm32::Stm32;

/// A serial line.
///
/// # For implementers
/// `receive` may wait for ever; `send` must not, whether or not somebody listens.
pub trait Serial {
    /// The next byte; `None` where there is no line any more.
    fn receive(&mut self) -> Option<u8>;

    /// Sends a byte.
    fn send(&mut self, byte: u8);
}
