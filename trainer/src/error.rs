//! The errors of the library, and the exit code that each ends with.

/// What went wrong, in words for the person at the command line.
///
/// The variants are the exit codes of the command line (see [`Error::exit_code`]); the message
/// names the thing that is wrong (a path, a key, a number) and says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Wrong use, wrong input or set-up missing.
    #[error("{0}")]
    Usage(String),
    /// The work itself failed: a difference, a full disk, a dead emulator.
    #[error("{0}")]
    Failed(String),
    /// Stopped by the user; the message says how to go on.
    #[error("{0}")]
    Stopped(String),
}

impl Error {
    /// Wrong use, wrong input or set-up missing (exit code 2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// The work itself failed (exit code 1).
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// The process exit code: 1, 2 or 130.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Stopped(_) => 130,
        }
    }
}

/// A result with the library's [`Error`].
pub type Result<T, E = Error> = core::result::Result<T, E>;
