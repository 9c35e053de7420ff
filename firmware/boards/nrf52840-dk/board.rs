//! Nordic nRF52840-DK: Cortex-M4 at 64 MHz, 1 MiB of flash, 256 KiB of RAM.
//!
//! Registers by the nRF52840 product specification, version 1.7. The processor starts at its full
//! speed, from its internal oscillator.

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin};

use crate::machine::Facts;
use crate::register::{OpenDrain, Register};

pub(crate) const NAME: &str = "nrf52840-dk";

pub(crate) const FACTS: Facts = Facts {
    // Cortex-M4.
    part: 0xC24,
    // Clock cycles.
    two_ticks: 2,
    start,
};

fn start() {
    // SAFETY: APPROTECT.DISABLE (chapter 4.8.2) and NVMC.ICACHECNF (chapter 4.3.5), once, at the start.
    let (mut protection, mut cache) =
        unsafe { (Register::at(0x4000_0558), Register::<u32>::at(0x4001_E540)) };
    // Newer chips lock the debug port at every reset; the host is behind that port.
    protection.write(0x5A_u32);
    cache.write(1);
}

/// LED1, pin P0.13, which lights up where the pin is low: high is "lit" here.
#[derive(Debug)]
pub struct BusyPin {
    set: Register<u32>,
    clear: Register<u32>,
}

impl BusyPin {
    const MASK: u32 = 1 << 13;

    pub(crate) fn claim() -> Self {
        // SAFETY: OUTSET, OUTCLR and DIRSET of P0 (chapter 6.9).
        let (set, clear, mut direction) = unsafe {
            (
                Register::at(0x5000_0508),
                Register::at(0x5000_050C),
                Register::at(0x5000_0518),
            )
        };
        let mut pin = Self { set, clear };
        pin.set.write(Self::MASK);
        direction.write(Self::MASK);
        pin
    }
}

impl ErrorType for BusyPin {
    type Error = Infallible;
}

impl OutputPin for BusyPin {
    fn set_high(&mut self) -> Result<(), Infallible> {
        self.clear.write(Self::MASK);
        Ok(())
    }

    fn set_low(&mut self) -> Result<(), Infallible> {
        self.set.write(Self::MASK);
        Ok(())
    }
}

/// Clock cycles of half a period of the sensor's bus, 5 us.
pub(crate) const HALF_PERIOD: u32 = 320;

/// SCL on P0.27 and SDA on P0.26, so named on the board's edge.
pub(crate) fn sensor_pins() -> [OpenDrain; 2] {
    [27, 26].map(|pin| {
        // SAFETY: PIN_CNF, OUTCLR, OUTSET and IN of P0.
        let (mut configuration, clear, set, level) = unsafe {
            (
                Register::<u32>::at(0x5000_0700 + 4 * pin),
                Register::at(0x5000_050C),
                Register::at(0x5000_0508),
                Register::at(0x5000_0510),
            )
        };
        // Standard low, disconnected high; pulled up; input and output.
        configuration.write(6 << 8 | 3 << 2 | 1);
        OpenDrain {
            low: (clear, 1 << pin),
            release: (set, 1 << pin),
            level: (level, 1 << pin),
        }
    })
}
