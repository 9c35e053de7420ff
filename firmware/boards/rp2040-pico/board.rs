//! Raspberry Pi Pico: RP2040, Cortex-M0+ at 125 MHz, 2 MiB of flash, 264 KiB of RAM, of which 256 in
//! one piece.

use crate::machine::Facts;
use crate::register::OpenDrain;

#[path = "../../src/chip/rp2.rs"]
mod rp2;

pub(crate) const NAME: &str = "rp2040-pico";

pub(crate) const FACTS: Facts = Facts {
    // Cortex-M0+.
    part: 0xC60,
    // Clock cycles.
    two_ticks: 2,
    start: || CHIP.start(),
};

pub(crate) const CHIP: rp2::Chip = rp2::Chip {
    resets: 0x4000_C000,
    reset_pads: 1 << 8,
    reset_pins: 1 << 5,
    reset_pll: 1 << 12,
    reset_uart: 1 << 22,
    clocks: 0x4000_8000,
    crystal: 0x4002_4000,
    pll: 0x4002_8000,
    // 125 MHz.
    dividers: [6, 2],
    pins: 0x4001_4000,
    pads: 0x4001_C000,
    out_set: 0x14,
    out_clear: 0x18,
    enable_set: 0x24,
    enable_clear: 0x28,
};

/// What the chip runs first: it sets up the flash of the board, a W25Q080 or one like it.
// SAFETY: the linker script keeps this name and this section, which nothing else uses.
#[unsafe(export_name = "BOOT2")]
#[unsafe(link_section = ".boot2")]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

/// The green LED, pin GPIO25.
pub(crate) type BusyPin = rp2::Pin;

impl BusyPin {
    pub(crate) fn claim() -> Self {
        CHIP.output(25)
    }
}

/// Clock cycles of half a period of the sensor's bus, 5 us.
pub(crate) const HALF_PERIOD: u32 = 625;

/// SCL on GP5 and SDA on GP4, the board's pins 7 and 6.
pub(crate) fn sensor_pins() -> [OpenDrain; 2] {
    [5, 4].map(|pin| CHIP.open_drain(pin))
}
