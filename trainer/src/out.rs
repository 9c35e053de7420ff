//! What the command prints: the one place that writes to standard output and error.
//!
//! `println!` panics where the reader has gone, as `head` does. Here its text is dropped, and the
//! work goes on to its end.

use std::fmt;
use std::io::{self, ErrorKind, Write};

use crate::{Error, Result};

/// Writes a line to standard output: `println!` that gives a [`Result`].
macro_rules! say {
    ($($text:tt)*) => {
        $crate::out::say(format_args!($($text)*))
    };
}

/// Writes a line to standard error: `eprintln!` that does not mind a reader that has gone.
macro_rules! note {
    ($($text:tt)*) => {
        $crate::out::note(format_args!($($text)*))
    };
}

/// Writes a line to standard output; drops it where nobody reads any more.
///
/// # Errors
/// [`Error::Failed`] where it cannot be written: a full disk.
pub fn say(text: fmt::Arguments<'_>) -> Result<()> {
    read(text).map(|_| ())
}

/// As [`say`], at once; `false` where nobody reads any more.
///
/// # Errors
/// As [`say`].
pub fn read(text: fmt::Arguments<'_>) -> Result<bool> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::failed(format!(
            "cannot write to standard output: {error}"
        ))),
    }
}

/// Writes a line to standard error.
pub fn note(text: fmt::Arguments<'_>) {
    // There is nowhere else to say that it cannot be written.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
