//! On the device: every kernel equals the reference on seeded random networks, the cases of
//! core/tests/kernels.rs.
//!
//! `cargo xtask firmware m0 --bin kernels --run` runs it on one machine.
#![no_std]
#![no_main]

use bitspike_core::message::Piece::{Hex, Number, Text};
use bitspike_firmware::{Board, Gone, ThisBoard, entry, hexadecimal_pair, number, stack};
use static_cell::ConstStaticCell;

#[path = "../../core/tests/cases/mod.rs"]
mod cases;

/// Cases that are drawn; those whose shapes do not fit are left out.
const CASES: usize = 2_000;

static BUFFERS: ConstStaticCell<cases::Buffers> = ConstStaticCell::new(cases::Buffers::new());

#[entry]
fn main() -> ! {
    stack::paint();
    let mut board = ThisBoard::take();
    // A line that does not arrive means that the host is gone.
    let passed = check(&mut board).unwrap_or(false);
    let _ = board.line(&[Text(if passed { "passed" } else { "FAILED" })]);
    board.exit(if passed { 0 } else { 1 })
}

fn check<B: Board>(board: &mut B) -> Result<bool, Gone> {
    let processor = board.processor();
    board.line(&[
        Text("kernels board="),
        Text(B::NAME),
        Text(" processor=0x"),
        Hex(processor.register),
    ])?;
    if !processor.expected {
        board.line(&[Text("this is not the processor of board "), Text(B::NAME)])?;
        return Ok(false);
    }
    match cases::run(BUFFERS.take(), CASES) {
        Ok(passed) => {
            let [high, low] = hexadecimal_pair(passed.hash);
            board.line(&[
                Text("equal drawn="),
                number(CASES),
                Text(" cases="),
                number(passed.cases),
                Text(" runs="),
                number(passed.runs),
                Text(" spikes="),
                Number(passed.spikes.into()),
                Text(" hash="),
                high,
                low,
                Text(" stack="),
                number(stack::high_water()),
            ])?;
            Ok(true)
        }
        Err(failed) => {
            let difference = failed.difference;
            board.line(&[
                Text("case "),
                number(failed.case),
                Text(", kernel "),
                failed
                    .kernel
                    .map_or(Text("by layer"), |kernel| number(kernel as usize)),
                Text(": layer "),
                number(difference.layer),
                Text(", step "),
                Number(difference.step.into()),
                Text(", neuron "),
                number(difference.neuron),
                Text(": membrane "),
                Number(difference.left.0.into()),
                Text(", by the reference "),
                Number(difference.right.0.into()),
            ])?;
            Ok(false)
        }
    }
}
