//! How bytes and text are written: as postcard does, without its checks that can panic.

use serde::Serializer;
use serde::ser::SerializeTuple;

/// A length as a varint of one or two bytes, then the bytes. A payload has no room for longer ones.
pub(crate) fn bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let mut tuple = serializer.serialize_tuple(bytes.len())?;
    let length = bytes.len();
    if length < 0x80 {
        tuple.serialize_element(&(length as u8))?;
    } else {
        tuple.serialize_element(&(length as u8 | 0x80))?;
        tuple.serialize_element(&((length >> 7) as u8))?;
    }
    bytes
        .iter()
        .try_for_each(|byte| tuple.serialize_element(byte))?;
    tuple.end()
}

/// Text, as its bytes.
pub(crate) fn text<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    bytes(text.as_bytes(), serializer)
}
