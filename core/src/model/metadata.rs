//! What a model file says about itself and devices skip.

use serde::{Deserialize, Serialize};

/// The metadata section: its own version first, since postcard cannot grow fields.
///
/// `'a` is the file's memory: reading copies nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Metadata<'a> {
    /// Version of this section: 1.
    pub version: u8,
    /// What the network is for: the name of its configuration.
    #[serde(borrow)]
    pub task: &'a str,
    /// Names of the classes, one a line, in the order of the outputs.
    #[serde(borrow)]
    pub classes: &'a str,
    /// How a sample becomes the input: `direct`.
    #[serde(borrow)]
    pub encoding: &'a str,
    /// Where the network comes from: version of the trainer, seed, updates.
    #[serde(borrow)]
    pub provenance: &'a str,
}

impl Metadata<'_> {
    /// Version of the section that this crate writes and reads.
    pub const VERSION: u8 = 1;

    /// Bytes of the shortest, and so the only accepted, form.
    pub(super) fn encoded_bytes(&self) -> usize {
        let text = |text: &str| super::reader::varint(text.len() as u32) + text.len();
        1 + text(self.task) + text(self.classes) + text(self.encoding) + text(self.provenance)
    }
}
