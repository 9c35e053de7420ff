//! Seconds of inference on the host, as a line of JSON: `cargo xtask bench host` runs it.
//!
//!     time_inference MODEL PICTURES LABELS [baseline|avx2]
//!
//! PICTURES and LABELS are IDX files. The time is that of `bitspike eval`, files not included.

mod clock;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use bitspike_trainer::evaluate::evaluate_at;
use bitspike_trainer::wide::Level;
use bitspike_trainer::{Error, Result, data, model_file};
use clock::cpu_seconds;
use serde_json::json;

/// Times that all pictures are read: the system counts in hundredths of a second.
const REPEATS: u32 = 4;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            error.exit_code().into()
        }
    }
}

fn run(arguments: &[String]) -> Result<serde_json::Value> {
    let [model, pictures, labels, level @ ..] = arguments else {
        return Err(Error::usage(
            "time_inference MODEL PICTURES LABELS [baseline|avx2]",
        ));
    };
    let level = match level {
        [] => Level::detect(),
        [name, ..] => Level::ALL
            .into_iter()
            .find(|level| format!("{level:?}").eq_ignore_ascii_case(name))
            .filter(|level| level.is_available())
            .ok_or_else(|| Error::usage(format!("this processor has no {name}")))?,
    };
    let words = model_file::read(Path::new(model))?;
    let model = model_file::view(&words)?;
    let samples = data::read_pair(Path::new(pictures), Path::new(labels))?;
    // The threads are started, and the pages there, before the clock runs.
    let result = evaluate_at(level, &model, &samples)?;
    let (start, cpu) = (Instant::now(), cpu_seconds());
    for _ in 0..REPEATS {
        let again = evaluate_at(level, &model, &samples)?;
        assert_eq!(result.correct, again.correct, "the same decisions");
    }
    let each = |seconds: f64| seconds / f64::from(REPEATS);
    Ok(json!({
        "samples": result.samples,
        "level": format!("{level:?}").to_lowercase(),
        "seconds": each(start.elapsed().as_secs_f64()),
        "cpu_seconds": each(cpu_seconds() - cpu),
        "steps_mean": result.steps_mean,
        "firing_rates": result.firing_rates,
        "accuracy": result.accuracy,
    }))
}
