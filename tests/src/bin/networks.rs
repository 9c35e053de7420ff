//! Writes the networks and inputs of `cargo xtask bench`, with what the host computes for them.

use std::fs;
use std::path::{Path, PathBuf};

use bitspike_core::model::{Model, WeightOrder};
use bitspike_tests::device::read_model;
use bitspike_tests::networks::{Order, Run, TOPOLOGIES, Topology, WARM_UP, rates};
use clap::Parser;
use serde_json::{Value, json};

/// Pictures of a network that reads pictures, and steps of one that reads a stream.
const PICTURES: usize = 8;
const STEPS: usize = 16;

/// Write the networks and inputs of `cargo xtask bench`; prints a JSON document about them.
#[derive(Parser)]
struct Arguments {
    /// Folder for the files
    #[arg(long)]
    out: PathBuf,
    /// Only networks of this name
    #[arg(long)]
    only: Option<String>,
    /// Kernels; the order of the weights follows from them
    #[arg(long, value_delimiter = ',')]
    kernels: Vec<String>,
    /// Densities, instead of those of each network
    #[arg(long, value_delimiter = ',')]
    density: Vec<f64>,
    /// A model file in place of the network `mnist`
    #[arg(long)]
    model: Option<PathBuf>,
    /// Steps of a decision of the networks that read a stream
    #[arg(long)]
    steps: Option<u32>,
}

fn main() {
    let arguments = Arguments::parse();
    fs::create_dir_all(&arguments.out).expect("the folder can be created");
    let mut cases = Vec::new();
    for topology in TOPOLOGIES {
        let wanted = match arguments.only.as_deref() {
            // Its larger sibling stands for it.
            None => topology.name != "shd-small",
            Some(name) => name == topology.name,
        };
        if wanted {
            let mut topology = *topology;
            if !topology.input.is_graded() {
                topology.steps = arguments.steps.unwrap_or(topology.steps);
            }
            add(&arguments, &topology, &mut cases);
        }
    }
    println!("{}", json!({ "schema": 1, "cases": cases }));
}

/// Adds a case for each kernel and density of a network.
fn add(arguments: &Arguments, topology: &Topology, cases: &mut Vec<Value>) {
    let densities = if arguments.density.is_empty() {
        topology.densities
    } else {
        &arguments.density
    };
    let graded = topology.input.is_graded();
    let warm_up = if graded { 0 } else { WARM_UP };
    let count = if graded { PICTURES } else { WARM_UP + STEPS };
    let given = arguments
        .model
        .as_ref()
        .filter(|_| topology.name == "mnist");
    // Where the input's density does not set the hidden rate, one network serves all densities.
    let fixed = topology.hidden_rate.map(|_| topology.densities[1]);
    for &density in densities {
        let inputs = topology.inputs(density, count);
        let input = arguments
            .out
            .join(format!("{}-{density}.bin", topology.name));
        fs::write(&input, inputs.concat()).expect("the folder can be written to");
        for kernel in &arguments.kernels {
            let order = match kernel.as_str() {
                "dense" => Order::All(WeightOrder::OutputMajor),
                "event" => Order::All(WeightOrder::InputMajor),
                _ => Order::Exported,
            };
            let (path, file) = if let Some(path) = given {
                (path.clone(), read_model(path))
            } else {
                let built = fixed.unwrap_or(density);
                let name = format!("{}-{kernel}-{built}.bsnn", topology.name);
                let path = arguments.out.join(name);
                let file = match fixed {
                    None => topology.build(density, order, &inputs),
                    Some(_) => topology.build(built, order, &topology.inputs(built, count)),
                };
                save(&path, &file);
                (path, file)
            };
            let model = Model::new(&file).expect("the file is a model");
            let rates = rates(&model, &inputs, warm_up);
            let weights = model
                .layers()
                .iter()
                .map(|layer| 4 * model.weights(layer).len());
            cases.push(json!({
                "network": topology.name,
                "kernel": kernel,
                "density": density,
                "model": path,
                "inputs": input,
                "samples": inputs.len() - warm_up,
                "warm_up": warm_up,
                "static": graded,
                "layers": topology.layers.iter().map(|layer| layer.name).collect::<Vec<_>>(),
                "weight_bytes": weights.sum::<usize>(),
                "state_bytes": 4 * model.sizes().memory_words(),
                "hidden_rate": topology.hidden_rate.unwrap_or(density),
                "input_rate": rates.input,
                "rates": rates.layers,
                "hash": format!("{:016x}", Run::new(&model, &inputs).hash()),
            }));
        }
    }
}

fn save(path: &Path, file: &[u32]) {
    let bytes: Vec<u8> = file.iter().flat_map(|word| word.to_le_bytes()).collect();
    fs::write(path, bytes).expect("the folder can be written to");
}
