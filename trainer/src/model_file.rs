//! Model files on disk.

use std::fs;
use std::path::Path;

use bitspike_core::model::{Model, ModelError};

use crate::encoding::Encoding;
use crate::files::write_atomically;
use crate::{Error, Result};

/// Name of the model file in a run directory.
pub const NAME: &str = "model.bsnn";

/// Reads the words of a model file and checks them.
///
/// # Errors
/// [`Error::Usage`] naming the path, and what is wrong with the file.
pub fn read(path: &Path) -> Result<Vec<u32>> {
    let shown = path.display();
    let bytes = fs::read(path)
        .map_err(|error| Error::usage(format!("cannot read the model {shown}: {error}")))?;
    let words: Vec<u32> = bytes
        .as_chunks()
        .0
        .iter()
        .map(|word| u32::from_le_bytes(*word))
        .collect();
    let error = match Model::new(&words).and_then(|model| model.metadata().map(|_| ())) {
        // Up to three bytes more than whole words: the file is cut or too long.
        Ok(()) if bytes.len() != words.len() * 4 => ModelError::Trailing {
            expected: words.len() * 4,
            got: bytes.len(),
        },
        Err(ModelError::Cut { expected, .. }) => ModelError::Cut {
            expected,
            got: bytes.len(),
        },
        Ok(()) => return Ok(words),
        Err(error) => error,
    };
    Err(Error::usage(format!("{shown} is refused: {error}")))
}

/// Loads a model from words that [`read`] gave.
///
/// # Errors
/// [`Error::Usage`] with what is wrong; never for words that [`read`] gave.
pub fn view(words: &[u32]) -> Result<Model<'_>> {
    Model::new(words).map_err(|error| Error::usage(format!("the model is refused: {error}")))
}

/// Name of the data set that a model was trained on, as the model says.
///
/// # Errors
/// [`Error::Usage`] where its metadata cannot be read.
pub fn task<'a>(model: &Model<'a>) -> Result<&'a str> {
    let metadata = model.metadata();
    metadata
        .map(|metadata| metadata.task)
        .map_err(|error| Error::usage(error.to_string()))
}

/// How samples become the model's input, as the model says.
///
/// # Errors
/// [`Error::Usage`] where its metadata cannot be read.
pub fn encoding(model: &Model<'_>) -> Result<Encoding> {
    let metadata = model.metadata();
    let metadata = metadata.map_err(|error| Error::usage(error.to_string()))?;
    Encoding::from_text(metadata.encoding)
}

/// Writes the words of a model to a file, which is there whole or not at all.
///
/// # Errors
/// [`Error::Failed`] naming the path.
pub fn save(path: &Path, words: &[u32]) -> Result<()> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    write_atomically(path, &bytes)
}

/// Bytes of a model's weights.
pub fn weight_bytes(model: &Model<'_>) -> usize {
    model
        .layers()
        .iter()
        .map(|layer| model.weights(layer).len() * 4)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTACT: &[u8] = include_bytes!("../../core/tests/models/v1-mixed.bsnn");

    fn refusal(bytes: &[u8]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tried.bsnn");
        fs::write(&path, bytes).unwrap();
        read(&path).err().map(|error| {
            assert_eq!(error.exit_code(), 2);
            let message = error.to_string();
            assert!(message.contains("tried.bsnn"), "{message}");
            message
        })
    }

    #[test]
    fn every_cut_and_every_longer_file_is_refused_by_name() {
        assert_eq!(refusal(INTACT), None);
        for length in 0..INTACT.len() {
            let message = refusal(&INTACT[..length]).expect("a cut file is refused");
            let expected = format!("{length} bytes of");
            assert!(message.contains(&expected), "{length}: {message}");
        }
        for more in 1..6 {
            let longer = [INTACT, &[0; 6][..more]].concat();
            let message = refusal(&longer).expect("a longer file is refused");
            assert!(message.contains("too long"), "{more}: {message}");
        }
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        for bit in 0..INTACT.len() * 8 {
            let mut bytes = INTACT.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(refusal(&bytes).is_some(), "bit {bit} was not noticed");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let message = read(Path::new("not/there.bsnn")).unwrap_err().to_string();
        assert!(message.contains("not/there.bsnn"), "{message}");
    }
}
