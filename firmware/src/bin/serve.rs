//! Answers a host over a serial line: docs/protocol.md is the protocol, the crate `bitspike-link` all
//! but the machine.
//!
//! The included model is in use until another is loaded into RAM, where there is room. All RAM but
//! the stack's serves for that, for the network's state, a sample and transfers.
#![no_std]
#![no_main]

use bitspike_core::model::MAX_LAYERS;
use bitspike_firmware::model::{INPUT_WORDS, SIZES, STATE_WORDS, WORDS};
use bitspike_firmware::serial::Serial;
use bitspike_firmware::{Board, RAM_BYTES, ThisBoard, entry, shortage, stack};
use bitspike_link::message::Crash;
use bitspike_link::server::{self, Machine};
use embedded_hal::digital::OutputPin;
use static_cell::ConstStaticCell;

/// RAM under which models have no more layers than the included one, since each takes stack.
const SMALL: usize = 64 * 1024;
/// Layers of a model.
const LAYERS: usize = if RAM_BYTES < SMALL {
    SIZES.layers
} else {
    MAX_LAYERS
};
/// RAM that is left to the stack and to other static data.
const RESERVED: usize = if RAM_BYTES < SMALL { 5_632 } else { 16_384 };
/// Most memory for models: more is cleared at the start for nothing.
const MOST: usize = 2 << 20;
/// Words that a network and what is transferred to it share.
const MEMORY_WORDS: usize = {
    let room = RAM_BYTES - RESERVED;
    (if room < MOST { room } else { MOST }) / 4
};
/// What the included model needs of them.
const NEEDED_WORDS: usize = STATE_WORDS + INPUT_WORDS;
/// Said where it is more: with both sizes, which `cargo xtask firmware` shows.
const SHORTAGE: [u8; shortage::LENGTH] = shortage::shortage(4 * NEEDED_WORDS, 4 * MEMORY_WORDS);
const _: () = assert!(
    NEEDED_WORDS <= MEMORY_WORDS,
    "{}",
    shortage::text(&SHORTAGE)
);

static MEMORY: ConstStaticCell<[u32; MEMORY_WORDS]> = ConstStaticCell::new([0; MEMORY_WORDS]);

/// A board and its serial line.
struct Device<B: Board> {
    board: B,
    line: B::Serial,
}

impl<B: Board> Machine for Device<B> {
    fn receive(&mut self) -> Option<u8> {
        self.line.receive()
    }

    fn send(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().for_each(|&byte| self.line.send(byte));
        true
    }

    fn board(&self) -> &'static str {
        B::NAME
    }

    fn firmware(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    fn instructions(&mut self) -> u64 {
        self.board.instructions()
    }

    fn stack_bytes(&self) -> (u32, u32) {
        (stack::high_water() as u32, stack::limit() as u32)
    }

    fn crash(&self) -> Option<Crash<'static>> {
        self.board.crash()
    }

    fn busy(&mut self, busy: bool) {
        // The pins of these boards cannot fail, and a decision does not hang on one.
        let _ = if busy {
            self.board.busy().set_high()
        } else {
            self.board.busy().set_low()
        };
    }
}

#[entry]
fn main() -> ! {
    stack::paint();
    let mut board = ThisBoard::take_to_serve();
    let line = board.open_serial();
    let memory = MEMORY.try_take().map_or(&mut [][..], |words| words);
    let mut device = Device { board, line };
    server::serve::<LAYERS>(&mut device, memory, &WORDS);
    device.board.exit(0)
}
