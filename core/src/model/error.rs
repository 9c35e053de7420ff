//! Why a model, an input or a parameter is refused.

use core::fmt;

use crate::message::Piece::{self, Hex, Number, Text};
use crate::message::{Message, in_layer, number};

/// Why a model is refused. Layers count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelError {
    /// The file does not start with `BSNN`: it is no model file.
    Magic {
        /// The first word.
        got: u32,
    },
    /// The file is of a format version that this build does not read.
    Version {
        /// Version of the file.
        got: u32,
        /// Version that this build reads.
        expected: u32,
    },
    /// The file ends early.
    Cut {
        /// Length in bytes that the file should have.
        expected: usize,
        /// Length in bytes that it has.
        got: usize,
    },
    /// There are bytes behind the end of the model.
    Trailing {
        /// Length in bytes that the file should have.
        expected: usize,
        /// Length in bytes that it has.
        got: usize,
    },
    /// The checksum does not match: at least one bit of the file has changed.
    Checksum {
        /// CRC-32 that the file states.
        expected: u32,
        /// CRC-32 of what is there.
        got: u32,
    },
    /// The lengths of the sections do not add up to the file's length.
    Sections,
    /// The postcard section of layers cannot be read.
    Network,
    /// The postcard section of metadata cannot be read, or is of another version.
    Metadata,
    /// A number is written in more bytes than it needs: one network has one file.
    Overlong {
        /// The section: layers or metadata.
        section: &'static str,
        /// Bytes too many.
        bytes: usize,
    },
    /// A count of the prelude is not the one that the layers need.
    Count {
        /// What is counted.
        what: &'static str,
        /// Count that the layers need.
        expected: usize,
        /// Count that the prelude states.
        got: usize,
    },
    /// A model has 1 to 16 layers.
    Layers {
        /// Number of layers.
        got: usize,
    },
    /// A decision takes 1 to 65,536 steps.
    Steps {
        /// Number of steps.
        got: u32,
    },
    /// The logit scale is infinite or not a number.
    LogitScale {
        /// Its bits, as those of an `f32`.
        bits: u32,
    },
    /// The input has no values, or more than 65,535.
    Input {
        /// Number of values.
        got: usize,
    },
    /// A layer has no units, or more than 65,535.
    Units {
        /// Index of the layer.
        layer: usize,
        /// Number of units.
        got: usize,
    },
    /// A kernel or pooling window is empty, has stride 0 or is larger than what it reads.
    Shape {
        /// Index of the layer.
        layer: usize,
        /// What does not fit.
        what: &'static str,
    },
    /// A pooling or input kind is used where it is not defined.
    Undefined {
        /// Index of the layer.
        layer: usize,
        /// What is not defined.
        what: &'static str,
    },
    /// The largest synaptic sum by the layer's shape passes `i32`.
    Sum {
        /// Index of the layer.
        layer: usize,
        /// The largest magnitude.
        largest: u64,
    },
    /// `beta` passes 32768, or the fraction is outside -16 ..= 16.
    Numerics {
        /// Index of the layer.
        layer: usize,
        /// What is out of range.
        what: &'static str,
    },
    /// A padding bit of the weights, or the half word behind an odd number of 16-bit thresholds,
    /// biases or gains, is set.
    Padding {
        /// Index of the layer.
        layer: usize,
    },
    /// A threshold, bias or gain is out of range.
    Parameter {
        /// Index of the layer.
        layer: usize,
        /// What is wrong.
        error: ParameterError,
    },
    /// A layer needs a part of the engine that this program has left out: it was built for another
    /// model ([`parts`](super::parts)).
    Part {
        /// Index of the layer; of the last one where the input or the read-out needs the part.
        layer: usize,
    },
    /// The read-out does not match the last layer.
    Readout {
        /// What does not match.
        what: &'static str,
    },
}

/// What is wrong with a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParameterError {
    /// A threshold is under 1.
    Threshold {
        /// Index of the threshold.
        index: usize,
        /// Its value.
        got: i32,
    },
    /// A gain is outside `1 ..= 32767`.
    Gain {
        /// Index of the class.
        index: usize,
        /// Its value.
        got: i32,
    },
    /// A threshold or bias does not fit the layer's membrane type.
    Range {
        /// Index of the parameter.
        index: usize,
        /// Its value.
        got: i32,
    },
}

impl ParameterError {
    /// What is wrong, in pieces.
    fn pieces(self) -> [Piece<'static>; 5] {
        let (what, index, got, how) = match self {
            Self::Threshold { index, got } => ("threshold ", index, got, ", under 1"),
            Self::Gain { index, got } => ("gain ", index, got, ", not in 1 to 32767"),
            Self::Range { index, got } => (
                "parameter ",
                index,
                got,
                ", which does not fit the membrane's type",
            ),
        };
        [
            Text(what),
            number(index),
            Text(" is "),
            Number(got.into()),
            Text(how),
        ]
    }
}

impl fmt::Display for ParameterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Message::new(self.pieces()).fmt(f)
    }
}

impl core::error::Error for ParameterError {}

impl ModelError {
    /// What is wrong in a few words, for a build that fails; `bitspike inspect` says it in full.
    pub(super) const fn summary(&self) -> &'static str {
        match self {
            Self::Magic { .. } => "the model is refused: it is not a model file",
            Self::Version { .. } => "the model is refused: another version of the format",
            Self::Cut { .. } => "the model is refused: the file is cut",
            Self::Trailing { .. } => "the model is refused: the file is too long",
            Self::Checksum { .. } => "the model is refused: the checksum does not match",
            Self::Layers { .. } => {
                "the model is refused: it has more layers than there is room for"
            }
            Self::Part { .. } => "the model is refused: it needs a part that is left out",
            _ => "the model is refused: `bitspike inspect` says why",
        }
    }

    /// What is wrong, for a device that has no room for `core::fmt`.
    pub fn message(&self) -> Message {
        match *self {
            Self::Magic { got } => Message::new([
                Text("not a model file: it starts with 0x"),
                Hex(got),
                Text(", not with \"BSNN\""),
            ]),
            Self::Version { got, expected } => Message::new([
                Text("model format version "),
                Number(got.into()),
                Text("; this build reads version "),
                Number(expected.into()),
            ]),
            Self::Cut { expected, got } => Message::new([
                Text("the file is cut: "),
                number(got),
                Text(" bytes of "),
                number(expected),
            ]),
            Self::Trailing { expected, got } => Message::new([
                Text("the file is too long: "),
                number(got),
                Text(" bytes, the model ends at "),
                number(expected),
            ]),
            Self::Checksum { expected, got } => Message::new([
                Text("the checksum does not match (stated 0x"),
                Hex(expected),
                Text(", found 0x"),
                Hex(got),
                Text("): the file is damaged"),
            ]),
            Self::Sections => Message::new([Text(
                "the lengths of the sections do not add up to the file",
            )]),
            Self::Network => Message::new([Text("the section of layers cannot be read")]),
            Self::Metadata => Message::new([Text("the section of metadata cannot be read")]),
            Self::Overlong { section, bytes } => Message::new([
                Text("the section of "),
                Text(section),
                Text(" has a number in a longer form than needed, by "),
                number(bytes),
                Text(" bytes"),
            ]),
            Self::Count {
                what,
                expected,
                got,
            } => Message::new([
                Text("the prelude states "),
                number(got),
                Text(" "),
                Text(what),
                Text(", the layers need "),
                number(expected),
            ]),
            Self::Layers { got } => Message::new([number(got), Text(" layers, not 1 to 16")]),
            Self::Steps { got } => {
                Message::new([Number(got.into()), Text(" steps, not 1 to 65536")])
            }
            // As bits: to print an `f32` would take more flash than the loader.
            Self::LogitScale { bits } => Message::new([
                Text("the logit scale is not finite: its bits are 0x"),
                Hex(bits),
            ]),
            Self::Input { got } => {
                Message::new([number(got), Text(" input values, not 1 to 65535")])
            }
            Self::Units { layer, got } => {
                in_layer(layer, [number(got), Text(" units, not 1 to 65535")])
            }
            Self::Shape { layer, what } => in_layer(
                layer,
                [
                    Text("the "),
                    Text(what),
                    Text(" does not fit what it reads"),
                ],
            ),
            Self::Undefined { layer, what } => {
                in_layer(layer, [Text(what), Text(" is not defined")])
            }
            Self::Sum { layer, largest } => in_layer(
                layer,
                [
                    Text("synaptic sums up to "),
                    Number(largest as i64),
                    Text(" do not fit 32 bits"),
                ],
            ),
            Self::Numerics { layer, what } => {
                in_layer(layer, [Text("the "), Text(what), Text(" is out of range")])
            }
            Self::Padding { layer } => in_layer(layer, [Text("a padding bit is not 0")]),
            Self::Parameter { layer, error } => in_layer(layer, error.pieces()),
            Self::Part { layer } => in_layer(
                layer,
                [Text(
                    "it needs a part of the engine that this program has left out",
                )],
            ),
            Self::Readout { what } => {
                Message::new([Text("the read-out does not match: "), Text(what)])
            }
        }
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

impl core::error::Error for ModelError {}

/// Why a model cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// The model would be refused when it is loaded.
    Refused(ModelError),
    /// The buffer is too small.
    Buffer,
    /// There are not as many parameters as the layer's shape needs.
    Parameters {
        /// Index of the layer.
        layer: usize,
        /// What there is too much or too little of.
        what: &'static str,
        /// Number that the layer needs.
        expected: usize,
        /// Number that is there.
        got: usize,
    },
}

impl From<ModelError> for WriteError {
    fn from(error: ModelError) -> Self {
        Self::Refused(error)
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Refused(error) => error.fmt(f),
            Self::Buffer => f.write_str("the buffer is too small for the model"),
            Self::Parameters {
                layer,
                what,
                expected,
                got,
            } => {
                write!(f, "layer {layer}: {got} {what}, not {expected}")
            }
        }
    }
}

impl core::error::Error for WriteError {}

/// Why an input is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputError {
    /// The model reads bits and bytes were given, or the other way round.
    Kind,
    /// The input has another length than the model's.
    Length {
        /// Bytes of the model's input.
        expected: usize,
        /// Bytes that were given.
        got: usize,
    },
    /// A bit behind the last value is set.
    Padding,
}

impl InputError {
    /// What is wrong, for a device that has no room for `core::fmt`.
    pub fn message(&self) -> Message {
        match *self {
            Self::Kind => Message::new([Text(
                "the model reads another kind of input (bits or bytes)",
            )]),
            Self::Length { expected, got } => Message::new([
                Text("the input has "),
                number(got),
                Text(" bytes, the model reads "),
                number(expected),
            ]),
            Self::Padding => Message::new([Text("a bit behind the input's last value is set")]),
        }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

impl core::error::Error for InputError {}
