//! The end of a training: fold, write the model, evaluate it once on the test set, draw a picture.

use std::path::Path;

use bitspike_core::model::{Metadata, Model};
use bitspike_core::network::Network;
use serde::Serialize;

use crate::config::Config;
use crate::data::{Samples, Splits};
use crate::encoding::Encoding;
use crate::evaluate::{Evaluation, evaluate};
use crate::fold::fold;
use crate::plot::{LayerRaster, Overview, overview};
use crate::sample::Sample;
use crate::train::ThresholdHistory;
use crate::trained::TrainedNetwork;
use crate::{Result, model_file};

/// Name of the picture in a run directory.
pub const PICTURE_FILE: &str = "overview.svg";

/// Training samples that set the fraction bits of the fold.
const CALIBRATION_SAMPLES: usize = 512;

/// What a finished run reached.
#[derive(Debug, Clone, Serialize)]
pub struct FinalReport {
    /// The integer network on the test samples, where there are some.
    pub integer: Option<Evaluation>,
    /// Accuracy of the integer network on the validation samples.
    pub integer_validation_accuracy: f64,
    /// Bytes of the model file.
    pub model_bytes: usize,
    /// Bytes of its weights.
    pub weight_bytes: usize,
    /// Bytes of memory that the network needs beside its input.
    pub memory_bytes: usize,
}

/// Folds a trained network into `run`/model.bsnn, evaluates that on the test samples, and draws
/// `run`/overview.svg.
///
/// # Errors
/// If the network cannot be folded, or the run directory cannot be written.
pub fn finish(
    run: &Path,
    config: &Config,
    network: &TrainedNetwork,
    splits: &Splits,
    history: &ThresholdHistory,
) -> Result<FinalReport> {
    let calibration: Vec<Sample> = (0..splits.train.len().min(CALIBRATION_SAMPLES))
        .map(|index| splits.train.sample(index))
        .collect();
    let classes: Vec<String> = (0..splits.train.classes())
        .map(|class| class.to_string())
        .collect();
    let provenance = format!(
        "bitspike {}, seed {}, {} updates",
        env!("CARGO_PKG_VERSION"),
        config.train.seed,
        history.last().map_or(0, |(update, _)| *update)
    );
    let metadata = Metadata {
        version: Metadata::VERSION,
        task: &config.data.name,
        classes: &classes.join("\n"),
        encoding: &Encoding::of(config).to_text()?,
        provenance: &provenance,
    };
    let words = fold(network, &calibration, &metadata)?;
    let model = model_file::view(&words)?;
    model_file::save(&run.join(model_file::NAME), &words)?;
    let test = splits.test.as_ref();
    let integer = test.map(|test| evaluate(&model, test)).transpose()?;
    let validation = evaluate(&model, &splits.validation)?;
    draw(
        &run.join(PICTURE_FILE),
        &model,
        network,
        test.map_or::<&Samples, _>(&splits.validation, |test| test),
        history,
    )?;
    Ok(FinalReport {
        integer,
        integer_validation_accuracy: validation.accuracy,
        model_bytes: words.len() * 4,
        weight_bytes: model_file::weight_bytes(&model),
        memory_bytes: model.sizes().memory_words() * 4,
    })
}

/// Draws the first sample through the network, and the thresholds over the training.
fn draw(
    path: &Path,
    model: &Model<'_>,
    trained: &TrainedNetwork,
    samples: &Samples,
    history: &ThresholdHistory,
) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| crate::Error::failed(error.to_string());
    let mut memory = vec![0; model.sizes().memory_words()];
    let mut network = Network::new(model, &mut memory).map_err(|error| failed(&error))?;
    let (input_shape, pixels) = samples.picture(0);
    let sample = samples.sample(0);
    let raster = |(name, units): (&String, usize)| LayerRaster {
        name: name.clone(),
        units,
        spikes: Vec::new(),
    };
    let names = trained.layers.iter().map(|layer| &layer.name);
    let units = model.layers().iter().map(|layer| layer.units());
    let mut layers: Vec<LayerRaster> = names.zip(units).map(raster).collect();
    for input in sample.inputs(model)? {
        network.step(input);
        for (index, layer) in layers.iter_mut().enumerate() {
            let spikes = network.spikes(index);
            layer
                .spikes
                .push((0..layer.units).map(|unit| spikes.get(unit)).collect());
        }
    }
    // The last layer is read out by its membranes; its scores are drawn instead of its spikes.
    layers.pop();
    let scores: Vec<f64> = (0..model.classes())
        .map(|class| network.score(class) as f64)
        .collect();
    overview(
        &Overview {
            input_shape,
            pixels: &pixels,
            label: samples.label(0),
            decision: network.decision().class,
            scores: &scores,
            layers,
            thresholds: history.clone(),
        },
        path,
    )
}
