//! Writes the networks and inputs of `cargo xtask bench`, with what the host computes for them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bitspike_core::cost::{Class, Part, dense_part, event_part, instructions, terms};
use bitspike_core::kernel::Kernel;
use bitspike_core::model::{InputKind, Model, WeightOrder};
use bitspike_tests::device::read_model;
use bitspike_tests::networks::{
    Order, Rates, Run, TOPOLOGIES, Topology, WARM_UP, chains, rates, topology,
};
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
    /// Which networks
    #[arg(long, value_enum, default_value_t = Set::Bench)]
    set: Set,
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

/// Sets of networks.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Set {
    /// Those that are measured beside a peer.
    Bench,
    /// Those on which the cost table is fitted.
    Fit,
    /// Those by which it is judged.
    HeldOut,
    /// The MNIST network at 8 steps, with 10,000 pictures as IDX files.
    Host,
}

fn main() {
    let arguments = Arguments::parse();
    fs::create_dir_all(&arguments.out).expect("the folder can be created");
    let mut cases = Vec::new();
    let topologies = match arguments.set {
        Set::Host => return host(&arguments.out),
        Set::Bench => TOPOLOGIES,
        Set::Fit => chains::FITTED,
        Set::HeldOut => chains::HELD_OUT,
    };
    for topology in topologies {
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

/// Pictures of the benchmark on the host, and those that set its thresholds.
const HOST_PICTURES: usize = 10_000;
const CALIBRATION: usize = 64;

/// Writes `host.bsnn`, and `host-images.idx` and `host-labels.idx`, whose labels mean nothing.
fn host(out: &Path) {
    let topology = topology("mnist").expect("it is one of the topologies");
    let topology = Topology {
        steps: 8,
        ..*topology
    };
    let pictures = topology.inputs(0.10, HOST_PICTURES);
    let file = topology.build(0.10, Order::Exported, &pictures[..CALIBRATION]);
    let model = Model::new(&file).expect("the file is a model");
    save(&out.join("host.bsnn"), &file);
    let [height, width, _] = topology.shape.map(u32::from);
    let count = HOST_PICTURES as u32;
    let idx = |name: &str, sizes: &[u32], values: &[u8]| {
        let magic = 0x0800 | sizes.len() as u32;
        let header = [magic].into_iter().chain(sizes.iter().copied());
        let mut bytes: Vec<u8> = header.flat_map(u32::to_be_bytes).collect();
        bytes.extend(values);
        fs::write(out.join(name), bytes).expect("the folder can be written to");
    };
    idx(
        "host-images.idx",
        &[count, height, width],
        &pictures.concat(),
    );
    let labels: Vec<u8> = (0..HOST_PICTURES).map(|index| (index % 10) as u8).collect();
    idx("host-labels.idx", &[count], &labels);
    let rates = rates(&model, &pictures[..CALIBRATION], 0);
    println!(
        "{}",
        json!({ "schema": 1, "cases": [], "rates": rates.layers })
    );
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
        for (index, kernel) in arguments.kernels.iter().enumerate() {
            // What is measured of pixels has one kernel.
            if matches!(arguments.set, Set::Fit) && graded && index > 0 {
                continue;
            }
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
                "steps": model.steps(),
                "warm_up": warm_up,
                "static": graded,
                "layers": topology.layers.iter().map(|layer| layer.name).collect::<Vec<_>>(),
                "weight_bytes": weights.sum::<usize>(),
                "state_bytes": 4 * model.sizes().memory_words(),
                "hidden_rate": topology.hidden_rate.unwrap_or(density),
                "input_rate": rates.input,
                "rates": rates.layers,
                "costs": costs(&model, kernel, &rates),
                "hash": format!("{:016x}", Run::new(&model, &inputs).hash()),
            }));
        }
    }
}

/// For each layer, and the read-out behind them, what the cost table knows of it: the part that runs
/// with its terms, and the estimates of both kernels by class.
fn costs(model: &Model<'_>, kernel: &str, rates: &Rates) -> Vec<Value> {
    let mut costs = Vec::new();
    let mut kind = model.input_kind();
    let mut rate = rates.input;
    for (layer, fired) in model.layers().iter().zip(&rates.layers) {
        let spikes = rate * layer.input().units() as f64;
        let part = if kind.is_graded() {
            Part::Load
        } else if Kernel::Event.supports(layer, kind) {
            Part::Event
        } else {
            Part::Dense
        };
        let estimate = |class: Class| {
            let of = |part| instructions(class, part, layer, spikes);
            let [dense, event] = [Part::Dense, Part::Event].map(of);
            (class.machine(), json!({ "dense": dense, "event": event }))
        };
        // A layer that reads one output is in neither order of its own.
        let forced = kernel == "auto" || part == Part::Load || layer.output().channels > 1;
        costs.push(json!({
            "parts": Class::ALL.map(|class| {
                let part = match part {
                    Part::Dense => dense_part(class, layer),
                    Part::Event => event_part(class, layer, spikes),
                    other => other,
                };
                (class.machine(), json!([part as usize, terms(part, layer, spikes)]))
            }).into_iter().collect::<BTreeMap<_, _>>(),
            "forced": forced,
            "spikes": spikes,
            "driven": terms(Part::Driven, layer, spikes),
            "estimates": Class::ALL.map(estimate).into_iter().collect::<BTreeMap<_, _>>(),
        }));
        (kind, rate) = (InputKind::Spikes, *fired);
    }
    if let Some(last) = model.layers().last() {
        costs.push(json!({
            "parts": Class::ALL.map(|class| {
                (class.machine(), json!([Part::Readout as usize, terms(Part::Readout, last, 0.0)]))
            }).into_iter().collect::<BTreeMap<_, _>>(),
            "forced": true,
            "spikes": 0,
            "driven": terms(Part::Driven, last, 0.0),
            "estimates": {},
        }));
    }
    costs
}

fn save(path: &Path, file: &[u32]) {
    let bytes: Vec<u8> = file.iter().flat_map(|word| word.to_le_bytes()).collect();
    fs::write(path, bytes).expect("the folder can be written to");
}
