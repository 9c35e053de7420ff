//! Membranes of leaky integrate-and-fire neurons over all time steps, for losses on them.

use candle_core::{Result, Tensor};

use super::lif::{Lif, membranes};
use super::with_values;

impl Lif {
    /// Membranes `[n * steps, ..]` before the reset, from the current and the spikes that
    /// [`Lif::spikes`] gave for it.
    ///
    /// ```
    /// use bitspike_trainer::ops::lif::Lif;
    /// use bitspike_trainer::ops::surrogate::Surrogate;
    /// use candle_core::{Device, Tensor};
    ///
    /// let surrogate = Surrogate::fast_sigmoid(5.0);
    /// let lif = Lif { steps: 3, beta: 0.5, threshold: 1.0, surrogate, constant: false };
    /// let current = Tensor::new(&[[0.75f32], [0.75], [0.75]], &Device::Cpu)?;
    /// let membranes = lif.membranes(&current, &lif.spikes(&current)?)?;
    /// assert_eq!(membranes.to_vec2::<f32>()?, [[0.75], [1.125], [0.3125]]);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the shapes do not fit, or the tensors are not `f32` on the CPU.
    pub fn membranes(&self, current: &Tensor, spikes: &Tensor) -> Result<Tensor> {
        let samples = current.dim(0)? / self.given();
        if !current.dim(0)?.is_multiple_of(self.given())
            || spikes.elem_count() * self.given() != current.elem_count() * self.steps
        {
            candle_core::bail!(
                "currents {:?} and spikes {:?} are not those of {} steps",
                current.shape(),
                spikes.shape(),
                self.steps
            );
        }
        let neurons = spikes.elem_count() / (samples * self.steps).max(1);
        let mut result = vec![0.0; spikes.elem_count()];
        with_values(current, |current| {
            with_values(spikes, |spikes| {
                let (given, all) = (self.given() * neurons, self.steps * neurons);
                let sources = current.chunks(given.max(1)).zip(spikes.chunks(all.max(1)));
                for (result, source) in result.chunks_mut(all.max(1)).zip(sources) {
                    membranes(self, source, 0, neurons, result);
                }
                Ok(())
            })
        })?;
        Tensor::from_vec(result, spikes.shape(), spikes.device())
    }

    /// Gradient of the current `[n * steps, ..]` from that of the membranes: back through the decay,
    /// the reset detached.
    ///
    /// # Errors
    /// If the current is the same at every step, or the tensor is not `f32` on the CPU.
    pub fn membranes_backward(&self, grad: &Tensor) -> Result<Tensor> {
        if self.constant || !grad.dim(0)?.is_multiple_of(self.steps) {
            candle_core::bail!("membranes {:?} of {self:?}", grad.shape());
        }
        let neurons = grad.elem_count() / grad.dim(0)?.max(1);
        let mut result = with_values(grad, |grad| Ok(grad.to_vec()))?;
        for sample in result.chunks_mut((self.steps * neurons).max(1)) {
            for t in (1..self.steps).rev() {
                let (before, now) = sample.split_at_mut(t * neurons);
                let before = &mut before[(t - 1) * neurons..];
                super::add_scaled(before, self.beta, &now[..neurons]);
            }
        }
        Tensor::from_vec(result, grad.shape(), grad.device())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};
    use rand::RngExt;

    use super::*;
    use crate::ops::surrogate::Surrogate;
    use crate::seed::{Purpose, stream};

    fn largest(x: &Tensor) -> Result<f32> {
        x.abs()?.flatten_all()?.max(0)?.to_scalar()
    }

    /// Membranes and their gradient by candle's graph, step by step.
    #[test]
    fn membranes_are_those_of_the_unrolled_graph() -> Result<()> {
        let (samples, steps, neurons) = (3, 20, 7);
        let lif = Lif {
            steps,
            beta: 0.6,
            threshold: 1.2,
            surrogate: Surrogate::fast_sigmoid(5.0),
            constant: false,
        };
        let mut random = stream(3, Purpose::Weights, [0, 0]);
        let values: Vec<f32> = (0..samples * steps * neurons)
            .map(|_| random.random_range(-1.0..2.0))
            .collect();
        let shape = (samples * steps, neurons);
        let current = Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?)?;
        let spikes = lif.spikes(&current)?.detach();

        let by_sample = current.reshape((samples, steps, neurons))?;
        let fired = spikes.reshape((samples, steps, neurons))?;
        let mut plain: Vec<Tensor> = Vec::new();
        for t in 0..steps {
            let x = by_sample.narrow(1, t, 1)?;
            let u = match plain.last() {
                Some(u) => {
                    let reset = (fired.narrow(1, t - 1, 1)? * f64::from(lif.threshold))?;
                    (((u * f64::from(lif.beta))? + x)? - reset)?
                }
                None => x,
            };
            plain.push(u);
        }
        let plain = Tensor::cat(&plain, 1)?.reshape(shape)?;
        let ours = lif.membranes(&current, &spikes)?;
        assert!(largest(&(&ours - &plain)?)? < 1e-5);
        // The spikes are those of the membranes: neither function has its own arithmetic.
        let above = ours
            .gt(f64::from(lif.threshold))?
            .to_dtype(candle_core::DType::F32)?;
        assert_eq!(largest(&(above - &spikes)?)?, 0.0);
        assert!(largest(&spikes)? > 0.0);

        let weights: Vec<f32> = (0..samples * steps * neurons)
            .map(|_| random.random_range(-1.0..1.0))
            .collect();
        let weights = Tensor::from_vec(weights, shape, &Device::Cpu)?;
        let gradients = (&plain * &weights)?.sum_all()?.backward()?;
        let Some(wanted) = gradients.get(&current) else {
            panic!("no gradient of the current");
        };
        assert!(largest(&(lif.membranes_backward(&weights)? - wanted)?)? < 1e-5);
        Ok(())
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() -> Result<()> {
        let lif = Lif {
            steps: 4,
            beta: 0.6,
            threshold: 1.0,
            surrogate: Surrogate::fast_sigmoid(5.0),
            constant: false,
        };
        let three = Tensor::zeros((3, 2), candle_core::DType::F32, &Device::Cpu)?;
        let eight = Tensor::zeros((8, 2), candle_core::DType::F32, &Device::Cpu)?;
        assert!(lif.membranes(&three, &three).is_err());
        assert!(lif.membranes(&eight, &three).is_err());
        assert!(lif.membranes_backward(&three).is_err());
        Ok(())
    }
}
