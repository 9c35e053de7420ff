//! The board that a build is for, put together from what its folder and its processor family say.

use crate::board::{Board, Processor, Sent};
use crate::chosen::{BusyPin, FACTS, NAME};
use crate::console::Console;
use crate::machine::Machine;

/// The board's devices.
#[derive(Debug)]
pub struct Hardware {
    console: Console,
    machine: Machine,
    busy: BusyPin,
}

impl Board for Hardware {
    const NAME: &'static str = NAME;
    type Busy = BusyPin;

    fn take() -> Self {
        Self {
            machine: Machine::take(FACTS),
            console: Console::open(),
            busy: BusyPin::claim(),
        }
    }

    fn send(&mut self, text: &str) -> Sent {
        self.console.send(text)
    }

    fn receive(&mut self, bytes: &mut [u8]) -> bool {
        self.console.receive(bytes)
    }

    fn busy(&mut self) -> &mut BusyPin {
        &mut self.busy
    }

    fn instructions(&mut self) -> u64 {
        self.machine.instructions()
    }

    fn processor(&self) -> Processor {
        self.machine.processor()
    }

    fn exit(mut self, code: i32) -> ! {
        // There is nobody left to tell.
        let _ = self.console.flush();
        semihosting::process::exit(code)
    }
}
