//! Reasons in words, without `core::fmt`.

use bitspike_core::message::{self, DECIMALS, Message, Piece, hexadecimal};
use heapless::String;

/// Most bytes of a reason; the longest message of a refused model has fewer.
pub(super) const REASON: usize = 160;

/// A message as text; what is behind the room for it is left out.
pub(super) fn reason(reason: &Message) -> String<REASON> {
    let mut text = String::new();
    for piece in reason.pieces() {
        let pushed = match *piece {
            Piece::Text(part) => text.push_str(part),
            Piece::Number(number) => text.push_str(message::decimal(number, &mut [0; DECIMALS])),
            Piece::Hex(word) => text.push_str(message::text(&hexadecimal(word))),
        };
        if pushed.is_err() {
            break;
        }
    }
    text
}
