//! The data sets that are known by name: shape, file names, published checksums, mirrors.

use super::Part;
use super::format::{Labelling, Source};
use super::frames::Sensor;
use crate::{Error, Result};

/// A data set known by name.
#[derive(Debug)]
#[non_exhaustive]
pub struct Dataset {
    /// The name on the command line.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Number of classes.
    pub classes: usize,
    /// How its samples are stored.
    pub storage: Storage,
    /// Where the published files are, in the order in which they are tried; each ends in `/`.
    pub mirrors: &'static [&'static str],
}

/// How the samples of a data set are stored.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Storage {
    /// Pictures and labels in IDX files.
    Idx {
        /// Height, width and channels.
        shape: [usize; 3],
        /// Training pictures and labels, test pictures and labels.
        files: &'static [PublishedFile; 4],
        /// Whether a part of it comes with the program.
        bundled: bool,
    },
    /// Files of a format of [`super::format`].
    Files {
        /// Where and how, relative to the folder that `--data` names.
        source: fn() -> Source,
        /// What that folder holds, for messages.
        needs: &'static str,
    },
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
    classes: 10,
    storage: Storage::Idx {
        shape: [28, 28, 1],
        bundled: true,
        files: &MNIST_FILES,
    },
    mirrors: &[
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ],
};

const MNIST_FILES: [PublishedFile; 4] = [
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
];

const FASHION_MNIST_FILES: [PublishedFile; 4] = [
    PublishedFile {
        name: "train-images-idx3-ubyte",
        bytes: 47_040_016,
        sha256: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    },
    PublishedFile {
        name: "train-labels-idx1-ubyte",
        bytes: 60_008,
        sha256: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    },
    PublishedFile {
        name: "t10k-images-idx3-ubyte",
        bytes: 7_840_016,
        sha256: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    },
    PublishedFile {
        name: "t10k-labels-idx1-ubyte",
        bytes: 10_008,
        sha256: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
];

const FASHION_MNIST: Dataset = Dataset {
    name: "fashion-mnist",
    about: "articles of clothing, 60,000 training and 10,000 test pictures of 28x28 grey pixels",
    classes: 10,
    storage: Storage::Idx {
        shape: [28, 28, 1],
        bundled: false,
        files: &FASHION_MNIST_FILES,
    },
    mirrors: &["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"],
};

/// The 700 channels of the cochlea model of SHD and SSC.
const COCHLEA: Sensor = Sensor {
    height: 1,
    width: 700,
    polarities: 1,
};

/// The channels of the integer cochlea.
const VOICE: Sensor = Sensor {
    height: 1,
    width: 64,
    polarities: 1,
};

const DVS128: Sensor = Sensor {
    height: 128,
    width: 128,
    polarities: 2,
};

/// A source with the values that most have.
fn source(format: &str, train: &str, test: Option<&str>, classes: usize, sensor: Sensor) -> Source {
    Source {
        format: format.into(),
        train: train.into(),
        test: test.map(Into::into),
        classes,
        sensor: Some(sensor),
        label: Labelling::Folder,
        first_class: 0,
        test_takes: None,
    }
}

const fn files(
    name: &'static str,
    about: &'static str,
    classes: usize,
    source: fn() -> Source,
    needs: &'static str,
) -> Dataset {
    Dataset {
        name,
        about,
        classes,
        storage: Storage::Files { source, needs },
        mirrors: &[],
    }
}

const SHD: Dataset = files(
    "shd",
    "Spiking Heidelberg Digits: 20 spoken digits as spikes of 700 cochlea channels",
    20,
    || source("shd", "shd_train.h5", Some("shd_test.h5"), 20, COCHLEA),
    "shd_train.h5 and shd_test.h5, each with or without .gz",
);

const SSC: Dataset = files(
    "ssc",
    "Spiking Speech Commands: 35 spoken words as spikes of 700 cochlea channels",
    35,
    || source("shd", "ssc_train.h5", Some("ssc_test.h5"), 35, COCHLEA),
    "ssc_train.h5 and ssc_test.h5, each with or without .gz",
);

const SPOKEN_DIGITS: Dataset = files(
    "spoken-digits",
    "Free Spoken Digit Dataset as spikes of 700 cochlea channels, in the format of SHD",
    10,
    || source("shd", "fsdd_train.h5", Some("fsdd_test.h5"), 10, COCHLEA),
    "fsdd_train.h5 and fsdd_test.h5, each with or without .gz",
);

const SPOKEN_DIGITS_WAV: Dataset = files(
    "spoken-digits-wav",
    "Free Spoken Digit Dataset as WAV, made spikes by the integer cochlea; takes 0 to 4 are the test",
    10,
    || Source {
        label: Labelling::Prefix,
        test_takes: Some(5),
        ..source("wav", "recordings", None, 10, VOICE)
    },
    "the folder recordings of the Free Spoken Digit Dataset, or a .tar.gz of it",
);

const NMNIST: Dataset = files(
    "nmnist",
    "N-MNIST: handwritten digits before a moving event camera, 34x34, the folders Train and Test",
    10,
    || source("events", "Train", Some("Test"), 10, NMNIST_SENSOR),
    "the folders Train and Test of N-MNIST",
);

const NMNIST_SMALL: Dataset = files(
    "nmnist-small",
    "the first 1,000 training and 100 test recordings of N-MNIST, with their label files",
    10,
    || {
        let test = Some("NMNISTsmall/test100.txt");
        source("events", "NMNISTsmall/train1K.txt", test, 10, NMNIST_SENSOR)
    },
    "the folder NMNISTsmall, or a .tar.gz of it",
);

const NMNIST_SENSOR: Sensor = Sensor {
    height: 34,
    width: 34,
    polarities: 2,
};

const DVS_GESTURE: Dataset = files(
    "dvs-gesture",
    "DVS128 Gesture: 11 gestures before an event camera, AEDAT 3.1 with a label file each",
    11,
    || Source {
        first_class: 1,
        ..source(
            "aedat",
            "trials_to_train.txt",
            Some("trials_to_test.txt"),
            11,
            DVS128,
        )
    },
    "the .aedat files, their _labels.csv, trials_to_train.txt and trials_to_test.txt",
);

const DVS_GESTURE_NPY: Dataset = files(
    "dvs-gesture-npy",
    "DVS128 Gesture as the .npy event arrays of Tonic",
    11,
    || Source {
        label: Labelling::Stem,
        ..source("npy", "ibmGestureTrain", Some("ibmGestureTest"), 11, DVS128)
    },
    "the folders ibmGestureTrain and ibmGestureTest of Tonic's download",
);

const DVS_CLIPS: Dataset = files(
    "dvs-clips",
    "ten clips of DVS128 Gesture, one a class: for a try only, no accuracy follows from them",
    10,
    || Source {
        label: Labelling::Stem,
        first_class: 1,
        ..source("events", "dvs128-gesture-10", None, 10, DVS128)
    },
    "the folder dvs128-gesture-10 with 01.bs2 to 10.bs2, or a .tar.gz of it",
);

/// Every data set known by name.
pub const DATASETS: &[Dataset] = &[
    MNIST,
    FASHION_MNIST,
    SHD,
    SSC,
    SPOKEN_DIGITS,
    SPOKEN_DIGITS_WAV,
    NMNIST,
    NMNIST_SMALL,
    DVS_GESTURE,
    DVS_GESTURE_NPY,
    DVS_CLIPS,
];

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

    /// Its files with published checksums: training pictures and labels, test pictures and labels;
    /// none for a data set of another format.
    pub fn files(&self) -> impl Iterator<Item = &'static PublishedFile> {
        let files: &[_] = match self.storage {
            Storage::Idx { files, .. } => files,
            Storage::Files { .. } => &[],
        };
        files.iter()
    }

    /// Pictures and labels of a part, where they are in IDX files.
    pub(super) fn part(&self, part: Part) -> Option<[&'static PublishedFile; 2]> {
        let Storage::Idx {
            files: [train, train_labels, test, test_labels],
            ..
        } = self.storage
        else {
            return None;
        };
        Some(match part {
            Part::Train => [train, train_labels],
            Part::Test => [test, test_labels],
        })
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
