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

/// Most bytes of a number in decimal digits.
pub const DECIMALS: usize = 20;

/// A number in decimal digits, put into `digits`. By subtraction: the division of 64 bits would take
/// 900 bytes of flash on most devices.
///
/// ```
/// use bitspike_core::message::{DECIMALS, decimal};
/// assert_eq!(decimal(-120, &mut [0; DECIMALS]), "-120");
/// assert_eq!(decimal(i64::MIN, &mut [0; DECIMALS]), "-9223372036854775808");
/// ```
#[inline(never)]
pub fn decimal(number: i64, digits: &mut [u8; DECIMALS]) -> &str {
    let mut room = digits.iter_mut();
    if number < 0
        && let Some(sign) = room.next()
    {
        *sign = b'-';
    }
    let (mut rest, mut begun) = (number.unsigned_abs(), false);
    for power in (0..19).rev().map(|power| POWERS[power]) {
        let mut digit = b'0';
        while rest >= power {
            rest -= power;
            digit += 1;
        }
        begun |= digit != b'0' || power == 1;
        if begun && let Some(to) = room.next() {
            *to = digit;
        }
    }
    let unused = room.len();
    text(digits.get(..DECIMALS - unused).unwrap_or_default())
}

/// Powers of ten.
static POWERS: [u64; 19] = {
    let mut powers = [1; 19];
    let mut power = 1;
    while power < powers.len() {
        powers[power] = 10 * powers[power - 1];
        power += 1;
    }
    powers
};

/// Digits as text; nothing where they are not text. Apart, so that the check stands once in a program.
#[inline(never)]
pub fn text(digits: &[u8]) -> &str {
    str::from_utf8(digits).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    proptest! {
        #[test]
        fn decimals_are_those_of_the_library(number: i64, shift in 0u32..64) {
            let number = number >> shift;
            let mut digits = [0xFF; DECIMALS];
            let expected = number.to_string();
            prop_assert_eq!(decimal(number, &mut digits), expected.as_str());
        }
    }
}
