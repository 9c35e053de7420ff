//! Sums of one window for a row of outputs, which stay in registers meanwhile.

use super::list::{List, Window};
use super::plan::Plan;

/// Rows that are added at once.
const GROUP: usize = 4;

/// Values that are multiplied at once; so many rows follow the weights that are read.
pub(super) const VALUES: usize = 8;

/// Sums of the spikes that a window reads.
#[inline(always)]
pub(super) fn of_spikes<const L: usize>(
    plan: &Plan,
    window: &Window,
    list: &List<'_>,
    weights: &[[i8; L]],
) -> [i32; L] {
    let (mut sums, mut part, mut room) = ([0; L], [0i8; L], plan.flush);
    for (mut spikes, base) in window.spikes(plan, list) {
        while !spikes.is_empty() {
            let (now, later) = spikes.split_at(spikes.len().min(room));
            let row = |spike: u16| {
                let tap = usize::from(spike.wrapping_add(base));
                weights.get(tap).unwrap_or(&[0; L])
            };
            let (groups, rest) = now.as_chunks::<GROUP>();
            for group in groups {
                add_rows(&mut part, group.map(row));
            }
            for spike in rest {
                add_rows(&mut part, [row(*spike)]);
            }
            spikes = later;
            room = room.wrapping_sub(now.len());
            if room == 0 {
                spill(&part, &mut sums);
                (part, room) = ([0; L], plan.flush);
            }
        }
    }
    spill(&part, &mut sums);
    sums
}

/// Adds rows of weights.
#[inline(always)]
fn add_rows<const L: usize, const N: usize>(part: &mut [i8; L], rows: [&[i8; L]; N]) {
    for lane in 0..L {
        let mut sum = part[lane];
        for row in rows {
            sum = sum.wrapping_add(row[lane]);
        }
        part[lane] = sum;
    }
}

/// Adds sums in bytes to whole ones.
#[inline(always)]
fn spill<const L: usize>(part: &[i8; L], sums: &mut [i32; L]) {
    for lane in 0..L {
        sums[lane] = sums[lane].wrapping_add(part[lane].into());
    }
}

/// Sums of the values that a window reads.
#[inline(always)]
pub(super) fn of_values<const L: usize, T: Lane>(
    plan: &Plan,
    window: &Window,
    bytes: &[u8],
    flip: i16,
    weights: &[[i8; L]],
) -> [i32; L] {
    let mut sums = [T::default(); L];
    for (values, tap) in window.values(plan, bytes) {
        for (index, values) in values.chunks(VALUES).enumerate() {
            let rows = weights.get(tap + VALUES * index..).unwrap_or(&[]);
            let mut eight = [0; VALUES];
            for (to, byte) in eight.iter_mut().zip(values) {
                *to = (i16::from(*byte) ^ flip).wrapping_sub(flip);
            }
            // Rows behind those of the values are multiplied by 0; the table has room for them.
            let Some(rows) = rows.first_chunk() else {
                continue;
            };
            add_products(&mut sums, eight, rows);
        }
    }
    sums.map(T::into)
}

/// Adds values times rows of weights.
#[inline(always)]
fn add_products<const L: usize, const N: usize, T: Lane>(
    sums: &mut [T; L],
    values: [i16; N],
    rows: &[[i8; L]; N],
) {
    for lane in 0..L {
        let mut sum = sums[lane];
        for (value, row) in values.into_iter().zip(rows) {
            sum = sum.add_product(value, row[lane]);
        }
        sums[lane] = sum;
    }
}

/// A sum in a width that is proven to hold it.
pub(super) trait Lane: Copy + Default + Into<i32> {
    fn add_product(self, value: i16, weight: i8) -> Self;
}

impl Lane for i16 {
    #[inline(always)]
    fn add_product(self, value: i16, weight: i8) -> Self {
        self.wrapping_add(value.wrapping_mul(weight.into()))
    }
}

impl Lane for i32 {
    #[inline(always)]
    fn add_product(self, value: i16, weight: i8) -> Self {
        self.wrapping_add(i32::from(value).wrapping_mul(weight.into()))
    }
}
