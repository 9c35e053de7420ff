//! The HDF5 files of the Spiking Heidelberg Digits and the Spiking Speech Commands (Cramer et al.,
//! 2022): `spikes/times` and `spikes/units` as arrays of variable length, and `labels`.

use half::f16;
use hdf5_pure::{Dataset, Datatype, DatatypeByteOrder, File};

use super::{Format, Item, Sink, Source, named};
use crate::data::Part;
use crate::data::files::Files;
use crate::data::frames::Event;
use crate::{Error, Result};

/// No recording lasts longer, in seconds: event times are `u32` microseconds.
const MAX_SECONDS: f64 = 4000.0;
/// More samples than any known set has; bounds what a file can ask for.
const MAX_SAMPLES: u64 = 1 << 24;
/// Bytes of a reference to an array of variable length: length, address of its heap, index there.
const REFERENCE: usize = 16;
/// Bytes before the first object of a heap, and before the data of each object.
const HEAP_HEADER: usize = 16;

/// HDF5 laid out as SHD and SSC are, plain or compressed by gzip.
#[derive(Debug)]
pub(super) struct Shd;

impl Format for Shd {
    fn name(&self) -> &'static str {
        "shd"
    }

    fn about(&self) -> &'static str {
        "HDF5 with spikes/times (seconds), spikes/units and labels, as the Spiking Heidelberg Digits"
    }

    fn read(&self, files: &Files, part: Part, source: &Source, sink: &mut Sink<'_>) -> Result<()> {
        let place = source.known_place(part)?;
        let bytes = files.read(place)?;
        named(files, place, read(bytes, source, sink))
    }
}

/// Reads the content of a file.
pub(super) fn read(bytes: Vec<u8>, source: &Source, sink: &mut Sink<'_>) -> Result<()> {
    if !bytes.starts_with(b"\x89HDF\r\n\x1a\n") {
        return Err(Error::usage(
            "not an HDF5 file: it does not start with the signature of one",
        ));
    }
    let file =
        File::from_bytes(bytes).map_err(|error| Error::usage(format!("damaged HDF5: {error}")))?;
    // What lies behind the last value that is read would not be missed otherwise.
    let (claimed, there) = (file.superblock().eof_address, file.as_bytes().len() as u64);
    if there < claimed {
        return Err(Error::usage(format!(
            "cut short: it says that it has {claimed} bytes, {there} are there"
        )));
    }
    let times = Arrays::open(&file, "spikes/times")?;
    let units = Arrays::open(&file, "spikes/units")?;
    let labels = labels(&file)?;
    let counts = [times.len(), units.len(), labels.len()];
    if counts[0] != counts[1] || counts[0] != counts[2] {
        return Err(Error::usage(format!(
            "{} recordings in spikes/times, {} in spikes/units, {} labels: they do not belong together",
            counts[0], counts[1], counts[2]
        )));
    }
    let heap = file.as_bytes();
    let mut total = 0;
    let mut events = Vec::new();
    for (index, label) in labels.iter().enumerate() {
        let sample = |error: Error| Error::usage(format!("recording {index}: {error}"));
        events.clear();
        let (seconds, channels) = (times.array(heap, index), units.array(heap, index));
        let (seconds, channels) = (seconds.map_err(sample)?, channels.map_err(sample)?);
        let (n, m) = (
            seconds.len() / times.kind.bytes(),
            channels.len() / units.kind.bytes(),
        );
        if n != m {
            return Err(sample(Error::usage(format!("{n} times but {m} units"))));
        }
        // Arrays that share their place in the file could ask for any amount of memory.
        total += seconds.len();
        if total > heap.len() {
            return Err(sample(Error::usage(
                "the arrays up to here have more values than the file has room for",
            )));
        }
        for event in 0..n {
            let (time, unit) = (
                times.kind.value(seconds, event),
                units.kind.value(channels, event),
            );
            if !(0.0..=MAX_SECONDS).contains(&time) {
                return Err(sample(Error::usage(format!(
                    "event {event} is at {time} seconds; 0 to {MAX_SECONDS} can be read"
                ))));
            }
            if !(0.0..=65535.0).contains(&unit) {
                return Err(sample(Error::usage(format!(
                    "event {event} comes from unit {unit}; 0 to 65535 can be read"
                ))));
            }
            events.push(Event {
                time: (time * 1e6).round() as u32,
                x: unit as u16,
                y: 0,
                polarity: 0,
            });
        }
        let class = source.class(*label).map_err(sample)?;
        sink(Item::Events(&events), class).map_err(sample)?;
    }
    Ok(())
}

fn open(file: &File, name: &str) -> Result<Dataset> {
    let dataset = file.dataset(name).map_err(|error| {
        Error::usage(format!("no data set `{name}` can be read in it: {error}"))
    })?;
    let shape = dataset
        .shape()
        .map_err(|error| Error::usage(format!("`{name}`: {error}")))?;
    match shape[..] {
        [count] if count <= MAX_SAMPLES => Ok(dataset),
        _ => Err(Error::usage(format!(
            "`{name}` has the shape {shape:?}; one dimension of at most {MAX_SAMPLES} is read"
        ))),
    }
}

fn labels(file: &File) -> Result<Vec<usize>> {
    let wrong = |error: &dyn std::fmt::Display| Error::usage(format!("`labels`: {error}"));
    let dataset = open(file, "labels")?;
    let kind = dataset.datatype().map_err(|error| wrong(&error))?;
    let kind =
        Number::of(&kind).ok_or_else(|| wrong(&"its elements are no little-endian numbers"))?;
    let raw = dataset.read_raw().map_err(|error| wrong(&error))?;
    let count = raw.len() / kind.bytes();
    let label = |index| {
        let value = kind.value(&raw, index);
        if (0.0..=65535.0).contains(&value) && value.fract() == 0.0 {
            Ok(value as usize)
        } else {
            Err(wrong(&format!(
                "number {index} is {value}, which is no class"
            )))
        }
    };
    (0..count).map(label).collect()
}

/// The little-endian numbers that are read.
#[derive(Debug, Clone, Copy)]
enum Number {
    Unsigned(usize),
    Signed(usize),
    Float(usize),
}

impl Number {
    fn of(datatype: &Datatype) -> Option<Self> {
        match datatype {
            Datatype::FixedPoint {
                size,
                byte_order: DatatypeByteOrder::LittleEndian,
                layout,
            } if matches!(size, 1 | 2 | 4 | 8) => {
                let size = *size as usize;
                Some(if layout.signed {
                    Self::Signed(size)
                } else {
                    Self::Unsigned(size)
                })
            }
            Datatype::FloatingPoint {
                size,
                byte_order: DatatypeByteOrder::LittleEndian,
                ..
            } if matches!(size, 2 | 4 | 8) => Some(Self::Float(*size as usize)),
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        let (Self::Unsigned(size) | Self::Signed(size) | Self::Float(size)) = self;
        size
    }

    /// The number of that index; NaN behind the end.
    fn value(self, bytes: &[u8], index: usize) -> f64 {
        let size = self.bytes();
        let Some(bytes) = bytes.get(index * size..(index + 1) * size) else {
            return f64::NAN;
        };
        let mut word = [0; 8];
        word[..size].copy_from_slice(bytes);
        let word = u64::from_le_bytes(word);
        match self {
            Self::Unsigned(_) => word as f64,
            Self::Signed(_) => {
                let unused = 64 - 8 * size as u32;
                (((word << unused) as i64) >> unused) as f64
            }
            Self::Float(2) => f16::from_bits(word as u16).to_f64(),
            Self::Float(4) => f64::from(f32::from_bits(word as u32)),
            Self::Float(_) => f64::from_bits(word),
        }
    }
}

/// A data set of arrays of variable length, whose values lie in heaps of the file.
struct Arrays {
    name: &'static str,
    kind: Number,
    references: Vec<u8>,
}

impl Arrays {
    fn open(file: &File, name: &'static str) -> Result<Self> {
        let wrong = |error: &dyn std::fmt::Display| Error::usage(format!("`{name}`: {error}"));
        let superblock = file.superblock();
        if (superblock.offset_size, superblock.length_size) != (8, 8) {
            return Err(Error::usage(format!(
                "its addresses have {} bytes and its lengths {}; files with 8 of each are read",
                superblock.offset_size, superblock.length_size
            )));
        }
        let dataset = open(file, name)?;
        let kind = match dataset.datatype().map_err(|error| wrong(&error))? {
            Datatype::VariableLength {
                is_string: false,
                base_type,
                ..
            } => Number::of(&base_type),
            _ => None,
        };
        let kind =
            kind.ok_or_else(|| wrong(&"its elements are no arrays of little-endian numbers"))?;
        let references = dataset.read_raw().map_err(|error| wrong(&error))?;
        Ok(Self {
            name,
            kind,
            references,
        })
    }

    fn len(&self) -> usize {
        self.references.len() / REFERENCE
    }

    /// The bytes of an array, checked against the file.
    fn array<'f>(&self, file: &'f [u8], index: usize) -> Result<&'f [u8]> {
        let wrong = |error: &str| Error::usage(format!("`{}`: {error}", self.name));
        let reference = self
            .references
            .get(index * REFERENCE..(index + 1) * REFERENCE);
        let reference = reference.ok_or_else(|| wrong("a reference is missing"))?;
        let count = number(reference, 0, 4).unwrap_or(0);
        if count == 0 {
            return Ok(&[]);
        }
        let address = number(reference, 4, 8).unwrap_or(usize::MAX);
        let object = number(reference, 12, 4).unwrap_or(0);
        let values = heap_object(file, address, object)
            .ok_or_else(|| wrong("its values lie in no heap of the file: it is cut or damaged"))?;
        let wanted = count * self.kind.bytes();
        values.get(..wanted).ok_or_else(|| {
            wrong(&format!(
                "an array claims {count} values, its place in the file has {} bytes",
                values.len()
            ))
        })
    }
}

/// A little-endian number of `size` bytes, where it is inside.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(size)?)?;
    let mut word = [0; 8];
    word.get_mut(..size)?.copy_from_slice(bytes);
    usize::try_from(u64::from_le_bytes(word)).ok()
}

/// An object of a global heap (HDF5 file format 3.0, III.E): after `GCOL`, a version and the heap's
/// length follow objects of index, reference count and length, padded to 8 bytes.
fn heap_object(file: &[u8], address: usize, wanted: usize) -> Option<&[u8]> {
    let heap = file.get(address..)?;
    let length = number(heap, 8, 8)?;
    let heap = heap.get(..length)?;
    if !heap.starts_with(b"GCOL\x01") {
        return None;
    }
    let mut at = HEAP_HEADER;
    loop {
        let index = number(heap, at, 2)?;
        let size = number(heap, at + 8, 8)?;
        let start = at + HEAP_HEADER;
        let end = start.checked_add(size)?;
        if index == wanted {
            return heap.get(start..end);
        }
        // Index 0 is the free space at the end; every object advances, so the walk ends.
        if index == 0 {
            return None;
        }
        at = end.checked_next_multiple_of(8)?;
    }
}
