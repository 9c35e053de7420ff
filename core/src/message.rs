//! Messages in pieces, for devices that have no room for `core::fmt`.
//!
//! An error says what is wrong once, in pieces; [`Display`](core::fmt::Display) writes the same.

use core::fmt;

/// A piece of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text as it is.
    Text(&'a str),
    /// A number in decimal digits.
    Number(i64),
    /// A word in eight hexadecimal digits.
    Hex(u32),
}

/// Most pieces of a message.
const PIECES: usize = 8;

/// A message of up to eight pieces.
///
/// ```
/// use bitspike_core::message::{Message, Piece};
/// let message = Message::new([Piece::Text("layer "), Piece::Number(3)]);
/// assert_eq!(message.to_string(), "layer 3");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message([Piece<'static>; PIECES]);

impl Message {
    /// A message of these pieces; what is behind the eighth is left out.
    pub fn new<const N: usize>(pieces: [Piece<'static>; N]) -> Self {
        let mut all = [Piece::Text(""); PIECES];
        all.iter_mut().zip(pieces).for_each(|(to, from)| *to = from);
        Self(all)
    }

    /// The pieces in order.
    pub fn pieces(&self) -> &[Piece<'static>] {
        &self.0
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Number(number) => write!(f, "{number}"),
            Piece::Hex(word) => write!(f, "{word:08x}"),
        })
    }
}

/// A word in eight hexadecimal digits.
///
/// ```
/// assert_eq!(&bitspike_core::message::hexadecimal(0xC0DE), b"0000c0de");
/// ```
pub fn hexadecimal(word: u32) -> [u8; 8] {
    let mut digits = [0; 8];
    let mut rest = word;
    for digit in digits.iter_mut().rev() {
        let value = (rest & 15) as u8;
        *digit = if value < 10 { b'0' } else { b'a' - 10 } + value;
        rest >>= 4;
    }
    digits
}

/// A length or count as a number.
pub(crate) fn number(value: usize) -> Piece<'static> {
    Piece::Number(value as i64)
}

/// A message about a layer.
pub(crate) fn in_layer<const N: usize>(layer: usize, what: [Piece<'static>; N]) -> Message {
    let mut all = [Piece::Text(""); PIECES];
    let start = [Piece::Text("layer "), number(layer), Piece::Text(": ")];
    let pieces = start.into_iter().chain(what);
    all.iter_mut().zip(pieces).for_each(|(to, from)| *to = from);
    Message(all)
}
