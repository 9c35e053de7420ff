//! Pictures of a report: charts as SVG, samples and spikes as PNG in `data:` addresses.

use zune_png::PngEncoder;
use zune_png::zune_core::bit_depth::BitDepth;
use zune_png::zune_core::colorspace::ColorSpace;
use zune_png::zune_core::options::EncoderOptions;

use super::observe::Raster;
use crate::chart::{Chart, Line, Stroke, inline};
use crate::data::Samples;
use crate::page::base64;
use crate::train::EpochMetrics;
use crate::{Error, Result};

const CHART: (u32, u32) = (620, 320);

/// Rows of a raster; a row is several units where there are more.
const RASTER_ROWS: usize = 192;

/// The charts over the epochs.
pub(super) fn charts(metrics: &[EpochMetrics]) -> Result<Vec<String>> {
    let line = |name: &str, stroke: Stroke, f: &dyn Fn(&EpochMetrics) -> f64| Line {
        name: name.to_owned(),
        points: metrics.iter().map(|m| (m.epoch as f64, f(m))).collect(),
        stroke,
    };
    let chart = |title: &str, y: &str, lines: Vec<Line>| {
        let chart = Chart {
            title,
            x: "epoch",
            y,
            x_range: None,
            y_range: None,
            lines,
        };
        inline(CHART, &format!("{title} by epoch"), |area| chart.draw(area))
    };
    // By layer that fires; each line is thinner than the one below, so that equal ones still show.
    let by_layer = |f: &dyn Fn(&EpochMetrics, usize) -> Option<f64>| -> Vec<Line> {
        let layers = metrics.iter().map(|m| m.thresholds.len()).max();
        let layers = layers.unwrap_or(0);
        let of_layer = |layer: usize| {
            let width = (2 + 2 * (layers - 1 - layer)).min(12) as u32;
            let points = metrics
                .iter()
                .filter_map(|m| Some((m.epoch as f64, f(m, layer)?)));
            Line {
                name: format!("layer {}", layer + 1),
                points: points.collect(),
                stroke: Stroke::Solid(layer, width),
            }
        };
        let lines = (0..layers).map(of_layer);
        lines.filter(|line| !line.points.is_empty()).collect()
    };
    let accuracy = vec![
        line("training", Stroke::Dashed(1), &|m| 100.0 * m.train_accuracy),
        line("validation", Stroke::Solid(0, 2), &|m| {
            100.0 * m.validation_accuracy
        }),
    ];
    let loss = vec![line("", Stroke::Solid(0, 2), &|m| m.loss)];
    let rate = vec![line("", Stroke::Solid(0, 2), &|m| {
        f64::from(m.learning_rate)
    })];
    let thresholds = by_layer(&|m, layer| m.thresholds.get(layer).map(|v| f64::from(*v)));
    let firing = by_layer(&|m, layer| m.firing_rates.get(layer).copied());
    let dead = by_layer(&|m, layer| m.dead_neurons.get(layer).map(|count| *count as f64));
    let mut charts = vec![
        chart("Accuracy, %", "accuracy", accuracy)?,
        chart("Loss", "loss", loss)?,
    ];
    for (title, y, lines) in [
        ("Thresholds", "threshold", thresholds),
        (
            "Firing rates on validation",
            "spikes a unit and step",
            firing,
        ),
        ("Dead neurons on validation", "units that never fire", dead),
        ("Learning rate", "learning rate", rate),
    ] {
        if !lines.is_empty() {
            charts.push(chart(title, y, lines)?);
        }
    }
    Ok(charts)
}

/// A picture of a sample as a `data:` address; several channels are shown as their mean, and of a
/// recording all steps together.
pub(super) fn sample(samples: &Samples, index: usize) -> Result<String> {
    let ([height, width, channels], pixels) = samples.picture(index);
    let grey = |pixel: &[u8]| {
        let sum: u32 = pixel.iter().map(|&value| u32::from(value)).sum();
        (sum / channels.max(1) as u32) as u8
    };
    let grey: Vec<u8> = pixels.chunks(channels.max(1)).map(grey).collect();
    png(&grey, width, height, ColorSpace::Luma)
}

/// The spikes of a layer, time to the right, as a `data:` address: blue where units fire, the more
/// opaque the more of a row's units.
pub(super) fn raster(layer: &Raster) -> Result<String> {
    let steps = layer.spikes.len();
    let rows = layer.units.clamp(1, RASTER_ROWS);
    let bound = |row: usize| row * layer.units / rows;
    let mut pixels = Vec::with_capacity(4 * rows * steps);
    for row in 0..rows {
        for fired in &layer.spikes {
            let units = &fired[bound(row)..bound(row + 1)];
            let count = units.iter().filter(|fired| **fired).count();
            let opaque = match count {
                0 => 0,
                // The least share still shows.
                _ => 80 + (175 * count / units.len().max(1)) as u8,
            };
            pixels.extend([0, 114, 178, opaque]);
        }
    }
    png(&pixels, steps, rows, ColorSpace::RGBA)
}

fn png(pixels: &[u8], width: usize, height: usize, colours: ColorSpace) -> Result<String> {
    let options = EncoderOptions::default()
        .set_width(width)
        .set_height(height)
        .set_depth(BitDepth::Eight)
        .set_colorspace(colours);
    let mut bytes = Vec::new();
    PngEncoder::new(pixels, options)
        .encode(&mut bytes)
        .map_err(|error| Error::failed(format!("a picture cannot be encoded: {error:?}")))?;
    Ok(format!("data:image/png;base64,{}", base64(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use zune_png::PngDecoder;
    use zune_png::zune_core::bytestream::ZCursor;

    fn decoded(address: &str) -> Vec<u8> {
        let text = address.strip_prefix("data:image/png;base64,").unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(text);
        let mut decoder = PngDecoder::new(ZCursor::new(bytes.unwrap()));
        decoder.decode_raw().unwrap()
    }

    #[test]
    fn a_sample_is_its_mean_over_the_channels() -> Result<()> {
        let pixels = vec![0, 10, 255, 255, 4, 8, 100, 0];
        let samples = Samples::new([2, 2, 2], 2, pixels, vec![1])?;
        assert_eq!(decoded(&sample(&samples, 0)?), [5, 255, 6, 50]);
        Ok(())
    }

    #[test]
    fn a_raster_shows_the_share_of_a_rows_units() -> Result<()> {
        let mut spikes = vec![vec![false; 384], vec![false; 384]];
        (spikes[0][0], spikes[0][1], spikes[1][383]) = (true, true, true);
        let layer = Raster {
            name: "layer 1".into(),
            units: 384,
            spikes,
        };
        let pixels = decoded(&raster(&layer)?);
        let opaque: Vec<u8> = pixels.chunks(4).map(|pixel| pixel[3]).collect();
        assert_eq!(opaque.len(), 2 * RASTER_ROWS);
        assert_eq!(opaque[..4], [255, 0, 0, 0]);
        assert_eq!(opaque[opaque.len() - 2..], [0, 167]);
        Ok(())
    }
}
