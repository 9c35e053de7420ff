//! The driver's traffic on the bus, byte for byte, and what it makes of errors.

use bitspike_stream::lis3dh::{ADDRESS, Error, Lis3dh, OverI2c, OverSpi, Rate};
use embedded_hal::i2c::{ErrorKind, NoAcknowledgeSource};
use embedded_hal_mock::eh1::{i2c, spi};

/// `start` at 100 Hz on I2C: identification, then range, FIFO, rate.
fn starting() -> Vec<i2c::Transaction> {
    let mut expected = vec![i2c::Transaction::write_read(
        ADDRESS,
        vec![0x0F],
        vec![0x33],
    )];
    for (register, value) in [
        (0x23, 0x88),
        (0x24, 0x40),
        (0x2E, 0x00),
        (0x2E, 0x80),
        (0x20, 0x57),
    ] {
        expected.push(i2c::Transaction::write(ADDRESS, vec![register, value]));
    }
    expected
}

fn on_i2c(mock: &i2c::Mock) -> Lis3dh<OverI2c<i2c::Mock>> {
    Lis3dh::new(OverI2c {
        i2c: mock.clone(),
        address: ADDRESS,
    })
}

#[test]
fn starts_and_reads_a_burst_over_i2c() {
    let mut expected = starting();
    expected.push(i2c::Transaction::write_read(
        ADDRESS,
        vec![0x2F],
        vec![0x02],
    ));
    expected.push(i2c::Transaction::write_read(
        ADDRESS,
        vec![0xA8],
        // -1 mg, 1000 mg, -2048 mg; 2047 mg, 0, 5 mg and bits that are none.
        vec![
            0xF0, 0xFF, 0x80, 0x3E, 0x00, 0x80, 0xF0, 0x7F, 0x00, 0x00, 0x5F, 0x00,
        ],
    ));
    // Nothing there: no burst.
    expected.push(i2c::Transaction::write_read(
        ADDRESS,
        vec![0x2F],
        vec![0x20],
    ));
    let mut mock = i2c::Mock::new(&expected);
    let mut sensor = on_i2c(&mock);
    sensor.start(Rate::Hz100).unwrap();
    let mut samples = [[0; 3]; 32];
    assert_eq!(sensor.read(&mut samples), Ok(2));
    assert_eq!(samples[..2], [[-1, 1000, -2048], [2047, 0, 5]]);
    assert_eq!(sensor.read(&mut samples), Ok(0));
    mock.done();
}

#[test]
fn starts_and_reads_a_burst_over_spi() {
    let transfer = |command: u8, answer: Vec<u8>| {
        [
            spi::Transaction::transaction_start(),
            spi::Transaction::write_vec(vec![command]),
            spi::Transaction::read_vec(answer),
            spi::Transaction::transaction_end(),
        ]
    };
    let mut expected = transfer(0x8F, vec![0x33]).to_vec();
    for (register, value) in [
        (0x23, 0x88),
        (0x24, 0x40),
        (0x2E, 0x00),
        (0x2E, 0x80),
        (0x20, 0x77),
    ] {
        expected.push(spi::Transaction::transaction_start());
        expected.push(spi::Transaction::write_vec(vec![register, value]));
        expected.push(spi::Transaction::transaction_end());
    }
    expected.extend(transfer(0xAF, vec![0x01]));
    expected.extend(transfer(0xE8, vec![0x10, 0x00, 0x20, 0x00, 0x30, 0x00]));
    let mut mock = spi::Mock::new(&expected);
    let mut sensor = Lis3dh::new(OverSpi { spi: mock.clone() });
    sensor.start(Rate::Hz400).unwrap();
    let mut samples = [[0; 3]; 32];
    assert_eq!(sensor.read(&mut samples), Ok(1));
    assert_eq!(samples[0], [1, 2, 3]);
    mock.done();
}

#[test]
fn reads_no_more_than_there_is_room_for() {
    let mut mock = i2c::Mock::new(&[
        i2c::Transaction::write_read(ADDRESS, vec![0x2F], vec![0x1F]),
        i2c::Transaction::write_read(ADDRESS, vec![0xA8], vec![0x10; 6]),
        i2c::Transaction::write_read(ADDRESS, vec![0x2F], vec![0x1E]),
    ]);
    let mut sensor = on_i2c(&mock);
    assert_eq!(sensor.read(&mut [[0; 3]]), Ok(1));
    assert_eq!(sensor.read(&mut []), Ok(0));
    mock.done();
}

#[test]
fn another_device_is_named_and_left_alone() {
    let mut mock = i2c::Mock::new(&[i2c::Transaction::write_read(
        ADDRESS,
        vec![0x0F],
        vec![0x32],
    )]);
    let error = on_i2c(&mock).start(Rate::Hz100).unwrap_err();
    assert_eq!(error, Error::WrongDevice { found: 0x32 });
    assert_eq!(
        error.to_string(),
        "WHO_AM_I is 0x32, not 0x33: no LIS3DH answers"
    );
    mock.done();
}

#[test]
fn a_full_fifo_is_emptied_and_named_and_then_read_on() {
    let mut mock = i2c::Mock::new(&[
        i2c::Transaction::write_read(ADDRESS, vec![0x2F], vec![0xDF]),
        i2c::Transaction::write(ADDRESS, vec![0x2E, 0x00]),
        i2c::Transaction::write(ADDRESS, vec![0x2E, 0x80]),
        i2c::Transaction::write_read(ADDRESS, vec![0x2F], vec![0x01]),
        i2c::Transaction::write_read(ADDRESS, vec![0xA8], vec![0x10, 0, 0x10, 0, 0x10, 0]),
    ]);
    let mut sensor = on_i2c(&mock);
    let mut samples = [[0; 3]; 32];
    assert_eq!(sensor.read(&mut samples), Err(Error::Overrun));
    assert_eq!(sensor.read(&mut samples), Ok(1));
    assert_eq!(samples[0], [1, 1, 1]);
    mock.done();
}

/// Every transfer of a start and a read fails once; the error is the bus's own, nothing follows it,
/// and the next start succeeds.
#[test]
fn a_bus_error_at_any_place_is_passed_on_and_the_next_start_recovers() {
    let mut whole = starting();
    whole.push(i2c::Transaction::write_read(
        ADDRESS,
        vec![0x2F],
        vec![0x01],
    ));
    whole.push(i2c::Transaction::write_read(
        ADDRESS,
        vec![0xA8],
        vec![0; 6],
    ));
    for (place, kind) in (0..whole.len()).flat_map(|place| {
        [
            (place, ErrorKind::Bus),
            (
                place,
                ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address),
            ),
        ]
    }) {
        let mut expected = whole[..place].to_vec();
        expected.push(whole[place].clone().with_error(kind));
        expected.extend(starting());
        let mut mock = i2c::Mock::new(&expected);
        let mut sensor = on_i2c(&mock);
        let mut samples = [[0; 3]; 32];
        let failed = sensor
            .start(Rate::Hz100)
            .and_then(|()| sensor.read(&mut samples).map(|_| ()));
        assert_eq!(failed, Err(Error::Bus(kind)), "at transfer {place}");
        assert_eq!(sensor.start(Rate::Hz100), Ok(()), "after transfer {place}");
        mock.done();
    }
}
