//! What every program of this package shares: the board, the included model, the stack's mark.
//!
//! A program is written once against [`Board`]; what differs between machines lies in one folder
//! of `boards/` each, chosen by the environment variable `BITSPIKE_BOARD` at build time. The model
//! of `BITSPIKE_MODEL` is part of the binary. `cargo xtask firmware BOARD` sets both.
#![no_std]

mod board;
mod console;
mod crash;
mod hardware;
mod machine;
pub mod model;
pub mod program;
mod register;
pub mod sensor;
pub mod serial;
pub mod shortage;
pub mod stack;

pub use board::{Board, Gone, Processor, Sent, complain, hexadecimal_pair, number};
pub use machine::entry;
pub use register::RegisterBit;

include!(concat!(env!("OUT_DIR"), "/board.rs"));

/// The board that this build is for.
pub use hardware::Hardware as ThisBoard;
