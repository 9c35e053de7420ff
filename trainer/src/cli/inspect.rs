//! `bitspike inspect`.

use std::path::PathBuf;

use bitspike_core::model::{Layer, Model, Shape};
use serde_json::{Value, json};

use super::eval::model_path;
use crate::{Result, model_file};

const EXAMPLES: &str = "Examples:
  bitspike inspect runs/mnist-1
  bitspike inspect model.bsnn --json --weights";

/// Arguments of `bitspike inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A model file, or a run directory that holds one
    #[arg(value_name = "MODEL|RUN")]
    model: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Put weights, thresholds and biases into the JSON document
    #[arg(long, requires = "json")]
    weights: bool,
}

/// Runs `bitspike inspect`.
///
/// # Errors
/// If the model cannot be read.
pub fn run(args: Args) -> Result<()> {
    let path = model_path(&args.model)?;
    let words = model_file::read(&path)?;
    let model = model_file::view(&words)?;
    if args.json {
        println!("{:#}", document(&model, args.weights));
    } else {
        print(&model, words.len() * 4);
    }
    Ok(())
}

fn print(model: &Model<'_>, file_bytes: usize) {
    let text = |shape: Shape| format!("{}x{}x{}", shape.height, shape.width, shape.channels);
    if let Ok(metadata) = model.metadata() {
        println!("task: {} ({})", metadata.task, metadata.provenance);
    }
    println!(
        "input: {} {:?}",
        text(model.input_shape()),
        model.input_kind()
    );
    for (index, layer) in model.layers().iter().enumerate() {
        let spec = layer.spec();
        println!(
            "layer {index}: {} -> {}, {:?}, {} weight bytes, {:?} membranes with {} fraction bits",
            text(layer.input()),
            text(layer.output()),
            spec.operation,
            model.weights(layer).len() * 4,
            spec.membrane,
            spec.fraction
        );
    }
    println!(
        "read-out: {:?} over {} steps",
        model.readout(),
        model.steps()
    );
    println!(
        "file: {file_bytes} bytes, {} of them weights; memory: {} bytes and {} of input",
        model_file::weight_bytes(model),
        model.sizes().memory_words() * 4,
        model.sizes().input_bytes
    );
}

fn document(model: &Model<'_>, weights: bool) -> Value {
    let layers: Vec<Value> = model
        .layers()
        .iter()
        .map(|layer| layer_document(model, layer, weights))
        .collect();
    let gains: Vec<u16> = (0..model.classes())
        .map(|class| model.gain(class))
        .collect();
    json!({
        "schema": 1,
        "input": format!("{:?}", model.input_kind()).to_lowercase(),
        "shape": sides(model.input_shape()),
        "steps": model.steps(),
        "layers": layers,
        "readout": {
            "kind": model.readout(),
            "gains": gains,
            "groups": model.classes(),
            "logit_scale": model.logit_scale(),
        },
        "metadata": model.metadata().ok(),
        "file_bytes": model.sizes().file_bytes,
        "weight_bytes": model_file::weight_bytes(model),
        "memory_bytes": model.sizes().memory_words() * 4,
        "input_bytes": model.sizes().input_bytes,
    })
}

fn layer_document(model: &Model<'_>, layer: &Layer, weights: bool) -> Value {
    let spec = layer.spec();
    let (window, pool_stride) = layer.pool();
    let linear = matches!(
        spec.operation,
        bitspike_core::model::Operation::Linear { .. }
    );
    let mut document = json!({
        "kind": if linear { "linear" } else { "conv2d" },
        "shape_in": sides(layer.input()),
        "shape_out": sides(layer.output()),
        "kernel": layer.kernel(),
        "stride": layer.stride(),
        "padding": layer.padding(),
        "pool": { "window": window, "stride": pool_stride },
        "input": { "pool": spec.input_pool },
        "beta": spec.beta,
        "f": spec.fraction,
        "membrane": spec.membrane,
        "reset": spec.reset,
        "order": spec.order,
    });
    if weights {
        let channels = usize::from(layer.output().channels);
        let sign = |channel, tap| {
            if model.weight(layer, channel, tap) {
                1
            } else {
                -1
            }
        };
        let row = |channel| {
            (0..layer.taps())
                .map(|tap| sign(channel, tap))
                .collect::<Vec<i8>>()
        };
        let neurons = || (0..layer.units()).map(|neuron| (neuron, neuron % channels));
        let (thresholds, biases) = (model.thresholds(layer), model.biases(layer));
        document["weights"] = (0..channels).map(row).collect();
        document["threshold"] = neurons().map(|(n, c)| thresholds.get(n, c)).collect();
        document["bias"] = neurons().map(|(n, c)| biases.get(n, c)).collect();
    }
    document
}

fn sides(shape: Shape) -> [u16; 3] {
    [shape.height, shape.width, shape.channels]
}
