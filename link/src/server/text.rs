//! Reasons in words, without `core::fmt`.

use bitspike_core::message::{Message, Piece, hexadecimal};
use heapless::String;

/// Most bytes of a reason; the longest message of a refused model has fewer.
pub(super) const REASON: usize = 160;

/// A message as text; what is behind the room for it is left out.
pub(super) fn reason(message: &Message) -> String<REASON> {
    let mut text = String::new();
    for piece in message.pieces() {
        let pushed = match *piece {
            Piece::Text(part) => text.push_str(part),
            Piece::Number(number) => text.push_str(itoa::Buffer::new().format(number)),
            Piece::Hex(word) => {
                text.push_str(str::from_utf8(&hexadecimal(word)).unwrap_or_default())
            }
        };
        if pushed.is_err() {
            break;
        }
    }
    text
}
