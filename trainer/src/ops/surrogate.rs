//! Surrogate gradients: what backward takes for the derivative of a spike by its membrane.

use serde::{Deserialize, Serialize};

/// The shape of a surrogate gradient, with `x` the distance of the membrane from the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// `1 / (1 + slope |x|)^2`.
    #[default]
    FastSigmoid,
    /// `(slope / 2) / (1 + (pi / 2 * slope x)^2)`.
    Arctan,
    /// `slope * sigmoid(slope x) * (1 - sigmoid(slope x))`.
    Sigmoid,
    /// `max(0, 1 - slope |x|)`.
    Triangular,
    /// 1 everywhere.
    StraightThrough,
}

/// In which unit the distance from the threshold is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// In thresholds, `x = u / theta - 1`, and the derivative is divided by `theta`: the surrogate
    /// widens with the threshold.
    #[default]
    Threshold,
    /// As it is, `x = u - theta`, as in snnTorch.
    Absolute,
}

/// A surrogate gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Surrogate {
    /// Its shape.
    pub shape: Shape,
    /// The unit of the distance from the threshold.
    pub unit: Unit,
    /// Its slope, at least 0; the straight-through one has none.
    pub slope: f32,
}

impl Surrogate {
    /// The fast sigmoid that widens with the threshold.
    pub fn fast_sigmoid(slope: f32) -> Self {
        Self {
            shape: Shape::FastSigmoid,
            unit: Unit::Threshold,
            slope,
        }
    }

    /// The derivative of a spike at membrane `u`.
    ///
    /// ```
    /// use bitspike_trainer::ops::surrogate::{Shape, Surrogate, Unit};
    ///
    /// let surrogate = Surrogate { shape: Shape::FastSigmoid, unit: Unit::Absolute, slope: 1.0 };
    /// assert_eq!(surrogate.derivative(5.0, 4.0), 0.25);
    /// ```
    pub fn derivative(&self, u: f32, threshold: f32) -> f32 {
        let mut u = [u];
        self.replace(&mut u, threshold);
        u[0]
    }

    /// `by_u`, `offset` and `factor`: the distance of a membrane from the threshold is
    /// `u * by_u - offset`, and the derivative is multiplied by `factor`.
    #[inline(always)]
    pub(super) fn scales(&self, threshold: f32) -> (f32, f32, f32) {
        match self.unit {
            Unit::Threshold => (1.0 / threshold, 1.0, 1.0 / threshold),
            Unit::Absolute => (1.0, threshold, 1.0),
        }
    }

    /// Replaces membranes by the derivatives of their spikes.
    #[inline(always)]
    pub(super) fn replace(&self, membranes: &mut [f32], threshold: f32) {
        let (by_u, offset, factor) = self.scales(threshold);
        let slope = self.slope;
        match self.shape {
            Shape::FastSigmoid => membranes.iter_mut().for_each(|u| {
                let d = 1.0 + slope * (*u * by_u - offset).abs();
                *u = factor / (d * d);
            }),
            Shape::Arctan => membranes.iter_mut().for_each(|u| {
                let d = std::f32::consts::FRAC_PI_2 * slope * (*u * by_u - offset);
                *u = factor * 0.5 * slope / (1.0 + d * d);
            }),
            Shape::Sigmoid => membranes.iter_mut().for_each(|u| {
                // The derivative is even, and e to a negative number cannot overflow.
                let e = (-(slope * (*u * by_u - offset)).abs()).exp();
                *u = factor * slope * e / ((1.0 + e) * (1.0 + e));
            }),
            Shape::Triangular => membranes.iter_mut().for_each(|u| {
                *u = factor * (1.0 - slope * (*u * by_u - offset).abs()).max(0.0);
            }),
            Shape::StraightThrough => membranes.fill(factor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The areas under the surrogates that stand for a step are those of their antiderivatives.
    #[test]
    fn a_surrogate_is_the_derivative_of_its_step() {
        let slope = 2.0f32;
        let steps: [(Shape, &dyn Fn(f32) -> f32); 4] = [
            (Shape::FastSigmoid, &|x| x / (1.0 + slope * x.abs())),
            (Shape::Arctan, &|x| {
                (std::f32::consts::FRAC_PI_2 * slope * x).atan() / std::f32::consts::PI
            }),
            (Shape::Sigmoid, &|x| 1.0 / (1.0 + (-slope * x).exp())),
            (Shape::Triangular, &|x| {
                let x = x.clamp(-1.0 / slope, 1.0 / slope);
                x - slope * x * x.abs() / 2.0
            }),
        ];
        for (shape, step) in steps {
            for unit in [Unit::Absolute, Unit::Threshold] {
                let surrogate = Surrogate { shape, unit, slope };
                let threshold = 1.5f32;
                for u in [-3.0f32, 0.7, 1.2, 1.4, 1.6, 2.1, 5.0] {
                    let x = |u: f32| match unit {
                        Unit::Absolute => u - threshold,
                        Unit::Threshold => u / threshold - 1.0,
                    };
                    let h = 1e-2;
                    let difference = (step(x(u + h)) - step(x(u - h))) / (2.0 * h);
                    let ours = surrogate.derivative(u, threshold);
                    assert!(
                        (ours - difference).abs() < 2e-3,
                        "{shape:?} {unit:?} {u}: {ours} {difference}"
                    );
                }
            }
        }
    }

    #[test]
    fn straight_through_is_one_everywhere() {
        let surrogate = Surrogate {
            shape: Shape::StraightThrough,
            unit: Unit::Absolute,
            slope: 7.0,
        };
        assert_eq!(surrogate.derivative(-40.0, 2.0), 1.0);
    }
}
