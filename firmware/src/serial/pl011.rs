//! Arm's PL011 (DDI 0183), the UART of the RP2040 and the RP2350.

use super::Serial;
use crate::register::Register;

/// Offsets of the registers.
mod at {
    pub(super) const DATA: usize = 0x00;
    pub(super) const FLAGS: usize = 0x18;
    pub(super) const BAUD: usize = 0x24;
    pub(super) const BAUD_FRACTION: usize = 0x28;
    pub(super) const LINE: usize = 0x2C;
    pub(super) const CONTROL: usize = 0x30;
}

/// FLAGS: nothing to read, no room to write.
const EMPTY: u32 = 1 << 4;
const FULL: u32 = 1 << 5;
/// LINE: 8 bits, FIFOs on.
const EIGHT_BITS: u32 = 0x70;
/// CONTROL: on, both directions.
const ON: u32 = 0x301;

/// The UART.
#[derive(Debug)]
pub struct Pl011 {
    data: Register<u32>,
    flags: Register<u32>,
}

impl Pl011 {
    /// Opens the one at an address, fed by a clock: 115,200 baud, 8 bits, no parity, one stop bit.
    ///
    /// # Safety
    /// There must be such a UART at `address`, out of reset, and it must be free to use.
    pub(crate) unsafe fn open(address: usize, clock: u32) -> Self {
        // SAFETY: by this function's contract; none of the registers touches memory.
        let register = |offset| unsafe { Register::<u32>::at(address + offset) };
        // Divisor in 64ths, rounded.
        let divisor = (clock * 4 + 115_200 / 2) / 115_200;
        for (offset, value) in [
            (at::BAUD, divisor / 64),
            (at::BAUD_FRACTION, divisor % 64),
            (at::LINE, EIGHT_BITS),
            (at::CONTROL, ON),
        ] {
            register(offset).write(value);
        }
        Self {
            data: register(at::DATA),
            flags: register(at::FLAGS),
        }
    }
}

impl Serial for Pl011 {
    fn receive(&mut self) -> Option<u8> {
        while self.flags.read() & EMPTY != 0 {}
        Some(self.data.read() as u8)
    }

    fn send(&mut self, byte: u8) {
        while self.flags.read() & FULL != 0 {}
        self.data.write(byte.into());
    }
}
