//! Optimisers with moments that can be saved, the clipping of gradients, and the learning rate over
//! the updates.

use candle_core::{DType, Device, Result, Tensor, Var};
use multiversion::multiversion;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::ops::{on_host, with_values};

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// Values that a thread moves at a time.
const VALUES_AT_ONCE: usize = 1 << 14;

/// A rule by which parameters follow their gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimiser {
    /// Adam, with the usual decays of 0.9 and 0.999.
    #[default]
    Adam,
    /// Stochastic gradient descent with momentum: `v = momentum * v + g`, then `-rate * v`.
    Sgd,
}

/// One move of all parameters.
#[derive(Debug, Clone, Copy)]
pub struct Move {
    /// The rule.
    pub optimiser: Optimiser,
    /// Momentum of [`Optimiser::Sgd`].
    pub momentum: f32,
    /// Learning rate.
    pub rate: f32,
    /// Factor on the gradients, from [`clip`].
    pub scale: f32,
    /// Number of the update, 1 for the first.
    pub update: u64,
}

/// A trained tensor with its moments.
#[derive(Debug)]
pub struct Parameter {
    /// A name that is unique in the network, for checkpoints.
    pub name: String,
    /// The value.
    pub value: Var,
    /// Whether the value is clamped to `[-1, 1]` after each update (latent weights).
    pub clamped: bool,
    moments: Moments,
}

/// Running means of a parameter's gradient (of SGD, its velocity) and of the squared gradient, where
/// the parameter is.
#[derive(Debug)]
enum Moments {
    Host([Vec<f32>; 2]),
    Device([Tensor; 2]),
}

impl Parameter {
    /// A parameter that was not updated yet.
    pub fn new(name: String, value: Var, clamped: bool) -> Self {
        let zeros = vec![0.0; value.elem_count()];
        Self {
            name,
            value,
            clamped,
            moments: Moments::Host([zeros.clone(), zeros]),
        }
    }

    /// Running means of the gradient (of SGD, the velocity) and of the squared gradient.
    ///
    /// # Errors
    /// If the device does not give them.
    pub fn moments(&self) -> Result<[Vec<f32>; 2]> {
        match &self.moments {
            Moments::Host(moments) => Ok(moments.clone()),
            Moments::Device([first, second]) => {
                let values = |moment: &Tensor| moment.flatten_all()?.to_vec1();
                Ok([values(first)?, values(second)?])
            }
        }
    }

    /// Goes on with the moments that [`Parameter::moments`] gave.
    ///
    /// # Errors
    /// If they have another length than the value.
    pub fn set_moments(&mut self, moments: [Vec<f32>; 2]) -> Result<()> {
        let len = self.value.elem_count();
        if moments.iter().any(|moment| moment.len() != len) {
            candle_core::bail!("{}: moments of other than {len} values", self.name);
        }
        self.moments = Moments::Host(moments);
        Ok(())
    }

    /// Takes the value to a device; the next [`Parameter::update`] takes the moments there.
    ///
    /// # Errors
    /// If the device has no room for it.
    pub fn move_to(&mut self, device: &Device) -> Result<()> {
        self.value = Var::from_tensor(&self.value.to_device(device)?)?;
        Ok(())
    }

    /// Moves the parameter along its gradient.
    ///
    /// # Errors
    /// If the gradient is not `f32`.
    pub fn update(&mut self, grad: &Tensor, step: &Move) -> Result<()> {
        let exponent = i32::try_from(step.update).unwrap_or(i32::MAX);
        let scales = Scales {
            rate: step.rate / (1.0 - BETA1.powi(exponent)),
            correction: 1.0 / (1.0 - BETA2.powi(exponent)).sqrt(),
            clamped: self.clamped,
        };
        if on_host(&self.value) {
            self.update_on_host(grad, step, scales)
        } else {
            self.update_on_device(grad, step, scales)
        }
    }

    fn update_on_host(&mut self, grad: &Tensor, step: &Move, scales: Scales) -> Result<()> {
        if let Moments::Device(_) = self.moments {
            self.moments = Moments::Host(self.moments()?);
        }
        let Moments::Host([first, second]) = &mut self.moments else {
            candle_core::bail!("{}: its moments are not on the host", self.name);
        };
        let mut value = with_values(&self.value, |value| Ok(value.to_vec()))?;
        with_values(grad, |grad| {
            let moments = first.par_chunks_mut(VALUES_AT_ONCE);
            let moments = moments.zip(second.par_chunks_mut(VALUES_AT_ONCE));
            value
                .par_chunks_mut(VALUES_AT_ONCE)
                .zip(grad.par_chunks(VALUES_AT_ONCE))
                .zip(moments)
                .for_each(|((value, grad), moments)| {
                    move_along(value, grad, moments, step, scales)
                });
            Ok(())
        })?;
        let value = Tensor::from_vec(value, self.value.shape(), self.value.device())?;
        self.value.set(&value)
    }

    /// The same equations by candle's operations: nothing crosses the bus.
    fn update_on_device(&mut self, grad: &Tensor, step: &Move, scales: Scales) -> Result<()> {
        if let Moments::Host(moments) = &self.moments {
            let (shape, device) = (self.value.shape(), self.value.device());
            let there = |moment: &Vec<f32>| Tensor::from_slice(moment, shape, device);
            self.moments = Moments::Device([there(&moments[0])?, there(&moments[1])?]);
        }
        let Moments::Device([first, second]) = &mut self.moments else {
            candle_core::bail!("{}: its moments are not on the device", self.name);
        };
        let grad = (grad.detach().reshape(self.value.shape())? * f64::from(step.scale))?;
        let mean = |moment: &Tensor, of: &Tensor, decay: f32| {
            (moment * f64::from(decay))? + (of * f64::from(1.0 - decay))?
        };
        let way = match step.optimiser {
            Optimiser::Adam => {
                *first = mean(first, &grad, BETA1)?;
                *second = mean(second, &grad.sqr()?, BETA2)?;
                let deviation = second
                    .sqrt()?
                    .affine(scales.correction.into(), EPSILON.into())?;
                (&*first / deviation)? * f64::from(scales.rate)
            }
            Optimiser::Sgd => {
                *first = ((&*first * f64::from(step.momentum))? + grad)?;
                &*first * f64::from(step.rate)
            }
        };
        let value = (self.value.as_detached_tensor() - way?)?;
        let value = if scales.clamped {
            value.clamp(-1f32, 1f32)?
        } else {
            value
        };
        self.value.set(&value)
    }
}

/// What an update multiplies by.
#[derive(Clone, Copy)]
struct Scales {
    rate: f32,
    correction: f32,
    clamped: bool,
}

/// [`Parameter::update`] of some values.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn move_along(
    value: &mut [f32],
    grad: &[f32],
    (first, second): (&mut [f32], &mut [f32]),
    step: &Move,
    scales: Scales,
) {
    let moments = first.iter_mut().zip(second);
    let values = value.iter_mut().zip(grad).zip(moments);
    match step.optimiser {
        Optimiser::Adam => {
            for ((value, grad), (first, second)) in values {
                let grad = grad * step.scale;
                *first = BETA1 * *first + (1.0 - BETA1) * grad;
                *second = BETA2 * *second + (1.0 - BETA2) * grad * grad;
                *value -= scales.rate * *first / (second.sqrt() * scales.correction + EPSILON);
            }
        }
        Optimiser::Sgd => {
            for ((value, grad), (first, _)) in values {
                *first = step.momentum * *first + grad * step.scale;
                *value -= step.rate * *first;
            }
        }
    }
    if scales.clamped {
        for value in value {
            *value = value.clamp(-1.0, 1.0);
        }
    }
}

/// The factor that brings the norm of all gradients together down to `largest`; 1 where it is
/// smaller.
///
/// # Errors
/// If a gradient is not `f32`.
pub fn clip(gradients: &[Tensor], largest: f32) -> Result<f32> {
    let mut squares = 0.0;
    for gradient in gradients {
        squares += if on_host(gradient) {
            with_values(gradient, |values| {
                Ok(values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>())
            })?
        } else {
            let values = gradient.detach().to_dtype(DType::F64)?;
            values.sqr()?.sum_all()?.to_scalar::<f64>()?
        };
    }
    Ok((f64::from(largest) / squares.sqrt().max(1e-12)).min(1.0) as f32)
}

/// The learning rate over the updates: a linear rise, then along a cosine or constant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearningRate {
    /// The highest.
    pub peak: f32,
    /// Updates over which it rises to that.
    pub warmup: u64,
    /// Updates in which half a cosine takes it to 0 (and as many up again); `None` keeps it.
    pub half_cosine: Option<u64>,
}

impl LearningRate {
    /// The learning rate of the update after `done` others.
    pub fn after(&self, done: u64) -> f32 {
        let rise = if done < self.warmup {
            (done + 1) as f32 / self.warmup as f32
        } else {
            1.0
        };
        let Some(half) = self.half_cosine else {
            return self.peak * rise;
        };
        let part = done as f32 / half.max(1) as f32;
        self.peak * rise * 0.5 * (1.0 + (std::f32::consts::PI * part).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::by_candle;

    fn moves(optimiser: Optimiser, rate: f32, scale: f32, update: u64) -> Move {
        Move {
            optimiser,
            momentum: 0.5,
            rate,
            scale,
            update,
        }
    }

    #[test]
    fn the_first_update_of_adam_moves_by_the_learning_rate_and_clamps() -> Result<()> {
        let value = Var::new(&[0.5f32, -0.95, 0.0], &Device::Cpu)?;
        let grad = Tensor::new(&[3.0f32, 2.0, -0.1], &Device::Cpu)?;
        let mut parameter = Parameter::new("w".into(), value, true);
        parameter.update(&grad, &moves(Optimiser::Adam, 0.1, 1.0, 1))?;
        let moved = parameter.value.to_vec1::<f32>()?;
        for (moved, expected) in moved.iter().zip([0.4, -1.0, 0.1]) {
            assert!((moved - expected).abs() < 1e-5, "{moved} {expected}");
        }
        Ok(())
    }

    #[test]
    fn sgd_gathers_momentum_and_takes_the_clipped_gradient() -> Result<()> {
        let mut parameter = Parameter::new("w".into(), Var::new(&[4.0f32], &Device::Cpu)?, false);
        let grad = Tensor::new(&[2.0f32], &Device::Cpu)?;
        for update in 1..=2 {
            parameter.update(&grad, &moves(Optimiser::Sgd, 1.0, 0.5, update))?;
        }
        // Velocities 1 and 1.5.
        assert_eq!(parameter.value.to_vec1::<f32>()?, [1.5]);
        Ok(())
    }

    #[test]
    fn parameters_move_on_a_device_as_on_the_host() -> Result<()> {
        for optimiser in [Optimiser::Adam, Optimiser::Sgd] {
            let new = || {
                let value = Var::new(&[[0.5f32, -0.99], [0.0, 0.2]], &Device::Cpu)?;
                Ok::<_, candle_core::Error>(Parameter::new("w".into(), value, true))
            };
            let (mut host, mut device) = (new()?, new()?);
            for update in 1..=6 {
                let grad = Tensor::new(&[[3.0f32, 2.0], [-0.1, update as f32]], &Device::Cpu)?;
                let step = moves(optimiser, 0.02, 0.7, update);
                host.update(&grad, &step)?;
                // Back on the host for one update, as after a change of device.
                if update == 4 {
                    device.update(&grad, &step)?;
                } else {
                    by_candle(|| device.update(&grad, &step))?;
                }
                let all = |parameter: &Parameter| {
                    let [first, second] = parameter.moments()?;
                    let value = parameter.value.flatten_all()?.to_vec1::<f32>()?;
                    Ok::<_, candle_core::Error>([value, first, second].concat())
                };
                for (host, device) in all(&host)?.into_iter().zip(all(&device)?) {
                    let difference = (host - device).abs();
                    assert!(difference <= 1e-6 * host.abs().max(1.0), "{host} {device}");
                }
            }
            // The second one has reached its bound.
            assert_eq!(device.value.to_vec2::<f32>()?[0][1], -1.0);
        }
        Ok(())
    }

    #[test]
    fn moments_of_another_length_are_refused() -> Result<()> {
        let value = Var::new(&[0.5f32, -0.95], &Device::Cpu)?;
        let mut parameter = Parameter::new("w".into(), value, true);
        let error = parameter.set_moments([vec![0.0; 2], vec![0.0; 3]]);
        assert!(error.is_err_and(|error| error.to_string().contains("w: moments")));
        Ok(())
    }

    #[test]
    fn gradients_are_clipped_by_the_norm_of_all_of_them() -> Result<()> {
        let gradients = [
            Tensor::new(&[3.0f32], &Device::Cpu)?,
            Tensor::new(&[0.0f32, 4.0], &Device::Cpu)?,
        ];
        for f in [clip, |gradients: &[Tensor], largest| {
            by_candle(|| clip(gradients, largest))
        }] {
            assert_eq!(f(&gradients, 1.0)?, 0.2);
            assert_eq!(f(&gradients, 9.0)?, 1.0);
        }
        Ok(())
    }

    #[test]
    fn the_learning_rate_rises_and_falls_to_zero() {
        let mut rate = LearningRate {
            peak: 1.0,
            warmup: 10,
            half_cosine: Some(1000),
        };
        assert!((rate.after(0) - 0.1).abs() < 1e-6);
        assert!((rate.after(500) - 0.5).abs() < 1e-6);
        assert!(rate.after(999) < 1e-5);
        // As in the reference, which steps its scheduler on and on: up again.
        assert!((rate.after(2000) - 1.0).abs() < 1e-5);
        rate.half_cosine = None;
        assert_eq!(rate.after(999), 1.0);
    }
}
