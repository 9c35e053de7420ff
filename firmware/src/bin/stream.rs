//! Watches an accelerometer: its samples through the delta encoder into the included network, the
//! decision on the board's pin.
//!
//! The sensor is a LIS3DH on I2C (crate bitspike-stream). A real board has it at its pins; on an emulated one a
//! recording plays, and the program ends with it. A sample is a time step; a window has as many as
//! the model has steps. The pin is high from a decision for another class than 0, rest, to the next.
//!
//! The first line is `bitspike stream board=m3 model=CRC32HEX window=STEPS protocol=1`, or `refused: CAUSE`
//! and exit code 1 where the model is damaged or does not read this sensor. Then:
//!
//! - `window decision=2 hash=HEX instructions=N` after each window: the hash covers every spike and
//!   membrane after each of its steps; the instructions are those of encoding and steps, without
//!   hashing and without the bus (clock cycles on a real Arm board).
//! - `sensor: CAUSE` where the sensor fails. After a second it is started again, and a window begins anew; on an
//!   emulated machine the program ends with 1.
//! - `end windows=N stack=BYTES` where a recording is over, with exit code 0.
#![no_std]
#![no_main]

use bitspike_core::hash::StateHash;
use bitspike_core::message::Piece::{Hex, Number, Text};
use bitspike_core::network::Network;
use bitspike_firmware::model::IncludedModel;
use bitspike_firmware::{
    Board, Gone, Sent, complain, entry, hexadecimal_pair, model, number, program, sensor, stack,
};
use bitspike_stream::lis3dh::{ADDRESS, Error, FIFO, Lis3dh, OverI2c, Rate};
use bitspike_stream::watch::Watch;
use embedded_hal::i2c::{self, ErrorKind};

/// Of the delta encoder, in mg; the shipped model was trained with it (stream/motion/make.py).
const STEP: i16 = 40;
/// The shipped model's class without motion.
const REST: usize = 0;

type Sensor = Lis3dh<OverI2c<sensor::Bus>>;

#[entry]
fn main() -> ! {
    program::with_model(&model::MODEL, serve)
}

fn serve<B: Board>(board: &mut B, model: &IncludedModel<'_>) -> Result<i32, Gone> {
    let Ok(network) = Network::new(model, model::state()) else {
        board.line(&[Text("refused: the memory is not as large as stated")])?;
        return Ok(1);
    };
    let mut references = [0; 3];
    let mut watch = match Watch::new(network, STEP, &mut references, REST) {
        Ok(watch) => watch,
        Err(cause) => {
            complain(board, "refused: ", cause.message())?;
            return Ok(1);
        }
    };
    board.line(&[
        Text("bitspike stream board="),
        Text(B::NAME),
        Text(" model="),
        Hex(model.checksum()),
        Text(" window="),
        Number(model.steps().into()),
        Text(" protocol=1"),
    ])?;
    let mut sensor = Lis3dh::new(OverI2c {
        i2c: sensor::bus(),
        address: ADDRESS,
    });
    let mut windows = 0;
    loop {
        match follow(board, &mut sensor, &mut watch, &mut windows)? {
            None => break,
            Some(error) => send_error(board, error)?,
        }
        if !sensor::try_again() {
            return Ok(1);
        }
        watch.restart();
    }
    if stack::is_full() {
        board.line(&[Text("failed: the stack has reached the static data")])?;
        return Ok(1);
    }
    board.line(&[
        Text("end windows="),
        number(windows),
        Text(" stack="),
        number(stack::high_water()),
    ])?;
    Ok(0)
}

/// Starts the sensor and decides until it fails, which is what comes back, or is over.
fn follow<B: Board, const LAYERS: usize, const PARTS: u32>(
    board: &mut B,
    sensor: &mut Sensor,
    watch: &mut Watch<'_, LAYERS, PARTS>,
    windows: &mut usize,
) -> Result<Option<Error<ErrorKind>>, Gone> {
    if let Err(error) = sensor.start(Rate::Hz100) {
        return Ok(Some(kind(error)));
    }
    let mut samples = [[0; 3]; FIFO];
    let (mut hash, mut instructions) = (StateHash::new(), 0);
    while !sensor::is_over(&sensor.registers().i2c) {
        let count = match sensor.read(&mut samples) {
            Ok(count) => count,
            Err(error) => return Ok(Some(kind(error))),
        };
        for sample in samples.iter().take(count) {
            let before = board.instructions();
            // The pins of these boards cannot fail.
            let decision = watch.sample(*sample, board.busy()).unwrap_or(None);
            instructions += board.instructions() - before;
            hash.update(watch.network());
            if let Some(decision) = decision {
                send_window(board, decision.class, hash, instructions)?;
                (hash, instructions) = (StateHash::new(), 0);
                *windows += 1;
            }
        }
    }
    Ok(None)
}

fn kind<E: i2c::Error>(error: Error<E>) -> Error<ErrorKind> {
    match error {
        Error::Bus(error) => Error::Bus(error.kind()),
        Error::WrongDevice { found } => Error::WrongDevice { found },
        _ => Error::Overrun,
    }
}

#[inline(never)]
fn send_window<B: Board>(board: &mut B, class: usize, hash: StateHash, instructions: u64) -> Sent {
    let [high, low] = hexadecimal_pair(hash.finish());
    board.line(&[
        Text("window decision="),
        number(class),
        Text(" hash="),
        high,
        low,
        Text(" instructions="),
        Number(instructions as i64),
    ])
}

#[inline(never)]
fn send_error<B: Board>(board: &mut B, error: Error<ErrorKind>) -> Sent {
    let [first, second] = match error {
        Error::Bus(ErrorKind::NoAcknowledge(_)) => {
            [Text("nothing answers at its address"), Text("")]
        }
        Error::Bus(_) => [Text("a line of the bus is stuck"), Text("")],
        Error::WrongDevice { found } => [Text("no LIS3DH, WHO_AM_I is 0x"), Hex(found.into())],
        _ => [
            Text("samples were lost, the program was away too long"),
            Text(""),
        ],
    };
    board.line(&[Text("sensor: "), first, second])
}
