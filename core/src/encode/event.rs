//! Events with addresses (event cameras, cochleas) as the spikes of a step.

use super::{EncodeError, check_words};
use crate::bits;
use crate::model::Shape;

/// Gathers the events of one time step: a spike at every address that had at least one.
///
/// The flat address of row `y`, column `x`, channel `c` is `(y * width + x) * channels + c`, as in
/// a feature map; an event camera has two channels, its polarities. One word access an event.
///
/// ```
/// use bitspike_core::encode::Events;
/// use bitspike_core::model::Shape;
/// let mut spikes = [0];
/// let mut events = Events::new(Shape { height: 4, width: 4, channels: 2 }, &mut spikes)?;
/// events.add(0, 1, 1)?;
/// events.add_flat(31)?;
/// assert!(events.add(4, 0, 0).is_err());
/// assert_eq!(events.words(), [1 << 31 | 1 << 3]);
/// # Ok::<(), bitspike_core::encode::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct Events<'a> {
    shape: Shape,
    spikes: &'a mut [u32],
}

impl<'a> Events<'a> {
    /// A step without events yet.
    ///
    /// # Errors
    /// [`EncodeError::Words`] where `spikes` has not one bit an address, in whole words.
    pub fn new(shape: Shape, spikes: &'a mut [u32]) -> Result<Self, EncodeError> {
        check_words(spikes, shape.units())?;
        spikes.fill(0);
        Ok(Self { shape, spikes })
    }

    /// Adds an event at row `y`, column `x`, channel `channel`; another one at the same address
    /// changes nothing.
    ///
    /// # Errors
    /// [`EncodeError::Address`] for an event outside the map, which is not added.
    pub fn add(&mut self, y: u16, x: u16, channel: u16) -> Result<(), EncodeError> {
        let Shape {
            height,
            width,
            channels,
        } = self.shape;
        for (got, side) in [(y, height), (x, width), (channel, channels)] {
            if got >= side {
                let (size, got) = (side.into(), got.into());
                return Err(EncodeError::Address { size, got });
            }
        }
        let pixel = usize::from(y) * usize::from(width) + usize::from(x);
        self.add_flat(pixel * usize::from(channels) + usize::from(channel))
    }

    /// Adds an event at a flat address.
    ///
    /// # Errors
    /// [`EncodeError::Address`] for an event outside the map, which is not added.
    pub fn add_flat(&mut self, address: usize) -> Result<(), EncodeError> {
        let (size, got) = (self.shape.units(), address);
        if got >= size {
            return Err(EncodeError::Address { size, got });
        }
        bits::write(self.spikes, address, 1, 1);
        Ok(())
    }

    /// The spikes of the step, as [`Model::input_words`](crate::model::Model::input_words) reads
    /// them.
    pub fn words(&self) -> &[u32] {
        self.spikes
    }

    /// Starts the next step: no events.
    pub fn clear(&mut self) {
        self.spikes.fill(0);
    }
}
