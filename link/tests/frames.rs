//! Frames: the bytes of docs/protocol.md, and a reader that nothing on a line can confuse for long.

use bitspike_link::frame::{Encoded, FRAME, Frame, Number, PAYLOAD, Reader, crc32, encode_payload};
use proptest::prelude::*;

fn number(session: u16, sequence: u16) -> Number {
    Number { session, sequence }
}

/// The frames that a reader finds in bytes.
fn frames(reader: &mut Reader, bytes: &[u8]) -> Vec<(Number, Vec<u8>)> {
    let own = |frame: Frame<'_>| (frame.number, frame.payload.to_vec());
    let found = bytes.iter().map(|&byte| reader.feed(byte).map(own));
    found.flatten().collect()
}

fn frame(at: Number, payload: &[u8]) -> Encoded {
    encode_payload(at, payload).expect("it fits")
}

#[test]
fn a_payload_that_does_not_fit_is_refused() {
    let longest = frame(number(1, 2), &[0xFF; PAYLOAD]);
    assert!(longest.len() <= FRAME);
    assert!(encode_payload(number(1, 2), &[0xFF; PAYLOAD + 1]).is_err());
}

#[test]
fn every_changed_bit_and_every_missing_byte_is_noticed() {
    let sent = frame(number(0x0102, 0x0304), b"\x04\x00\x05ab\x00c");
    for bit in 0..8 * sent.len() {
        let mut bytes = sent.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut reader = Reader::new();
        assert_eq!(frames(&mut reader, &bytes), [], "bit {bit}");
        // And the frame behind it is found, once the damaged one has ended.
        assert_eq!(frames(&mut reader, &[0]), []);
        assert_eq!(frames(&mut reader, &sent).len(), 1, "bit {bit}");
        assert!(reader.damaged() >= 1, "bit {bit}");
    }
    for missing in 0..sent.len() - 1 {
        let mut bytes = sent.to_vec();
        bytes.remove(missing);
        bytes.push(0);
        let mut reader = Reader::new();
        assert_eq!(frames(&mut reader, &bytes), [], "byte {missing}");
        assert_eq!(frames(&mut reader, &sent).len(), 1, "byte {missing}");
    }
}

#[test]
fn a_right_frame_of_too_many_bytes_is_none() {
    // A frame as another program may make it: the reader has no room, and goes on behind it.
    let mut body = vec![7; PAYLOAD + 5];
    body.extend(crc32(&body).to_le_bytes());
    let mut bytes = vec![0; body.len() + 4];
    let end = cobs::encode(&body, &mut bytes);
    bytes.truncate(end + 1);
    bytes[end] = 0;
    let mut reader = Reader::new();
    assert_eq!(frames(&mut reader, &bytes), []);
    assert_eq!(reader.damaged(), 1);
    assert_eq!(frames(&mut reader, &frame(number(1, 1), b"x")).len(), 1);
}

proptest! {
    #[test]
    fn what_is_sent_arrives(
        session: u16,
        sequence: u16,
        payload in prop::collection::vec(prop_oneof![Just(0), any::<u8>()], 0..=PAYLOAD),
    ) {
        let at = number(session, sequence);
        let sent = frame(at, &payload);
        prop_assert!(sent.len() <= FRAME);
        prop_assert_eq!(sent.iter().filter(|&&byte| byte == 0).count(), 1);
        let mut reader = Reader::new();
        prop_assert_eq!(frames(&mut reader, &sent), [(at, payload)]);
        prop_assert_eq!(reader.damaged(), 0);
    }

    /// Whatever came before, the frame behind the next 0 arrives; and noise is no frame.
    #[test]
    fn noise_is_no_frame_and_ends_with_the_next_zero(
        noise in prop::collection::vec(prop_oneof![Just(0), Just(0xFF), any::<u8>()], 0..2000),
        payload in prop::collection::vec(any::<u8>(), 0..=PAYLOAD),
    ) {
        let mut reader = Reader::new();
        prop_assert_eq!(frames(&mut reader, &noise), []);
        frames(&mut reader, &[0]);
        let at = number(9, 9);
        prop_assert_eq!(frames(&mut reader, &frame(at, &payload)), [(at, payload)]);
    }

    /// Two frames, some bytes between them lost, doubled or changed: those found were sent.
    #[test]
    fn damage_makes_no_other_frame(
        payload in prop::collection::vec(any::<u8>(), 1..60),
        faults in prop::collection::vec((any::<prop::sample::Index>(), 0..3u8, 1..=255u8), 1..6),
    ) {
        let sent = [(number(3, 1), payload.clone()), (number(3, 2), payload)];
        let mut bytes: Vec<u8> =
            sent.iter().flat_map(|(at, payload)| frame(*at, payload)).collect();
        for (place, kind, mask) in faults {
            let place = place.index(bytes.len());
            match kind {
                0 => drop(bytes.remove(place)),
                1 => bytes.insert(place, bytes[place]),
                _ => bytes[place] ^= mask,
            }
        }
        let mut reader = Reader::new();
        for found in frames(&mut reader, &bytes) {
            prop_assert!(sent.contains(&found), "{found:?}");
        }
    }
}
