//! Batches of training and evaluation: pixels to values from 0 to 1, shifted, turned and scaled at random.

use std::ops::Range;

use candle_core::{Device, Tensor};
use rand::RngExt;
use rayon::prelude::*;

use crate::Result;
use crate::data::{Frames, Samples};
use crate::seed::{Purpose, stream};

/// How training pictures are changed at random: where it comes from and how far it goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Augmentation {
    /// Seed of the training.
    pub(crate) seed: u64,
    /// Epoch, so that a sample changes differently in each.
    pub(crate) epoch: u64,
    /// Largest shift in pixels, rows and columns alike; of a cochlea, in channels.
    pub(crate) shift: usize,
    /// Largest shift of a recording in time steps.
    pub(crate) shift_steps: usize,
    /// Largest change of a recording's length, as a part of it.
    pub(crate) stretch: f32,
    /// Largest rotation in degrees, either way.
    pub(crate) rotation: f32,
    /// Largest growth or shrinkage, as a part of the size.
    pub(crate) scale: f32,
}

/// One sample's change.
#[derive(Debug, Clone, Copy, Default)]
struct Change {
    down: isize,
    right: isize,
    /// Steps later; recordings only.
    later: isize,
    /// Angle in radians and factor of the size; `None` leaves every pixel on the grid.
    turn: Option<(f32, f32)>,
    /// Factor of the length; recordings only.
    slower: Option<f32>,
}

impl Augmentation {
    fn draw(&self, index: usize) -> Change {
        let Self {
            shift,
            rotation,
            scale,
            shift_steps,
            stretch,
            ..
        } = *self;
        if shift == 0 && shift_steps == 0 && rotation == 0.0 && scale == 0.0 && stretch == 0.0 {
            return Change::default();
        }
        let key = [self.epoch, index as u64];
        let mut random = stream(self.seed, Purpose::Augmentation, key);
        let mut draw = || random.random_range(0..=2 * shift as u64) as isize - shift as isize;
        let (down, right) = (draw(), draw());
        let mut part = || random.random_range(-1f32..=1.0);
        let turn = (rotation > 0.0 || scale > 0.0)
            .then(|| ((rotation * part()).to_radians(), 1.0 + scale * part()));
        let steps = random.random_range(0..=2 * shift_steps as u64);
        let later = steps as isize - shift_steps as isize;
        let slower = (stretch > 0.0).then(|| 1.0 + stretch * random.random_range(-1f32..=1.0));
        Change {
            down,
            right,
            later,
            turn,
            slower,
        }
    }
}

/// A batch, changed where asked: `[indices, height, width, channels]` of `pixel / 255` of pictures,
/// `[indices * steps, height, width, channels]` of spikes or counts of recordings, which are moved,
/// scaled and stretched but not turned.
pub(crate) fn batch(
    samples: &Samples,
    indices: &[usize],
    augmentation: Option<Augmentation>,
) -> Result<Tensor> {
    if let Some(frames) = samples.frames() {
        return frame_batch(frames, samples.shape(), indices, augmentation);
    }
    let shape = samples.shape();
    let [height, width, channels] = shape;
    let size = height * width * channels;
    let mut values = vec![0.0; indices.len() * size];
    values
        .par_chunks_mut(size)
        .zip(indices.par_iter())
        .for_each(|(values, &index)| {
            let change = augmentation.map_or(Change::default(), |a| a.draw(index));
            match change.turn {
                None => shifted(shape, samples.pixels(index), change, values),
                Some(turn) => turned(shape, samples.pixels(index), change, turn, values),
            }
        });
    Ok(Tensor::from_vec(
        values,
        (indices.len(), height, width, channels),
        &Device::Cpu,
    )?)
}

fn frame_batch(
    frames: &Frames,
    [height, width, channels]: [usize; 3],
    indices: &[usize],
    augmentation: Option<Augmentation>,
) -> Result<Tensor> {
    let (steps, units) = (frames.steps(), frames.units());
    let mut values = vec![0.0; indices.len() * steps * units];
    values
        .par_chunks_mut(steps * units)
        .zip(indices.par_iter())
        .for_each(|(values, &index)| {
            let change = augmentation.map_or(Change::default(), |a| a.draw(index));
            let (size, length) = (change.turn.map_or(1.0, |turn| turn.1), change.slower);
            let middle = |len: usize| (len - 1) as f32 / 2.0;
            // A cochlea has one row, which stays.
            let (down, taller) = if height == 1 {
                (0, 1.0)
            } else {
                (change.down, size)
            };
            let rows = Moved::new(height, down, taller, middle(height));
            let columns = Moved::new(width, change.right, size, middle(width));
            let later = Moved::new(steps, change.later, length.unwrap_or(1.0), 0.0);
            for (step, unit, count) in frames.entries(index) {
                let (pixel, channel) = (unit / channels, unit % channels);
                for step in later.places(step) {
                    for row in rows.places(pixel / width) {
                        for column in columns.places(pixel % width) {
                            let unit = (row * width + column) * channels + channel;
                            values[step * units + unit] = f32::from(count);
                        }
                    }
                }
            }
        });
    Ok(Tensor::from_vec(
        values,
        (indices.len() * steps, height, width, channels),
        &Device::Cpu,
    )?)
}

/// A side of a recording that is scaled about a point, then moved.
#[derive(Debug, Clone, Copy)]
struct Moved {
    len: usize,
    factor: f32,
    /// Where place 0 comes to lie.
    offset: f32,
}

impl Moved {
    fn new(len: usize, by: isize, factor: f32, about: f32) -> Self {
        Self {
            len,
            factor,
            offset: about - factor * about + by as f32,
        }
    }

    /// The places that show what was at `at`: none or several where the side shrinks or grows.
    fn places(self, at: usize) -> Range<usize> {
        // Those whose origin is rounded to `at`; halves go up.
        let edge = |at: f32| (self.factor * at + self.offset).ceil().max(0.0) as usize;
        let (from, to) = (edge(at as f32 - 0.5), edge(at as f32 + 0.5));
        from..to.min(self.len)
    }
}

/// A picture moved by whole pixels, with zeros from outside.
fn shifted([height, width, channels]: [usize; 3], pixels: &[u8], by: Change, values: &mut [f32]) {
    let source = |at: usize, by: isize, len: usize| {
        at.checked_add_signed(-by).filter(|source| *source < len)
    };
    for y in 0..height {
        let Some(from_y) = source(y, by.down, height) else {
            continue;
        };
        for x in 0..width {
            let Some(from_x) = source(x, by.right, width) else {
                continue;
            };
            let from = &pixels[(from_y * width + from_x) * channels..][..channels];
            let to = &mut values[(y * width + x) * channels..][..channels];
            for (to, from) in to.iter_mut().zip(from) {
                *to = f32::from(*from) / 255.0;
            }
        }
    }
}

/// A picture turned and scaled about its middle, then moved: each pixel is read between the four
/// nearest, with zeros from outside.
fn turned(
    [height, width, channels]: [usize; 3],
    pixels: &[u8],
    by: Change,
    (angle, factor): (f32, f32),
    values: &mut [f32],
) {
    let (sin, cos) = angle.sin_cos();
    let (middle_y, middle_x) = ((height as f32 - 1.0) / 2.0, (width as f32 - 1.0) / 2.0);
    let pixel = |y: f32, x: f32, channel: usize| {
        let inside = y >= 0.0 && x >= 0.0 && y < height as f32 && x < width as f32;
        if !inside {
            return 0.0;
        }
        f32::from(pixels[(y as usize * width + x as usize) * channels + channel])
    };
    for (point, values) in values.chunks_exact_mut(channels).enumerate() {
        let dy = (point / width) as f32 - middle_y - by.down as f32;
        let dx = (point % width) as f32 - middle_x - by.right as f32;
        // Backwards: from where the pixel is to where it was.
        let y = middle_y + (cos * dy - sin * dx) / factor;
        let x = middle_x + (sin * dy + cos * dx) / factor;
        let (top, left) = (y.floor(), x.floor());
        let (part_y, part_x) = (y - top, x - left);
        for (channel, value) in values.iter_mut().enumerate() {
            let between = |y: f32| {
                let (left, right) = (pixel(y, left, channel), pixel(y, left + 1.0, channel));
                left + (right - left) * part_x
            };
            let (above, below) = (between(top), between(top + 1.0));
            *value = (above + (below - above) * part_y) / 255.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_dot() -> Samples {
        let mut pixels = vec![0; 25];
        pixels[12] = 255;
        Samples::new([5, 5, 1], 2, pixels, vec![1]).expect("samples")
    }

    fn augmentation(epoch: u64, shift: usize, rotation: f32, scale: f32) -> Augmentation {
        let seed = 1;
        Augmentation {
            seed,
            epoch,
            shift,
            shift_steps: 0,
            stretch: 0.0,
            rotation,
            scale,
        }
    }

    #[test]
    fn a_turn_by_a_quarter_moves_a_corner_to_the_next() {
        let mut pixels = vec![0; 25];
        pixels[0] = 255;
        let mut values = vec![0.0; 25];
        let turn = (std::f32::consts::FRAC_PI_2, 1.0);
        turned([5, 5, 1], &pixels, Change::default(), turn, &mut values);
        let corners = [0, 4, 20, 24].map(|corner| values[corner].round());
        assert_eq!(corners.iter().sum::<f32>(), 1.0);
        assert_eq!(corners[0] + corners[3], 0.0);
    }

    #[test]
    fn a_side_of_a_recording_is_moved_scaled_and_covered_once() {
        let moved = |by, factor, about: f32| {
            let moved = Moved::new(9, by, factor, about);
            (0..9).map(|at| moved.places(at)).collect::<Vec<_>>()
        };
        for by in -3..=3isize {
            for (at, places) in (0..9isize).zip(moved(by, 1.0, 4.0)) {
                let expected = (0..9).contains(&(at + by)).then_some((at + by) as usize);
                assert_eq!(Vec::from_iter(places), Vec::from_iter(expected));
            }
        }
        for factor in [0.5, 0.8, 1.3, 1.9] {
            // The middle stays, and no place shows two.
            let places: Vec<_> = moved(0, factor, 4.0).into_iter().collect();
            assert!(places[4].contains(&4), "{factor}: {places:?}");
            let shown: Vec<usize> = places.into_iter().flatten().collect();
            assert!(
                shown.windows(2).all(|pair| pair[0] + 1 == pair[1]),
                "{factor}: {shown:?}"
            );
            assert_eq!(shown.len() == 9, factor > 1.0, "{factor}: {shown:?}");
        }
        // A recording stays where it begins.
        assert_eq!(moved(0, 2.0, 0.0)[..3], [0..1, 1..3, 3..5]);
    }

    #[test]
    fn a_turn_by_nothing_changes_nothing_and_growth_keeps_the_middle() -> Result<()> {
        let pixels: Vec<u8> = (0..25).collect();
        let mut values = vec![0.0; 25];
        let change = Change::default();
        turned([5, 5, 1], &pixels, change, (0.0, 1.0), &mut values);
        for (value, pixel) in values.iter().zip(&pixels) {
            assert!((value * 255.0 - f32::from(*pixel)).abs() < 1e-3);
        }
        for epoch in 0..50 {
            let values = batch(&one_dot(), &[0], Some(augmentation(epoch, 0, 30.0, 0.3)))?;
            let values = values.flatten_all()?.to_vec1::<f32>()?;
            assert!((values[12] - 1.0).abs() < 1e-3, "{values:?}");
        }
        Ok(())
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
            let values = batch(&one_dot(), &[0], Some(augmentation(epoch, 1, 0.0, 0.0)))?
                .flatten_all()?
                .to_vec1::<f32>()?;
            seen.extend(values.iter().position(|v| *v == 1.0));
        }
        assert_eq!(Vec::from_iter(seen), [6, 7, 8, 11, 12, 13, 16, 17, 18]);
        Ok(())
    }
}
