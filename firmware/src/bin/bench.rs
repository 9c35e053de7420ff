//! Counts the instructions of decisions, steps and layers of the included network.
//!
//! The first line is `bitspike bench board=m3 processor=HEX model=CRC32HEX inputs=BYTES layers=N
//! protocol=1`, or `refused: CAUSE` and exit code 1. Then the host sends requests of one byte; `R`,
//! `S`, `L` and `T` are followed by exactly `inputs` bytes: one a graded value, or little-endian words.
//!
//! - `K` and a letter, `r`, `d`, `e` or `g`: the reference, dense, event or graded kernel for every
//!   layer that it supports, from here on. Without it the choice by layer. Answers nothing.
//! - `Z`: back to rest. Answers nothing.
//! - `R`: a decision from rest. Answers `decision class=N instructions=N`.
//! - `S`: one step. Answers `step instructions=N`.
//! - `L`: one step, layer by layer. Answers `layers instructions=N,N,...`: one a layer, then what
//!   follows the last one (the read-out).
//! - `T`: one step, its stack measured. Answers `stack bytes=N`.
//! - `H`: answers `state hash=HEX`, that of all spikes and membranes.
//! - `Q`, or the end of the input: answers `end stack=BYTES` and ends with 0.
//!
//! These are instructions, not clock cycles.
#![no_std]
#![no_main]

use bitspike_core::hash::StateHash;
use bitspike_core::kernel::Kernel;
use bitspike_core::message::Piece::{Hex, Number, Text};
use bitspike_core::model::{Input, Model};
use bitspike_core::network::Network;
use bitspike_firmware::{
    Board, Gone, Sent, ThisBoard, complain, entry, hexadecimal_pair, model, number, stack,
};

type IncludedModel<'a> = Model<'a, { model::SIZES.layers }>;
type IncludedNetwork<'a> = Network<'a, { model::SIZES.layers }>;

#[entry]
fn main() -> ! {
    stack::paint();
    let mut board = ThisBoard::take();
    let code = match &IncludedModel::sized(&model::WORDS) {
        // A line that does not arrive means that the host is gone.
        Ok(model) => serve(&mut board, model).unwrap_or(1),
        Err(cause) => {
            let _ = complain(&mut board, "refused: ", cause.message());
            1
        }
    };
    board.exit(code)
}

/// Answers requests until the last one.
fn serve<B: Board>(board: &mut B, model: &IncludedModel<'_>) -> Result<i32, Gone> {
    let words = model::input();
    let Ok(mut network) = Network::new(model, model::state()) else {
        board.line(&[Text("refused: the memory is not as large as stated")])?;
        return Ok(1);
    };
    board.line(&[
        Text("bitspike bench board="),
        Text(B::NAME),
        Text(" processor="),
        Hex(board.processor().register),
        Text(" model="),
        Hex(model.checksum()),
        Text(" inputs="),
        number(model::SIZES.input_bytes),
        Text(" layers="),
        number(model::SIZES.layers),
        Text(" protocol=1"),
    ])?;
    loop {
        let mut request = [b'Q'];
        if !board.receive(&mut request) {
            break;
        }
        match request[0] {
            b'Q' => break,
            b'Z' => network.reset(),
            b'K' => {
                let mut letter = [0];
                board.receive(&mut letter);
                let Some(kernel) = kernel_named(letter[0]) else {
                    board.line(&[
                        Text("failed: no kernel has the number "),
                        Number(letter[0].into()),
                    ])?;
                    return Ok(1);
                };
                network.force_kernel(kernel);
            }
            b'H' => {
                let mut hash = StateHash::new();
                hash.update(&network);
                let [high, low] = hexadecimal_pair(hash.finish());
                board.line(&[Text("state hash="), high, low])?;
            }
            measured @ (b'R' | b'S' | b'L' | b'T') => {
                if !board.receive(model::input_bytes(words)) {
                    board.line(&[Text("failed: the input ended within a sample")])?;
                    return Ok(1);
                }
                match model::as_input(model, words) {
                    Ok(input) => measure(board, &mut network, measured, input)?,
                    Err(cause) => {
                        complain(board, "failed: ", cause.message())?;
                        return Ok(1);
                    }
                }
            }
            other => {
                board.line(&[
                    Text("failed: no request has the number "),
                    Number(other.into()),
                ])?;
                return Ok(1);
            }
        }
    }
    board.line(&[Text("end stack="), number(stack::high_water())])?;
    Ok(0)
}

fn kernel_named(letter: u8) -> Option<Kernel> {
    Some(match letter {
        b'r' => Kernel::Reference,
        b'd' => Kernel::Dense,
        b'e' => Kernel::Event,
        b'g' => Kernel::Graded,
        _ => return None,
    })
}

/// Runs one of the measured requests and sends its numbers.
fn measure<B: Board>(
    board: &mut B,
    network: &mut IncludedNetwork<'_>,
    request: u8,
    input: Input<'_>,
) -> Sent {
    match request {
        b'R' => {
            let before = board.instructions();
            let decision = network.run(input);
            let instructions = board.instructions() - before;
            board.line(&[
                Text("decision class="),
                number(decision.class),
                Text(" instructions="),
                Number(instructions as i64),
            ])
        }
        b'S' => {
            let before = board.instructions();
            network.step(input);
            let instructions = board.instructions() - before;
            board.line(&[Text("step instructions="), Number(instructions as i64)])
        }
        b'L' => {
            let mut spent = [0; model::SIZES.layers];
            let mut before = board.instructions();
            network.step_observed(input, |layer| {
                let now = board.instructions();
                if let Some(spent) = spent.get_mut(layer) {
                    *spent = now - before;
                }
                before = now;
            });
            let rest = board.instructions() - before;
            board.send_all(&[Text("layers instructions=")])?;
            for spent in spent {
                board.send_all(&[Number(spent as i64), Text(",")])?;
            }
            board.line(&[Number(rest as i64)])
        }
        _ => {
            stack::paint();
            let above = stack::depth();
            network.step(input);
            let used = stack::high_water().saturating_sub(above);
            board.line(&[Text("stack bytes="), number(used)])
        }
    }
}
