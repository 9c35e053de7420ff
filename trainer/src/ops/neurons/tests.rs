use candle_core::{Device, Var};
use rand::RngExt;

use super::*;
use crate::ops::dropout::Dropout;
use crate::ops::norm::{Grouping, Statistics};
use crate::ops::surrogate::Surrogate;
use crate::seed::{Purpose, stream};

fn random(seed: u64, shape: &[usize]) -> Result<Tensor> {
    let mut random = stream(seed, Purpose::Weights, [0, 0]);
    let count = shape.iter().product::<usize>();
    let values = (0..count).map(|_| random.random_range(-1f32..2.0));
    Tensor::from_vec(values.collect(), shape, &Device::Cpu)
}

fn difference(a: &Tensor, b: &Tensor) -> Result<f32> {
    assert_eq!(a.dims(), b.dims());
    (a - b)?.abs()?.flatten_all()?.max(0)?.to_scalar()
}

/// Operation by operation, by candle's graph.
fn check(
    (samples, steps, points, channels): (usize, usize, usize, usize),
    once: bool,
    by_step: bool,
    probability: f32,
) -> Result<()> {
    let case = format!("{samples} {steps} {points} {channels} {once} {by_step} {probability}");
    let rows = if once { samples } else { samples * steps };
    let sums = Var::from_tensor(&random(1, &[rows, points, channels])?)?;
    let (gain, shift) = (random(2, &[channels])?, random(3, &[channels])?);
    let (gain, shift) = (Var::from_tensor(&gain)?, Var::from_tensor(&shift)?);
    let groups = if by_step { steps } else { 1 };
    let grouping = Grouping { groups, points };
    let norm = BatchNorm::new(&Statistics::of(&sums, grouping)?, 1e-5, true);
    let lif = Lif {
        steps,
        beta: 0.9,
        threshold: 1.2,
        surrogate: Surrogate::fast_sigmoid(2.0),
        constant: once,
    };
    let dropout = (probability > 0.0).then_some(Dropout {
        probability,
        seed: 4,
        update: 2,
        layer: 1,
    });

    let mut current = norm.normalise(&sums, &gain, &shift)?;
    let constant = once && dropout.is_none();
    if let Some(dropout) = dropout {
        let repeated = (samples, steps, points, channels);
        if once {
            current = current.unsqueeze(1)?.broadcast_as(repeated)?;
            current = current.contiguous()?.flatten(0, 1)?;
        }
        current = (&current * dropout.factors(current.shape(), &Device::Cpu)?)?;
    }
    let plain = Lif { constant, ..lif }.spikes(&current)?;

    let values = samples * steps * points * channels;
    let mask = dropout.map(|dropout| Arc::new(dropout.mask(values)));
    let neurons = Neurons { norm, mask, lif };
    let spikes = neurons.spikes(&sums, &gain, &shift)?;
    assert_eq!(difference(&spikes, &plain)?, 0.0, "{case}");
    let rate = spikes.mean_all()?.to_scalar::<f32>()?;
    assert!(
        rate > 0.02 && rate < 0.9,
        "a rate of {rate} tests little: {case}"
    );

    let grad = random(5, spikes.dims())?;
    let wanted = (&plain * &grad)?.sum_all()?.backward()?;
    let line = (&*gain, &*shift);
    let ours = neurons.backward(&sums, line, &spikes, OfSpikes::Given(&grad))?;
    for (name, ours, variable) in [
        ("sums", &ours.0, &sums),
        ("gain", &ours.1, &gain),
        ("shift", &ours.2, &shift),
    ] {
        let Some(wanted) = wanted.get(variable) else {
            panic!("no gradient of the {name}");
        };
        let largest = wanted.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
        let difference = difference(ours, wanted)? / largest.max(1.0);
        assert!(difference < 1e-4, "{name} by {difference}: {case}");
    }
    Ok(())
}

#[test]
fn one_pass_is_the_operations_one_by_one() -> Result<()> {
    for sizes in [
        (3, 5, 7, 6),
        (70, 4, 1, 300),
        (5, 20, 3, 256),
        (2, 1, 90, 4),
    ] {
        for probability in [0.0, 0.3] {
            for (once, by_step) in [(false, false), (false, true), (true, false)] {
                if !once || sizes.1 > 1 {
                    check(sizes, once, by_step, probability)?;
                }
            }
        }
    }
    Ok(())
}
