//! Cortex-M: the SysTick timer counts, CPUID names the processor.

use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::Peripherals;
use cortex_m::peripheral::{CPUID, SCB, SYST, syst::SystClkSource};
use cortex_m_rt::{ExceptionFrame, exception};

use crate::board::Processor;
use crate::crash::{fault, stop};

/// Ticks from one wrap of the 24-bit timer to the next.
const PERIOD: u64 = 1 << 24;

/// Wraps so far; written by the exception alone.
static WRAPS: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" {
    /// What cortex-m-rt has for exceptions without a handler.
    fn DefaultHandler();
}

/// The vectors of a chip's own interrupts, behind those of the exceptions. No program here enables an
/// interrupt, so none is read; the linker script of cortex-m-rt asks for one.
// SAFETY: that script looks for this name and this section, which nothing else has.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [unsafe extern "C" fn(); 1] = [DefaultHandler];

/// What a board says of its processor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// Part number in CPUID.
    pub(crate) part: u32,
    /// Instructions in two ticks of the core clock at one instruction a nanosecond, a whole number on
    /// every emulated board; 2 on a real one, where clock cycles are counted.
    pub(crate) two_ticks: u64,
    /// Brings up what the processor does not by itself: clocks, pins.
    pub(crate) start: fn(),
}

/// Waits for at least so many clock cycles.
#[cfg(real_board)]
pub(crate) fn wait_cycles(cycles: u32) {
    cortex_m::asm::delay(cycles);
}

/// Starts the program anew.
pub(crate) fn reset() -> ! {
    SCB::sys_reset()
}

/// The timer as a counter of instructions, and the name of the processor.
pub(crate) struct Machine {
    facts: Facts,
    cpuid: CPUID,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

impl Machine {
    /// Starts the timer, fed by the core clock.
    ///
    /// It ends the program when it is called a second time.
    pub(crate) fn take(facts: Facts) -> Self {
        let Some(peripherals) = Peripherals::take() else {
            stop("the board is taken twice", file!(), line!())
        };
        (facts.start)();
        let mut timer = peripherals.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(PERIOD as u32 - 1);
        timer.clear_current();
        timer.enable_interrupt();
        timer.enable_counter();
        Self {
            facts,
            cpuid: peripherals.CPUID,
        }
    }

    /// Instructions since the start, exact to one tick.
    pub(crate) fn instructions(&self) -> u64 {
        loop {
            let wraps = WRAPS.load(Ordering::Relaxed);
            let left = u64::from(SYST::get_current());
            // A wrap between the two reads, or one whose exception is still to come: read again.
            if wraps == WRAPS.load(Ordering::Relaxed) && !SCB::is_pendst_pending() {
                let ticks = u64::from(wraps) * PERIOD + (PERIOD - 1 - left);
                return ticks * self.facts.two_ticks / 2;
            }
        }
    }

    /// The part number of CPUID, with the register itself.
    pub(crate) fn processor(&self) -> Processor {
        let register = self.cpuid.base.read();
        Processor {
            register,
            expected: register >> 4 & 0xFFF == self.facts.part,
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
    fault(
        "hard fault: a stack overflow, or a bug in unsafe code",
        frame.pc(),
    )
}
