//! The 16550 UART, which QEMU's RISC-V machine has, with registers one byte apart.

use super::Serial;
use crate::register::Register;

/// In the line status: a byte has come, the transmitter takes one.
const DATA_READY: u8 = 1 << 0;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
/// In the FIFO control: both FIFOs, cleared.
const FIFOS: u8 = 0b111;
/// In the line control: 8 bits, no parity, one stop bit; access to the divisor.
const EIGHT_BITS: u8 = 0b11;
const DIVISOR: u8 = 1 << 7;

/// The UART.
#[derive(Debug)]
pub struct Ns16550 {
    data: Register<u8>,
    status: Register<u8>,
}

impl Ns16550 {
    /// Opens the one at an address: 8 bits, no parity, one stop bit.
    ///
    /// # Safety
    /// There must be such a UART at `address`, which nothing else uses but its modem control.
    pub(crate) unsafe fn open(address: usize, clock: u32, baud: u32) -> Self {
        // SAFETY: by this function's contract; the registers touch no memory.
        let register = |offset| unsafe { Register::<u8>::at(address + offset) };
        let (mut data, mut interrupts) = (register(0), register(1));
        let (mut fifos, mut line) = (register(2), register(3));
        let divisor = (clock / 16 / baud) as u16;
        let [low, high] = divisor.to_le_bytes();
        line.write(DIVISOR);
        data.write(low);
        interrupts.write(high);
        line.write(EIGHT_BITS);
        interrupts.write(0);
        fifos.write(FIFOS);
        Self {
            data,
            status: register(5),
        }
    }
}

impl Serial for Ns16550 {
    fn receive(&mut self) -> Option<u8> {
        while self.status.read() & DATA_READY == 0 {}
        Some(self.data.read())
    }

    fn send(&mut self, byte: u8) {
        while self.status.read() & TRANSMITTER_EMPTY == 0 {}
        self.data.write(byte);
    }
}
