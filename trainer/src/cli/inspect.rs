//! `bitspike inspect`.

use std::path::PathBuf;

use bitspike_core::lif::{Membrane, Reset};
use bitspike_core::model::{InputKind, InputPool, Layer, Model, PoolKind, Readout, Shape};
use serde_json::{Value, json};

use super::eval::model_path;
use crate::{Result, model_file};

const EXAMPLES: &str = "Examples:
  bitspike inspect runs/mnist-1
  bitspike inspect model.bsnn --json --weights

With `bitspike trace` the JSON is enough to compute every bit anew with a program of one's own:
tests/vectors/recompute.py is one. Thresholds and biases are one a neuron, in flat order
(y * width + x) * channels + c; weights are [out][in] of a linear layer, [out][ky][kx][in] of a
convolution.";

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
        let document = document(&model, args.weights);
        // With a line a weight it would be unreadable too, and larger.
        if args.weights {
            say!("{document}")?;
        } else {
            say!("{document:#}")?;
        }
    } else {
        print(&model, words.len() * 4)?;
    }
    Ok(())
}

fn print(model: &Model<'_>, file_bytes: usize) -> Result<()> {
    let text = |shape: Shape| format!("{}x{}x{}", shape.height, shape.width, shape.channels);
    if let Ok(metadata) = model.metadata() {
        say!("task: {} ({})", metadata.task, metadata.provenance)?;
    }
    say!(
        "input: {} {:?}",
        text(model.input_shape()),
        model.input_kind()
    )?;
    for (index, layer) in model.layers().iter().enumerate() {
        let spec = layer.spec();
        say!(
            "layer {index}: {} -> {}, {:?}, {} weight bytes, {:?} membranes with {} fraction bits",
            text(layer.input()),
            text(layer.output()),
            spec.operation,
            model.weights(layer).len() * 4,
            spec.membrane,
            spec.fraction
        )?;
    }
    say!(
        "read-out: {:?} over {} steps",
        model.readout(),
        model.steps()
    )?;
    say!(
        "file: {file_bytes} bytes, {} of them weights; memory: {} bytes and {} of input",
        model_file::weight_bytes(model),
        model.sizes().memory_words() * 4,
        model.sizes().input_bytes
    )?;
    Ok(())
}

fn document(model: &Model<'_>, weights: bool) -> Value {
    let layers: Vec<Value> = model
        .layers()
        .iter()
        .enumerate()
        .map(|(index, layer)| {
            let kind = match index {
                0 => model.input_kind(),
                _ => InputKind::Spikes,
            };
            layer_document(model, layer, kind, weights)
        })
        .collect();
    let gains: Vec<u16> = (0..model.classes())
        .map(|class| model.gain(class))
        .collect();
    json!({
        "schema": 1,
        "input": input_name(model.input_kind()),
        "shape": sides(model.input_shape()),
        "steps": model.steps(),
        "layers": layers,
        "readout": {
            "kind": readout_name(model.readout()),
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

fn input_name(kind: InputKind) -> &'static str {
    match kind {
        InputKind::Spikes => "spikes",
        InputKind::U8 => "u8",
        InputKind::I8 => "i8",
        InputKind::Bipolar => "bipolar",
    }
}

fn readout_name(readout: Readout) -> &'static str {
    match readout {
        Readout::Count => "count",
        Readout::Membrane => "membrane",
        Readout::FirstSpike => "first_spike",
        Readout::Population { .. } => "population",
    }
}

fn input_pool(pool: InputPool) -> Value {
    let kind = match pool.kind {
        PoolKind::Sum => "sum",
        PoolKind::Max => "max",
    };
    json!({ "kind": kind, "window": pool.pool.window, "stride": pool.pool.stride })
}

/// `kind` is what the layer reads.
fn layer_document(model: &Model<'_>, layer: &Layer, kind: InputKind, weights: bool) -> Value {
    let spec = layer.spec();
    let (window, pool_stride) = layer.pool();
    let membrane = match spec.membrane {
        Membrane::I16 => "i16",
        Membrane::I32 => "i32",
    };
    let reset = match spec.reset {
        Reset::Subtract => "subtract",
        Reset::Zero => "zero",
        Reset::None => "none",
    };
    let mut document = json!({
        "kind": if layer.is_linear() { "linear" } else { "conv2d" },
        "shape_in": sides(layer.input()),
        "shape_out": sides(layer.output()),
        "kernel": layer.kernel(),
        "stride": layer.stride(),
        "padding": layer.padding(),
        "pool": { "window": window, "stride": pool_stride },
        "input": { "kind": input_name(kind), "pool": spec.input_pool.map(input_pool) },
        "beta": spec.beta,
        "f": spec.fraction,
        "membrane": membrane,
        "reset": reset,
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
        let taps = |channel, from: usize, count: usize| -> Vec<i8> {
            (from..from + count).map(|tap| sign(channel, tap)).collect()
        };
        // A linear layer is [out][in], a convolution [out][ky][kx][in].
        let ([height, width], inputs) = (layer.kernel(), usize::from(layer.map().channels));
        let row = |channel| -> Value {
            if layer.is_linear() {
                return taps(channel, 0, layer.taps()).into();
            }
            let column = |ky, kx| taps(channel, (ky * width + kx) * inputs, inputs);
            (0..height)
                .map(|ky| (0..width).map(|kx| column(ky, kx)).collect::<Value>())
                .collect()
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
