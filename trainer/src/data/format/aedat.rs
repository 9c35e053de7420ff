//! DVS128 Gesture as AEDAT 3.1 (iniVation): a text header, then packets of a 28-byte header and
//! events of 8 bytes. A label file beside each recording says from when to when which gesture lasts.

use super::{Format, Item, Sink, Source, named};
use crate::data::Part;
use crate::data::files::Files;
use crate::data::frames::Event;
use crate::{Error, Result};

/// Bytes of a packet's header.
const PACKET: usize = 28;
/// Type of the packets that hold polarity events.
const POLARITY: u16 = 1;
/// Bytes of a polarity event.
const EVENT: usize = 8;

/// Recordings of many samples, with a label file each.
#[derive(Debug)]
pub(super) struct Aedat;

impl Format for Aedat {
    fn name(&self) -> &'static str {
        "aedat"
    }

    fn about(&self) -> &'static str {
        "a text file that lists AEDAT 3.1 recordings, each with NAME_labels.csv, as DVS128 Gesture"
    }

    fn read(&self, files: &Files, part: Part, source: &Source, sink: &mut Sink<'_>) -> Result<()> {
        let list = source.known_place(part)?;
        let text = text(files, list)?;
        let beside = list.rsplit_once('/').map_or("", |(folder, _)| folder);
        let names: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .collect();
        if names.is_empty() {
            return Err(Error::usage(format!(
                "{} lists no recording",
                files.path(list)
            )));
        }
        for name in names {
            let name = if beside.is_empty() {
                name.to_owned()
            } else {
                format!("{beside}/{name}")
            };
            let stem = name.strip_suffix(".aedat").ok_or_else(|| {
                Error::usage(format!(
                    "{}: `{name}` does not end in .aedat",
                    files.path(list)
                ))
            })?;
            let labels_name = format!("{stem}_labels.csv");
            let labels = text_labels(files, &labels_name, source)?;
            let events = named(files, &name, parse(&files.read(&name)?))?;
            for (class, start, end) in labels {
                let clip = clip(&events, start, end);
                named(files, &name, sink(Item::Events(&clip), class))?;
            }
        }
        Ok(())
    }
}

fn text(files: &Files, name: &str) -> Result<String> {
    String::from_utf8(files.read(name)?)
        .map_err(|_| Error::usage(format!("{}: it is no text", files.path(name))))
}

fn text_labels(files: &Files, name: &str, source: &Source) -> Result<Vec<(usize, u32, u32)>> {
    named(files, name, labels(&text(files, name)?, source))
}

/// Class, first and last microsecond of each sample of a recording.
pub(super) fn labels(text: &str, source: &Source) -> Result<Vec<(usize, u32, u32)>> {
    let mut lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    let header = lines.next().map(|(_, line)| line.trim());
    if header != Some("class,startTime_usec,endTime_usec") {
        return Err(Error::usage(
            "not a label file: its first line is not class,startTime_usec,endTime_usec",
        ));
    }
    let mut labels = Vec::new();
    for (index, line) in lines {
        let wrong = |cause: &str| Error::usage(format!("line {}: {cause}", index + 1));
        let numbers: Result<Vec<u32>, _> =
            line.split(',').map(|word| word.trim().parse()).collect();
        let Ok([class, start, end]) = numbers.as_deref() else {
            return Err(wrong("three whole numbers are wanted"));
        };
        if start >= end {
            return Err(wrong("the gesture ends before it starts"));
        }
        let class = source
            .class(*class as usize)
            .map_err(|error| wrong(&error.to_string()))?;
        labels.push((class, *start, *end));
    }
    if labels.is_empty() {
        return Err(Error::usage("it labels nothing"));
    }
    Ok(labels)
}

/// The events of a time span, counted from its start.
fn clip(events: &[Event], start: u32, end: u32) -> Vec<Event> {
    let within = events
        .iter()
        .filter(|event| (start..end).contains(&event.time));
    within
        .map(|event| Event {
            time: event.time - start,
            ..*event
        })
        .collect()
}

/// All polarity events of a recording.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Event>> {
    if !bytes.starts_with(b"#!AER-DAT3.1\r\n") {
        return Err(Error::usage(
            "not AEDAT 3.1: it does not start with the line #!AER-DAT3.1",
        ));
    }
    const END: &[u8] = b"#!END-HEADER\r\n";
    let end = bytes.windows(END.len()).position(|window| window == END);
    let Some(end) = end else {
        return Err(Error::usage(
            "cut short: the text header has no #!END-HEADER",
        ));
    };
    let mut rest = &bytes[end + END.len()..];
    let mut events = Vec::new();
    let mut packet = 0;
    while !rest.is_empty() {
        let wrong = |cause: String| Error::usage(format!("packet {packet}: {cause}"));
        let Some((header, after)) = rest.split_at_checked(PACKET) else {
            return Err(wrong(format!(
                "cut short: {} bytes where its header needs {PACKET}",
                rest.len()
            )));
        };
        let word = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let kind = u16::from_le_bytes([header[0], header[1]]);
        let (size, overflow, number) = (word(4) as usize, word(12), word(20) as usize);
        let length = size.saturating_mul(number);
        let Some((content, after)) = after.split_at_checked(length) else {
            return Err(wrong(format!(
                "its {number} events of {size} bytes do not fit the {} bytes that follow: it is \
                 cut, or its header lies",
                after.len()
            )));
        };
        if kind == POLARITY {
            if size != EVENT {
                return Err(wrong(format!(
                    "polarity events have {EVENT} bytes, not {size}"
                )));
            }
            for event in content.as_chunks::<EVENT>().0 {
                let [a, b, c, d, e, f, g, h] = *event;
                let (data, time) = (
                    u32::from_le_bytes([a, b, c, d]),
                    u32::from_le_bytes([e, f, g, h]),
                );
                if data & 1 == 0 {
                    // The camera has marked it as not valid.
                    continue;
                }
                let time = u64::from(overflow) << 31 | u64::from(time);
                events.push(Event {
                    time: u32::try_from(time).map_err(|_| {
                        wrong(format!(
                            "an event is at {time} microseconds; 2^32 can be read"
                        ))
                    })?,
                    x: (data >> 17 & 0x1fff) as u16,
                    y: (data >> 2 & 0x1fff) as u16,
                    polarity: (data >> 1 & 1) as u8,
                });
            }
        }
        rest = after;
        packet += 1;
    }
    if packet == 0 {
        return Err(Error::usage("it holds no packet of events: it is cut"));
    }
    Ok(events)
}
