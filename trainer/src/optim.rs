//! Adam, with moments that can be saved, and the learning rate over the updates.

use candle_core::{Result, Tensor, Var};

use crate::ops::with_values;

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// A trained tensor with its moments.
#[derive(Debug)]
pub struct Parameter {
    /// A name that is unique in the network, for checkpoints.
    pub name: String,
    /// The value.
    pub value: Var,
    /// Whether the value is clamped to `[-1, 1]` after each update (latent weights).
    pub clamped: bool,
    /// Running mean of the gradient.
    pub first_moment: Vec<f32>,
    /// Running mean of the squared gradient.
    pub second_moment: Vec<f32>,
}

impl Parameter {
    /// A parameter that was not updated yet.
    pub fn new(name: String, value: Var, clamped: bool) -> Self {
        let zeros = vec![0.0; value.elem_count()];
        Self {
            name,
            value,
            clamped,
            first_moment: zeros.clone(),
            second_moment: zeros,
        }
    }

    /// Moves the parameter by Adam's rule along its gradient; `update` is 1 for the first update.
    ///
    /// # Errors
    /// If the gradient is not `f32` on the CPU.
    pub fn update(&mut self, grad: &Tensor, learning_rate: f32, update: u64) -> Result<()> {
        let exponent = i32::try_from(update).unwrap_or(i32::MAX);
        let rate = learning_rate / (1.0 - BETA1.powi(exponent));
        let correction = 1.0 / (1.0 - BETA2.powi(exponent)).sqrt();
        let mut value = with_values(&self.value, |value| Ok(value.to_vec()))?;
        with_values(grad, |grad| {
            let moments = self.first_moment.iter_mut().zip(&mut self.second_moment);
            for ((value, grad), (first, second)) in value.iter_mut().zip(grad).zip(moments) {
                *first = BETA1 * *first + (1.0 - BETA1) * grad;
                *second = BETA2 * *second + (1.0 - BETA2) * grad * grad;
                *value -= rate * *first / (second.sqrt() * correction + EPSILON);
                if self.clamped {
                    *value = value.clamp(-1.0, 1.0);
                }
            }
            Ok(())
        })?;
        let value = Tensor::from_vec(value, self.value.shape(), self.value.device())?;
        self.value.set(&value)
    }
}

/// The learning rate of the update after `done` of `total`: a linear rise over `warmup` updates,
/// times half a cosine to zero.
pub fn learning_rate(peak: f32, warmup: u64, done: u64, total: u64) -> f32 {
    let rise = if done < warmup {
        (done + 1) as f32 / warmup as f32
    } else {
        1.0
    };
    let part = done as f32 / total.max(1) as f32;
    peak * rise * 0.5 * (1.0 + (std::f32::consts::PI * part).cos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_first_update_moves_by_the_learning_rate_and_clamps() -> Result<()> {
        let value = Var::new(&[0.5f32, -0.95, 0.0], &Device::Cpu)?;
        let grad = Tensor::new(&[3.0f32, 2.0, -0.1], &Device::Cpu)?;
        let mut parameter = Parameter::new("w".into(), value, true);
        parameter.update(&grad, 0.1, 1)?;
        let moved = parameter.value.to_vec1::<f32>()?;
        for (moved, expected) in moved.iter().zip([0.4, -1.0, 0.1]) {
            assert!((moved - expected).abs() < 1e-5, "{moved} {expected}");
        }
        Ok(())
    }

    #[test]
    fn the_learning_rate_rises_and_falls_to_zero() {
        assert!((learning_rate(1.0, 10, 0, 1000) - 0.1).abs() < 1e-6);
        assert!((learning_rate(1.0, 10, 500, 1000) - 0.5).abs() < 1e-6);
        assert!(learning_rate(1.0, 10, 999, 1000) < 1e-5);
    }
}
