//! NumPy's `.npy` event arrays: those of Tonic's DVS128 Gesture (rows of x, y, polarity, milliseconds)
//! and structured arrays with the fields `x`, `y`, `p` and `t` (microseconds).

use half::f16;

use super::labelled::labelled;
use super::{Format, Item, Sink, Source, named};
use crate::data::Part;
use crate::data::files::Files;
use crate::data::frames::Event;
use crate::{Error, Result};

/// No header of an event array comes near it.
const MAX_HEADER: usize = 1 << 16;

/// One array of events a sample.
#[derive(Debug)]
pub(super) struct Npy;

impl Format for Npy {
    fn name(&self) -> &'static str {
        "npy"
    }

    fn about(&self) -> &'static str {
        "a .npy array a sample: rows of x, y, polarity, milliseconds, or fields x, y, p, t (microseconds)"
    }

    fn read(&self, files: &Files, part: Part, source: &Source, sink: &mut Sink<'_>) -> Result<()> {
        for (name, class) in labelled(files, part, source, &[".npy"])? {
            let events = named(files, &name, parse(&files.read(&name)?))?;
            named(files, &name, sink(Item::Events(&events), class))?;
        }
        Ok(())
    }
}

/// A number in a row: where it starts, how it is stored, and what one of it is in the event.
#[derive(Debug, Clone, Copy)]
struct Column {
    at: usize,
    kind: u8,
    size: usize,
    scale: f64,
}

impl Column {
    /// The column of a NumPy type like `<i2` or `|b1`, at byte `at` of a row.
    fn new(descr: &str, at: usize, scale: f64) -> Result<Self> {
        let wrong = || {
            Error::usage(format!(
                "numbers of type `{descr}` are not read, only little-endian integers, floats and booleans"
            ))
        };
        let [order, kind, size @ ..] = descr.as_bytes() else {
            return Err(wrong());
        };
        let size = std::str::from_utf8(size)
            .ok()
            .and_then(|size| size.parse().ok());
        match (order, kind, size) {
            (b'<' | b'|', b'i' | b'u', Some(size @ (1 | 2 | 4 | 8)))
            | (b'<', b'f', Some(size @ (2 | 4 | 8)))
            | (b'|', b'b', Some(size @ 1)) => Ok(Self {
                at,
                kind: *kind,
                size,
                scale,
            }),
            _ => Err(wrong()),
        }
    }

    fn value(&self, row: &[u8]) -> f64 {
        let mut word = [0; 8];
        let Some(bytes) = row.get(self.at..self.at + self.size) else {
            return f64::NAN;
        };
        word[..self.size].copy_from_slice(bytes);
        let word = u64::from_le_bytes(word);
        let value = match (self.kind, self.size) {
            (b'i', size) => {
                let unused = 64 - 8 * size as u32;
                (((word << unused) as i64) >> unused) as f64
            }
            (b'f', 2) => f16::from_bits(word as u16).to_f64(),
            (b'f', 4) => f64::from(f32::from_bits(word as u32)),
            (b'f', _) => f64::from_bits(word),
            _ => word as f64,
        };
        value * self.scale
    }
}

/// The events of a file.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Event>> {
    let Some(rest) = bytes.strip_prefix(b"\x93NUMPY") else {
        return Err(Error::usage(
            "not a .npy file: it does not start with \\x93NUMPY",
        ));
    };
    let cut = || Error::usage("cut short: the header is not whole");
    let (length, start) = match rest {
        [1, _, low, high, ..] => (usize::from(u16::from_le_bytes([*low, *high])), 4),
        [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 6),
        [1..=3, ..] | [] => return Err(cut()),
        [version, ..] => {
            return Err(Error::usage(format!(
                "version {version} of .npy is not read, only 1 to 3"
            )));
        }
    };
    if length > MAX_HEADER {
        return Err(Error::usage(format!(
            "its header claims {length} bytes; at most {MAX_HEADER} are read"
        )));
    }
    let header = rest.get(start..start + length).ok_or_else(cut)?;
    let header = std::str::from_utf8(header).map_err(|_| Error::usage("its header is no text"))?;
    let data = &rest[start + length..];
    let (columns, row, rows) = layout(header)?;
    let wanted = row.saturating_mul(rows);
    if data.len() != wanted {
        return Err(Error::usage(format!(
            "{rows} rows of {row} bytes are {wanted}, {} are there: it is cut, or its header lies",
            data.len()
        )));
    }
    let mut events = Vec::with_capacity(rows);
    for (index, row) in data.chunks_exact(row).enumerate() {
        let [x, y, polarity, time] = columns.map(|column| column.value(row));
        let within = |name: &str, value: f64, most: f64| {
            if (0.0..=most).contains(&value) {
                return Ok(value);
            }
            Err(Error::usage(format!(
                "event {index}: {name} is {value}; 0 to {most} can be read"
            )))
        };
        events.push(Event {
            x: within("x", x, 65535.0)? as u16,
            y: within("y", y, 65535.0)? as u16,
            polarity: within("the polarity", polarity, 1.0)? as u8,
            time: within("the time in microseconds", time, f64::from(u32::MAX))? as u32,
        });
    }
    Ok(events)
}

/// Where x, y, polarity and time stand in a row, bytes of a row, number of rows.
fn layout(header: &str) -> Result<([Column; 4], usize, usize)> {
    let lacks = |what: &str| Error::usage(format!("its header `{}` {what}", header.trim()));
    let value = |key: &str| {
        let start = header.find(key).map(|at| at + key.len())?;
        Some(header[start..].trim_start())
    };
    let shape = value("'shape':").and_then(|text| text.strip_prefix('('));
    let shape = shape.and_then(|text| text.split_once(')'));
    let (shape, _) = shape.ok_or_else(|| lacks("has no shape"))?;
    let sides = shape
        .split(',')
        .map(str::trim)
        .filter(|side| !side.is_empty());
    let sides: Option<Vec<usize>> = sides.map(|side| side.parse().ok()).collect();
    let sides = sides.ok_or_else(|| lacks("has a shape that cannot be read"))?;
    let descr = value("'descr':").ok_or_else(|| lacks("has no descr"))?;
    if value("'fortran_order':").is_none_or(|text| !text.starts_with("False")) && sides.len() != 1 {
        return Err(lacks("says that columns come first; rows must"));
    }
    if let Some(descr) = descr.strip_prefix('\'') {
        let (descr, _) = descr.split_once('\'').ok_or_else(|| lacks("has no end"))?;
        let [rows, 4] = sides[..] else {
            return Err(lacks(
                "is not that of rows of x, y, polarity and milliseconds",
            ));
        };
        // Tonic's arrays have milliseconds, the last column.
        let size = Column::new(descr, 0, 1.0)?.size;
        let column = |index: usize, scale| Column::new(descr, index * size, scale);
        let columns = [
            column(0, 1.0)?,
            column(1, 1.0)?,
            column(2, 1.0)?,
            column(3, 1000.0)?,
        ];
        return Ok((columns, 4 * size, rows));
    }
    let fields = descr
        .strip_prefix('[')
        .and_then(|text| text.split_once(']'));
    let (fields, _) = fields.ok_or_else(|| lacks("has a descr that cannot be read"))?;
    let [rows] = sides[..] else {
        return Err(lacks("is not that of one dimension of events"));
    };
    let mut at = 0;
    let mut found = [None; 4];
    for field in fields.split('(').skip(1) {
        let mut quoted = field.split('\'').skip(1).step_by(2);
        let (Some(name), Some(descr)) = (quoted.next(), quoted.next()) else {
            return Err(lacks("has a field that cannot be read"));
        };
        let column = Column::new(descr, at, 1.0)?;
        at += column.size;
        if let Some(place) = ["x", "y", "p", "t"].iter().position(|known| *known == name) {
            found[place] = Some(column);
        }
    }
    let [Some(x), Some(y), Some(polarity), Some(time)] = found else {
        return Err(lacks("lacks one of the fields x, y, p and t"));
    };
    Ok(([x, y, polarity, time], at, rows))
}
