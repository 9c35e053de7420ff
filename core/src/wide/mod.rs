//! The same network for the wide registers of a workstation: many outputs an instruction.
//!
//! The weights are unpacked once to a byte each, a row of outputs for each tap, with the pooling
//! behind a convolution folded in: the pooled sum is the sum of a larger kernel whose weights are
//! sums of ±1, at the pooling's stride. Then a spike adds one row to 16, 32 or 64 outputs at once,
//! and the neurons of a row advance together. The integers are those of
//! [`Network`](crate::network::Network), bit for bit.
//!
//! Plain loops over arrays of a fixed length: a caller that compiles them for a processor's vector
//! instructions (`#[target_feature]`; everything here is inlined) gets those instructions. It takes
//! some 16 times the memory of the packed weights, which is why devices do not use it.

mod layer;
mod list;
mod neurons;
mod plan;
mod sums;

use crate::decode::{self, Decision, Scores};
use crate::model::{Input, MAX_LAYERS, Model, readout_words};
use crate::network::MemoryError;
use layer::{Source, Work};
use plan::{Plan, Room};

/// Words behind which a row may begin, so that no row lies across two cache lines.
const LINE: usize = 16;

/// A model with its weights unpacked, to be shared by [`Wide`] networks.
///
/// ```
/// use bitspike_core::model::{Model, pack_words};
/// use bitspike_core::network::Network;
/// use bitspike_core::wide::{Tables, Wide};
///
/// static FILE: [u32; 92] = pack_words(include_bytes!("../../tests/models/v1-mixed.bsnn"));
/// let model = Model::new(&FILE)?;
/// let mut words = vec![0; 65_536];
/// // `None`: a layer of it is not supported; this model has `i32` membranes.
/// assert!(Tables::new(&model, &mut words).is_none());
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Tables<'a, const LAYERS: usize = MAX_LAYERS> {
    model: &'a Model<'a, LAYERS>,
    plans: heapless::Vec<Plan, LAYERS>,
    words: &'a [u32],
    state: Room,
}

impl<'a, const LAYERS: usize> Tables<'a, LAYERS> {
    /// Words of memory that [`new`](Self::new) needs; `None` for a model with a layer that is not
    /// supported: one that pools its input, reads bipolar values, has `i32` membranes, needs 64-bit
    /// arithmetic or sums more than 127 places of a pooling window.
    pub fn words(model: &Model<'_, LAYERS>) -> Option<usize> {
        let (_, room) = plan::lay_out(model)?;
        Some(room.tables + LINE)
    }

    /// Unpacks the weights into `memory`; `None` where the model is not supported, or the memory is
    /// smaller than [`words`](Self::words).
    pub fn new(model: &'a Model<'a, LAYERS>, memory: &'a mut [u32]) -> Option<Self> {
        let (plans, state) = plan::lay_out(model)?;
        let words = aligned(memory).get_mut(..state.tables)?;
        for (plan, layer) in plans.iter().zip(model.layers()) {
            plan.unpack(model, layer, words);
        }
        Some(Self {
            model,
            plans,
            words,
            state,
        })
    }

    /// Words of memory that a [`Wide`] network of these tables needs.
    pub fn state_words(&self) -> usize {
        self.state.words() + readout_words(self.readout_units()) + LINE
    }

    fn readout_units(&self) -> usize {
        self.model.last().map_or(0, |last| last.units())
    }
}

/// The words from a cache line on.
fn aligned(memory: &mut [u32]) -> &mut [u32] {
    let skip = (memory.as_ptr() as usize).wrapping_neg() % (4 * LINE) / 4;
    memory.get_mut(skip..).unwrap_or(&mut [])
}

/// What networks did: to be summed over samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// Steps that were run.
    pub steps: u64,
    /// Spikes of each layer.
    pub spikes: [u64; MAX_LAYERS],
    /// Synaptic operations of layers that read spikes, counted as
    /// [`synaptic_operations`](crate::kernel::synaptic_operations) does, and of a graded input
    /// each time it is loaded.
    pub operations: u64,
}

impl Activity {
    /// Adds what another network did.
    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.operations += other.operations;
        let spikes = self.spikes.iter_mut().zip(other.spikes);
        spikes.for_each(|(sum, more)| *sum += more);
    }
}

/// A network with its state: the counterpart of [`Network`](crate::network::Network).
#[derive(Debug)]
pub struct Wide<'a, const LAYERS: usize = MAX_LAYERS> {
    tables: &'a Tables<'a, LAYERS>,
    work: Work<'a>,
    scores: Scores<'a>,
    step: u32,
    /// What it did since it was made.
    pub activity: Activity,
}

impl<'a, const LAYERS: usize> Wide<'a, LAYERS> {
    /// A network at rest, in [`Tables::state_words`] of `memory`.
    ///
    /// # Errors
    /// [`MemoryError`] where `memory` is too small.
    pub fn new(tables: &'a Tables<'a, LAYERS>, memory: &'a mut [u32]) -> Result<Self, MemoryError> {
        let error = MemoryError {
            expected: tables.state_words(),
            got: memory.len(),
        };
        let memory = aligned(memory);
        let (state, rest) = memory
            .split_at_mut_checked(tables.state.words())
            .ok_or(error)?;
        let scores = rest
            .get_mut(..readout_words(tables.readout_units()))
            .ok_or(error)?;
        let mut network = Self {
            tables,
            work: Work::new(state, &tables.state).ok_or(error)?,
            scores: Scores::new(scores),
            step: 0,
            activity: Activity::default(),
        };
        network.reset();
        Ok(network)
    }

    /// Back to rest.
    #[inline(always)]
    pub fn reset(&mut self) {
        self.work.clear();
        self.scores.clear();
        self.step = 0;
    }

    /// Rests, then reads the same input until the decision is final, as
    /// [`Network::run_until_final`](crate::network::Network::run_until_final).
    #[inline(always)]
    pub fn run_until_final(&mut self, input: Input<'_>) -> (Decision, u32) {
        self.reset();
        self.load(input);
        while self.step < self.tables.model.steps() {
            self.advance(input);
            if self.is_final() {
                break;
            }
        }
        (self.decision(), self.step)
    }

    /// Reads one input and advances all layers by one time step.
    #[inline(always)]
    pub fn step(&mut self, input: Input<'_>) {
        self.load(input);
        self.advance(input);
    }

    /// Whether no input to come can change the decision.
    #[inline(always)]
    pub fn is_final(&self) -> bool {
        decode::is_final(self.tables.model, &self.scores, self.step)
    }

    /// The decision after the steps so far.
    #[inline(always)]
    pub fn decision(&self) -> Decision {
        decode::decide(self.tables.model, &self.scores)
    }

    /// Membrane and spike of a neuron after the last step; 0 for a neuron that is not there.
    pub fn neuron(&self, layer: usize, neuron: usize) -> (i32, bool) {
        let plan = self.tables.plans.get(layer);
        plan.map_or((0, false), |plan| self.work.neuron(plan, neuron))
    }

    /// Computes the first layer's sums of a graded input.
    #[inline(always)]
    fn load(&mut self, input: Input<'_>) {
        let (bytes, flip) = match input {
            Input::U8(bytes) => (bytes, 0),
            Input::I8(bytes) => (bytes, 128),
            Input::Spikes(_) | Input::Bipolar(_) => return,
        };
        if let Some(plan) = self.tables.plans.first() {
            let operations = self.work.load(plan, self.tables.words, bytes, flip);
            self.activity.operations += operations;
        }
    }

    #[inline(always)]
    fn advance(&mut self, input: Input<'_>) {
        for (index, plan) in self.tables.plans.iter().enumerate() {
            let source = match (index, input) {
                (0, Input::Spikes(words)) => Source::Words(words),
                (0, _) => Source::Loaded,
                _ => self
                    .tables
                    .plans
                    .get(index - 1)
                    .map_or(Source::Loaded, Source::Layer),
            };
            let (spikes, operations) = self.work.step(plan, self.tables.words, source);
            self.activity.operations += operations;
            if let Some(sum) = self.activity.spikes.get_mut(index) {
                *sum += spikes;
            }
        }
        self.step = self.step.saturating_add(1);
        self.activity.steps += 1;
        let last = self.tables.plans.len().saturating_sub(1);
        let (tables, work) = (self.tables, &self.work);
        if let Some(plan) = tables.plans.get(last) {
            let neurons = (0..tables.readout_units()).map(|neuron| work.neuron(plan, neuron));
            self.scores.add(tables.model, neurons, self.step);
        }
    }
}
