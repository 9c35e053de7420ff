//! A LIS3DH on an I2C bus that plays a recording: for tests, and for machines without a sensor.
//!
//! It knows the registers that the driver uses and refuses every other one. Time passes by the
//! driver's looks at the FIFO's state: with each a few samples more have arrived.

use core::fmt;

use embedded_hal::i2c::{self, I2c, NoAcknowledgeSource, Operation};

use crate::lis3dh::{ADDRESS, FIFO, IDENTITY, register};

/// Bytes of a sample.
const SAMPLE: usize = 6;
/// Samples that have arrived from one look at the FIFO to the next, over and over.
const ARRIVING: [usize; 6] = [1, 3, 0, 5, 2, 8];

/// Why the sensor does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Nothing has this address.
    Address(u8),
    /// It has no such register, or not for this.
    Register(u8),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "nothing has the address {address:#04x}"),
            Self::Register(register) => write!(f, "no use of register {register:#04x}"),
        }
    }
}

impl core::error::Error for Error {}

impl i2c::Error for Error {
    fn kind(&self) -> i2c::ErrorKind {
        i2c::ErrorKind::NoAcknowledge(match self {
            Self::Address(_) => NoAcknowledgeSource::Address,
            Self::Register(_) => NoAcknowledgeSource::Data,
        })
    }
}

/// The sensor and its bus.
#[derive(Debug)]
pub struct Replay<'a> {
    recording: &'a [u8],
    /// Samples that have arrived, and those of them that are no longer in the FIFO.
    arrived: usize,
    gone: usize,
    control: [u8; 2],
    mode: u8,
    rate: u8,
    /// The register that the next byte is read from.
    pointer: u8,
    looks: usize,
}

impl<'a> Replay<'a> {
    /// Plays a recording of samples as the registers hold them: x, y and z, 16 bits each, low byte
    /// first, 12 bits at the left. An incomplete last one is left out.
    pub const fn new(recording: &'a [u8]) -> Self {
        Self {
            recording,
            arrived: 0,
            gone: 0,
            control: [0; 2],
            mode: 0,
            rate: 0x07,
            pointer: 0,
            looks: 0,
        }
    }

    /// Whether everything has arrived and was taken.
    pub const fn is_over(&self) -> bool {
        self.gone == self.recording.len() / SAMPLE
    }

    /// Has `samples` arrive. What the FIFO cannot hold is lost, the oldest first.
    pub fn arrive(&mut self, samples: usize) {
        let [_, fifo_enable] = self.control;
        if self.rate >> 4 == 0 || fifo_enable & 0x40 == 0 || self.mode & 0xC0 != 0x80 {
            return;
        }
        self.arrived = (self.arrived + samples).min(self.recording.len() / SAMPLE);
        self.gone = self.gone.max(self.arrived.saturating_sub(FIFO));
    }

    fn source(&self) -> u8 {
        match self.arrived - self.gone {
            0 => 0x20,
            count if count < FIFO => count as u8,
            _ => 0x5F,
        }
    }

    fn read(&mut self) -> Result<u8, Error> {
        let value = match self.pointer & 0x7F {
            register::WHO_AM_I => IDENTITY,
            register::CTRL_REG1 => self.rate,
            register::CTRL_REG4 => self.control[0],
            register::CTRL_REG5 => self.control[1],
            register::FIFO_CTRL_REG => self.mode,
            register::FIFO_SRC_REG => {
                self.arrive(ARRIVING[self.looks % ARRIVING.len()]);
                self.looks += 1;
                self.source()
            }
            data @ register::OUT_X_L..0x2E => {
                let place = SAMPLE * self.gone + usize::from(data - register::OUT_X_L);
                if data == 0x2D && self.gone < self.arrived {
                    self.gone += 1;
                }
                self.recording.get(place).copied().unwrap_or(0)
            }
            other => return Err(Error::Register(other)),
        };
        if self.pointer & 0x80 != 0 {
            self.pointer = match self.pointer {
                // With the FIFO on, the data go round.
                0xAD => 0x80 | register::OUT_X_L,
                pointer => pointer + 1,
            };
        }
        Ok(value)
    }

    fn write(&mut self, register: u8, value: u8) -> Result<(), Error> {
        match register {
            register::CTRL_REG1 => self.rate = value,
            register::CTRL_REG4 => self.control[0] = value,
            register::CTRL_REG5 => self.control[1] = value,
            register::FIFO_CTRL_REG => {
                self.mode = value;
                if value & 0xC0 == 0 {
                    self.gone = self.arrived;
                }
            }
            other => return Err(Error::Register(other)),
        }
        Ok(())
    }
}

impl i2c::ErrorType for Replay<'_> {
    type Error = Error;
}

impl I2c for Replay<'_> {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), Error> {
        if address != ADDRESS {
            return Err(Error::Address(address));
        }
        for operation in operations {
            match operation {
                Operation::Write(bytes) => {
                    let Some((pointer, values)) = bytes.split_first() else {
                        continue;
                    };
                    self.pointer = *pointer;
                    values
                        .iter()
                        .try_for_each(|value| self.write(*pointer & 0x7F, *value))?;
                }
                Operation::Read(bytes) => {
                    for byte in bytes.iter_mut() {
                        *byte = self.read()?;
                    }
                }
            }
        }
        Ok(())
    }
}
