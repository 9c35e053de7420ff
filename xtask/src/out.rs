//! What the commands print: the one place that writes to standard output and error.
//!
//! `println!` panics where the reader has gone, as `head` does. Here its text is dropped, and the
//! work goes on to its end.

use std::fmt;
use std::io::{self, ErrorKind, Write};

use crate::outcome::{Failure, Outcome};

/// Writes a line to standard output: `println!` that gives an [`Outcome`].
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
pub(crate) fn say(text: fmt::Arguments<'_>) -> Outcome {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Work(format!(
            "cannot write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}

/// Writes a line to standard error.
pub(crate) fn note(text: fmt::Arguments<'_>) {
    // There is nowhere else to say that it cannot be written.
    let _ = writeln!(io::stderr(), "{text}");
}
