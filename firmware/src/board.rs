//! What a program needs of the machine it runs on.

use core::fmt;

use embedded_hal::digital::OutputPin;

/// A machine with a host at the other end of a line.
///
/// Text goes to the host by [`core::fmt::Write`]; it arrives at the latest at a line's end.
///
/// # For implementers
/// Nothing here may block for ever while the host keeps its end open and sends what it promised.
pub trait Board: fmt::Write + Sized {
    /// The short name of the board: `m0`.
    const NAME: &'static str;

    /// A pin that is high while a decision is computed, for an oscilloscope, a logic analyser or
    /// an LED.
    type Busy: OutputPin;

    /// Brings the machine up. Call it once, first.
    ///
    /// # Panics
    /// When it is called a second time.
    fn take() -> Self;

    /// Fills `bytes` from the host; `false` where the host has closed its end before the first
    /// byte or in the middle.
    fn receive(&mut self, bytes: &mut [u8]) -> bool;

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
