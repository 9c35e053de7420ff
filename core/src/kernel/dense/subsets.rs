//! Sums of every subset of four taps, at eight positions a word, and what rows of weights choose of them.

/// The lower nibble of each byte.
pub(super) const LOW: u32 = 0x0F0F_0F0F;

/// Words of nibbles.
pub(super) const WIDE: usize = 2;
/// A nibble for each position.
type Nibbles = u64;
/// The subsets of the taps of a word, four by four: by subset, then by which four.
pub(super) type Tables = [[[u32; WIDE]; 8]; 16];
/// A byte for each position: even ones in the first word of each pair, odd ones in the second.
pub(super) type Bytes = [u32; 2 * WIDE];
/// Weights of the taps at hand of an output, and what it has counted ([`Bytes`]).
pub(super) type Row = [u32; 1 + 2 * WIDE];

/// Turns the words of eight positions into words of four taps, with a nibble a position.
#[inline(never)]
pub(super) fn transpose(words: &mut [u32; 8]) {
    let [a, b, c, d, e, f, g, h] = words;
    swap::<16>(a, e, 0x0000_FFFF);
    swap::<16>(b, f, 0x0000_FFFF);
    swap::<16>(c, g, 0x0000_FFFF);
    swap::<16>(d, h, 0x0000_FFFF);
    swap::<8>(a, c, 0x00FF_00FF);
    swap::<8>(b, d, 0x00FF_00FF);
    swap::<8>(e, g, 0x00FF_00FF);
    swap::<8>(f, h, 0x00FF_00FF);
    swap::<4>(a, b, 0x0F0F_0F0F);
    swap::<4>(c, d, 0x0F0F_0F0F);
    swap::<4>(e, f, 0x0F0F_0F0F);
    swap::<4>(g, h, 0x0F0F_0F0F);
}

/// Exchanges the bits of `low` above `SHIFT` with those of `high` below it, in every group of
/// `mask`.
#[inline(always)]
fn swap<const SHIFT: u32>(low: &mut u32, high: &mut u32, mask: u32) {
    let change = (*low >> SHIFT ^ *high) & mask;
    *high ^= change;
    *low ^= change << SHIFT;
}

/// The sums of all subsets, for eight positions: of the spikes under weights that are set, or of
/// the taps where bipolar input and weight agree.
#[inline(never)]
pub(super) fn fill(tables: &mut Tables, half: usize, taps: &[u32; 8], flip: bool) {
    const EACH: u32 = 0x1111_1111;
    for (four, &taps) in taps.iter().enumerate() {
        let mut spikes = [0, 1, 2, 3].map(|tap| taps >> tap & EACH);
        let mut none = 0;
        if flip {
            none = spikes.iter().fold(4 * EACH, |none, spikes| none - spikes);
            spikes = spikes.map(|spikes| (2 * spikes).wrapping_sub(EACH));
        }
        for subset in 0..16usize {
            let sum = subset.checked_ilog2().map_or(none, |tap| {
                let rest = tables[subset ^ 1 << tap][four][half];
                rest.wrapping_add(spikes[tap as usize])
            });
            tables[subset][four][half] = sum;
        }
    }
}

/// Adds what each row of weights chooses.
#[inline(never)]
pub(super) fn add(tables: &Tables, rows: &mut [Row]) {
    for [weights, counts @ ..] in rows {
        let weights = *weights;
        let chosen = |four| choose(tables, weights, four);
        unpack(counts, sum(sum(chosen(0), chosen(1)), chosen(2)));
        unpack(counts, sum(sum(chosen(3), chosen(4)), chosen(5)));
        unpack(counts, sum(chosen(6), chosen(7)));
    }
}

/// As [`add`], where no position has more than 15 spikes under either half of the taps.
#[inline(never)]
pub(super) fn add_halves(tables: &Tables, rows: &mut [Row]) {
    for [weights, counts @ ..] in rows {
        let weights = *weights;
        let chosen = |four| choose(tables, weights, four);
        for half in [0, 4] {
            let rest = half + 1..half + 4;
            unpack(
                counts,
                rest.fold(chosen(half), |all, four| sum(all, chosen(four))),
            );
        }
    }
}

/// As [`add`], where no position has more than 15 spikes.
#[inline(never)]
pub(super) fn add_few(tables: &Tables, rows: &mut [Row]) {
    for [weights, counts @ ..] in rows {
        let weights = *weights;
        let chosen = |four| choose(tables, weights, four);
        unpack(
            counts,
            (1..8).fold(chosen(0), |all, four| sum(all, chosen(four))),
        );
    }
}

/// The sums of the subset that a row has chosen.
#[inline(always)]
fn choose(tables: &Tables, weights: u32, four: usize) -> Nibbles {
    let [low, high] = tables[(weights >> (4 * four) & 15) as usize][four];
    u64::from(high) << 32 | u64::from(low)
}

/// The sum of nibbles that stay below 16.
#[inline(always)]
fn sum(a: Nibbles, b: Nibbles) -> Nibbles {
    if cfg!(target_arch = "riscv32") {
        // It has no carry to add with.
        let high = (a >> 32) as u32 + (b >> 32) as u32;
        return u64::from(high) << 32 | u64::from(a as u32 + b as u32);
    }
    a + b
}

/// Adds nibbles to bytes.
#[inline(always)]
fn unpack(counts: &mut Bytes, nibbles: Nibbles) {
    for (half, counts) in counts.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let nibbles = (nibbles >> (32 * half)) as u32;
        counts[0] += nibbles & LOW;
        counts[1] += nibbles >> 4 & LOW;
    }
}
