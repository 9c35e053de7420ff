//! The UART of Arm's CMSDK (DDI 0479D, section 4.3), which the MPS2 boards have.

use super::Serial;
use crate::register::Register;

/// In STATE: the transmit and the receive buffer, of one byte each, are full.
const TX_FULL: u32 = 1 << 0;
const RX_FULL: u32 = 1 << 1;
/// In CTRL: transmit and receive.
const ENABLE: u32 = 1 << 0 | 1 << 1;

/// The UART.
#[derive(Debug)]
pub struct Cmsdk {
    data: Register<u32>,
    state: Register<u32>,
}

impl Cmsdk {
    /// Opens the one at an address: 8 bits, no parity, one stop bit.
    ///
    /// # Safety
    /// There must be such a UART at `address`, which nothing else uses.
    pub(crate) unsafe fn open(address: usize, clock: u32, baud: u32) -> Self {
        // SAFETY: by this function's contract; DATA, STATE, CTRL and BAUDDIV touch no memory.
        let (data, state, mut control, mut divider) = unsafe {
            (
                Register::at(address),
                Register::at(address + 4),
                Register::at(address + 8),
                Register::at(address + 16),
            )
        };
        divider.write(clock / baud);
        control.write(ENABLE);
        Self { data, state }
    }
}

impl Serial for Cmsdk {
    fn receive(&mut self) -> Option<u8> {
        while self.state.read() & RX_FULL == 0 {}
        Some(self.data.read() as u8)
    }

    fn send(&mut self, byte: u8) {
        while self.state.read() & TX_FULL != 0 {}
        self.data.write(byte.into());
    }
}
