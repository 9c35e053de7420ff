//! On the device: every kernel equals the reference on seeded random networks, the cases of
//! core/tests/kernels.rs.
//!
//! `cargo xtask firmware m0 --bin kernels --run` runs it on one machine.
#![no_std]
#![no_main]

use bitspike_core::message::Piece::{Number, Text};
use bitspike_firmware::{Board, Gone, entry, hexadecimal_pair, number, program, stack};
use static_cell::ConstStaticCell;

#[path = "../../core/tests/cases/mod.rs"]
mod cases;

/// Cases that are drawn; those whose shapes do not fit are left out.
const CASES: usize = 2_000;

static BUFFERS: ConstStaticCell<cases::Buffers> = ConstStaticCell::new(cases::Buffers::new());

#[entry]
fn main() -> ! {
    program::test("kernels", check)
}

fn check<B: Board>(board: &mut B) -> Result<bool, Gone> {
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
