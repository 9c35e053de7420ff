//! Reads the postcard section of layers, in a `const` too; what postcard writes is what is read.

use super::format::{
    Head, InputKind, InputPool, LayerSpec, Operation, Pool, PoolKind, Readout, Spread, WeightOrder,
};
use crate::lif::{Membrane, Reset};

/// Bytes of a varint in its shortest form: seven bits each.
pub(super) const fn varint(value: u32) -> usize {
    (32 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// A section of bytes packed into words.
///
/// A byte that is missing, or that no value has, is noted, and the value is then any one: looked at
/// once a record, that takes less flash than a result a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    words: &'a [u32],
    at: usize,
    /// Bytes of the section.
    end: usize,
    bad: bool,
    /// Bytes of numbers that their shortest form does not have.
    surplus: usize,
}

impl<'a> Reader<'a> {
    /// The first `bytes` bytes of `words`; `None` where the rest of the last word is not 0.
    pub(super) const fn new(words: &'a [u32], bytes: usize) -> Option<Self> {
        let tail = bytes % 4;
        if tail != 0 && word(words, bytes / 4) >> (8 * tail) != 0 {
            return None;
        }
        Some(Self {
            words,
            at: 0,
            end: bytes,
            bad: false,
            surplus: 0,
        })
    }

    /// Whether all that was read was there, and in the form of a value.
    pub(super) const fn is_good(&self) -> bool {
        !self.bad
    }

    /// Whether everything has been read.
    pub(super) const fn is_at_end(&self) -> bool {
        self.at == self.end
    }

    /// Bytes by which numbers so far are longer than needed.
    pub(super) const fn surplus(&self) -> usize {
        self.surplus
    }

    const fn byte(&mut self) -> u32 {
        if self.at >= self.end {
            self.bad = true;
            return 0;
        }
        let byte = word(self.words, self.at / 4) >> (self.at % 4 * 8) & 255;
        self.at += 1;
        byte
    }

    /// A number of `bits` bits, seven a byte, the lowest first.
    const fn number(&mut self, bits: u32) -> u32 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            let part = byte & 127;
            self.bad |= shift + 7 > bits && part >> (bits - shift) != 0;
            value |= part << shift;
            shift += 7;
            if byte < 128 {
                break;
            }
            if shift >= bits {
                self.bad = true;
                break;
            }
        }
        self.surplus += (shift / 7) as usize - varint(value);
        value
    }

    /// The index of one of `count` variants.
    const fn variant(&mut self, count: u32) -> u32 {
        let variant = self.number(32);
        self.bad |= variant >= count;
        variant
    }

    /// Whether an optional value follows.
    const fn some(&mut self) -> bool {
        let byte = self.byte();
        self.bad |= byte > 1;
        byte == 1
    }

    const fn short(&mut self) -> u16 {
        self.number(16) as u16
    }

    const fn pair(&mut self) -> [u16; 2] {
        [self.short(), self.short()]
    }

    const fn pool(&mut self) -> Pool {
        Pool {
            window: self.pair(),
            stride: self.pair(),
        }
    }

    const fn spread(&mut self) -> Spread {
        match self.variant(3) {
            0 => Spread::Layer,
            1 => Spread::Channel,
            _ => Spread::Neuron,
        }
    }

    /// What stands before the layers.
    pub(super) const fn head(&mut self) -> Head {
        Head {
            input: match self.variant(4) {
                0 => InputKind::Spikes,
                1 => InputKind::U8,
                2 => InputKind::I8,
                _ => InputKind::Bipolar,
            },
            shape: [self.short(), self.short(), self.short()],
            steps: self.number(32),
            readout: match self.variant(4) {
                0 => Readout::Count,
                1 => Readout::Membrane,
                2 => Readout::FirstSpike,
                _ => Readout::Population {
                    groups: self.short(),
                },
            },
            logit_scale: f32::from_bits(
                self.byte() | self.byte() << 8 | self.byte() << 16 | self.byte() << 24,
            ),
            // Postcard writes the length of a sequence as it writes a number.
            layers: self.number(32),
        }
    }

    /// A layer.
    pub(super) const fn layer(&mut self) -> LayerSpec {
        LayerSpec {
            input_pool: if self.some() {
                Some(InputPool {
                    kind: match self.variant(2) {
                        0 => PoolKind::Sum,
                        _ => PoolKind::Max,
                    },
                    pool: self.pool(),
                })
            } else {
                None
            },
            operation: match self.variant(2) {
                0 => Operation::Linear {
                    outputs: self.short(),
                },
                _ => Operation::Conv2d {
                    channels: self.short(),
                    kernel: self.pair(),
                    stride: self.pair(),
                    padding: self.pair(),
                },
            },
            pool: if self.some() { Some(self.pool()) } else { None },
            order: match self.variant(2) {
                0 => WeightOrder::OutputMajor,
                _ => WeightOrder::InputMajor,
            },
            membrane: match self.variant(2) {
                0 => Membrane::I16,
                _ => Membrane::I32,
            },
            fraction: self.byte() as i8,
            beta: self.short(),
            reset: match self.variant(3) {
                0 => Reset::Subtract,
                1 => Reset::Zero,
                _ => Reset::None,
            },
            thresholds: self.spread(),
            biases: if self.some() {
                Some(self.spread())
            } else {
                None
            },
        }
    }
}

/// Word `index`; 0 beyond the end.
pub(super) const fn word(words: &[u32], index: usize) -> u32 {
    if index < words.len() { words[index] } else { 0 }
}

/// The words from `from` to `to`; none where they are not all there.
pub(super) const fn between(words: &[u32], from: usize, to: usize) -> &[u32] {
    if let Some((words, _)) = words.split_at_checked(to)
        && let Some((_, words)) = words.split_at_checked(from)
    {
        return words;
    }
    &[]
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::model::NetworkSpec;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn packed(bytes: &[u8]) -> Vec<u32> {
        let mut words = std::vec![0u32; bytes.len().div_ceil(4)];
        for (index, byte) in bytes.iter().enumerate() {
            words[index / 4] |= u32::from(*byte) << (index % 4 * 8);
        }
        words
    }

    /// Bytes of which many are values: small numbers, and now and then a long one.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![6 => 0u8..3, 2 => 3u8..128, 1 => any::<u8>(), 1 => Just(0x80u8)];
        prop::collection::vec(byte, 0..80)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 20 } else { 4000 }))]

        /// The same values are read, or refused, as by postcard, and longer forms are counted.
        #[test]
        fn layers_are_read_as_by_postcard(bytes in bytes()) {
            let words = packed(&bytes);
            let mut reader = Reader::new(&words, bytes.len()).unwrap();
            let layer = reader.layer();
            match postcard::take_from_bytes::<LayerSpec>(&bytes) {
                Ok((expected, rest)) => {
                    prop_assert!(reader.is_good());
                    prop_assert_eq!(layer, expected);
                    prop_assert_eq!(reader.at, bytes.len() - rest.len());
                    let mut shortest = [0; 128];
                    let shortest = postcard::to_slice(&layer, &mut shortest).unwrap();
                    prop_assert_eq!(reader.surplus(), reader.at - shortest.len());
                }
                Err(_) => prop_assert!(!reader.is_good()),
            }
        }

        #[test]
        fn networks_are_read_as_by_postcard(bytes in bytes()) {
            let words = packed(&bytes);
            let mut reader = Reader::new(&words, bytes.len()).unwrap();
            let head = reader.head();
            let mut layers = heapless::Vec::<_, { crate::model::MAX_LAYERS }>::new();
            // Postcard reads no more layers than there is room for.
            let room = head.layers <= 16;
            for _ in 0..head.layers.min(16) {
                let _ = layers.push(reader.layer());
            }
            match postcard::take_from_bytes::<NetworkSpec>(&bytes) {
                Ok((expected, rest)) => {
                    prop_assert!(reader.is_good() && room);
                    prop_assert_eq!(head.logit_scale.to_bits(), expected.logit_scale.to_bits());
                    let read = NetworkSpec {
                        input: head.input,
                        shape: head.shape,
                        steps: head.steps,
                        readout: head.readout,
                        logit_scale: expected.logit_scale,
                        layers,
                    };
                    if !expected.logit_scale.is_nan() {
                        prop_assert_eq!(read, expected);
                    }
                    prop_assert_eq!(reader.at, bytes.len() - rest.len());
                }
                Err(_) => prop_assert!(!reader.is_good() || !room),
            }
        }

        #[test]
        fn varints_are_as_long_as_those_of_postcard(value: u32, shift in 0u32..32) {
            let mut buffer = [0; 8];
            let value = value >> shift;
            prop_assert_eq!(varint(value), postcard::to_slice(&value, &mut buffer).unwrap().len());
        }

        #[test]
        fn metadata_bytes_are_those_of_postcard(task in ".{0,200}", classes in "[a-z\n]{0,150}") {
            let metadata = crate::model::Metadata {
                task: &task,
                classes: &classes,
                ..Default::default()
            };
            let mut buffer = [0; 2048];
            let written = postcard::to_slice(&metadata, &mut buffer).unwrap().len();
            prop_assert_eq!(metadata.encoded_bytes(), written);
        }
    }

    #[test]
    fn padding_behind_the_section_is_0() {
        assert!(Reader::new(&[7, 0x0000_FFFF], 6).is_some());
        assert!(Reader::new(&[7, 0x0001_FFFF], 6).is_none());
    }
}
