//! The model inside the binary, and memory of exactly its size.

use bitspike_core::model::Sizes;
use static_cell::ConstStaticCell;

include!(concat!(env!("OUT_DIR"), "/model.rs"));

/// What the included model says of its sizes.
pub const SIZES: Sizes = Sizes::of(&PACKED);
/// Words of the network's state.
pub const STATE_WORDS: usize = SIZES.memory_words();
/// Words that hold one input.
pub const INPUT_WORDS: usize = SIZES.input_bytes.div_ceil(4);

/// The model file, used in place.
pub static WORDS: [u32; PACKED.len()] = PACKED;
/// Memory for the state of the network.
pub static STATE: ConstStaticCell<[u32; STATE_WORDS]> = ConstStaticCell::new([0; STATE_WORDS]);
/// Memory for one input.
pub static INPUT: ConstStaticCell<[u32; INPUT_WORDS]> = ConstStaticCell::new([0; INPUT_WORDS]);
