//! The recording through sensor, driver, encoder, network and pin, against core alone.

use bitspike_core::hash::StateHash;
use bitspike_core::model::Model;
use bitspike_core::network::Network;
use bitspike_stream::lis3dh::{ADDRESS, Error, Lis3dh, OverI2c, Rate};
use bitspike_stream::replay::{self, Replay};
use bitspike_stream::watch::{Unfit, Watch};
use embedded_hal::i2c::I2c as _;
use embedded_hal_mock::eh1::digital::{Mock as Pin, State, Transaction};

mod motion;

use motion::{CLASSES, MODEL, MOTIONS, RECORDING, STEP, expected, samples, words};

#[test]
fn the_whole_way_gives_the_bits_of_core_and_the_pin_follows() {
    let file = words(MODEL);
    let model = Model::new(&file).unwrap();
    let expected = expected(&model);
    assert!(expected.len() >= 12);
    let levels: Vec<_> = expected
        .iter()
        .map(|(class, _)| Transaction::set(if *class == 0 { State::Low } else { State::High }))
        .collect();
    let mut pin = Pin::new(&levels);
    let mut memory = vec![0; model.sizes().memory_words()];
    let network = Network::new(&model, &mut memory).unwrap();
    let mut references = [0; 3];
    let mut watch = Watch::new(network, STEP, &mut references, 0).unwrap();
    let mut sensor = Lis3dh::new(OverI2c {
        i2c: Replay::new(RECORDING),
        address: ADDRESS,
    });
    sensor.start(Rate::Hz100).unwrap();
    let mut got = Vec::new();
    let mut state = StateHash::new();
    let mut buffer = [[0; 3]; 32];
    while !sensor.registers().i2c.is_over() {
        let count = sensor.read(&mut buffer).unwrap();
        for sample in &buffer[..count] {
            let decision = watch.sample(*sample, &mut pin).unwrap();
            state.update(watch.network());
            if let Some(decision) = decision {
                got.push((decision.class, state.finish()));
                state = StateHash::new();
            }
        }
    }
    assert_eq!(got, expected);
    pin.done();

    // What the model was trained for, on a recording that it has not seen.
    let named: Vec<_> = got.iter().map(|(class, _)| CLASSES[*class]).collect();
    assert_eq!(named.join(" "), MOTIONS.trim());
}

#[test]
fn a_network_that_reads_something_else_is_refused() {
    let file = words(include_bytes!("../../core/tests/models/v1-mixed.bsnn"));
    let model = Model::new(&file).unwrap();
    let mut memory = vec![0; model.sizes().memory_words()];
    let network = Network::new(&model, &mut memory).unwrap();
    let refused = Watch::new(network, STEP, &mut [0; 3], 0).unwrap_err();
    assert_eq!(refused, Unfit::Input);

    let file = words(MODEL);
    let model = Model::new(&file).unwrap();
    let mut memory = vec![0; model.sizes().memory_words()];
    for (step, rest, why) in [(STEP, 4, Unfit::Class), (0, 0, Unfit::Step)] {
        let network = Network::new(&model, &mut memory).unwrap();
        let refused = Watch::new(network, step, &mut [0; 3], rest).unwrap_err();
        assert_eq!(refused, why);
    }
}

#[test]
fn samples_that_came_too_late_are_named_and_reading_goes_on_behind_them() {
    // The program was away for half a second.
    let mut bus = Replay::new(RECORDING);
    for (register, value) in [(0x24, 0x40), (0x2E, 0x80), (0x20, 0x57)] {
        bus.write(ADDRESS, &[register, value]).unwrap();
    }
    bus.arrive(50);
    let mut sensor = Lis3dh::new(OverI2c {
        i2c: bus,
        address: ADDRESS,
    });
    let mut buffer = [[0; 3]; 32];
    assert_eq!(sensor.read(&mut buffer), Err(Error::Overrun));
    while sensor.read(&mut buffer).unwrap() == 0 {}
    // The first sample behind the loss; which one depends on how many came meanwhile.
    let at = samples().iter().position(|sample| *sample == buffer[0]);
    assert!(at.is_some_and(|at| (50..60).contains(&at)), "{at:?}");
}

#[test]
fn the_replayed_sensor_refuses_what_the_real_one_lacks() {
    let mut bus = Replay::new(RECORDING);
    assert_eq!(
        bus.write(0x19, &[0x20, 0]),
        Err(replay::Error::Address(0x19))
    );
    assert_eq!(
        bus.write(ADDRESS, &[0x0F, 0]),
        Err(replay::Error::Register(0x0F))
    );
    let mut byte = [0];
    let refused = bus.write_read(ADDRESS, &[0x7E], &mut byte);
    assert_eq!(refused, Err(replay::Error::Register(0x7E)));
}
