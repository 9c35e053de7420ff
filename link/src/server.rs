//! The device's side: answers requests, whatever the line does to them.
//!
//! [`serve`] is all that a program needs. It keeps one network in the memory that it is given,
//! behind the model that was loaded, if any, and before the room for transfers:
//!
//! ```text
//! | loaded model | state of the network | sample | transfer or saved state |
//! ```

mod desk;
mod text;

use bitspike_core::model::{Model, ModelError};
use serde::Serialize;

use crate::frame::{Encoded, Frame, Number, Reader, encode};
use crate::message::{Answer, Crash, Refusal, Request};
use desk::{Desk, Outcome};

/// What the server needs of the machine that it runs on.
///
/// # For implementers
/// `receive` may wait for ever: a device has nothing else to do. Bytes that come while the device
/// computes may be lost; the host sends them again.
pub trait Machine {
    /// The next byte from the line; `None` where there is no line any more, which ends the server.
    fn receive(&mut self) -> Option<u8>;

    /// Sends bytes; `false` where there is no line any more, which ends the server.
    fn send(&mut self, bytes: &[u8]) -> bool;

    /// The board's name.
    fn board(&self) -> &'static str;

    /// The version of the firmware.
    fn firmware(&self) -> &'static str;

    /// Instructions since some moment in the past, for differences.
    fn instructions(&mut self) -> u64;

    /// Most stack used since the start, and the room for it, in bytes.
    fn stack_bytes(&self) -> (u32, u32);

    /// What ended the run before this one, where a panic or a fault did.
    fn crash(&self) -> Option<Crash<'static>>;

    /// Whether a computation is going on: a pin, for an oscilloscope.
    fn busy(&mut self, _busy: bool) {}
}

/// Serves until the line is gone. `memory` is all that it uses but the stack; `included` is the
/// model file that is in use where none is loaded. Models have at most `LAYERS` layers, about 72
/// bytes of stack each.
pub fn serve<const LAYERS: usize>(
    machine: &mut impl Machine,
    memory: &mut [u32],
    included: &[u32],
) {
    let mut line = Line::new();
    // Words at the start of the memory that hold a loaded model.
    let mut loaded = 0;
    loop {
        let Some((file, rest)) = memory.split_at_mut_checked(loaded) else {
            return;
        };
        let words = if loaded == 0 { included } else { &*file };
        // Matched by reference: moving the model out would need room for a second one.
        let change = match &load::<LAYERS>(words) {
            Ok(model) => line.work(machine, Desk::new(model, rest, loaded)),
            Err(_) => line.work(machine, Desk::<LAYERS>::empty(rest)),
        };
        let Some((number, change)) = change else {
            return;
        };
        loaded = match change {
            Change::Unload => 0,
            // `at` counts from the end of the model that was loaded.
            Change::Load { at, words } => move_to_front(memory, loaded.saturating_add(at), words),
        };
        if !line.answer(machine, number, &Answer::Done) {
            return;
        }
    }
}

/// Moves `count` words from `at` to the start; gives `count`.
fn move_to_front(memory: &mut [u32], at: usize, count: usize) -> usize {
    for index in 0..count {
        let Some(&word) = memory.get(at.saturating_add(index)) else {
            return 0;
        };
        if let Some(to) = memory.get_mut(index) {
            *to = word;
        }
    }
    count
}

/// In a function of its own, so that what loading needs is off the stack when the network runs.
#[inline(never)]
fn load<const LAYERS: usize>(words: &[u32]) -> Result<Model<'_, LAYERS>, ModelError> {
    Model::sized(words)
}

/// Another model is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The one in the firmware.
    Unload,
    /// The one that has been transferred, and checked.
    Load {
        /// Its first word, behind the model that is loaded now.
        at: usize,
        /// Its length.
        words: usize,
    },
}

/// Numbers, what has been read of a frame, and the last answer.
struct Line {
    reader: Reader,
    /// The last request that was carried out.
    last: Option<Number>,
    /// Its answer, for when it is asked for again.
    sent: Encoded,
}

/// What to do with a frame.
enum Verdict {
    /// Carry it out.
    New,
    /// Send the last answer again.
    Repeated,
    /// Say that the session is not this one.
    OtherSession,
    /// Nothing: an old frame that was on its way for long.
    Old,
}

impl Line {
    fn new() -> Self {
        Self {
            reader: Reader::new(),
            last: None,
            sent: Encoded::new(),
        }
    }

    /// Answers requests until another model is to be used, which the number's answer will say; or
    /// until the line is gone.
    fn work<M: Machine, const LAYERS: usize>(
        &mut self,
        machine: &mut M,
        mut desk: Desk<'_, LAYERS>,
    ) -> Option<(Number, Change)> {
        loop {
            let byte = machine.receive()?;
            let damaged = self.reader.damaged();
            let Some(Frame { number, payload }) = self.reader.feed(byte) else {
                continue;
            };
            let request = postcard::take_from_bytes::<Request<'_>>(payload).ok();
            let request = request.and_then(|(request, rest)| rest.is_empty().then_some(request));
            let verdict = judge(self.last, number, request == Some(Request::Identify));
            let kept = match verdict {
                Verdict::Old => continue,
                Verdict::Repeated => machine.send(&self.sent),
                // Beside the kept answer, which the session in force may ask for again.
                Verdict::OtherSession => match encode(number, &Answer::Refused(Refusal::Session)) {
                    Ok(frame) => machine.send(&frame),
                    Err(_) => true,
                },
                Verdict::New => {
                    self.last = Some(number);
                    let outcome = match request {
                        Some(request) => desk.carry_out(machine, request, damaged),
                        None => Outcome::Answer(Answer::Refused(Refusal::Unknown)),
                    };
                    match outcome {
                        Outcome::Change(change) => return Some((number, change)),
                        Outcome::Answer(answer) => {
                            keep(&mut self.sent, number, &answer);
                            machine.send(&self.sent)
                        }
                    }
                }
            };
            if !kept {
                return None;
            }
        }
    }

    /// Sends an answer and keeps it; `false` where the line is gone.
    fn answer<M: Machine>(&mut self, machine: &mut M, number: Number, answer: &Answer<'_>) -> bool {
        keep(&mut self.sent, number, answer);
        machine.send(&self.sent)
    }
}

/// Encodes an answer in place of the last one.
fn keep(sent: &mut Encoded, number: Number, answer: &impl Serialize) {
    // Every answer fits: data are cut to a piece, and reasons to their room.
    if let Ok(frame) = encode(number, answer) {
        *sent = frame;
    }
}

fn judge(last: Option<Number>, number: Number, identify: bool) -> Verdict {
    match last {
        Some(last) if last == number => Verdict::Repeated,
        Some(last) if last.session == number.session => {
            if number.sequence == last.sequence.wrapping_add(1) {
                Verdict::New
            } else {
                Verdict::Old
            }
        }
        _ if identify => Verdict::New,
        _ => Verdict::OtherSession,
    }
}
