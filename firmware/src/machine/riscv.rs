//! RISC-V: `minstret` counts, `misa` names the processor.

use riscv::register::{minstret, misa};

use crate::board::Processor;

/// What a board says of its processor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// Letters of the extensions that it has.
    pub(crate) extensions: &'static [char],
}

/// The counter of instructions, and the name of the processor.
#[derive(Debug)]
pub(crate) struct Machine {
    facts: Facts,
}

impl Machine {
    /// Nothing needs to be started.
    pub(crate) fn take(facts: Facts) -> Self {
        Self { facts }
    }

    /// Instructions since the machine was reset.
    pub(crate) fn instructions(&self) -> u64 {
        minstret::read64()
    }

    /// The extensions that the processor says it has, and whether the board's are among them.
    pub(crate) fn processor(&self) -> Processor {
        let isa = misa::read();
        let mut extensions = self.facts.extensions.iter();
        Processor {
            register: isa.bits() as u32,
            expected: isa.mxl() == misa::XLEN::XLEN32
                && extensions.all(|&one| isa.has_extension(one)),
        }
    }
}

/// What riscv-rt calls for a trap that nothing handles.
#[riscv_rt::exception(riscv::interrupt::Exception::IllegalInstruction)]
fn illegal(_frame: &riscv_rt::TrapFrame) -> ! {
    panic!("illegal instruction");
}
