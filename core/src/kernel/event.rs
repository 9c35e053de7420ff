//! Event-driven: the weight columns of the set input bits are counted, 32 outputs a word.
//!
//! The spikes under a row of output positions are noted once, column by column of the map; each
//! position takes a slice of them, and bit-sliced counters add up their columns. Then
//! `x_j = 2 count_j - P(s)`. The cost follows the number of spikes.

mod band;
pub(crate) mod blocks;

use core::ops::Range;

use band::{Band, Row};

use super::columns::Columns;
use super::geometry::Geometry;
use super::{PAIR, Sums, Visit};
use crate::bits;
use crate::model::{Input, InputKind, Layer, WeightOrder, parts};

/// For spikes without pooling of the input, with a row of outputs for each tap.
#[derive(Debug)]
pub struct Event;

impl Event {
    /// Whether the kernel can compute a layer that reads inputs of this kind.
    pub const fn supports(layer: &Layer, kind: InputKind) -> bool {
        matches!(kind, InputKind::Spikes)
            && layer.spec().input_pool.is_none()
            && matches!(layer.spec().order, WeightOrder::InputMajor)
            // A tap is noted in 16 bits.
            && layer.taps() <= u16::MAX as usize
    }

    /// As [`sums`](Sums::sums), by no other parts than `PARTS`.
    #[inline(always)]
    pub(super) fn sums_of<const PARTS: u32>(
        layer: &Layer,
        weights: &[u32],
        input: Input<'_>,
        visit: Visit<'_>,
    ) {
        let Input::Spikes(words) = input else { return };
        let mut ways = Ways {
            note_row: |_, _, _, _, len| len,
            blocks: |_, _, _, _, _, _| {},
            pairs: None,
        };
        if PARTS & parts::DEEP != 0 {
            ways.note_row = Band::note_row;
        }
        if PARTS & parts::BLOCKS != 0 {
            ways.blocks = Band::blocks;
        }
        if PARTS & parts::PAIRS != 0 && usize::from(layer.output().channels) == PAIR {
            ways.pairs = Some(Band::pairs);
        }
        sums(layer, weights, words, visit, &ways);
    }
}

impl Sums for Event {
    fn sums(layer: &Layer, weights: &[u32], input: Input<'_>, visit: Visit<'_>) {
        Self::sums_of::<{ parts::ALL }>(layer, weights, input, visit);
    }
}

/// What only some layers need: a program without them has none of it.
struct Ways {
    /// [`Band::note_row`], for columns of more than 32 channels.
    note_row: NoteRow,
    /// [`Band::blocks`], for positions of several blocks.
    blocks: Blocks,
    /// [`Band::pairs`], of a layer of 16 channels.
    pairs: Option<Blocks>,
}

type NoteRow = fn(&mut Band, &Row, &[u32], [usize; 2], usize) -> usize;
type Blocks = fn(&Band, &Geometry, &mut Columns<'_>, usize, Range<usize>, Visit<'_>);

/// As [`Sums::sums`].
#[inline(never)]
fn sums(layer: &Layer, weights: &[u32], words: &[u32], visit: Visit<'_>, ways: &Ways) {
    let geometry = Geometry::new(layer);
    let mut band = Band::new();
    let mut columns = Columns::new(weights, layer.row_words());
    let mut position = 0;
    for row in 0..geometry.output[0] {
        let top = row * geometry.pitch[0];
        let mut column = 0;
        while column < geometry.output[1] {
            let whole = band.fill(&geometry, words, [top, column], ways);
            if whole > column {
                let left = column * geometry.pitch[1];
                let positions = position..position + (whole - column);
                position = positions.end;
                column = whole;
                if let Some(pairs) = ways.pairs {
                    pairs(&band, &geometry, &mut columns, left, positions, visit);
                } else if geometry.blocks() == 1 {
                    band.block(&geometry, &mut columns, left, positions, 0, visit);
                } else {
                    (ways.blocks)(&band, &geometry, &mut columns, left, positions, visit);
                }
            } else {
                // A position without a band is on its own.
                let corner = [top, column * geometry.pitch[1]];
                for block in 0..geometry.blocks() {
                    columns.turn(block);
                    columns.begin();
                    scan(&geometry, corner, words, &mut columns);
                    visit(position, block, columns.finish());
                }
                position += 1;
                column += 1;
            }
        }
    }
}

/// Adds the column of every spike that an output position reads, word by word of the input.
#[inline(never)]
fn scan(geometry: &Geometry, corner: [usize; 2], words: &[u32], columns: &mut Columns<'_>) {
    geometry.visit_runs(corner, |at, tap, count| {
        for offset in (0..count).step_by(32) {
            let spikes = bits::read(words, at + offset, (count - offset).min(32));
            bits::visit_set(spikes, |bit| columns.push(tap + offset + bit));
        }
    });
}

/// Spikes that a band can hold, on the smallest cores and on others.
pub(crate) const fn capacity(small: bool) -> usize {
    if small { 288 } else { 512 }
}
