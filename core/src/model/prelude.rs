//! The fixed words at the start of a model file.

use crc::{CRC_32_ISO_HDLC, Crc, NoTable, Table};

use super::error::ModelError;
use super::reader::word as at;

/// Version of the format that this crate writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// `BSNN` in little-endian order.
pub(super) const MAGIC: u32 = u32::from_le_bytes(*b"BSNN");
/// CRC-32 of the whole file, its own word left out (the one of zip and Ethernet). Bit by bit: flash
/// counts more than the time of one pass over a file.
static CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);
/// The same, for a `const`: the compiler takes an eighth of the steps, and no table is left.
static QUICK: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

/// Index of each word of the prelude.
pub(crate) mod word {
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const VERSION: usize = 1;
    pub(crate) const FILE_BYTES: usize = 2;
    pub(crate) const CRC: usize = 3;
    pub(crate) const NETWORK_BYTES: usize = 4;
    pub(crate) const METADATA_BYTES: usize = 5;
    pub(crate) const PARAMETER_WORDS: usize = 6;
    pub(crate) const MEMBRANE_WORDS: usize = 7;
    pub(crate) const SPIKE_WORDS: usize = 8;
    pub(crate) const SCRATCH_WORDS: usize = 9;
    pub(crate) const INPUT_BYTES: usize = 10;
    pub(crate) const WIDEST: usize = 11;
    pub(crate) const LAYERS: usize = 12;
    /// Words of the prelude.
    pub(crate) const COUNT: usize = 13;
}

/// What the prelude of a model file says, readable in a `const`: with it the state of an included
/// model is an array of exactly the right size.
///
/// The values are the file's own word for them; [`Model::new`](super::Model::new) recomputes and
/// compares them.
///
/// ```
/// use bitspike_core::model::{Model, Sizes, pack_words};
/// const FILE: &[u8] = include_bytes!("../../tests/models/v1-mixed.bsnn");
/// static WORDS: [u32; FILE.len().div_ceil(4)] = pack_words(FILE);
/// const SIZES: Sizes = Sizes::of(&pack_words::<{ FILE.len().div_ceil(4) }>(FILE));
/// let mut memory = [0; SIZES.memory_words()];
/// let model = Model::<{ SIZES.layers }>::sized(&WORDS).unwrap();
/// let network = bitspike_core::network::Network::new(&model, &mut memory).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Length of the file in bytes.
    pub file_bytes: usize,
    /// Length of the postcard section of layers in bytes.
    pub network_bytes: usize,
    /// Length of the postcard section of metadata in bytes.
    pub metadata_bytes: usize,
    /// Words of weights, thresholds, biases and gains.
    pub parameter_words: usize,
    /// Words of membranes.
    pub membrane_words: usize,
    /// Words of spikes.
    pub spike_words: usize,
    /// Words of the static input's first-layer sums and of the read-out.
    pub scratch_words: usize,
    /// Bytes of one input: one a graded value, four for each 32 bits of spikes or bipolar values.
    pub input_bytes: usize,
    /// Units of the widest layer.
    pub widest: usize,
    /// Number of layers.
    pub layers: usize,
}

impl Sizes {
    /// Reads the prelude; all zeros where `words` is shorter than a prelude.
    pub const fn of(words: &[u32]) -> Self {
        if words.len() < word::COUNT {
            return Self {
                file_bytes: 0,
                network_bytes: 0,
                metadata_bytes: 0,
                parameter_words: 0,
                membrane_words: 0,
                spike_words: 0,
                scratch_words: 0,
                input_bytes: 0,
                widest: 0,
                layers: 0,
            };
        }
        Self {
            file_bytes: words[word::FILE_BYTES] as usize,
            network_bytes: words[word::NETWORK_BYTES] as usize,
            metadata_bytes: words[word::METADATA_BYTES] as usize,
            parameter_words: words[word::PARAMETER_WORDS] as usize,
            membrane_words: words[word::MEMBRANE_WORDS] as usize,
            spike_words: words[word::SPIKE_WORDS] as usize,
            scratch_words: words[word::SCRATCH_WORDS] as usize,
            input_bytes: words[word::INPUT_BYTES] as usize,
            widest: words[word::WIDEST] as usize,
            layers: words[word::LAYERS] as usize,
        }
    }

    /// Words of memory that a [`Network`](crate::network::Network) needs.
    pub const fn memory_words(&self) -> usize {
        self.membrane_words
            .saturating_add(self.spike_words)
            .saturating_add(self.scratch_words)
    }

    /// Words that surely hold a saved state of the network
    /// ([`Network::save`](crate::network::Network::save)): exactly so many for spike and bipolar
    /// input, and for graded input more by the words of the first layer's sums, which are not saved.
    ///
    /// ```
    /// use bitspike_core::model::{Sizes, pack_words};
    /// const FILE: [u32; 92] = pack_words(include_bytes!("../../tests/models/v1-mixed.bsnn"));
    /// const SAVED_WORDS: usize = Sizes::of(&FILE).saved_words();
    /// static SAVED: [u32; SAVED_WORDS] = [0; SAVED_WORDS];
    /// ```
    pub const fn saved_words(&self) -> usize {
        self.memory_words().saturating_add(crate::state::HEADER)
    }

    /// Start of the metadata and of the parameters in words; `None` where the sections do not add
    /// up to the file.
    pub(super) const fn sections(&self) -> Option<(usize, usize)> {
        let words = self.file_bytes / 4;
        let metadata = word::COUNT + self.network_bytes.div_ceil(4);
        let parameters = metadata.saturating_add(self.metadata_bytes.div_ceil(4));
        if parameters.saturating_add(self.parameter_words) != words
            || !self.file_bytes.is_multiple_of(4)
        {
            return None;
        }
        Some((metadata, parameters))
    }

    /// Refuses counts that are not those that the layers need.
    pub(super) const fn check_counts(&self, needed: &Self) -> Result<(), ModelError> {
        let counts = [
            (
                "parameter words",
                needed.parameter_words,
                self.parameter_words,
            ),
            ("membrane words", needed.membrane_words, self.membrane_words),
            ("spike words", needed.spike_words, self.spike_words),
            ("scratch words", needed.scratch_words, self.scratch_words),
            ("input bytes", needed.input_bytes, self.input_bytes),
            ("units in the widest layer", needed.widest, self.widest),
            ("layers", needed.layers, self.layers),
        ];
        let mut index = 0;
        while index < counts.len() {
            let (what, expected, got) = counts[index];
            if expected != got {
                return Err(ModelError::Count {
                    what,
                    expected,
                    got,
                });
            }
            index += 1;
        }
        Ok(())
    }

    /// Emits the prelude of a whole file whose other words are in place, CRC last.
    pub(super) fn emit(&self, file: &mut [u32]) {
        let values = [
            (word::MAGIC, MAGIC as usize),
            (word::VERSION, FORMAT_VERSION as usize),
            (word::FILE_BYTES, self.file_bytes),
            (word::NETWORK_BYTES, self.network_bytes),
            (word::METADATA_BYTES, self.metadata_bytes),
            (word::PARAMETER_WORDS, self.parameter_words),
            (word::MEMBRANE_WORDS, self.membrane_words),
            (word::SPIKE_WORDS, self.spike_words),
            (word::SCRATCH_WORDS, self.scratch_words),
            (word::INPUT_BYTES, self.input_bytes),
            (word::WIDEST, self.widest),
            (word::LAYERS, self.layers),
        ];
        for (index, value) in values {
            if let Some(word) = file.get_mut(index) {
                *word = value as u32;
            }
        }
        let crc = checksum(file);
        if let Some(word) = file.get_mut(word::CRC) {
            *word = crc;
        }
    }

    /// Checks magic, version and length, in this order.
    pub(super) const fn parse(words: &[u32]) -> Result<Self, ModelError> {
        let got = 4 * words.len();
        if !words.is_empty() && words[0] != MAGIC {
            return Err(ModelError::Magic { got: words[0] });
        }
        if words.len() < word::COUNT {
            return Err(ModelError::Cut {
                expected: word::COUNT * 4,
                got,
            });
        }
        let version = at(words, word::VERSION);
        if version != FORMAT_VERSION {
            return Err(ModelError::Version {
                got: version,
                expected: FORMAT_VERSION,
            });
        }
        let sizes = Self::of(words);
        let expected = sizes.file_bytes;
        if got < expected {
            return Err(ModelError::Cut { expected, got });
        }
        if got > expected {
            return Err(ModelError::Trailing { expected, got });
        }
        Ok(sizes)
    }
}

/// The body of a checksum by one implementation of the CRC: their types have no trait in a `const`.
macro_rules! without_its_word {
    ($crc:expr, $file:expr) => {{
        let mut digest = $crc.digest();
        let mut index = 0;
        while index < $file.len() {
            if index != word::CRC {
                digest.update(&$file[index].to_le_bytes());
            }
            index += 1;
        }
        digest.finalize()
    }};
}

/// CRC-32 of `file` without its checksum word, which a saved state has in the same place.
pub(crate) const fn checksum(file: &[u32]) -> u32 {
    without_its_word!(CRC, file)
}

/// As [`checksum`], for a `const`.
pub(super) const fn quick_checksum(file: &[u32]) -> u32 {
    without_its_word!(QUICK, file)
}

/// Packs the bytes of an included model file into words, in a `const`.
///
/// `N` is `bytes.len().div_ceil(4)`; a file whose length is no multiple of 4 is cut and will be
/// refused when it is loaded, missing bytes are 0. In a `const` or `static` it costs nothing at run
/// time, and the words lie in flash.
///
/// ```
/// use bitspike_core::model::pack_words;
/// static WORDS: [u32; 2] = pack_words(&[0x42, 0x53, 0x4E, 0x4E, 1]);
/// assert_eq!(WORDS, [0x4E4E_5342, 1]);
/// ```
pub const fn pack_words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut words = [0; N];
    let mut index = 0;
    while index < bytes.len() && index / 4 < N {
        words[index / 4] |= (bytes[index] as u32) << (index % 4 * 8);
        index += 1;
    }
    words
}
