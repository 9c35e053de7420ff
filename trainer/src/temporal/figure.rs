//! Pictures of the temporal task.

use super::measure::{Reached, averaged, in_time, spikes};
use super::{Condition, Observation, STEPS};
use crate::Result;
use crate::chart::{Area, Chart, Line, Stroke, document, inline};
use crate::plot::undrawable;

/// Size of a picture of three moments.
const MOMENTS: (u32, u32) = (1200, 560);

/// Size of a chart over the iterations.
const OVER_ITERATIONS: (u32, u32) = (700, 330);

/// Points of a line over the iterations; more cannot be told apart.
const MAX_POINTS: usize = 400;

/// The three iterations that are shown: the first, one at a tenth of the training, the last.
pub fn moments(observations: &[Observation]) -> [usize; 3] {
    let last = observations.len().saturating_sub(1);
    [0, (observations.len() / 10).saturating_sub(1), last]
}

/// The membranes that a picture of a network has room for.
pub(crate) fn range(condition: Condition) -> (f32, f32) {
    let (_, threshold) = condition.thresholds();
    (-0.4 * threshold, 1.6 * threshold)
}

fn line(name: &str, stroke: Stroke, values: &[f32]) -> Line {
    let points = values.iter().enumerate();
    Line {
        name: name.to_owned(),
        points: points.map(|(x, y)| (x as f64, f64::from(*y))).collect(),
        stroke,
    }
}

/// A membrane with its threshold and its spikes, over all steps.
fn panel(
    area: &Area<'_>,
    title: &str,
    range: (f32, f32),
    (membrane, colour): (&[f32], usize),
    target: Option<&[f32]>,
    threshold: f32,
) -> Result<()> {
    let (low, high) = (f64::from(range.0), f64::from(range.1));
    let mut lines = Vec::new();
    lines.extend(target.map(|target| line("", Stroke::Dashed(2), target)));
    lines.push(line("", Stroke::Limit, &[threshold; STEPS]));
    lines.push(line("", Stroke::Solid(colour, 2), membrane));
    lines.extend(spikes(membrane, threshold).into_iter().map(|step| {
        let (x, foot) = (step as f64, low + 0.01 * (high - low));
        Line {
            name: String::new(),
            points: vec![(x, foot), (x, foot + 0.07 * (high - low))],
            stroke: Stroke::Solid(1, 3),
        }
    }));
    let chart = Chart {
        title,
        x: "time step",
        y: "membrane",
        x_range: Some((0.0, (STEPS - 1) as f64)),
        y_range: Some((low, high)),
        lines,
    };
    chart.draw(area)
}

/// The membrane at three moments beside the target, and below each its moving average.
fn draw_moments(condition: Condition, observations: &[Observation], area: &Area<'_>) -> Result<()> {
    if observations.is_empty() {
        return Err(undrawable("no iteration was done"));
    }
    let (target, range) = (condition.target(), range(condition));
    let panels = area.split_evenly((2, 4));
    let (_, threshold) = condition.thresholds();
    panel(&panels[0], "target", range, (&target, 2), None, threshold)?;
    let learning = Chart {
        title: "squared error, log10",
        x: "iteration",
        y: "error",
        x_range: None,
        y_range: None,
        lines: vec![Line {
            name: String::new(),
            points: over_iterations(observations, |i| observations[i].error.max(1e-9).log10()),
            stroke: Stroke::Solid(0, 2),
        }],
    };
    learning.draw(&panels[4])?;
    for (column, index) in moments(observations).into_iter().enumerate() {
        let seen = &observations[index];
        let title = format!("iteration {}", index + 1);
        let target = Some(&target[..]);
        let draw = |row: usize, title: &str, membrane: (&[f32], usize)| {
            let area = &panels[4 * row + 1 + column];
            panel(area, title, range, membrane, target, seen.threshold)
        };
        draw(0, &title, (&seen.membrane, 0))?;
        let average = averaged(observations, index);
        draw(1, &format!("{title}, averaged"), (&average, 3))?;
    }
    Ok(())
}

/// The picture of three moments, as a file.
///
/// # Errors
/// If no iteration was done.
pub fn moments_file(condition: Condition, observations: &[Observation]) -> Result<String> {
    document(MOMENTS, |area| draw_moments(condition, observations, area))
}

/// The picture of three moments, for a page.
pub(crate) fn moments_inline(condition: Condition, observations: &[Observation]) -> Result<String> {
    let label = format!(
        "{}: the target, and the membrane of the output neuron in three iterations",
        condition.title()
    );
    inline(MOMENTS, &label, |area| {
        draw_moments(condition, observations, area)
    })
}

/// A value by iteration, 1 for the first.
fn over_iterations(observations: &[Observation], value: impl Fn(usize) -> f32) -> Vec<(f64, f64)> {
    let (count, stride) = (observations.len(), observations.len().div_ceil(MAX_POINTS));
    let kept = (0..count).filter(|i| i % stride == 0 || i + 1 == count);
    kept.map(|i| ((i + 1) as f64, f64::from(value(i))))
        .collect()
}

/// A chart over the iterations of all networks, for a page.
pub(crate) fn over_training(
    title: &str,
    y: &str,
    runs: &[(Reached, Vec<Observation>)],
    value: impl Fn(&[Observation], usize) -> f32,
) -> Result<String> {
    let lines = runs
        .iter()
        .enumerate()
        .map(|(index, (reached, seen))| Line {
            name: reached.condition.name().to_owned(),
            points: over_iterations(seen, |i| value(seen, i)),
            stroke: Stroke::Solid(index, 2),
        });
    let chart = Chart {
        title,
        x: "iteration",
        y,
        x_range: None,
        y_range: None,
        lines: lines.collect(),
    };
    inline(OVER_ITERATIONS, title, |area| chart.draw(area))
}

/// In which part of the last 25 iterations the averaged membrane crossed the threshold in time.
pub(crate) fn recent_share(seen: &[Observation], index: usize) -> f32 {
    let window = (index + 1).saturating_sub(25)..index + 1;
    let count = window.len() as f32;
    window.filter(|&i| in_time(seen, i)).count() as f32 / count
}
