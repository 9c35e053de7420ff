//! Reasons in words, without `core::fmt`.

use bitspike_core::message::Message;
use heapless::String;

/// Most bytes of a reason; the longest message of a refused model has fewer.
pub(super) const REASON: usize = 160;

/// A message as text; what is behind the room for it is left out.
pub(super) fn reason(reason: &Message) -> String<REASON> {
    let mut text = String::new();
    for piece in reason.pieces() {
        if piece.send(|part| text.push_str(part)).is_err() {
            break;
        }
    }
    text
}
