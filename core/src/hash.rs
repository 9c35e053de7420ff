//! A running hash of a network's state, to compare machines.

use crc::{CRC_64_XZ, Crc, Digest, NoTable};

use crate::network::Network;

/// Bit by bit: devices that compare themselves have flash to spare for nothing else.
static CRC: Crc<u64, NoTable> = Crc::<u64, NoTable>::new(&CRC_64_XZ);

/// CRC-64/XZ over the spike words and the membranes of every layer, after every step that is
/// passed to [`update`](Self::update), in little-endian order.
///
/// Two machines whose hashes agree have computed the same spikes and membranes; a CRC finds every
/// difference of up to 64 consecutive bits, and misses another one with probability 2^-64.
///
/// Cost: eight shifts of 64 bits a byte of state, and no table in flash.
///
/// ```
/// use bitspike_core::hash::StateHash;
/// # use bitspike_core::model::{Model, pack_words};
/// # use bitspike_core::network::Network;
/// # static FILE: [u32; 92] = pack_words(include_bytes!("../tests/models/v1-mixed.bsnn"));
/// # let model = Model::new(&FILE)?;
/// # let mut memory = vec![0; model.sizes().memory_words()];
/// let mut network = Network::new(&model, &mut memory)?;
/// let mut of_steps = |steps: u32| {
///     let mut hash = StateHash::new();
///     network.reset();
///     for _ in 0..steps {
///         network.step(model.input(&[200; 36])?);
///         hash.update(&network);
///     }
///     Ok::<u64, bitspike_core::model::InputError>(hash.finish())
/// };
/// assert_eq!(of_steps(4)?, of_steps(4)?);
/// assert_ne!(of_steps(4)?, of_steps(3)?);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub struct StateHash {
    digest: Digest<'static, u64, NoTable>,
}

impl core::fmt::Debug for StateHash {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("StateHash").finish_non_exhaustive()
    }
}

impl Default for StateHash {
    fn default() -> Self {
        Self::new()
    }
}

impl StateHash {
    /// The hash of nothing.
    pub fn new() -> Self {
        Self {
            digest: CRC.digest(),
        }
    }

    /// Adds the state of all layers after a step.
    pub fn update<const LAYERS: usize, const PARTS: u32>(
        &mut self,
        network: &Network<'_, LAYERS, PARTS>,
    ) {
        for layer in 0..network.model().layers().len() {
            self.digest.update(bytes(network.spikes(layer).words()));
            self.digest.update(bytes(network.membrane_words(layer)));
        }
    }

    /// The hash of all updates so far.
    pub fn finish(self) -> u64 {
        self.digest.finalize()
    }
}

/// Words as bytes; the checked cast leaves no panic behind at any optimisation level.
fn bytes(words: &[u32]) -> &[u8] {
    bytemuck::try_cast_slice(words).unwrap_or(&[])
}
