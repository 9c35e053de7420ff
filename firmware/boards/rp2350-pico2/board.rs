//! Raspberry Pi Pico 2: RP2350, Cortex-M33 at 150 MHz, 4 MiB of flash, 520 KiB of RAM, of which 512 in
//! one piece.

use crate::machine::Facts;
use crate::register::OpenDrain;

#[path = "../../src/chip/rp2.rs"]
mod rp2;

pub(crate) const NAME: &str = "rp2350-pico2";

pub(crate) const FACTS: Facts = Facts {
    // Cortex-M33.
    part: 0xD21,
    // Clock cycles.
    two_ticks: 2,
    start: || CHIP.start(),
};

pub(crate) const CHIP: rp2::Chip = rp2::Chip {
    resets: 0x4002_0000,
    reset_pads: 1 << 9,
    reset_pins: 1 << 6,
    reset_pll: 1 << 14,
    reset_uart: 1 << 26,
    clocks: 0x4001_0000,
    crystal: 0x4004_8000,
    pll: 0x4005_0000,
    // 150 MHz.
    dividers: [5, 2],
    pins: 0x4002_8000,
    pads: 0x4003_8000,
    out_set: 0x18,
    out_clear: 0x20,
    enable_set: 0x38,
    enable_clear: 0x40,
};

/// The smallest image definition: an executable for the Arm core in the secure state (RP2350
/// datasheet, section 5.9.5.1).
// SAFETY: the linker script keeps this name and this section, which nothing else uses.
#[unsafe(export_name = "IMAGE_DEFINITION")]
#[unsafe(link_section = ".start_block")]
static IMAGE_DEFINITION: [u32; 5] = [
    0xFFFF_DED3,
    0x1021_0142,
    0x0000_01FF,
    0x0000_0000,
    0xAB12_3579,
];

/// The green LED, pin GPIO25.
pub(crate) type BusyPin = rp2::Pin;

impl BusyPin {
    pub(crate) fn claim() -> Self {
        CHIP.output(25)
    }
}

/// Clock cycles of half a period of the sensor's bus, 5 us.
pub(crate) const HALF_PERIOD: u32 = 750;

/// SCL on GP5 and SDA on GP4, the board's pins 7 and 6.
pub(crate) fn sensor_pins() -> [OpenDrain; 2] {
    [5, 4].map(|pin| CHIP.open_drain(pin))
}
