//! RISC-V: `minstret` counts, `misa` names the processor.

use riscv::register::{minstret, misa};

use crate::board::Processor;
use crate::console::fault;

/// The width of the registers in `misa`. The crate's own reading of it can panic.
const XLEN_32: usize = 1 << 30;

/// What a board says of its processor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// The instruction sets and extensions that it has, by letter.
    pub(crate) extensions: &'static [u8],
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

    /// The extensions that the processor says it has, and whether they are the board's: no less,
    /// and no more, since a build for another one would run too.
    pub(crate) fn processor(&self) -> Processor {
        let isa = misa::read();
        let letters = self.facts.extensions.iter();
        let bits = letters.fold(0, |bits, letter| bits | 1 << (letter - b'A'));
        Processor {
            register: isa.bits() as u32,
            expected: isa.bits() == XLEN_32 | bits,
        }
    }
}

/// What riscv-rt calls for a trap that nothing handles.
#[riscv_rt::exception(riscv::interrupt::Exception::IllegalInstruction)]
fn illegal(_frame: &riscv_rt::TrapFrame) -> ! {
    fault(
        "illegal instruction",
        "program counter",
        riscv::register::mepc::read() as u32,
    )
}
