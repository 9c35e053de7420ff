//! A stream: an accelerometer behind the traits of `embedded-hal` 1.0, its samples through core's
//! delta encoder into a network, the decision on an output pin.
//!
//! [`lis3dh`] is the driver, over I2C or SPI; [`watch`] is encoder, network and pin. [`soft_i2c`]
//! makes an I2C bus of two pins for boards without a driver of their own; [`replay`] is a sensor
//! that plays a recording, for machines without one. Nothing here depends on a board: the host's
//! tests run the same code as firmware/src/bin/stream.rs.
#![no_std]
#![forbid(unsafe_code)]

pub mod lis3dh;
pub mod replay;
pub mod soft_i2c;
pub mod watch;
