//! The parts of the engine that a model needs.
//!
//! A program that includes one model can leave out the code that only other models need: kernels,
//! 64-bit neurons, graded input. [`of`] finds out in a `const` what the model needs, and as parameter
//! of [`Model`] and [`Network`](crate::network::Network) that leaves the rest to the
//! compiler to drop. Nothing is to be set: another model, another set of parts. A program that loads
//! models at run time has [`ALL`].
//!
//! ```
//! use bitspike_core::model::{Model, ModelError, Sizes, pack_words, parts};
//! use bitspike_core::network::Network;
//! const FILE: [u32; 92] = pack_words(include_bytes!("../../tests/models/v1-mixed.bsnn"));
//! const SIZES: Sizes = Sizes::of(&FILE);
//! const PARTS: u32 = parts::of(&FILE);
//! static WORDS: [u32; 92] = FILE;
//! static MODEL: Model<'_, { SIZES.layers }, PARTS> = Model::included(&WORDS);
//! let mut memory = [0; SIZES.memory_words()];
//! let mut network = Network::new(&MODEL, &mut memory)?;
//! network.run(MODEL.input(&[200; 36])?);
//! // A model that needs more than is there is refused, by name.
//! let refused = Model::<3, { PARTS & !parts::EVENT }>::sized(&WORDS);
//! assert_eq!(refused.err(), Some(ModelError::Part { layer: 1 }));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

use super::format::{InputKind, Readout};
use super::layer::{Layer, static_sums};
use super::prelude::Sizes;
use super::view::Model;
use crate::kernel::dense::Dense;
use crate::kernel::graded::Graded;
use crate::kernel::{BLOCK, Kernel, PAIR};

/// Everything: any model can be loaded.
pub const ALL: u32 = u32::MAX;
/// The kernel [`Kernel::Reference`].
pub const REFERENCE: u32 = 1;
/// The kernel [`Kernel::Dense`] row by row, of spikes.
pub const ROWS: u32 = 1 << 1;
/// The kernel [`Kernel::Dense`] row by row, of bipolar values.
pub const SIGNS: u32 = 1 << 2;
/// The kernel [`Kernel::Dense`] by tables.
pub const TABLES: u32 = 1 << 3;
/// The kernel [`Kernel::Dense`].
pub(crate) const DENSE: u32 = ROWS | SIGNS | TABLES;
/// The kernel [`Kernel::Event`].
pub const EVENT: u32 = 1 << 4;
/// The kernel [`Kernel::Event`] for maps of more than 32 channels.
pub const DEEP: u32 = 1 << 5;
/// The kernel [`Kernel::Event`] for layers of more than 64 outputs, or channels of them.
pub const BLOCKS: u32 = 1 << 20;
/// The kernel [`Kernel::Event`] for layers of 16 channels, two positions at a time.
pub const PAIRS: u32 = 1 << 21;
/// The kernel [`Kernel::Graded`].
pub const GRADED: u32 = 1 << 6;
/// Graded input whose sums take 16 bits each.
pub const HALVES: u32 = 1 << 7;
/// Graded input whose sums take 32 bits each.
pub const WORDS: u32 = 1 << 8;
/// Neurons for which 32 bits are not proven to be enough.
pub const WIDE: u32 = 1 << 9;
/// Neurons behind single bits that do not take counts.
pub const UNPACKED: u32 = 1 << 10;
/// Graded input whose box sums, over a row of output positions, are too many to keep.
pub const BOXES: u32 = 1 << 11;
/// Input of spikes.
pub const SPIKES: u32 = 1 << 12;
/// Input of `u8`.
pub const UNSIGNED: u32 = 1 << 13;
/// Input of `i8`.
pub const SIGNED: u32 = 1 << 14;
/// Input of bipolar values.
pub const BIPOLAR: u32 = 1 << 15;
/// The read-out [`Readout::Count`].
pub const COUNT: u32 = 1 << 16;
/// The read-out [`Readout::Membrane`].
pub const MEMBRANE: u32 = 1 << 17;
/// The read-out [`Readout::FirstSpike`].
pub const FIRST_SPIKE: u32 = 1 << 18;
/// The read-out [`Readout::Population`].
pub const POPULATION: u32 = 1 << 19;

/// The parts that a model file needs; [`ALL`] for what is no model.
pub const fn of(words: &[u32]) -> u32 {
    let Ok(sizes) = Sizes::parse(words) else {
        return ALL;
    };
    let Ok(model) = Model::<'_, { super::MAX_LAYERS }, ALL>::of(words, sizes) else {
        return ALL;
    };
    let (mut index, mut kind) = (0, model.input_kind());
    let mut parts = of_input(kind) | of_readout(model.readout());
    while index < sizes.layers {
        parts |= of_layer(model.layer(index), kind);
        kind = InputKind::Spikes;
        index += 1;
    }
    parts
}

/// The part that the kind of a model's input needs.
pub(super) const fn of_input(kind: InputKind) -> u32 {
    match kind {
        InputKind::Spikes => SPIKES,
        InputKind::U8 => UNSIGNED,
        InputKind::I8 => SIGNED,
        InputKind::Bipolar => BIPOLAR,
    }
}

/// The part that a read-out needs.
pub(super) const fn of_readout(readout: Readout) -> u32 {
    match readout {
        Readout::Count => COUNT,
        Readout::Membrane => MEMBRANE,
        Readout::FirstSpike => FIRST_SPIKE,
        Readout::Population { .. } => POPULATION,
    }
}

// Where one value alone is left, the compiler knows it.

/// The kind of the input of a model that needs no other parts than these.
#[inline(always)]
pub(super) const fn input_of(parts: u32, kind: InputKind) -> InputKind {
    match parts & (SPIKES | UNSIGNED | SIGNED | BIPOLAR) {
        SPIKES => InputKind::Spikes,
        UNSIGNED => InputKind::U8,
        SIGNED => InputKind::I8,
        BIPOLAR => InputKind::Bipolar,
        _ => kind,
    }
}

/// The read-out of a model that needs no other parts than these.
#[inline(always)]
pub(super) const fn readout_of(parts: u32, readout: Readout) -> Readout {
    match parts & (COUNT | MEMBRANE | FIRST_SPIKE | POPULATION) {
        COUNT => Readout::Count,
        MEMBRANE => Readout::Membrane,
        FIRST_SPIKE => Readout::FirstSpike,
        _ => readout,
    }
}

/// The parts that a layer needs that reads inputs of this kind.
pub(super) const fn of_layer(layer: &Layer, kind: InputKind) -> u32 {
    let mut parts = of_kernel(Kernel::choose(layer, kind), layer, kind);
    if kind.is_graded() {
        let (half, _) = static_sums(layer, kind);
        parts |= if half { HALVES } else { WORDS };
    }
    if !layer.is_narrow() {
        parts |= WIDE;
    }
    if !kind.is_graded() && (!layer.is_narrow() || !layer.lif().takes_counts()) {
        parts |= UNPACKED;
    }
    parts
}

/// The parts of a kernel that compute a layer.
pub(crate) const fn of_kernel(kernel: Kernel, layer: &Layer, kind: InputKind) -> u32 {
    match kernel {
        Kernel::Reference => REFERENCE,
        Kernel::Dense if Dense::has_tables(layer) => TABLES,
        Kernel::Dense if matches!(kind, InputKind::Bipolar) => SIGNS,
        Kernel::Dense => ROWS,
        Kernel::Event => {
            let deep = layer.map().channels > 32;
            let blocks = layer.output().channels as usize > BLOCK;
            let pairs = layer.output().channels as usize == PAIR;
            let pairs = if pairs { PAIRS } else { 0 };
            EVENT | if deep { DEEP } else { 0 } | if blocks { BLOCKS } else { 0 } | pairs
        }
        Kernel::Graded if Graded::is_banded(layer) => GRADED,
        Kernel::Graded => GRADED | BOXES,
    }
}
