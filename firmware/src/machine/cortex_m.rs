//! Cortex-M: the SysTick timer counts, CPUID names the processor.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::{CPUID, SCB, SYST, syst::SystClkSource};
use cortex_m_rt::{ExceptionFrame, exception};

use crate::board::Processor;

/// Ticks from one wrap of the 24-bit timer to the next.
const PERIOD: u64 = 1 << 24;

/// Wraps so far; written by the exception alone.
static WRAPS: AtomicU32 = AtomicU32::new(0);

/// The timer as a counter of instructions.
#[derive(Debug)]
pub(crate) struct Counter {
    /// Instructions in two ticks, a whole number on every board.
    two_ticks: u64,
}

impl Counter {
    /// Starts the timer, fed by the core clock.
    pub(crate) fn start(mut timer: SYST, two_ticks: u64) -> Self {
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(PERIOD as u32 - 1);
        timer.clear_current();
        timer.enable_interrupt();
        timer.enable_counter();
        Self { two_ticks }
    }

    /// Instructions since the start, exact to one tick.
    pub(crate) fn instructions(&self) -> u64 {
        loop {
            let wraps = WRAPS.load(Ordering::Relaxed);
            let left = u64::from(SYST::get_current());
            // A wrap between the two reads, or one whose exception is still to come: read again.
            if wraps == WRAPS.load(Ordering::Relaxed) && !SCB::is_pendst_pending() {
                let ticks = u64::from(wraps) * PERIOD + (PERIOD - 1 - left);
                return ticks * self.two_ticks / 2;
            }
        }
    }
}

#[exception]
fn SysTick() {
    // Nothing else writes it, so load and store need not be one operation (this core has none).
    WRAPS.store(
        WRAPS.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    panic!(
        "hard fault at {:#010x}: a stack overflow, or a bug in unsafe code",
        frame.pc()
    );
}

/// The part number of CPUID, with the register itself.
pub(crate) fn processor(cpuid: &CPUID, part: u32) -> Processor {
    let register = cpuid.base.read();
    Processor {
        register,
        expected: register >> 4 & 0xFFF == part,
    }
}
