//! UART 0, which the board passes on over its USB port.

use crate::serial::Esp32;

pub(crate) type Line = Esp32;

pub(crate) fn open() -> Line {
    // SAFETY: UART 0 is at this address, and nothing else uses it after the boot loader.
    unsafe { Esp32::open(0x6000_0000) }
}
