//! The `bitspike` command.

fn main() {}
