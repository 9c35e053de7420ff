//! The formats that samples are read from, one file each. A new one is a file here and a line in
//! [`FORMATS`]; docs/datasets.md shows the steps.

mod aedat;
mod cochlea;
mod csv;
mod events;
mod images;
mod labelled;
mod npy;
mod shd;
mod wav;

use serde::{Deserialize, Serialize};

pub use self::cochlea::bank;
pub(super) use self::csv::Writer as CsvWriter;
use super::Part;
use super::files::Files;
use super::frames::{Event, Sensor};
use crate::{Error, Result};

/// Every format, by the name it has in `data.source.format`.
pub const FORMATS: &[&dyn Format] = &[
    &shd::Shd,
    &events::Events,
    &aedat::Aedat,
    &npy::Npy,
    &wav::Wav,
    &csv::Csv,
    &images::Images,
];

/// One sample, as a format reads it.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    /// Events of a sensor, in any order.
    Events(&'a [Event]),
    /// A picture: height, width and channels, and its pixels in the order row, column, channel.
    Picture([usize; 3], &'a [u8]),
}

/// Takes samples one after the other: what was read, and its class.
pub type Sink<'a> = dyn FnMut(Item<'_>, usize) -> Result<()> + 'a;

/// A way in which samples are stored.
pub trait Format: Sync + std::fmt::Debug {
    /// The name in a configuration.
    fn name(&self) -> &'static str;

    /// What it is, in one line.
    fn about(&self) -> &'static str;

    /// Whether the files of a part are there: a part that is not there is none, a damaged one is an
    /// error of [`Format::read`].
    fn is_there(&self, files: &Files, place: &str) -> bool {
        files.find(place).is_some() || files.below(place).next().is_some()
    }

    /// Hands the samples of a part to `sink`, always in the same order; [`Source::place`] says where
    /// they are.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the file that is missing or wrong, and the cause; and what `sink`
    /// gives.
    fn read(&self, files: &Files, part: Part, source: &Source, sink: &mut Sink<'_>) -> Result<()>;
}

/// Where the samples of a data set are and how they are stored: the table `data.source` of a
/// configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Name of the format.
    pub format: String,
    /// The training samples: a file or a folder, relative to the folder of the data set.
    pub train: String,
    /// The test samples, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    /// Number of classes.
    pub classes: usize,
    /// The sensor that the events come from; not for pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensor: Option<Sensor>,
    /// Where the class of a file stands, for formats of one file a sample.
    #[serde(default)]
    pub label: Labelling,
    /// The number of the first class in the files.
    #[serde(default)]
    pub first_class: usize,
    /// Files whose last number is below this are the test samples, the others of the same folder
    /// the training samples (the Free Spoken Digit Dataset: 5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_takes: Option<u32>,
}

/// Where the class of a file stands, for formats of one file a sample. A part that is itself a text
/// file lists the samples and classes instead, in two columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Labelling {
    /// The name of the file's folder; names that are no numbers count in alphabetical order.
    #[default]
    Folder,
    /// The file's name without its ending, a number: `3.npy`.
    Stem,
    /// The number that the file's name starts with: `3_george_7.wav`.
    Prefix,
}

impl Source {
    /// The file or folder of a part; `None` for test samples that the data set does not have.
    pub fn place(&self, part: Part) -> Option<&str> {
        match part {
            Part::Test if self.test_takes.is_none() => self.test.as_deref(),
            // Takes decide within one folder.
            Part::Train | Part::Test => Some(&self.train),
        }
    }

    /// The file or folder of a part that is there.
    fn known_place(&self, part: Part) -> Result<&str> {
        self.place(part)
            .ok_or_else(|| Error::usage("data.source.test is not set: there are no test samples"))
    }

    /// Its format.
    ///
    /// # Errors
    /// [`Error::Usage`] with the known names.
    pub fn format(&self) -> Result<&'static dyn Format> {
        let known = || {
            let names: Vec<_> = FORMATS.iter().map(|format| format.name()).collect();
            names.join(", ")
        };
        let format = FORMATS.iter().find(|format| format.name() == self.format);
        format.copied().ok_or_else(|| {
            Error::usage(format!(
                "data.source.format = `{}` is not known; there are {}",
                self.format,
                known()
            ))
        })
    }

    /// The sensor that events come from.
    ///
    /// # Errors
    /// [`Error::Usage`] where the table does not say.
    pub fn sensor(&self) -> Result<Sensor> {
        let sensor = self.sensor.ok_or_else(|| {
            Error::usage(
                "data.source.sensor is missing: the samples are events, so say from what, for \
                 example sensor = { height = 1, width = 700, polarities = 1 }",
            )
        })?;
        if sensor.height == 0 || sensor.width == 0 || !(1..=2).contains(&sensor.polarities) {
            return Err(Error::usage(format!(
                "data.source.sensor = {} x {} with {} polarities: sides must be at least 1, \
                 polarities 1 or 2",
                sensor.height, sensor.width, sensor.polarities
            )));
        }
        Ok(sensor)
    }

    /// A class as it stands in a file, counted from 0.
    ///
    /// # Errors
    /// [`Error::Usage`] with the number, where it is none of the classes.
    pub(super) fn class(&self, number: usize) -> Result<usize> {
        let class = number.checked_sub(self.first_class);
        class.filter(|class| *class < self.classes).ok_or_else(|| {
            Error::usage(format!(
                "class {number} is out of range: the data set has the classes {} to {}",
                self.first_class,
                self.first_class + self.classes.max(1) - 1
            ))
        })
    }
}

/// Puts the name of a file before the message of an error that its content caused.
fn named<T>(files: &Files, name: &str, result: Result<T>) -> Result<T> {
    result.map_err(|error| match error {
        Error::Usage(message) => Error::usage(format!("{}: {message}", files.path(name))),
        other => other,
    })
}

#[cfg(test)]
mod tests;
