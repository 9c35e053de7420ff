//! The line to the host over RTT: two ring buffers in RAM, which a debug probe reads and writes
//! while the processor runs. Channel 0 up is what the board says, channel 0 down what it is told.
//!
//! Without a probe nothing blocks: what finds no room is dropped.

use core::cell::UnsafeCell;
use core::hint::spin_loop;
use core::mem::MaybeUninit;
use core::ptr::addr_of_mut;

use rtt_target::rtt::{RttChannel, RttHeader};
use rtt_target::{ChannelMode, DownChannel, UpChannel};

use crate::board::Sent;

/// Bytes on the way to the host.
const UP: usize = 1024;
/// Bytes on the way from the host.
const DOWN: usize = 256;
/// Looks at a full buffer before the host counts as gone; about a second at 100 MHz.
const PATIENCE: u32 = 10_000_000;
/// The name of both channels.
const TERMINAL: &core::ffi::CStr = c"Terminal";

/// What the debugger looks for, by its symbol or by the text at its start.
#[repr(C)]
struct ControlBlock {
    header: RttHeader,
    up: RttChannel,
    down: RttChannel,
}

/// Memory that the debugger shares.
#[repr(transparent)]
struct Shared<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: only `Console::open` touches it, which is called once, on the one thread there is.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::zeroed()))
    }
}

// SAFETY: no other item has this name; debuggers know it.
#[unsafe(export_name = "_SEGGER_RTT")]
static CONTROL_BLOCK: Shared<ControlBlock> = Shared::new();
static UP_BYTES: Shared<[u8; UP]> = Shared::new();
static DOWN_BYTES: Shared<[u8; DOWN]> = Shared::new();

/// Text to the host, bytes from it.
pub(crate) struct Console {
    up: UpChannel,
    down: DownChannel,
    /// The host has taken nothing for too long; what follows is dropped without waiting.
    gone: bool,
}

impl core::fmt::Debug for Console {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Console").finish_non_exhaustive()
    }
}

impl Console {
    /// Lays out the control block.
    ///
    /// The library's own macro does this too, with a check that can panic, and nothing here may.
    pub(crate) fn open() -> Self {
        let block = CONTROL_BLOCK.0.get().cast::<ControlBlock>();
        // SAFETY: the board is taken once, so nothing else refers to the three statics; all zeros
        // are valid for them, and the sizes are those of the arrays.
        unsafe {
            let (up, down) = (addr_of_mut!((*block).up), addr_of_mut!((*block).down));
            let (name, mode) = (TERMINAL.as_ptr().cast(), || ChannelMode::NoBlockTrim);
            (*up).init(name, mode(), UP_BYTES.0.get().cast::<[u8; UP]>());
            (*down).init(name, mode(), DOWN_BYTES.0.get().cast::<[u8; DOWN]>());
            // Last: the debugger finds the block by it.
            (*block).header.init(1, 1);
            Self {
                up: UpChannel::new(up),
                down: DownChannel::new(down),
                gone: false,
            }
        }
    }

    /// Fills `bytes`, waiting for the host as long as it takes.
    pub(crate) fn receive(&mut self, bytes: &mut [u8]) -> bool {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..)
            && !rest.is_empty()
        {
            filled += self.down.read(rest);
        }
        true
    }

    /// Sends text; waits for room, but not for ever. What finds none is dropped: a device in the field
    /// goes on without a host.
    pub(crate) fn send(&mut self, text: &str) -> Sent {
        let mut sent = 0;
        let mut looks = 0;
        // The debugger sets a mode that would wait for ever when it leaves.
        self.up.set_mode(ChannelMode::NoBlockTrim);
        while let Some(rest) = text.as_bytes().get(sent..)
            && !rest.is_empty()
        {
            match self.up.write(rest) {
                0 if self.gone || looks >= PATIENCE => {
                    self.gone = true;
                    return Ok(());
                }
                0 => {
                    looks += 1;
                    spin_loop();
                }
                taken => {
                    (sent, looks) = (sent + taken, 0);
                    self.gone = false;
                }
            }
        }
        Ok(())
    }

    /// Nothing is held back.
    pub(crate) fn flush(&mut self) -> Sent {
        Ok(())
    }
}

/// The program is over; the board rests until it is reset. The host reads what is left.
pub(crate) fn leave(_code: i32) -> ! {
    loop {
        spin_loop();
    }
}

/// On a real board the program starts anew after a panic.
pub(crate) fn leave_after_a_panic() {}
