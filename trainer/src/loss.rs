//! Losses, on what the read-out layer gives, each with its gradient.

use candle_core::{D, Tensor, Var};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Cross-entropy of the softmax of the scores: of the counts, or of the mean membranes.
    #[default]
    CrossEntropy,
    /// Mean squared distance of the spike counts from `rate * steps`, with one rate for the right
    /// class and one for the others (the paper's).
    MseCount,
    /// Mean squared distance of the membranes from a target at every step, with one target for the
    /// right class and one for the others.
    MseMembrane,
}

/// A loss with its targets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Criterion {
    /// The loss.
    pub loss: Loss,
    /// Target of the right class: a firing rate, or a membrane.
    pub right: f32,
    /// Target of every other class.
    pub wrong: f32,
    /// Time steps of a decision.
    pub steps: usize,
}

impl Criterion {
    /// The loss of `output`, and its gradient. The output is `[batch, classes]` of scores, or
    /// `[batch * steps, classes]` of membranes for [`Loss::MseMembrane`].
    ///
    /// # Errors
    /// If a label is not below the number of classes, or there are not as many as samples.
    pub fn evaluate(&self, output: &Tensor, labels: &[u8]) -> Result<(f32, Tensor)> {
        let (rows, classes) = output.dims2()?;
        let per_label = rows / labels.len().max(1);
        let fits = rows == per_label * labels.len();
        if !fits || labels.iter().any(|label| usize::from(*label) >= classes) {
            return Err(Error::failed(format!(
                "{} labels do not fit outputs of shape {rows} x {classes}",
                labels.len()
            )));
        }
        // The graph behind the output is left out: the network runs its layers back itself.
        let output = Var::from_tensor(output)?;
        let target = |right: f32, wrong: f32| {
            let mut target = vec![wrong; rows * classes];
            for (row, values) in target.chunks_exact_mut(classes).enumerate() {
                values[usize::from(labels[row / per_label])] = right;
            }
            Tensor::from_vec(target, (rows, classes), output.device())
        };
        let loss = match self.loss {
            Loss::CrossEntropy => {
                let right = (output.as_tensor() * target(1.0, 0.0)?)?.sum(D::Minus1)?;
                (output.log_sum_exp(D::Minus1)? - right)?.mean_all()?
            }
            Loss::MseCount => {
                let steps = self.steps as f32;
                let target = target(self.right * steps, self.wrong * steps)?;
                (output.as_tensor() - target)?.sqr()?.mean_all()?
            }
            Loss::MseMembrane => {
                let target = target(self.right, self.wrong)?;
                (output.as_tensor() - target)?.sqr()?.mean_all()?
            }
        };
        let Some(gradient) = loss.backward()?.remove(&output) else {
            return Err(Error::failed("the loss does not depend on the output"));
        };
        Ok((loss.to_scalar()?, gradient))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn evaluate(loss: Loss, output: &[[f32; 2]], labels: &[u8]) -> Result<(f32, Vec<f32>)> {
        let criterion = Criterion {
            loss,
            right: 0.75,
            wrong: 0.25,
            steps: 4,
        };
        let output = Tensor::new(output.concat(), &Device::Cpu)?.reshape((output.len(), 2))?;
        let (value, gradient) = criterion.evaluate(&output, labels)?;
        Ok((value, gradient.flatten_all()?.to_vec1()?))
    }

    #[test]
    fn counts_are_held_against_rates_times_steps() -> Result<()> {
        // Targets 3 and 1, distances 1 and 1.
        let (value, gradient) = evaluate(Loss::MseCount, &[[4.0, 2.0]], &[0])?;
        assert_eq!((value, gradient), (1.0, vec![1.0, 1.0]));
        Ok(())
    }

    #[test]
    fn membranes_are_held_against_their_targets_at_every_step() -> Result<()> {
        let (value, gradient) = evaluate(Loss::MseMembrane, &[[0.75, 0.25], [1.75, 0.25]], &[0])?;
        assert_eq!((value, gradient), (0.25, vec![0.0, 0.0, 0.5, 0.0]));
        Ok(())
    }

    #[test]
    fn cross_entropy_of_equal_scores_is_the_logarithm_of_the_classes() -> Result<()> {
        let (value, gradient) = evaluate(Loss::CrossEntropy, &[[1.0, 1.0]], &[1])?;
        assert!((value - 2f32.ln()).abs() < 1e-6);
        assert_eq!(gradient, [0.5, -0.5]);
        Ok(())
    }

    #[test]
    fn labels_that_do_not_fit_are_refused() {
        assert!(evaluate(Loss::CrossEntropy, &[[1.0, 1.0]], &[2]).is_err());
        assert!(evaluate(Loss::CrossEntropy, &[[1.0, 1.0]], &[]).is_err());
    }
}
