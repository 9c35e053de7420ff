//! The UART that the board's USB interface passes on, pins P0.24 and P0.25.

use crate::serial::Nrf;

pub(crate) type Line = Nrf;

pub(crate) fn open() -> Line {
    // SAFETY: the nRF51's one UART is at this address, and nothing else uses it or the pins.
    unsafe { Nrf::open(0x4000_2000, 24, 25) }
}
