//! What every program does around its work.

use bitspike_core::message::Piece::{Hex, Text};
use bitspike_core::model::ModelError;

use crate::ThisBoard;
use crate::board::{Board, Gone, complain};
use crate::model::{self, IncludedModel};
use crate::stack;

/// Loads the included model, lets `serve` work with it, and ends with the exit code it gives; 1 where
/// the model is refused, which a line says, or where the host is gone.
#[inline(always)]
pub fn with_model(
    serve: impl FnOnce(&mut ThisBoard, &IncludedModel<'static>) -> Result<i32, Gone>,
) -> ! {
    stack::paint();
    let mut board = ThisBoard::take();
    // Matched by reference: moving the model out would need room for a second one.
    let code = match &load() {
        // A line that does not arrive means that the host is gone.
        Ok(model) => serve(&mut board, model).unwrap_or(1),
        Err(cause) => {
            let _ = complain(&mut board, "refused: ", cause.message());
            1
        }
    };
    board.exit(code)
}

/// In a function of its own, so that what loading needs is off the stack when the network runs.
#[inline(never)]
fn load() -> Result<IncludedModel<'static>, ModelError> {
    IncludedModel::sized(&model::WORDS)
}

/// An on-target test: says which machine it really runs on, fails on another than the one asked for,
/// and then where `check` does.
#[inline(always)]
pub fn test(name: &str, check: impl FnOnce(&mut ThisBoard) -> Result<bool, Gone>) -> ! {
    stack::paint();
    let mut board = ThisBoard::take();
    // A line that does not arrive means that the host is gone.
    let passed = on_its_board(&mut board, name)
        .and_then(|right| Ok(right && check(&mut board)?))
        .unwrap_or(false);
    let _ = board.line(&[Text(if passed { "passed" } else { "FAILED" })]);
    board.exit(if passed { 0 } else { 1 })
}

fn on_its_board<B: Board>(board: &mut B, name: &str) -> Result<bool, Gone> {
    let processor = board.processor();
    board.line(&[
        Text(name),
        Text(" board="),
        Text(B::NAME),
        Text(" processor=0x"),
        Hex(processor.register),
    ])?;
    if !processor.expected {
        board.line(&[Text("this is not the processor of board "), Text(B::NAME)])?;
    }
    Ok(processor.expected)
}
