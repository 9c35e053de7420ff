//! Runs the included network on inputs from the host and answers in lines of text.
//!
//! The first line is `bitspike classify board=m0 model=CRC32HEX inputs=BYTES state=WORDS protocol=1`,
//! or `refused: CAUSE` and exit code 1 where the model is damaged. Then the host sends requests of
//! one byte each, `H` and `D` followed by exactly `inputs` bytes: one a graded value, or
//! little-endian words of spikes.
//!
//! - `H` answers `sample decision=7 steps=4 hash=HEX confidence=HEX instructions=N`: the hash covers
//!   every spike and membrane after each of the model's steps, the confidence is an `f32` as bits,
//!   after them too; `steps` are those after which the decision was final (counts are not always run
//!   to the end), and the instructions (not clock cycles) are those of them, without hashing.
//! - `D` sends `state step=0 layer=0 spikes=HEX membranes=HEX` for every step and layer first, both
//!   as packed words of eight digits each, then the same line.
//! - `h` and `d` are `H` and `D` for a recording, which gives another input to each step: they are
//!   followed by `inputs` bytes for each of the model's steps, and answered alike. Instructions are
//!   those of the steps until the decision was final, and receiving is not counted.
//! - `Q`, or the end of the input, answers `end samples=N stack=BYTES` and ends with 0.
#![no_std]
#![no_main]

use core::fmt::{self, Write};

use bitspike_core::hash::StateHash;
use bitspike_core::model::{Input, InputError, Model};
use bitspike_core::network::Network;
use bitspike_firmware::{Board, ThisBoard, entry, model, stack};
use embedded_hal::digital::OutputPin;

/// Room for just the layers of the included model.
type IncludedModel<'a> = Model<'a, { model::SIZES.layers }>;
type IncludedNetwork<'a> = Network<'a, { model::SIZES.layers }>;

#[entry]
fn main() -> ! {
    stack::paint();
    let mut board = ThisBoard::take();
    // Matched by reference: moving the model out would need room for a second one.
    let code = match &IncludedModel::sized(&model::WORDS) {
        // A line that does not arrive means that the host is gone.
        Ok(model) => serve(&mut board, model).unwrap_or(1),
        Err(cause) => {
            let _ = writeln!(board, "refused: {cause}");
            1
        }
    };
    board.exit(code)
}

/// Answers requests until the last one.
fn serve<B: Board>(board: &mut B, model: &IncludedModel<'_>) -> Result<i32, fmt::Error> {
    let input = model::INPUT.take();
    let mut network = match Network::new(model, model::STATE.take()) {
        Ok(network) => network,
        Err(cause) => {
            writeln!(board, "refused: {cause}")?;
            return Ok(1);
        }
    };
    writeln!(
        board,
        "bitspike classify board={} model={:08x} inputs={} state={} protocol=1",
        B::NAME,
        model.checksum(),
        model::SIZES.input_bytes,
        model::STATE_WORDS
    )?;

    let mut samples = 0;
    loop {
        let mut mode = [b'Q'];
        if !board.receive(&mut mode) || mode == *b"Q" {
            break;
        }
        let (dump, recording) = match mode {
            [b'H'] => (false, false),
            [b'D'] => (true, false),
            [b'h'] => (false, true),
            [b'd'] => (true, true),
            [other] => {
                writeln!(board, "failed: no request is called {other:#04x}")?;
                return Ok(1);
            }
        };
        let answered = if recording {
            answer_recording(board, &mut network, input, dump)?
        } else {
            match receive(board, model, input)? {
                Some(input) => {
                    answer(board, &mut network, input, dump)?;
                    true
                }
                None => false,
            }
        };
        if !answered {
            return Ok(1);
        }
        samples += 1;
    }
    writeln!(board, "end samples={samples} stack={}", stack::high_water())?;
    Ok(0)
}

/// Receives one input into `words`; `None`, with the cause said, where it is none of the model.
fn receive<'i, B: Board>(
    board: &mut B,
    model: &IncludedModel<'_>,
    words: &'i mut [u32],
) -> Result<Option<Input<'i>>, fmt::Error> {
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(words);
    if !board.receive(&mut bytes[..model::SIZES.input_bytes]) {
        writeln!(board, "failed: the input ended within a sample")?;
        return Ok(None);
    }
    match as_input(model, words) {
        Ok(input) => Ok(Some(input)),
        Err(cause) => {
            writeln!(board, "failed: {cause}")?;
            Ok(None)
        }
    }
}

/// The received words as the kind of input that the model reads.
fn as_input<'i>(model: &IncludedModel<'_>, words: &'i [u32]) -> Result<Input<'i>, InputError> {
    if model.input_kind().is_graded() {
        let bytes: &[u8] = bytemuck::cast_slice(words);
        model.input(&bytes[..model::SIZES.input_bytes])
    } else {
        model.input_words(words)
    }
}

/// Receives and runs the steps of a recording one by one; whether all inputs were right.
fn answer_recording<B: Board>(
    board: &mut B,
    network: &mut IncludedNetwork<'_>,
    words: &mut [u32],
    dump: bool,
) -> Result<bool, fmt::Error> {
    let model = network.model();
    let (mut instructions, mut last) = (0, None);
    let mut hash = StateHash::new();
    network.reset();
    for step in 0..model.steps() {
        let Some(input) = receive(board, model, words)? else {
            return Ok(false);
        };
        let _ = board.busy().set_high();
        let before = board.instructions();
        network.step(input);
        let taken = board.instructions() - before;
        let _ = board.busy().set_low();
        if last.is_none() {
            instructions += taken;
            last = network.is_final().then_some(step + 1);
        }
        hash.update(network);
        if dump {
            send_state(board, network, step)?;
        }
    }
    let steps = last.unwrap_or(model.steps());
    send_answer(board, network, steps, hash, instructions)?;
    Ok(true)
}

/// Decides once to count instructions, then step by step to hash and dump.
fn answer<B: Board>(
    board: &mut B,
    network: &mut IncludedNetwork<'_>,
    input: Input<'_>,
    dump: bool,
) -> fmt::Result {
    // The pins of these boards cannot fail, and a decision does not hang on one.
    let _ = board.busy().set_high();
    let before = board.instructions();
    let (decision, steps) = network.run_until_final(input);
    let instructions = board.instructions() - before;
    let _ = board.busy().set_low();

    let mut hash = StateHash::new();
    network.reset();
    for step in 0..network.model().steps() {
        network.step(input);
        hash.update(network);
        if dump {
            send_state(board, network, step)?;
        }
    }
    if network.decision() != decision {
        writeln!(
            board,
            "failed: the same input gave another decision step by step"
        )?;
        return Err(fmt::Error);
    }
    send_answer(board, network, steps, hash, instructions)
}

/// Sends what came of a sample after all of its steps.
fn send_answer<B: Board>(
    board: &mut B,
    network: &IncludedNetwork<'_>,
    steps: u32,
    hash: StateHash,
    instructions: u64,
) -> fmt::Result {
    writeln!(
        board,
        "sample decision={} steps={steps} hash={:016x} confidence={:08x} instructions={instructions}",
        network.decision().class,
        hash.finish(),
        network.confidence().to_bits(),
    )
}

fn send_state<B: Board>(board: &mut B, network: &IncludedNetwork<'_>, step: u32) -> fmt::Result {
    for layer in 0..network.model().layers().len() {
        write!(board, "state step={step} layer={layer} spikes=")?;
        send_words(board, network.spikes(layer).words())?;
        write!(board, " membranes=")?;
        send_words(board, network.membrane_words(layer))?;
        writeln!(board)?;
    }
    Ok(())
}

fn send_words<B: Board>(board: &mut B, words: &[u32]) -> fmt::Result {
    words
        .iter()
        .try_for_each(|word| write!(board, "{word:08x}"))
}
