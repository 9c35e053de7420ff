//! Driver of the LIS3DH, an accelerometer of three axes with a FIFO of 32 samples.
//!
//! Registers and bits by STMicroelectronics' data sheet DocID17530 (chapters 6 to 8) and application
//! note AN3308. The LIS2DH12, LIS3DE's big sister LIS2DE12 and the accelerometer of the LSM303AGR share
//! this part of the map and the identification; only the LIS3DH was in mind when this was written.

use core::fmt;

use embedded_hal::i2c::I2c;
use embedded_hal::spi::{Operation, SpiDevice};

/// Address on I2C with the pin SDO/SA0 low; high makes it one more.
pub const ADDRESS: u8 = 0x18;
/// What [`register::WHO_AM_I`] holds.
pub const IDENTITY: u8 = 0x33;
/// Samples that the FIFO holds.
pub const FIFO: usize = 32;
/// Bytes of a sample.
const SAMPLE: usize = 6;

/// Registers (data sheet, table 21).
pub mod register {
    /// Identification.
    pub const WHO_AM_I: u8 = 0x0F;
    /// Data rate, low-power mode, axes.
    pub const CTRL_REG1: u8 = 0x20;
    /// Block data update, range, high resolution.
    pub const CTRL_REG4: u8 = 0x23;
    /// FIFO enable.
    pub const CTRL_REG5: u8 = 0x24;
    /// First byte of six: x, y, z, low byte first.
    pub const OUT_X_L: u8 = 0x28;
    /// Mode of the FIFO.
    pub const FIFO_CTRL_REG: u8 = 0x2E;
    /// State of the FIFO.
    pub const FIFO_SRC_REG: u8 = 0x2F;
}

/// All three axes on.
const AXES: u8 = 0b111;
/// Neither half of a value changes between the reads of both; +-2 g; 12 bits.
const BLOCK_UPDATE_2G_HIGH_RESOLUTION: u8 = 0x88;
const FIFO_ENABLE: u8 = 0x40;
/// Off and empty.
const BYPASS: u8 = 0x00;
/// The newest samples stay.
const STREAM: u8 = 0x80;
const OVERRUN: u8 = 0x40;
const EMPTY: u8 = 0x20;
const COUNT: u8 = 0x1F;

/// Samples a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// 25.
    Hz25 = 3,
    /// 50.
    Hz50 = 4,
    /// 100.
    Hz100 = 5,
    /// 200.
    Hz200 = 6,
    /// 400.
    Hz400 = 7,
}

/// What went wrong; the next [`Lis3dh::start`] begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error<E> {
    /// The bus failed.
    Bus(E),
    /// Something answers, but it is no LIS3DH.
    WrongDevice {
        /// What it says it is; [`IDENTITY`] is right.
        found: u8,
    },
    /// The FIFO was full: samples may be lost between those read before and those to come.
    Overrun,
}

impl<E> From<E> for Error<E> {
    fn from(error: E) -> Self {
        Self::Bus(error)
    }
}

impl<E: fmt::Debug> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bus(error) => write!(f, "the bus failed: {error:?}"),
            Self::WrongDevice { found } => write!(
                f,
                "WHO_AM_I is {found:#04x}, not {IDENTITY:#04x}: no LIS3DH answers"
            ),
            Self::Overrun => f.write_str("the FIFO was full: samples may be lost"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for Error<E> {}

/// Access to the registers, whatever the bus.
pub trait Registers {
    /// An error of the bus.
    type Error;

    /// Reads registers from `register` on, one a byte; the FIFO's data go round by themselves.
    ///
    /// # Errors
    /// That of the bus.
    fn read(&mut self, register: u8, values: &mut [u8]) -> Result<(), Self::Error>;

    /// Writes one register.
    ///
    /// # Errors
    /// That of the bus.
    fn write(&mut self, register: u8, value: u8) -> Result<(), Self::Error>;
}

/// Registers over I2C (data sheet, section 6.1.1): the highest bit counts addresses up.
#[derive(Debug)]
pub struct OverI2c<I> {
    /// The bus.
    pub i2c: I,
    /// The sensor's address: [`ADDRESS`] or one more.
    pub address: u8,
}

impl<I: I2c> Registers for OverI2c<I> {
    type Error = I::Error;

    fn read(&mut self, register: u8, values: &mut [u8]) -> Result<(), I::Error> {
        let up = if values.len() > 1 { 0x80 } else { 0 };
        self.i2c.write_read(self.address, &[register | up], values)
    }

    fn write(&mut self, register: u8, value: u8) -> Result<(), I::Error> {
        self.i2c.write(self.address, &[register, value])
    }
}

/// Registers over SPI (data sheet, section 6.2): the highest bit reads, the next counts up.
#[derive(Debug)]
pub struct OverSpi<S> {
    /// The sensor on its bus, in mode 0 or 3, at most 10 MHz.
    pub spi: S,
}

impl<S: SpiDevice> Registers for OverSpi<S> {
    type Error = S::Error;

    fn read(&mut self, register: u8, values: &mut [u8]) -> Result<(), S::Error> {
        let up = if values.len() > 1 { 0x40 } else { 0 };
        let command = [register | 0x80 | up];
        self.spi
            .transaction(&mut [Operation::Write(&command), Operation::Read(values)])
    }

    fn write(&mut self, register: u8, value: u8) -> Result<(), S::Error> {
        self.spi.write(&[register, value])
    }
}

/// The sensor.
///
/// ```
/// use bitspike_stream::lis3dh::{ADDRESS, Lis3dh, OverI2c, Rate};
/// use bitspike_stream::replay::Replay;
///
/// // A board's I2C bus in place of a recording of one sample.
/// let bus = Replay::new(&[0x10, 0, 0x20, 0, 0, 0x3E]);
/// let i2c = OverI2c { i2c: bus, address: ADDRESS };
/// let mut sensor = Lis3dh::new(i2c);
/// sensor.start(Rate::Hz100)?;
/// let mut samples = [[0; 3]; 32];
/// let count = sensor.read(&mut samples)?;
/// assert_eq!(samples[..count], [[1, 2, 992]]); // x, y, z in mg
/// # Ok::<(), bitspike_stream::lis3dh::Error<bitspike_stream::replay::Error>>(())
/// ```
#[derive(Debug)]
pub struct Lis3dh<R> {
    registers: R,
}

impl<R: Registers> Lis3dh<R> {
    /// A sensor that nothing has been said to yet.
    pub const fn new(registers: R) -> Self {
        Self { registers }
    }

    /// Checks that it is one, and has it measure into an empty FIFO: +-2 g, 12 bits.
    ///
    /// After power-on it takes 5 ms until it answers. Five writes.
    ///
    /// # Errors
    /// [`Error::WrongDevice`], [`Error::Bus`].
    pub fn start(&mut self, rate: Rate) -> Result<(), Error<R::Error>> {
        let mut found = [0];
        self.registers.read(register::WHO_AM_I, &mut found)?;
        let [found] = found;
        if found != IDENTITY {
            return Err(Error::WrongDevice { found });
        }
        self.registers
            .write(register::CTRL_REG4, BLOCK_UPDATE_2G_HIGH_RESOLUTION)?;
        self.registers.write(register::CTRL_REG5, FIFO_ENABLE)?;
        // What an earlier program left goes.
        self.registers.write(register::FIFO_CTRL_REG, BYPASS)?;
        self.registers.write(register::FIFO_CTRL_REG, STREAM)?;
        self.registers
            .write(register::CTRL_REG1, (rate as u8) << 4 | AXES)?;
        Ok(())
    }

    /// Takes the samples that are there, oldest first, as many as fit; how many they are. A sample is
    /// x, y and z in mg.
    ///
    /// # Errors
    /// [`Error::Overrun`] where the FIFO was full, which empties it; [`Error::Bus`].
    pub fn read(&mut self, samples: &mut [[i16; 3]]) -> Result<usize, Error<R::Error>> {
        let mut state = [0];
        self.registers.read(register::FIFO_SRC_REG, &mut state)?;
        let [state] = state;
        if state & OVERRUN != 0 {
            self.registers.write(register::FIFO_CTRL_REG, BYPASS)?;
            self.registers.write(register::FIFO_CTRL_REG, STREAM)?;
            return Err(Error::Overrun);
        }
        let there = if state & EMPTY != 0 { 0 } else { state & COUNT };
        let count = usize::from(there).min(samples.len());
        let mut bytes = [0; SAMPLE * FIFO];
        let Some(bytes) = bytes.get_mut(..SAMPLE * count) else {
            return Ok(0);
        };
        if count > 0 {
            self.registers.read(register::OUT_X_L, bytes)?;
        }
        for (sample, bytes) in samples.iter_mut().zip(bytes.chunks_exact(SAMPLE)) {
            for (value, half) in sample.iter_mut().zip(bytes.chunks_exact(2)) {
                let &[low, high] = half else { continue };
                // Twelve bits at the left of sixteen.
                *value = i16::from_le_bytes([low, high]) >> 4;
            }
        }
        Ok(count)
    }

    /// The registers.
    pub fn registers(&self) -> &R {
        &self.registers
    }
}
