//! Espressif ESP32-C3-DevKitM-1: RV32IMC, 4 MiB of flash, 400 KiB of RAM, of which 313 here.
//!
//! Espressif's second-stage boot loader starts it, at 80 MHz or what it sets. Registers by the
//! ESP32-C3 technical reference manual, version 1.1.

use core::arch::{asm, global_asm};
use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin};
use portable_atomic::{AtomicU32, Ordering};

use crate::machine::Facts;
use crate::register::{OpenDrain, Register};

pub(crate) const NAME: &str = "esp32-c3";

pub(crate) const FACTS: Facts = Facts {
    extensions: b"IMCU",
    start,
    instructions,
    reset,
};

/// The watchdogs of the two timer groups, of the always-on domain, and the super watchdog: register
/// of the key, the key, register to write, value.
const WATCHDOGS: [(usize, u32, usize, u32); 4] = [
    (0x6001_F064, 0x50D8_3AA1, 0x6001_F048, 0),
    (0x6002_0064, 0x50D8_3AA1, 0x6002_0048, 0),
    (0x6000_80A8, 0x50D8_3AA1, 0x6000_8090, 0),
    // Fed by itself.
    (0x6000_80B0, 0x8F1D_312A, 0x6000_80AC, 1 << 31),
];

/// `RTC_CNTL_OPTIONS0`, whose highest bit resets the chip.
const OPTIONS: usize = 0x6000_8000;

fn start() {
    for (lock, key, control, value) in WATCHDOGS {
        // SAFETY: registers of the watchdogs (chapters 12 and 13), which touch no memory.
        let (mut lock, mut control) = unsafe { (Register::at(lock), Register::at(control)) };
        lock.write(key);
        control.write(value);
        lock.write(0);
    }
    // SAFETY: the trap vector is a jump to the start code's own; the counter counts instructions
    // (section 1.4.2 and 1.6.3 of the manual), and nothing else uses it.
    unsafe {
        asm!(
            "la {0}, bitspike_trap",
            "ori {0}, {0}, 1",
            "csrw mtvec, {0}",
            "csrwi 0x7e0, 2",
            "csrwi 0x7e2, 0",
            "csrwi 0x7e1, 1",
            out(reg) _,
        );
    }
}

// This processor knows vectored traps alone, at multiples of 256; exceptions take the first entry.
global_asm!(
    ".section .trap.bitspike, \"ax\"",
    ".balign 256",
    ".global bitspike_trap",
    "bitspike_trap:",
    "j _start_trap",
    ".balign 256",
);

/// The counter has 32 bits; it is right as long as it is read once in each round of it.
fn instructions() -> u64 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    static ROUNDS: AtomicU32 = AtomicU32::new(0);
    let now: u32;
    // SAFETY: reading a counter.
    unsafe { asm!("csrr {0}, 0x7e2", out(reg) now, options(nomem, nostack)) };
    // There is one thread, and no interrupt reads it.
    if now < LAST.load(Ordering::Relaxed) {
        ROUNDS.store(
            ROUNDS.load(Ordering::Relaxed).wrapping_add(1),
            Ordering::Relaxed,
        );
    }
    LAST.store(now, Ordering::Relaxed);
    u64::from(ROUNDS.load(Ordering::Relaxed)) << 32 | u64::from(now)
}

fn reset() -> ! {
    // SAFETY: the reset of the whole digital system.
    let mut options = unsafe { Register::<u32>::at(OPTIONS) };
    loop {
        options.write(options.read() | 1 << 31);
    }
}

/// What Espressif's tools expect at the start of an image (`esp_app_desc_t` of ESP-IDF).
#[repr(C)]
struct Application {
    magic: u32,
    secure_version: u32,
    reserved: [u32; 2],
    version: [u8; 32],
    name: [u8; 32],
    time: [u8; 16],
    date: [u8; 16],
    idf_version: [u8; 32],
    elf_sha256: [u8; 32],
    /// Lowest and highest revision of the fuses, times 100.
    fuses: [u16; 2],
    /// Its logarithm to base 2.
    page_size: u8,
    reserved_bytes: [u8; 3],
    reserved_words: [u32; 18],
}

// SAFETY: the linker script keeps this name and this section, which nothing else uses.
#[unsafe(export_name = "APPLICATION")]
#[unsafe(link_section = ".flash.appdesc")]
static APPLICATION: Application = Application {
    magic: 0xABCD_5432,
    secure_version: 0,
    reserved: [0; 2],
    version: padded(env!("CARGO_PKG_VERSION")),
    name: padded(env!("CARGO_PKG_NAME")),
    time: [0; 16],
    date: [0; 16],
    idf_version: padded("none"),
    elf_sha256: [0; 32],
    fuses: [0, u16::MAX],
    page_size: 16,
    reserved_bytes: [0; 3],
    reserved_words: [0; 18],
};

/// A text with zeros behind it.
const fn padded(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut index = 0;
    while index < text.len() && index < 31 {
        bytes[index] = text.as_bytes()[index];
        index += 1;
    }
    bytes
}

/// Pin GPIO7: the LED of this board takes coded colours, not a level.
#[derive(Debug)]
pub struct BusyPin {
    set: Register<u32>,
    clear: Register<u32>,
}

impl BusyPin {
    const PIN: usize = 7;
    const MASK: u32 = 1 << Self::PIN;

    pub(crate) fn claim() -> Self {
        // SAFETY: registers of the GPIO matrix and the pin's multiplexer (chapter 5).
        let (set, clear, mut enable, mut output, mut function) = unsafe {
            (
                Register::at(0x6000_4008),
                Register::at(0x6000_400C),
                Register::at(0x6000_4024),
                Register::<u32>::at(0x6000_4554 + 4 * Self::PIN),
                Register::<u32>::at(0x6000_9004 + 4 * Self::PIN),
            )
        };
        // The plain output signal; function 1 (GPIO) and drive strength 2.
        output.write(128);
        function.write(1 << 12 | 2 << 10);
        enable.write(Self::MASK);
        Self { set, clear }
    }
}

impl ErrorType for BusyPin {
    type Error = Infallible;
}

impl OutputPin for BusyPin {
    fn set_high(&mut self) -> Result<(), Infallible> {
        self.set.write(Self::MASK);
        Ok(())
    }

    fn set_low(&mut self) -> Result<(), Infallible> {
        self.clear.write(Self::MASK);
        Ok(())
    }
}

/// Clock cycles of half a period of the sensor's bus, 5 us at 80 MHz.
pub(crate) const HALF_PERIOD: u32 = 400;

/// SCL on GPIO6 and SDA on GPIO5.
pub(crate) fn sensor_pins() -> [OpenDrain; 2] {
    [6, 5].map(|pin| {
        // SAFETY: registers of the GPIO matrix and the pin's multiplexer (chapter 5).
        let (mut kind, mut output, mut function, mut enable, clear, set, level) = unsafe {
            (
                Register::<u32>::at(0x6000_4074 + 4 * pin),
                Register::<u32>::at(0x6000_4554 + 4 * pin),
                Register::<u32>::at(0x6000_9004 + 4 * pin),
                Register::<u32>::at(0x6000_4024),
                Register::at(0x6000_400C),
                Register::at(0x6000_4008),
                Register::at(0x6000_403C),
            )
        };
        let mut line = OpenDrain {
            low: (clear, 1 << pin),
            release: (set, 1 << pin),
            level: (level, 1 << pin),
        };
        line.set(true);
        // Open-drain; the plain output signal; GPIO, input on, pulled up.
        kind.write(1 << 2);
        output.write(128);
        function.write(1 << 12 | 2 << 10 | 1 << 9 | 1 << 8);
        enable.write(1 << pin);
        line
    })
}
