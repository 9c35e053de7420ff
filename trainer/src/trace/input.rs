//! The sample of a trace, from a file: pictures, events or rows of spikes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bitspike_core::encode::Events;
use bitspike_core::model::{Input, Model};

use crate::data::idx::Idx;
use crate::{Error, Result};

/// The inputs of one sample, step by step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sample {
    /// Graded values, the same in every step.
    Bytes(Vec<u8>),
    /// Packed spikes or bipolar values of each step.
    Steps(Vec<Vec<u32>>),
}

impl Sample {
    /// The input of a step.
    ///
    /// # Errors
    /// [`Error::Usage`] where it is of another kind or length than the model's.
    pub fn input<'i>(&'i self, model: &Model<'_>, step: u32) -> Result<Input<'i>> {
        match self {
            Self::Bytes(bytes) => model.input(bytes),
            Self::Steps(steps) => {
                model.input_words(steps.get(step as usize).map_or(&[], Vec::as_slice))
            }
        }
        .map_err(|error| Error::usage(error.to_string()))
    }

    /// Picture `index` of an IDX file: of three dimensions (count, rows, columns), or of four where
    /// the model reads more than one channel. The bytes are taken as they are, `i8` in two's
    /// complement.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the file, and what does not fit the model.
    pub fn from_images(model: &Model<'_>, path: &Path, index: usize) -> Result<Self> {
        let shown = path.display();
        if !model.input_kind().is_graded() {
            return Err(Error::usage(format!(
                "{shown}: the model reads spikes, not pictures; give --spikes or --events"
            )));
        }
        let shape = model.input_shape();
        let shape = [shape.height, shape.width, shape.channels].map(usize::from);
        let idx = Idx::read(path, if shape[2] == 1 { 3 } else { 4 })?;
        let [count, sides @ ..] = idx.dims() else {
            return Err(Error::usage(format!("{shown}: no dimensions")));
        };
        if *sides != shape[..sides.len()] {
            return Err(Error::usage(format!(
                "{shown}: pictures of {sides:?}, the model reads {shape:?} (height, width, channels)"
            )));
        }
        let units: usize = shape.iter().product();
        let Some(bytes) = idx.data().chunks_exact(units).nth(index) else {
            return Err(Error::usage(format!(
                "--index {index}: {shown} holds {count} pictures, counted from 0"
            )));
        };
        Ok(Self::Bytes(bytes.to_vec()))
    }

    /// The steps `index * T .. (index + 1) * T` of a file of events, where `T` is the model's steps.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the file and the line.
    pub fn from_events(model: &Model<'_>, path: &Path, index: usize) -> Result<Self> {
        let steps = of_bits(model, path)?;
        let text = read(path)?;
        parse_events(&text, model, steps * index, steps)
            .map_err(|cause| Error::usage(format!("{}: {cause}", path.display())))
    }

    /// The rows `index * T .. (index + 1) * T` of a file of spikes, where `T` is the model's steps.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the file and the line.
    pub fn from_spikes(model: &Model<'_>, path: &Path, index: usize) -> Result<Self> {
        let steps = of_bits(model, path)?;
        let text = read(path)?;
        parse_spikes(&text, model.input_shape().units(), steps * index, steps)
            .map_err(|cause| Error::usage(format!("{}: {cause}", path.display())))
    }
}

/// The steps of a model that reads bits.
fn of_bits(model: &Model<'_>, path: &Path) -> Result<usize> {
    if model.input_kind().is_graded() {
        return Err(Error::usage(format!(
            "{}: the model reads graded values, not spikes; give --images",
            path.display()
        )));
    }
    Ok(model.steps() as usize)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path)
        .map_err(|error| Error::usage(format!("cannot read {}: {error}", path.display())))
}

/// Lines that hold something, numbered from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    let lines = lines.map(|(at, line)| (at + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// A line an event, `step,address`, in any order.
fn parse_events(
    text: &str,
    model: &Model<'_>,
    first: usize,
    steps: usize,
) -> Result<Sample, String> {
    let shape = model.input_shape();
    let mut by_step = BTreeMap::<usize, Vec<(usize, usize)>>::new();
    for (line, event) in lines(text) {
        if line == 1 && event == "step,address" {
            continue;
        }
        let number = |text: &str| text.trim().parse::<usize>().ok();
        let numbers = event.split_once(',').map(|(a, b)| (number(a), number(b)));
        let Some((Some(step), Some(address))) = numbers else {
            return Err(format!(
                "line {line} is `{event}`, not a step and an address as in `3,17`"
            ));
        };
        by_step.entry(step).or_default().push((line, address));
    }
    let mut words = vec![vec![0; shape.units().div_ceil(32)]; steps];
    let mut elsewhere = vec![0; shape.units().div_ceil(32)];
    for (step, events) in &by_step {
        let spikes = step.checked_sub(first).and_then(|step| words.get_mut(step));
        // A wrong file is wrong for every index: the events of other samples are checked too.
        let mut gathered = Events::new(shape, spikes.unwrap_or(&mut elsewhere))
            .map_err(|error| error.to_string())?;
        for (line, address) in events {
            let added = gathered.add_flat(*address);
            added.map_err(|error| format!("line {line}: {error}"))?;
        }
    }
    let last = by_step.last_key_value().map(|(step, _)| *step);
    match last {
        None => Err("there are no events in it".into()),
        Some(last) if last < first => Err(format!(
            "the last event is in step {last}, and the sample begins with step {first}; \
             --index counts runs of {steps} steps from 0"
        )),
        Some(_) => Ok(Sample::Steps(words)),
    }
}

/// A line a step, a `0` or `1` an input, spaces and commas between them or not.
fn parse_spikes(text: &str, units: usize, first: usize, steps: usize) -> Result<Sample, String> {
    let mut words = Vec::new();
    let mut rows = 0;
    for (line, row) in lines(text) {
        let mut bits = vec![0; units.div_ceil(32)];
        let mut count = 0;
        for spike in row.chars().filter(|c| !matches!(c, ' ' | '\t' | ',')) {
            let bit = match spike {
                '0' => 0,
                '1' => 1,
                other => return Err(format!("line {line} holds `{other}`, not only 0 and 1")),
            };
            if let Some(word) = bits.get_mut(count / 32) {
                *word |= bit << (count % 32);
            }
            count += 1;
        }
        if count != units {
            return Err(format!(
                "line {line} has {count} spikes, the model reads {units}"
            ));
        }
        if (first..first + steps).contains(&rows) {
            words.push(bits);
        }
        rows += 1;
    }
    if words.len() == steps {
        return Ok(Sample::Steps(words));
    }
    Err(format!(
        "it has {rows} rows, and the sample is rows {first} to {} counted from 0; --index counts \
         runs of {steps} steps",
        first + steps - 1
    ))
}
