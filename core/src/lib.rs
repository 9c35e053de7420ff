#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! - [`model`]: the checked view of a model file, used in place, and the writer of such files;
//! - [`network`]: a model with its state in caller-supplied memory: `step`, `run`, `reset`;
//! - [`state`]: saving the state of a network, to go on with it elsewhere;
//! - [`kernel`]: the synaptic sums, a reference interpreter and faster kernels that equal it;
//! - [`cost`]: what a layer costs on a class of machines, from a measured table;
//! - [`lif`]: the leaky integrate-and-fire neuron in integers;
//! - [`encode`]: from sensor values to spikes; [`random`]: the generator behind the rate encoder;
//! - [`wide`]: the same network for the wide registers of a workstation;
//! - [`decode`]: decisions; [`bits`]: packed bits; [`hash`]: a hash of the state, to compare
//!   machines.
//!
//! All arithmetic is defined bit for bit by docs/numerics.md and exists only here: the trainer
//! and the firmware call it.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(target_endian = "big")]
compile_error!("model files are used in place and are little-endian");

pub mod bits;
pub mod cost;
pub mod decode;
pub mod encode;
pub mod hash;
pub mod kernel;
mod lanes;
pub mod lif;
pub mod message;
pub mod model;
pub mod network;
mod neurons;
pub mod random;
pub mod state;
mod stop;
mod store;
pub mod wide;
