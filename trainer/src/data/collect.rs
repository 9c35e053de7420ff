//! Samples of a data set from its files: framing of events, checks, counts.

use super::Part;
use super::files::Files;
use super::format::{Item, Sink, Source};
use super::frames::{Event, Frames, Framing};
use super::samples::Samples;
use crate::{Error, Result};

/// Reads a part of a data set. `framing` and the number of steps are for events; pictures need none.
pub(super) fn collect(
    files: &Files,
    part: Part,
    source: &Source,
    framing: Option<(&Framing, usize)>,
) -> Result<Samples> {
    let mut labels = Vec::new();
    let mut pictures: Option<([usize; 3], Vec<u8>)> = None;
    let mut recordings = match framing {
        Some((framing, steps)) if source.sensor.is_some() => {
            let shape = framing.shape(source.sensor()?)?;
            let frames = Frames::new(steps, shape.iter().product(), framing.value)?;
            Some((shape, framing, frames))
        }
        _ => None,
    };
    if source.classes == 0 || source.classes > 256 {
        return Err(Error::usage(format!(
            "data.source.classes = {}: 1 to 256 can be told apart",
            source.classes
        )));
    }
    let mut take = |item: Item<'_>, class: usize| {
        match item {
            Item::Events(events) => {
                let Some((_, framing, frames)) = &mut recordings else {
                    source.sensor()?;
                    return Err(Error::usage(
                        "the samples are events, and the table data.frames of the configuration, \
                         which says how they become frames, is missing",
                    ));
                };
                frames.push(events, source.sensor()?, framing)?;
            }
            Item::Picture(shape, pixels) => {
                let (first, all) = pictures.get_or_insert_with(|| (shape, Vec::new()));
                if *first != shape {
                    return Err(Error::usage(format!(
                        "a picture of shape {shape:?} among others of {first:?}: they must have one"
                    )));
                }
                all.extend(pixels);
            }
        }
        labels.push(class as u8);
        Ok(())
    };
    source.format()?.read(files, part, source, &mut take)?;
    let samples = match (pictures, recordings) {
        (Some((shape, pixels)), _) => Samples::new(shape, source.classes, pixels, labels),
        (None, Some((shape, _, frames))) => {
            Samples::from_frames(shape, source.classes, frames, labels)
        }
        (None, None) => Err(Error::usage("no sample is there")),
    };
    samples.map_err(|error| {
        Error::usage(format!(
            "{}: {error}",
            files.path(source.place(part).unwrap_or_default())
        ))
    })
}

/// What a part of a data set holds, however it is framed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Census {
    /// Samples of each class.
    pub classes: Vec<usize>,
    /// Height, width and channels of the pictures.
    pub picture: Option<[usize; 3]>,
    /// Events of all recordings.
    pub events: u64,
    /// Fewest and most events of a recording.
    pub fewest: u64,
    /// See `fewest`.
    pub most: u64,
    /// Microseconds of the longest recording.
    pub longest: u32,
}

impl Census {
    /// Samples of all classes.
    pub fn samples(&self) -> usize {
        self.classes.iter().sum()
    }

    fn add(&mut self, events: &[Event]) {
        let count = events.len() as u64;
        let first = self.samples() == 0;
        self.fewest = if first { count } else { self.fewest.min(count) };
        self.most = self.most.max(count);
        self.events += count;
        let last = events.iter().map(|event| event.time).max();
        self.longest = self.longest.max(last.unwrap_or(0));
    }
}

/// Reads all of a part, checks every sample against the sensor, and counts; `also` sees each.
pub(super) fn census(
    files: &Files,
    part: Part,
    source: &Source,
    also: &mut Sink<'_>,
) -> Result<Census> {
    let mut census = Census {
        classes: vec![0; source.classes],
        ..Census::default()
    };
    let mut take = |item: Item<'_>, class: usize| {
        match item {
            Item::Events(events) => {
                source.sensor()?.check(events)?;
                census.add(events);
            }
            Item::Picture(shape, _) => {
                let first = *census.picture.get_or_insert(shape);
                if first != shape {
                    return Err(Error::usage(format!(
                        "a picture of shape {shape:?} among others of {first:?}: they must have one"
                    )));
                }
            }
        }
        census.classes[class] += 1;
        also(item, class)
    };
    source.format()?.read(files, part, source, &mut take)?;
    if census.samples() == 0 {
        return Err(Error::usage(format!(
            "{}: no sample is there",
            files.path(source.place(part).unwrap_or_default())
        )));
    }
    Ok(census)
}
