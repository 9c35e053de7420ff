//! Labelled data: what is known by name, where it is read from, and how it is split.
//!
//! Training, validation and test samples are different types, so that a training loop cannot take
//! the test set by mistake: a function that tunes anything accepts [`TrainSet`] and
//! [`ValidationSet`] only.

mod bundled;
mod catalog;
pub mod fetch;
pub mod idx;

use std::fmt::Write as _;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use self::idx::Idx;
use crate::{Error, Result};

pub use catalog::{DATASETS, Dataset, PublishedFile};

/// Labelled samples of one shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    shape: [usize; 3],
    classes: usize,
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Samples {
    /// Samples of `shape` (height, width, channels), one label below `classes` for each; the pixels
    /// of a sample lie in the order row, column, channel.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no sample, a side of the shape is 0, a label is out of
    /// range, or the number of pixels is not that of the shape times the number of labels.
    pub fn new(
        shape: [usize; 3],
        classes: usize,
        pixels: Vec<u8>,
        labels: Vec<u8>,
    ) -> Result<Self> {
        if labels.is_empty() || shape.contains(&0) {
            return Err(Error::usage(format!(
                "nothing in it: {} samples of shape {shape:?}",
                labels.len()
            )));
        }
        if let Some(label) = labels.iter().find(|&&label| usize::from(label) >= classes) {
            return Err(Error::usage(format!(
                "label {label} is out of range: {classes} classes"
            )));
        }
        let wanted = shape
            .iter()
            .try_fold(labels.len(), |product, &side| product.checked_mul(side));
        if wanted != Some(pixels.len()) {
            return Err(Error::usage(format!(
                "{} pixels do not make {} samples of shape {shape:?}",
                pixels.len(),
                labels.len()
            )));
        }
        Ok(Self {
            shape,
            classes,
            pixels,
            labels,
        })
    }

    /// Number of samples, at least 1.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no sample; never so for samples made by [`Samples::new`].
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Height, width and channels of a sample.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The pixels of a sample in the order row, column, channel.
    ///
    /// # Panics
    /// Where `index` is not below [`Samples::len`].
    pub fn pixels(&self, index: usize) -> &[u8] {
        let size = self.shape.iter().product::<usize>();
        &self.pixels[index * size..][..size]
    }

    /// The label of a sample.
    ///
    /// # Panics
    /// Where `index` is not below [`Samples::len`].
    pub fn label(&self, index: usize) -> u8 {
        self.labels[index]
    }

    /// Keeps the first `count` samples, all where there are fewer, and at least one.
    pub fn truncate(&mut self, count: usize) {
        let count = count.clamp(1, self.len());
        self.labels.truncate(count);
        self.pixels
            .truncate(count * self.shape.iter().product::<usize>());
    }

    /// How many samples each class has.
    pub fn histogram(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        self.labels
            .iter()
            .for_each(|&label| counts[usize::from(label)] += 1);
        counts
    }

    fn select(&self, indices: &[usize]) -> Self {
        Self {
            shape: self.shape,
            classes: self.classes,
            pixels: indices
                .iter()
                .flat_map(|&index| self.pixels(index))
                .copied()
                .collect(),
            labels: indices.iter().map(|&index| self.label(index)).collect(),
        }
    }
}

macro_rules! sample_set {
    ($(#[doc = $doc:literal] $name:ident;)*) => {$(
        #[doc = $doc]
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(Samples);

        impl Deref for $name {
            type Target = Samples;

            fn deref(&self) -> &Samples {
                &self.0
            }
        }
    )*};
}

sample_set! {
    /// The samples that weights, norms and thresholds are trained on.
    TrainSet;
    /// The samples, cut from the training data, that choices are made by (early stopping, settings).
    ValidationSet;
    /// The samples that only the final accuracy is measured on.
    TestSet;
}

/// The three parts of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splits {
    /// What the network is trained on.
    pub train: TrainSet,
    /// What choices are made by.
    pub validation: ValidationSet,
    /// What the final accuracy is measured on.
    pub test: TestSet,
}

impl Splits {
    /// Cuts the validation set, a share `validation` of it (at least one sample, and at most all but
    /// one), from the training samples, drawn by `seed`.
    ///
    /// # Errors
    /// [`Error::Usage`] where the share is not between 0 and 1, or there are fewer than two samples.
    pub fn cut(training: &Samples, test: Samples, validation: f64, seed: u64) -> Result<Self> {
        let (train, validation) = cut_validation(training, validation, seed)?;
        Ok(Self {
            train,
            validation,
            test: TestSet(test),
        })
    }
}

/// What to load.
#[derive(Debug, Clone, Copy)]
pub struct DataRequest<'a> {
    /// The name of the data set, as in [`DATASETS`].
    pub name: &'a str,
    /// The folder with its files; `None` takes the bundled samples.
    pub dir: Option<&'a Path>,
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
            dir,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Train,
    Test,
}

/// Loads a data set and cuts its validation set.
///
/// # Errors
/// [`Error::Usage`] where the name is unknown, a file is missing, wrong or does not fit its
/// counterpart, or the request asks for an impossible split; the message names which.
pub fn load(request: &DataRequest<'_>) -> Result<Splits> {
    let dataset = Dataset::by_name(request.name)?;
    let training = limited(load_part(dataset, request.dir, Part::Train)?, request.limit)?;
    let test = load_part(dataset, request.dir, Part::Test)?;
    Splits::cut(&training, test, request.validation, request.seed)
}

/// Loads one part of a data set, the same samples that [`load`] gives for it. The test set needs no
/// training files, and `validation`, `limit` and `seed` play no role for it.
///
/// # Errors
/// As [`load`].
pub fn load_split(request: &DataRequest<'_>, split: Split) -> Result<Samples> {
    let dataset = Dataset::by_name(request.name)?;
    if split == Split::Test {
        return load_part(dataset, request.dir, Part::Test);
    }
    let training = limited(load_part(dataset, request.dir, Part::Train)?, request.limit)?;
    let (train, validation) = cut_validation(&training, request.validation, request.seed)?;
    Ok(if split == Split::Train {
        train.0
    } else {
        validation.0
    })
}

/// What [`check`] found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Checked {
    /// All training samples.
    pub train: Samples,
    /// All test samples.
    pub test: Samples,
    /// For each file that is not the published one, its path and both checksums.
    pub differences: Vec<String>,
}

/// Reads all files of a data set and compares them with the published ones; the bundled samples,
/// which are but a part, are only read.
///
/// # Errors
/// As [`load`]; a file with other content than the published one is no error.
pub fn check(name: &str, dir: Option<&Path>) -> Result<Checked> {
    let dataset = Dataset::by_name(name)?;
    let train = load_part(dataset, dir, Part::Train)?;
    let test = load_part(dataset, dir, Part::Test)?;
    let mut differences = Vec::new();
    for (dir, file) in dir
        .iter()
        .flat_map(|dir| dataset.files().map(move |file| (dir, file)))
    {
        let path = find(dataset, dir, file)?;
        if let Err(cause) = fetch::check_content(&path, file) {
            differences.push(format!("{}: {cause}", path.display()));
        }
    }
    Ok(Checked {
        train,
        test,
        differences,
    })
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

fn load_part(dataset: &Dataset, dir: Option<&Path>, part: Part) -> Result<Samples> {
    let Some(dir) = dir else {
        return bundled::mnist(part);
    };
    let [images, labels] = match part {
        Part::Train => &dataset.train,
        Part::Test => &dataset.test,
    };
    let (images, labels) = (find(dataset, dir, images)?, find(dataset, dir, labels)?);
    let samples = read_files(&images, &labels, Some(dataset.classes))?;
    if samples.shape() != dataset.shape {
        return Err(Error::usage(format!(
            "{}: pictures of shape {:?}, but those of `{}` have {:?}",
            images.display(),
            samples.shape(),
            dataset.name,
            dataset.shape
        )));
    }
    Ok(samples)
}

/// The path of a data set's file under one of its spellings.
fn find(dataset: &Dataset, dir: &Path, file: &PublishedFile) -> Result<PathBuf> {
    let spellings = file.spellings();
    if let Some(path) = spellings
        .iter()
        .map(|name| dir.join(name))
        .find(|path| path.is_file())
    {
        return Ok(path);
    }
    let trouble = if dir.is_dir() {
        format!(
            "{} has none of the files {}",
            dir.display(),
            spellings.join(", ")
        )
    } else if dir.exists() {
        format!("{} is not a folder", dir.display())
    } else {
        format!("there is no folder {}", dir.display())
    };
    Err(Error::usage(format!(
        "{trouble}; `bitspike data fetch {} --dir DIR` downloads the data set into DIR",
        dataset.name
    )))
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

fn cut_validation(samples: &Samples, share: f64, seed: u64) -> Result<(TrainSet, ValidationSet)> {
    if !(share > 0.0 && share < 1.0) {
        return Err(Error::usage(format!(
            "a validation share of {share}: it must lie between 0 and 1, 0.1 for instance"
        )));
    }
    let count = samples.len();
    if count < 2 {
        return Err(Error::usage(
            "only 1 training sample: at least 2 are needed, one to train on and one for validation",
        ));
    }
    let held_back = ((count as f64 * share).round() as usize).clamp(1, count - 1);
    let order = shuffled(count, seed);
    let (validation, train) = order.split_at(held_back);
    Ok((
        TrainSet(samples.select(train)),
        ValidationSet(samples.select(validation)),
    ))
}

/// Fisher-Yates, written out down to the key of the generator so that a later release of a library
/// cannot change which samples a seed selects.
fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(key);
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        let draw = u128::from(rng.next_u64()) * (last as u128 + 1);
        order.swap(last, (draw >> 64) as usize);
    }
    order
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
