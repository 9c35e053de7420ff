//! The IDX format of MNIST: a four-byte magic (two zeros, element type, number of dimensions), the
//! dimensions as big-endian `u32`, then the elements. Read plain or compressed by gzip, whatever
//! the file is called.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use flate2::{Compression, GzBuilder};

use super::Samples;
use crate::files::write_atomically;
use crate::{Error, Result};

/// The one element type that is read: unsigned bytes.
const UNSIGNED_BYTE: u8 = 0x08;
/// No file needs more; MNIST's pictures have 47 MB.
const MAX_BYTES: u64 = 1 << 31;
/// DEFLATE turns one byte into at most this many.
const MAX_INFLATION: u64 = 1032;

/// The content of an IDX file of unsigned bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idx {
    dims: Vec<usize>,
    data: Vec<u8>,
}

/// Why bytes are not an IDX file of the wanted kind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdxError {
    /// The first two bytes are not zero.
    #[error("not an IDX file: it starts with the bytes {0:02x} {1:02x}, an IDX file with 00 00")]
    Magic(u8, u8),
    /// The elements are not unsigned bytes.
    #[error("element type 0x{0:02x} is not read, only 0x08 (unsigned byte)")]
    ElementType(u8),
    /// Another number of dimensions than wanted.
    #[error(
        "{got} dimensions where {wanted} are wanted (pictures have 3: count, rows, columns; labels 1)"
    )]
    Rank {
        /// Dimensions that the caller wants.
        wanted: usize,
        /// Dimensions that the file declares.
        got: u8,
    },
    /// The declared dimensions ask for more than this program reads.
    #[error("dimensions {dims:?} ask for more than the 2 GiB that are read")]
    Oversized {
        /// The declared dimensions.
        dims: Vec<u32>,
    },
    /// The file ends early, or its compressed length rules out that it holds what it declares.
    #[error("cut short: at most {got} bytes where header and dimensions need {wanted}")]
    Cut {
        /// Bytes of header and data that the dimensions ask for.
        wanted: u64,
        /// Bytes that are there.
        got: u64,
    },
    /// The file goes on after the last element.
    #[error("trailing bytes: it goes on after the {0} bytes that header and dimensions need")]
    Trailing(u64),
    /// Damaged compression, or a failing disk.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl Idx {
    /// Dimensions and elements, the last dimension fastest.
    ///
    /// # Errors
    /// [`Error::Usage`] where the dimensions do not multiply to the number of elements, or one does
    /// not fit in 32 bits.
    pub fn new(dims: Vec<usize>, data: Vec<u8>) -> Result<Self> {
        let product = dims
            .iter()
            .try_fold(1_usize, |product, &dim| product.checked_mul(dim));
        let fits = dims.len() <= 255 && dims.iter().all(|&dim| u32::try_from(dim).is_ok());
        if product != Some(data.len()) || !fits {
            return Err(Error::usage(format!(
                "IDX dimensions {dims:?} do not describe {} elements",
                data.len()
            )));
        }
        Ok(Self { dims, data })
    }

    /// The dimensions, the count first.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The elements, the last dimension fastest.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Reads a file with `rank` dimensions.
    ///
    /// # Errors
    /// [`Error::Usage`] with the path and the cause, one of [`IdxError`].
    pub fn read(path: &Path, rank: usize) -> Result<Self> {
        let refuse = |error: IdxError| Error::usage(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(|error| refuse(error.into()))?;
        let length = file.metadata().map_err(|error| refuse(error.into()))?.len();
        decode(BufReader::new(file), length, rank).map_err(refuse)
    }

    /// Reads the bytes of a file with `rank` dimensions.
    ///
    /// # Errors
    /// The cause; see [`IdxError`].
    pub fn parse(bytes: &[u8], rank: usize) -> Result<Self, IdxError> {
        decode(bytes, bytes.len() as u64, rank)
    }

    /// The bytes of the (uncompressed) file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0, 0, UNSIGNED_BYTE, self.dims.len() as u8];
        for &dim in &self.dims {
            bytes.extend((dim as u32).to_be_bytes());
        }
        bytes.extend(&self.data);
        bytes
    }

    /// Writes the file, compressed where its name ends in `.gz`: without time or name, so that the
    /// same content gives the same bytes.
    ///
    /// # Errors
    /// [`Error::Failed`] where the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut bytes = self.to_bytes();
        if path.extension().is_some_and(|extension| extension == "gz") {
            let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
            bytes = gzip
                .write_all(&bytes)
                .and_then(|()| gzip.finish())
                .map_err(|error| Error::failed(format!("{}: {error}", path.display())))?;
        }
        write_atomically(path, &bytes)
    }
}

/// Decompresses where the content starts as gzip does. `length` is that of the stored file: it
/// bounds what is allocated.
fn decode(mut stored: impl BufRead, length: u64, rank: usize) -> Result<Idx, IdxError> {
    if is_gzip(stored.fill_buf()?) {
        let most = length.saturating_mul(MAX_INFLATION);
        decode_plain(MultiGzDecoder::new(stored), most, rank)
    } else {
        decode_plain(stored, length, rank)
    }
}

/// Whether a file that starts with these bytes is compressed.
pub(super) fn is_gzip(start: &[u8]) -> bool {
    start.starts_with(&[0x1f, 0x8b])
}

/// Reads header and elements, of which there can be `most` bytes together.
fn decode_plain(mut plain: impl Read, most: u64, rank: usize) -> Result<Idx, IdxError> {
    let mut magic = [0; 4];
    read_header(&mut plain, &mut magic, 0)?;
    let [zero, also_zero, element, dimensions] = magic;
    if (zero, also_zero) != (0, 0) {
        return Err(IdxError::Magic(zero, also_zero));
    }
    if element != UNSIGNED_BYTE {
        return Err(IdxError::ElementType(element));
    }
    if usize::from(dimensions) != rank {
        return Err(IdxError::Rank {
            wanted: rank,
            got: dimensions,
        });
    }
    let mut dims = Vec::with_capacity(rank);
    for index in 0..rank as u64 {
        let mut dim = [0; 4];
        read_header(&mut plain, &mut dim, 4 + 4 * index)?;
        dims.push(u32::from_be_bytes(dim));
    }

    let header = 4 + 4 * rank as u64;
    let elements = dims
        .iter()
        .try_fold(1_u64, |product, &dim| product.checked_mul(dim.into()))
        .filter(|&elements| elements <= MAX_BYTES);
    // Nothing is allocated by the file's word alone: a file that cannot hold what it declares is
    // refused here, and the buffer grows with what is really read.
    let elements = match elements {
        None => return Err(IdxError::Oversized { dims }),
        Some(elements) if header + elements > most => {
            return Err(IdxError::Cut {
                wanted: header + elements,
                got: most,
            });
        }
        Some(elements) => elements,
    };
    let wanted = header + elements;
    let mut data = Vec::new();
    plain.take(elements + 1).read_to_end(&mut data)?;
    match data.len() as u64 {
        got if got < elements => Err(IdxError::Cut {
            wanted,
            got: header + got,
        }),
        got if got > elements => Err(IdxError::Trailing(wanted)),
        _ => Ok(Idx {
            dims: dims.into_iter().map(|dim| dim as usize).collect(),
            data,
        }),
    }
}

/// Fills `buffer` from the header, of which `before` bytes were read.
fn read_header(plain: &mut impl Read, buffer: &mut [u8], before: u64) -> Result<(), IdxError> {
    let wanted = buffer.len() as u64;
    let mut got = Vec::with_capacity(buffer.len());
    plain.take(wanted).read_to_end(&mut got)?;
    if got.len() < buffer.len() {
        return Err(IdxError::Cut {
            wanted: before + wanted,
            got: before + got.len() as u64,
        });
    }
    buffer.copy_from_slice(&got);
    Ok(())
}

/// Pictures (`count, rows, columns`) and their labels (`count`) as samples; `names` are those of
/// the two files, for messages. Without `classes` the highest label decides.
pub(super) fn pair(
    images: Idx,
    labels: Idx,
    names: [&str; 2],
    classes: Option<usize>,
) -> Result<Samples> {
    let [pictures, labelled] = [images.dims[0], labels.dims[0]];
    let [image_name, label_name] = names;
    if pictures != labelled {
        return Err(Error::usage(format!(
            "{pictures} pictures in {image_name} but {labelled} labels in {label_name}: \
             the two files do not belong together"
        )));
    }
    let shape = [images.dims[1], images.dims[2], 1];
    let highest = labels.data.iter().copied().max().map_or(0, usize::from);
    let classes = classes.unwrap_or(highest + 1);
    if let Some(index) = labels
        .data
        .iter()
        .position(|&label| usize::from(label) >= classes)
    {
        return Err(Error::usage(format!(
            "label {} of sample {index} in {label_name} is out of range: the data set has {classes} \
             classes, 0 to {}",
            labels.data[index],
            classes - 1
        )));
    }
    Samples::new(shape, classes, images.data, labels.data)
        .map_err(|error| Error::usage(format!("{image_name}: {error}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    fn header(dims: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, dims.len() as u8];
        dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
        bytes
    }

    fn refusal(bytes: &[u8], rank: usize) -> String {
        Idx::parse(bytes, rank).unwrap_err().to_string()
    }

    #[test]
    fn each_wrong_file_is_refused_by_its_cause() {
        assert!(refusal(b"\x89PNG", 3).contains("starts with the bytes 89 50"));
        assert!(refusal(&[0, 0, 0x0d, 3], 3).contains("element type 0x0d"));
        assert!(refusal(&[header(&[2]), vec![1, 2]].concat(), 3).contains("1 dimensions where 3"));
        assert!(
            refusal(&[], 1)
                .contains("cut short: at most 0 bytes where header and dimensions need 4")
        );
        let whole = [header(&[2, 2, 2]), vec![7; 8]].concat();
        for length in 0..whole.len() {
            let message = refusal(&whole[..length], 3);
            assert!(
                message.contains(&format!("cut short: at most {length} bytes")),
                "{message}"
            );
        }
        let longer = [&whole[..], &[0]].concat();
        assert!(refusal(&longer, 3).contains("goes on after the 24 bytes"));
        assert!(refusal(&gzip(&longer), 3).contains("goes on after the 24 bytes"));
        assert!(Idx::parse(&[gzip(&whole), vec![1, 2, 3]].concat(), 3).is_err());
    }

    #[test]
    fn hostile_dimensions_are_refused_before_anything_is_read() {
        for (dims, cause) in [
            ([u32::MAX; 3], "more than the 2 GiB"),
            ([1 << 16, 1 << 16, 1], "more than the 2 GiB"),
            ([60_000, 28, 28], "header and dimensions need 47040016"),
        ] {
            let bytes = header(&dims);
            assert!(refusal(&bytes, 3).contains(cause), "{dims:?}");
            assert!(refusal(&gzip(&bytes), 3).contains(cause), "{dims:?}");
        }
    }

    #[test]
    fn a_decompression_bomb_is_read_no_further_than_its_dimensions() {
        let bomb = gzip(&[header(&[1, 2, 2]), vec![0; 64 << 20]].concat());
        assert!(refusal(&bomb, 3).contains("goes on after the 20 bytes"));
    }

    #[test]
    fn a_cut_or_flipped_compressed_file_is_refused() {
        let whole = gzip(&[header(&[4, 3, 3]), (0..36).collect()].concat());
        for length in 0..whole.len() {
            assert!(Idx::parse(&whole[..length], 3).is_err(), "cut at {length}");
        }
        // Some bits of gzip carry no content (time, system, padding): then nothing changes.
        let content = Idx::parse(&whole, 3).unwrap();
        for bit in 0..8 * whole.len() {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(got) = Idx::parse(&flipped, 3) {
                assert_eq!(got, content, "bit {bit}");
            }
        }
    }

    #[test]
    fn counts_that_differ_are_told_with_both_files() {
        let images = Idx::new(vec![3, 1, 1], vec![0; 3]).unwrap();
        let labels = Idx::new(vec![2], vec![0; 2]).unwrap();
        let message = pair(images, labels, ["a-images", "a-labels"], Some(10))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("3 pictures in a-images but 2 labels in a-labels"),
            "{message}"
        );
    }

    #[test]
    fn a_label_out_of_range_is_told_with_its_place() {
        let images = Idx::new(vec![3, 1, 1], vec![0; 3]).unwrap();
        let labels = Idx::new(vec![3], vec![0, 9, 10]).unwrap();
        let message = pair(images, labels, ["i", "l"], Some(10))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("label 10 of sample 2 in l is out of range"),
            "{message}"
        );
    }

    proptest! {
        #[test]
        fn written_files_read_back(
            dims in prop::collection::vec(0_usize..7, 1..4),
            seed in any::<u8>(),
            compressed in any::<bool>(),
        ) {
            let count = dims.iter().product();
            let data = (0..count).map(|index: usize| (index as u8).wrapping_mul(seed)).collect();
            let idx = Idx::new(dims.clone(), data).unwrap();
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(if compressed { "x.gz" } else { "x" });
            idx.write(&path).unwrap();
            prop_assert_eq!(&Idx::read(&path, dims.len()).unwrap(), &idx);
            let start = std::fs::read(&path).unwrap();
            prop_assert_eq!(is_gzip(&start), compressed);
        }

        #[test]
        fn arbitrary_bytes_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            rank in 0_usize..5,
        ) {
            let _ = Idx::parse(&bytes, rank);
        }

        #[test]
        fn arbitrary_content_behind_a_right_magic_never_panics(
            dims in prop::collection::vec(prop_oneof![0_u32..9, any::<u32>()], 1..4),
            tail in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let bytes = [header(&dims), tail].concat();
            for stored in [gzip(&bytes), bytes] {
                if let Ok(idx) = Idx::parse(&stored, dims.len()) {
                    prop_assert_eq!(idx.dims().iter().product::<usize>(), idx.data().len());
                }
            }
        }
    }
}
