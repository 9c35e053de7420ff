//! The line to the host, over semihosting.

use core::fmt;

use heapless::String;
use semihosting::io::{Read, Stdin, Stdout, Write, stdin, stdout};

/// Bytes gathered before a call to the host: each call stops the machine.
const GATHERED: usize = 128;

/// Text to the host by lines, bytes from it.
#[derive(Debug)]
pub(crate) struct Console {
    input: Stdin,
    output: Stdout,
    line: String<GATHERED>,
}

impl Console {
    /// Opens both directions.
    ///
    /// # Panics
    /// Where the emulator was started without semihosting.
    pub(crate) fn open() -> Self {
        let (Ok(input), Ok(output)) = (stdin(), stdout()) else {
            panic!("no semihosting: start the emulator as `cargo xtask firmware BOARD` says");
        };
        Self {
            input,
            output,
            line: String::new(),
        }
    }

    /// Fills `bytes`; `false` at the end of the input.
    pub(crate) fn receive(&mut self, bytes: &mut [u8]) -> bool {
        self.input.read_exact(bytes).is_ok()
    }

    /// Sends what is gathered.
    pub(crate) fn flush(&mut self) -> fmt::Result {
        let sent = self.output.write_all(self.line.as_bytes());
        self.line.clear();
        sent.map_err(|_| fmt::Error)
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.line.push(character).is_err() {
                self.flush()?;
                self.line.push(character).map_err(|_| fmt::Error)?;
            }
            if character == '\n' {
                self.flush()?;
            }
        }
        Ok(())
    }
}
