//! Dropout of currents: each is left out with a probability, the others grow to make up for it.

use candle_core::{DType, Device, Result, Shape, Tensor};
use multiversion::multiversion;
use rand::Rng;
use rayon::prelude::*;

use crate::seed::{Purpose, stream};

/// Values that one stream of random numbers decides about.
const VALUES_PER_STREAM: usize = 1 << 14;

/// Which values a dropout leaves.
#[derive(Debug)]
pub struct Mask {
    /// 1 for a value that stays, 0 for one that is left out.
    pub kept: Vec<u8>,
    /// What those that stay are multiplied by.
    pub scale: f32,
}

/// The dropout of a layer in one update: its streams are keyed by update, layer and place.
#[derive(Debug, Clone, Copy)]
pub struct Dropout {
    /// Probability that a value is left out, 0 to below 1.
    pub probability: f32,
    /// Seed of the training.
    pub seed: u64,
    /// Number of the update.
    pub update: u64,
    /// Index of the layer.
    pub layer: u64,
}

impl Dropout {
    /// What the dropout multiplies values of a shape by: 0, or 1 divided by the probability to stay.
    /// Backward multiplies the gradient by the same.
    ///
    /// The draws are the host's on every device, so that the same values fall out.
    ///
    /// # Errors
    /// If the device has no room for them.
    pub fn factors(&self, shape: &Shape, device: &Device) -> Result<Tensor> {
        let Mask { kept, scale } = self.mask(shape.elem_count());
        Tensor::from_vec(kept, shape, device)?.to_dtype(DType::F32)? * f64::from(scale)
    }

    /// What the dropout does to `len` values.
    pub fn mask(&self, len: usize) -> Mask {
        // 16 bits a value: the probability is met to 1 in 65,536.
        let limit = (f64::from(self.probability) * 65_536.0).round() as u16;
        let mut kept = vec![0; len];
        kept.par_chunks_mut(VALUES_PER_STREAM)
            .enumerate()
            .for_each_init(
                || vec![0; 2 * VALUES_PER_STREAM],
                |draws, (chunk, kept)| {
                    let place = (self.layer << 48) | chunk as u64;
                    let mut random = stream(self.seed, Purpose::Dropout, [self.update, place]);
                    let draws = &mut draws[..2 * kept.len()];
                    random.fill_bytes(draws);
                    find_kept(kept, draws, limit);
                },
            );
        let scale = 1.0 / (1.0 - f32::from(limit) / 65_536.0);
        Mask { kept, scale }
    }
}

/// Finds the values whose draw, 16 bits each, is at least the limit.
#[multiversion(targets("x86_64+avx2"))]
fn find_kept(kept: &mut [u8], draws: &[u8], limit: u16) {
    for (kept, draw) in kept.iter_mut().zip(draws.as_chunks::<2>().0) {
        *kept = u8::from(u16::from_le_bytes(*draw) >= limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_left_out_is_the_probability_and_the_mean_stays() -> Result<()> {
        let dropout = |update| Dropout {
            probability: 0.3,
            seed: 1,
            update,
            layer: 0,
        };
        let factors = |update| {
            let factors = dropout(update).factors(&100_000.into(), &Device::Cpu);
            factors?.to_vec1::<f32>()
        };
        let once = factors(1)?;
        let zeros = once.iter().filter(|value| **value == 0.0).count();
        assert!((29_000..31_000).contains(&zeros), "{zeros}");
        let mean = once.iter().sum::<f32>() / 1e5;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert_eq!(factors(1)?, once);
        assert_ne!(factors(2)?, once);
        Ok(())
    }
}
