//! The recording, and what core alone makes of it; tests/tests/qemu.rs reads this too.
#![allow(dead_code, reason = "not every test uses all of it")]

use bitspike_core::encode::Delta;
use bitspike_core::hash::StateHash;
use bitspike_core::model::Model;
use bitspike_core::network::Network;

/// The shipped model.
pub(crate) const MODEL: &[u8] = include_bytes!("../../motion/motion.bsnn");
/// Its recording, as the sensor's registers hold it.
pub(crate) const RECORDING: &[u8] = include_bytes!("../../motion/recording.bin");
/// What was played in each window.
pub(crate) const MOTIONS: &str = include_str!("../../motion/recording.txt");
/// Of the delta encoder, in mg: motion/make.py.
pub(crate) const STEP: i16 = 40;
/// The classes by number.
pub(crate) const CLASSES: [&str; 4] = ["rest", "shake", "turn", "tap"];

/// A model file as words.
pub(crate) fn words(bytes: &[u8]) -> Vec<u32> {
    let words = bytes.chunks_exact(4);
    words
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
        .collect()
}

/// The recording in mg.
pub(crate) fn samples() -> Vec<[i16; 3]> {
    let values: Vec<i16> = RECORDING
        .chunks_exact(2)
        .map(|half| i16::from_le_bytes(half.try_into().unwrap()) >> 4)
        .collect();
    values
        .chunks_exact(3)
        .map(|sample| sample.try_into().unwrap())
        .collect()
}

/// Class and hash of every window, by core alone.
pub(crate) fn expected(model: &Model<'_>) -> Vec<(usize, u64)> {
    let mut memory = vec![0; model.sizes().memory_words()];
    let mut network = Network::new(model, &mut memory).unwrap();
    let mut windows = Vec::new();
    for window in samples().chunks_exact(model.steps() as usize) {
        let mut references = [0; 3];
        let mut delta = Delta::new(STEP, &mut references).unwrap();
        let mut state = StateHash::new();
        network.reset();
        for sample in window {
            let mut spikes = [0];
            delta.encode(sample, &mut spikes).unwrap();
            network.step(model.input_words(&spikes).unwrap());
            state.update(&network);
        }
        windows.push((network.decision().class, state.finish()));
    }
    windows
}
