//! ST STM32F4 Discovery (STM32F407G-DISC1): Cortex-M4 at 168 MHz, 1 MiB of flash, 128 KiB of RAM.
//!
//! Registers by the reference manual RM0090.

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin};

use crate::machine::Facts;
use crate::register::{OpenDrain, Register, wait_for};

pub(crate) const NAME: &str = "stm32f4-discovery";

pub(crate) const FACTS: Facts = Facts {
    // Cortex-M4.
    part: 0xC24,
    // Clock cycles.
    two_ticks: 2,
    start,
};

/// Reset and clock control (chapter 7).
const RCC: usize = 0x4002_3800;
/// Flash access control (section 3.9).
const FLASH_ACR: usize = 0x4002_3C00;
/// Port D (chapter 8).
const GPIOD: usize = 0x4002_0C00;

/// 168 MHz from the crystal of 8 MHz, and the clocks of ports B and D. Without the crystal the processor
/// stays at the 16 MHz of its internal oscillator.
fn start() {
    // SAFETY: device registers of the STM32F407, touched by nothing else.
    let (mut cr, mut pll, mut cfgr, mut ahb1, mut flash) = unsafe {
        (
            Register::<u32>::at(RCC),
            Register::<u32>::at(RCC + 0x04),
            Register::<u32>::at(RCC + 0x08),
            Register::<u32>::at(RCC + 0x30),
            Register::<u32>::at(FLASH_ACR),
        )
    };
    ahb1.write(ahb1.read() | 1 << 3 | 1 << 1);
    // HSEON, and what follows once the crystal swings.
    cr.write(cr.read() | 1 << 16);
    if !wait_for(&cr, 1 << 17) {
        return;
    }
    // 8 MHz / M 8 * N 336 / P 2, Q 7, from the crystal.
    pll.write(7 << 24 | 1 << 22 | 336 << 6 | 8);
    cr.write(cr.read() | 1 << 24);
    if !wait_for(&cr, 1 << 25) {
        return;
    }
    // Five wait states, prefetch, both caches: what 168 MHz at 3 V needs (table 10).
    flash.write(1 << 10 | 1 << 9 | 1 << 8 | 5);
    // APB1 at a quarter, APB2 at half, the system from the PLL.
    cfgr.write(0b101 << 10 | 0b100 << 13 | 0b10);
    wait_for(&cfgr, 0b10 << 2);
}

/// LD4, the green LED, pin PD12.
#[derive(Debug)]
pub struct BusyPin {
    set_and_reset: Register<u32>,
}

impl BusyPin {
    const PIN: u32 = 12;

    pub(crate) fn claim() -> Self {
        // SAFETY: MODER and BSRR of port D.
        let (mut mode, set_and_reset) =
            unsafe { (Register::<u32>::at(GPIOD), Register::at(GPIOD + 0x18)) };
        mode.write(mode.read() & !(0b11 << (2 * Self::PIN)) | 0b01 << (2 * Self::PIN));
        Self { set_and_reset }
    }
}

impl ErrorType for BusyPin {
    type Error = Infallible;
}

impl OutputPin for BusyPin {
    fn set_high(&mut self) -> Result<(), Infallible> {
        self.set_and_reset.write(1 << Self::PIN);
        Ok(())
    }

    fn set_low(&mut self) -> Result<(), Infallible> {
        self.set_and_reset.write(1 << (16 + Self::PIN));
        Ok(())
    }
}

/// Clock cycles of half a period of the sensor's bus, 5 us.
pub(crate) const HALF_PERIOD: u32 = 840;

/// Port B (chapter 8).
const GPIOB: usize = 0x4002_0400;

/// SCL on PB6 and SDA on PB9, which the board's audio chip shares and pulls up.
pub(crate) fn sensor_pins() -> [OpenDrain; 2] {
    [6, 9].map(|pin| {
        // SAFETY: MODER, OTYPER, IDR and BSRR of port B.
        let (mut mode, mut kind, level, low, release) = unsafe {
            (
                Register::<u32>::at(GPIOB),
                Register::<u32>::at(GPIOB + 0x04),
                Register::at(GPIOB + 0x10),
                Register::at(GPIOB + 0x18),
                Register::<u32>::at(GPIOB + 0x18),
            )
        };
        let mut line = OpenDrain {
            low: (low, 1 << (16 + pin)),
            release: (release, 1 << pin),
            level: (level, 1 << pin),
        };
        line.set(true);
        kind.write(kind.read() | 1 << pin);
        mode.write(mode.read() & !(0b11 << (2 * pin)) | 0b01 << (2 * pin));
        line
    })
}

/// Port A (chapter 8).
const GPIOA: usize = 0x4002_0000;

/// Pins PA2 and PA3 to USART 2, and its clock on; how fast that clock is.
pub(crate) fn open_usart2() -> u32 {
    // SAFETY: AHB1ENR, APB1ENR and CFGR of the clock control, MODER and AFRL of port A.
    let (mut ahb1, mut apb1, cfgr, mut mode, mut function) = unsafe {
        (
            Register::<u32>::at(RCC + 0x30),
            Register::<u32>::at(RCC + 0x40),
            Register::<u32>::at(RCC + 0x08),
            Register::<u32>::at(GPIOA),
            Register::<u32>::at(GPIOA + 0x20),
        )
    };
    ahb1.write(ahb1.read() | 1);
    apb1.write(apb1.read() | 1 << 17);
    function.write(function.read() & !(0xFF << 8) | 0x77 << 8);
    mode.write(mode.read() & !(0xF << 4) | 0xA << 4);
    // A quarter of 168 MHz, or what there is without the crystal.
    if cfgr.read() >> 2 & 0b11 == 0b10 {
        42_000_000
    } else {
        16_000_000
    }
}
