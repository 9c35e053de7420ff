//! The data that is part of the program, so that training needs neither files nor a network.

use super::idx::{self, Idx};
use super::{Part, Samples};
use crate::{Error, Result};

/// The first 10,000 training and 1,000 test pictures of MNIST; `SOURCE.md` beside the files has
/// origin, licence and checksums.
macro_rules! mnist_small {
    ($file:literal) => {
        (
            concat!("bundled ", $file),
            include_bytes!(concat!("../../data/mnist-small/", $file)).as_slice(),
        )
    };
}

type Embedded = (&'static str, &'static [u8]);

const TRAIN: [Embedded; 2] = [
    mnist_small!("train-images-idx3-ubyte.gz"),
    mnist_small!("train-labels-idx1-ubyte.gz"),
];
const TEST: [Embedded; 2] = [
    mnist_small!("t10k-images-idx3-ubyte.gz"),
    mnist_small!("t10k-labels-idx1-ubyte.gz"),
];

/// The bundled training or test samples of MNIST.
pub(super) fn mnist(part: Part) -> Result<Samples> {
    let [images, labels] = match part {
        Part::Train => TRAIN,
        Part::Test => TEST,
    };
    let parse = |(name, bytes): Embedded, rank| {
        Idx::parse(bytes, rank).map_err(|error| Error::failed(format!("{name}: {error}")))
    };
    idx::pair(
        parse(images, 3)?,
        parse(labels, 1)?,
        [images.0, labels.0],
        Some(10),
    )
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use sha2::{Digest, Sha256};

    use super::super::hexadecimal;
    use super::*;

    const SOURCE: &str = include_str!("../../data/mnist-small/SOURCE.md");

    #[test]
    fn the_files_have_the_checksums_that_their_page_states() {
        for (name, bytes) in TRAIN.into_iter().chain(TEST) {
            let file = name.trim_start_matches("bundled ");
            let line = format!(
                "{}  {file} ({} bytes)",
                hexadecimal(&Sha256::digest(bytes)),
                bytes.len()
            );
            assert!(SOURCE.contains(&line), "SOURCE.md lacks the line\n{line}");
        }
    }

    #[test]
    fn counts_and_first_labels_are_those_of_mnist() {
        let (train, test) = (mnist(Part::Train).unwrap(), mnist(Part::Test).unwrap());
        assert_eq!((train.len(), test.len()), (10_000, 1_000));
        assert_eq!((train.shape(), train.classes()), ([28, 28, 1], 10));
        let first = |samples: &Samples| (0..10).map(|i| samples.label(i)).collect::<Vec<_>>();
        assert_eq!(first(&train), [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
        assert_eq!(first(&test), [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    }

    #[test]
    fn they_are_the_first_of_the_full_files() {
        let dir = std::env::var_os("BITSPIKE_DATA").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
            PathBuf::from,
        );
        let dir = dir.join("mnist");
        if !dir.is_dir() {
            eprintln!(
                "skipped: no full MNIST at {} (BITSPIKE_DATA names it)",
                dir.display()
            );
            return;
        }
        for ((name, bytes), rank) in TRAIN.into_iter().chain(TEST).zip([3, 1, 3, 1]) {
            let cut = Idx::parse(bytes, rank).unwrap();
            let full = Idx::read(&dir.join(name.trim_start_matches("bundled ")), rank).unwrap();
            assert_eq!(cut.dims()[1..], full.dims()[1..], "{name}");
            assert!(full.data().starts_with(cut.data()), "{name}");
        }
    }
}
