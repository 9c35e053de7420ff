//! Vectors that are computed piece by piece, without being zeroed first.

use std::mem::MaybeUninit;

use rayon::prelude::*;

/// Room for the values of a piece, filled from front to back.
pub(super) struct Room<'a> {
    room: &'a mut [MaybeUninit<f32>],
    filled: usize,
}

impl Room<'_> {
    /// Appends values.
    ///
    /// # Panics
    /// If the room is too small for them.
    #[inline]
    pub(super) fn push(&mut self, values: &[f32]) {
        self.room[self.filled..][..values.len()].write_copy_of_slice(values);
        self.filled += values.len();
    }
}

/// A vector of `len` values, and what `f` gave for each piece of `piece` values (the last one may be
/// shorter): it is told the piece's number, and fills its room.
///
/// # Panics
/// If `f` leaves a room unfilled.
pub(super) fn filled<S, R: Send>(
    len: usize,
    piece: usize,
    state: impl Fn() -> S + Sync + Send,
    f: impl Fn(&mut S, usize, &mut Room<'_>) -> R + Sync + Send,
) -> (Vec<f32>, Vec<R>) {
    let mut values = Vec::with_capacity(len);
    let given = values.spare_capacity_mut()[..len]
        .par_chunks_mut(piece.max(1))
        .enumerate()
        .map_init(state, |state, (index, room)| {
            let mut room = Room { room, filled: 0 };
            let given = f(state, index, &mut room);
            assert_eq!(room.filled, room.room.len(), "piece {index}");
            given
        })
        .collect();
    // SAFETY: the capacity is at least `len`, and the pieces are all of the first `len` values; each
    // of them was written to its end, or the assertion above had panicked. A closure cannot pass
    // another room off as its own: only this module makes one, and its lifetime is that of the call.
    unsafe { values.set_len(len) };
    (values, given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_stand_in_their_order() {
        let fill = |(): &mut (), index: usize, room: &mut Room<'_>| {
            for _ in 0..if index == 2 { 1 } else { 3 } {
                room.push(&[index as f32]);
            }
            10 * index
        };
        let (values, given) = filled(7, 3, || (), fill);
        assert_eq!(values, [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0]);
        assert_eq!(given, [0, 10, 20]);
        assert!(filled(0, 3, || (), fill).0.is_empty());
    }

    #[test]
    #[should_panic(expected = "piece 0")]
    fn a_piece_that_is_not_filled_is_found() {
        filled(4, 4, || (), |(), _, room| room.push(&[1.0, 2.0]));
    }
}
