//! The UART of the ESP32-C3 (technical reference manual, chapter 26), as its boot loader leaves it:
//! 115,200 baud, 8 bits, no parity, one stop bit.

use super::Serial;
use crate::register::Register;

/// Offset of the counts of bytes in both FIFOs.
const STATUS: usize = 0x1C;
/// Bytes that the FIFO to the host holds at most here; it has room for 128.
const ROOM: u32 = 120;

/// The UART.
#[derive(Debug)]
pub struct Esp32 {
    fifo: Register<u32>,
    status: Register<u32>,
}

impl Esp32 {
    /// The one at an address.
    ///
    /// # Safety
    /// There must be such a UART at `address`, and it must be free to use.
    pub(crate) const unsafe fn open(address: usize) -> Self {
        // SAFETY: by this function's contract; reading the FIFO takes a byte and touches no memory.
        unsafe {
            Self {
                fifo: Register::at(address),
                status: Register::at(address + STATUS),
            }
        }
    }
}

impl Serial for Esp32 {
    fn receive(&mut self) -> Option<u8> {
        while self.status.read() & 0x3FF == 0 {}
        Some(self.fifo.read() as u8)
    }

    fn send(&mut self, byte: u8) {
        while self.status.read() >> 16 & 0x3FF >= ROOM {}
        self.fifo.write(byte.into());
    }
}
