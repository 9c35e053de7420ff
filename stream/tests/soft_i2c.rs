//! The bus of two pins against a device that watches the lines, edge by edge.

use bitspike_stream::lis3dh::{ADDRESS, Lis3dh, OverI2c, Rate};
use bitspike_stream::replay::Replay;
use bitspike_stream::soft_i2c::{Error, Lines, SoftI2c};
use embedded_hal::i2c::{I2c, NoAcknowledgeSource, Operation};

/// What the device does with the next clocks.
#[derive(Debug, PartialEq)]
enum Phase {
    Idle,
    /// Address and bytes from the controller, the bits so far.
    Listening {
        bits: u8,
        byte: u8,
        address: bool,
    },
    /// It pulls the line for an acknowledgement in this clock; then listens or talks.
    Acknowledging {
        talks: bool,
    },
    Talking {
        bits: u8,
        byte: u8,
    },
    /// The controller acknowledges, or not, in this clock.
    Asking,
}

/// A LIS3DH behind the lines: what is written goes to the replayed one a transfer at a time.
struct Device<'a> {
    sensor: Replay<'a>,
    address: u8,
    phase: Phase,
    clock: bool,
    data: bool,
    pulls: bool,
    written: Vec<u8>,
    /// Looks at the clock for which it is held down after each byte.
    stretch: u32,
    holds: u32,
    /// The line of data hangs until so many clocks have come.
    hangs: u32,
    starts: u32,
    stops: u32,
}

impl<'a> Device<'a> {
    fn new(recording: &'a [u8]) -> Self {
        Self {
            sensor: Replay::new(recording),
            address: ADDRESS,
            phase: Phase::Idle,
            clock: true,
            data: true,
            pulls: false,
            written: Vec::new(),
            stretch: 0,
            holds: 0,
            hangs: 0,
            starts: 0,
            stops: 0,
        }
    }

    /// Hands what was written to the sensor.
    fn flush(&mut self) {
        if !self.written.is_empty() {
            let written = std::mem::take(&mut self.written);
            self.sensor.write(self.address, &written).unwrap();
        }
    }

    fn next_byte(&mut self) -> u8 {
        let mut byte = [0];
        self.sensor.read(self.address, &mut byte).unwrap();
        byte[0]
    }

    fn rising(&mut self, line: bool) {
        match &mut self.phase {
            Phase::Listening { bits, byte, .. } => {
                *byte = *byte << 1 | u8::from(line);
                *bits += 1;
            }
            Phase::Talking { bits, .. } => *bits += 1,
            Phase::Asking if line => self.phase = Phase::Idle,
            _ => {}
        }
    }

    fn falling(&mut self) {
        self.pulls = false;
        self.hangs = self.hangs.saturating_sub(1);
        match self.phase {
            Phase::Listening {
                bits: 8,
                byte,
                address,
            } => {
                self.holds = self.stretch;
                let talks = if !address {
                    self.written.push(byte);
                    false
                } else if byte >> 1 != self.address {
                    self.phase = Phase::Idle;
                    return;
                } else {
                    byte & 1 != 0
                };
                self.pulls = true;
                self.phase = Phase::Acknowledging { talks };
            }
            Phase::Acknowledging { talks: false } => {
                self.phase = Phase::Listening {
                    bits: 0,
                    byte: 0,
                    address: false,
                };
            }
            Phase::Acknowledging { talks: true } | Phase::Asking => {
                self.flush();
                let byte = self.next_byte();
                self.pulls = byte & 0x80 == 0;
                self.phase = Phase::Talking { bits: 0, byte };
            }
            Phase::Talking { bits: 8, .. } => self.phase = Phase::Asking,
            Phase::Talking { bits, byte } => self.pulls = byte >> (7 - bits) & 1 == 0,
            _ => {}
        }
    }
}

impl Lines for Device<'_> {
    fn clock(&mut self, high: bool) {
        let line = self.data_is_high();
        match (self.clock, high) {
            (false, true) => self.rising(line),
            (true, false) => self.falling(),
            _ => {}
        }
        self.clock = high;
    }

    fn data(&mut self, high: bool) {
        if self.clock && self.data != high && !self.pulls && self.hangs == 0 {
            if high {
                self.stops += 1;
                self.flush();
                self.phase = Phase::Idle;
            } else {
                self.starts += 1;
                self.flush();
                self.phase = Phase::Listening {
                    bits: 0,
                    byte: 0,
                    address: true,
                };
            }
        }
        self.data = high;
    }

    fn clock_is_high(&mut self) -> bool {
        self.holds = self.holds.saturating_sub(1);
        self.clock && self.holds == 0
    }

    fn data_is_high(&mut self) -> bool {
        self.data && !self.pulls && self.hangs == 0
    }

    fn wait(&mut self) {}
}

const RECORDING: &[u8] = include_bytes!("../motion/recording.bin");

/// The driver over the lines reads what it reads from the sensor itself.
#[test]
fn the_driver_reads_the_recording_over_the_lines() {
    for stretch in [0, 7] {
        let mut device = Device::new(RECORDING);
        device.stretch = stretch;
        let mut far = Lis3dh::new(OverI2c {
            i2c: SoftI2c::new(device),
            address: ADDRESS,
        });
        let mut near = Lis3dh::new(OverI2c {
            i2c: Replay::new(RECORDING),
            address: ADDRESS,
        });
        far.start(Rate::Hz100).unwrap();
        near.start(Rate::Hz100).unwrap();
        let mut read = 0;
        while !near.registers().i2c.is_over() {
            let mut samples = [[[0; 3]; 32]; 2];
            let count = near.read(&mut samples[0]).unwrap();
            assert_eq!(far.read(&mut samples[1]), Ok(count));
            assert_eq!(samples[0], samples[1]);
            read += count;
        }
        assert_eq!(read, RECORDING.len() / 6);
    }
}

#[test]
fn nobody_at_the_address_is_named_and_the_bus_is_free_afterwards() {
    let mut bus = SoftI2c::new(Device::new(RECORDING));
    let mut byte = [0];
    let missing = Error::NoAcknowledge(NoAcknowledgeSource::Address);
    assert_eq!(bus.write_read(0x42, &[0x0F], &mut byte), Err(missing));
    assert_eq!(bus.lines().stops, 1);
    assert_eq!(bus.write_read(ADDRESS, &[0x0F], &mut byte), Ok(()));
    assert_eq!(byte, [0x33]);
}

#[test]
fn operations_of_one_direction_are_one_transfer() {
    let mut bus = SoftI2c::new(Device::new(RECORDING));
    let (mut first, mut second) = ([0], [0]);
    bus.transaction(
        ADDRESS,
        &mut [
            Operation::Write(&[0x8F]),
            Operation::Read(&mut first),
            Operation::Write(&[0x23]),
            Operation::Write(&[0x88]),
        ],
    )
    .unwrap();
    bus.write_read(ADDRESS, &[0x23], &mut second).unwrap();
    assert_eq!((first, second), ([0x33], [0x88]));
    let lines = bus.lines();
    assert_eq!((lines.starts, lines.stops), (3 + 2, 2));
}

#[test]
fn a_device_that_was_cut_off_is_clocked_free_and_a_dead_line_is_named() {
    let mut bus = SoftI2c::new(Device::new(RECORDING));
    let mut byte = [0];
    bus.lines().hangs = 6;
    assert_eq!(bus.write_read(ADDRESS, &[0x0F], &mut byte), Ok(()));
    assert_eq!(byte, [0x33]);

    bus.lines().hangs = u32::MAX;
    assert_eq!(
        bus.write_read(ADDRESS, &[0x0F], &mut byte),
        Err(Error::Stuck)
    );
    bus.lines().hangs = 0;
    bus.lines().holds = u32::MAX;
    assert_eq!(
        bus.write_read(ADDRESS, &[0x0F], &mut byte),
        Err(Error::Stuck)
    );
    bus.lines().holds = 0;
    assert_eq!(bus.write_read(ADDRESS, &[0x0F], &mut byte), Ok(()));
}
