//! The board that a build is for, put together from what its folder and its processor family say.

use bitspike_core::message::Piece::Text;
use bitspike_link::message::Crash;

use crate::board::{Board, Processor, Sent};
use crate::chosen::{BusyPin, FACTS, NAME};
use crate::console::{self, Console};
use crate::crash::{Record, place};
use crate::line;
use crate::machine::Machine;

/// The board's devices.
#[derive(Debug)]
pub struct Hardware {
    console: Console,
    machine: Machine,
    busy: BusyPin,
    record: Option<Record>,
}

impl Board for Hardware {
    const NAME: &'static str = NAME;
    type Busy = BusyPin;
    type Serial = line::Line;

    fn take() -> Self {
        let mut board = Self::take_to_serve();
        if let Some(crash) = board.crash() {
            board.report(crash);
            console::leave_after_a_panic();
        }
        board
    }

    fn take_to_serve() -> Self {
        Self {
            machine: Machine::take(FACTS),
            console: Console::open(),
            busy: BusyPin::claim(),
            record: Record::take(),
        }
    }

    fn crash(&self) -> Option<Crash<'static>> {
        self.record.as_ref().map(Record::crash)
    }

    fn send(&mut self, text: &str) -> Sent {
        self.console.send(text)
    }

    fn receive(&mut self, bytes: &mut [u8]) -> bool {
        self.console.receive(bytes)
    }

    fn open_serial(&mut self) -> line::Line {
        line::open()
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
        console::leave(code)
    }
}

impl Hardware {
    /// Tells the host why the program has started anew.
    #[inline(never)]
    fn report(&mut self, crash: Crash<'static>) {
        let [place, separator, number] = place(crash);
        // There is nobody else to tell.
        let _ = self.line(&[
            Text("panic: "),
            Text(crash.what),
            Text(" at "),
            place,
            separator,
            number,
        ]);
    }
}
