//! Batches of training and evaluation: pixels to values from 0 to 1, with random shifts.

use candle_core::{Device, Tensor};
use rand::RngExt;
use rayon::prelude::*;

use crate::Result;
use crate::data::Samples;
use crate::seed::{Purpose, stream};

/// A random shift of training samples: where it comes from and how far it goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shift {
    /// Seed of the training.
    pub(crate) seed: u64,
    /// Epoch, so that a sample moves differently in each.
    pub(crate) epoch: u64,
    /// Largest shift in pixels, rows and columns alike.
    pub(crate) pixels: usize,
}

/// A batch `[indices, height, width, channels]` of `pixel / 255`, shifted where asked.
pub(crate) fn batch(samples: &Samples, indices: &[usize], shift: Option<Shift>) -> Result<Tensor> {
    let [height, width, channels] = samples.shape();
    let size = height * width * channels;
    let mut values = vec![0.0; indices.len() * size];
    values
        .par_chunks_mut(size)
        .zip(indices.par_iter())
        .for_each(|(values, &index)| {
            let pixels = samples.pixels(index);
            let (down, right) = shift.map_or((0, 0), |shift| {
                let mut random = stream(
                    shift.seed,
                    Purpose::Augmentation,
                    [shift.epoch, index as u64],
                );
                let mut draw = || {
                    let up_to_twice = random.random_range(0..=2 * shift.pixels as u64);
                    up_to_twice as isize - shift.pixels as isize
                };
                (draw(), draw())
            });
            let source = |at: usize, by: isize, len: usize| {
                at.checked_add_signed(-by).filter(|source| *source < len)
            };
            for y in 0..height {
                let Some(from_y) = source(y, down, height) else {
                    continue;
                };
                for x in 0..width {
                    let Some(from_x) = source(x, right, width) else {
                        continue;
                    };
                    let from = &pixels[(from_y * width + from_x) * channels..][..channels];
                    let to = &mut values[(y * width + x) * channels..][..channels];
                    for (to, from) in to.iter_mut().zip(from) {
                        *to = f32::from(*from) / 255.0;
                    }
                }
            }
        });
    Ok(Tensor::from_vec(
        values,
        (indices.len(), height, width, channels),
        &Device::Cpu,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_dot() -> Samples {
        let mut pixels = vec![0; 25];
        pixels[12] = 255;
        Samples::new([5, 5, 1], 2, pixels, vec![1]).expect("samples")
    }

    #[test]
    fn without_a_shift_pixels_keep_their_place() -> Result<()> {
        let values = batch(&one_dot(), &[0], None)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        assert_eq!(values.iter().position(|v| *v == 1.0), Some(12));
        Ok(())
    }

    #[test]
    fn a_shift_stays_within_its_limit_and_differs_by_epoch() -> Result<()> {
        let mut seen = std::collections::BTreeSet::new();
        for epoch in 0..200 {
            let shift = Some(Shift {
                seed: 1,
                epoch,
                pixels: 1,
            });
            let values = batch(&one_dot(), &[0], shift)?
                .flatten_all()?
                .to_vec1::<f32>()?;
            seen.extend(values.iter().position(|v| *v == 1.0));
        }
        assert_eq!(Vec::from_iter(seen), [6, 7, 8, 11, 12, 13, 16, 17, 18]);
        Ok(())
    }
}
