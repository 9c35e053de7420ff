//! The message of a build that does not fit: a panic in a `const` formats no numbers.

/// Bytes of the message.
pub const LENGTH: usize = 128;

/// That memory for a network's state and a sample is short, with both sizes in bytes.
pub const fn shortage(needed: usize, there: usize) -> [u8; LENGTH] {
    let mut text = [b' '; LENGTH];
    let at = put(&mut text, 0, b"the network's state and a sample take ");
    let at = put_number(&mut text, at, needed);
    let at = put(&mut text, at, b" bytes of RAM, `serve` has ");
    let at = put_number(&mut text, at, there);
    put(&mut text, at, b" for them");
    text
}

/// The message as text.
pub const fn text(message: &[u8; LENGTH]) -> &str {
    match str::from_utf8(message) {
        Ok(text) => text.trim_ascii_end(),
        Err(_) => "the network's state does not fit",
    }
}

const fn put(text: &mut [u8; LENGTH], at: usize, part: &[u8]) -> usize {
    let mut index = 0;
    while index < part.len() {
        text[at + index] = part[index];
        index += 1;
    }
    at + index
}

const fn put_number(text: &mut [u8; LENGTH], at: usize, number: usize) -> usize {
    let at = if number < 10 {
        at
    } else {
        put_number(text, at, number / 10)
    };
    put(text, at, &[b'0' + (number % 10) as u8])
}
