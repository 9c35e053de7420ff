//! The network of the temporal task, and one update of it.

use candle_core::{Device, Tensor, Var};
use rand::RngExt;

use super::{Condition, HIDDEN, INPUTS, Observation, SPIKE_STEP, SPIKE_WEIGHT, STEPS};
use crate::ops::lif::Lif;
use crate::ops::sign::{Binarise, Weights};
use crate::ops::surrogate::{Shape, Surrogate, Unit};
use crate::ops::synapse::Synapse;
use crate::ops::with_values;
use crate::optim::{Move, Optimiser, Parameter};
use crate::seed::{Purpose, stream};
use crate::{Error, Result};

/// Part of the update before that is repeated.
const MOMENTUM: f32 = 0.9;
/// The surrogate gradient of the reference, which does not widen with the threshold.
const SURROGATE: Surrogate = Surrogate {
    shape: Shape::FastSigmoid,
    unit: Unit::Absolute,
    slope: 5.0,
};

/// A network with its threshold and the state of the optimiser.
#[derive(Debug)]
pub struct Network {
    condition: Condition,
    threshold: f32,
    layers: [Layer; 2],
    input: Tensor,
    target: Vec<f32>,
    iteration: u64,
}

#[derive(Debug)]
struct Layer {
    synapse: Synapse,
    /// Latent weights `[outputs, 1, 1, inputs]`.
    weights: Parameter,
    bias: Parameter,
    binarise: Binarise,
}

impl Network {
    /// A network that learned nothing yet.
    ///
    /// # Errors
    /// Never in practice: if a tensor cannot be made.
    pub fn new(condition: Condition, seed: u64) -> Result<Self> {
        Ok(Self {
            condition,
            threshold: condition.thresholds().0,
            layers: [
                Layer::new(condition, [INPUTS, HIDDEN], seed, 0)?,
                Layer::new(condition, [HIDDEN, 1], seed, 1)?,
            ],
            input: Tensor::from_vec(super::input(seed), (STEPS, INPUTS), &Device::Cpu)?,
            target: condition.target(),
            iteration: 0,
        })
    }

    /// Iterations done.
    pub fn iteration(&self) -> u64 {
        self.iteration
    }

    /// All numbers that an iteration changes, by name.
    ///
    /// # Errors
    /// Never in practice: if a tensor cannot be read.
    pub fn tensors(&self) -> Result<Vec<(String, Vec<f32>)>> {
        let mut tensors = vec![("threshold".to_owned(), vec![self.threshold])];
        for parameter in self.layers.iter().flat_map(|l| [&l.weights, &l.bias]) {
            let value = with_values(&parameter.value, |value| Ok(value.to_vec()))?;
            let velocity = format!("{}.velocity", parameter.name);
            let [moment, _] = parameter.moments()?;
            tensors.push((velocity, moment));
            tensors.push((parameter.name.clone(), value));
        }
        Ok(tensors)
    }

    /// Goes on after `iteration` iterations, with the numbers that [`Network::tensors`] gave then;
    /// `take(name, len)` finds them.
    ///
    /// # Errors
    /// What `take` reports.
    pub fn restore(
        &mut self,
        iteration: u64,
        mut take: impl FnMut(&str, usize) -> Result<Vec<f32>>,
    ) -> Result<()> {
        self.iteration = iteration;
        self.threshold = take("threshold", 1)?[0];
        for layer in &mut self.layers {
            for parameter in [&mut layer.weights, &mut layer.bias] {
                let len = parameter.value.elem_count();
                let shape = parameter.value.shape().clone();
                let value = take(&parameter.name, len)?;
                let value = Tensor::from_vec(value, shape, &Device::Cpu)?;
                parameter.value.set(&value)?;
                let velocity = take(&format!("{}.velocity", parameter.name), len)?;
                parameter.set_moments([velocity, vec![0.0; len]])?;
            }
        }
        Ok(())
    }

    /// Runs the network over all steps and moves its weights, biases and threshold.
    ///
    /// # Errors
    /// If the loss is no longer a number.
    pub fn iterate(&mut self) -> Result<Observation> {
        let lif = Lif {
            steps: STEPS,
            beta: self.condition.beta(),
            threshold: self.threshold,
            surrogate: SURROGATE,
            constant: false,
        };
        let [first, last] = &self.layers;
        let hidden_taps = first.binarise.taps(&first.weights.value)?;
        let hidden_current = first.current(&self.input, &hidden_taps)?;
        let hidden = lif.spikes(&hidden_current)?;
        let taps = last.binarise.taps(&last.weights.value)?;
        let current = last.current(&hidden, &taps)?;
        let membranes = lif.membranes(&current, &lif.spikes(&current)?)?;
        let membrane = with_values(&membranes, |values| Ok(values.to_vec()))?;

        let differences = membrane.iter().zip(&self.target).map(|(u, v)| u - v);
        let differences: Vec<f32> = differences.collect();
        let error = differences.iter().map(|d| d * d).sum::<f32>() / STEPS as f32;
        if !error.is_finite() {
            return Err(Error::failed(format!(
                "{}: the error became {error} at iteration {}",
                self.condition.name(),
                self.iteration + 1
            )));
        }
        let of_membrane = differences.iter().enumerate().map(|(step, difference)| {
            let weight = if step == SPIKE_STEP {
                SPIKE_WEIGHT
            } else {
                1.0
            };
            weight * 2.0 * difference / STEPS as f32
        });
        let of_membrane = Tensor::from_vec(of_membrane.collect(), (STEPS, 1), &Device::Cpu)?;
        let of_current = lif.membranes_backward(&of_membrane)?;
        let (of_hidden, last_gradients) = last.backward(&hidden, &taps, &of_current)?;
        let Some(of_hidden) = of_hidden else {
            return Err(Error::failed("the hidden layer has no gradient"));
        };
        let of_hidden = of_hidden.reshape((STEPS, HIDDEN))?;
        let of_current = lif.backward(&hidden_current, &hidden, &of_hidden)?;
        let (_, first_gradients) = first.backward(&self.input, &hidden_taps, &of_current)?;

        let observation = Observation {
            error,
            threshold: self.threshold,
            hidden_rate: hidden.mean_all()?.to_scalar()?,
            membrane,
        };
        let step = Move {
            optimiser: Optimiser::Sgd,
            momentum: MOMENTUM,
            rate: self.condition.learning_rate(),
            scale: 1.0,
            update: self.iteration + 1,
        };
        let gradients = [first_gradients, last_gradients];
        for (layer, (of_weights, of_bias)) in self.layers.iter_mut().zip(gradients) {
            layer.weights.update(&of_weights, &step)?;
            layer.bias.update(&of_bias, &step)?;
        }
        self.iteration += 1;
        self.threshold = self
            .condition
            .annealing()
            .next(self.threshold, self.iteration);
        Ok(observation)
    }
}

impl Layer {
    fn new(
        condition: Condition,
        [inputs, outputs]: [usize; 2],
        seed: u64,
        index: u64,
    ) -> Result<Self> {
        let mut random = stream(seed, Purpose::Weights, [index, 0]);
        let mut uniform = |bound: f32, count: usize| -> Vec<f32> {
            let values = (0..count).map(|_| random.random_range(-bound..bound));
            values.collect()
        };
        // The reference's initial values, of its own binary and of PyTorch's linear layer.
        let shape = vec![outputs, 1, 1, inputs];
        let (weights, bias) = if condition.is_binary() {
            let bound = (1.5 / (inputs + outputs) as f32).sqrt();
            (uniform(bound, inputs * outputs), vec![0.0; outputs])
        } else {
            let bound = 1.0 / (inputs as f32).sqrt();
            (uniform(bound, inputs * outputs), uniform(bound, outputs))
        };
        let parameter = |kind: &str, value: Vec<f32>, shape: Vec<usize>| -> Result<Parameter> {
            let value = Var::from_tensor(&Tensor::from_vec(value, shape, &Device::Cpu)?)?;
            let name = format!("layers.{index}.{kind}");
            Ok(Parameter::new(name, value, false))
        };
        Ok(Self {
            synapse: Synapse {
                height: 1,
                width: 1,
                channels: inputs,
                kernel: [1, 1],
                stride: [1, 1],
                padding: [0, 0],
                outputs,
                input_gradient: index > 0,
            },
            weights: parameter("weights", weights, shape)?,
            bias: parameter("bias", bias, vec![outputs])?,
            binarise: Binarise {
                outputs,
                kernel: [1, 1],
                stride: [1, 1],
                channels: inputs,
                pool: [1, 1],
                weights: if condition.is_binary() {
                    Weights::Binary
                } else {
                    Weights::Float
                },
                cut: false,
            },
        })
    }

    fn current(&self, input: &Tensor, taps: &Tensor) -> Result<Tensor> {
        let sums = self.synapse.sums(input, taps)?;
        let sums = sums.reshape((STEPS, self.synapse.outputs))?;
        Ok(sums.broadcast_add(&self.bias.value)?)
    }

    /// The gradients of the input, where it has one, and of weights and bias.
    fn backward(
        &self,
        input: &Tensor,
        taps: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, (Tensor, Tensor))> {
        let (of_input, of_taps) = self.synapse.backward(input, taps, grad)?;
        let of_weights = self.binarise.backward(&self.weights.value, &of_taps)?;
        Ok((of_input, (of_weights, grad.sum(0)?)))
    }
}
