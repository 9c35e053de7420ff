//! How a command can fail, and the exit code of each way.

use std::fmt;
use std::process::ExitCode;

/// Why a command did not do its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The work failed: a test, a build, a difference.
    Work(String),
    /// The program or its model is too large for the board.
    DoesNotFit(String),
    /// Wrong use, or something that set-up would bring is missing.
    Usage(String),
    /// A program that it ran was ended, since nobody reads what it prints.
    Unread,
    /// The user stopped it.
    Interrupted,
}

/// The result of a command or a part of one.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// The exit code by the contract of the command line.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Work(_) | Self::DoesNotFit(_) => 1,
            Self::Usage(_) => 2,
            Self::Interrupted => 130,
            // What a shell makes of SIGPIPE.
            Self::Unread => 141,
        })
    }

    /// The failure of a file operation, naming the operation and the path.
    pub(crate) fn file(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::Work(format!("cannot {doing} {}: {error}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Work(text) | Self::DoesNotFit(text) | Self::Usage(text) => f.write_str(text),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Unread => f.write_str("nobody reads the output"),
        }
    }
}
