//! Seeded inputs.

use bitspike_core::random::Xorshift32;

/// Uniform in 0 .. 1.
fn uniform(random: &mut Xorshift32) -> f64 {
    f64::from(random.draw()) / (f64::from(u32::MAX) + 1.0)
}

/// Packed spikes, each set with probability `density`, as little-endian words.
pub fn events(units: usize, density: f64, count: usize) -> Vec<Vec<u8>> {
    let mut random = Xorshift32::new(0x5EED);
    let mut one = || {
        let mut words = vec![0u32; units.div_ceil(32)];
        for unit in 0..units {
            words[unit / 32] |= u32::from(uniform(&mut random) < density) << (unit % 32);
        }
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    };
    (0..count).map(|_| one()).collect()
}

/// Pictures like pen strokes: each a chain of lines with soft edges in the middle of the field,
/// about a fifth of the pixels not 0, as in MNIST.
pub fn pictures(height: usize, width: usize, count: usize) -> Vec<Vec<u8>> {
    let mut random = Xorshift32::new(0xD161);
    (0..count)
        .map(|_| picture(height, width, &mut random))
        .collect()
}

fn picture(height: usize, width: usize, random: &mut Xorshift32) -> Vec<u8> {
    const POINTS: usize = 5;
    /// Half the width of the pen in pixels, and of the edge around it.
    const PEN: f64 = 1.8;
    const EDGE: f64 = 1.0;
    let mut point = || [height, width].map(|side| side as f64 * (0.22 + 0.56 * uniform(random)));
    let points: [[f64; 2]; POINTS] = core::array::from_fn(|_| point());
    let mut pixels = vec![0; height * width];
    for (index, pixel) in pixels.iter_mut().enumerate() {
        let here = [(index / width) as f64, (index % width) as f64];
        let distances = points
            .windows(2)
            .map(|ends| distance(here, ends[0], ends[1]));
        let nearest = distances.fold(f64::INFINITY, f64::min);
        let ink = ((PEN + EDGE - nearest) / EDGE).clamp(0.0, 1.0);
        *pixel = (255.0 * ink) as u8;
    }
    pixels
}

/// Distance of a point from a line between two ends.
fn distance(point: [f64; 2], from: [f64; 2], to: [f64; 2]) -> f64 {
    let along = [to[0] - from[0], to[1] - from[1]];
    let off = [point[0] - from[0], point[1] - from[1]];
    let length = along[0] * along[0] + along[1] * along[1];
    let part = ((off[0] * along[0] + off[1] * along[1]) / length.max(1e-9)).clamp(0.0, 1.0);
    (off[0] - part * along[0]).hypot(off[1] - part * along[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_as_dark_as_mnist() {
        let pictures = pictures(28, 28, 64);
        let lit = pictures
            .iter()
            .flatten()
            .filter(|&&pixel| pixel > 0)
            .count();
        let share = lit as f64 / (64 * 784) as f64;
        assert!((0.16..0.22).contains(&share), "{share}");
    }

    #[test]
    fn events_come_at_their_density() {
        let events = events(1000, 0.05, 50);
        let set: u32 = events.iter().flatten().map(|byte| byte.count_ones()).sum();
        assert!((2300..2700).contains(&set), "{set}");
    }
}
