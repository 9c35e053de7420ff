//! A picture of trainings over their epochs: loss, accuracy, thresholds, firing rates, dead neurons.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::files::write_atomically;
use crate::plot::{COLOURS, FAINT, FONT, INK, undrawable};
use crate::train::EpochMetrics;
use crate::{Error, Result};

/// Name of the picture in a run directory.
pub const NAME: &str = "curves.svg";

const SIZE: (u32, u32) = (1500, 860);
/// Lengths and gaps of a dash, by layer; the first is a line without gaps.
const DASHES: [(u32, u32); 6] = [(1, 0), (10, 5), (4, 4), (2, 6), (14, 8), (6, 10)];

/// More lines than these have no legend: it would hide them. Their trainings are named by colour in
/// the panels above, and their layers differ by their dashes.
const NAMED_LINES: usize = 6;

/// A training in the picture.
#[derive(Debug, Clone)]
pub struct Curve<'a> {
    /// Its name in the legend.
    pub name: String,
    /// Its metrics, an epoch each.
    pub metrics: &'a [EpochMetrics],
}

/// One line of a panel.
struct Line {
    name: String,
    colour: RGBColor,
    dash: (u32, u32),
    points: Vec<(f64, f64)>,
}

/// What a panel takes from an epoch, for one layer.
type OfLayer<'a> = &'a dyn Fn(&EpochMetrics, usize) -> Option<f64>;

/// Draws trainings over their epochs as SVG. One training has a colour a layer; several have a
/// colour each, and a kind of dashes a layer.
///
/// # Errors
/// [`Error::Usage`] where there is no epoch in any of them; [`Error::Failed`] where the file cannot
/// be written.
pub fn draw(curves: &[Curve<'_>], path: &Path) -> Result<()> {
    write_atomically(path, svg(curves)?.as_bytes())
}

fn svg(curves: &[Curve<'_>]) -> Result<String> {
    if curves.iter().all(|curve| curve.metrics.is_empty()) {
        return Err(Error::usage(
            "nothing to draw: no epoch of any of the trainings is done",
        ));
    }
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(undrawable)?;
        let panels = root.margin(10, 10, 10, 10).split_evenly((2, 3));
        let whole = |f: &dyn Fn(&EpochMetrics) -> f64| -> Vec<Line> {
            let line = |(index, curve): (usize, &Curve<'_>)| Line {
                name: curve.name.clone(),
                colour: COLOURS[index % COLOURS.len()],
                dash: DASHES[0],
                points: curve
                    .metrics
                    .iter()
                    .map(|m| (m.epoch as f64, f(m)))
                    .collect(),
            };
            curves.iter().enumerate().map(line).collect()
        };
        let named = |mut lines: Vec<Line>, what: &str, dash| {
            for line in &mut lines {
                let alone = curves.len() == 1;
                line.name = if alone {
                    what.to_owned()
                } else {
                    format!("{}, {what}", line.name)
                };
                line.dash = dash;
            }
            lines
        };
        panel(&panels[0], "loss", &whole(&|m| m.loss))?;
        let mut accuracy = named(
            whole(&|m| 100.0 * m.validation_accuracy),
            "validation",
            DASHES[0],
        );
        accuracy.extend(named(
            whole(&|m| 100.0 * m.train_accuracy),
            "training",
            DASHES[2],
        ));
        panel(&panels[1], "accuracy, %", &accuracy)?;
        panel(
            &panels[2],
            "learning rate",
            &whole(&|m| f64::from(m.learning_rate)),
        )?;
        let by_layer = |f: OfLayer<'_>| by_layer(curves, f);
        let threshold =
            |m: &EpochMetrics, layer: usize| m.thresholds.get(layer).map(|v| f64::from(*v));
        panel(&panels[3], "thresholds", &by_layer(&threshold))?;
        let rate = |m: &EpochMetrics, layer: usize| m.firing_rates.get(layer).copied();
        panel(
            &panels[4],
            "firing rates, spikes a unit and step",
            &by_layer(&rate),
        )?;
        let dead = |m: &EpochMetrics, layer: usize| m.dead_neurons.get(layer).map(|n| *n as f64);
        panel(
            &panels[5],
            "dead neurons (none of the validation samples fires them)",
            &by_layer(&dead),
        )?;
        root.present().map_err(undrawable)?;
    }
    Ok(text)
}

fn by_layer(curves: &[Curve<'_>], f: OfLayer<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    for (index, curve) in curves.iter().enumerate() {
        let layers = curve.metrics.first().map_or(0, |m| m.thresholds.len());
        for layer in 0..layers {
            let (colour, dash, name) = if curves.len() == 1 {
                (layer, DASHES[0], format!("layer {}", layer + 1))
            } else {
                let name = format!("{}, layer {}", curve.name, layer + 1);
                (index, DASHES[layer % DASHES.len()], name)
            };
            let points = curve
                .metrics
                .iter()
                .filter_map(|m| Some((m.epoch as f64, f(m, layer)?)));
            lines.push(Line {
                name,
                colour: COLOURS[colour % COLOURS.len()],
                dash,
                points: points.collect(),
            });
        }
    }
    lines
}

fn panel(area: &DrawingArea<SVGBackend<'_>, Shift>, title: &str, lines: &[Line]) -> Result<()> {
    let points = || {
        lines
            .iter()
            .flat_map(|line| &line.points)
            .filter(|point| point.1.is_finite())
    };
    let last = points().map(|point| point.0).fold(2.0, f64::max);
    let highest = points()
        .map(|point| point.1)
        .fold(f64::MIN_POSITIVE, f64::max);
    let legend = lines.len() > 1 && lines.len() <= NAMED_LINES;
    // Room for the legend above the lines.
    let room = if legend {
        0.1 + 0.07 * lines.len() as f64
    } else {
        0.08
    };
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 18, &INK))
        .margin(10)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(1.0..last, 0.0..highest * (1.0 + room))
        .map_err(undrawable)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(FAINT)
        .axis_style(INK)
        .label_style((FONT, 14, &INK))
        .x_desc("epoch")
        .x_labels(8)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_labels(6)
        .draw()
        .map_err(undrawable)?;
    for line in lines {
        let style = line.colour.stroke_width(2);
        let (length, gap) = line.dash;
        let series = DashedLineSeries::new(line.points.iter().copied(), length, gap, style);
        // Without gaps a plain line draws the same with less.
        let annotation = if gap == 0 {
            chart.draw_series(LineSeries::new(line.points.iter().copied(), style))
        } else {
            chart.draw_series(series)
        };
        annotation
            .map_err(undrawable)?
            .label(&line.name)
            .legend(move |(x, y)| {
                let drawn = if gap == 0 { 22 } else { length.min(22) as i32 };
                PathElement::new(vec![(x, y), (x + drawn, y)], style)
            });
    }
    if legend {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.8))
            .border_style(FAINT)
            .label_font((FONT, 13, &INK))
            .draw()
            .map_err(undrawable)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(epoch: u64, dead: usize) -> EpochMetrics {
        EpochMetrics {
            epoch,
            loss: 1.0 / epoch as f64,
            train_accuracy: 0.5,
            validation_accuracy: 0.5,
            thresholds: vec![1.0, 2.0],
            firing_rates: vec![0.1, 0.2],
            dead_neurons: vec![dead, 0],
            silent_since: vec![None, None],
            learning_rate: 0.01,
            seconds: 1.0,
        }
    }

    #[test]
    fn one_training_has_a_line_a_layer_and_several_are_named() -> Result<()> {
        let epochs = [metrics(1, 3), metrics(2, 5)];
        let curve = |name: &str| Curve {
            name: name.into(),
            metrics: &epochs,
        };
        let alone = svg(&[curve("first")])?;
        assert!(alone.contains("layer 2") && alone.contains("dead neurons"));
        let both = svg(&[curve("first"), curve("second")])?;
        assert!(both.contains("second, layer 1"));
        let four = svg(&["1", "2", "3", "4"].map(curve))?;
        assert!(!four.contains("4, layer 1"), "8 lines have no legend");
        // One epoch is a point, not an error.
        svg(&[Curve {
            name: "one".into(),
            metrics: &epochs[..1],
        }])?;
        Ok(())
    }

    #[test]
    fn trainings_without_an_epoch_are_refused() {
        let curve = Curve {
            name: "none".into(),
            metrics: &[],
        };
        assert_eq!(svg(&[curve]).expect_err("nothing").exit_code(), 2);
    }
}
