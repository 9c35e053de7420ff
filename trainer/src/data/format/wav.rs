//! Sound as WAV, made spikes by the integer cochlea.

use hound::{SampleFormat, WavReader};

use super::cochlea::hear;
use super::labelled::labelled;
use super::{Format, Item, Sink, Source, named};
use crate::data::Part;
use crate::data::files::Files;
use crate::{Error, Result};

/// Most channels of a cochlea.
const MAX_CHANNELS: u16 = 700;
/// Samples a second that are read.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=48_000;
/// Longest recording in seconds.
const MAX_SECONDS: u32 = 600;

/// One recording a sample; the sensor is the cochlea, whose width is its number of channels.
#[derive(Debug)]
pub(super) struct Wav;

impl Format for Wav {
    fn name(&self) -> &'static str {
        "wav"
    }

    fn about(&self) -> &'static str {
        "a .wav recording a sample (mono, 16 bits), heard by an integer cochlea of up to 700 channels"
    }

    fn read(&self, files: &Files, part: Part, source: &Source, sink: &mut Sink<'_>) -> Result<()> {
        let sensor = source.sensor()?;
        if sensor.height != 1 || sensor.polarities != 1 || sensor.width > MAX_CHANNELS {
            return Err(Error::usage(format!(
                "data.source.sensor: a cochlea has height = 1, polarities = 1 and a width of up to \
                 {MAX_CHANNELS} channels"
            )));
        }
        for (name, class) in labelled(files, part, source, &[".wav"])? {
            let (sound, rate) = named(files, &name, parse(&files.read(&name)?))?;
            let events = hear(&sound, rate, sensor.width.into());
            named(files, &name, sink(Item::Events(&events), class))?;
        }
        Ok(())
    }
}

/// The samples of a recording, and how many of them are a second.
pub(super) fn parse(bytes: &[u8]) -> Result<(Vec<i16>, u32)> {
    let wrong = |error: hound::Error| Error::usage(format!("not a sound WAV file: {error}"));
    let mut reader = WavReader::new(bytes).map_err(wrong)?;
    let spec = reader.spec();
    if (spec.channels, spec.bits_per_sample, spec.sample_format) != (1, 16, SampleFormat::Int) {
        return Err(Error::usage(format!(
            "{} channels of {} bits ({:?}); one channel of 16-bit integers is read",
            spec.channels, spec.bits_per_sample, spec.sample_format
        )));
    }
    if !RATES.contains(&spec.sample_rate) {
        return Err(Error::usage(format!(
            "{} samples a second; {} to {} are read",
            spec.sample_rate,
            RATES.start(),
            RATES.end()
        )));
    }
    let claimed = reader.len() as usize;
    if claimed > bytes.len() / 2 {
        return Err(Error::usage(format!(
            "it claims {claimed} samples, of which its {} bytes hold but a part: it is cut, or its \
             header lies",
            bytes.len()
        )));
    }
    if claimed as u64 > u64::from(spec.sample_rate) * u64::from(MAX_SECONDS) {
        return Err(Error::usage(format!(
            "it lasts longer than the {MAX_SECONDS} seconds that are read"
        )));
    }
    let sound: Vec<i16> = reader.samples().collect::<Result<_, _>>().map_err(wrong)?;
    if sound.is_empty() {
        return Err(Error::usage("it holds no sound"));
    }
    Ok((sound, spec.sample_rate))
}
