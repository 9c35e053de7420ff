//! The network and its memory: where requests are carried out.

use bitspike_core::hash::StateHash;
use bitspike_core::message::Message;
use bitspike_core::model::{FORMAT_VERSION, Input, Model, ModelError, Sizes};
use bitspike_core::network::Network;
use bitspike_core::state::STATE_VERSION;
use heapless::String;

use super::text::{REASON, reason};
use super::{Change, Machine};
use crate::frame::crc32;
use crate::message::{Answer, Content, Identity, ModelIdentity, Part, Progress, Refusal, Request};
use crate::{PIECE_BYTES, PROTOCOL_VERSION};

/// Most steps or decisions of one request: a device that computes does not answer.
const MOST: u32 = 65_536;

/// What came of a request.
pub(super) enum Outcome<'a> {
    Answer(Answer<'a>),
    /// The desk is to be cleared for another model; the answer follows then.
    Change(Change),
}

/// A transfer that has begun.
#[derive(Debug, Clone, Copy)]
struct Transfer {
    progress: Progress,
    crc: u32,
}

/// A network with its sample, and what is being transferred.
pub(super) struct Desk<'m, const LAYERS: usize> {
    network: Option<Network<'m, LAYERS>>,
    /// Whether the model came over the line.
    loaded: bool,
    sample: &'m mut [u32],
    has_sample: bool,
    spare: &'m mut [u32],
    /// Words before `spare`, from the end of the loaded model.
    spare_at: usize,
    /// All of the memory, that of a loaded model too.
    memory_words: usize,
    transfer: Option<Transfer>,
    /// Words of the saved state that `spare` holds; 0 for none.
    saved: usize,
    /// Why something is refused, in words.
    reason: String<REASON>,
}

impl<'m, const LAYERS: usize> Desk<'m, LAYERS> {
    /// A desk without a model.
    pub(super) fn empty(memory: &'m mut [u32]) -> Self {
        Self {
            network: None,
            loaded: false,
            sample: &mut [],
            has_sample: false,
            memory_words: memory.len(),
            spare: memory,
            spare_at: 0,
            transfer: None,
            saved: 0,
            reason: String::new(),
        }
    }

    /// A desk with a network at rest in `memory`, which has `loaded` words of the model before it;
    /// without one where there is not enough memory.
    pub(super) fn new(model: &'m Model<'m, LAYERS>, memory: &'m mut [u32], loaded: usize) -> Self {
        let sizes = model.sizes();
        let (state, sample) = (sizes.memory_words(), sample_words(&sizes));
        if state.saturating_add(sample) > memory.len() {
            return Self::empty(memory);
        }
        let memory_words = loaded.saturating_add(memory.len());
        let (state, rest) = split(memory, state);
        let (sample, spare) = split(rest, sample);
        Self {
            spare_at: state.len() + sample.len(),
            network: Network::new(model, state).ok(),
            loaded: loaded > 0,
            sample,
            memory_words,
            ..Self::empty(spare)
        }
    }

    /// Carries out a request, once.
    pub(super) fn carry_out<M: Machine>(
        &mut self,
        machine: &mut M,
        request: Request<'_>,
        damaged: u32,
    ) -> Outcome<'_> {
        let answer = match request {
            Request::Identify => Ok(Answer::Identity(self.identity(machine, damaged))),
            Request::Unload => return Outcome::Change(Change::Unload),
            Request::Begin { what, bytes, crc } => self.begin(what, bytes, crc),
            Request::Piece { offset, bytes } => self.piece(offset, bytes),
            Request::End => match self.end() {
                Ok(Some(change)) => return Outcome::Change(change),
                Ok(None) => Ok(Answer::Done),
                Err(refusal) => Err(refusal),
            },
            Request::Reset => self.network().map(|network| {
                network.reset();
                Answer::Done
            }),
            Request::Step { steps } => self.step(machine, steps),
            Request::Run => self.run(machine),
            Request::Decide => self.network().map(|network| Answer::Decided {
                class: network.decision().class as u16,
                steps: network.steps(),
                confidence: network.confidence().to_bits(),
            }),
            Request::Save => self.save(),
            Request::Read {
                what,
                offset,
                bytes,
            } => self.read(what, offset, bytes),
            Request::Benchmark { runs } => self.benchmark(machine, runs),
        };
        Outcome::Answer(answer.unwrap_or_else(Answer::Refused))
    }

    fn identity<M: Machine>(&self, machine: &M, damaged: u32) -> Identity<'static> {
        let model = self.network.as_ref().map(Network::model);
        let sizes = model.map(Model::sizes);
        let (stack_bytes, stack_limit_bytes) = machine.stack_bytes();
        Identity {
            protocol: PROTOCOL_VERSION,
            firmware: machine.firmware(),
            board: machine.board(),
            model_format: FORMAT_VERSION,
            state_format: STATE_VERSION,
            memory_bytes: bytes(self.memory_words),
            free_bytes: bytes(self.spare.len()),
            stack_bytes,
            stack_limit_bytes,
            damaged_frames: damaged,
            model: model.zip(sizes).map(|(model, sizes)| ModelIdentity {
                checksum: model.checksum(),
                file_bytes: sizes.file_bytes as u32,
                state_bytes: bytes(sizes.memory_words() + sample_words(&sizes)),
                sample_bytes: sizes.input_bytes as u32,
                packed: !model.input_kind().is_graded(),
                layers: sizes.layers as u8,
                classes: model.classes() as u16,
                steps: model.steps(),
                loaded: self.loaded,
                sample: self.has_sample,
            }),
            transfer: self.transfer.map(|transfer| transfer.progress),
            crash: machine.crash(),
        }
    }

    fn network(&mut self) -> Result<&mut Network<'m, LAYERS>, Refusal<'static>> {
        self.network.as_mut().ok_or(Refusal::NoModel)
    }

    fn begin(
        &mut self,
        what: Content,
        announced: u32,
        crc: u32,
    ) -> Result<Answer<'static>, Refusal<'_>> {
        self.transfer = None;
        match what {
            Content::Sample => {
                self.has_sample = false;
                let expected = self.network()?.model().sizes().input_bytes as u32;
                if announced != expected {
                    return Err(Refusal::SampleLength {
                        expected,
                        got: announced,
                    });
                }
            }
            Content::Model | Content::State => {
                if what == Content::State {
                    self.network()?;
                }
                self.saved = 0;
                let free = bytes(self.spare.len());
                if announced > free {
                    return Err(Refusal::Memory {
                        needed: announced,
                        free,
                    });
                }
                if !announced.is_multiple_of(4) {
                    let reason = "its length is no multiple of 4 bytes";
                    return Err(match what {
                        Content::Model => Refusal::Model { reason },
                        _ => Refusal::State { reason },
                    });
                }
            }
        }
        self.transfer = Some(Transfer {
            progress: Progress {
                what,
                bytes: announced,
                received: 0,
            },
            crc,
        });
        Ok(Answer::Done)
    }

    fn piece(&mut self, offset: u32, piece: &[u8]) -> Result<Answer<'static>, Refusal<'static>> {
        let transfer = self.transfer.as_mut().ok_or(Refusal::NoTransfer)?;
        let progress = &mut transfer.progress;
        let room = match progress.what {
            Content::Sample => bytes_of_mut(self.sample),
            Content::Model | Content::State => bytes_of_mut(self.spare),
        };
        let refusal = Refusal::Offset {
            expected: progress.received,
            got: offset,
        };
        let end = offset.saturating_add(piece.len() as u32);
        if offset != progress.received || end > progress.bytes {
            return Err(refusal);
        }
        let room = room.get_mut(offset as usize..end as usize).ok_or(refusal)?;
        room.iter_mut()
            .zip(piece)
            .for_each(|(to, from)| *to = *from);
        progress.received = end;
        Ok(Answer::Done)
    }

    /// Checks what has arrived and takes it over.
    fn end(&mut self) -> Result<Option<Change>, Refusal<'_>> {
        let Transfer { progress, crc } = self.transfer.ok_or(Refusal::NoTransfer)?;
        let Progress {
            what,
            bytes: announced,
            received,
        } = progress;
        if received != announced {
            return Err(Refusal::Cut {
                expected: announced,
                got: received,
            });
        }
        self.transfer = None;
        let arrived = match what {
            Content::Sample => bytes_of(self.sample),
            Content::Model | Content::State => bytes_of(self.spare),
        };
        let got = crc32(arrived.get(..announced as usize).unwrap_or(&[]));
        if got != crc {
            return Err(Refusal::Checksum { expected: crc, got });
        }
        let words = announced as usize / 4;
        match what {
            Content::Sample => {
                let model = self.network()?.model();
                match model.input_stored(self.sample) {
                    Ok(_) => self.has_sample = true,
                    Err(error) => {
                        let reason = self.because(&error.message());
                        return Err(Refusal::Sample { reason });
                    }
                }
                Ok(None)
            }
            Content::Model => self.check_model(words).map(Some),
            Content::State => {
                let Some(network) = &mut self.network else {
                    return Err(Refusal::NoModel);
                };
                let state = self.spare.get(..words).unwrap_or(&[]);
                match network.restore(state) {
                    Ok(()) => Ok(None),
                    Err(error) => {
                        let reason = self.because(&error.message());
                        Err(Refusal::State { reason })
                    }
                }
            }
        }
    }

    /// Whether the model that has arrived is one, and has room.
    fn check_model(&mut self, words: usize) -> Result<Change, Refusal<'_>> {
        let sizes = match sizes_of::<LAYERS>(self.spare.get(..words).unwrap_or(&[])) {
            Ok(sizes) => sizes,
            Err(error) => {
                let reason = self.because(&error.message());
                return Err(Refusal::Model { reason });
            }
        };
        let needed = words
            .saturating_add(sizes.memory_words())
            .saturating_add(sample_words(&sizes));
        if needed > self.memory_words {
            return Err(Refusal::Memory {
                needed: bytes(needed),
                free: bytes(self.memory_words),
            });
        }
        Ok(Change::Load {
            at: self.spare_at,
            words,
        })
    }

    fn step<M: Machine>(
        &mut self,
        machine: &mut M,
        steps: u32,
    ) -> Result<Answer<'static>, Refusal<'static>> {
        if !(1..=MOST).contains(&steps) {
            return Err(Refusal::Count);
        }
        let network = self.network.as_mut().ok_or(Refusal::NoModel)?;
        let input = sample(self.has_sample, network.model(), self.sample)?;
        let ((), instructions) = measure(machine, || {
            for _ in 0..steps {
                network.step(input);
            }
        });
        let mut hash = StateHash::new();
        hash.update(network);
        Ok(Answer::Stepped {
            steps: network.steps(),
            hash: hash.finish(),
            instructions,
            last: network.is_final(),
        })
    }

    /// Decides once to count instructions, then step by step to hash.
    fn run<M: Machine>(&mut self, machine: &mut M) -> Result<Answer<'static>, Refusal<'static>> {
        let network = self.network.as_mut().ok_or(Refusal::NoModel)?;
        let model = network.model();
        let input = sample(self.has_sample, model, self.sample)?;
        let ((decision, steps), instructions) = measure(machine, || network.run_until_final(input));
        let mut hash = StateHash::new();
        network.reset();
        for _ in 0..model.steps() {
            network.step(input);
            hash.update(network);
        }
        Ok(Answer::Ran {
            class: decision.class as u16,
            steps,
            confidence: network.confidence().to_bits(),
            hash: hash.finish(),
            instructions,
        })
    }

    fn benchmark<M: Machine>(
        &mut self,
        machine: &mut M,
        runs: u16,
    ) -> Result<Answer<'static>, Refusal<'static>> {
        if runs == 0 {
            return Err(Refusal::Count);
        }
        let network = self.network.as_mut().ok_or(Refusal::NoModel)?;
        let input = sample(self.has_sample, network.model(), self.sample)?;
        let (steps, instructions) = measure(machine, || {
            (0..runs).fold(0, |steps: u32, _| {
                steps.saturating_add(network.run_until_final(input).1)
            })
        });
        Ok(Answer::Benchmarked {
            instructions,
            steps,
        })
    }

    fn save(&mut self) -> Result<Answer<'static>, Refusal<'static>> {
        let network = self.network.as_ref().ok_or(Refusal::NoModel)?;
        let saved = network.save(self.spare).map_err(|error| Refusal::Memory {
            needed: bytes(error.expected),
            free: bytes(error.got),
        })?;
        // Where it stands, a model or state may have been arriving.
        if !matches!(self.transfer, Some(transfer) if transfer.progress.what == Content::Sample) {
            self.transfer = None;
        }
        self.saved = saved;
        Ok(Answer::Saved {
            bytes: bytes(saved),
        })
    }

    fn read(&self, what: Part, offset: u32, count: u16) -> Result<Answer<'_>, Refusal<'static>> {
        let count = usize::from(count);
        if !(1..=PIECE_BYTES).contains(&count) {
            return Err(Refusal::Count);
        }
        let network = self.network.as_ref().ok_or(Refusal::NoModel)?;
        let words = match what {
            Part::Spikes { layer } => network.spikes(layer.into()).words(),
            Part::Membranes { layer } => network.membrane_words(layer.into()),
            Part::State => self.spare.get(..self.saved).unwrap_or(&[]),
        };
        let available = bytes_of(words);
        let end = (offset as usize).saturating_add(count);
        let bytes = available.get(offset as usize..end).ok_or(Refusal::Range {
            available: available.len() as u32,
            end: end as u32,
        })?;
        Ok(Answer::Data { bytes })
    }

    fn because(&mut self, message: &Message) -> &str {
        self.reason = reason(message);
        &self.reason
    }
}

/// The sizes of a model file, where it is one. Apart, so that what loading needs is off the stack
/// otherwise.
#[inline(never)]
fn sizes_of<const LAYERS: usize>(words: &[u32]) -> Result<Sizes, ModelError> {
    Ok(Model::<LAYERS>::sized(words)?.sizes())
}

/// The sample as the model's input.
fn sample<'i, const LAYERS: usize>(
    there: bool,
    model: &Model<'_, LAYERS>,
    words: &'i [u32],
) -> Result<Input<'i>, Refusal<'static>> {
    let input = if there {
        model.input_stored(words).ok()
    } else {
        None
    };
    input.ok_or(Refusal::NoSample)
}

/// What a computation gives, and the instructions that it takes.
fn measure<M: Machine, T>(machine: &mut M, compute: impl FnOnce() -> T) -> (T, u64) {
    machine.busy(true);
    let before = machine.instructions();
    let result = compute();
    let instructions = machine.instructions().saturating_sub(before);
    machine.busy(false);
    (result, instructions)
}

fn sample_words(sizes: &Sizes) -> usize {
    sizes.input_bytes.div_ceil(4)
}

fn bytes(words: usize) -> u32 {
    words.saturating_mul(4).min(u32::MAX as usize) as u32
}

/// Words as bytes; the checked cast leaves no panic behind at any optimisation level.
fn bytes_of(words: &[u32]) -> &[u8] {
    bytemuck::try_cast_slice(words).unwrap_or(&[])
}

fn bytes_of_mut(words: &mut [u32]) -> &mut [u8] {
    bytemuck::try_cast_slice_mut(words).unwrap_or(&mut [])
}

/// The first words of memory that has been checked to have as many, and the rest.
fn split(memory: &mut [u32], at: usize) -> (&mut [u32], &mut [u32]) {
    let at = at.min(memory.len());
    memory
        .split_at_mut_checked(at)
        .unwrap_or((&mut [], &mut []))
}
