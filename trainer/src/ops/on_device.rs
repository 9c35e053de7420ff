//! The operations by candle's own, for tensors that are not on the CPU; neurons have kernels of
//! their own in `lif.cu`.
//!
//! Candle has the same operations on the CPU, so the tests here hold them against the fused ones
//! without a GPU. Nothing is recorded for candle's graph: the network runs its layers back itself.

use candle_core::{DType, Device, Result, Tensor};

use super::norm::{Grouping, Statistics};
use super::sign::{Binarise, Weights};
use super::synapse::Synapse;

/// Values of gathered windows that are held at a time (256 MiB).
const WINDOW_VALUES: usize = 1 << 26;

impl Synapse {
    pub(super) fn sums_on_device(&self, input: &Tensor, taps: &Tensor) -> Result<Tensor> {
        let (input, taps) = (self.padded_points(input)?, taps.detach());
        let blocks = self.blocks(&input)?;
        let sums = blocks.map(|(from, n)| self.windows(&input.narrow(0, from, n)?)?.matmul(&taps));
        let sums = Tensor::cat(&sums.collect::<Result<Vec<_>>>()?, 0)?;
        let (rows, columns) = (self.out_height(), self.out_width());
        sums.reshape((input.dim(0)?, rows, columns, self.outputs))
    }

    pub(super) fn tap_gradient_on_device(
        &self,
        input: &Tensor,
        taps: &Tensor,
        grad: &Tensor,
    ) -> Result<Tensor> {
        let input = self.padded_points(input)?;
        let grad = grad
            .detach()
            .reshape((input.dim(0)?, self.points(), self.outputs))?;
        let mut sum = taps.zeros_like()?;
        for (from, n) in self.blocks(&input)? {
            let windows = self.windows(&input.narrow(0, from, n)?)?;
            let grad = grad.narrow(0, from, n)?.flatten(0, 1)?;
            sum = (sum + windows.t()?.matmul(&grad)?)?;
        }
        Ok(sum)
    }

    pub(super) fn input_gradient_on_device(
        &self,
        input: &Tensor,
        taps: &Tensor,
        grad: &Tensor,
    ) -> Result<Tensor> {
        let samples = input.dim(0)?;
        let grad = grad
            .detach()
            .reshape((samples, self.points(), self.outputs))?;
        let transposed = taps.detach().t()?;
        let places = self.places(input.device())?;
        let ([rows, columns], [top, left]) = (self.padded(), self.padding);
        let blocks = self.blocks(input)?.map(|(from, n)| {
            let grad = grad.narrow(0, from, n)?.flatten(0, 1)?;
            let windows = grad.matmul(&transposed)?;
            let map = match &places {
                None => windows,
                Some(places) => {
                    let windows = windows.reshape((n, places.elem_count(), self.channels))?;
                    let shape = (n, rows * columns, self.channels);
                    let zeros = Tensor::zeros(shape, DType::F32, input.device())?;
                    zeros.index_add(places, &windows, 1)?
                }
            };
            let map = map.reshape((n, rows, columns, self.channels))?;
            let map = map.narrow(1, top, self.height)?;
            map.narrow(2, left, self.width)?.contiguous()
        });
        Tensor::cat(&blocks.collect::<Result<Vec<_>>>()?, 0)?.reshape(input.shape())
    }

    /// `[n, rows * columns, channels]` of the input with its padding.
    fn padded_points(&self, input: &Tensor) -> Result<Tensor> {
        let shape = (input.dim(0)?, self.height, self.width, self.channels);
        let mut map = input.detach().reshape(shape)?;
        for (side, &padding) in self.padding.iter().enumerate() {
            if padding > 0 {
                map = map.pad_with_zeros(1 + side, padding, padding)?;
            }
        }
        map.flatten(1, 2)
    }

    /// First sample and number of samples whose windows are held at a time.
    fn blocks(&self, input: &Tensor) -> Result<impl Iterator<Item = (usize, usize)> + use<>> {
        let per_sample = self.points() * self.taps();
        let (samples, most) = (input.dim(0)?, (WINDOW_VALUES / per_sample).max(1));
        let block = move |from| (from, most.min(samples - from));
        Ok((0..samples).step_by(most).map(block))
    }

    /// `[n * points, taps]`: what every output point sees of a padded input.
    fn windows(&self, input: &Tensor) -> Result<Tensor> {
        let windows = match self.places(input.device())? {
            None => input.clone(),
            Some(places) => input.contiguous()?.index_select(&places, 1)?,
        };
        windows.reshape(((), self.taps()))
    }

    /// The points of the padded map in all windows, one after the other; `None` where the one window
    /// is the map.
    fn places(&self, device: &Device) -> Result<Option<Tensor>> {
        let ([_, width], [rows, columns]) = (self.padded(), self.kernel);
        if self.kernel == self.padded() {
            return Ok(None);
        }
        let mut places = Vec::new();
        for oy in 0..self.out_height() {
            for ox in 0..self.out_width() {
                for ky in 0..rows {
                    let first = (oy * self.stride[0] + ky) * width + ox * self.stride[1];
                    places.extend((first..first + columns).map(|place| place as u32));
                }
            }
        }
        Tensor::new(places, device).map(Some)
    }
}

impl Binarise {
    pub(super) fn taps_on_device(&self, latent: &Tensor) -> Result<Tensor> {
        let ([kh, kw], latent) = (self.kernel, latent.detach());
        let weights = match self.weights {
            Weights::Float => latent,
            Weights::Binary => ((latent.ge(0f32)?.to_dtype(DType::F32)? * 2.0)? - 1.0)?,
        };
        let weights = (weights * f64::from(self.scale()))?
            .reshape((self.outputs, kh, kw, self.channels))?
            .permute((1, 2, 3, 0))?
            .contiguous()?;
        let [rows, columns] = self.window();
        let shape = (rows, columns, self.channels, self.outputs);
        let mut taps = Tensor::zeros(shape, DType::F32, weights.device())?;
        for (y, x) in self.pooled_places() {
            let moved = weights.pad_with_zeros(0, y, rows - kh - y)?;
            taps = (taps + moved.pad_with_zeros(1, x, columns - kw - x)?)?;
        }
        taps.reshape((rows * columns * self.channels, self.outputs))
    }

    /// Where the kernel stands in the window, for each place of the pooling.
    fn pooled_places(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let ([sh, sw], [ph, pw]) = (self.stride, self.pool);
        (0..ph * pw).map(move |place| (place / pw * sh, place % pw * sw))
    }

    pub(super) fn gradient_on_device(&self, latent: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let ([kh, kw], [rows, columns]) = (self.kernel, self.window());
        let latent = latent.detach();
        let shape = (rows, columns, self.channels, self.outputs);
        let grad = grad.detach().reshape(shape)?;
        let mut sum = Tensor::zeros((kh, kw, shape.2, shape.3), DType::F32, grad.device())?;
        for (y, x) in self.pooled_places() {
            sum = (sum + grad.narrow(0, y, kh)?.narrow(1, x, kw)?)?;
        }
        let result = (sum * f64::from(self.scale()))?
            .permute((3, 0, 1, 2))?
            .contiguous()?
            .reshape(latent.shape())?;
        if self.weights == Weights::Float || !self.cut {
            return Ok(result);
        }
        result * latent.abs()?.le(1f32)?.to_dtype(DType::F32)?
    }
}

impl Grouping {
    /// `[samples, groups, points, channels]` of the rows.
    fn of(&self, x: &Tensor, channels: usize) -> Result<Tensor> {
        let x = x.detach();
        if self.groups == 1 {
            return x.reshape((1, 1, (), channels));
        }
        x.reshape(((), self.groups, self.points.max(1), channels))
    }

    /// A value for each channel of each group, to be broadcast.
    fn values(&self, values: &[f32], device: &Device) -> Result<Tensor> {
        let shape = (1, self.groups, 1, values.len() / self.groups);
        Tensor::from_slice(values, shape, device)
    }

    /// Sums over the rows of each group, by channel.
    fn sums(grouped: &Tensor) -> Result<Vec<f32>> {
        grouped.sum_keepdim((0, 2))?.flatten_all()?.to_vec1()
    }

    /// `x * scale + offset`, with values of each channel and group, in the shape of `grouped`.
    fn line(&self, grouped: &Tensor, scale: &[f32], offset: &[f32]) -> Result<Tensor> {
        let scale = self.values(scale, grouped.device())?;
        let offset = self.values(offset, grouped.device())?;
        grouped.broadcast_mul(&scale)?.broadcast_add(&offset)
    }
}

impl Statistics {
    pub(super) fn on_device(x: &Tensor, grouping: Grouping) -> Result<Self> {
        let channels = x.dim(candle_core::D::Minus1)?;
        let rows = x.elem_count() / channels / grouping.groups;
        let grouped = grouping.of(x, channels)?;
        let over_rows = |sums: Vec<f32>| {
            let mean = sums.into_iter().map(|sum| sum * (1.0 / rows as f32));
            mean.collect::<Vec<f32>>()
        };
        let mean = over_rows(Grouping::sums(&grouped)?);
        let centre = grouping.values(&mean, x.device())?;
        let squares = grouped.broadcast_sub(&centre)?.sqr()?;
        Ok(Self {
            variance: over_rows(Grouping::sums(&squares)?),
            mean,
            rows,
            grouping,
        })
    }
}

/// `x * scale + offset` by channel and group.
pub(super) fn line(
    grouping: Grouping,
    x: &Tensor,
    scale: &[f32],
    offset: &[f32],
) -> Result<Tensor> {
    let grouped = grouping.of(x, scale.len() / grouping.groups)?;
    grouping.line(&grouped, scale, offset)?.reshape(x.shape())
}

/// Sums by channel and group of the gradient, and of the gradient times the normalised value.
pub(super) fn gradient_sums(
    grouping: Grouping,
    (x, grad): (&Tensor, &Tensor),
    mean: &[f32],
    inverse_deviation: &[f32],
) -> Result<(Vec<f32>, Vec<f32>)> {
    let channels = mean.len() / grouping.groups;
    let (x, grad) = (grouping.of(x, channels)?, grouping.of(grad, channels)?);
    let centre = grouping.values(mean, x.device())?;
    let inverse = grouping.values(inverse_deviation, x.device())?;
    let normal = x.broadcast_sub(&centre)?.broadcast_mul(&inverse)?;
    Ok((Grouping::sums(&grad)?, Grouping::sums(&(&grad * normal)?)?))
}

/// `grad * by_grad + x * by_x + offset` by channel and group.
pub(super) fn combine(
    grouping: Grouping,
    (x, grad): (&Tensor, &Tensor),
    by_grad: &[f32],
    by_x: &[f32],
    offset: &[f32],
) -> Result<Tensor> {
    let channels = offset.len() / grouping.groups;
    let of_x = grouping.line(&grouping.of(x, channels)?, by_x, offset)?;
    let by_grad = grouping.values(by_grad, x.device())?;
    let of_grad = grouping.of(grad, channels)?.broadcast_mul(&by_grad)?;
    (of_grad + of_x)?.reshape(x.shape())
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::ops::check::SHAPES;
    use crate::ops::norm::BatchNorm;
    use crate::seed::{Purpose, stream};

    fn random(seed: u64, shape: &[usize]) -> Result<Tensor> {
        let mut random = stream(seed, Purpose::Weights, [1, 0]);
        let count = shape.iter().product::<usize>();
        let values: Vec<f32> = (0..count).map(|_| random.random_range(-1.5..1.5)).collect();
        Tensor::from_vec(values, shape, &Device::Cpu)
    }

    fn assert_close(name: &str, ours: &Tensor, fused: &Tensor, tolerance: f32) -> Result<()> {
        assert_eq!(ours.dims(), fused.dims(), "{name}");
        let largest = |x: &Tensor| x.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>();
        let difference = largest(&(ours - fused)?)?;
        assert!(difference <= tolerance, "{name} differs by {difference}");
        assert!(largest(fused)? > 0.0, "{name} is nothing");
        Ok(())
    }

    #[test]
    fn synaptic_sums_and_their_gradients_are_those_of_the_cpu() -> Result<()> {
        for synapse in SHAPES {
            let (height, width) = (synapse.height, synapse.width);
            let input = random(1, &[35, height, width, synapse.channels])?;
            let taps = random(2, &[synapse.taps(), synapse.outputs])?;
            let sums = synapse.sums(&input, &taps)?;
            assert_close("sums", &synapse.sums_on_device(&input, &taps)?, &sums, 1e-4)?;
            let grad = random(3, sums.dims())?;
            let (of_input, of_taps) = synapse.backward(&input, &taps, &grad)?;
            let ours = synapse.tap_gradient_on_device(&input, &taps, &grad)?;
            assert_close("taps", &ours, &of_taps, 1e-3)?;
            let Some(of_input) = of_input else {
                panic!("no gradient of the input")
            };
            let ours = synapse.input_gradient_on_device(&input, &taps, &grad)?;
            assert_close("input", &ours, &of_input, 1e-3)?;
        }
        Ok(())
    }

    #[test]
    fn taps_and_their_gradients_are_those_of_the_cpu() -> Result<()> {
        for (kernel, stride, pool, weights, cut) in [
            ([3, 3], [1, 1], [1, 1], Weights::Binary, true),
            ([3, 3], [1, 1], [2, 2], Weights::Binary, true),
            ([3, 3], [1, 1], [3, 3], Weights::Binary, false),
            ([3, 3], [1, 1], [2, 2], Weights::Float, true),
            ([1, 5], [1, 2], [1, 3], Weights::Binary, true),
            ([3, 2], [1, 3], [2, 2], Weights::Binary, true),
        ] {
            let binarise = Binarise {
                outputs: 4,
                kernel,
                stride,
                channels: 2,
                pool,
                weights,
                cut,
            };
            let latent = random(4, &[4, kernel[0], kernel[1], 2])?;
            let taps = binarise.taps(&latent)?;
            assert_close("taps", &binarise.taps_on_device(&latent)?, &taps, 1e-6)?;
            let grad = random(5, taps.dims())?;
            let fused = binarise.backward(&latent, &grad)?;
            let ours = binarise.gradient_on_device(&latent, &grad)?;
            assert_close("latent", &ours, &fused, 1e-5)?;
        }
        Ok(())
    }

    #[test]
    fn batch_norm_is_that_of_the_cpu() -> Result<()> {
        let (samples, steps, points, channels) = (40, 3, 5, 4);
        let x = random(6, &[samples * steps, points, channels])?;
        let (gain, shift) = (random(7, &[channels])?, random(8, &[channels])?);
        let grad = random(9, x.dims())?;
        let by_step = Grouping {
            groups: steps,
            points,
        };
        for (grouping, of_batch) in [(Grouping::ALL, true), (by_step, true), (by_step, false)] {
            let fused = Statistics::of(&x, grouping)?;
            let ours = Statistics::on_device(&x, grouping)?;
            assert_eq!((ours.rows, ours.grouping), (fused.rows, fused.grouping));
            for (ours, fused) in [(&ours.mean, &fused.mean), (&ours.variance, &fused.variance)] {
                let device = &Device::Cpu;
                let (ours, fused) = (
                    Tensor::new(&ours[..], device)?,
                    Tensor::new(&fused[..], device)?,
                );
                assert_close("statistics", &ours, &fused, 1e-5)?;
            }
            let norm = BatchNorm::new(&fused, 1e-5, of_batch);
            let result = norm.normalise(&x, &gain, &shift)?;
            let ours = norm.normalise_on_device(&x, &gain, &shift)?;
            assert_close("result", &ours, &result, 1e-5)?;
            let (of_x, of_gain, of_shift) = norm.backward(&x, &gain, &grad)?;
            let ours = norm.backward_on_device(&x, &gain, &grad)?;
            assert_close("x", &ours.0, &of_x, 1e-5)?;
            assert_close("gain", &ours.1, &of_gain, 1e-4)?;
            assert_close("shift", &ours.2, &of_shift, 1e-4)?;
        }
        Ok(())
    }
}
