//! The USART of the STM32F4 (reference manual RM0090, chapter 30).

use super::Serial;
use crate::register::Register;

/// Offsets of the registers.
mod at {
    pub(super) const STATUS: usize = 0x00;
    pub(super) const DATA: usize = 0x04;
    pub(super) const BAUD: usize = 0x08;
    pub(super) const CONTROL: usize = 0x0C;
}

/// STATUS: a byte has come, there is room for one.
const RECEIVED: u32 = 1 << 5;
const ROOM: u32 = 1 << 7;
/// CONTROL: on, both directions.
const ON: u32 = 1 << 13 | 1 << 3 | 1 << 2;

/// The USART.
#[derive(Debug)]
pub struct Stm32 {
    status: Register<u32>,
    data: Register<u32>,
}

impl Stm32 {
    /// Opens the one at an address, fed by a clock: 115,200 baud, 8 bits, no parity, one stop bit.
    ///
    /// # Safety
    /// There must be such a USART at `address`, with its clock on, and it must be free to use.
    pub(crate) unsafe fn open(address: usize, clock: u32) -> Self {
        // SAFETY: by this function's contract; none of the registers touches memory.
        let register = |offset| unsafe { Register::<u32>::at(address + offset) };
        register(at::BAUD).write((clock + 115_200 / 2) / 115_200);
        register(at::CONTROL).write(ON);
        Self {
            status: register(at::STATUS),
            data: register(at::DATA),
        }
    }
}

impl Serial for Stm32 {
    fn receive(&mut self) -> Option<u8> {
        while self.status.read() & RECEIVED == 0 {}
        Some(self.data.read() as u8)
    }

    fn send(&mut self, byte: u8) {
        while self.status.read() & ROOM == 0 {}
        self.data.write(byte.into());
    }
}
