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

use bitspike_core::hash::StateHash;
use bitspike_core::message::Piece::{Hex, Number, Text};
use bitspike_core::model::Input;
use bitspike_core::network::Network;
use bitspike_firmware::model::{IncludedModel, IncludedNetwork};
use bitspike_firmware::{
    Board, Gone, Sent, complain, entry, hexadecimal_pair, model, number, program, stack,
};
use embedded_hal::digital::OutputPin;

#[entry]
fn main() -> ! {
    program::with_model(&model::MODEL, serve)
}

/// Answers requests until the last one.
fn serve<B: Board>(board: &mut B, model: &IncludedModel<'_>) -> Result<i32, Gone> {
    let input = model::input();
    let mut network = match Network::new(model, model::state()) {
        Ok(network) => network,
        Err(_) => {
            board.line(&[Text("refused: the memory is not as large as stated")])?;
            return Ok(1);
        }
    };
    board.line(&[
        Text("bitspike classify board="),
        Text(B::NAME),
        Text(" model="),
        Hex(model.checksum()),
        Text(" inputs="),
        number(model::SIZES.input_bytes),
        Text(" state="),
        number(model::STATE_WORDS),
        Text(" protocol=1"),
    ])?;

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
                board.line(&[
                    Text("failed: no request has the number "),
                    Number(other.into()),
                ])?;
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
    if stack::is_full() {
        board.line(&[Text("failed: the stack has reached the static data")])?;
        return Ok(1);
    }
    board.line(&[
        Text("end samples="),
        number(samples),
        Text(" stack="),
        number(stack::high_water()),
    ])?;
    Ok(0)
}

/// Receives one input into `words`; `None`, with the cause said, where it is none of the model.
fn receive<'i, B: Board>(
    board: &mut B,
    model: &IncludedModel<'_>,
    words: &'i mut [u32],
) -> Result<Option<Input<'i>>, Gone> {
    if !board.receive(model::input_bytes(words)) {
        board.line(&[Text("failed: the input ended within a sample")])?;
        return Ok(None);
    }
    match model.input_stored(words) {
        Ok(input) => Ok(Some(input)),
        Err(cause) => {
            complain(board, "failed: ", cause.message())?;
            Ok(None)
        }
    }
}

/// Receives and runs the steps of a recording one by one; whether all inputs were right.
fn answer_recording<B: Board>(
    board: &mut B,
    network: &mut IncludedNetwork<'_>,
    words: &mut [u32],
    dump: bool,
) -> Result<bool, Gone> {
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
) -> Sent {
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
        board.line(&[Text(
            "failed: the same input gave another decision step by step",
        )])?;
        return Err(Gone);
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
) -> Sent {
    let [high, low] = hexadecimal_pair(hash.finish());
    board.line(&[
        Text("sample decision="),
        number(network.decision().class),
        Text(" steps="),
        Number(steps.into()),
        Text(" hash="),
        high,
        low,
        Text(" confidence="),
        Hex(network.confidence().to_bits()),
        Text(" instructions="),
        Number(instructions as i64),
    ])
}

fn send_state<B: Board>(board: &mut B, network: &IncludedNetwork<'_>, step: u32) -> Sent {
    for layer in 0..network.model().layers().len() {
        board.send_all(&[
            Text("state step="),
            Number(step.into()),
            Text(" layer="),
            number(layer),
            Text(" spikes="),
        ])?;
        send_words(board, network.spikes(layer).words())?;
        board.send_all(&[Text(" membranes=")])?;
        send_words(board, network.membrane_words(layer))?;
        board.line(&[])?;
    }
    Ok(())
}

fn send_words<B: Board>(board: &mut B, words: &[u32]) -> Sent {
    words
        .iter()
        .try_for_each(|&word| board.send_all(&[Hex(word)]))
}
