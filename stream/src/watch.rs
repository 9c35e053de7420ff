//! From samples to decisions: delta encoder, network, output pin.

use core::fmt;

use bitspike_core::decode::Decision;
use bitspike_core::encode::{Delta, EncodeError};
use bitspike_core::message::{Message, Piece::Text};
use bitspike_core::model::{InputKind, parts};
use bitspike_core::network::Network;
use embedded_hal::digital::OutputPin;

/// Values of a sample: x, y and z.
pub const AXES: usize = 3;

/// Why a network cannot watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unfit {
    /// It does not read six channels of spikes: up and down of each axis.
    Input,
    /// It has no class of this number, or only this one.
    Class,
    /// A step of the delta encoder under 1.
    Step,
}

impl Unfit {
    /// What is wrong, in pieces.
    pub fn message(self) -> Message {
        Message::new([Text(match self {
            Self::Input => {
                "the model does not read 6 channels of spikes, up and down of three axes"
            }
            Self::Class => "the model has no class for rest and another",
            Self::Step => "the step of the delta encoder is under 1",
        })])
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

impl core::error::Error for Unfit {}

impl From<EncodeError> for Unfit {
    fn from(_: EncodeError) -> Self {
        Self::Step
    }
}

/// Decides over windows of as many samples as the model has steps, a sample a step, each window from
/// rest; the pin is high from a decision for another class than that of rest to the next decision.
#[derive(Debug)]
pub struct Watch<'a, const LAYERS: usize, const PARTS: u32 = { parts::ALL }> {
    delta: Delta<'a, i16>,
    network: Network<'a, LAYERS, PARTS>,
    rest: usize,
}

impl<'a, const LAYERS: usize, const PARTS: u32> Watch<'a, LAYERS, PARTS> {
    /// Watches with a network: `step` of the delta encoder in units of the samples, memory for its
    /// references, and the class that leaves the pin low.
    ///
    /// # Errors
    /// [`Unfit`] where the network does not read what the encoder writes.
    pub fn new(
        network: Network<'a, LAYERS, PARTS>,
        step: i16,
        references: &'a mut [i16; AXES],
        rest: usize,
    ) -> Result<Self, Unfit> {
        let model = network.model();
        let reads = model.input_shape().units() == 2 * AXES;
        if !reads || model.input_kind() != InputKind::Spikes {
            return Err(Unfit::Input);
        }
        if rest >= model.classes() || model.classes() < 2 {
            return Err(Unfit::Class);
        }
        Ok(Self {
            delta: Delta::new(step, references)?,
            network,
            rest,
        })
    }

    /// Takes one sample; a decision after the last of a window. [`Watch::network`] holds the state
    /// of this step until the next sample.
    ///
    /// # Errors
    /// That of the pin; the sample counts.
    pub fn sample<P: OutputPin>(
        &mut self,
        sample: [i16; AXES],
        pin: &mut P,
    ) -> Result<Option<Decision>, P::Error> {
        let steps = self.network.model().steps();
        if self.network.steps() >= steps {
            self.restart();
        }
        let mut spikes = [0];
        // Three samples for three references, six bits in one word, as `new` has checked: both succeed.
        if self.delta.encode(&sample, &mut spikes).is_err() {
            return Ok(None);
        }
        if let Ok(input) = self.network.model().input_words(&spikes) {
            self.network.step(input);
        }
        if self.network.steps() < steps {
            return Ok(None);
        }
        let decision = self.network.decision();
        if decision.class == self.rest {
            pin.set_low()?;
        } else {
            pin.set_high()?;
        }
        Ok(Some(decision))
    }

    /// Begins a window with the next sample, as after samples that were lost.
    pub fn restart(&mut self) {
        self.delta.reset();
        self.network.reset();
    }

    /// The network, in its state after the last sample.
    pub fn network(&self) -> &Network<'a, LAYERS, PARTS> {
        &self.network
    }
}
