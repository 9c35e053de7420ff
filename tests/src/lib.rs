//! Cross-crate tests, in `tests/`, and here what they share.

pub mod cli;
pub mod device;
pub mod networks;
