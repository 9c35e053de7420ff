//! UART 0, at the board's serial connector.

use crate::serial::Cmsdk;

pub(crate) type Line = Cmsdk;

pub(crate) fn open() -> Line {
    // SAFETY: UART 0 of the FPGA image is there, and nothing else uses it.
    unsafe { Cmsdk::open(0x4000_4000, 25_000_000, 115_200) }
}
