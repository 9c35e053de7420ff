//! The model: a checked, borrowed view of a model file, and the writer of such files.
//!
//! A model file is little-endian: a [`prelude`](Sizes) of fixed words, a postcard section of
//! layers, shapes and numerics, a postcard section of metadata that devices skip, then weight and
//! parameter words that are used in place. [`Model::new`] checks everything once; afterwards
//! nothing can panic or overflow. docs/model-format.md is the page for other implementations.

mod error;
mod format;
mod layer;
mod load;
mod metadata;
pub mod parts;
mod planner;
mod prelude;
mod reader;
mod values;
mod view;
mod write;

pub use error::{InputError, ModelError, ParameterError, WriteError};
pub use format::{
    InputKind, InputPool, LayerSpec, NetworkSpec, Operation, Pool, PoolKind, Readout, Spread,
    WeightOrder,
};
pub use layer::{Layer, Shape};
pub(crate) use layer::{readout_words, static_sums};
pub use metadata::Metadata;
pub(crate) use prelude::checksum;
pub use prelude::{FORMAT_VERSION, Sizes, pack_words};
pub use values::{Input, Parameters};
pub use view::Model;
pub use write::{LayerParameters, write};

/// Most layers of a model.
pub const MAX_LAYERS: usize = 16;
/// Most units of a layer, and most input values.
pub const MAX_UNITS: usize = 65_535;
/// Most time steps of a decision.
pub const MAX_STEPS: u32 = 65_536;
