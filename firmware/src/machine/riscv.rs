//! RISC-V: `minstret` counts, `misa` names the processor.

use riscv::register::{minstret, misa};

use crate::board::Processor;

/// Instructions since the machine was reset.
pub(crate) fn instructions() -> u64 {
    minstret::read64()
}

/// The extensions that the processor says it has, and whether those of `letters` are among them.
pub(crate) fn processor(letters: &[char]) -> Processor {
    let isa = misa::read();
    let expected =
        isa.mxl() == misa::XLEN::XLEN32 && letters.iter().all(|&one| isa.has_extension(one));
    Processor {
        register: isa.bits() as u32,
        expected,
    }
}

/// What riscv-rt calls for a trap that nothing handles.
#[riscv_rt::exception(riscv::interrupt::Exception::IllegalInstruction)]
fn illegal(_frame: &riscv_rt::TrapFrame) -> ! {
    panic!("illegal instruction");
}
