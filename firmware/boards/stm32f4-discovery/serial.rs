//! USART 2: the host's RX at PA2, its TX at PA3. The board's debug probe does not pass it on: a
//! USB-to-serial adapter does.

use crate::chosen::open_usart2;
use crate::serial::Stm32;

pub(crate) type Line = Stm32;

pub(crate) fn open() -> Line {
    let clock = open_usart2();
    // SAFETY: USART 2 is at this address, its clock is on, and nothing else uses it or the pins.
    unsafe { Stm32::open(0x4000_4400, clock) }
}
