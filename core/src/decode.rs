//! Reading a decision out of the last layer.

use micromath::F32Ext;

use crate::model::{Model, Readout};

/// A decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Index of the decided class.
    pub class: usize,
    /// Step of the first output spike, from 0, where the read-out decides by it.
    pub first_spike: Option<u32>,
}

/// What the read-out gathers: an `i64` a neuron of the last layer in two words each, then class,
/// step (from 1; 0: none yet) and strength (an `i64`) of the first spike.
#[derive(Debug)]
pub(crate) struct Scores<'a> {
    sums: &'a mut [u32],
    first: &'a mut [u32],
}

impl<'a> Scores<'a> {
    pub(crate) fn new(words: &'a mut [u32]) -> Self {
        let (sums, first) = words.split_at_mut(words.len().saturating_sub(4));
        Self { sums, first }
    }

    pub(crate) fn clear(&mut self) {
        self.sums.fill(0);
        self.first.fill(0);
    }

    /// Adds one neuron's step, `step` counting from 1.
    pub(crate) fn add<const N: usize>(
        &mut self,
        model: &Model<'_, N>,
        neuron: usize,
        membrane: i32,
        spike: bool,
        step: u32,
    ) {
        let value = match model.readout() {
            Readout::Count | Readout::Population { .. } => i64::from(spike),
            Readout::Membrane | Readout::FirstSpike => i64::from(membrane),
        };
        if let Some([low, high]) = self.sums.get_mut(2 * neuron..2 * neuron + 2) {
            let sum = join(*low, *high).wrapping_add(value);
            (*low, *high) = (sum as u32, (sum >> 32) as u32);
        }
        if spike
            && model.readout() == Readout::FirstSpike
            && let [class, first, best_low, best_high] = self.first
        {
            let strength = i64::from(model.gain(neuron)) * i64::from(membrane);
            let better = *first == step && strength > join(*best_low, *best_high);
            if *first == 0 || better {
                (*class, *first) = (neuron as u32, step);
                (*best_low, *best_high) = (strength as u32, (strength >> 32) as u32);
            }
        }
    }

    fn sum(&self, neuron: usize) -> i64 {
        match self.sums.get(2 * neuron..2 * neuron + 2) {
            Some([low, high]) => join(*low, *high),
            _ => 0,
        }
    }
}

fn join(low: u32, high: u32) -> i64 {
    (u64::from(high) << 32 | u64::from(low)) as i64
}

/// Score of a class: spikes, or the summed membrane times the class's gain.
pub(crate) fn score<const N: usize>(
    model: &Model<'_, N>,
    scores: &Scores<'_>,
    class: usize,
) -> i64 {
    match model.readout() {
        Readout::Count => scores.sum(class),
        Readout::Membrane | Readout::FirstSpike => {
            i64::from(model.gain(class)).wrapping_mul(scores.sum(class))
        }
        Readout::Population { .. } => {
            let units = model.last().map_or(0, crate::model::Layer::units);
            let size = units / model.classes().max(1);
            (class * size..(class + 1) * size)
                .map(|neuron| scores.sum(neuron))
                .sum()
        }
    }
}

/// The decision: the largest score, ties to the lowest index; by the first spike where there is
/// one and the read-out asks for it.
pub(crate) fn decide<const N: usize>(model: &Model<'_, N>, scores: &Scores<'_>) -> Decision {
    if model.readout() == Readout::FirstSpike
        && let [class, step, ..] = *scores.first
        && step > 0
    {
        return Decision {
            class: class as usize,
            first_spike: Some(step - 1),
        };
    }
    let (mut class, mut best) = (0, score(model, scores, 0));
    for other in 1..model.classes() {
        let score = score(model, scores, other);
        if score > best {
            (class, best) = (other, score);
        }
    }
    Decision {
        class,
        first_spike: None,
    }
}

/// Softmax at the decided class.
pub(crate) fn confidence<const N: usize>(model: &Model<'_, N>, scores: &Scores<'_>) -> f32 {
    let logit = |class| score(model, scores, class) as f32 * model.logit_scale();
    let largest = (0..model.classes())
        .map(logit)
        .fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = (0..model.classes())
        .map(|class| exp(logit(class) - largest))
        .sum();
    exp(logit(decide(model, scores).class) - largest) / sum
}

/// `e^x` for `x` at most 0; micromath's approximation leaves the range of `f32` below -87.
fn exp(x: f32) -> f32 {
    if x < -80.0 { 0.0 } else { F32Ext::exp(x) }
}
