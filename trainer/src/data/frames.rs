//! From events to frames: what a sensor or cochlea sends becomes spikes or counts, step by step.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// An event of a sensor: something happened at a place and a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Microseconds since the recording began.
    pub time: u32,
    /// Column, or the channel of a cochlea.
    pub x: u16,
    /// Row; 0 for a cochlea.
    pub y: u16,
    /// Polarity, 0 (off) or 1 (on); 0 where the sensor has one.
    pub polarity: u8,
}

/// How events become frames: the table `data.frames` of a configuration, with the steps of the
/// network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Framing {
    /// Milliseconds of a time step.
    pub step: f64,
    /// What a frame holds.
    #[serde(default)]
    pub value: Value,
    /// Neighbours that become one unit: squares of so many rows and columns, or runs of so many
    /// channels of a cochlea; those at the end that fill no group are dropped.
    #[serde(default = "one")]
    pub group: u16,
    /// What is done with the two polarities.
    #[serde(default)]
    pub polarity: Polarity,
    /// Frames that a step sees, as further channels: its own, then those of the steps before it,
    /// the latest first. 1 for its own alone.
    #[serde(default = "one", skip_serializing_if = "is_own_frame")]
    pub history: u16,
}

fn one() -> u16 {
    1
}

fn is_own_frame(history: &u16) -> bool {
    *history == 1
}

/// The most frames that a step sees.
const MOST_HISTORY: u16 = 64;

/// What a frame holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Value {
    /// A spike where there was an event in the step.
    #[default]
    Binary,
    /// The number of events in the step, at most 255.
    Counts,
}

/// What is done with the two polarities of an event camera.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Polarity {
    /// A channel each.
    #[default]
    Both,
    /// One channel for both.
    Merged,
    /// Only events of growing brightness.
    On,
    /// Only events of falling brightness.
    Off,
}

/// Rows, columns and polarities of a sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sensor {
    /// Rows; 1 for a cochlea.
    pub height: u16,
    /// Columns, or the channels of a cochlea.
    pub width: u16,
    /// Polarities, 1 or 2.
    pub polarities: u8,
}

impl Sensor {
    /// Refuses the first event that lies outside the sensor, by its number.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the event.
    pub fn check(&self, events: &[Event]) -> Result<()> {
        let outside = |event: &Event| {
            event.x >= self.width || event.y >= self.height || event.polarity >= self.polarities
        };
        match events.iter().position(outside) {
            None => Ok(()),
            Some(index) => {
                let Event { x, y, polarity, .. } = events[index];
                Err(Error::usage(format!(
                    "event {index} lies at column {x}, row {y}, polarity {polarity}: outside the \
                     {} columns, {} rows and {} polarities of the sensor",
                    self.width, self.height, self.polarities
                )))
            }
        }
    }
}

impl Framing {
    /// Height, width and channels of the frames of a sensor.
    ///
    /// # Errors
    /// [`Error::Usage`] where a value of the table is out of range, or nothing of the sensor is left.
    pub fn shape(&self, sensor: Sensor) -> Result<[usize; 3]> {
        if !(self.step.is_finite() && self.step > 0.0 && self.step <= 3_600_000.0) {
            return Err(Error::usage(format!(
                "data.frames.step = {}: it must be above 0 and at most 3600000 milliseconds",
                self.step
            )));
        }
        let group = |side: u16| usize::from(side) / usize::from(self.group.max(1));
        // A cochlea has one row: only its channels are grouped.
        let height = if sensor.height == 1 {
            1
        } else {
            group(sensor.height)
        };
        let width = group(sensor.width);
        if self.group == 0 || height == 0 || width == 0 {
            return Err(Error::usage(format!(
                "data.frames.group = {}: it must be at least 1 and at most a side of the sensor \
                 ({} x {})",
                self.group, sensor.height, sensor.width
            )));
        }
        if !(1..=MOST_HISTORY).contains(&self.history) {
            return Err(Error::usage(format!(
                "data.frames.history = {}: it must be 1 to {MOST_HISTORY} frames",
                self.history
            )));
        }
        let channels = self.channels_of_step(sensor) * usize::from(self.history);
        Ok([height, width, channels])
    }

    /// Channels of one frame, without those before it.
    fn channels_of_step(&self, sensor: Sensor) -> usize {
        match self.polarity {
            Polarity::Both => usize::from(sensor.polarities),
            Polarity::Merged | Polarity::On | Polarity::Off => 1,
        }
    }
}

/// Recordings as frames, of which only what is not zero is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frames {
    steps: usize,
    value: Value,
    units: usize,
    /// Where each recording's entries start; one more than there are recordings.
    starts: Vec<usize>,
    /// `step * units + unit` of each entry, rising within a recording.
    places: Vec<u32>,
    /// Events of each entry; empty where all are 1.
    counts: Vec<u8>,
}

impl Frames {
    /// No recordings yet, each of `steps` frames of `units` values.
    ///
    /// # Errors
    /// [`Error::Usage`] where a recording would have more than 2^32 values.
    pub fn new(steps: usize, units: usize, value: Value) -> Result<Self> {
        if steps == 0
            || units == 0
            || steps
                .checked_mul(units)
                .is_none_or(|n| n > u32::MAX as usize)
        {
            return Err(Error::usage(format!(
                "{steps} steps of {units} values are not 1 to 2^32 values a sample"
            )));
        }
        Ok(Self {
            steps,
            value,
            units,
            starts: vec![0],
            places: Vec::new(),
            counts: Vec::new(),
        })
    }

    /// Adds a recording: its events, in any order, by the framing; those after the last step are
    /// left out.
    ///
    /// # Errors
    /// [`Error::Usage`] where an event lies outside the sensor, or the framing does not fit it.
    pub fn push(&mut self, events: &[Event], sensor: Sensor, framing: &Framing) -> Result<()> {
        sensor.check(events)?;
        let [height, width, channels] = framing.shape(sensor)?;
        let group = framing.group;
        let microseconds = framing.step * 1000.0;
        let mut places: Vec<u32> = Vec::with_capacity(events.len());
        for event in events {
            let channel = match (framing.polarity, event.polarity) {
                (Polarity::Both, polarity) => usize::from(polarity),
                (Polarity::On, 0) | (Polarity::Off, 1) => continue,
                _ => 0,
            };
            let row = if sensor.height == 1 {
                0
            } else {
                usize::from(event.y / group)
            };
            let column = usize::from(event.x / group);
            let step = (f64::from(event.time) / microseconds) as usize;
            if row >= height || column >= width {
                continue;
            }
            let first = (row * width + column) * channels + channel;
            let seen = (step..self.steps).take(framing.history.into());
            for (later, step) in seen.enumerate() {
                let unit = first + later * framing.channels_of_step(sensor);
                // Fits: `new` has bounded steps * units.
                places.push((step * self.units + unit) as u32);
            }
        }
        places.sort_unstable();
        let first = self.places.len();
        for place in places {
            if self.places.len() > first && self.places.last() == Some(&place) {
                if let Some(count) = self.counts.last_mut() {
                    *count = count.saturating_add(1);
                }
                continue;
            }
            self.places.push(place);
            if self.value == Value::Counts {
                self.counts.push(1);
            }
        }
        self.starts.push(self.places.len());
        Ok(())
    }

    /// Number of recordings.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there is no recording.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frames of a recording.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Values of a frame.
    pub fn units(&self) -> usize {
        self.units
    }

    /// What a frame holds.
    pub fn value(&self) -> Value {
        self.value
    }

    /// Step, unit and value of everything in a recording that is not zero, in rising order.
    ///
    /// # Panics
    /// Where `index` is not below [`Frames::len`].
    pub fn entries(&self, index: usize) -> impl Iterator<Item = (usize, usize, u8)> + '_ {
        let range = self.starts[index]..self.starts[index + 1];
        range.map(|entry| {
            let place = self.places[entry] as usize;
            let count = self.counts.get(entry).copied().unwrap_or(1);
            (place / self.units, place % self.units, count)
        })
    }

    /// Some of the recordings, in that order.
    pub(super) fn select(&self, indices: &[usize]) -> Self {
        let mut chosen = Self {
            starts: vec![0],
            places: Vec::new(),
            counts: Vec::new(),
            ..*self
        };
        for &index in indices {
            let range = self.starts[index]..self.starts[index + 1];
            chosen.places.extend(&self.places[range.clone()]);
            if self.value == Value::Counts {
                chosen.counts.extend(&self.counts[range]);
            }
            chosen.starts.push(chosen.places.len());
        }
        chosen
    }

    /// Keeps the first recordings.
    pub(super) fn truncate(&mut self, count: usize) {
        self.starts.truncate(count + 1);
        let entries = self.starts.last().copied().unwrap_or(0);
        self.places.truncate(entries);
        self.counts.truncate(entries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAMERA: Sensor = Sensor {
        height: 4,
        width: 6,
        polarities: 2,
    };

    fn framing(text: &str) -> Framing {
        toml::from_str(text).unwrap()
    }

    fn event(time: u32, x: u16, y: u16, polarity: u8) -> Event {
        Event {
            time,
            x,
            y,
            polarity,
        }
    }

    fn entries(text: &str, events: &[Event], steps: usize) -> Vec<(usize, usize, u8)> {
        let framing = framing(text);
        let units = framing.shape(CAMERA).unwrap().iter().product();
        let mut frames = Frames::new(steps, units, framing.value).unwrap();
        frames.push(&[], CAMERA, &framing).unwrap();
        frames.push(events, CAMERA, &framing).unwrap();
        assert_eq!(frames.entries(0).count(), 0);
        frames.entries(1).collect()
    }

    #[test]
    fn events_fall_into_steps_and_units() {
        let events = [
            event(2_500, 5, 3, 1),
            event(0, 0, 0, 0),
            event(999, 0, 0, 0),
            event(1_000, 0, 0, 0),
            event(3_000, 1, 1, 1),
        ];
        // The last event comes after the three steps.
        let binary = [(0, 0, 1), (1, 0, 1), (2, (3 * 6 + 5) * 2 + 1, 1)];
        assert_eq!(entries("step = 1.0", &events, 3), binary);
        let counted = [(0, 0, 2), (1, 0, 1), (2, 47, 1)];
        assert_eq!(entries("step = 1\nvalue = 'counts'", &events, 3), counted);
        let grouped = [(0, 0, 2), (1, 0, 1), (2, 1, 1)];
        let text = "step = 1\nvalue = 'counts'\ngroup = 4\npolarity = 'merged'";
        // Columns 4 and 5 fill no group of four.
        assert_eq!(entries(text, &events, 3), grouped[..2]);
        let text = "step = 1\ngroup = 2\npolarity = 'on'";
        assert_eq!(entries(text, &events, 4), [(2, 5, 1), (3, 0, 1)]);
    }

    #[test]
    fn a_step_sees_the_frames_before_it_as_channels() {
        let events = [
            event(0, 0, 0, 1),
            event(2_000, 5, 3, 0),
            event(9_000, 1, 0, 0),
        ];
        // Six channels a unit: two polarities now, a step ago and two steps ago.
        let last = (3 * 6 + 5) * 6;
        let expected = [
            (0, 1, 1),
            (1, 3, 1),
            (2, 5, 1),
            (2, last, 1),
            (3, last + 2, 1),
        ];
        assert_eq!(entries("step = 1\nhistory = 3", &events, 4), expected);
        let merged = [(0, 0, 1), (1, 1, 1), (2, 23 * 2, 1), (3, 23 * 2 + 1, 1)];
        let text = "step = 1\nhistory = 2\npolarity = 'merged'";
        assert_eq!(entries(text, &events, 4), merged);
    }

    #[test]
    fn counts_stop_at_255() {
        let events = [event(5, 1, 0, 0); 300];
        let text = "step = 1\nvalue = 'counts'";
        assert_eq!(entries(text, &events, 1), [(0, 2, 255)]);
    }

    #[test]
    fn an_event_outside_and_a_wrong_table_are_named() {
        let framing = framing("step = 1");
        let mut frames = Frames::new(1, 48, Value::Binary).unwrap();
        let outside = [event(0, 0, 0, 0), event(0, 6, 0, 0)];
        let error = frames.push(&outside, CAMERA, &framing).unwrap_err();
        assert!(
            error.to_string().contains("event 1 lies at column 6"),
            "{error}"
        );
        assert_eq!(frames.len(), 0);
        for (change, cause) in [
            (
                Framing {
                    step: 0.0,
                    ..framing.clone()
                },
                "data.frames.step",
            ),
            (
                Framing {
                    step: f64::NAN,
                    ..framing.clone()
                },
                "data.frames.step",
            ),
            (
                Framing {
                    group: 0,
                    ..framing.clone()
                },
                "data.frames.group",
            ),
            (
                Framing {
                    group: 5,
                    ..framing.clone()
                },
                "data.frames.group",
            ),
            (
                Framing {
                    history: 0,
                    ..framing.clone()
                },
                "data.frames.history",
            ),
        ] {
            let error = change.shape(CAMERA).unwrap_err().to_string();
            assert!(error.contains(cause), "{error}");
        }
        assert!(Frames::new(1 << 20, 1 << 20, Value::Binary).is_err());
    }
}
