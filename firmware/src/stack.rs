//! How much stack a program has used: paint it at the start, look later where the paint ends.
//!
//! The number is the deepest word that was written since [`paint`], interrupts included.

use core::ptr::{addr_of, addr_of_mut, read_volatile, write_volatile};

/// Unlikely as a value of its own.
const PAINT: u32 = 0xC0DE_57AC;
/// Words below a local of [`paint`] that stay unpainted: the rest of its own frame.
const MARGIN: usize = 32;

// The linker scripts of cortex-m-rt and riscv-rt both define these two; only their addresses count.
unsafe extern "C" {
    static mut __sheap: u32;
    static mut _stack_start: u32;
}

/// The lowest word that is the stack's alone: what follows the static data.
fn lowest() -> *mut u32 {
    addr_of_mut!(__sheap)
}

/// Fills the unused stack with a pattern.
#[inline(never)]
pub fn paint() {
    let here = 0;
    let end = addr_of!(here).wrapping_sub(MARGIN) as usize;
    let mut word = lowest();
    while (word as usize) < end {
        // SAFETY: the words between the static data and the stack's start belong to the stack
        // alone, and this one is at least MARGIN words below the innermost frame, which is ours.
        unsafe { write_volatile(word, PAINT) };
        word = word.wrapping_add(1);
    }
}

/// Bytes of stack used at the deepest moment since [`paint`].
pub fn high_water() -> usize {
    let start = addr_of!(_stack_start) as usize;
    let mut word = lowest();
    // SAFETY: the word lies in the stack's region, which is plain memory: any value may be read.
    while (word as usize) < start && unsafe { read_volatile(word) } == PAINT {
        word = word.wrapping_add(1);
    }
    start - word as usize
}

/// Bytes that the stack may take before it meets the static data.
pub fn limit() -> usize {
    (addr_of!(_stack_start) as usize - lowest() as usize).saturating_sub(MARGIN)
}

/// Whether the stack has reached the static data, by its last words; what the static data held
/// may be lost then.
pub fn is_full() -> bool {
    high_water() > limit()
}

/// Bytes of stack in use by the caller, to within a few words of its own frame.
#[inline(always)]
pub fn depth() -> usize {
    let here = 0;
    addr_of!(_stack_start) as usize - addr_of!(here) as usize
}
