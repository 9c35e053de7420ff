//! QEMU's RISC-V machine `virt` as RV32IMC, 4 MiB as flash, 4 MiB of RAM.

use core::convert::Infallible;
use core::fmt;

use embedded_hal::digital::{ErrorType, OutputPin};

use crate::board::{Board, Processor};
use crate::console::Console;
use crate::machine;
use crate::register::Register;

/// The board's devices.
#[derive(Debug)]
pub struct Hardware {
    console: Console,
    busy: BusyPin,
}

impl Board for Hardware {
    const NAME: &'static str = "rv32";
    type Busy = BusyPin;

    fn take() -> Self {
        Self {
            console: Console::open(),
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
        machine::instructions()
    }

    fn processor(&self) -> Processor {
        machine::processor(&['I', 'M', 'C'])
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

/// The serial port's free output OUT1: the machine has no other pin.
#[derive(Debug)]
pub struct BusyPin(Register<u8>);

impl BusyPin {
    const MASK: u8 = 1 << 2;

    fn claim() -> Self {
        // SAFETY: the modem control register of the 16550 at 0x1000_0000 drives pins alone.
        Self(unsafe { Register::at(0x1000_0004) })
    }
}

impl ErrorType for BusyPin {
    type Error = Infallible;
}

impl OutputPin for BusyPin {
    fn set_high(&mut self) -> Result<(), Infallible> {
        let outputs = self.0.read();
        self.0.write(outputs | Self::MASK);
        Ok(())
    }

    fn set_low(&mut self) -> Result<(), Infallible> {
        let outputs = self.0.read();
        self.0.write(outputs & !Self::MASK);
        Ok(())
    }
}
