//! The network: a model with its state in memory that the caller supplies.

use core::fmt;

use crate::bits::{self, Bits};
use crate::decode::{self, Decision, Scores};
use crate::kernel::{BLOCK, Kernel, Outputs, WIDE};
use crate::lif::Membrane;
use crate::model::{Input, InputKind, Layer, MAX_LAYERS, Model, parts, static_sums};
use crate::neurons::Neurons;
use crate::store::Store;

/// The caller's memory is too small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryError {
    /// Words that the model needs.
    pub expected: usize,
    /// Words that were given.
    pub got: usize,
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the network needs {} words of memory, not {}",
            self.expected, self.got
        )
    }
}

impl core::error::Error for MemoryError {}

/// A model and its state: membranes, spikes of the last step, read-out.
///
/// ```
/// use bitspike_core::model::{Model, Sizes, pack_words};
/// use bitspike_core::network::Network;
///
/// static FILE: [u32; 92] = pack_words(include_bytes!("../tests/models/v1-mixed.bsnn"));
/// let model = Model::new(&FILE)?;
/// let mut memory = [0; Sizes::of(&FILE).memory_words()];
/// let mut network = Network::new(&model, &mut memory)?;
/// let picture = [200; 36];
/// let decision = network.run(model.input(&picture)?);
/// assert!(decision.class < model.classes());
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Network<'a, const LAYERS: usize = MAX_LAYERS, const PARTS: u32 = { parts::ALL }> {
    model: &'a Model<'a, LAYERS, PARTS>,
    kernel: Option<Kernel>,
    /// Sums of the first layer for a graded input.
    sums: &'a mut [u32],
    /// Whether they take 16 bits each.
    half: bool,
    /// Whether they are 16-bit drives: sums in units of the membrane, with the bias.
    driven: bool,
    pub(crate) scores: Scores<'a>,
    pub(crate) spikes: &'a mut [u32],
    pub(crate) membranes: &'a mut [u32],
    pub(crate) step: u32,
}

impl<'a, const LAYERS: usize, const PARTS: u32> Network<'a, LAYERS, PARTS> {
    /// A network at rest. It uses the first [`memory_words`](crate::model::Sizes::memory_words)
    /// of `memory` and nothing else.
    ///
    /// # Errors
    /// [`MemoryError`] where `memory` is too small.
    pub fn new(
        model: &'a Model<'a, LAYERS, PARTS>,
        memory: &'a mut [u32],
    ) -> Result<Self, MemoryError> {
        let sizes = model.sizes();
        let (expected, got) = (sizes.memory_words(), memory.len());
        let error = MemoryError { expected, got };
        let (half, sum_words) = model
            .layers()
            .first()
            .map_or((true, 0), |first| static_sums(first, model.input_kind()));
        let memory = memory.get_mut(..expected).ok_or(error)?;
        let (scratch, state) = memory
            .split_at_mut_checked(sizes.scratch_words)
            .ok_or(error)?;
        let (sums, scores) = scratch.split_at_mut_checked(sum_words).ok_or(error)?;
        let (spikes, membranes) = state.split_at_mut_checked(sizes.spike_words).ok_or(error)?;
        let mut network = Self {
            model,
            kernel: None,
            sums,
            half,
            driven: false,
            scores: Scores::new(scores),
            spikes,
            membranes,
            step: 0,
        };
        network.reset();
        Ok(network)
    }

    /// Uses one kernel for every layer that it supports, instead of the choice by layer;
    /// [`Kernel::Reference`] also takes the membrane equation as it is defined, in 64 bits. A kernel
    /// that is not among the [`parts`] of the engine supports no layer.
    pub fn force_kernel(&mut self, kernel: Kernel) {
        self.kernel = Some(kernel);
    }

    /// Back to rest: membranes, spikes and read-out are 0.
    pub fn reset(&mut self) {
        self.spikes.fill(0);
        self.membranes.fill(0);
        self.scores.clear();
        self.step = 0;
    }

    /// Rests, then reads the same input in each of the model's steps, and decides.
    ///
    /// The first layer's sums of a graded input are computed once.
    pub fn run(&mut self, input: Input<'_>) -> Decision {
        self.reset();
        self.load(input);
        for _ in 0..self.model.steps() {
            self.advance(input, &mut |_| {});
        }
        self.decision()
    }

    /// Reads one input and advances all layers by one time step.
    pub fn step(&mut self, input: Input<'_>) {
        self.step_observed(input, |_| {});
    }

    /// As [`step`](Self::step), and calls `after` with the index of each layer when its spikes are
    /// there: to measure layers. A graded input's first-layer sums count to layer 0.
    pub fn step_observed(&mut self, input: Input<'_>, mut after: impl FnMut(usize)) {
        self.load(input);
        self.advance(input, &mut after);
    }

    /// Steps since the network was at rest.
    pub fn steps(&self) -> u32 {
        self.step
    }

    /// The model.
    pub fn model(&self) -> &'a Model<'a, LAYERS, PARTS> {
        self.model
    }

    /// Spikes of a layer in the last step, in flat order; empty for a layer that is not there.
    pub fn spikes(&self, layer: usize) -> Bits<'_> {
        let words = self.layer(layer).and_then(|layer| {
            let at = layer.spikes_at as usize;
            self.spikes.get(at..at + bits::words_for(layer.units()))
        });
        Bits::new(words.unwrap_or(&[]), self.units(layer))
    }

    /// The membranes of a layer after the last step, as packed words: two `i16` a word (the
    /// first in the low half) or one `i32`.
    pub fn membrane_words(&self, layer: usize) -> &[u32] {
        let words = self.layer(layer).and_then(|layer| {
            let at = layer.membranes_at as usize;
            self.membranes
                .get(at..at + layer.spec().membrane.words(layer.units()))
        });
        words.unwrap_or(&[])
    }

    /// Membrane of a neuron after the last step; 0 for a neuron that is not there.
    pub fn membrane(&self, layer: usize, neuron: usize) -> i32 {
        let words = self.membrane_words(layer);
        let value = match self.layer(layer).map(|layer| layer.spec().membrane) {
            Some(Membrane::I16) => bytemuck::try_cast_slice::<u32, i16>(words)
                .unwrap_or(&[])
                .get(neuron)
                .map(|value| i32::from(*value)),
            _ => words.get(neuron).map(|word| *word as i32),
        };
        value.unwrap_or(0)
    }

    /// Neurons of a layer; 0 for a layer that is not there.
    pub fn units(&self, layer: usize) -> usize {
        self.layer(layer).map_or(0, Layer::units)
    }

    /// The decision after the steps so far, by the rule of the model's read-out.
    pub fn decision(&self) -> Decision {
        decode::decide(self.model, &self.scores)
    }

    /// Score of a class after the steps so far: spikes, or the summed membrane times its gain.
    pub fn score(&self, class: usize) -> i64 {
        decode::score(self.model, &self.scores, class)
    }

    /// Softmax of the scores, times the model's logit scale, at the decided class: 0 to 1.
    ///
    /// Computed with micromath, and the same bits on every machine.
    pub fn confidence(&self) -> f32 {
        decode::confidence(self.model, &self.scores)
    }

    fn layer(&self, layer: usize) -> Option<&'a Layer> {
        self.model.layers().get(layer)
    }

    /// Computes the first layer's sums of a graded input.
    pub(crate) fn load(&mut self, input: Input<'_>) {
        let kind = self.model.input_kind();
        let Some(first) = self.model.layers().first() else {
            return;
        };
        if PARTS & (parts::HALVES | parts::WORDS) == 0 || !kind.is_graded() {
            return;
        }
        let kernel = kernel_for::<PARTS>(self.kernel, first, kind);
        let (weights, _, biases) = self.model.lists(first);
        // The reference is the definition, bias by bias.
        let reference = self.kernel == Some(Kernel::Reference);
        let half = PARTS & parts::WORDS == 0 || (PARTS & parts::HALVES != 0 && self.half);
        self.driven = half && first.is_narrow() && !reference;
        loop {
            let mut store = Store {
                to: &mut *self.sums,
                half,
                driven: self.driven,
                channels: first.output().channels.into(),
                lif: first.lif(),
                biases,
                lost: 0,
            };
            kernel.sums_of_values::<PARTS>(
                first,
                weights,
                input,
                &mut |position, block, outputs| {
                    if let Outputs::Sums(sums) = outputs {
                        store.block::<PARTS>(position, block, sums);
                    }
                },
            );
            if store.lost == 0 {
                return;
            }
            self.driven = false;
        }
    }

    /// One step of every layer.
    pub(crate) fn advance(&mut self, input: Input<'_>, after: &mut dyn FnMut(usize)) {
        let model = self.model;
        let mut previous = 0;
        for (index, layer) in model.layers().iter().enumerate() {
            let at = layer.spikes_at as usize;
            let (before, spikes) = self.spikes.split_at_mut(at.min(self.spikes.len()));
            let (source, kind) = if index == 0 {
                (input, model.input_kind())
            } else {
                (
                    Input::Spikes(before.get(previous..).unwrap_or(&[])),
                    InputKind::Spikes,
                )
            };
            previous = at;
            // The reference is the definition, in 64 bits.
            let wide = PARTS & parts::WIDE != 0 && self.kernel == Some(Kernel::Reference);
            let membranes = self.membranes.get_mut(layer.membranes_at as usize..);
            let membranes = membranes.unwrap_or(&mut []);
            let (weights, thresholds, biases) = model.lists(layer);
            let parameters = [thresholds, biases];
            let mut tiles = [[0; BLOCK]; 2];
            let mut neurons = Neurons::new(layer, parameters, wide, &mut tiles, spikes, membranes);
            if PARTS & (parts::HALVES | parts::WORDS) != 0 && kind.is_graded() {
                let halves = bytemuck::cast_slice::<u32, i16>(self.sums);
                let halves = halves.get(..layer.units()).unwrap_or(&[]);
                if PARTS & parts::HALVES != 0 && self.driven {
                    neurons.update_driven(halves);
                } else if PARTS & parts::HALVES != 0 && self.half {
                    neurons.update_all::<PARTS>(halves.iter().map(|&sum| sum.into()));
                } else if PARTS & parts::WORDS != 0 {
                    let sums = self.sums.iter().take(layer.units());
                    neurons.update_all::<PARTS>(sums.map(|&sum| sum as i32));
                }
            } else {
                let kernel = kernel_for::<PARTS>(self.kernel, layer, kind);
                let channels = usize::from(layer.output().channels);
                kernel.sums_of_bits::<PARTS>(
                    layer,
                    weights,
                    source,
                    &mut |position, block, outputs| {
                        let channel = block * BLOCK;
                        let first = position * channels + channel;
                        let count = (channels - channel).min(BLOCK);
                        let (count, counts) = match outputs {
                            Outputs::Counts(counts) => (count, counts),
                            Outputs::Pair(counts) => (2 * channels, counts),
                            Outputs::Wide(counts) => {
                                if PARTS & parts::BLOCKS != 0 {
                                    let count = (channels - channel).min(32 * WIDE);
                                    neurons.update_wide::<PARTS>(first, channel, count, counts);
                                }
                                return;
                            }
                            Outputs::Sums(sums) => {
                                let sums = sums.get_mut(..count).unwrap_or(&mut []);
                                return neurons.update::<PARTS>(first, channel, sums);
                            }
                        };
                        neurons.update_counts::<PARTS>(first, channel, count, counts);
                    },
                );
            }
            after(index);
        }
        self.step = self.step.saturating_add(1);
        self.collect();
    }

    /// Adds the last layer's step to the read-out.
    fn collect(&mut self) {
        let Some(layer) = self.model.last() else {
            return;
        };
        let spikes = self.spikes.get(layer.spikes_at as usize..).unwrap_or(&[]);
        let spikes = Bits::new(spikes, layer.units());
        let spike = |neuron| spikes.get(neuron);
        let membranes = self.membranes.get(layer.membranes_at as usize..);
        let words = membranes.unwrap_or(&[]).iter();
        // Membranes of 32 bits need neurons that 32 bits are not enough for.
        if PARTS & parts::WIDE != 0 && layer.spec().membrane == Membrane::I32 {
            let neurons = words.enumerate();
            let neurons = neurons.map(|(neuron, &word)| (word as i32, spike(neuron)));
            self.scores.add(self.model, neurons, self.step);
        } else {
            let halves = words.flat_map(|word| bytemuck::cast::<u32, [i16; 2]>(*word));
            let neurons = halves.enumerate();
            let neurons = neurons.map(|(neuron, half)| (half.into(), spike(neuron)));
            self.scores.add(self.model, neurons, self.step);
        }
    }
}

/// The forced kernel where it supports the layer, else the choice by layer.
#[inline(always)]
fn kernel_for<const PARTS: u32>(forced: Option<Kernel>, layer: &Layer, kind: InputKind) -> Kernel {
    // Each other kernel is the choice for all layers that it supports.
    if PARTS & parts::REFERENCE != 0
        && let Some(kernel) = forced
        && kernel.supports(layer, kind)
        && parts::of_kernel(kernel, layer, kind) & !PARTS == 0
    {
        return kernel;
    }
    Kernel::choose_of::<PARTS>(layer, kind)
}

/// The first neuron whose state differs between two networks after the same step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// Index of the layer.
    pub layer: usize,
    /// Time step, from 0.
    pub step: u32,
    /// Flat index of the neuron.
    pub neuron: usize,
    /// Membrane and spike on the left side.
    pub left: (i32, bool),
    /// Membrane and spike on the right side.
    pub right: (i32, bool),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            layer,
            step,
            neuron,
            left,
            right,
        } = *self;
        write!(
            f,
            "layer {layer}, step {step}, neuron {neuron}: membrane {} and spike {}, \
             not membrane {} and spike {}",
            left.0,
            u8::from(left.1),
            right.0,
            u8::from(right.1)
        )
    }
}

impl<const LAYERS: usize, const PARTS: u32> Network<'_, LAYERS, PARTS> {
    /// The first neuron of a layer whose membrane or spike is not the one that `other` gives for
    /// its flat index; `self` is the left side.
    pub fn difference(
        &self,
        layer: usize,
        other: impl Fn(usize) -> (i32, bool),
    ) -> Option<Difference> {
        let spikes = self.spikes(layer);
        (0..self.units(layer)).find_map(|neuron| {
            let left = (self.membrane(layer, neuron), spikes.get(neuron));
            let right = other(neuron);
            let step = self.step.saturating_sub(1);
            (left != right).then_some(Difference {
                layer,
                step,
                neuron,
                left,
                right,
            })
        })
    }

    /// The first difference between two networks of the same model after the same step.
    pub fn first_difference(&self, other: &Network<'_, LAYERS, PARTS>) -> Option<Difference> {
        (0..self.model.layers().len()).find_map(|layer| {
            let spikes = other.spikes(layer);
            self.difference(layer, |neuron| {
                (other.membrane(layer, neuron), spikes.get(neuron))
            })
        })
    }
}
