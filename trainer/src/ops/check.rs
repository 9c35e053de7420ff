//! Checks of the operations against the plain unrolled graph, and of gradients that are smooth
//! against finite differences.

use candle_core::{D, Device, Result, Tensor, Var};
use rand::RngExt;

use super::lif::Lif;
use super::norm::{BatchNorm, Grouping, Statistics};
use super::sign::{Binarise, Weights};
use super::surrogate::{Shape, Surrogate, Unit};
use super::synapse::Synapse;
use crate::seed::{Purpose, stream};

/// Uniform values, the same for the same seed.
fn random(seed: u64, low: f32, high: f32, shape: &[usize]) -> Result<Tensor> {
    let mut random = stream(seed, Purpose::Weights, [0, 0]);
    let count = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|_| random.random_range(low..high)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// Spikes with the given rate.
fn random_spikes(seed: u64, rate: f64, shape: &[usize]) -> Result<Tensor> {
    random(seed, 0.0, 1.0, shape)?
        .lt(rate)?
        .to_dtype(candle_core::DType::F32)
}

fn assert_close(name: &str, ours: &Tensor, plain: &Tensor, tolerance: f32) -> Result<()> {
    assert_eq!(ours.dims(), plain.dims(), "{name}");
    let difference = (ours - plain)?
        .abs()?
        .flatten_all()?
        .max(0)?
        .to_scalar::<f32>()?;
    assert!(difference <= tolerance, "{name} differs by {difference}");
    Ok(())
}

/// A weighted sum, so that every element has its own gradient.
fn weighted(x: &Tensor, seed: u64) -> Result<Tensor> {
    (x * random(seed, -1.0, 1.0, x.dims())?)?.sum_all()
}

/// A map with zeros around it.
fn padded(map: &Tensor, [rows, columns]: [usize; 2]) -> Result<Tensor> {
    map.pad_with_zeros(1, rows, rows)?
        .pad_with_zeros(2, columns, columns)
}

/// The same sums by gathering every window of the padded map, then a matrix product.
fn plain_convolution(shape: &Synapse, input: &Tensor, taps: &Tensor) -> Result<Tensor> {
    let (rows, columns) = (shape.out_height(), shape.out_width());
    let [height, width] = shape.kernel;
    let (run, padded_width) = (width * shape.channels, shape.width + 2 * shape.padding[1]);
    let mut indices = Vec::new();
    for (oy, ox) in (0..rows * columns).map(|point| (point / columns, point % columns)) {
        for ky in 0..height {
            let first = (oy * shape.stride[0] + ky) * padded_width + ox * shape.stride[1];
            indices.extend((0..run).map(|i| (first * shape.channels + i) as u32));
        }
    }
    let samples = input.dim(0)?;
    let indices = Tensor::new(indices, &Device::Cpu)?;
    let input = padded(input, shape.padding)?.flatten_from(1)?;
    let windows = input.index_select(&indices, 1)?;
    let windows = windows.reshape((samples * rows * columns, height * run))?;
    windows
        .matmul(taps)?
        .reshape((samples, rows, columns, shape.outputs))
}

fn check_synapse(shape: Synapse, samples: usize) -> Result<()> {
    let dims = [samples, shape.height, shape.width, shape.channels];
    let graded = random(1, -1.0, 1.0, &dims)?;
    let input = Var::from_tensor(&(graded * random_spikes(2, 0.3, &dims)?)?)?;
    let count = shape.kernel.iter().product::<usize>() * shape.channels;
    let taps = Var::from_tensor(&random(3, -1.0, 1.0, &[count, shape.outputs])?)?;
    let ours = shape.sums(&input, &taps)?;
    let plain = plain_convolution(&shape, &input, &taps)?;
    assert_close("sums", &ours, &plain, 1e-4)?;
    let (ours, plain) = (
        weighted(&ours, 4)?.backward()?,
        weighted(&plain, 4)?.backward()?,
    );
    for (name, variable) in [("input", &input), ("taps", &taps)] {
        let (Some(ours), Some(plain)) = (ours.get(variable), plain.get(variable)) else {
            panic!("no gradient of the {name}");
        };
        assert_close(name, ours, plain, 1e-3)?;
    }
    Ok(())
}

/// Height, width and channels of the map; kernel, stride and padding; outputs.
const fn shape(
    [height, width, channels]: [usize; 3],
    [kernel, stride, padding]: [[usize; 2]; 3],
    outputs: usize,
) -> Synapse {
    Synapse {
        height,
        width,
        channels,
        kernel,
        stride,
        padding,
        outputs,
        input_gradient: true,
    }
}

/// Square and rectangular kernels, even and uneven strides and paddings, windows that lie in the
/// padding alone or are the whole padded map.
pub(super) const SHAPES: [Synapse; 12] = [
    shape([8, 7, 3], [[3, 3], [1, 1], [0, 0]], 5),
    shape([9, 8, 2], [[4, 4], [2, 2], [0, 0]], 32),
    shape([6, 6, 1], [[6, 6], [2, 2], [0, 0]], 70),
    shape([5, 9, 4], [[2, 2], [3, 3], [0, 0]], 33),
    shape([1, 40, 1], [[1, 7], [1, 4], [0, 0]], 16),
    shape([1, 21, 5], [[1, 5], [1, 2], [0, 2]], 70),
    shape([21, 1, 5], [[5, 1], [2, 1], [2, 0]], 9),
    shape([7, 9, 2], [[2, 5], [3, 1], [1, 0]], 11),
    shape([4, 6, 3], [[3, 2], [1, 2], [2, 3]], 8),
    shape([3, 4, 2], [[5, 6], [1, 1], [1, 1]], 6),
    shape([1, 1, 7], [[3, 2], [2, 1], [1, 2]], 4),
    shape([1, 1, 40], [[1, 1], [1, 1], [0, 0]], 10),
];

#[test]
fn synapse_is_a_convolution() -> Result<()> {
    for shape in SHAPES {
        check_synapse(shape, 35)?;
    }
    Ok(())
}

#[test]
fn binarised_taps_are_the_pooled_convolution() -> Result<()> {
    let (samples, outputs, channels) = (3, 4, 2);
    for (kernel, stride, padding, pool) in [
        ([3, 3], [1, 1], [0, 0], [1, 1]),
        ([3, 3], [1, 1], [0, 0], [2, 2]),
        ([3, 3], [1, 1], [0, 0], [3, 3]),
        ([1, 4], [1, 1], [0, 0], [1, 2]),
        ([1, 4], [1, 3], [0, 2], [1, 3]),
        ([3, 2], [2, 1], [1, 0], [2, 3]),
        // Between the pooled places of the kernel are taps of no weight.
        ([2, 1], [3, 2], [1, 3], [2, 2]),
    ] {
        let binarise = Binarise {
            outputs,
            kernel,
            stride,
            channels,
            pool,
            weights: Weights::Binary,
            cut: true,
        };
        // Three windows of the pooling on each side: candle's gradient knows none that is cut.
        let [height, width] = [0, 1]
            .map(|side| binarise.window()[side] + 2 * binarise.pitch()[side] - 2 * padding[side]);
        let input = random(1, -1.0, 1.0, &[samples, height, width, channels])?;
        let dims = [outputs, kernel[0], kernel[1], channels];
        let latent = Var::from_tensor(&random(2, -1.5, 1.5, &dims)?)?;
        let taps = binarise.taps(&latent)?;
        let shape = Synapse {
            height,
            width,
            channels,
            kernel: binarise.window(),
            stride: binarise.pitch(),
            padding,
            outputs,
            input_gradient: false,
        };
        let ours = shape.sums(&input, &taps)?;

        // sign(w) as a constant, plus w - w: a gradient of 1 inside [-1, 1] and none outside.
        let inside = latent.abs()?.le(1.0)?.to_dtype(candle_core::DType::F32)?;
        let sign = ((latent.ge(0.0)?.to_dtype(candle_core::DType::F32)? * 2.0)? - 1.0)?;
        let through = (latent.as_tensor() * inside)?;
        let binary = ((sign - through.detach())? + through)?;
        let every = |size: usize, stride: usize| {
            let places = (0..size as u32).step_by(stride);
            Tensor::from_iter(places, &Device::Cpu)
        };
        let sums = padded(&input, padding)?
            .permute((0, 3, 1, 2))?
            .contiguous()?
            .conv2d(&binary.permute((0, 3, 1, 2))?.contiguous()?, 0, 1, 1, 1)?;
        let plain = sums
            .index_select(&every(sums.dim(2)?, stride[0])?, 2)?
            .index_select(&every(sums.dim(3)?, stride[1])?, 3)?
            .avg_pool2d((pool[0], pool[1]))?
            .permute((0, 2, 3, 1))?
            .contiguous()?;
        assert_close("sums", &ours, &plain, 1e-4)?;
        let ours = weighted(&ours, 3)?.backward()?;
        let plain = weighted(&plain, 3)?.backward()?;
        let (Some(ours), Some(plain)) = (ours.get(&latent), plain.get(&latent)) else {
            panic!("no gradient of the latent weights");
        };
        assert_close("latent", ours, plain, 1e-3)?;
    }
    Ok(())
}

#[test]
fn the_sign_of_zero_is_plus_one() -> Result<()> {
    let latent = Tensor::new(&[[[[0f32, -0.0, -1e-9]]]], &Device::Cpu)?;
    let binarise = Binarise {
        outputs: 1,
        kernel: [1, 1],
        stride: [1, 1],
        channels: 3,
        pool: [1, 1],
        weights: Weights::Binary,
        cut: true,
    };
    assert_eq!(
        binarise.taps(&latent)?.flatten_all()?.to_vec1::<f32>()?,
        [1.0, 1.0, -1.0]
    );
    Ok(())
}

/// The formulas of the surrogates, as tensors.
fn plain_surrogate(surrogate: &Surrogate, u: &Tensor, threshold: f64) -> Result<Tensor> {
    let slope = f64::from(surrogate.slope);
    let (x, factor) = match surrogate.unit {
        Unit::Threshold => (((u / threshold)? - 1.0)?, 1.0 / threshold),
        Unit::Absolute => ((u - threshold)?, 1.0),
    };
    let derivative = match surrogate.shape {
        Shape::FastSigmoid => ((x.abs()? * slope)? + 1.0)?.sqr()?.recip()?,
        Shape::Arctan => {
            let d = (x * (slope * std::f64::consts::FRAC_PI_2))?;
            ((d.sqr()? + 1.0)?.recip()? * (slope / 2.0))?
        }
        Shape::Sigmoid => {
            let s = ((x * -slope)?.exp()? + 1.0)?.recip()?;
            ((&s - s.sqr()?)? * slope)?
        }
        Shape::Triangular => ((x.abs()? * -slope)? + 1.0)?.relu()?,
        Shape::StraightThrough => x.ones_like()?,
    };
    derivative * factor
}

/// Spikes by the unrolled graph, with the surrogate as the gradient of a term that is zero.
fn plain_lif(lif: &Lif, current: &Tensor) -> Result<Tensor> {
    let given = if lif.constant { 1 } else { lif.steps };
    let (rows, neurons) = current.dims2()?;
    let current = current.reshape((rows / given, given, neurons))?;
    let mut spikes: Vec<Tensor> = Vec::new();
    let mut membrane: Option<Tensor> = None;
    for t in 0..lif.steps {
        let x = current.narrow(1, if lif.constant { 0 } else { t }, 1)?;
        let u = match (&membrane, spikes.last()) {
            (Some(u), Some(s)) => {
                let reset = (s.detach() * f64::from(lif.threshold))?;
                (((u * f64::from(lif.beta))? + x)? - reset)?
            }
            _ => x,
        };
        let threshold = f64::from(lif.threshold);
        let fired = u.gt(threshold)?.to_dtype(candle_core::DType::F32)?;
        let surrogate = plain_surrogate(&lif.surrogate, &u.detach(), threshold)?;
        let zero = ((&u - u.detach())? * surrogate)?;
        spikes.push((fired + zero)?);
        membrane = Some(u);
    }
    Tensor::cat(&spikes, 1)?.reshape((rows / given * lif.steps, neurons))
}

fn surrogate(shape: Shape, unit: Unit) -> Surrogate {
    let slope = 2.0;
    Surrogate { shape, unit, slope }
}

#[test]
fn lif_is_the_unrolled_graph() -> Result<()> {
    for (steps, constant, neurons, shape, unit) in [
        (1, false, 3, Shape::FastSigmoid, Unit::Threshold),
        (5, false, 300, Shape::FastSigmoid, Unit::Threshold),
        (5, true, 300, Shape::FastSigmoid, Unit::Absolute),
        (100, false, 7, Shape::Arctan, Unit::Threshold),
        (5, false, 300, Shape::Arctan, Unit::Absolute),
        (4, true, 512, Shape::Sigmoid, Unit::Threshold),
        (6, false, 30, Shape::Sigmoid, Unit::Absolute),
        (5, false, 300, Shape::Triangular, Unit::Threshold),
        (5, true, 30, Shape::Triangular, Unit::Absolute),
        (5, false, 300, Shape::StraightThrough, Unit::Threshold),
    ] {
        let lif = Lif {
            steps,
            beta: 0.9,
            threshold: 1.3,
            surrogate: surrogate(shape, unit),
            constant,
        };
        let rows = 3 * if constant { 1 } else { steps };
        let current = Var::from_tensor(&random(1, -1.0, 2.0, &[rows, neurons])?)?;
        let (ours, plain) = (lif.spikes(&current)?, plain_lif(&lif, &current)?);
        let rate = ours.mean_all()?.to_scalar::<f32>()?;
        assert!(rate > 0.05 && rate < 0.9, "a rate of {rate} tests little");
        assert_close("spikes", &ours, &plain, 1e-6)?;
        let (ours, plain) = (
            weighted(&ours, 2)?.backward()?,
            weighted(&plain, 2)?.backward()?,
        );
        let (Some(ours), Some(plain)) = (ours.get(&current), plain.get(&current)) else {
            panic!("no gradient of the current");
        };
        assert_close("current", ours, plain, 1e-5)?;
    }
    Ok(())
}

#[test]
fn a_membrane_at_the_threshold_does_not_fire() -> Result<()> {
    let lif = Lif {
        steps: 1,
        beta: 0.9,
        threshold: 1.0,
        surrogate: surrogate(Shape::FastSigmoid, Unit::Threshold),
        constant: false,
    };
    let spikes = lif.spikes(&Tensor::new(&[[1.0f32, 1.000_001]], &Device::Cpu)?)?;
    assert_eq!(spikes.to_vec2::<f32>()?, [[0.0, 1.0]]);
    Ok(())
}

#[test]
fn batch_norm_is_the_plain_graph() -> Result<()> {
    let (rows, channels, epsilon) = (1500, 9, 1e-5);
    let x = Var::from_tensor(&random(1, -3.0, 5.0, &[rows, channels])?)?;
    let gain = Var::from_tensor(&random(2, -1.0, 2.0, &[channels])?)?;
    let shift = Var::from_tensor(&random(3, -1.0, 1.0, &[channels])?)?;
    let plain = |mean: &Tensor, variance: &Tensor| -> Result<Tensor> {
        let normal = x
            .broadcast_sub(mean)?
            .broadcast_div(&(variance + epsilon)?.sqrt()?)?;
        normal.broadcast_mul(&gain)?.broadcast_add(&shift)
    };
    let statistics = Statistics::of(&x, Grouping::ALL)?;
    let mean = x.mean_keepdim(0)?;
    let variance = x.broadcast_sub(&mean)?.sqr()?.mean_keepdim(D::Minus2)?;
    let as_tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu)?.reshape((1, channels));
    assert_close("mean", &as_tensor(&statistics.mean)?, &mean, 1e-4)?;
    assert_close(
        "variance",
        &as_tensor(&statistics.variance)?,
        &variance,
        1e-3,
    )?;
    for (of_batch, plain) in [
        (true, plain(&mean, &variance)?),
        (false, plain(&mean.detach(), &variance.detach())?),
    ] {
        let norm = BatchNorm::new(&statistics, epsilon as f32, of_batch);
        let ours = norm.normalise(&x, &gain, &shift)?;
        assert_close("result", &ours, &plain, 1e-4)?;
        let (ours, plain) = (
            weighted(&ours, 4)?.backward()?,
            weighted(&plain, 4)?.backward()?,
        );
        for (name, variable, tolerance) in [
            ("x", &x, 1e-4),
            ("gain", &gain, 2e-3),
            ("shift", &shift, 2e-3),
        ] {
            let (Some(ours), Some(plain)) = (ours.get(variable), plain.get(variable)) else {
                panic!("no gradient of the {name}");
            };
            assert_close(name, ours, plain, tolerance)?;
        }
    }
    Ok(())
}

#[test]
fn batch_norm_gradients_are_finite_differences() -> Result<()> {
    let (rows, channels, step) = (6, 2, 1e-2f32);
    let x = random(5, -1.0, 1.0, &[rows, channels])?;
    let gain = Tensor::new(&[1.5f32, -0.7], &Device::Cpu)?;
    let shift = Tensor::new(&[0.1f32, 0.2], &Device::Cpu)?;
    let loss = |x: &Tensor| -> Result<Tensor> {
        let norm = BatchNorm::new(&Statistics::of(x, Grouping::ALL)?, 1e-5, true);
        weighted(&norm.normalise(x, &gain, &shift)?, 6)
    };
    let variable = Var::from_tensor(&x)?;
    let grads = loss(&variable)?.backward()?;
    let Some(grad) = grads.get(&variable) else {
        panic!("no gradient")
    };
    let grad = grad.flatten_all()?.to_vec1::<f32>()?;
    for (index, grad) in grad.iter().enumerate() {
        let moved = |by: f32| -> Result<f32> {
            let mut values = x.flatten_all()?.to_vec1::<f32>()?;
            values[index] += by;
            loss(&Tensor::from_vec(values, x.shape(), &Device::Cpu)?)?.to_scalar::<f32>()
        };
        let difference = (moved(step)? - moved(-step)?) / (2.0 * step);
        assert!(
            (difference - grad).abs() < 5e-3,
            "{index}: {difference} {grad}"
        );
    }
    Ok(())
}

/// With a group a step, each step's rows are normalised as if they were alone.
#[test]
fn batch_norm_by_step_is_that_of_each_step() -> Result<()> {
    let (samples, steps, points, channels) = (70, 3, 5, 4);
    let x = Var::from_tensor(&random(7, -3.0, 5.0, &[samples, steps, points, channels])?)?;
    let gain = Var::from_tensor(&random(2, -1.0, 2.0, &[channels])?)?;
    let shift = Var::from_tensor(&random(3, -1.0, 1.0, &[channels])?)?;
    let normalise = |x: &Tensor, grouping| -> Result<Tensor> {
        let norm = BatchNorm::new(&Statistics::of(x, grouping)?, 1e-5, true);
        norm.normalise(x, &gain, &shift)
    };
    let groups = Grouping {
        groups: steps,
        points,
    };
    let ours = normalise(&x, groups)?;
    let alone = (0..steps).map(|t| normalise(&x.narrow(1, t, 1)?.contiguous()?, Grouping::ALL));
    let alone = Tensor::cat(&alone.collect::<Result<Vec<_>>>()?, 1)?;
    assert_close("result", &ours, &alone, 1e-5)?;
    let (ours, alone) = (
        weighted(&ours, 4)?.backward()?,
        weighted(&alone, 4)?.backward()?,
    );
    for (name, variable) in [("x", &x), ("gain", &gain), ("shift", &shift)] {
        let (Some(ours), Some(alone)) = (ours.get(variable), alone.get(variable)) else {
            panic!("no gradient of the {name}");
        };
        assert_close(name, ours, alone, 1e-3)?;
    }
    Ok(())
}

#[test]
fn float_taps_are_the_weights_and_pass_the_gradient_uncut() -> Result<()> {
    let latent = Var::from_tensor(&random(2, -1.5, 1.5, &[3, 1, 1, 5])?)?;
    let taps = Binarise {
        outputs: 3,
        kernel: [1, 1],
        stride: [1, 1],
        channels: 5,
        pool: [1, 1],
        weights: Weights::Float,
        cut: true,
    }
    .taps(&latent)?;
    let weights = latent.reshape((3, 5))?.t()?;
    assert_close("taps", &taps, &weights, 0.0)?;
    let (ours, plain) = (
        weighted(&taps, 3)?.backward()?,
        weighted(&weights, 3)?.backward()?,
    );
    let (Some(ours), Some(plain)) = (ours.get(&latent), plain.get(&latent)) else {
        panic!("no gradient of the latent weights");
    };
    assert_close("latent", ours, plain, 0.0)
}
