//! Streams of random numbers, each keyed by what it is for: no state to save, none shared.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream is for.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub(crate) enum Purpose {
    /// Initial weights; the index is the layer.
    Weights = 1,
    /// The order of the training samples; the index is the epoch.
    Order = 2,
    /// The augmentation of a sample; the indices are epoch and sample.
    Augmentation = 3,
    /// Which currents dropout leaves out; the indices are update, and layer and place.
    Dropout = 5,
    /// The input spikes of the temporal task.
    TemporalInput = 10,
}

/// The stream of `seed` for a purpose, at up to two indices.
pub(crate) fn stream(seed: u64, purpose: Purpose, index: [u64; 2]) -> ChaCha8Rng {
    let mut key = [0; 32];
    let words = [seed, purpose as u64, index[0], index[1]];
    for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}
