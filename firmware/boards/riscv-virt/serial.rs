//! The machine's serial port.

use crate::serial::Ns16550;

pub(crate) type Line = Ns16550;

pub(crate) fn open() -> Line {
    // SAFETY: the 16550 is at this address; the busy pin takes its modem control alone.
    unsafe { Ns16550::open(0x1000_0000, 3_686_400, 115_200) }
}
