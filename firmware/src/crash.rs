//! What is left of a program that panics or faults: it is written to RAM that no reset clears, the
//! board resets, and the next start tells the host.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::panic::PanicInfo;

use bitspike_core::message::Piece::{self, Hex, Number, Text};
use bitspike_link::CRASH_BYTES;
use bitspike_link::message::Crash;

use crate::machine;

/// Says that a record is one; RAM holds anything after power-on.
const MAGIC: u32 = 0xB175_DEAD;
/// Words of a text that are kept, its last ones: a path ends in what tells files apart.
const KEPT: usize = CRASH_BYTES / 4;
/// Magic, number, the bytes of both texts, the texts, a sum of all before it.
const WORDS: usize = 4 + 2 * KEPT + 1;

#[repr(transparent)]
struct NoInit(UnsafeCell<MaybeUninit<[u32; WORDS]>>);

// SAFETY: it is written by a fault alone, which ends the program: nobody reads it then.
unsafe impl Sync for NoInit {}

// SAFETY: the linker scripts of cortex-m-rt and riscv-rt know this section, which nothing clears.
#[unsafe(link_section = ".uninit.crash")]
static RECORD: NoInit = NoInit(UnsafeCell::new(MaybeUninit::uninit()));

/// What the last start left, where it was written: all but the magic.
#[derive(Debug)]
pub(crate) struct Record(&'static [u32; WORDS - 1]);

impl Record {
    /// The record of the last start, which the next one will not find; none after power-on.
    pub(crate) fn take() -> Option<Self> {
        let record = RECORD.0.get().cast::<u32>();
        // SAFETY: plain words in RAM of their own, to which nothing else refers: any value may be read.
        let (magic, words) = unsafe {
            let magic = record.read_volatile();
            record.write_volatile(0);
            (magic, &*record.add(1).cast::<[u32; WORDS - 1]>())
        };
        let (check, said) = words.split_last()?;
        (magic == MAGIC && *check == sum(MAGIC, said)).then_some(Self(words))
    }

    /// What happened, and where.
    pub(crate) fn crash(&self) -> Crash<'static> {
        Crash {
            what: self.text(1, 3),
            file: self.text(2, 3 + KEPT),
            line: self.word(0),
        }
    }

    fn word(&self, index: usize) -> u32 {
        self.0.get(index).copied().unwrap_or(0)
    }

    fn text(&self, length: usize, from: usize) -> &'static str {
        let Self(words) = *self;
        let bytes: &[u8] = bytemuck::cast_slice(words.get(from..).unwrap_or_default());
        let bytes = bytes.get(..self.word(length) as usize).unwrap_or_default();
        if !bytes.is_ascii() {
            return "(not text)";
        }
        // SAFETY: ASCII is UTF-8. The library's own check takes 1 KB of flash.
        unsafe { str::from_utf8_unchecked(bytes) }
    }
}

/// Where, in pieces.
pub(crate) fn place(crash: Crash<'static>) -> [Piece<'static>; 3] {
    match crash.file {
        "" => [Text("address"), Text(" 0x"), Hex(crash.line)],
        file => [Text(file), Text(":"), Number(crash.line.into())],
    }
}

/// A check sum of the magic and the words behind it.
fn sum(magic: u32, words: &[u32]) -> u32 {
    words
        .iter()
        .fold(magic, |sum, word| sum.rotate_left(5).wrapping_add(*word))
}

/// Keeps the last bytes of a text; how many they are.
fn keep(text: &str, words: &mut [u32]) -> u32 {
    let text = text.as_bytes();
    let kept: &mut [u8] = bytemuck::cast_slice_mut(words);
    let from = text.len().saturating_sub(kept.len());
    let last = text.get(from..).unwrap_or_default();
    kept.iter_mut()
        .zip(last)
        .for_each(|(kept, byte)| *kept = *byte);
    last.len() as u32
}

/// Keeps what happened for the next start, and resets.
pub(crate) fn stop(what: &str, file: &str, line: u32) -> ! {
    let mut words = [0; WORDS];
    if let Some((check, said)) = words.split_last_mut() {
        if let Some((head, texts)) = said.split_at_mut_checked(4)
            && let Some((kept_what, kept_file)) = texts.split_at_mut_checked(KEPT)
        {
            let lengths = [keep(what, kept_what), keep(file, kept_file)];
            head.copy_from_slice(&[MAGIC, line, lengths[0], lengths[1]]);
        }
        *check = said
            .split_first()
            .map_or(0, |(magic, said)| sum(*magic, said));
    }
    // SAFETY: the record's own RAM; the program ends here, so nobody reads it meanwhile.
    unsafe { RECORD.0.get().cast::<[u32; WORDS]>().write_volatile(words) };
    machine::reset()
}

/// As [`stop`], for a fault of the processor at an address.
pub(crate) fn fault(what: &str, address: u32) -> ! {
    stop(what, "", address)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let what = info.message().as_str().unwrap_or("a bug");
    match info.location() {
        Some(place) => stop(what, place.file(), place.line()),
        None => stop(what, "an unknown place", 0),
    }
}
