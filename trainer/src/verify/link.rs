//! Host against a device at a serial line, by the protocol of `serve`.

use bitspike_core::hash::StateHash;
use bitspike_core::model::{Input, Model};
use bitspike_core::network::Network;

use super::emulator::difference;
use super::{Expected, Report, differing_bits};
use crate::device::Client;
use crate::sample::{Frame, Sample};
use crate::{Error, Result};

/// What of a device's state comes over the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// A hash of all spikes and membranes; they themselves where it differs.
    Hash,
    /// Every spike and membrane of every step.
    Full,
}

/// Checks that a device has the model that it is to run.
///
/// # Errors
/// [`Error::Usage`] where it has another one or none.
pub fn check_model(client: &Client, model: &Model<'_>) -> Result<()> {
    let wanted = model.checksum();
    let device = client.identified();
    match device.model {
        Some(got) if got.checksum == wanted => Ok(()),
        Some(got) => Err(Error::usage(format!(
            "the device has the model {:08x}, not this one, {wanted:08x}; `--load` loads it first",
            got.checksum
        ))),
        None => Err(Error::usage(
            "the device has no model; `--load` loads this one first",
        )),
    }
}

/// Runs samples on a device and compares spikes, membranes and decisions with the host.
///
/// # Errors
/// [`Error::Failed`] where the line fails, [`Error::Usage`] where the device has another model.
pub fn verify_device(
    client: &mut Client,
    model: &Model<'_>,
    samples: &[Sample],
    depth: Depth,
    mut progress: impl FnMut(),
) -> Result<Report> {
    check_model(client, model)?;
    let mut memory = vec![0; model.sizes().memory_words()];
    let mut network = Network::new(model, &mut memory)
        .map_err(|error| Error::failed(format!("host: {error}")))?;
    let mut report = Report {
        machine: client.identified().board.clone(),
        title: format!("firmware {}", client.identified().firmware),
        ..Report::default()
    };
    let mut instructions = 0;
    for (index, sample) in samples.iter().enumerate() {
        let inputs = sample.inputs(model)?;
        let expected = Expected::of(&mut network, &inputs);
        let whole = match (sample, depth) {
            (Sample::Still(frame), Depth::Hash) => {
                client.load_sample(&frame.to_bytes())?;
                let ran = client.run()?;
                instructions += ran.instructions;
                usize::from(ran.class) == expected.decision.class
                    && ran.steps == expected.steps
                    && ran.confidence == expected.confidence
                    && ran.hash == expected.hash
            }
            _ => false,
        };
        if !whole {
            let before = report.differing_bits;
            let taken = compare_steps(
                client,
                &mut network,
                sample,
                &inputs,
                depth,
                |network, layers| {
                    report.differing_bits +=
                        differing_bits(network, |layer| (&layers[layer].0, &layers[layer].1));
                    for (layer, (spikes, membranes)) in layers.iter().enumerate() {
                        if let Some(difference) = difference(network, layer, spikes, membranes) {
                            report.note(
                                index,
                                &difference,
                                model,
                                ["on the host", "on the device"],
                            );
                        }
                    }
                },
            )?;
            let decided = client.decide()?;
            let right = (expected.decision.class as u16, expected.confidence);
            let still = matches!(sample, Sample::Still(_)) && depth == Depth::Hash;
            if report.differing_bits == before && (decided != right || still) {
                return Err(Error::failed(format!(
                    "sample {index}: all spikes and membranes are equal, but decision, steps, hash or \
                     confidence are not: expected {expected:x?}, got {decided:x?}"
                )));
            }
            if !still {
                instructions += taken;
            }
        }
        report.add_compared(model);
        progress();
    }
    client.identify()?;
    if client.identified().stack_is_full() {
        return Err(Error::failed(
            "the device's stack has met its other data: nothing that it says can be relied on",
        ));
    }
    report.stack_bytes = Some(client.identified().stack_bytes.into());
    report.instructions_per_decision = Some(instructions as f64 / samples.len().max(1) as f64);
    Ok(report)
}

/// Steps host and device through a sample; `differ` gets the device's layers after every step whose
/// hash differs, or after all. Gives the device's instructions.
fn compare_steps(
    client: &mut Client,
    network: &mut Network<'_>,
    sample: &Sample,
    inputs: &[Input<'_>],
    depth: Depth,
    mut differ: impl FnMut(&Network<'_>, &[(Vec<u32>, Vec<u32>)]),
) -> Result<u64> {
    let model = network.model();
    client.reset()?;
    network.reset();
    let mut instructions = 0;
    for (step, input) in inputs.iter().enumerate() {
        if let Some(frame) = frame_of(sample, step) {
            client.load_sample(&frame.to_bytes())?;
        }
        let stepped = client.step(1)?;
        instructions += stepped.instructions;
        network.step(*input);
        let mut hash = StateHash::new();
        hash.update(network);
        if depth == Depth::Full || stepped.hash != hash.finish() {
            differ(network, &client.read_layers(model)?);
        }
    }
    Ok(instructions)
}

/// What is to be loaded before a step: that of a still sample once.
pub(crate) fn frame_of(sample: &Sample, step: usize) -> Option<&Frame> {
    match sample {
        Sample::Still(frame) => (step == 0).then_some(frame),
        Sample::Sequence(frames) => frames.get(step),
    }
}
