//! The line to the host over semihosting, which an emulator answers.

use heapless::Vec;
use semihosting::fd::{BorrowedFd, OwnedFd};
use semihosting::sys::arm_compat::{OpenMode, sys_open, sys_read_orig, sys_write_orig};

use crate::board::{Gone, Sent};

/// Bytes gathered before a call to the host: each call stops the machine.
const GATHERED: usize = 32;

/// The console's name among the host's files.
const CONSOLE: &core::ffi::CStr = c":tt";

/// Text to the host by lines, bytes from it.
#[derive(Debug)]
pub(crate) struct Console {
    input: OwnedFd,
    output: OwnedFd,
    line: Vec<u8, GATHERED>,
}

impl Console {
    /// Opens both directions; ends the program where there is no host.
    pub(crate) fn open() -> Self {
        let opened = (
            sys_open(CONSOLE, OpenMode::RDONLY),
            sys_open(CONSOLE, OpenMode::WRONLY_TRUNC),
        );
        let (Ok(input), Ok(output)) = opened else {
            semihosting::process::abort()
        };
        Self {
            input,
            output,
            line: Vec::new(),
        }
    }

    /// Fills `bytes`; `false` at the end of the input.
    pub(crate) fn receive(&mut self, bytes: &mut [u8]) -> bool {
        let mut left = bytes.len();
        while left > 0 {
            let Some(rest) = bytes.len().checked_sub(left) else {
                return false;
            };
            let Some(rest) = bytes.get_mut(rest..) else {
                return false;
            };
            // The call gives what is still missing.
            match borrow(&self.input).and_then(|input| sys_read_orig(input, rest).ok()) {
                Some(missing) if missing < left => left = missing,
                _ => return false,
            }
        }
        true
    }

    /// Gathers text; a full line goes to the host.
    pub(crate) fn send(&mut self, text: &str) -> Sent {
        for &byte in text.as_bytes() {
            if self.line.push(byte).is_err() {
                self.flush()?;
                let _ = self.line.push(byte);
            }
            if byte == b'\n' {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Sends what is gathered.
    pub(crate) fn flush(&mut self) -> Sent {
        let mut left = self.line.len();
        while let Some(rest) = self.line.len().checked_sub(left)
            && let Some(rest) = self.line.get(rest..)
            && !rest.is_empty()
        {
            match borrow(&self.output).and_then(|output| sys_write_orig(output, rest).ok()) {
                Some(missing) if missing < left => left = missing,
                _ => {
                    self.line.clear();
                    return Err(Gone);
                }
            }
        }
        self.line.clear();
        Ok(())
    }
}

/// The descriptor for one call. The crate's own way holds a check that can panic, and nothing
/// here may.
fn borrow(fd: &OwnedFd) -> Option<BorrowedFd<'_>> {
    let raw = fd.as_raw_fd();
    // SAFETY: it is open as long as its owner, and not -1.
    (raw != -1).then(|| unsafe { BorrowedFd::borrow_raw(raw) })
}

/// Ends the program; the emulator ends with this code.
pub(crate) fn leave(code: i32) -> ! {
    semihosting::process::exit(code)
}

/// Ends the program after a panic.
pub(crate) fn leave_after_a_panic() {
    semihosting::process::abort()
}
