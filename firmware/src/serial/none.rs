//! A board without a serial line.

use crate::serial::Serial;

/// There is none.
#[derive(Debug)]
pub struct Line;

pub(crate) fn open() -> Line {
    Line
}

impl Serial for Line {
    fn receive(&mut self) -> Option<u8> {
        None
    }

    fn send(&mut self, _byte: u8) {}
}
