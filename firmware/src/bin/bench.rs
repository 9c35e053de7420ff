//! Counts the instructions of decisions, steps and layers of the included network.
//!
//! The first line is `bitspike bench board=m3 processor=HEX model=CRC32HEX inputs=BYTES layers=N
//! protocol=1`, or `refused: CAUSE` and exit code 1. Then the host sends requests of one byte; `R`,
//! `S`, `L` and `X` are followed by exactly `inputs` bytes: one a graded value, or little-endian words.
//!
//! - `K` and a letter, `r`, `d`, `e` or `g`: the reference, dense, event or graded kernel for every
//!   layer that it supports, from here on. Without it the choice by layer. Answers nothing.
//! - `Z`: back to rest. Answers nothing.
//! - `R`: a decision from rest. Answers `decision class=N instructions=N`.
//! - `S`: one step. Answers `step instructions=N`.
//! - `L`: one step, layer by layer. Answers `layers instructions=N,N,...`: one a layer, then what
//!   follows the last one (the read-out).
//! - `X`: the synaptic sums of the first layer alone, without neurons, of an input of single bits.
//!   Answers `sums instructions=N`.
//! - `H`: answers `state hash=HEX`, that of all spikes and membranes.
//! - `Q`, or the end of the input: answers `end stack=BYTES running=BYTES` and ends with 0: the most
//!   stack of the program, and of decisions and steps alone.
//!
//! These are instructions, not clock cycles.
#![no_std]
#![no_main]

use bitspike_core::hash::StateHash;
use bitspike_core::kernel::Kernel;
use bitspike_core::message::Piece::{Hex, Number, Text};
use bitspike_core::model::Input;
use bitspike_core::network::Network;
use bitspike_firmware::model::{WholeModel, WholeNetwork};
use bitspike_firmware::{
    Board, Gone, Sent, complain, entry, hexadecimal_pair, model, number, program, stack,
};

#[entry]
fn main() -> ! {
    program::with_model(&model::WHOLE, serve)
}

/// Answers requests until the last one.
fn serve<B: Board>(board: &mut B, model: &WholeModel<'_>) -> Result<i32, Gone> {
    let words = model::input();
    let Ok(mut network) = Network::new(model, model::state()) else {
        board.line(&[Text("refused: the memory is not as large as stated")])?;
        return Ok(1);
    };
    greet(board, model.checksum())?;
    // Loading may take more stack than running does.
    let loaded = stack::high_water();
    stack::paint();
    let above = stack::depth();
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
                    send_unknown(board, "kernel", letter[0])?;
                    return Ok(1);
                };
                network.force_kernel(kernel);
            }
            b'H' => {
                send_hash(board, &network)?;
            }
            measured @ (b'R' | b'S' | b'L' | b'X') => {
                if !board.receive(model::input_bytes(words)) {
                    board.line(&[Text("failed: the input ended within a sample")])?;
                    return Ok(1);
                }
                match model.input_stored(words) {
                    Ok(input) => measure(board, &mut network, measured, input)?,
                    Err(cause) => {
                        complain(board, "failed: ", cause.message())?;
                        return Ok(1);
                    }
                }
            }
            other => {
                send_unknown(board, "request", other)?;
                return Ok(1);
            }
        }
    }
    let running = stack::high_water();
    if stack::is_full() {
        board.line(&[Text("failed: the stack has reached the static data")])?;
        return Ok(1);
    }
    send_end(board, running.max(loaded), running.saturating_sub(above))?;
    Ok(0)
}

// What is sent is put together in functions of their own: it must not lie on the stack of a step.

#[inline(never)]
fn greet<B: Board>(board: &mut B, checksum: u32) -> Sent {
    board.line(&[
        Text("bitspike bench board="),
        Text(B::NAME),
        Text(" processor="),
        Hex(board.processor().register),
        Text(" model="),
        Hex(checksum),
        Text(" inputs="),
        number(model::SIZES.input_bytes),
        Text(" layers="),
        number(model::SIZES.layers),
        Text(" protocol=1"),
    ])
}

#[inline(never)]
fn send_hash(board: &mut impl Board, network: &WholeNetwork<'_>) -> Sent {
    let mut hash = StateHash::new();
    hash.update(network);
    let [high, low] = hexadecimal_pair(hash.finish());
    board.line(&[Text("state hash="), high, low])
}

#[inline(never)]
fn send_unknown(board: &mut impl Board, what: &str, number: u8) -> Sent {
    board.line(&[
        Text("failed: no "),
        Text(what),
        Text(" has the number "),
        Number(number.into()),
    ])
}

#[inline(never)]
fn send_end(board: &mut impl Board, stack: usize, running: usize) -> Sent {
    board.line(&[
        Text("end stack="),
        number(stack),
        Text(" running="),
        number(running),
    ])
}

#[inline(never)]
fn send_layers(board: &mut impl Board, spent: &[u64], rest: u64) -> Sent {
    board.send("layers instructions=")?;
    for spent in spent {
        board.send_all(&[Number(*spent as i64), Text(",")])?;
    }
    board.line(&[Number(rest as i64)])
}

#[inline(never)]
fn send_decision(board: &mut impl Board, class: usize, instructions: u64) -> Sent {
    board.send_all(&[Text("decision class="), number(class)])?;
    send_count(board, "", instructions)
}

#[inline(never)]
fn send_count(board: &mut impl Board, what: &str, instructions: u64) -> Sent {
    board.line(&[
        Text(what),
        Text(" instructions="),
        Number(instructions as i64),
    ])
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
    network: &mut WholeNetwork<'_>,
    request: u8,
    input: Input<'_>,
) -> Sent {
    match request {
        b'R' => {
            let before = board.instructions();
            let decision = network.run(input);
            let instructions = board.instructions() - before;
            send_decision(board, decision.class, instructions)
        }
        b'S' => {
            let before = board.instructions();
            network.step(input);
            let instructions = board.instructions() - before;
            send_count(board, "step", instructions)
        }
        b'X' => {
            let before = board.instructions();
            sums(network.model(), input);
            let instructions = board.instructions() - before;
            send_count(board, "sums", instructions)
        }
        _ => {
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
            send_layers(board, &spent, rest)
        }
    }
}

/// Computes the sums of the first layer and drops them.
#[inline(never)]
fn sums(model: &WholeModel<'_>, input: Input<'_>) {
    let Some(first) = model.layers().first() else {
        return;
    };
    let kernel = Kernel::choose(first, model.input_kind());
    kernel.sums(first, model.weights(first), input, &mut |_, _, outputs| {
        core::hint::black_box(outputs);
    });
}
