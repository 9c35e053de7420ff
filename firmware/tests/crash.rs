//! On the device: a panic, or a fault, resets the board, and the next start says what happened.
//!
//! The host sends `P` for a panic or `F` for a fault; the last line is then `panic: CAUSE at PLACE:LINE`
//! and the exit code that of an abort. `cargo xtask firmware m0 --bin crash --run` runs it on one
//! machine.
#![no_std]
#![no_main]

use core::arch::asm;

use bitspike_core::message::Piece::Text;
use bitspike_firmware::{Board, Gone, entry, program};

#[entry]
fn main() -> ! {
    program::test("crash", check)
}

fn check<B: Board>(board: &mut B) -> Result<bool, Gone> {
    let mut request = [0];
    board.receive(&mut request);
    match request {
        [b'P'] => panic!("on purpose"),
        [b'F'] => {
            // SAFETY: an instruction that no processor of these families has: it does nothing but fault.
            #[cfg(target_arch = "arm")]
            unsafe {
                asm!("udf #0");
            }
            // SAFETY: as above.
            #[cfg(target_arch = "riscv32")]
            unsafe {
                asm!("unimp");
            }
            board.line(&[Text("the processor went over an unknown instruction")])?;
        }
        _ => board.line(&[Text("neither P nor F")])?,
    }
    Ok(false)
}
