//! RISC-V: `minstret` counts, `misa` names the processor.

use riscv::register::misa;

use crate::board::Processor;
use crate::chosen::FACTS;
use crate::crash::fault;

/// The width of the registers in `misa`. The crate's own reading of it can panic.
const XLEN_32: usize = 1 << 30;

/// What a board says of its processor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// The instruction sets and extensions that it has, by letter.
    pub(crate) extensions: &'static [u8],
    /// Brings up what the processor does not by itself: watchdogs, counters.
    pub(crate) start: fn(),
    /// The counter of instructions, `minstret` where the processor has it.
    pub(crate) instructions: fn() -> u64,
    /// Starts the program anew.
    pub(crate) reset: fn() -> !,
}

/// Waits for at least so many clock cycles.
#[cfg(real_board)]
pub(crate) fn wait_cycles(cycles: u32) {
    riscv::asm::delay(cycles);
}

/// Starts the program anew.
pub(crate) fn reset() -> ! {
    (FACTS.reset)()
}

/// The counter of instructions, and the name of the processor.
#[derive(Debug)]
pub(crate) struct Machine {
    facts: Facts,
}

impl Machine {
    /// Starts what the board has to start.
    pub(crate) fn take(facts: Facts) -> Self {
        (facts.start)();
        Self { facts }
    }

    /// Instructions since the machine was reset.
    pub(crate) fn instructions(&self) -> u64 {
        (self.facts.instructions)()
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

/// What riscv-rt calls for a trap that nothing else handles.
// SAFETY: the linker script of riscv-rt looks for this name, which nothing else has.
#[unsafe(export_name = "ExceptionHandler")]
fn exception(_frame: &riscv_rt::TrapFrame) -> ! {
    let what = match riscv::register::mcause::read().code() {
        2 => "illegal instruction",
        0 | 4 | 6 => "misaligned address",
        1 | 5 | 7 => "access fault: a stack overflow, or a bug in unsafe code",
        _ => "exception",
    };
    fault(what, riscv::register::mepc::read() as u32)
}
