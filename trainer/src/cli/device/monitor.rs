//! The spike raster in the terminal: time goes down, neurons go right, a line a step.

use std::io::{self, IsTerminal};

use bitspike_core::model::Model;
use bitspike_link::message::Part;

use crate::device::Client;
use crate::out::read;
use crate::sample::Sample;
use crate::verify::frame_of;
use crate::{Error, Result};

/// Columns where the terminal does not say how wide it is: in a pipe.
const COLUMNS: usize = 80;
/// Columns of a line that are not neurons: step, bars, count.
const AROUND: usize = 20;
/// From no spike in a column's neurons to one in each.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];

/// What is drawn.
#[derive(Debug, clap::Args)]
pub(super) struct Picture {
    /// The layer whose spikes are drawn, from 0 [default: the last]
    #[arg(long, value_name = "LAYER")]
    layer: Option<usize>,
    /// Columns of the raster [default: the terminal's width]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    width: Option<u16>,
}

impl Picture {
    fn layer(&self, model: &Model<'_>) -> usize {
        self.layer.unwrap_or(model.layers().len() - 1)
    }

    /// Whether there is such a layer.
    pub(super) fn check(&self, model: &Model<'_>) -> Result<()> {
        let (layer, layers) = (self.layer(model), model.layers().len());
        if layer < layers {
            return Ok(());
        }
        Err(Error::usage(format!(
            "--layer {layer}: the model has the layers 0 to {}",
            layers - 1
        )))
    }

    /// Steps the device through the samples and draws, for as long as somebody reads.
    pub(super) fn draw(
        &self,
        client: &mut Client,
        model: &Model<'_>,
        samples: &[Sample],
    ) -> Result<()> {
        let layer = self.layer(model);
        let units = model.layers()[layer].units();
        let width = match self.width {
            Some(width) => width.into(),
            None => columns().saturating_sub(AROUND).max(1),
        };
        let columns = units.min(width);
        let bold = |text: String| {
            if io::stdout().is_terminal() {
                format!("\x1b[1m{text}\x1b[0m")
            } else {
                text
            }
        };
        for (index, sample) in samples.iter().enumerate() {
            sample.inputs(model)?;
            let title = bold(format!(
                "sample {index}: layer {layer}, {units} neurons, {} a column",
                units.div_ceil(columns)
            ));
            if !read(format_args!("{title}"))? {
                return Ok(());
            }
            client.reset()?;
            for step in 0..model.steps() {
                if let Some(frame) = frame_of(sample, step as usize) {
                    client.load_sample(&frame.to_bytes())?;
                }
                client.step(1)?;
                let part = Part::Spikes { layer: layer as u8 };
                let spikes = client.read(part, 4 * units.div_ceil(32))?;
                let fired: Vec<bool> = (0..units)
                    .map(|neuron| spikes[neuron / 8] >> (neuron % 8) & 1 == 1)
                    .collect();
                let count = fired.iter().filter(|fired| **fired).count();
                let line = line(&fired, columns);
                if !read(format_args!("{step:5} │{line}│ {count}"))? {
                    return Ok(());
                }
            }
            let (class, confidence) = client.decide()?;
            let confidence = f32::from_bits(confidence);
            let decision = bold(format!("class {class}, confidence {confidence:.3}"));
            if !read(format_args!("{decision}"))? {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The neurons as shades: those of a column by the share that fires.
fn line(fired: &[bool], columns: usize) -> String {
    let bounds = |column: usize| column * fired.len() / columns;
    let shade = |column: usize| {
        let own = &fired[bounds(column)..bounds(column + 1)];
        let count = own.iter().filter(|fired| **fired).count();
        // Up to all of them, and never blank where one fires.
        SHADES[(count * (SHADES.len() - 1)).div_ceil(own.len().max(1))]
    };
    (0..columns).map(shade).collect()
}

/// The terminal's width, as it says.
fn columns() -> usize {
    let size = console::Term::stdout().size_checked();
    size.map_or(COLUMNS, |(_, columns)| columns.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_shade_for_each_share_of_spikes() {
        let fired = [false, false, true, false, true, true, false, true];
        assert_eq!(line(&fired, 8), "  █ ██ █");
        assert_eq!(line(&fired, 4), " ▒█▒");
        assert_eq!(line(&fired, 2), "░▓");
        assert_eq!(line(&fired, 1), "▒");
        assert_eq!(line(&[true; 700], 80), "█".repeat(80));
        // One of many is seen.
        assert_eq!(line(&[&[true][..], &[false; 99]].concat(), 1), "░");
    }
}
