//! BBC micro:bit: nRF51822, Cortex-M0 at 16 MHz, 256 KiB of flash, 16 KiB of RAM.

use core::convert::Infallible;
use core::fmt;

use cortex_m::Peripherals;
use cortex_m::peripheral::CPUID;
use embedded_hal::digital::{ErrorType, OutputPin};

use crate::board::{Board, Processor};
use crate::console::Console;
use crate::machine::{self, Counter};
use crate::register::Register;

/// Part number of a Cortex-M0 in CPUID.
const PART: u32 = 0xC20;
/// Instructions in two ticks at one instruction a nanosecond: 62.5 ns a tick at 16 MHz.
const TWO_TICKS: u64 = 125;

/// The board's devices.
#[allow(missing_debug_implementations, reason = "the peripherals have none")]
pub struct Hardware {
    console: Console,
    counter: Counter,
    cpuid: CPUID,
    busy: BusyPin,
}

impl Board for Hardware {
    const NAME: &'static str = "m0";
    type Busy = BusyPin;

    fn take() -> Self {
        let Some(peripherals) = Peripherals::take() else {
            panic!("the board is taken twice")
        };
        Self {
            console: Console::open(),
            counter: Counter::start(peripherals.SYST, TWO_TICKS),
            cpuid: peripherals.CPUID,
            busy: BusyPin::claim(),
        }
    }

    fn receive(&mut self, bytes: &mut [u8]) -> bool {
        self.console.receive(bytes)
    }

    fn busy(&mut self) -> &mut BusyPin {
        &mut self.busy
    }

    fn instructions(&mut self) -> u64 {
        self.counter.instructions()
    }

    fn processor(&self) -> Processor {
        machine::processor(&self.cpuid, PART)
    }

    fn exit(mut self, code: i32) -> ! {
        // There is nobody left to tell.
        let _ = self.console.flush();
        semihosting::process::exit(code)
    }
}

impl fmt::Write for Hardware {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.console.write_str(text)
    }
}

/// Row 1 of the LED matrix, pin P0.13: its LEDs light up where a column pulls them low.
#[derive(Debug)]
pub struct BusyPin {
    set: Register<u32>,
    clear: Register<u32>,
}

impl BusyPin {
    const MASK: u32 = 1 << 13;

    fn claim() -> Self {
        // SAFETY: OUTSET, OUTCLR and DIRSET of the nRF51's GPIO (reference manual, chapter 14).
        let (set, clear, mut direction) = unsafe {
            (
                Register::at(0x5000_0508),
                Register::at(0x5000_050C),
                Register::at(0x5000_0518),
            )
        };
        direction.write(Self::MASK);
        Self { set, clear }
    }
}

impl ErrorType for BusyPin {
    type Error = Infallible;
}

impl OutputPin for BusyPin {
    fn set_high(&mut self) -> Result<(), Infallible> {
        self.set.write(Self::MASK);
        Ok(())
    }

    fn set_low(&mut self) -> Result<(), Infallible> {
        self.clear.write(Self::MASK);
        Ok(())
    }
}
