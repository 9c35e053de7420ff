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

impl Piece<'_> {
    /// Sends the piece as text: as it is, or digit by digit.
    ///
    /// # Errors
    /// The first one of `send`; nothing is sent behind it.
    ///
    /// ```
    /// use bitspike_core::message::Piece;
    /// let mut text = String::new();
    /// for piece in [Piece::Number(-120), Piece::Text(" 0x"), Piece::Hex(0xC0DE)] {
    ///     let sent = piece.send(|part| {
    ///         text.push_str(part);
    ///         Ok::<(), ()>(())
    ///     });
    ///     assert!(sent.is_ok());
    /// }
    /// assert_eq!(text, "-120 0x0000c0de");
    /// ```
    pub fn send<E>(&self, mut send: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        match *self {
            Self::Text(text) => send(text),
            Self::Number(number) => decimal(number, &mut send),
            Self::Hex(word) => hexadecimal(word, &mut send),
        }
    }
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

/// The digits, each of which is text by itself: a check of made text would take 600 bytes of flash.
static DIGITS: &str = "0123456789abcdef";

/// One digit as text.
fn digit(value: u32) -> &'static str {
    let at = (value & 15) as usize;
    DIGITS.get(at..at + 1).unwrap_or_default()
}

/// A word in eight hexadecimal digits, one by one.
fn hexadecimal<E>(word: u32, send: &mut impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
    (0..8)
        .rev()
        .try_for_each(|place| send(digit(word >> (4 * place))))
}

/// A number in decimal digits, one by one. By subtraction: the division of 64 bits would take 900 bytes
/// of flash on most devices.
fn decimal<E>(number: i64, send: &mut impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
    if number < 0 {
        send("-")?;
    }
    let (mut rest, mut begun) = (number.unsigned_abs(), false);
    for &power in POWERS.iter().rev() {
        let mut value = 0;
        while rest >= power {
            rest -= power;
            value += 1;
        }
        begun |= value != 0 || power == 1;
        if begun {
            send(digit(value))?;
        }
    }
    Ok(())
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
        fn digits_are_those_of_the_library(number: i64, shift in 0u32..64, word: u32) {
            let number = number >> shift;
            let message = Message::new([Piece::Number(number), Piece::Text(" "), Piece::Hex(word)]);
            let mut text = std::string::String::new();
            for piece in message.pieces() {
                let sent: Result<(), ()> = piece.send(|part| {
                    text.push_str(part);
                    Ok(())
                });
                prop_assert!(sent.is_ok());
            }
            prop_assert_eq!(text, message.to_string());
        }
    }

    #[test]
    fn the_smallest_number_is_sent_whole() {
        let mut text = std::string::String::new();
        let sent: Result<(), ()> = Piece::Number(i64::MIN).send(|part| {
            text.push_str(part);
            Ok(())
        });
        assert_eq!((sent, text.as_str()), (Ok(()), "-9223372036854775808"));
    }
}
