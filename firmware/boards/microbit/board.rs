//! BBC micro:bit: nRF51822, Cortex-M0 at 16 MHz, 256 KiB of flash, 16 KiB of RAM.

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin};

use crate::machine::Facts;
use crate::register::Register;

pub(crate) const NAME: &str = "m0";

pub(crate) const FACTS: Facts = Facts {
    // Cortex-M0.
    part: 0xC20,
    // 62.5 ns a tick at 16 MHz.
    two_ticks: 125,
    start: || (),
};

/// Row 1 of the LED matrix, pin P0.13: its LEDs light up where a column pulls them low.
#[derive(Debug)]
pub struct BusyPin {
    set: Register<u32>,
    clear: Register<u32>,
}

impl BusyPin {
    const MASK: u32 = 1 << 13;

    pub(crate) fn claim() -> Self {
        // SAFETY: OUTSET, OUTCLR and DIRSET of the nRF51's GPIO (reference manual, chapter 14).
        let (set, clear, mut direction) = unsafe {
            (
                Register::at(0x5000_0508),
                Register::at(0x5000_050C),
                Register::at(0x5000_0518),
            )
        };
        direction.write(Self::MASK);
        Self { set, clear }
    }
}

impl ErrorType for BusyPin {
    type Error = Infallible;
}

impl OutputPin for BusyPin {
    fn set_high(&mut self) -> Result<(), Infallible> {
        self.set.write(Self::MASK);
        Ok(())
    }

    fn set_low(&mut self) -> Result<(), Infallible> {
        self.clear.write(Self::MASK);
        Ok(())
    }
}
