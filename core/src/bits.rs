//! Packed bits: bit `i` is bit `i % 32` of word `i / 32`, and padding bits are 0.
//!
//! Reads outside the words give 0 and writes outside them do nothing, so that neither can panic.

/// A borrowed vector of bits.
///
/// ```
/// use bitspike_core::bits::Bits;
/// let bits = Bits::new(&[0b1010, 1], 33);
/// assert!(bits.get(1) && bits.get(32) && !bits.get(0));
/// assert_eq!(bits.count(), 3);
/// assert_eq!(bits.word(1, 3), 0b101);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits<'a> {
    words: &'a [u32],
    len: usize,
}

impl<'a> Bits<'a> {
    /// The first `len` bits of `words`, or all of them where there are fewer.
    pub fn new(words: &'a [u32], len: usize) -> Self {
        Self {
            words,
            len: len.min(words.len().saturating_mul(32)),
        }
    }

    /// Number of bits.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The words, padding included.
    pub fn words(&self) -> &'a [u32] {
        self.words
    }

    /// Bit `index`; `false` beyond the end.
    #[inline]
    pub fn get(&self, index: usize) -> bool {
        index < self.len && bit(self.words, index)
    }

    /// Number of set bits. One popcount a word.
    pub fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// The `count` (at most 32) bits from `offset` on, the first one in bit 0.
    #[inline]
    pub fn word(&self, offset: usize, count: usize) -> u32 {
        read(self.words, offset, count)
    }
}

/// Words that hold `bits` bits.
///
/// ```
/// use bitspike_core::bits::words_for;
/// assert_eq!([0, 1, 32, 33].map(words_for), [0, 1, 1, 2]);
/// ```
#[inline]
pub const fn words_for(bits: usize) -> usize {
    bits.div_ceil(32)
}

/// Bit `index` of `words`.
#[inline]
pub(crate) fn bit(words: &[u32], index: usize) -> bool {
    words
        .get(index / 32)
        .is_some_and(|word| word >> (index % 32) & 1 == 1)
}

/// A word with the lowest `count` bits set; all of them from 32 on.
#[inline]
pub(crate) const fn low_mask(count: usize) -> u32 {
    if count >= 32 {
        u32::MAX
    } else {
        (1 << count) - 1
    }
}

/// The `count` (at most 32) bits from `offset` on.
#[inline]
pub(crate) fn read(words: &[u32], offset: usize, count: usize) -> u32 {
    let (index, shift) = (offset / 32, offset % 32);
    let mut value = words.get(index).copied().unwrap_or(0) >> shift;
    if shift + count > 32 {
        value |= words.get(index + 1).copied().unwrap_or(0) << (32 - shift);
    }
    value & low_mask(count)
}

/// Calls `visit` with the index of every set bit, from the lowest on.
#[inline(always)]
pub(crate) fn visit_set(mut word: u32, mut visit: impl FnMut(usize)) {
    while word != 0 {
        visit(word.trailing_zeros() as usize);
        word &= word - 1;
    }
}

/// Replaces the `count` (at most 32) bits from `offset` on by the lowest bits of `value`.
#[inline]
pub(crate) fn write(words: &mut [u32], offset: usize, count: usize, value: u32) {
    let (index, shift) = (offset / 32, offset % 32);
    let mask = low_mask(count);
    let value = value & mask;
    if let Some(word) = words.get_mut(index) {
        *word = *word & !(mask << shift) | value << shift;
    }
    if shift + count > 32
        && let Some(word) = words.get_mut(index + 1)
    {
        *word = *word & !(mask >> (32 - shift)) | value >> (32 - shift);
    }
}

/// Replaces the `count` (at most 32) bits from `offset` on by what `change` makes of them.
#[inline(always)]
pub(crate) fn update(
    words: &mut [u32],
    offset: usize,
    count: usize,
    change: impl FnOnce(u32) -> u32,
) {
    let (index, shift) = (offset / 32, offset % 32);
    let mask = low_mask(count);
    let low = words.get(index).copied().unwrap_or(0) >> shift;
    // Bits of two words are rare, and cost most.
    let split = shift + count > 32;
    let before = if split {
        read(words, offset, count)
    } else {
        low & mask
    };
    let after = change(before);
    if split {
        write(words, offset, count, after);
    } else if let Some(word) = words.get_mut(index) {
        *word ^= (after ^ before) << shift;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn write_then_read_changes_only_its_bits(
            before in prop::collection::vec(any::<u32>(), 1..5),
            offset in 0usize..128,
            count in 0usize..=32,
            value: u32,
        ) {
            let mut words = before.clone();
            write(&mut words, offset, count, value);
            let expected: Vec<bool> = (0..before.len() * 32)
                .map(|i| if (offset..offset + count).contains(&i) {
                    value >> (i - offset) & 1 == 1
                } else {
                    bit(&before, i)
                })
                .collect();
            let got: Vec<bool> = (0..words.len() * 32).map(|i| bit(&words, i)).collect();
            prop_assert_eq!(got, expected);
            for i in 0..count {
                let inside = offset + i < words.len() * 32;
                prop_assert_eq!(
                    read(&words, offset, count) >> i & 1 == 1,
                    inside && value >> i & 1 == 1
                );
            }
        }
    }
}
