//! An I2C bus of two pins, driven by the processor: for boards whose I2C block has no driver here.
//!
//! By NXP's UM10204, standard mode: one controller, seven-bit addresses, stretching of the clock. The pins
//! are open-drain, with pull-ups on the board or in the pins.

use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};

/// Half periods that a device may hold the clock low.
const STRETCH: u32 = 10_000;

/// The two lines, and time.
pub trait Lines {
    /// Lets the clock go up, or pulls it down.
    fn clock(&mut self, high: bool);
    /// Lets the data line go up, or pulls it down.
    fn data(&mut self, high: bool);
    /// Whether the clock is up; a device may hold it down.
    fn clock_is_high(&mut self) -> bool;
    /// Whether the data line is up.
    fn data_is_high(&mut self) -> bool;
    /// Waits for half a period: 5 us make 100 kHz.
    fn wait(&mut self);
}

/// Why a transaction failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// No device took the address or a byte.
    NoAcknowledge(NoAcknowledgeSource),
    /// A line stays down: a short circuit, no pull-ups, or a device that hangs.
    Stuck,
}

impl embedded_hal::i2c::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoAcknowledge(source) => ErrorKind::NoAcknowledge(*source),
            Self::Stuck => ErrorKind::Bus,
        }
    }
}

/// The bus.
#[derive(Debug)]
pub struct SoftI2c<L> {
    lines: L,
}

impl<L: Lines> SoftI2c<L> {
    /// A bus at rest.
    pub fn new(mut lines: L) -> Self {
        lines.data(true);
        lines.clock(true);
        Self { lines }
    }

    /// The lines.
    pub fn lines(&mut self) -> &mut L {
        &mut self.lines
    }

    /// Lets the clock go up, and waits until it is.
    fn rise(&mut self) -> Result<(), Error> {
        self.lines.clock(true);
        for _ in 0..STRETCH {
            if self.lines.clock_is_high() {
                self.lines.wait();
                return Ok(());
            }
            self.lines.wait();
        }
        Err(Error::Stuck)
    }

    fn fall(&mut self) {
        self.lines.clock(false);
        self.lines.wait();
    }

    /// A start, or one more within a transaction.
    fn start(&mut self) -> Result<(), Error> {
        self.lines.data(true);
        self.lines.wait();
        self.rise()?;
        // A device that was cut off within a byte lets go after at most nine clocks.
        for _ in 0..9 {
            if self.lines.data_is_high() {
                break;
            }
            self.fall();
            self.rise()?;
        }
        if !self.lines.data_is_high() {
            return Err(Error::Stuck);
        }
        self.lines.data(false);
        self.lines.wait();
        self.fall();
        Ok(())
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.lines.data(false);
        self.lines.wait();
        self.rise()?;
        self.lines.data(true);
        self.lines.wait();
        Ok(())
    }

    /// Sends a bit, or listens where it is 1; what the line was.
    fn bit(&mut self, bit: bool) -> Result<bool, Error> {
        self.lines.data(bit);
        self.lines.wait();
        self.rise()?;
        let seen = self.lines.data_is_high();
        self.fall();
        Ok(seen)
    }

    fn send(&mut self, byte: u8, source: NoAcknowledgeSource) -> Result<(), Error> {
        for shift in (0..8).rev() {
            self.bit(byte >> shift & 1 != 0)?;
        }
        if self.bit(true)? {
            return Err(Error::NoAcknowledge(source));
        }
        Ok(())
    }

    fn receive(&mut self, last: bool) -> Result<u8, Error> {
        let mut byte = 0;
        for _ in 0..8 {
            byte = byte << 1 | u8::from(self.bit(true)?);
        }
        // The last byte is not acknowledged: the device then lets go of the line.
        self.bit(last)?;
        Ok(byte)
    }

    fn perform(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), Error> {
        let mut reading = None;
        let mut rest = operations.iter_mut().peekable();
        while let Some(operation) = rest.next() {
            let reads = matches!(operation, Operation::Read(_));
            // Operations of one direction are one transfer.
            if reading != Some(reads) {
                self.start()?;
                self.send(address << 1 | u8::from(reads), NoAcknowledgeSource::Address)?;
                reading = Some(reads);
            }
            match operation {
                Operation::Write(bytes) => {
                    for byte in *bytes {
                        self.send(*byte, NoAcknowledgeSource::Data)?;
                    }
                }
                Operation::Read(bytes) => {
                    let goes_on = matches!(rest.peek(), Some(Operation::Read(_)));
                    let count = bytes.len();
                    for (index, byte) in bytes.iter_mut().enumerate() {
                        *byte = self.receive(!goes_on && index + 1 == count)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl<L> ErrorType for SoftI2c<L> {
    type Error = Error;
}

impl<L: Lines> I2c for SoftI2c<L> {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), Error> {
        let done = self.perform(address, operations);
        // After an error too: the bus must be free for what comes next.
        let stopped = self.stop();
        done.and(stopped)
    }
}
