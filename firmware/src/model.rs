//! The model inside the binary, and memory of exactly its size.

// Some boards have flash for models whose check takes the compiler a second.
#![allow(long_running_const_eval)]

use bitspike_core::model::{Model, Sizes, parts};
use bitspike_core::network::Network;
use static_cell::ConstStaticCell;

include!(concat!(env!("OUT_DIR"), "/model.rs"));

/// What the included model says of its sizes.
pub const SIZES: Sizes = Sizes::of(&PACKED);
/// Words of the network's state.
pub const STATE_WORDS: usize = SIZES.memory_words();
/// Words that hold one input.
pub const INPUT_WORDS: usize = SIZES.input_bytes.div_ceil(4);

/// The included model, with just its layers, by those parts of the engine that it needs.
pub type IncludedModel<'a> = Model<'a, { SIZES.layers }, { parts::of(&PACKED) }>;
/// Its network.
pub type IncludedNetwork<'a> = Network<'a, { SIZES.layers }, { parts::of(&PACKED) }>;
/// The same model by all parts of the engine, so that any kernel can be measured.
pub type WholeModel<'a> = Model<'a, { SIZES.layers }>;
/// Its network.
pub type WholeNetwork<'a> = Network<'a, { SIZES.layers }>;

/// The model file, used in place.
pub static WORDS: [u32; PACKED.len()] = PACKED;
/// The model, checked by the compiler.
pub static MODEL: IncludedModel<'static> = Model::included(&WORDS);
/// The same by all parts.
pub static WHOLE: WholeModel<'static> = Model::included(&WORDS);
static STATE: ConstStaticCell<[u32; STATE_WORDS]> = ConstStaticCell::new([0; STATE_WORDS]);
static INPUT: ConstStaticCell<[u32; INPUT_WORDS]> = ConstStaticCell::new([0; INPUT_WORDS]);

/// Memory for the state of the network, [`STATE_WORDS`] of it; none when it is asked for again.
pub fn state() -> &'static mut [u32] {
    STATE.try_take().map_or(&mut [], |words| words)
}

/// Memory for one input, [`INPUT_WORDS`] of it; none when it is asked for again.
pub fn input() -> &'static mut [u32] {
    INPUT.try_take().map_or(&mut [], |words| words)
}

/// The bytes of an input in memory for one, as many as the model reads.
pub fn input_bytes(words: &mut [u32]) -> &mut [u8] {
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(words);
    bytes.get_mut(..SIZES.input_bytes).unwrap_or(&mut [])
}
