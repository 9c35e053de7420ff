//! Kernels: the synaptic sums of a layer, a block of up to 64 outputs of one position at a time, or what
//! [`Outputs`] has beside it.
//!
//! [`mod@reference`] is the specification as loops; every other kernel computes the same integers
//! faster, for the layers that it supports. A kernel is added in the `kernels!` list below, which
//! also runs the shared test suite over it.

mod columns;
mod counters;
pub mod dense;
pub mod event;
mod geometry;
pub mod graded;
pub mod reference;
#[cfg(test)]
mod suite;

use crate::model::{Input, InputKind, Layer, parts};
use geometry::Geometry;

/// Outputs that a kernel computes at once: the bits of two words.
pub const BLOCK: usize = 64;

/// Outputs of a position two of which are computed at once, in one word.
pub(crate) const PAIR: usize = 16;

/// Whether kernels keep little on the stack: on Arm cores without compare-and-swap, the smallest
/// ones, whose stack is a few kilobytes (a micro:bit has 3.7 KB left beside the MNIST network).
const SMALL: bool = cfg!(all(target_arch = "arm", not(target_has_atomic = "32")));

/// Takes a block of outputs: `visit(position, block, outputs)`, of the channels from `64 * block` on
/// at `position` (`y * width + x` of the layer's output); of [`Outputs::Pair`] and [`Outputs::Wide`]
/// the first position and block.
pub type Visit<'a> = &'a mut dyn FnMut(usize, usize, Outputs<'_>);

/// What a kernel gives of a block. What stands behind the last channel is not defined.
#[derive(Debug)]
pub enum Outputs<'a> {
    /// Entry `k` is the synaptic sum `x_j` of channel `j = 64 * block + k`; the memory may be used
    /// as one likes.
    Sums(&'a mut [i32; BLOCK]),
    /// The sums as counts, which neurons take without unpacking them. Never of a graded input.
    Counts(&'a Counts),
    /// As `Counts`, of two positions of 16 channels, `position` and the next one: entry `k` is that of
    /// channel `k % 16`.
    Pair(&'a Counts),
    /// As `Counts`, of four blocks from `block` on.
    Wide(&'a Counts<WIDE>),
}

/// Words of [`Outputs::Wide`].
pub const WIDE: usize = 4 * BLOCK / 32;

/// Set inputs that meet a weight of +1, counted in a byte for each output of a block, or of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts<const WORDS: usize = { BLOCK / 32 }> {
    /// Byte `b` of `words[w][i]` is the count of output `32 w + 8 b + i`.
    pub(crate) words: [[u32; 8]; WORDS],
    /// Set inputs of the first 16 outputs of a word and of the others, 0 ..= 255:
    /// `x_j = 2 count_j - inputs`.
    pub(crate) inputs: [i32; 2],
}

impl<const WORDS: usize> Counts<WORDS> {
    /// Of no inputs.
    pub(crate) const fn new() -> Self {
        Self {
            words: [[0; 8]; WORDS],
            inputs: [0; 2],
        }
    }
}

impl Counts<WIDE> {
    /// The blocks.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Counts> {
        let inputs = self.inputs;
        let words = self.words.as_chunks().0.iter();
        words.map(move |&words| Counts { words, inputs })
    }
}

impl Counts {
    /// The synaptic sums.
    pub(crate) fn sums(&self) -> [i32; BLOCK] {
        core::array::from_fn(|k| {
            let word = &self.words[k / 32 % (BLOCK / 32)];
            sum_of(word, self.inputs, k % 32)
        })
    }
}

/// The synaptic sum of output `k` of a word of [`Counts`].
#[inline(always)]
pub(crate) fn sum_of(word: &[u32; 8], inputs: [i32; 2], k: usize) -> i32 {
    let count = word[k % 8] >> (k % 32 / 8 * 8) & 255;
    2 * count as i32 - inputs[k / PAIR % 2]
}

/// What a kernel computes: the synaptic sums of a layer in one time step.
pub trait Sums {
    /// Calls `visit` for every position and block of the layer, each once, in any order.
    ///
    /// `weights` are the layer's words, [`Model::weights`](crate::model::Model::weights).
    fn sums(layer: &Layer, weights: &[u32], input: Input<'_>, visit: Visit<'_>);
}

macro_rules! kernels {
    ($($(#[$doc:meta])* $name:ident => $kernel:ty, $module:ident;)*) => {
        /// The kernels by name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kernel { $($(#[$doc])* $name,)* }

        impl Kernel {
            /// Every kernel.
            pub const ALL: &[Kernel] = &[$(Kernel::$name,)*];

            /// Whether the kernel can compute a layer that reads inputs of this kind.
            pub const fn supports(self, layer: &Layer, kind: InputKind) -> bool {
                match self { $(Kernel::$name => <$kernel>::supports(layer, kind),)* }
            }

            /// Calls `visit` for every position and block of the layer, each once, in any order: the
            /// sums of one time step, without neurons. `weights` are
            /// [`Model::weights`](crate::model::Model::weights); a kernel that does not support the
            /// layer, or weights and input of another one, give other sums.
            pub fn sums(
                self,
                layer: &Layer,
                weights: &[u32],
                input: Input<'_>,
                visit: Visit<'_>,
            ) {
                match self {
                    $(Kernel::$name => <$kernel>::sums(layer, weights, input, visit),)*
                }
            }
        }

        $(#[cfg(test)]
        mod $module {
            super::suite::kernel_suite!(super::Kernel::$name);
        })*
    };
}

kernels! {
    /// [`reference::Reference`]: any layer.
    Reference => reference::Reference, reference_suite;
    /// [`dense::Dense`]: AND or XOR and popcount.
    Dense => dense::Dense, dense_suite;
    /// [`event::Event`]: the weight columns of the set input bits.
    Event => event::Event, event_suite;
    /// [`graded::Graded`]: pixels and other graded inputs.
    Graded => graded::Graded, graded_suite;
}

impl Kernel {
    /// The kernel for a layer that reads inputs of this kind: the order of the weights in the
    /// file decides between dense and event-driven. [`cost::choose`](crate::cost::choose) chooses
    /// that order when the file is written.
    pub const fn choose(layer: &Layer, kind: InputKind) -> Self {
        Self::choose_of::<{ parts::ALL }>(layer, kind)
    }

    /// As [`choose`](Self::choose), for a model that needs no other parts than these.
    #[inline(always)]
    pub(crate) const fn choose_of<const PARTS: u32>(layer: &Layer, kind: InputKind) -> Self {
        // What is left at last needs no question.
        let others = PARTS & (parts::REFERENCE | parts::DENSE | parts::EVENT);
        if PARTS & parts::GRADED != 0 && (others == 0 || Self::Graded.supports(layer, kind)) {
            return Self::Graded;
        }
        let others = others & !parts::EVENT;
        if PARTS & parts::EVENT != 0 && (others == 0 || Self::Event.supports(layer, kind)) {
            return Self::Event;
        }
        let others = others & !parts::DENSE;
        if PARTS & parts::DENSE != 0 && (others == 0 || Self::Dense.supports(layer, kind)) {
            return Self::Dense;
        }
        Self::Reference
    }

    /// As [`sums`](Self::sums), of graded values by no other parts than `PARTS`.
    #[inline(always)]
    pub(crate) fn sums_of_values<const PARTS: u32>(
        self,
        layer: &Layer,
        weights: &[u32],
        input: Input<'_>,
        visit: Visit<'_>,
    ) {
        if PARTS & parts::GRADED != 0
            && (PARTS & parts::REFERENCE == 0 || matches!(self, Self::Graded))
        {
            graded::Graded::sums_of::<PARTS>(layer, weights, input, visit);
        } else if PARTS & parts::REFERENCE != 0 {
            reference::Reference::sums(layer, weights, input, visit);
        }
    }

    /// As [`sums`](Self::sums), of single bits by no other parts than `PARTS`.
    #[inline(always)]
    pub(crate) fn sums_of_bits<const PARTS: u32>(
        self,
        layer: &Layer,
        weights: &[u32],
        input: Input<'_>,
        visit: Visit<'_>,
    ) {
        match self {
            Self::Dense if PARTS & parts::DENSE != 0 => {
                dense::Dense::sums_of::<PARTS>(layer, weights, input, visit);
            }
            Self::Event if PARTS & parts::EVENT != 0 => {
                event::Event::sums_of::<PARTS>(layer, weights, input, visit);
            }
            _ if PARTS & parts::REFERENCE != 0 => {
                reference::Reference::sums(layer, weights, input, visit);
            }
            _ => {}
        }
    }
}

/// Synaptic operations of a layer that reads `input`: nonzero inputs times the weights that each
/// meets, padding excluded. A pooled input counts once where its pooled value is not 0.
pub fn synaptic_operations(layer: &Layer, input: Input<'_>) -> u64 {
    let geometry = Geometry::new(layer);
    let mut active = 0;
    geometry.visit_positions(|_, corner| {
        geometry.visit_runs(corner, |at, _, count| {
            active += reference::nonzero(layer, input, at, count);
        });
    });
    active * geometry.outputs as u64
}
