//! What a program needs of the machine it runs on.

use bitspike_core::message::{Message, Piece};
use bitspike_link::message::Crash;
use embedded_hal::digital::OutputPin;

use crate::serial::Serial;

/// The host takes no more: there is nobody to work for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// Whether something was sent.
pub type Sent = Result<(), Gone>;

/// A machine with a host at the other end of a line.
///
/// # For implementers
/// Nothing here may block for ever while the host keeps its end open and sends what it promised.
pub trait Board: Sized {
    /// The short name of the board: `m0`.
    const NAME: &'static str;

    /// A pin that is high while a decision is computed, for an oscilloscope, a logic analyser or
    /// an LED.
    type Busy: OutputPin;

    /// The serial line to a host, for bytes.
    type Serial: Serial;

    /// Brings the machine up. Call it once, first. What ended the run before is told over the console,
    /// where a panic or a fault did; an emulator then ends.
    ///
    /// # Panics
    /// When it is called a second time.
    fn take() -> Self;

    /// As [`take`](Self::take), for a program that tells of a crash itself.
    ///
    /// # Panics
    /// When it is called a second time.
    fn take_to_serve() -> Self;

    /// What ended the run before this one, where a panic or a fault did.
    fn crash(&self) -> Option<Crash<'static>>;

    /// Sends text to the host; it arrives at the latest at a line's end.
    ///
    /// # Errors
    /// [`Gone`] where the host takes no more.
    fn send(&mut self, text: &str) -> Sent;

    /// Sends a message in pieces. `core::fmt` would take 10 KiB of flash.
    ///
    /// # Errors
    /// [`Gone`] where the host takes no more.
    fn send_all(&mut self, pieces: &[Piece<'_>]) -> Sent {
        pieces
            .iter()
            .try_for_each(|piece| piece.send(|part| self.send(part)))
    }

    /// Sends a message in pieces, and ends the line.
    ///
    /// # Errors
    /// [`Gone`] where the host takes no more.
    fn line(&mut self, pieces: &[Piece<'_>]) -> Sent {
        self.send_all(pieces)?;
        self.send("\n")
    }

    /// Fills `bytes` from the host; `false` where the host has closed its end before the first
    /// byte or in the middle.
    fn receive(&mut self, bytes: &mut [u8]) -> bool;

    /// Opens the serial line. Programs that talk text over the console leave it closed.
    fn open_serial(&mut self) -> Self::Serial;

    /// The pin that shows a computation.
    fn busy(&mut self) -> &mut Self::Busy;

    /// Instructions since some moment in the past, for differences.
    ///
    /// Instructions, not clock cycles: on an emulated machine each takes the same time, on a real
    /// one loads, branches and flash waits take longer. On Arm machines the count comes from a
    /// timer and is exact to one tick, 40 to 62.5 instructions.
    fn instructions(&mut self) -> u64;

    /// The processor that really runs this, as it says itself.
    fn processor(&self) -> Processor;

    /// Ends the program; the emulator ends with this code.
    fn exit(self, code: i32) -> !;
}

/// What a processor says of itself, beside what the board should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processor {
    /// The identification register: CPUID on Arm, misa on RISC-V.
    pub register: u32,
    /// Whether it is the processor of the board that the build is for.
    pub expected: bool,
}

/// Two words as sixteen digits.
pub fn hexadecimal_pair(value: u64) -> [Piece<'static>; 2] {
    [Piece::Hex((value >> 32) as u32), Piece::Hex(value as u32)]
}

/// A length or count as a piece of a message.
pub const fn number(value: usize) -> Piece<'static> {
    Piece::Number(value as i64)
}

/// Sends a line about what went wrong.
///
/// # Errors
/// [`Gone`] where the host takes no more.
#[inline(never)]
pub fn complain(board: &mut impl Board, what: &str, cause: Message) -> Sent {
    board.send(what)?;
    board.line(cause.pieces())
}
