//! CSV of spikes, the simple format that `bitspike data convert` writes: a line of column names, then
//! one event a line.
//!
//! ```text
//! sample,class,time_us,x,y,polarity
//! 0,7,1250,31,12,1
//! ```
//!
//! The events of a sample stand together; `y` and `polarity` may be left out, they are then 0. A
//! sample without events has one line whose last columns are empty.

use std::io::{BufWriter, IntoInnerError, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Format, Item, Sink, Source, named};
use crate::data::Part;
use crate::data::files::Files;
use crate::data::frames::Event;
use crate::files::{WholeFile, cannot_write};
use crate::{Error, Result};

const COLUMNS: &str = "sample,class,time_us,x,y,polarity";

/// One file of lines a part.
#[derive(Debug)]
pub(super) struct Csv;

impl Format for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn about(&self) -> &'static str {
        "a CSV file, one event a line: sample,class,time_us,x[,y[,polarity]]"
    }

    fn read(&self, files: &Files, part: Part, source: &Source, sink: &mut Sink<'_>) -> Result<()> {
        let place = source.known_place(part)?;
        named(files, place, parse(&files.read(place)?, source, sink))
    }
}

/// Reads the content of a file.
pub(super) fn parse(bytes: &[u8], source: &Source, sink: &mut Sink<'_>) -> Result<()> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Error::usage(format!(
            "not text: byte {} is no UTF-8",
            error.valid_up_to()
        ))
    })?;
    let mut lines = text.lines().enumerate();
    let header = lines.next().map_or("", |(_, line)| line.trim());
    let columns = header.split(',').count();
    if !(4..=6).contains(&columns) || !COLUMNS.starts_with(header) || header.ends_with(',') {
        return Err(Error::usage(format!(
            "its first line is `{}`, not {COLUMNS} (the last two may be left out)",
            header.chars().take(60).collect::<String>()
        )));
    }
    let mut events: Vec<Event> = Vec::new();
    let mut current: Option<(u64, usize)> = None;
    for (index, line) in lines {
        let wrong = |cause: String| Error::usage(format!("line {}: {cause}", index + 1));
        let line = line.trim_end();
        if line.is_empty() {
            continue;
        }
        let words: Vec<&str> = line.split(',').collect();
        if words.len() != columns {
            return Err(wrong(format!(
                "{} columns, not {columns}: `{line}`",
                words.len()
            )));
        }
        let number = |column: usize, most: u64| {
            let name = COLUMNS.split(',').nth(column).unwrap_or_default();
            let value = words
                .get(column)
                .map_or(Ok(0), |word| word.trim().parse::<u64>());
            value.ok().filter(|value| *value <= most).ok_or_else(|| {
                wrong(format!(
                    "{name} is `{}`; a whole number of at most {most} is wanted",
                    words[column]
                ))
            })
        };
        let sample = number(0, u64::MAX)?;
        let class = number(1, u64::from(u16::MAX))? as usize;
        let class = source
            .class(class)
            .map_err(|error| wrong(error.to_string()))?;
        match current {
            Some((now, of)) if now == sample => {
                if of != class {
                    return Err(wrong(format!("sample {sample} has two classes")));
                }
            }
            _ => {
                if let Some((_, class)) = current {
                    sink(Item::Events(&events), class)?;
                }
                if current.is_some_and(|(now, _)| sample < now) {
                    return Err(wrong(format!(
                        "sample {sample} comes after a later one: the lines of a sample must stand \
                         together, samples in rising order"
                    )));
                }
                events.clear();
                current = Some((sample, class));
            }
        }
        if words[2..].iter().all(|word| word.trim().is_empty()) {
            continue;
        }
        events.push(Event {
            time: number(2, u64::from(u32::MAX))? as u32,
            x: number(3, u64::from(u16::MAX))? as u16,
            y: number(4, u64::from(u16::MAX))? as u16,
            polarity: number(5, 1)? as u8,
        });
    }
    match current {
        Some((_, class)) => sink(Item::Events(&events), class),
        None => Err(Error::usage("it holds no events")),
    }
}

/// Writes samples as CSV of spikes, compressed where the file's name ends in `.gz`; the file is there
/// whole or not at all.
#[derive(Debug)]
pub(in crate::data) struct Writer {
    path: PathBuf,
    out: Output,
    samples: u64,
}

#[derive(Debug)]
enum Output {
    Plain(BufWriter<WholeFile>),
    Compressed(GzEncoder<BufWriter<WholeFile>>),
}

impl std::io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Compressed(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Compressed(out) => out.flush(),
        }
    }
}

impl Writer {
    /// Starts the file.
    ///
    /// # Errors
    /// [`Error::Failed`] where it cannot be written.
    pub(in crate::data) fn new(path: &Path) -> Result<Self> {
        let file = BufWriter::new(WholeFile::create(path)?);
        let out = if path.extension().is_some_and(|ending| ending == "gz") {
            Output::Compressed(GzEncoder::new(file, Compression::default()))
        } else {
            Output::Plain(file)
        };
        let mut writer = Self {
            path: path.to_owned(),
            out,
            samples: 0,
        };
        writer.line(format_args!("{COLUMNS}"))?;
        Ok(writer)
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) -> Result<()> {
        writeln!(self.out, "{line}").map_err(|error| cannot_write(&self.path, &error))
    }

    /// Adds a sample.
    ///
    /// # Errors
    /// [`Error::Usage`] for a picture; [`Error::Failed`] where the file cannot be written.
    pub(in crate::data) fn sample(&mut self, item: Item<'_>, class: usize) -> Result<()> {
        let Item::Events(events) = item else {
            return Err(Error::usage(
                "the data set has pictures, which are no events; only recordings are converted",
            ));
        };
        let sample = self.samples;
        if events.is_empty() {
            self.line(format_args!("{sample},{class},,,,"))?;
        }
        for Event {
            time,
            x,
            y,
            polarity,
        } in events
        {
            self.line(format_args!("{sample},{class},{time},{x},{y},{polarity}"))?;
        }
        self.samples += 1;
        Ok(())
    }

    /// Ends the file and puts it in its place.
    ///
    /// # Errors
    /// [`Error::Failed`] where it cannot be written.
    pub(in crate::data) fn finish(self) -> Result<()> {
        let out = match self.out {
            Output::Plain(out) => Ok(out),
            Output::Compressed(out) => out.finish(),
        };
        let file = out.and_then(|out| out.into_inner().map_err(IntoInnerError::into_error));
        file.map_err(|error| cannot_write(&self.path, &error))?
            .finish()
    }
}
