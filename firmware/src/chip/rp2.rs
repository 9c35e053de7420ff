//! What the RP2040 and the RP2350 share: clocks from the crystal of 12 MHz, resets, pins of the
//! single-cycle port. A board's file includes this one and says where its blocks lie.
//!
//! Registers by the RP2040 datasheet (chapters 2.14 to 2.19) and the RP2350 datasheet (chapters 7 to 9).

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin};

use crate::register::{OpenDrain, Register, wait_for};

/// Where the blocks lie, and what differs in them.
pub(crate) struct Chip {
    pub(crate) resets: usize,
    /// Bits of `RESET`: the pads, the pins' functions, the PLL, the first UART.
    pub(crate) reset_pads: u32,
    pub(crate) reset_pins: u32,
    pub(crate) reset_pll: u32,
    pub(crate) reset_uart: u32,
    pub(crate) clocks: usize,
    pub(crate) crystal: usize,
    pub(crate) pll: usize,
    /// The two dividers behind 1500 MHz.
    pub(crate) dividers: [u32; 2],
    pub(crate) pins: usize,
    pub(crate) pads: usize,
    /// Offsets in the single-cycle port of setting and clearing outputs, and of enabling them.
    pub(crate) out_set: usize,
    pub(crate) out_clear: usize,
    pub(crate) enable_set: usize,
    pub(crate) enable_clear: usize,
}

/// The single-cycle port on both chips.
const PORT: usize = 0xD000_0000;
/// A write here clears the bits in the register at the plain address.
const CLEAR: usize = 0x3000;

/// The register of a block.
fn register(address: usize) -> Register<u32> {
    // SAFETY: the addresses of `Chip` are device registers, which touch no memory.
    unsafe { Register::at(address) }
}

impl Chip {
    /// Pins that can be used, and the full clock. Without a crystal the processor stays with its
    /// ring oscillator of some 6 MHz.
    pub(crate) fn start(&self) {
        self.release(self.reset_pads | self.reset_pins | self.reset_pll);
        // 1 to 15 MHz, enabled, after a start of about 1 ms.
        register(self.crystal + 0x0C).write(47);
        register(self.crystal).write(0xFA_BAA0);
        if !wait_for(&register(self.crystal + 0x04), 1 << 31) {
            return;
        }
        // The reference from the crystal.
        register(self.clocks + 0x30).write(2);
        wait_for(&register(self.clocks + 0x38), 1 << 2);
        // 12 MHz * 125, and the two dividers.
        register(self.pll).write(1);
        register(self.pll + 0x08).write(125);
        register(self.pll + CLEAR + 0x04).write(1 << 5 | 1);
        if !wait_for(&register(self.pll), 1 << 31) {
            return;
        }
        let [first, second] = self.dividers;
        register(self.pll + 0x0C).write(first << 16 | second << 12);
        register(self.pll + CLEAR + 0x04).write(1 << 3);
        // The system from the PLL.
        register(self.clocks + 0x3C).write(1);
        wait_for(&register(self.clocks + 0x44), 1 << 1);
    }

    /// Takes blocks out of reset.
    fn release(&self, bits: u32) {
        register(self.resets + CLEAR).write(bits);
        wait_for(&register(self.resets + 0x08), bits);
    }

    /// UART 0 on the pins 0 and 1, fed by the system's clock.
    #[allow(dead_code, reason = "only `serve` opens it")]
    pub(crate) fn open_uart(&self) {
        register(self.clocks + 0x48).write(1 << 11);
        self.release(self.reset_uart);
        for pin in [0, 1] {
            // Input on, pulled up; function 2 is the UART.
            register(self.pads + 0x04 + 4 * pin).write(0x5A);
            register(self.pins + 0x04 + 8 * pin).write(2);
        }
    }

    /// A pin as an output of the processor.
    pub(crate) fn output(&self, pin: u32) -> Pin {
        // Function 5 is the single-cycle port; of the pad the input buffer and 4 mA, neither
        // isolated nor disabled.
        register(self.pads + 0x04 + 4 * pin as usize).write(0x56);
        register(self.pins + 0x04 + 8 * pin as usize).write(5);
        register(PORT + self.enable_set).write(1 << pin);
        Pin {
            set: register(PORT + self.out_set),
            clear: register(PORT + self.out_clear),
            mask: 1 << pin,
        }
    }

    /// A pin that is pulled up and can be pulled low.
    pub(crate) fn open_drain(&self, pin: u32) -> OpenDrain {
        // The output is low, and enabled to pull the line down.
        register(PORT + self.enable_clear).write(1 << pin);
        register(PORT + self.out_clear).write(1 << pin);
        register(self.pads + 0x04 + 4 * pin as usize).write(0x5A);
        register(self.pins + 0x04 + 8 * pin as usize).write(5);
        OpenDrain {
            low: (register(PORT + self.enable_set), 1 << pin),
            release: (register(PORT + self.enable_clear), 1 << pin),
            level: (register(PORT + 0x04), 1 << pin),
        }
    }
}

/// An output.
#[derive(Debug)]
pub struct Pin {
    set: Register<u32>,
    clear: Register<u32>,
    mask: u32,
}

impl ErrorType for Pin {
    type Error = Infallible;
}

impl OutputPin for Pin {
    fn set_high(&mut self) -> Result<(), Infallible> {
        self.set.write(self.mask);
        Ok(())
    }

    fn set_low(&mut self) -> Result<(), Infallible> {
        self.clear.write(self.mask);
        Ok(())
    }
}
