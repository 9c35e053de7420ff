//! Kernels: the synaptic sums of up to 64 outputs of one position at a time.
//!
//! [`mod@reference`] is the specification as loops; every other kernel computes the same integers
//! faster, for the layers that it supports. A kernel is added in the `kernels!` list below, which
//! also runs the shared test suite over it.

pub mod dense;
pub mod event;
pub mod graded;
pub mod reference;
#[cfg(test)]
mod suite;

use crate::model::{Input, InputKind, Layer};

/// Outputs that a kernel computes at once: the bits of two words.
pub const BLOCK: usize = 64;

/// What a kernel computes: the synaptic sums of a block of outputs at one position.
pub trait Sums {
    /// Whether the kernel can compute a layer that reads inputs of this kind.
    fn supports(layer: &Layer, kind: InputKind) -> bool;

    /// Sets `sums[k]` to the synaptic sum `x_j` of channel `j = 64 * block + k` at `position`
    /// (`y * width + x` of the layer's output), for every channel of the layer in the block.
    /// What the other entries hold afterwards is not defined.
    ///
    /// `weights` are the layer's words, [`Model::weights`](crate::model::Model::weights).
    fn sums(
        layer: &Layer,
        weights: &[u32],
        input: Input<'_>,
        position: usize,
        block: usize,
        sums: &mut [i32; BLOCK],
    );
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
            pub fn supports(self, layer: &Layer, kind: InputKind) -> bool {
                match self { $(Kernel::$name => <$kernel>::supports(layer, kind),)* }
            }

            /// See [`Sums::sums`].
            #[inline]
            pub(crate) fn sums(
                self,
                layer: &Layer,
                weights: &[u32],
                input: Input<'_>,
                position: usize,
                block: usize,
                sums: &mut [i32; BLOCK],
            ) {
                match self {
                    $(Kernel::$name => {
                        <$kernel>::sums(layer, weights, input, position, block, sums)
                    })*
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
    /// file decides between dense and event-driven.
    pub fn choose(layer: &Layer, kind: InputKind) -> Self {
        [Self::Graded, Self::Event, Self::Dense]
            .into_iter()
            .find(|kernel| kernel.supports(layer, kind))
            .unwrap_or(Self::Reference)
    }
}

/// Synaptic operations of a layer that reads `input`: nonzero inputs times the weights that each
/// meets, padding excluded. A pooled input counts once where its pooled value is not 0.
pub fn synaptic_operations(layer: &Layer, input: Input<'_>) -> u64 {
    let output = layer.output();
    let positions = usize::from(output.height) * usize::from(output.width);
    let mut active = 0;
    for position in 0..positions {
        visit_runs(layer, position, |at, _, count| {
            active += reference::nonzero(layer, input, at, count);
        });
    }
    active * u64::from(output.channels)
}

/// Calls `visit(input, tap, count)` for every run of consecutive values of the layer's map that
/// one output position reads: `count` values from flat index `input` on meet the taps from `tap` on. Padding and
/// values outside are left out. Rows of the kernel are visited for each position of the pooling
/// window in turn.
#[inline(always)]
fn visit_runs(layer: &Layer, position: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let (map, out) = (layer.map(), layer.output());
    let (height, width) = (usize::from(map.height), usize::from(map.width));
    let channels = usize::from(map.channels);
    let (kernel, stride, padding) = (layer.kernel(), layer.stride(), layer.padding());
    let (window, pool_stride) = layer.pool();
    let columns = usize::from(out.width).max(1);
    let (row, column) = (
        position / columns * pool_stride[0],
        position % columns * pool_stride[1],
    );
    for dy in 0..window[0] {
        let top = (row + dy) * stride[0];
        for dx in 0..window[1] {
            let left = (column + dx) * stride[1];
            // Columns of the kernel that lie inside the map.
            let first = padding[1].saturating_sub(left);
            let end = kernel[1].min((width + padding[1]).saturating_sub(left));
            if first >= end {
                continue;
            }
            for ky in 0..kernel[0] {
                let Some(y) = (top + ky).checked_sub(padding[0]) else {
                    continue;
                };
                if y >= height {
                    break;
                }
                let x = left + first - padding[1];
                visit(
                    (y * width + x) * channels,
                    (ky * kernel[1] + first) * channels,
                    (end - first) * channels,
                );
            }
        }
    }
}
