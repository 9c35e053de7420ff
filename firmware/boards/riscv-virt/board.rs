//! QEMU's RISC-V machine `virt` as RV32IMC, 4 MiB as flash, 4 MiB of RAM.

use crate::machine::Facts;
use crate::register::{Register, RegisterBit};

pub(crate) const NAME: &str = "rv32";

pub(crate) const FACTS: Facts = Facts { extensions: b"IMC" };

/// The serial port's free output OUT1: the machine has no other pin.
pub(crate) type BusyPin = RegisterBit<u8>;

impl BusyPin {
    pub(crate) fn claim() -> Self {
        // SAFETY: the modem control register of the 16550 at 0x1000_0000 drives pins alone.
        Self::new(unsafe { Register::at(0x1000_0004) }, 1 << 2)
    }
}
