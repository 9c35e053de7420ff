//! UART 0 of the RP2350: the host's RX at GP0 (the board's pin 1), its TX at GP1 (pin 2); a debugprobe has both.

use crate::chosen::CHIP;
use crate::serial::Pl011;

pub(crate) type Line = Pl011;

pub(crate) fn open() -> Line {
    CHIP.open_uart();
    // SAFETY: UART 0 is at this address, and nothing else uses it or the pins.
    unsafe { Pl011::open(0x4007_0000, 150_000_000) }
}
