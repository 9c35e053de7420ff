//! Bit-sliced counters: plane `p` holds bit `p` of 32 counters, so that one addition serves 32
//! outputs.

/// Columns that are added together by carry-save adders.
pub(super) const GROUP: usize = 7;

/// Columns that are counted at once: they fit the eight planes, and a small stack.
pub(super) const CAPACITY: usize = 18 * GROUP;

/// Counts, for each of 32 outputs, the columns whose bit is set. `column(i)` is the word of column
/// `i`, or 0 where there is none.
///
/// Returns the eight planes: bit `k` of plane `p` is bit `p` of counter `k`.
#[inline(always)]
pub(super) fn count(columns: &[[u16; GROUP]], column: impl Fn(usize) -> u32) -> [u32; 8] {
    let (mut p0, mut p1, mut p2) = (0, 0, 0);
    let mut high = [0u32; 5];
    for group in columns {
        let columns = group.map(|index| column(index.into()));
        let [ones, twos, fours] = add_seven(columns);
        let carry = p0 & ones;
        p0 ^= ones;
        let (sum, carry) = full_add(p1, twos, carry);
        p1 = sum;
        let (sum, mut carry) = full_add(p2, fours, carry);
        p2 = sum;
        for plane in &mut high {
            if carry == 0 {
                break;
            }
            (*plane, carry) = (*plane ^ carry, *plane & carry);
        }
    }
    let [p3, p4, p5, p6, p7] = high;
    [p0, p1, p2, p3, p4, p5, p6, p7]
}

/// The number of set bits in every position: bits of weight 1, 2 and 4.
#[inline(always)]
pub(super) fn add_seven([a, b, c, d, e, f, g]: [u32; GROUP]) -> [u32; 3] {
    let (ones, twos_a) = full_add(a, b, c);
    let (ones, twos_b) = full_add(ones, d, e);
    let (ones, twos_c) = full_add(ones, f, g);
    let (twos, fours) = full_add(twos_a, twos_b, twos_c);
    [ones, twos, fours]
}

/// Sum and carry of three bits, in every position.
#[inline(always)]
fn full_add(a: u32, b: u32, c: u32) -> (u32, u32) {
    let partial = a ^ b;
    (partial ^ c, a & b | partial & c)
}

/// Turns planes into counters: byte `b` of word `i` of the result is counter `8 b + i`.
///
/// Four 8x8 bit matrices are transposed at once (Warren, Hacker's Delight, 7-3).
#[inline(always)]
pub(super) fn transpose(mut planes: [u32; 8]) -> [u32; 8] {
    let [a, b, c, d, e, f, g, h] = &mut planes;
    swap::<4>(a, e, 0x0F0F_0F0F);
    swap::<4>(b, f, 0x0F0F_0F0F);
    swap::<4>(c, g, 0x0F0F_0F0F);
    swap::<4>(d, h, 0x0F0F_0F0F);
    swap::<2>(a, c, 0x3333_3333);
    swap::<2>(b, d, 0x3333_3333);
    swap::<2>(e, g, 0x3333_3333);
    swap::<2>(f, h, 0x3333_3333);
    swap::<1>(a, b, 0x5555_5555);
    swap::<1>(c, d, 0x5555_5555);
    swap::<1>(e, f, 0x5555_5555);
    swap::<1>(g, h, 0x5555_5555);
    planes
}

/// Exchanges the bits of `low` above `SHIFT` with those of `high` below it, in every group of
/// `mask`.
#[inline(always)]
fn swap<const SHIFT: u32>(low: &mut u32, high: &mut u32, mask: u32) {
    let change = (*low >> SHIFT ^ *high) & mask;
    *high ^= change;
    *low ^= change << SHIFT;
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counts_every_column(
            weights in prop::collection::vec(any::<u32>(), 1..40),
            row_words in 1usize..3,
            columns in prop::collection::vec(prop::array::uniform7(0u16..48), 0..=18),
        ) {
            let counters = transpose(count(&columns, |i| weights.get(i * row_words).copied().unwrap_or(0)));
            for k in 0..32 {
                let expected = columns
                    .iter()
                    .flatten()
                    .filter(|at| weights.get(usize::from(**at) * row_words).is_some_and(|word| word >> k & 1 == 1))
                    .count();
                let got = counters[k % 8].to_le_bytes()[k / 8];
                prop_assert_eq!(usize::from(got), expected, "counter {}", k);
            }
        }
    }
}
