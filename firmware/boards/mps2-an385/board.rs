//! Arm MPS2 with the FPGA image AN385: Cortex-M3 at 25 MHz, 4 MiB of flash, 4 MiB of RAM.

use crate::machine::Facts;
use crate::register::{Register, RegisterBit};

pub(crate) const NAME: &str = "m3";

pub(crate) const FACTS: Facts = Facts {
    // Cortex-M3.
    part: 0xC23,
    // 40 ns a tick at 25 MHz.
    two_ticks: 80,
    start: || (),
};

/// The first user LED.
pub(crate) type BusyPin = RegisterBit<u32>;

impl BusyPin {
    pub(crate) fn claim() -> Self {
        // SAFETY: FPGAIO_LED0, which drives the user LEDs and nothing else (AN385, section 4.5).
        Self::new(unsafe { Register::at(0x4002_8000) }, 1)
    }
}
