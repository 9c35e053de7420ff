//! Set-up, demo, tests and firmware builds: `cargo xtask help`.

fn main() {}
