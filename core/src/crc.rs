//! Checksums by tables of 16 entries: a lookup a nibble, where flash counts more than time.

/// A reflected CRC that begins and ends inverted.
macro_rules! crc {
    ($(#[$doc:meta])* $name:ident, $word:ty, $polynomial:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $name($word);

        impl $name {
            const TABLE: [$word; 16] = {
                let mut table = [0; 16];
                let mut nibble = 0;
                while nibble < 16 {
                    let mut rest = nibble as $word;
                    let mut bit = 0;
                    while bit < 4 {
                        rest = rest >> 1 ^ if rest & 1 == 1 { $polynomial } else { 0 };
                        bit += 1;
                    }
                    table[nibble] = rest;
                    nibble += 1;
                }
                table
            };

            /// The checksum of nothing yet.
            pub(crate) fn new() -> Self {
                Self(!0)
            }

            /// Adds words in little-endian order.
            #[inline(never)]
            pub(crate) fn update(&mut self, words: &[u32]) {
                for &word in words {
                    let mut rest = self.0 ^ <$word>::from(word);
                    for _ in 0..8 {
                        rest = Self::TABLE[(rest & 15) as usize] ^ rest >> 4;
                    }
                    self.0 = rest;
                }
            }

            /// The checksum.
            pub(crate) fn finish(self) -> $word {
                !self.0
            }
        }
    };
}

crc!(
    /// CRC-32/ISO-HDLC.
    Crc32, u32, 0xEDB8_8320
);
crc!(
    /// CRC-64/XZ.
    Crc64, u64, 0xC96C_5795_D787_0F42
);

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_the_crate(words in prop::collection::vec(any::<u32>(), 0..20), at in 0usize..20) {
            let (first, second) = words.split_at(at.min(words.len()));
            let bytes = bytemuck::cast_slice(&words);
            let (mut short, mut long) = (Crc32::new(), Crc64::new());
            for part in [first, second] {
                short.update(part);
                long.update(part);
            }
            let expected = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(bytes);
            prop_assert_eq!(short.finish(), expected);
            let expected = crc::Crc::<u64>::new(&crc::CRC_64_XZ).checksum(bytes);
            prop_assert_eq!(long.finish(), expected);
        }
    }
}
