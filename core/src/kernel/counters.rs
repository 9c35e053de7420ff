//! Bit-sliced counters: plane `p` holds bit `p` of 32 counters, so that one addition serves 32
//! outputs.

/// Columns that are added together by carry-save adders.
pub(super) const GROUP: usize = 8;

/// Eight columns: a word and what lies between it and the next.
pub(super) type Group = [u32; 2 * GROUP];

/// Columns that are counted first, in fewer steps.
pub(super) const FIRST: usize = 7;

/// Columns up to which [`count_few`] takes fewer steps: as many are filled up with nothing.
pub(super) const FEW: [usize; 4] = [3, FIRST, 11, FIRST + GROUP];

/// The four planes of up to 15 columns; `slots` is one of [`FEW`].
#[inline(always)]
pub(super) fn count_few(column: impl Fn(usize) -> u32 + Copy, slots: usize) -> [u32; 4] {
    if slots <= FEW[0] {
        let (ones, twos) = full_add(column(0), column(1), column(2));
        return [ones, twos, 0, 0];
    }
    let mut low = add_seven([0, 1, 2, 3, 4, 5, 6].map(column));
    let eights = if slots <= FEW[1] {
        0
    } else if slots <= FEW[2] {
        add_four(&mut low, [7, 8, 9, 10].map(column))
    } else {
        add_eight(&mut low, [7, 8, 9, 10, 11, 12, 13, 14].map(column))
    };
    let [ones, twos, fours] = low;
    [ones, twos, fours, eights]
}

/// Columns that [`count_most`] counts.
pub(super) const MOST: usize = FIRST + 2 * GROUP;

/// The five planes of [`MOST`] columns.
#[inline(always)]
pub(super) fn count_most(column: impl Fn(usize) -> u32 + Copy) -> [u32; 5] {
    let mut low = add_seven([0, 1, 2, 3, 4, 5, 6].map(column));
    let first = add_eight(&mut low, [7, 8, 9, 10, 11, 12, 13, 14].map(column));
    let second = add_eight(&mut low, [15, 16, 17, 18, 19, 20, 21, 22].map(column));
    let [ones, twos, fours] = low;
    [ones, twos, fours, first ^ second, first & second]
}

/// The six planes of up to 63 columns: [`FIRST`] ones, each with what lies between it and the next,
/// and whole groups.
#[inline(always)]
pub(super) fn count_some(first: &[u32; 2 * FIRST], groups: &[Group]) -> [u32; 6] {
    let [a, _, b, _, c, _, d, _, e, _, f, _, g, _] = *first;
    let mut low = add_seven([a, b, c, d, e, f, g]);
    let [mut eights, mut high, mut highest] = [0; 3];
    for group in groups {
        let eight = add_eight(&mut low, eight(group));
        let sixteen = eights & eight;
        eights ^= eight;
        highest ^= high & sixteen;
        high ^= sixteen;
    }
    let [ones, twos, fours] = low;
    [ones, twos, fours, eights, high, highest]
}

/// The columns of a group.
#[inline(always)]
fn eight([a, _, b, _, c, _, d, _, e, _, f, _, g, _, h, _]: &Group) -> [u32; GROUP] {
    [*a, *b, *c, *d, *e, *f, *g, *h]
}

/// Adds four words to the planes of weight 1, 2 and 4; returns the carry, of weight 8.
#[inline(always)]
fn add_four([ones, twos, fours]: &mut [u32; 3], [a, b, c, d]: [u32; 4]) -> u32 {
    let (sum, twos_a) = full_add(*ones, a, b);
    let (sum, twos_b) = full_add(sum, c, d);
    let (pairs, carry) = full_add(*twos, twos_a, twos_b);
    (*ones, *twos) = (sum, pairs);
    let eights = *fours & carry;
    *fours ^= carry;
    eights
}

/// Adds eight words to the planes of weight 1, 2 and 4; returns the carry, of weight 8.
#[inline(always)]
fn add_eight([ones, twos, fours]: &mut [u32; 3], [a, b, c, d, e, f, g, h]: [u32; GROUP]) -> u32 {
    let (sum, twos_a) = full_add(*ones, a, b);
    let (sum, twos_b) = full_add(sum, c, d);
    let (pairs, fours_a) = full_add(*twos, twos_a, twos_b);
    let (sum, twos_a) = full_add(sum, e, f);
    let (sum, twos_b) = full_add(sum, g, h);
    let (pairs, fours_b) = full_add(pairs, twos_a, twos_b);
    let carry;
    (*ones, *twos) = (sum, pairs);
    (*fours, carry) = full_add(*fours, fours_a, fours_b);
    carry
}

/// The number of set bits in every position: bits of weight 1, 2 and 4.
#[inline(always)]
pub(super) fn add_seven([a, b, c, d, e, f, g]: [u32; 7]) -> [u32; 3] {
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

/// Turns planes into counters, a byte each: byte `b` of word `i` is number `8 b + i`.
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

/// As [`transpose`] where no counter passes 15.
#[inline(always)]
pub(super) fn transpose_low([mut a, mut b, mut c, mut d]: [u32; 4]) -> [u32; 8] {
    swap::<2>(&mut a, &mut c, 0x3333_3333);
    swap::<2>(&mut b, &mut d, 0x3333_3333);
    swap::<1>(&mut a, &mut b, 0x5555_5555);
    swap::<1>(&mut c, &mut d, 0x5555_5555);
    // Nibble `n` of word `i` is counter `4 n + i`.
    let low = [a, b, c, d].map(|word| word & 0x0F0F_0F0F);
    let high = [a, b, c, d].map(|word| word >> 4 & 0x0F0F_0F0F);
    [
        low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3],
    ]
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
            first in prop::array::uniform14(any::<u32>()),
            groups in prop::collection::vec(prop::array::uniform16(any::<u32>()), 0..=7),
        ) {
            let [a, b, c, d, e, f] = count_some(&first, &groups);
            let counters = transpose([a, b, c, d, e, f, 0, 0]);
            let small = transpose_low([a, b, c, d]);
            for k in 0..32 {
                let columns = first.iter().chain(groups.iter().flatten()).step_by(2);
                let expected = columns.filter(|word| *word >> k & 1 == 1).count();
                let got = usize::from(counters[k % 8].to_le_bytes()[k / 8]);
                prop_assert_eq!(got, expected, "counter {}", k);
                let low = small[k % 8].to_le_bytes()[k / 8];
                prop_assert_eq!(usize::from(low), expected % 16, "low counter {}", k);
            }
        }

        #[test]
        fn counts_few_columns(
            columns in prop::array::uniform15(any::<u32>()),
            few in 0..FEW.len(),
        ) {
            let slots = FEW[few];
            let planes = count_few(|k| columns[k], slots);
            let counters = transpose_low(planes);
            for k in 0..32 {
                let counted = columns.iter().take(slots);
                let expected = counted.filter(|word| *word >> k & 1 == 1).count();
                let got = counters[k % 8].to_le_bytes()[k / 8];
                prop_assert_eq!(usize::from(got), expected, "counter {}", k);
            }
        }

        #[test]
        fn counts_most_columns(columns in prop::array::uniform23(any::<u32>())) {
            let [a, b, c, d, e] = count_most(|k| columns[k]);
            let counters = transpose([a, b, c, d, e, 0, 0, 0]);
            for k in 0..32 {
                let expected = columns.iter().filter(|word| *word >> k & 1 == 1).count();
                let got = counters[k % 8].to_le_bytes()[k / 8];
                prop_assert_eq!(usize::from(got), expected, "counter {}", k);
            }
        }
    }
}
