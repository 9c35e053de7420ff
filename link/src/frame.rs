//! Frames: what is on the line.
//!
//! A frame is `COBS(session, sequence, payload, CRC-32) 0`: two `u16` and one `u32`, little-endian,
//! around a postcard payload. It is at most [`FRAME`] bytes long, and no byte but its last is 0, so
//! that a reader that has lost its place finds it again at the next 0.

use cobs::{CobsEncoder, DecodeResult, DecoderState};
use heapless::Vec;
use serde::Serialize;

/// Most bytes of a payload.
pub const PAYLOAD: usize = 224;
/// Bytes before the payload: session and sequence.
const HEAD: usize = 4;
/// Bytes behind the payload.
const TAIL: usize = 4;
/// Most bytes under the COBS; under 255, so that COBS adds just one.
const BODY: usize = HEAD + PAYLOAD + TAIL;
/// Most bytes of a frame, its 0 included.
pub const FRAME: usize = BODY + 2;

/// CRC-32 (ISO-HDLC, that of zip and of the model file).
static CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// The CRC-32 of frames and of what is transferred in pieces.
///
/// ```
/// assert_eq!(bitspike_link::frame::crc32(b"123456789"), 0xCBF4_3926);
/// ```
pub fn crc32(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

/// What tells requests apart; an answer carries the number of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    /// Drawn by the host when it opens the line.
    pub session: u16,
    /// One more with every request, 0 after 65,535.
    pub sequence: u16,
}

/// A payload that is too long for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// The bytes of a frame.
pub type Encoded = Vec<u8, FRAME>;

/// A message as a frame.
///
/// # Errors
/// [`TooLong`] for a message of more than [`PAYLOAD`] bytes.
///
/// ```
/// use bitspike_link::frame::{Number, Reader, encode};
/// let number = Number { session: 7, sequence: 1 };
/// let frame = encode(number, &"text")?;
/// assert_eq!(frame.last(), Some(&0));
/// let mut reader = Reader::new();
/// let read = frame.iter().find_map(|&byte| reader.feed(byte).map(|frame| frame.number));
/// assert_eq!(read, Some(number));
/// # Ok::<(), bitspike_link::frame::TooLong>(())
/// ```
pub fn encode(number: Number, message: &impl Serialize) -> Result<Encoded, TooLong> {
    let mut payload = [0; PAYLOAD];
    let payload = postcard::to_slice(message, &mut payload).map_err(|_| TooLong)?;
    encode_payload(number, payload)
}

/// Bytes that are a payload already, as a frame.
///
/// # Errors
/// [`TooLong`] for more than [`PAYLOAD`] bytes.
// Apart, so that there is one copy for all messages.
#[inline(never)]
pub fn encode_payload(number: Number, payload: &[u8]) -> Result<Encoded, TooLong> {
    let (session, sequence) = (number.session.to_le_bytes(), number.sequence.to_le_bytes());
    let mut digest = CRC.digest();
    let parts = [&session[..], &sequence, payload];
    parts.iter().for_each(|part| digest.update(part));
    let crc = digest.finalize().to_le_bytes();

    if payload.len() > PAYLOAD {
        return Err(TooLong);
    }
    let mut frame = Encoded::new();
    frame.resize(FRAME, 0).map_err(|_| TooLong)?;
    let mut encoder = CobsEncoder::new(&mut frame);
    for part in parts.into_iter().chain([&crc[..]]) {
        encoder.push(part).map_err(|_| TooLong)?;
    }
    let end = encoder.finalize();
    // The byte behind is still 0: it ends the frame.
    frame.truncate(end + 1);
    Ok(frame)
}

/// A frame that has arrived whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its number.
    pub number: Number,
    /// Its postcard payload.
    pub payload: &'a [u8],
}

/// Finds frames in what the line brings, byte by byte, in a buffer of fixed size.
///
/// What is no frame, or too long, or has a wrong CRC, is dropped up to the next 0 and counted.
#[derive(Debug)]
pub struct Reader {
    body: Vec<u8, BODY>,
    state: DecoderState,
    /// Nothing up to the next 0 can be a frame.
    lost: bool,
    /// The body has been given out.
    given: bool,
    damaged: u32,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// A reader at the start of a frame.
    pub const fn new() -> Self {
        Self {
            body: Vec::new(),
            state: DecoderState::Idle,
            lost: false,
            given: false,
            damaged: 0,
        }
    }

    /// Takes the next byte; gives a frame with the 0 that ends it.
    pub fn feed(&mut self, byte: u8) -> Option<Frame<'_>> {
        if self.given {
            self.body.clear();
            self.given = false;
        }
        match self.state.feed(byte) {
            Ok(DecodeResult::NoData) => {}
            Ok(DecodeResult::DataContinue(byte)) => self.lost |= self.body.push(byte).is_err(),
            Ok(DecodeResult::DataComplete) => return self.finish(),
            // It is idle again: the error came with a 0.
            Err(_) => {
                self.damaged = self.damaged.saturating_add(1);
                self.body.clear();
                self.lost = false;
            }
        }
        None
    }

    /// Frames so far that were damaged, or were none.
    pub fn damaged(&self) -> u32 {
        self.damaged
    }

    fn finish(&mut self) -> Option<Frame<'_>> {
        self.given = true;
        let lost = core::mem::take(&mut self.lost);
        let frame = if lost { None } else { frame(&self.body) };
        if frame.is_none() {
            self.damaged = self.damaged.saturating_add(1);
        }
        frame
    }
}

/// The parts of a body whose CRC is right.
fn frame(body: &[u8]) -> Option<Frame<'_>> {
    let (covered, crc) = body.split_last_chunk::<TAIL>()?;
    let (head, payload) = covered.split_first_chunk::<HEAD>()?;
    let &[a, b, c, d] = head;
    (crc32(covered) == u32::from_le_bytes(*crc)).then_some(Frame {
        number: Number {
            session: u16::from_le_bytes([a, b]),
            sequence: u16::from_le_bytes([c, d]),
        },
        payload,
    })
}
