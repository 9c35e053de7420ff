//! The `.bin` files of N-MNIST, also called `.bs2`: five bytes an event, without a header.

use super::labelled::labelled;
use super::{Format, Item, Sink, Source, named};
use crate::data::Part;
use crate::data::files::Files;
use crate::data::frames::Event;
use crate::{Error, Result};

/// Bytes of an event: x, y, then polarity (the highest bit) and microseconds (23 bits), big-endian.
const EVENT: usize = 5;

/// The row that says: the sensor's clock began anew, add [`OVERFLOW_TIME`] to all that follows.
const OVERFLOW: u8 = 240;
const OVERFLOW_TIME: u32 = 1 << 13;

/// One file of five-byte events a sample.
#[derive(Debug)]
pub(super) struct Events;

impl Format for Events {
    fn name(&self) -> &'static str {
        "events"
    }

    fn about(&self) -> &'static str {
        "a .bin or .bs2 file a sample, five bytes an event, as N-MNIST"
    }

    fn read(&self, files: &Files, part: Part, source: &Source, sink: &mut Sink<'_>) -> Result<()> {
        for (name, class) in labelled(files, part, source, &[".bin", ".bs2"])? {
            let events = named(files, &name, parse(&files.read(&name)?))?;
            named(files, &name, sink(Item::Events(&events), class))?;
        }
        Ok(())
    }
}

/// The events of a file.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Event>> {
    if bytes.is_empty() {
        return Err(Error::usage("it is empty: a recording has events"));
    }
    if !bytes.len().is_multiple_of(EVENT) {
        return Err(Error::usage(format!(
            "{} bytes are no whole number of events of {EVENT} bytes: it is cut, or of another format",
            bytes.len()
        )));
    }
    let mut events = Vec::with_capacity(bytes.len() / EVENT);
    let (mut before, mut overflow) = (0, 0u32);
    for (index, &[x, y, high, middle, low]) in bytes.as_chunks::<EVENT>().0.iter().enumerate() {
        if y == OVERFLOW {
            overflow = overflow.saturating_add(OVERFLOW_TIME);
            continue;
        }
        let time = u32::from_be_bytes([0, high & 0x7f, middle, low]).saturating_add(overflow);
        // The sensor sends events as they happen; a time that goes back marks another format.
        if time < before {
            return Err(Error::usage(format!(
                "event {index} at {time} microseconds comes after one at {before}: the file is \
                 damaged, or of another format"
            )));
        }
        before = time;
        events.push(Event {
            time,
            x: x.into(),
            y: y.into(),
            polarity: high >> 7,
        });
    }
    Ok(events)
}
