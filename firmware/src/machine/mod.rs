//! What boards of one processor family share.

#[cfg(target_arch = "arm")]
mod cortex_m;
#[cfg(target_arch = "arm")]
pub(crate) use cortex_m::*;
#[cfg(target_arch = "arm")]
pub use cortex_m_rt::entry;

#[cfg(target_arch = "arm")]
mod memory;
#[cfg(target_arch = "riscv32")]
mod riscv;
#[cfg(target_arch = "riscv32")]
pub(crate) use riscv::*;
#[cfg(target_arch = "riscv32")]
pub use riscv_rt::entry;
