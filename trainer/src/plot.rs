//! One picture of a network at work: an input, the spikes that it causes, the scores that decide,
//! and the thresholds over training.

use std::fmt::Display;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::files::write_atomically;
use crate::{Error, Result};

/// What the picture shows.
#[derive(Debug, Clone)]
pub struct Overview<'a> {
    /// Height, width and channels of the input.
    pub input_shape: [usize; 3],
    /// The input's pixels in the order row, column, channel; several channels are shown as their mean.
    pub pixels: &'a [u8],
    /// What the input is.
    pub label: u8,
    /// What the network says that it is.
    pub decision: usize,
    /// The score of each class, for which the highest decides.
    pub scores: &'a [f64],
    /// The spiking layers, first to last.
    pub layers: Vec<LayerRaster>,
    /// After which update of the training which thresholds held, one a layer.
    pub thresholds: Vec<(u64, Vec<f32>)>,
}

/// The spikes of a layer over time.
#[derive(Debug, Clone)]
pub struct LayerRaster {
    /// Its name, as in the configuration.
    pub name: String,
    /// Number of units.
    pub units: usize,
    /// For every time step, whether each unit fired.
    pub spikes: Vec<Vec<bool>>,
}

impl LayerRaster {
    /// Spikes per unit and step.
    fn firing_rate(&self) -> f64 {
        let spikes = self.spikes.iter().flatten().filter(|&&spike| spike).count();
        spikes as f64 / (self.units * self.spikes.len()).max(1) as f64
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const SIZE: (u32, u32) = (1500, 820);
pub(crate) const FONT: &str = "sans-serif";
const TITLE: i32 = 20;
const TEXT: i32 = 16;
pub(crate) const INK: RGBColor = RGBColor(40, 40, 40);
pub(crate) const FAINT: RGBColor = RGBColor(225, 225, 225);
const OTHER_CLASS: RGBColor = RGBColor(160, 160, 160);
/// The colours of Okabe and Ito, which colour-blind people tell apart, the pale ones left out.
pub(crate) const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
/// Points of a line; more cannot be told apart.
const MAX_POINTS: usize = 400;

/// Writes the picture as SVG.
///
/// # Errors
/// [`Error::Usage`] where pixels, spikes or thresholds do not have the declared numbers;
/// [`Error::Failed`] where the file cannot be written.
pub fn overview(overview: &Overview<'_>, path: &Path) -> Result<()> {
    write_atomically(path, svg(overview)?.as_bytes())
}

fn svg(overview: &Overview<'_>) -> Result<String> {
    check(overview)?;
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(undrawable)?;
        let root = root.margin(10, 10, 10, 10);
        let (left, rest) = root.split_horizontally(330);
        let (middle, right) = rest.split_horizontally(650);
        let (input, scores) = left.split_vertically(410);
        draw_input(overview, &input)?;
        draw_scores(overview, &scores)?;
        draw_rasters(&overview.layers, &middle)?;
        draw_thresholds(overview, &right)?;
        root.present().map_err(undrawable)?;
    }
    Ok(text)
}

fn check(overview: &Overview<'_>) -> Result<()> {
    let refuse = |what: String| {
        Err(Error::usage(format!(
            "the overview cannot be drawn: {what}"
        )))
    };
    let [height, width, channels] = overview.input_shape;
    let size = height * width * channels;
    if size == 0 || overview.pixels.len() != size {
        return refuse(format!(
            "{} pixels for an input of {height}x{width}x{channels}",
            overview.pixels.len()
        ));
    }
    for layer in &overview.layers {
        if let Some(step) = layer.spikes.iter().find(|step| step.len() != layer.units) {
            return refuse(format!(
                "a step of {} has {} units of {}",
                layer.name,
                step.len(),
                layer.units
            ));
        }
    }
    let mut counts = overview
        .thresholds
        .iter()
        .map(|(_, thresholds)| thresholds.len());
    let first = counts.next().unwrap_or(0);
    if let Some(count) = counts.find(|&count| count != first) {
        return refuse(format!("thresholds of {first} layers, later of {count}"));
    }
    let finite = overview
        .thresholds
        .iter()
        .flat_map(|(_, row)| row)
        .all(|value| value.is_finite());
    if !finite || overview.scores.iter().any(|score| !score.is_finite()) {
        return refuse("a threshold or a score is not a number".to_owned());
    }
    Ok(())
}

pub(crate) fn undrawable(error: impl Display) -> Error {
    Error::failed(format!("a picture cannot be drawn: {error}"))
}

pub(crate) fn text_style(size: i32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&INK)
}

/// A title over the middle of an area; returns what is left below it.
fn titled<'a>(area: &Area<'a>, title: &str) -> Result<Area<'a>> {
    let (head, body) = area.split_vertically(34);
    let width = head.dim_in_pixel().0 as i32;
    let style = text_style(TITLE).pos(Pos::new(HPos::Center, VPos::Center));
    head.draw_text(title, &style, (width / 2, 17))
        .map_err(undrawable)?;
    Ok(body)
}

fn draw_input(overview: &Overview<'_>, area: &Area<'_>) -> Result<()> {
    let right = if overview.decision == usize::from(overview.label) {
        "right"
    } else {
        "wrong"
    };
    let title = format!(
        "Input: {}, decided: {} ({right})",
        overview.label, overview.decision
    );
    let body = titled(area, &title)?;

    let [height, width, channels] = overview.input_shape;
    let (room_x, room_y) = body.dim_in_pixel();
    let (room_x, room_y) = (room_x as i32 - 20, room_y as i32 - 30);
    let side = (room_x / width as i32).min(room_y / height as i32).max(1);
    let (wide, high) = (side * width as i32, side * height as i32);
    let corner = ((room_x + 20 - wide) / 2, (room_y - high).max(0) / 2);
    let cell = |x: i32, y: i32, w: i32, h: i32, colour: RGBColor| {
        let from = (corner.0 + x, corner.1 + y);
        Rectangle::new([from, (from.0 + w, from.1 + h)], colour.filled())
    };
    body.draw(&cell(0, 0, wide, high, BLACK))
        .map_err(undrawable)?;
    for (index, pixel) in overview.pixels.chunks(channels).enumerate() {
        let grey =
            (pixel.iter().map(|&value| u32::from(value)).sum::<u32>() / channels as u32) as u8;
        if grey > 0 {
            let (x, y) = ((index % width) as i32 * side, (index / width) as i32 * side);
            let colour = RGBColor(grey, grey, grey);
            body.draw(&cell(x, y, side, side, colour))
                .map_err(undrawable)?;
        }
    }
    Ok(())
}

fn draw_scores(overview: &Overview<'_>, area: &Area<'_>) -> Result<()> {
    if overview.scores.is_empty() {
        return Ok(());
    }
    let body = titled(area, "Scores of the classes")?;
    let (unit, per_unit) = scale(overview.scores);
    let scores: Vec<f64> = overview.scores.iter().map(|score| score / unit).collect();
    let (low, high) = padded_range(scores.iter().copied().chain([0.0]));
    let classes = scores.len();
    let mut chart = ChartBuilder::on(&body)
        .margin_right(15)
        .x_label_area_size(45)
        .y_label_area_size(65)
        .build_cartesian_2d(-0.6..classes as f64 - 0.4, low..high)
        .map_err(undrawable)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .bold_line_style(FAINT)
        .axis_style(INK)
        .label_style(text_style(TEXT))
        .axis_desc_style(text_style(TEXT))
        .x_desc("class")
        .y_desc(format!("score{per_unit}"))
        .x_labels(classes.min(20))
        .x_label_formatter(&whole_number)
        .y_labels(5)
        .y_label_formatter(&number(low, high))
        .draw()
        .map_err(undrawable)?;
    let bars = scores.iter().enumerate().map(|(class, &score)| {
        let colour = if class == overview.decision {
            COLOURS[0]
        } else {
            OTHER_CLASS
        };
        let x = class as f64;
        Rectangle::new([(x - 0.4, 0.0), (x + 0.4, score)], colour.filled())
    });
    chart.draw_series(bars).map_err(undrawable)?;
    chart
        .draw_series(LineSeries::new(
            [(-0.6, 0.0), (classes as f64 - 0.4, 0.0)],
            INK,
        ))
        .map_err(undrawable)?;
    Ok(())
}

fn draw_rasters(layers: &[LayerRaster], area: &Area<'_>) -> Result<()> {
    if layers.is_empty() {
        return Ok(());
    }
    for (index, (layer, panel)) in layers
        .iter()
        .zip(area.split_evenly((layers.len(), 1)))
        .enumerate()
    {
        draw_raster(layer, COLOURS[index % COLOURS.len()], &panel)?;
    }
    Ok(())
}

fn draw_raster(layer: &LayerRaster, colour: RGBColor, area: &Area<'_>) -> Result<()> {
    let title = format!(
        "Spikes of {}: {} units, firing rate {:.3}",
        layer.name,
        layer.units,
        layer.firing_rate()
    );
    let body = titled(area, &title)?;
    let steps = layer.spikes.len();
    if steps == 0 || layer.units == 0 {
        return Ok(());
    }
    let mut chart = ChartBuilder::on(&body)
        .margin_right(15)
        .x_label_area_size(45)
        .y_label_area_size(65)
        .build_cartesian_2d(0.5..steps as f64 + 0.5, 0.0..layer.units as f64)
        .map_err(undrawable)?;
    // A row of the picture is a unit, or several where there are more units than rows: its shade is
    // then the share of them that fired.
    let rows = layer
        .units
        .min(chart.plotting_area().dim_in_pixel().1 as usize)
        .max(1);
    let y_desc = match layer.units.div_ceil(rows) {
        1 => "neuron".to_owned(),
        several => format!("neuron (up to {several} a row)"),
    };
    chart
        .configure_mesh()
        .disable_mesh()
        .axis_style(INK)
        .label_style(text_style(TEXT))
        .axis_desc_style(text_style(TEXT))
        .x_desc("time step")
        .y_desc(y_desc)
        .x_labels(steps.min(20))
        .x_label_formatter(&whole_number)
        .y_labels(4)
        .y_label_formatter(&whole_number)
        .draw()
        .map_err(undrawable)?;

    let gap = if steps <= 40 { 0.08 } else { 0.0 };
    let bounds = |row: usize| row * layer.units / rows;
    let blocks = layer.spikes.iter().enumerate().flat_map(|(step, fired)| {
        (0..rows).filter_map(move |row| {
            let units = &fired[bounds(row)..bounds(row + 1)];
            let share =
                units.iter().filter(|&&spike| spike).count() as f64 / units.len().max(1) as f64;
            let x = step as f64 + 1.0;
            let corners = [
                (x - 0.5 + gap, bounds(row) as f64),
                (x + 0.5 - gap, bounds(row + 1) as f64),
            ];
            (share > 0.0).then(|| Rectangle::new(corners, shade(colour, share).filled()))
        })
    });
    chart.draw_series(blocks).map_err(undrawable)?;
    Ok(())
}

/// From a pale to the full colour; the least share still shows.
fn shade(colour: RGBColor, share: f64) -> RGBColor {
    let weight = 0.4 + 0.6 * share;
    let mix = |channel: u8| (255.0 - (255.0 - f64::from(channel)) * weight).round() as u8;
    RGBColor(mix(colour.0), mix(colour.1), mix(colour.2))
}

fn draw_thresholds(overview: &Overview<'_>, area: &Area<'_>) -> Result<()> {
    let body = titled(area, "Thresholds over training")?;
    let history = thinned(&overview.thresholds);
    let (Some((first, row)), Some((last, _))) = (history.first(), history.last()) else {
        return Ok(());
    };
    let (low, high) = padded_range(
        history
            .iter()
            .flat_map(|(_, row)| row)
            .map(|&value| f64::from(value)),
    );
    let mut chart = ChartBuilder::on(&body)
        .margin_right(25)
        .x_label_area_size(45)
        .y_label_area_size(60)
        .build_cartesian_2d(*first as f64..(*last).max(first + 1) as f64, low..high)
        .map_err(undrawable)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(FAINT)
        .axis_style(INK)
        .label_style(text_style(TEXT))
        .axis_desc_style(text_style(TEXT))
        .x_desc("update")
        .y_desc("threshold")
        .x_labels(5)
        .x_label_formatter(&whole_number)
        .y_label_formatter(&number(low, high))
        .draw()
        .map_err(undrawable)?;
    let count = row.len();
    for index in 0..count {
        // Each line is thinner than the one below it, so that equal thresholds still show as many.
        let style = ShapeStyle {
            color: COLOURS[index % COLOURS.len()].to_rgba(),
            filled: true,
            stroke_width: (2 + 3 * (count - 1 - index)).min(14) as u32,
        };
        let name = overview.layers.get(index).map_or_else(
            || format!("layer {}", index + 1),
            |layer| layer.name.clone(),
        );
        let points = history
            .iter()
            .map(|(update, row)| (*update as f64, f64::from(row[index])));
        chart
            .draw_series(LineSeries::new(points, style))
            .map_err(undrawable)?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 30, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .legend_area_size(40)
        .margin(15)
        .label_font(text_style(TEXT))
        .background_style(WHITE)
        .border_style(FAINT)
        .draw()
        .map_err(undrawable)?;
    Ok(())
}

/// At most about [`MAX_POINTS`] of the history, first and last among them.
fn thinned(history: &[(u64, Vec<f32>)]) -> Vec<&(u64, Vec<f32>)> {
    let stride = history.len().div_ceil(MAX_POINTS).max(1);
    let last = history.len().saturating_sub(1);
    history
        .iter()
        .enumerate()
        .filter(|(index, _)| index % stride == 0 || *index == last)
        .map(|(_, entry)| entry)
        .collect()
}

/// The range of the values with some room, never empty.
pub(crate) fn padded_range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let room = 0.06 * (high - low).max(1e-3 * high.abs()).max(1e-6);
    (low - room, high + room)
}

/// Labels between whole numbers stay empty.
pub(crate) fn whole_number(value: &f64) -> String {
    if (value - value.round()).abs() < 1e-6 {
        format!("{}", value.round())
    } else {
        String::new()
    }
}

/// Numbers of an axis from `low` to `high`, with the decimals that tell its labels apart.
pub(crate) fn number(low: f64, high: f64) -> impl Fn(&f64) -> String {
    let decimals = (1.0 - (high - low).log10()).ceil().clamp(0.0, 9.0) as usize;
    let unit = 10_f64.powi(decimals as i32);
    // `+ 0.0` turns a negative zero into zero.
    move |value| format!("{:.decimals$}", (value * unit).round() / unit + 0.0)
}

/// The power of ten that large values are divided by to be read, and how an axis says so.
fn scale(values: &[f64]) -> (f64, String) {
    let largest = values
        .iter()
        .fold(0_f64, |largest, value| largest.max(value.abs()));
    if largest < 1e5 {
        return (1.0, String::new());
    }
    let exponent = largest.log10().floor();
    (10_f64.powf(exponent), format!(" / 10^{exponent}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &str, units: usize, period: usize) -> LayerRaster {
        let spikes = (0..8)
            .map(|step| {
                (0..units)
                    .map(|unit| (unit * 7 + step * 3) % period == 0)
                    .collect()
            })
            .collect();
        LayerRaster {
            name: name.to_owned(),
            units,
            spikes,
        }
    }

    fn example(pixels: &[u8]) -> Overview<'_> {
        Overview {
            input_shape: [28, 28, 1],
            pixels,
            label: 7,
            decision: 7,
            scores: &[
                -310.0, 4.0, 120.0, 60.0, -80.0, 12.0, -400.0, 705.0, 33.0, 240.0,
            ],
            layers: vec![
                layer("layer 1 (conv)", 2304, 9),
                layer("layer 2 (conv)", 1024, 14),
            ],
            thresholds: (0..900_u32)
                .map(|update| {
                    let annealed = 1.9 - 0.9 * (-f64::from(update) / 250.0).exp();
                    (update.into(), vec![annealed as f32, annealed as f32])
                })
                .collect(),
        }
    }

    fn digit() -> Vec<u8> {
        let samples = crate::data::load_split(
            &crate::data::DataRequest::test("mnist", None),
            crate::data::Split::Test,
        );
        samples.unwrap().pixels(0).to_vec()
    }

    #[test]
    fn the_picture_names_all_that_it_shows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("overview.svg");
        let pixels = digit();
        overview(&example(&pixels), &path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for part in [
            "Input: 7, decided: 7 (right)",
            "Spikes of layer 1 (conv): 2304 units, firing rate 0.111",
            "Spikes of layer 2 (conv)",
            "Thresholds over training",
            "time step",
            "score",
        ] {
            assert!(text.contains(part), "{part}");
        }
        assert!(text.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn little_or_nothing_to_show_is_drawn_all_the_same() {
        let pixels = [0, 255, 9, 3];
        let mut small = example(&pixels);
        small.input_shape = [1, 2, 2];
        small.scores = &[];
        small.thresholds.truncate(1);
        small.layers = vec![layer("a", 1, 1), layer("b", 3, 100)];
        svg(&small).unwrap();
        small.thresholds.clear();
        small.layers[0].spikes.clear();
        svg(&small).unwrap();
        small.layers.clear();
        small.scores = &[0.0, 0.0];
        svg(&small).unwrap();
    }

    #[test]
    fn labels_of_an_axis_differ_and_stay_short() {
        assert_eq!(
            ["1.00", "1.10"].map(str::to_owned),
            [1.0, 1.1].map(|v| number(1.0, 1.9)(&v))
        );
        assert_eq!(
            ["1.000", "1.005"].map(str::to_owned),
            [1.0, 1.005].map(|v| number(1.0, 1.05)(&v))
        );
        assert_eq!(number(-400.0, 705.0)(&-1e-9), "0");
        assert_eq!(scale(&[-3.2e11, 5.0]), (1e11, " / 10^11".to_owned()));
        assert_eq!(scale(&[-320.0, 5.0]), (1.0, String::new()));
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        let pixels = digit();
        let refusal = |change: &dyn Fn(&mut Overview<'_>)| {
            let mut changed = example(&pixels);
            change(&mut changed);
            svg(&changed).unwrap_err().to_string()
        };
        let message = refusal(&|changed| changed.input_shape = [28, 28, 2]);
        assert!(
            message.contains("784 pixels for an input of 28x28x2"),
            "{message}"
        );
        let message = refusal(&|changed| changed.layers[1].units = 3);
        assert!(
            message.contains("layer 2 (conv) has 1024 units of 3"),
            "{message}"
        );
        let message = refusal(&|changed| changed.thresholds[5].1.push(1.0));
        assert!(
            message.contains("thresholds of 2 layers, later of 3"),
            "{message}"
        );
        let message = refusal(&|changed| changed.thresholds[5].1[0] = f32::NAN);
        assert!(message.contains("not a number"), "{message}");
    }
}
