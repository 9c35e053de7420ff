//! Arm MPS2 with the FPGA image AN385: Cortex-M3 at 25 MHz, 4 MiB of flash, 4 MiB of RAM.

use core::convert::Infallible;
use core::fmt;

use cortex_m::Peripherals;
use cortex_m::peripheral::CPUID;
use embedded_hal::digital::{ErrorType, OutputPin};

use crate::board::{Board, Processor};
use crate::console::Console;
use crate::machine::{self, Counter};
use crate::register::Register;

/// Part number of a Cortex-M3 in CPUID.
const PART: u32 = 0xC23;
/// Instructions in two ticks at one instruction a nanosecond: 40 ns a tick at 25 MHz.
const TWO_TICKS: u64 = 80;

/// The board's devices.
#[allow(missing_debug_implementations, reason = "the peripherals have none")]
pub struct Hardware {
    console: Console,
    counter: Counter,
    cpuid: CPUID,
    busy: BusyPin,
}

impl Board for Hardware {
    const NAME: &'static str = "m3";
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

/// The first user LED.
#[derive(Debug)]
pub struct BusyPin(Register<u32>);

impl BusyPin {
    const MASK: u32 = 1;

    fn claim() -> Self {
        // SAFETY: FPGAIO_LED0, which drives the user LEDs and nothing else (AN385, section 4.5).
        Self(unsafe { Register::at(0x4002_8000) })
    }
}

impl ErrorType for BusyPin {
    type Error = Infallible;
}

impl OutputPin for BusyPin {
    fn set_high(&mut self) -> Result<(), Infallible> {
        let lit = self.0.read();
        self.0.write(lit | Self::MASK);
        Ok(())
    }

    fn set_low(&mut self) -> Result<(), Infallible> {
        let lit = self.0.read();
        self.0.write(lit & !Self::MASK);
        Ok(())
    }
}
