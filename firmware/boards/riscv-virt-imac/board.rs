//! QEMU's RISC-V machine `virt` as RV32IMAC, 4 MiB as flash, 4 MiB of RAM.

use crate::machine::Facts;
use crate::register::{Register, RegisterBit};

pub(crate) const NAME: &str = "rv32imac";

pub(crate) const FACTS: Facts = Facts {
    extensions: b"IMAC",
    start: || (),
    instructions: riscv::register::minstret::read64,
    reset,
};

/// The emulator starts the machine anew; it leaves RAM as it is.
fn reset() -> ! {
    // SAFETY: the finisher of the virt machine, which does nothing but end or reset it.
    let mut finisher = unsafe { Register::<u32>::at(0x0010_0000) };
    loop {
        finisher.write(0x7777);
    }
}

/// The serial port's free output OUT1: the machine has no other pin.
pub(crate) type BusyPin = RegisterBit<u8>;

impl BusyPin {
    pub(crate) fn claim() -> Self {
        // SAFETY: the modem control register of the 16550 at 0x1000_0000 drives pins alone.
        Self::new(unsafe { Register::at(0x1000_0004) }, 1 << 2)
    }
}
