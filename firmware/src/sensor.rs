//! The bus of the accelerometer: two pins on a real board, a recording on an emulated one.

#[cfg(not(real_board))]
mod bus {
    use bitspike_stream::replay::Replay;

    static RECORDING: &[u8] = include_bytes!("../../stream/motion/recording.bin");

    /// The bus.
    pub type Bus = Replay<'static>;

    /// The bus of this board.
    pub fn bus() -> Bus {
        Replay::new(RECORDING)
    }

    /// Whether nothing will come any more.
    pub fn is_over(bus: &Bus) -> bool {
        bus.is_over()
    }

    /// Waits after a failure; whether another try makes sense. Here nothing would change.
    pub fn try_again() -> bool {
        false
    }
}

#[cfg(real_board)]
mod bus {
    use bitspike_stream::soft_i2c::{Lines, SoftI2c};

    use crate::chosen::{HALF_PERIOD, sensor_pins};
    use crate::machine::wait_cycles;
    use crate::register::OpenDrain;

    /// The bus.
    pub type Bus = SoftI2c<Pins>;

    /// Clock and data.
    #[derive(Debug)]
    pub struct Pins {
        clock: OpenDrain,
        data: OpenDrain,
    }

    /// The bus of this board.
    pub fn bus() -> Bus {
        let [clock, data] = sensor_pins();
        SoftI2c::new(Pins { clock, data })
    }

    /// A sensor goes on.
    pub fn is_over(_bus: &Bus) -> bool {
        false
    }

    /// Waits for a second after a failure; whether another try makes sense.
    pub fn try_again() -> bool {
        for _ in 0..200_000 {
            wait_cycles(HALF_PERIOD);
        }
        true
    }

    impl Lines for Pins {
        fn clock(&mut self, high: bool) {
            self.clock.set(high);
        }

        fn data(&mut self, high: bool) {
            self.data.set(high);
        }

        fn clock_is_high(&mut self) -> bool {
            self.clock.is_high()
        }

        fn data_is_high(&mut self) -> bool {
            self.data.is_high()
        }

        fn wait(&mut self) {
            wait_cycles(HALF_PERIOD);
        }
    }
}

pub use bus::{Bus, bus, is_over, try_again};
