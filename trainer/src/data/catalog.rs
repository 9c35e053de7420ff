//! The data sets that are known by name: shape, file names, published checksums, mirrors.

use crate::{Error, Result};

/// A data set known by name.
#[derive(Debug)]
#[non_exhaustive]
pub struct Dataset {
    /// The name on the command line.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Height, width and channels.
    pub shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Training pictures and labels.
    pub train: [PublishedFile; 2],
    /// Test pictures and labels.
    pub test: [PublishedFile; 2],
    /// Where the published files are, in the order in which they are tried; each ends in `/`.
    pub mirrors: &'static [&'static str],
}

/// A file as it was published.
#[derive(Debug)]
#[non_exhaustive]
pub struct PublishedFile {
    /// Its name without `.gz`.
    pub name: &'static str,
    /// Length of the decompressed content.
    pub bytes: u64,
    /// SHA-256 of the decompressed content: `.gz` files of the same content differ between mirrors.
    pub sha256: &'static str,
}

const MNIST: Dataset = Dataset {
    name: "mnist",
    about: "handwritten digits, 60,000 training and 10,000 test pictures of 28x28 grey pixels",
    shape: [28, 28, 1],
    classes: 10,
    train: [
        PublishedFile {
            name: "train-images-idx3-ubyte",
            bytes: 47_040_016,
            sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        },
        PublishedFile {
            name: "train-labels-idx1-ubyte",
            bytes: 60_008,
            sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        },
    ],
    test: [
        PublishedFile {
            name: "t10k-images-idx3-ubyte",
            bytes: 7_840_016,
            sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        },
        PublishedFile {
            name: "t10k-labels-idx1-ubyte",
            bytes: 10_008,
            sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ],
    mirrors: &[
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ],
};

/// Every data set known by name.
pub const DATASETS: &[Dataset] = &[MNIST];

impl Dataset {
    /// The data set of that name.
    ///
    /// # Errors
    /// [`Error::Usage`] with the known names.
    pub fn by_name(name: &str) -> Result<&'static Self> {
        DATASETS
            .iter()
            .find(|dataset| dataset.name == name)
            .ok_or_else(|| {
                let known: Vec<_> = DATASETS.iter().map(|dataset| dataset.name).collect();
                Error::usage(format!(
                    "unknown data set `{name}`; known: {}",
                    known.join(", ")
                ))
            })
    }

    /// Its four files: training pictures and labels, test pictures and labels.
    pub fn files(&self) -> impl Iterator<Item = &PublishedFile> {
        self.train.iter().chain(&self.test)
    }
}

impl PublishedFile {
    /// The names under which the file is looked for, the first one found is taken: as published,
    /// with a dot as some archives unpack it, each with and without `.gz`.
    pub fn spellings(&self) -> [String; 4] {
        let dotted = self.name.replace("-idx", ".idx");
        [
            self.name.to_owned(),
            format!("{}.gz", self.name),
            dotted.clone(),
            format!("{dotted}.gz"),
        ]
    }
}
