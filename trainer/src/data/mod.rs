//! Labelled data: what is known by name, where it is read from, and how it is split.
//!
//! Training, validation and test samples are different types, so that a training loop cannot take
//! the test set by mistake: a function that tunes anything accepts [`TrainSet`] and
//! [`ValidationSet`] only.

mod bundled;
mod catalog;
mod collect;
pub mod fetch;
mod files;
pub mod format;
mod frames;
pub mod idx;
mod samples;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use self::collect::collect;
use self::files::Files;
use self::format::Source;
use self::idx::Idx;
use crate::{Error, Result};

pub use catalog::{DATASETS, Dataset, PublishedFile, Storage};
pub use collect::Census;
pub use frames::{Event, Frames, Framing, Polarity, Sensor, Value};
pub use samples::{Form, InputSpec, Samples, Splits, TestSet, TrainSet, ValidationSet};

/// What to load.
#[derive(Debug, Clone, Copy)]
pub struct DataRequest<'a> {
    /// The name of the data set, as in [`DATASETS`].
    pub name: &'a str,
    /// Where its samples are and how they are stored, for a data set that is not in [`DATASETS`].
    pub source: Option<&'a Source>,
    /// The folder with its files; `None` takes the bundled samples.
    pub dir: Option<&'a Path>,
    /// How events become frames.
    pub frames: Option<&'a Framing>,
    /// Time steps of the network, the frames of a recording.
    pub steps: u32,
    /// Share of the training data that becomes the validation set, between 0 and 1.
    pub validation: f64,
    /// Use only that many training samples, the first ones, validation included.
    pub limit: Option<usize>,
    /// Which samples become the validation set.
    pub seed: u64,
}

impl<'a> DataRequest<'a> {
    /// The test samples of a data set, for which only its name and folder count.
    pub fn test(name: &'a str, dir: Option<&'a Path>) -> Self {
        Self {
            name,
            source: None,
            dir,
            frames: None,
            steps: 1,
            validation: 0.5,
            limit: None,
            seed: 0,
        }
    }
}

/// A part of a data set, by the name it has on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Split {
    /// The training samples without those of the validation set
    Train,
    /// The samples cut from the training data that choices are made by
    Validation,
    /// The test samples
    Test,
}

/// What a data set has files for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// The samples that training and validation take theirs from
    Train,
    /// The samples that only the final accuracy is measured on
    Test,
}

/// Loads a data set and cuts its validation set. Where the test files are not there, the splits
/// have no test set.
///
/// # Errors
/// [`Error::Usage`] where the name is unknown, a file is missing, wrong or does not fit its
/// counterpart, or the request asks for an impossible split; the message names which.
pub fn load(request: &DataRequest<'_>) -> Result<Splits> {
    let stored = Stored::of(request)?;
    let training = stored.need(Part::Train, request)?;
    let test = stored.part(Part::Test, request)?;
    let training = limited(training, request.limit)?;
    Splits::cut(&training, test, request.validation, request.seed)
}

/// Loads one part of a data set, the same samples that [`load`] gives for it. The test set needs no
/// training files, and `validation`, `limit` and `seed` play no role for it.
///
/// # Errors
/// As [`load`]; and where the test set is asked for and not there.
pub fn load_split(request: &DataRequest<'_>, split: Split) -> Result<Samples> {
    let stored = Stored::of(request)?;
    if split == Split::Test {
        return stored.need(Part::Test, request);
    }
    let training = limited(stored.need(Part::Train, request)?, request.limit)?;
    let (train, validation) = samples::cut_validation(&training, request.validation, request.seed)?;
    Ok(if split == Split::Train {
        train.into_inner()
    } else {
        validation.into_inner()
    })
}

/// What [`check`] found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Checked {
    /// All training samples.
    pub train: Census,
    /// All test samples; `None` where they are not there.
    pub test: Option<Census>,
    /// For each file that is not the published one, its path and both checksums.
    pub differences: Vec<String>,
}

/// Reads all files of a data set and compares them with the published ones, where there are such;
/// the bundled samples, which are but a part, are only read.
///
/// # Errors
/// As [`load`]; a file with other content than the published one is no error.
pub fn check(request: &DataRequest<'_>) -> Result<Checked> {
    let stored = Stored::of(request)?;
    let train = stored.census(Part::Train, &mut |_, _| Ok(()))?;
    let train = train.ok_or_else(|| stored.missing(Part::Train))?;
    let test = stored.census(Part::Test, &mut |_, _| Ok(()))?;
    let mut differences = Vec::new();
    if let Stored::Idx(dataset, dir) = &stored {
        for file in dataset.files() {
            let Some(path) = find(dir, file) else {
                continue;
            };
            if let Err(cause) = fetch::check_content(&path, file) {
                differences.push(format!("{}: {cause}", path.display()));
            }
        }
    }
    Ok(Checked {
        train,
        test,
        differences,
    })
}

/// Writes a part of a data set as CSV of spikes (docs/datasets.md), and counts what was written.
///
/// # Errors
/// As [`load`]; [`Error::Usage`] for pictures; [`Error::Failed`] where `out` cannot be written.
pub fn convert(request: &DataRequest<'_>, part: Part, out: &Path) -> Result<Census> {
    let stored = Stored::of(request)?;
    let mut writer = format::CsvWriter::new(out)?;
    let census = stored.census(part, &mut |item, class| writer.sample(item, class))?;
    let census = census.ok_or_else(|| stored.missing(part))?;
    writer.finish()?;
    Ok(census)
}

/// Reads pictures and their labels from two IDX files; the highest label decides the number of
/// classes.
///
/// # Errors
/// [`Error::Usage`] with the file that is missing or wrong, or with both where their counts differ.
pub fn read_pair(images: &Path, labels: &Path) -> Result<Samples> {
    read_files(images, labels, None)
}

fn read_files(images: &Path, labels: &Path, classes: Option<usize>) -> Result<Samples> {
    let names = [images.display().to_string(), labels.display().to_string()];
    let [image_name, label_name] = &names;
    idx::pair(
        Idx::read(images, 3)?,
        Idx::read(labels, 1)?,
        [image_name, label_name],
        classes,
    )
}

/// How the samples of a request are stored.
enum Stored<'a> {
    /// The samples that come with the program.
    Bundled,
    /// Pictures and labels in IDX files.
    Idx(&'static Dataset, &'a Path),
    /// Files of some format.
    Files(Files, Source),
}

impl<'a> Stored<'a> {
    fn of(request: &DataRequest<'a>) -> Result<Self> {
        let (name, dir) = (request.name, request.dir);
        let (source, needs) = match request.source {
            Some(source) => (source.clone(), "its samples"),
            None => {
                let dataset = Dataset::by_name(name)?;
                match (dataset.storage, dir) {
                    (Storage::Idx { .. }, Some(dir)) => return Ok(Self::Idx(dataset, dir)),
                    (Storage::Idx { bundled: true, .. }, None) => return Ok(Self::Bundled),
                    (Storage::Idx { .. }, None) => {
                        return Err(no_folder(name, "its four IDX files"));
                    }
                    (Storage::Files { source, needs }, _) => (source(), needs),
                }
            }
        };
        let Some(dir) = dir else {
            return Err(no_folder(name, needs));
        };
        source.format()?;
        Ok(Self::Files(Files::open(dir)?, source))
    }

    /// The samples of a part; `None` where its files are not there.
    fn part(&self, part: Part, request: &DataRequest<'_>) -> Result<Option<Samples>> {
        match self {
            Self::Bundled => bundled::mnist(part).map(Some),
            Self::Idx(dataset, dir) => idx_part(dataset, dir, part),
            Self::Files(files, source) => {
                if !is_there(files, source, part) {
                    return Ok(None);
                }
                let framing = request
                    .frames
                    .map(|frames| (frames, request.steps as usize));
                collect(files, part, source, framing).map(Some)
            }
        }
    }

    fn need(&self, part: Part, request: &DataRequest<'_>) -> Result<Samples> {
        let samples = self.part(part, request)?;
        samples.ok_or_else(|| self.missing(part))
    }

    fn missing(&self, part: Part) -> Error {
        let (what, word) = match part {
            Part::Train => ("training", "train"),
            Part::Test => ("test", "test"),
        };
        Error::usage(match self {
            Self::Bundled => format!("no {what} samples come with bitspike"),
            Self::Idx(dataset, dir) => {
                let names: Vec<_> = dataset
                    .part(part)
                    .into_iter()
                    .flatten()
                    .flat_map(PublishedFile::spellings)
                    .collect();
                let shown = dir.display();
                let trouble = if dir.is_dir() {
                    format!("{shown} has none of the files {}", names.join(", "))
                } else if dir.exists() {
                    format!("{shown} is not a folder")
                } else {
                    format!("there is no folder {shown}")
                };
                format!(
                    "{trouble}; `bitspike data fetch {} --dir DIR` downloads the data set into DIR",
                    dataset.name
                )
            }
            Self::Files(files, source) => match source.place(part) {
                Some(place) => format!(
                    "{} is not there: the {what} samples of the data set are read from it",
                    files.path(place)
                ),
                None => {
                    format!("the data set has no {what} samples: data.source.{word} is not set")
                }
            },
        })
    }

    /// Reads and counts a part; `None` where its files are not there.
    fn census(&self, part: Part, also: &mut format::Sink<'_>) -> Result<Option<Census>> {
        if let Self::Files(files, source) = self {
            if !is_there(files, source, part) {
                return Ok(None);
            }
            return collect::census(files, part, source, also).map(Some);
        }
        let request = DataRequest::test("", None);
        let Some(samples) = self.part(part, &request)? else {
            return Ok(None);
        };
        for index in 0..samples.len() {
            let picture = format::Item::Picture(samples.shape(), samples.pixels(index));
            also(picture, samples.label(index).into())?;
        }
        Ok(Some(Census {
            classes: samples.histogram(),
            picture: Some(samples.shape()),
            ..Census::default()
        }))
    }
}

fn is_there(files: &Files, source: &Source, part: Part) -> bool {
    source.place(part).is_some_and(|place| {
        source
            .format()
            .is_ok_and(|format| format.is_there(files, place))
    })
}

fn no_folder(name: &str, needs: &str) -> Error {
    Error::usage(format!(
        "`{name}` does not come with bitspike: give the folder with {needs} by --data DIR"
    ))
}

/// A part in IDX files; `None` where neither of its two files is there.
fn idx_part(dataset: &'static Dataset, dir: &Path, part: Part) -> Result<Option<Samples>> {
    let Some([images, labels]) = dataset.part(part) else {
        return Ok(None);
    };
    let stored = Stored::Idx(dataset, dir);
    let (images, labels) = match (find(dir, images), find(dir, labels)) {
        (None, None) if part == Part::Test && dir.is_dir() => return Ok(None),
        (Some(images), Some(labels)) => (images, labels),
        _ => return Err(stored.missing(part)),
    };
    let samples = read_files(&images, &labels, Some(dataset.classes))?;
    match dataset.storage {
        Storage::Idx { shape, .. } if shape != samples.shape() => Err(Error::usage(format!(
            "{}: pictures of shape {:?}, but those of `{}` have {shape:?}",
            images.display(),
            samples.shape(),
            dataset.name,
        ))),
        _ => Ok(Some(samples)),
    }
}

/// The path of a published file under one of its spellings.
fn find(dir: &Path, file: &PublishedFile) -> Option<PathBuf> {
    let mut paths = file.spellings().map(|name| dir.join(name)).into_iter();
    paths.find(|path| path.is_file())
}

fn limited(mut samples: Samples, limit: Option<usize>) -> Result<Samples> {
    match limit {
        Some(limit) if limit < 2 => Err(Error::usage(format!(
            "a limit of {limit} training samples: at least 2 are needed, one to train on and one \
             for validation"
        ))),
        Some(limit) => {
            samples.truncate(limit);
            Ok(samples)
        }
        None => Ok(samples),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
