//! The line to the host: semihosting for an emulator, RTT for a real board with a debug probe.

#[cfg(not(feature = "rtt"))]
mod semihosting;
#[cfg(not(feature = "rtt"))]
pub(crate) use semihosting::{Console, leave, leave_after_a_panic};

#[cfg(feature = "rtt")]
mod rtt;
#[cfg(feature = "rtt")]
pub(crate) use rtt::{Console, leave, leave_after_a_panic};
