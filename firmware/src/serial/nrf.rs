//! The UART of Nordic's nRF51 (reference manual, chapter 29), which later chips still have.

use super::Serial;
use crate::register::Register;

/// Offsets of the registers.
mod at {
    pub(super) const START_RX: usize = 0x000;
    pub(super) const START_TX: usize = 0x008;
    pub(super) const RX_READY: usize = 0x108;
    pub(super) const TX_READY: usize = 0x11C;
    pub(super) const ENABLE: usize = 0x500;
    pub(super) const TX_PIN: usize = 0x50C;
    pub(super) const RX_PIN: usize = 0x514;
    pub(super) const RX: usize = 0x518;
    pub(super) const TX: usize = 0x51C;
    pub(super) const BAUD: usize = 0x524;
}

/// 115,200 baud in units of BAUDRATE.
const BAUD_115200: u32 = 0x01D7_E000;
/// The value of ENABLE for this UART.
const ENABLED: u32 = 4;

/// The UART.
#[derive(Debug)]
pub struct Nrf {
    rx_ready: Register<u32>,
    tx_ready: Register<u32>,
    rx: Register<u32>,
    tx: Register<u32>,
    /// Nothing has been sent yet: there is no event to wait for.
    idle: bool,
}

impl Nrf {
    /// Opens the one at an address, on these pins: 115,200 baud, 8 bits, no parity, one stop bit.
    ///
    /// # Safety
    /// There must be such a UART at `address`, and it and the pins must be free to use.
    pub(crate) unsafe fn open(address: usize, tx_pin: u32, rx_pin: u32) -> Self {
        // SAFETY: by this function's contract; none of the registers touches memory.
        let register = |offset| unsafe { Register::<u32>::at(address + offset) };
        for (offset, value) in [
            (at::TX_PIN, tx_pin),
            (at::RX_PIN, rx_pin),
            (at::BAUD, BAUD_115200),
            (at::ENABLE, ENABLED),
            (at::START_RX, 1),
            (at::START_TX, 1),
        ] {
            register(offset).write(value);
        }
        Self {
            rx_ready: register(at::RX_READY),
            tx_ready: register(at::TX_READY),
            rx: register(at::RX),
            tx: register(at::TX),
            idle: true,
        }
    }
}

impl Serial for Nrf {
    fn receive(&mut self) -> Option<u8> {
        while self.rx_ready.read() == 0 {}
        // Before the byte: reading it makes room for the next, whose event must not be lost.
        self.rx_ready.write(0);
        Some(self.rx.read() as u8)
    }

    fn send(&mut self, byte: u8) {
        if !self.idle {
            while self.tx_ready.read() == 0 {}
        }
        self.tx_ready.write(0);
        self.tx.write(byte.into());
        self.idle = false;
    }
}
