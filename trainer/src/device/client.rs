//! The host's side: asks, sends again where no answer comes, and never takes a wrong one.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use bitspike_core::model::Model;
use bitspike_link::frame::{Number, Reader, crc32, encode};
use bitspike_link::message::{Answer, Content, Part, Request};
use bitspike_link::{PIECE_BYTES, PROTOCOL_VERSION};
use serde::Serialize;

use super::error::{RESTORE, SAVE};
use super::{Identified, LinkError, Port};

/// Fewest bytes of a piece, however bad the line.
const SMALLEST_PIECE: usize = 8;
/// The longest time between two sendings of the same request.
const SLOWEST: Duration = Duration::from_secs(2);

/// How long a client waits.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// For an answer, with all repetitions.
    pub answer: Duration,
    /// Before a request is sent again the first time; later ones wait up to two seconds.
    pub resend: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(10),
            resend: Duration::from_millis(150),
        }
    }
}

/// What came of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stepped {
    /// Steps since rest.
    pub steps: u32,
    /// CRC-64/XZ over spikes and membranes of every layer after the last of them.
    pub hash: u64,
    /// Instructions that they took.
    pub instructions: u64,
}

/// What came of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ran {
    /// The class.
    pub class: u16,
    /// Steps after which it was final.
    pub steps: u32,
    /// Its confidence after all steps, an `f32` as bits.
    pub confidence: u32,
    /// CRC-64/XZ over spikes and membranes of every layer after every step.
    pub hash: u64,
    /// Instructions until it was final.
    pub instructions: u64,
}

/// A session with a device.
pub struct Client {
    port: Box<dyn Port>,
    timing: Timing,
    reader: Reader,
    /// The number of the last request.
    number: Number,
    /// Bytes of the next piece: less where many are lost.
    piece: usize,
    /// Requests in a row that were answered at once.
    smooth: u32,
    requests: u64,
    repeated: u64,
    lost: bool,
    identified: Identified,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("identified", &self.identified)
            .finish_non_exhaustive()
    }
}

type Result<T> = std::result::Result<T, LinkError>;

impl Client {
    /// Opens a session.
    ///
    /// # Errors
    /// Where the device does not answer, or speaks another version of the protocol.
    pub fn open(port: Box<dyn Port>, timing: Timing) -> Result<Self> {
        let mut client = Self {
            port,
            timing,
            reader: Reader::new(),
            number: Number {
                session: 0,
                sequence: 0,
            },
            piece: PIECE_BYTES,
            smooth: 0,
            requests: 0,
            repeated: 0,
            lost: true,
            identified: Identified::nobody(),
        };
        client.reopen()?;
        Ok(client)
    }

    /// Opens another session over the same line, after an error.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub fn reopen(&mut self) -> Result<()> {
        // Another number than that of any session before, as well as chance allows.
        let drawn = RandomState::new().hash_one(self.requests) as u16;
        let session = if drawn == self.number.session {
            drawn.wrapping_add(1)
        } else {
            drawn
        };
        self.number = Number {
            session,
            sequence: u16::MAX,
        };
        self.lost = false;
        // Ends what the device may have of a frame from before.
        self.port.send(&[0]).map_err(LinkError::Closed)?;
        self.identify().map(|_| ())
    }

    /// Asks the device who it is.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub fn identify(&mut self) -> Result<&Identified> {
        self.identified = self.ask("identify", Request::Identify, |answer| match answer {
            Answer::Identity(identity) => Some(Identified::from(identity)),
            _ => None,
        })?;
        Ok(&self.identified)
    }

    /// Who the device said it was, when it was asked last.
    pub fn identified(&self) -> &Identified {
        &self.identified
    }

    /// Requests so far, and how often one was sent again.
    pub fn traffic(&self) -> (u64, u64) {
        (self.requests, self.repeated)
    }

    /// Loads a model file into the device's memory; `progress` is told the bytes of each piece.
    ///
    /// # Errors
    /// [`LinkError::Refused`] where it does not fit, with what it takes and what there is, or is not
    /// accepted; the device then has the model that it had, or the one in its firmware.
    pub fn load_model(&mut self, file: &[u8], progress: impl FnMut(usize)) -> Result<()> {
        self.identify()?;
        let loaded = self.identified.model.is_some_and(|model| model.loaded);
        if loaded && file.len() > self.identified.free_bytes as usize {
            self.unload()?;
        }
        self.transfer(Content::Model, file, progress)
            .map_err(|error| error.with_room(file, &self.identified))?;
        self.identify().map(|_| ())
    }

    /// Forgets a loaded model.
    ///
    /// # Errors
    /// Where the line fails.
    pub fn unload(&mut self) -> Result<()> {
        self.done("unload", Request::Unload)?;
        self.identify().map(|_| ())
    }

    /// Loads one input, as the model reads it.
    ///
    /// # Errors
    /// [`LinkError::Refused`] where it is none of the model.
    pub fn load_sample(&mut self, bytes: &[u8]) -> Result<()> {
        self.transfer(Content::Sample, bytes, |_| ())
    }

    /// Takes over a saved state.
    ///
    /// # Errors
    /// [`LinkError::Refused`] where it is none of the model.
    pub fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.transfer(Content::State, state, |_| ())
    }

    /// The network's state, to be [restored](Self::restore) here or elsewhere.
    ///
    /// # Errors
    /// [`LinkError::Refused`] where the device has no room for it.
    pub fn save(&mut self) -> Result<Vec<u8>> {
        let bytes = self.ask(SAVE, Request::Save, |answer| match answer {
            Answer::Saved { bytes } => Some(bytes as usize),
            _ => None,
        })?;
        self.read(Part::State, bytes)
    }

    /// Back to rest.
    ///
    /// # Errors
    /// Where there is no model.
    pub fn reset(&mut self) -> Result<()> {
        self.done("reset", Request::Reset)
    }

    /// Steps with the loaded sample.
    ///
    /// # Errors
    /// Where there is no model or sample.
    pub fn step(&mut self, steps: u32) -> Result<Stepped> {
        self.ask("step", Request::Step { steps }, |answer| match answer {
            Answer::Stepped {
                steps,
                hash,
                instructions,
                ..
            } => Some(Stepped {
                steps,
                hash,
                instructions,
            }),
            _ => None,
        })
    }

    /// A decision on the loaded sample.
    ///
    /// # Errors
    /// Where there is no model or sample.
    pub fn run(&mut self) -> Result<Ran> {
        self.ask("run", Request::Run, |answer| match answer {
            Answer::Ran {
                class,
                steps,
                confidence,
                hash,
                instructions,
            } => Some(Ran {
                class,
                steps,
                confidence,
                hash,
                instructions,
            }),
            _ => None,
        })
    }

    /// The decision after the steps so far: class, and confidence as the bits of an `f32`.
    ///
    /// # Errors
    /// Where there is no model.
    pub fn decide(&mut self) -> Result<(u16, u32)> {
        self.ask("decide", Request::Decide, |answer| match answer {
            Answer::Decided {
                class, confidence, ..
            } => Some((class, confidence)),
            _ => None,
        })
    }

    /// Instructions and steps of `runs` decisions on the loaded sample.
    ///
    /// # Errors
    /// Where there is no model or sample.
    pub fn benchmark(&mut self, runs: u16) -> Result<(u64, u32)> {
        self.ask(
            "benchmark",
            Request::Benchmark { runs },
            |answer| match answer {
                Answer::Benchmarked {
                    instructions,
                    steps,
                } => Some((instructions, steps)),
                _ => None,
            },
        )
    }

    /// The first `bytes` bytes of a part, in pieces.
    ///
    /// # Errors
    /// [`LinkError::Refused`] where it is shorter.
    pub fn read(&mut self, what: Part, bytes: usize) -> Result<Vec<u8>> {
        let mut read = Vec::with_capacity(bytes);
        while read.len() < bytes {
            let count = self.piece.min(bytes - read.len());
            let request = Request::Read {
                what,
                offset: read.len() as u32,
                bytes: count as u16,
            };
            let piece = self.ask("read", request, |answer| match answer {
                Answer::Data { bytes } if bytes.len() == count => Some(bytes.to_vec()),
                _ => None,
            })?;
            read.extend(piece);
        }
        Ok(read)
    }

    /// Spikes and membranes of every layer, as words.
    ///
    /// # Errors
    /// Where the device's model is another one.
    pub fn read_layers(&mut self, model: &Model<'_>) -> Result<Vec<(Vec<u32>, Vec<u32>)>> {
        let mut layers = Vec::new();
        for (index, layer) in model.layers().iter().enumerate() {
            let (units, index) = (layer.units(), index as u8);
            let membranes = layer.spec().membrane.words(units);
            let spikes = self.read(Part::Spikes { layer: index }, 4 * units.div_ceil(32))?;
            let membranes = self.read(Part::Membranes { layer: index }, 4 * membranes)?;
            layers.push((words(&spikes), words(&membranes)));
        }
        Ok(layers)
    }

    fn transfer(
        &mut self,
        what: Content,
        content: &[u8],
        mut progress: impl FnMut(usize),
    ) -> Result<()> {
        let name = match what {
            Content::Model => "load the model",
            Content::Sample => "load the sample",
            Content::State => RESTORE,
        };
        self.done(
            name,
            Request::Begin {
                what,
                bytes: u32::try_from(content.len()).unwrap_or(u32::MAX),
                crc: crc32(content),
            },
        )?;
        let mut sent = 0;
        while sent < content.len() {
            let end = content.len().min(sent + self.piece);
            self.done(
                name,
                Request::Piece {
                    offset: sent as u32,
                    bytes: &content[sent..end],
                },
            )?;
            progress(end - sent);
            sent = end;
        }
        self.done(name, Request::End)
    }

    fn done(&mut self, name: &'static str, request: Request<'_>) -> Result<()> {
        self.ask(name, request, |answer| {
            (answer == Answer::Done).then_some(())
        })
    }

    /// Sends a request until its answer comes or the time is over.
    fn ask<T>(
        &mut self,
        name: &'static str,
        request: Request<'_>,
        take: impl FnOnce(Answer<'_>) -> Option<T>,
    ) -> Result<T> {
        if self.lost {
            return Err(LinkError::Lost);
        }
        self.requests += 1;
        self.number.sequence = self.number.sequence.wrapping_add(1);
        let payload = self.exchange(name, &request).inspect_err(|_| {
            // Whether the device has done it is unknown.
            self.lost = true;
        })?;
        if name == "identify"
            && let Some(device) = protocol_of(&payload)
            && device != PROTOCOL_VERSION
        {
            self.lost = true;
            let host = PROTOCOL_VERSION;
            return Err(LinkError::Protocol { device, host });
        }
        let garbled = LinkError::Garbled { request: name };
        match postcard::from_bytes::<Answer<'_>>(&payload) {
            Ok(Answer::Refused(refusal)) => {
                let error = LinkError::refused(name, &refusal);
                self.lost |= matches!(error, LinkError::Session);
                Err(error)
            }
            Ok(answer) => take(answer).ok_or(garbled),
            Err(_) => Err(garbled),
        }
    }

    /// The payload of the answer.
    fn exchange(&mut self, name: &'static str, request: &Request<'_>) -> Result<Vec<u8>> {
        let number = self.number;
        let frame = encode(number, request).map_err(|_| LinkError::Garbled { request: name })?;
        let start = self.port.now();
        let damaged = self.reader.damaged();
        let mut interval = self.timing.resend;
        let mut sent = 0;
        loop {
            self.port.send(&frame).map_err(LinkError::Closed)?;
            sent += 1;
            let until = (self.port.now() + interval).min(start + self.timing.answer);
            if let Some(payload) = self.listen(number, until)? {
                self.adapt(sent);
                return Ok(payload);
            }
            let waited = self.port.now() - start;
            if waited >= self.timing.answer {
                return Err(LinkError::TimedOut {
                    request: name,
                    waited,
                    sent,
                    damaged: self.reader.damaged() - damaged,
                });
            }
            self.repeated += 1;
            // What the device has of a cut frame ends with this 0.
            self.port.send(&[0]).map_err(LinkError::Closed)?;
            interval = (interval * 3 / 2).min(SLOWEST.max(self.timing.resend));
        }
    }

    /// The payload of the frame with this number, if it comes in time.
    fn listen(&mut self, number: Number, until: Duration) -> Result<Option<Vec<u8>>> {
        let mut buffer = [0; 512];
        loop {
            let left = until.saturating_sub(self.port.now());
            if left.is_zero() {
                return Ok(None);
            }
            let count = self.port.receive(&mut buffer, left);
            for &byte in &buffer[..count.map_err(LinkError::Closed)?] {
                // Others are late answers to earlier requests. What is behind this one is too.
                if let Some(frame) = self.reader.feed(byte)
                    && frame.number == number
                {
                    return Ok(Some(frame.payload.to_vec()));
                }
            }
        }
    }

    /// Shorter pieces where frames get lost, longer ones where they do not.
    fn adapt(&mut self, sent: u32) {
        if sent > 1 {
            self.piece = (self.piece / 2).max(SMALLEST_PIECE);
            self.smooth = 0;
            return;
        }
        self.smooth += 1;
        if self.smooth >= 4 {
            self.piece = (self.piece * 5 / 4).min(PIECE_BYTES);
            self.smooth = 0;
        }
    }
}

/// The protocol's version in an identity of any version: behind the number of the answer, 0.
fn protocol_of(payload: &[u8]) -> Option<u16> {
    match *payload {
        [0, low, high, ..] => Some(u16::from_le_bytes([low, high])),
        _ => None,
    }
}

fn words(bytes: &[u8]) -> Vec<u32> {
    let words = bytes.as_chunks().0.iter();
    words.map(|word| u32::from_le_bytes(*word)).collect()
}
