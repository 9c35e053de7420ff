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

use core::fmt::{self, Write};

use bitspike_core::hash::StateHash;
use bitspike_core::kernel::Kernel;
use bitspike_core::model::{Input, Model};
use bitspike_core::network::Network;
use bitspike_firmware::{Board, ThisBoard, entry, model, stack};

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
            let _ = writeln!(board, "refused: {cause}");
            1
        }
    };
    board.exit(code)
}

/// Answers requests until the last one.
fn serve<B: Board>(board: &mut B, model: &IncludedModel<'_>) -> Result<i32, fmt::Error> {
    let words = model::INPUT.take();
    let Ok(mut network) = Network::new(model, model::STATE.take()) else {
        writeln!(board, "refused: the memory is not as large as stated")?;
        return Ok(1);
    };
    writeln!(
        board,
        "bitspike bench board={} processor={:08x} model={:08x} inputs={} layers={} protocol=1",
        B::NAME,
        board.processor().register,
        model.checksum(),
        model::SIZES.input_bytes,
        model::SIZES.layers,
    )?;
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
                    writeln!(board, "failed: no kernel is called {:#04x}", letter[0])?;
                    return Ok(1);
                };
                network.force_kernel(kernel);
            }
            b'H' => {
                let mut hash = StateHash::new();
                hash.update(&network);
                writeln!(board, "state hash={:016x}", hash.finish())?;
            }
            measured @ (b'R' | b'S' | b'L' | b'T') => {
                let bytes: &mut [u8] = bytemuck::cast_slice_mut(words);
                if !board.receive(&mut bytes[..model::SIZES.input_bytes]) {
                    writeln!(board, "failed: the input ended within a sample")?;
                    return Ok(1);
                }
                let input = if model.input_kind().is_graded() {
                    model.input(&bytes[..model::SIZES.input_bytes])
                } else {
                    model.input_words(words)
                };
                match input {
                    Ok(input) => measure(board, &mut network, measured, input)?,
                    Err(cause) => {
                        writeln!(board, "failed: {cause}")?;
                        return Ok(1);
                    }
                }
            }
            other => {
                writeln!(board, "failed: no request is called {other:#04x}")?;
                return Ok(1);
            }
        }
    }
    writeln!(board, "end stack={}", stack::high_water())?;
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
) -> fmt::Result {
    match request {
        b'R' => {
            let before = board.instructions();
            let decision = network.run(input);
            let instructions = board.instructions() - before;
            writeln!(
                board,
                "decision class={} instructions={instructions}",
                decision.class
            )
        }
        b'S' => {
            let before = board.instructions();
            network.step(input);
            let instructions = board.instructions() - before;
            writeln!(board, "step instructions={instructions}")
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
            write!(board, "layers instructions=")?;
            for spent in spent {
                write!(board, "{spent},")?;
            }
            writeln!(board, "{rest}")
        }
        _ => {
            stack::paint();
            let above = stack::depth();
            network.step(input);
            let used = stack::high_water().saturating_sub(above);
            writeln!(board, "stack bytes={used}")
        }
    }
}
