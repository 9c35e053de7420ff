//! What every program does around its work.

use bitspike_core::message::Piece::{Hex, Text};
use bitspike_core::model::Model;

use crate::ThisBoard;
use crate::board::{Board, Gone, complain};
use crate::stack;

/// Looks whether flash holds the included model as it was built, lets `serve` work with it, and ends with
/// the exit code it gives; 1 where the model is damaged, which a line says, or where the host is gone.
#[inline(always)]
pub fn with_model<const LAYERS: usize, const PARTS: u32>(
    model: &'static Model<'static, LAYERS, PARTS>,
    serve: impl FnOnce(&mut ThisBoard, &'static Model<'static, LAYERS, PARTS>) -> Result<i32, Gone>,
) -> ! {
    stack::paint();
    let mut board = ThisBoard::take();
    let code = match model.verify() {
        // A line that does not arrive means that the host is gone.
        Ok(()) => serve(&mut board, model).unwrap_or(1),
        Err(cause) => {
            let _ = complain(&mut board, "refused: ", cause.message());
            1
        }
    };
    board.exit(code)
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
