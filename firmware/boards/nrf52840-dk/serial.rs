//! UART 0 on the pins that the board's debug probe passes on over USB, P0.06 and P0.08.

use crate::serial::Nrf;

pub(crate) type Line = Nrf;

pub(crate) fn open() -> Line {
    // SAFETY: UART 0 is at this address, and nothing else uses it or the pins.
    unsafe { Nrf::open(0x4000_2000, 6, 8) }
}
