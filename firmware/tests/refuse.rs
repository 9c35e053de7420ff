//! On the device: the included model loads, and every damaged copy of it is refused.
//!
//! `cargo xtask firmware m0 --bin refuse --run` runs it on one machine.
#![no_std]
#![no_main]

use bitspike_core::message::Piece::Text;
use bitspike_core::model::Model;
use bitspike_core::random::Xorshift32;
use bitspike_firmware::{Board, Gone, complain, entry, model, number, program};
use static_cell::ConstStaticCell;

/// Words of the included model.
const WORDS: usize = model::WORDS.len();
/// Rounds of pseudo-random words.
const ROUNDS: usize = 256;

/// The copy that is damaged.
static COPY: ConstStaticCell<[u32; WORDS]> = ConstStaticCell::new([0; WORDS]);

#[entry]
fn main() -> ! {
    program::test("refuse", check)
}

fn check<B: Board>(board: &mut B) -> Result<bool, Gone> {
    if let Err(cause) = Model::new(&model::WORDS) {
        complain(board, "the undamaged model is refused: ", cause.message())?;
        return Ok(false);
    }

    let copy = COPY.take();
    copy.copy_from_slice(&model::WORDS);
    for bit in 0..32 * WORDS {
        copy[bit / 32] ^= 1 << (bit % 32);
        if Model::new(copy).is_ok() {
            board.line(&[
                Text("accepted with bit "),
                number(bit % 32),
                Text(" of word "),
                number(bit / 32),
                Text(" flipped"),
            ])?;
            return Ok(false);
        }
        copy[bit / 32] ^= 1 << (bit % 32);
    }
    board.line(&[Text("refused bits="), number(32 * WORDS)])?;

    for length in 0..WORDS {
        if Model::new(&copy[..length]).is_ok() {
            board.line(&[
                Text("accepted when cut to "),
                number(length),
                Text(" words"),
            ])?;
            return Ok(false);
        }
    }
    board.line(&[Text("refused lengths="), number(WORDS)])?;

    let mut random = Xorshift32::new(1);
    for round in 0..ROUNDS {
        copy.fill_with(|| random.draw());
        // Half of the rounds get past the first checks.
        if round % 2 == 1 {
            let start = WORDS.min(3);
            copy[..start].copy_from_slice(&model::WORDS[..start]);
        }
        if Model::new(copy).is_ok() {
            board.line(&[Text("accepted random words of round "), number(round)])?;
            return Ok(false);
        }
    }
    board.line(&[Text("refused random="), number(ROUNDS)])?;
    Ok(true)
}
