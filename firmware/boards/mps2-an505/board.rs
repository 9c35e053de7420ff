//! Arm MPS2+ with the FPGA image AN505: Cortex-M33 at 20 MHz, 4 MiB of flash, 4 MiB of RAM.

use crate::machine::Facts;
use crate::register::{Register, RegisterBit};

pub(crate) const NAME: &str = "m33";

pub(crate) const FACTS: Facts = Facts {
    // Cortex-M33.
    part: 0xD21,
    // 50 ns a tick at 20 MHz.
    two_ticks: 100,
    start: || (),
};

/// The first user LED.
pub(crate) type BusyPin = RegisterBit<u32>;

impl BusyPin {
    pub(crate) fn claim() -> Self {
        // SAFETY: FPGAIO_LED0 by its secure address, which drives the user LEDs and nothing else.
        Self::new(unsafe { Register::at(0x5030_2000) }, 1)
    }
}
