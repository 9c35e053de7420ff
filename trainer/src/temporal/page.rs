//! The page of the temporal task.

use minijinja::context;
use serde_json::json;

use super::measure::{Reached, WINDOW, averaged, spikes};
use super::store::Settings;
use super::{Condition, Observation, SPIKE_STEP, SPIKE_WEIGHT, figure};
use crate::page::{base64, markup, render};
use crate::{Error, Result};

const TEMPLATE: &str = include_str!("../../templates/temporal.html");

/// Frames of the animation.
const FRAMES: usize = 250;

/// The page of a whole run: what the networks reached, and what their outputs did.
///
/// # Errors
/// If a network did no iteration.
pub fn page(
    settings: Settings,
    runs: &[(Reached, Vec<Observation>)],
    command: &str,
) -> Result<String> {
    let rows = runs.iter().map(|(reached, seen)| {
        let judged = seen.len().min(100);
        Ok(context! {
            title => reached.condition.title(),
            spikes => list(&reached.spike_steps),
            averaged => list(&reached.averaged_spike_steps),
            in_time => reached.in_time,
            share => format!("{:.0}", 100.0 * reached.in_time_share),
            judged => judged,
            error => format!("{:.3}", reached.error),
            threshold => format!("{:.2}", reached.threshold),
            rate => format!("{:.4}", reached.hidden_rate),
            figure => markup(figure::moments_inline(reached.condition, seen)?),
        })
    });
    let charts = [
        figure::over_training(
            "Squared error of the membrane, log10",
            "error",
            runs,
            |seen, i| seen[i].error.max(1e-9).log10(),
        )?,
        figure::over_training(
            "In time, of the last 25 iterations",
            "share",
            runs,
            figure::recent_share,
        )?,
        figure::over_training("Threshold", "threshold", runs, |seen, i| seen[i].threshold)?,
        figure::over_training(
            "Firing rate of the hidden neurons",
            "rate",
            runs,
            |seen, i| seen[i].hidden_rate,
        )?,
    ];
    let stages: Vec<_> = runs
        .iter()
        .map(|(reached, seen)| stage(reached.condition, seen))
        .collect();
    let data = serde_json::to_string(&stages).map_err(|error| Error::failed(error.to_string()))?;
    render(
        TEMPLATE,
        context! {
            seed => settings.seed,
            iterations => settings.iterations,
            spike_step => SPIKE_STEP,
            spike_weight => SPIKE_WEIGHT.round() as u32,
            window => WINDOW,
            judged => settings.iterations.min(100),
            runs => rows.collect::<Result<Vec<_>>>()?,
            charts => charts.map(markup).to_vec(),
            version => env!("CARGO_PKG_VERSION"),
            command => command,
            // Titles and numbers only; still nothing in it can end the element.
            data => markup(data.replace('<', "\\u003c")),
        },
    )
}

/// Some steps in words.
fn list(steps: &[usize]) -> String {
    const SHOWN: usize = 8;
    if steps.is_empty() {
        return "never".to_owned();
    }
    let shown: Vec<String> = steps.iter().take(SHOWN).map(ToString::to_string).collect();
    match steps.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A network's part of the animation.
fn stage(condition: Condition, seen: &[Observation]) -> serde_json::Value {
    let (low, high) = figure::range(condition);
    // The height in a frame, 0 to 255.
    let byte = |value: f32| {
        (255.0 * (value - low) / (high - low))
            .clamp(0.0, 255.0)
            .round() as u8
    };
    let stride = seen.len().div_ceil(FRAMES).max(1);
    let shown: Vec<usize> = (0..seen.len())
        .filter(|i| i % stride == 0 || i + 1 == seen.len())
        .collect();
    let bytes = |membrane: &dyn Fn(usize) -> Vec<f32>| {
        let all = shown
            .iter()
            .flat_map(|&i| membrane(i).into_iter().map(byte));
        base64(&all.collect::<Vec<u8>>())
    };
    let of = |value: &dyn Fn(&Observation) -> f32| -> Vec<f32> {
        shown.iter().map(|&i| value(&seen[i])).collect()
    };
    let target: Vec<u8> = condition.target().into_iter().map(byte).collect();
    let spikes = shown
        .iter()
        .map(|&i| spikes(&seen[i].membrane, seen[i].threshold));
    json!({
        "title": condition.title(),
        "target": base64(&target),
        "iterations": shown.iter().map(|i| i + 1).collect::<Vec<_>>(),
        "membrane": bytes(&|i| seen[i].membrane.clone()),
        "average": bytes(&|i| averaged(seen, i)),
        "threshold": of(&|o| o.threshold),
        "level": of(&|o| f32::from(byte(o.threshold))),
        "spikes": spikes.collect::<Vec<_>>(),
    })
}
