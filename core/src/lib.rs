//! Inference of spiking neural networks with 1-bit weights.
#![no_std]
#![forbid(unsafe_code)]
