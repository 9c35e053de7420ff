//! Device registers.

use core::convert::Infallible;
use core::ops::{BitAnd, BitOr, Not};
use core::ptr::{read_volatile, without_provenance_mut, write_volatile};

use embedded_hal::digital::{ErrorType, OutputPin};

/// A register of a device, `u8` or `u32` wide.
#[derive(Debug)]
pub(crate) struct Register<T>(*mut T);

#[allow(dead_code, reason = "not every board reads what it writes")]
impl<T: Copy> Register<T> {
    /// The register at an address.
    ///
    /// # Safety
    /// On the machine that runs this, `address` must be that of a device register of this width
    /// which may be read and written at any time without an effect on memory.
    pub(crate) const unsafe fn at(address: usize) -> Self {
        Self(without_provenance_mut(address))
    }

    /// Reads it.
    pub(crate) fn read(&self) -> T {
        // SAFETY: by the contract of `at` the address is a readable, aligned device register.
        unsafe { read_volatile(self.0) }
    }

    /// Writes it.
    pub(crate) fn write(&mut self, value: T) {
        // SAFETY: by the contract of `at` the address is an aligned device register, and writing
        // it touches no memory.
        unsafe { write_volatile(self.0, value) }
    }
}

/// Waits for all bits of `mask`, and whether they came; a device that is not there does not hold up
/// the program for more than some milliseconds.
#[allow(dead_code, reason = "not every board waits")]
pub(crate) fn wait_for(register: &Register<u32>, mask: u32) -> bool {
    (0..100_000).any(|_| register.read() & mask == mask)
}

/// A pin that a write pulls low and another one lets go; a pull-up then makes it high.
#[cfg(real_board)]
#[derive(Debug)]
pub(crate) struct OpenDrain {
    /// Register and bits that pull it low.
    pub(crate) low: (Register<u32>, u32),
    /// Register and bits that let it go.
    pub(crate) release: (Register<u32>, u32),
    /// Register and bit of its level.
    pub(crate) level: (Register<u32>, u32),
}

#[cfg(real_board)]
impl OpenDrain {
    pub(crate) fn set(&mut self, high: bool) {
        let (register, bits) = if high {
            &mut self.release
        } else {
            &mut self.low
        };
        register.write(*bits);
    }

    pub(crate) fn is_high(&self) -> bool {
        self.level.0.read() & self.level.1 != 0
    }
}

/// A pin that is one bit of a register which can be read back.
#[derive(Debug)]
pub struct RegisterBit<T> {
    register: Register<T>,
    mask: T,
}

#[allow(dead_code, reason = "not every board has such a pin")]
impl<T> RegisterBit<T> {
    /// The bits of `mask` in a register.
    pub(crate) fn new(register: Register<T>, mask: T) -> Self {
        Self { register, mask }
    }
}

impl<T> ErrorType for RegisterBit<T> {
    type Error = Infallible;
}

impl<T> OutputPin for RegisterBit<T>
where
    T: Copy + BitOr<Output = T> + BitAnd<Output = T> + Not<Output = T>,
{
    fn set_high(&mut self) -> Result<(), Infallible> {
        let bits = self.register.read();
        self.register.write(bits | self.mask);
        Ok(())
    }

    fn set_low(&mut self) -> Result<(), Infallible> {
        let bits = self.register.read();
        self.register.write(bits & !self.mask);
        Ok(())
    }
}
