//! Host against device: the same samples, every spike and every membrane of every step.
//!
//! The host runs the network with `core`'s kernels and hashes its state after each step; an
//! emulated machine does the same and sends its hash. Where they differ, the machine sends the
//! state of every step, and the first neuron that differs is named.

mod emulator;
mod link;

use bitspike_core::decode::Decision;
use bitspike_core::hash::StateHash;
use bitspike_core::kernel::Kernel;
use bitspike_core::model::{Input, Model};
use bitspike_core::network::{Difference, Network};
use serde::Serialize;

pub use emulator::{Image, verify_on};
pub(crate) use link::frame_of;
pub use link::{Depth, check_model, verify_device};

use crate::sample::{Frame, Sample};
use crate::{Error, Result};

/// Seeded inputs for a model, from silent to dense.
pub fn seeded_samples(model: &Model<'_>, count: usize, seed: u64) -> Vec<Sample> {
    use rand::RngExt;
    use rand_chacha::rand_core::SeedableRng;
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let units = model.input_shape().units();
    let sample = |index: usize| {
        // The first is silent; the others cover all densities.
        let density = index as f64 / count.max(2) as f64;
        if model.input_kind().is_graded() {
            let mut value = || {
                if random.random_bool(density) {
                    random.random()
                } else {
                    0
                }
            };
            return Sample::Still(Frame::Bytes((0..units).map(|_| value()).collect()));
        }
        // Spikes come anew in every step, as from a sensor.
        let mut frame = || {
            let mut words = vec![0; units.div_ceil(32)];
            for unit in 0..units {
                words[unit / 32] |= u32::from(random.random_bool(density)) << (unit % 32);
            }
            Frame::Words(words)
        };
        Sample::Sequence((0..model.steps()).map(|_| frame()).collect())
    };
    (0..count).map(sample).collect()
}

/// What comparing one machine with the host gave.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Name of the machine, as in `--on`.
    pub machine: String,
    /// What it is.
    pub title: String,
    /// Samples that were compared.
    pub samples: usize,
    /// Bits of spikes and membranes that were compared, over all steps.
    pub compared_bits: u64,
    /// Those that differ.
    pub differing_bits: u64,
    /// Spikes and membranes that were compared, over all steps.
    pub compared_values: u64,
    /// The first difference, in words.
    pub first_difference: Option<String>,
    /// Flash of program and model, in bytes.
    pub flash_bytes: Option<u64>,
    /// Static RAM, the network's state and input included, in bytes.
    pub ram_bytes: Option<u64>,
    /// Most stack that was used, in bytes.
    pub stack_bytes: Option<u64>,
    /// Mean instructions of a decision (not clock cycles).
    pub instructions_per_decision: Option<f64>,
}

impl Report {
    fn add_compared(&mut self, model: &Model<'_>) {
        for layer in model.layers() {
            let (units, steps) = (layer.units() as u64, u64::from(model.steps()));
            let (low, _) = layer.spec().membrane.range();
            let width = if low == i32::MIN { 32 } else { 16 };
            self.compared_bits += units * steps * (width + 1);
            self.compared_values += units * steps * 2;
        }
        self.samples += 1;
    }

    /// Keeps the first difference in words; `sides` name where left and right were computed.
    fn note(
        &mut self,
        sample: usize,
        difference: &Difference,
        model: &Model<'_>,
        sides: [&str; 2],
    ) {
        if self.first_difference.is_none() {
            let Difference {
                layer,
                step,
                neuron,
                left,
                right,
            } = *difference;
            let shape = model.layers()[layer].output();
            let (width, channels) = (usize::from(shape.width), usize::from(shape.channels));
            let (pixel, channel) = (neuron / channels, neuron % channels);
            self.first_difference = Some(format!(
                "sample {sample}: layer {layer}, step {step}, neuron {neuron} (row {}, column {}, \
                 channel {channel}): membrane {} and spike {} {}, membrane {} and spike {} {}",
                pixel / width,
                pixel % width,
                left.0,
                u8::from(left.1),
                sides[0],
                right.0,
                u8::from(right.1),
                sides[1]
            ));
        }
    }
}

/// What the host computes for a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    decision: Decision,
    /// Those after which the decision is final.
    steps: u32,
    hash: u64,
    confidence: u32,
}

impl Expected {
    /// `inputs` are those of the model's steps.
    pub(crate) fn of(network: &mut Network<'_>, inputs: &[Input<'_>]) -> Self {
        let mut hash = StateHash::new();
        let mut steps = None;
        network.reset();
        for input in inputs {
            network.step(*input);
            hash.update(network);
            if network.is_final() {
                steps = steps.or(Some(network.steps()));
            }
        }
        Self {
            decision: network.decision(),
            steps: steps.unwrap_or(network.steps()),
            hash: hash.finish(),
            confidence: network.confidence().to_bits(),
        }
    }
}

/// Compares the fast kernels with the reference interpreter, on this machine.
///
/// # Errors
/// [`Error::Usage`] for samples that the model cannot read.
pub fn verify_host(
    model: &Model<'_>,
    samples: &[Sample],
    mut progress: impl FnMut(),
) -> Result<Report> {
    let words = model.sizes().memory_words();
    let (mut left, mut right) = (vec![0; words], vec![0; words]);
    let failed = |error| Error::failed(format!("{error}"));
    let mut reference = Network::new(model, &mut left).map_err(failed)?;
    let mut network = Network::new(model, &mut right).map_err(failed)?;
    reference.force_kernel(Kernel::Reference);
    let mut report = Report {
        machine: "host".into(),
        title: "this machine, fast kernels against the reference".into(),
        ..Report::default()
    };
    for (index, sample) in samples.iter().enumerate() {
        let inputs = sample.inputs(model)?;
        reference.reset();
        network.reset();
        for input in inputs {
            reference.step(input);
            network.step(input);
            if let Some(difference) = reference.first_difference(&network) {
                report.note(
                    index,
                    &difference,
                    model,
                    ["by the reference", "by the fast kernels"],
                );
                report.differing_bits += differing_bits(&reference, |layer| {
                    (network.spikes(layer).words(), network.membrane_words(layer))
                });
            }
        }
        report.add_compared(model);
        progress();
    }
    Ok(report)
}

/// Bits of spikes and membranes in which two states differ.
fn differing_bits<'o>(
    network: &Network<'_>,
    other: impl Fn(usize) -> (&'o [u32], &'o [u32]),
) -> u64 {
    let count = |left: &[u32], right: &[u32]| -> u64 {
        left.iter()
            .zip(right)
            .map(|(a, b)| u64::from((a ^ b).count_ones()))
            .sum()
    };
    (0..network.model().layers().len())
        .map(|layer| {
            let (spikes, membranes) = other(layer);
            count(network.spikes(layer).words(), spikes)
                + count(network.membrane_words(layer), membranes)
        })
        .sum()
}
