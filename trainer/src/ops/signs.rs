//! The gradient of the input of a layer with binary weights, without a multiplication.
//!
//! What reaches an input is a sum of gradients with the signs of its weights. All sums that
//! `GROUP` outputs can give are tabulated, for `LANES` samples at once; each weight group then
//! costs one addition of a table's row (the method of four Russians). Average pooling is left to
//! the end: the sums are those of the binary kernel, and a box over them makes the pooled one.

use candle_core::{Result, Tensor};
use multiversion::multiversion;

use super::sign::{Binarise, Weights};
use super::synapse::Synapse;
use super::with_values;

/// Outputs whose signed sums are tabulated together.
const GROUP: usize = 5;

/// Signs that a group can have.
const CODES: usize = 1 << GROUP;

/// Samples that are computed together.
const LANES: usize = 16;

/// A value of each sample.
type Lanes = [f32; LANES];

/// The signs of the binary weights of a layer: a code a tap of the binary kernel and group of
/// outputs, in which bit `i` is set where the weight of the group's output `i` is +1.
#[derive(Debug)]
pub struct Signs {
    codes: Vec<u8>,
    groups: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    pool: [usize; 2],
}

impl Binarise {
    /// The signs of latent weights; `None` where the weights are float.
    ///
    /// # Errors
    /// If the weights are not `f32`.
    pub fn signs(&self, latent: &Tensor) -> Result<Option<Signs>> {
        if self.weights == Weights::Float {
            return Ok(None);
        }
        let groups = self.outputs.div_ceil(GROUP);
        let taps = self.weights_of_output();
        let mut codes = vec![0; taps * groups];
        with_values(latent, |latent| {
            for (output, weights) in latent.chunks_exact(taps).enumerate() {
                let (group, bit) = (output / GROUP, output % GROUP);
                for (tap, weight) in weights.iter().enumerate() {
                    codes[tap * groups + group] |= u8::from(*weight >= 0.0) << bit;
                }
            }
            Ok(())
        })?;
        Ok(Some(Signs {
            codes,
            groups,
            kernel: self.kernel,
            stride: self.stride,
            pool: self.pool,
        }))
    }
}

/// Memory for the gradients of one block of samples.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Gradients of a point's outputs.
    values: Vec<Lanes>,
    /// Signed sums of each group of them.
    tables: Vec<[Lanes; CODES]>,
    /// Gradient of the binary kernel's input.
    map: Vec<Lanes>,
}

impl Signs {
    /// Rows and columns of what the binary kernel reads from the first places of the pooling
    /// windows: the padded map without the pooling's margin.
    fn map_of(&self, shape: &Synapse) -> [usize; 2] {
        [0, 1].map(|side| shape.padded()[side] - (self.pool[side] - 1) * self.stride[side])
    }

    /// The places of that map, of one side, whose windows pass on to the input's place `at`.
    fn sources(
        &self,
        shape: &Synapse,
        side: usize,
        at: usize,
    ) -> impl Iterator<Item = usize> + use<> {
        let (padded, size) = (at + shape.padding[side], self.map_of(shape)[side]);
        let stride = self.stride[side];
        let places = (0..self.pool[side]).rev();
        places
            .filter_map(move |place| padded.checked_sub(place * stride))
            .filter(move |source| *source < size)
    }

    /// Writes the gradient of the input `[n, height, width, channels]` from that of the sums.
    pub(super) fn input_gradient(
        &self,
        shape: &Synapse,
        grad: &[f32],
        result: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let blocks = result.chunks_mut(LANES * shape.inputs());
        let grads = grad.chunks(LANES * shape.points() * shape.outputs);
        for (result, grad) in blocks.zip(grads) {
            add_windows(self, shape, grad, scratch);
            pool_back(self, shape, &scratch.map, result);
        }
    }
}

/// Computes the gradient of the binary kernel's input for at most [`LANES`] samples.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn add_windows(signs: &Signs, shape: &Synapse, grad: &[f32], scratch: &mut Scratch) {
    let (outputs, out_width) = (shape.outputs, shape.out_width());
    let run = signs.kernel[1] * shape.channels;
    let [height, width] = signs.map_of(shape);
    let Scratch {
        values,
        tables,
        map,
    } = scratch;
    values.clear();
    values.resize(outputs, [0.0; LANES]);
    tables.resize(signs.groups, [[0.0; LANES]; CODES]);
    map.clear();
    map.resize(height * width * shape.channels, [0.0; LANES]);
    for point in 0..shape.points() {
        gather(grad, shape.points() * outputs, point * outputs, values);
        for (table, values) in tables.iter_mut().zip(values.chunks(GROUP)) {
            tabulate(values, table);
        }
        let (y, x) = (point / out_width, point % out_width);
        let (y, x) = (y * shape.stride[0], x * shape.stride[1]);
        let codes = signs.codes.chunks_exact(run * signs.groups);
        for (ky, codes) in codes.enumerate() {
            let row = &mut map[((y + ky) * width + x) * shape.channels..][..run];
            for (sum, codes) in row.iter_mut().zip(codes.chunks_exact(signs.groups)) {
                let mut total = *sum;
                for (table, code) in tables.iter().zip(codes) {
                    add(&mut total, &table[usize::from(*code) % CODES]);
                }
                *sum = total;
            }
        }
    }
}

/// All sums of the values with signs: bit `i` of a sum's index is set where value `i` is added.
#[inline(always)]
fn tabulate(values: &[Lanes], table: &mut [Lanes; CODES]) {
    table[0] = [0.0; LANES];
    for (bit, value) in values.iter().enumerate() {
        let (less, more) = table.split_at_mut(1 << bit);
        for (less, more) in less.iter_mut().zip(more) {
            let (mut plus, mut minus) = (*less, *less);
            for lane in 0..LANES {
                plus[lane] += value[lane];
                minus[lane] -= value[lane];
            }
            (*more, *less) = (plus, minus);
        }
    }
}

/// Takes values `from..` of every sample apart. Not compiled for AVX-512, whose scatter is slower.
#[multiversion(targets("x86_64+avx2"))]
fn gather(samples: &[f32], sample: usize, from: usize, values: &mut [Lanes]) {
    for (lane, sample) in samples.chunks_exact(sample).enumerate() {
        let sample = &sample[from..][..values.len()];
        for (value, x) in values.iter_mut().zip(sample) {
            value[lane] = *x;
        }
    }
}

/// Writes values `from..` of every sample. Not compiled for AVX-512, whose gather is slower.
#[multiversion(targets("x86_64+avx2"))]
fn spread(values: &[Lanes], samples: &mut [f32], sample: usize, from: usize) {
    for (lane, sample) in samples.chunks_exact_mut(sample).enumerate() {
        let sample = &mut sample[from..][..values.len()];
        for (x, value) in sample.iter_mut().zip(values) {
            *x = value[lane];
        }
    }
}

#[inline(always)]
fn add(sum: &mut Lanes, x: &Lanes) {
    for (sum, x) in sum.iter_mut().zip(x) {
        *sum += x;
    }
}

/// Means over the windows of a pooling, run back, of `map` into the samples' inputs.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn pool_back(signs: &Signs, shape: &Synapse, map: &[Lanes], result: &mut [f32]) {
    let ([_, width], channels) = (signs.map_of(shape), shape.channels);
    let scale = 1.0 / (signs.pool[0] * signs.pool[1]) as f32;
    let mut sums = [[0.0; LANES]; LANES];
    for (y, x) in (0..shape.height * shape.width).map(|i| (i / shape.width, i % shape.width)) {
        for from in (0..channels).step_by(LANES) {
            let sums = &mut sums[..LANES.min(channels - from)];
            sums.fill([0.0; LANES]);
            for row in signs.sources(shape, 0, y) {
                for column in signs.sources(shape, 1, x) {
                    let map = &map[(row * width + column) * channels + from..][..sums.len()];
                    let sums = sums.as_flattened_mut().iter_mut();
                    for (sum, x) in sums.zip(map.as_flattened()) {
                        *sum += x;
                    }
                }
            }
            for sum in sums.as_flattened_mut() {
                *sum *= scale;
            }
            let at = (y * shape.width + x) * channels + from;
            spread(sums, result, shape.inputs(), at);
        }
    }
}
