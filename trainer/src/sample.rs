//! One sample as the integer network reads it, on the host and on a device.

use bitspike_core::model::{Input, Model};

use crate::{Error, Result};

/// What a model reads in one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Graded values, one byte each.
    Bytes(Vec<u8>),
    /// Spikes or bipolar values, 32 a word.
    Words(Vec<u32>),
}

impl Frame {
    /// The checked input.
    ///
    /// # Errors
    /// [`Error::Usage`] where it is of another kind or length than the model's.
    pub fn input<'i>(&'i self, model: &Model<'_>) -> Result<Input<'i>> {
        match self {
            Self::Bytes(bytes) => model.input(bytes),
            Self::Words(words) => model.input_words(words),
        }
        .map_err(|error| Error::usage(error.to_string()))
    }

    /// The bytes on the wire, little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Words(words) => words.iter().flat_map(|word| word.to_le_bytes()).collect(),
        }
    }
}

/// A sample: one frame that every step reads, or one a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sample {
    /// The same in every step.
    Still(Frame),
    /// One frame a step.
    Sequence(Vec<Frame>),
}

impl Sample {
    /// The inputs of a model's steps, in order.
    ///
    /// # Errors
    /// [`Error::Usage`] where a frame is of another kind or length than the model's, or there is
    /// not one for each of its steps.
    pub fn inputs<'i>(&'i self, model: &Model<'_>) -> Result<Vec<Input<'i>>> {
        let steps = model.steps() as usize;
        match self {
            Self::Still(frame) => Ok(vec![frame.input(model)?; steps]),
            Self::Sequence(frames) if frames.len() == steps => {
                frames.iter().map(|frame| frame.input(model)).collect()
            }
            Self::Sequence(frames) => Err(Error::usage(format!(
                "the sample has {} frames, the model reads {steps}",
                frames.len()
            ))),
        }
    }
}
