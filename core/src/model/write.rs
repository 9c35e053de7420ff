//! The writer of model files.

use super::MAX_LAYERS;
use super::error::WriteError;
use super::format::{NetworkSpec, Spread};
use super::layer::Layer;
use super::metadata::Metadata;
use super::planner::Planner;
use super::prelude::word;
use super::view::Model;
use crate::bits;
use crate::lif::Membrane;

/// The parameters of one layer.
#[derive(Debug, Clone, Copy)]
pub struct LayerParameters<'a> {
    /// +1 or -1 (anything at least 0 is +1), `[out][tap]` with taps in the order `(ky, kx, c)`.
    pub weights: &'a [i8],
    /// As many as the spec's spread of thresholds says.
    pub thresholds: &'a [i32],
    /// As many as the spec's spread of biases says.
    pub biases: &'a [i32],
}

/// Writes a model file into `file`, and gives the number of words it takes.
///
/// `gains` holds one value a neuron of the last layer where the read-out has gains, else nothing.
///
/// # Errors
/// [`WriteError`] where the parameters do not match the shapes, the buffer is too small, or
/// [`Model::new`] would refuse the file.
///
/// ```
/// use bitspike_core::lif::{Membrane, Reset};
/// use bitspike_core::model::*;
/// let mut spec = NetworkSpec {
///     input: InputKind::Spikes,
///     shape: [1, 1, 3],
///     steps: 4,
///     readout: Readout::Count,
///     logit_scale: 1.0,
///     layers: heapless::Vec::new(),
/// };
/// let _ = spec.layers.push(LayerSpec {
///     input_pool: None,
///     operation: Operation::Linear { outputs: 2 },
///     pool: None,
///     order: WeightOrder::OutputMajor,
///     membrane: Membrane::I16,
///     fraction: 0,
///     beta: 29491,
///     reset: Reset::Subtract,
///     thresholds: Spread::Layer,
///     biases: None,
/// });
/// let layer = LayerParameters { weights: &[1, -1, 1, -1, -1, 1], thresholds: &[1], biases: &[] };
/// let mut file = [0; 64];
/// let metadata = Metadata { version: Metadata::VERSION, ..Metadata::default() };
/// let words = write(&spec, &[layer], &[], &metadata, &mut file)?;
/// assert_eq!(Model::new(&file[..words])?.layers().len(), 1);
/// # Ok::<(), WriteError>(())
/// ```
pub fn write(
    spec: &NetworkSpec,
    parameters: &[LayerParameters<'_>],
    gains: &[u16],
    metadata: &Metadata<'_>,
    file: &mut [u32],
) -> Result<usize, WriteError> {
    let mut planner = Planner::new(spec.head())?;
    let mut layers = heapless::Vec::<Layer, MAX_LAYERS>::new();
    for layer in &spec.layers {
        let _ = layers.push(planner.layer(layer)?);
    }
    let mut sizes = planner.finish()?;
    check_count(0, "layers with parameters", layers.len(), parameters.len())?;
    file.fill(0);
    let rest = file.get_mut(word::COUNT..).ok_or(WriteError::Buffer)?;
    let network = postcard::to_slice(spec, bytemuck::cast_slice_mut(rest));
    sizes.network_bytes = network.map_err(|_| WriteError::Buffer)?.len();
    let rest = rest
        .get_mut(sizes.network_bytes.div_ceil(4)..)
        .ok_or(WriteError::Buffer)?;
    let section = postcard::to_slice(metadata, bytemuck::cast_slice_mut(rest));
    sizes.metadata_bytes = section.map_err(|_| WriteError::Buffer)?.len();
    let start = word::COUNT + sizes.network_bytes.div_ceil(4) + sizes.metadata_bytes.div_ceil(4);
    let end = start + sizes.parameter_words;
    sizes.file_bytes = 4 * end;
    let file = file.get_mut(..end).ok_or(WriteError::Buffer)?;
    let target = file.get_mut(start..).ok_or(WriteError::Buffer)?;
    for (index, (layer, values)) in layers.iter().zip(parameters).enumerate() {
        write_layer(index, layer, values, target)?;
    }
    if let Some(last) = layers.last() {
        let expected = if spec.readout.has_gains() {
            last.units()
        } else {
            0
        };
        check_count(layers.len() - 1, "gains", expected, gains.len())?;
        for (index, gain) in gains.iter().enumerate() {
            let at = last.sections()[3] * 32 + index * 16;
            bits::write(target, at, 16, u32::from(*gain));
        }
    }
    sizes.emit(file);
    Model::new(file)?.metadata()?;
    Ok(end)
}

fn write_layer(
    index: usize,
    layer: &Layer,
    values: &LayerParameters<'_>,
    target: &mut [u32],
) -> Result<(), WriteError> {
    let [weights_at, thresholds_at, biases_at, _] = layer.sections();
    let taps = layer.taps();
    let channels = usize::from(layer.output().channels);
    check_count(index, "weights", taps * channels, values.weights.len())?;
    for (weight, position) in values.weights.iter().zip(0..) {
        let bit = layer.weight_bit(position / taps, position % taps);
        bits::write(target, weights_at * 32 + bit, 1, (*weight >= 0).into());
    }
    let spec = layer.spec();
    let mut write = |what, at: usize, spread: Option<Spread>, values: &[i32]| {
        let expected = spread.map_or(0, |spread| layer.parameters(spread));
        check_count(index, what, expected, values.len())?;
        let (min, max) = spec.membrane.range();
        for (position, &value) in values.iter().enumerate() {
            if !(min..=max).contains(&value) {
                let error = super::ParameterError::Range {
                    index: position,
                    got: value,
                };
                return Err(super::ModelError::Parameter {
                    layer: index,
                    error,
                }
                .into());
            }
            let width = if spec.membrane == Membrane::I16 {
                16
            } else {
                32
            };
            bits::write(target, at * 32 + position * width, width, value as u32);
        }
        Ok(())
    };
    write(
        "thresholds",
        thresholds_at,
        Some(spec.thresholds),
        values.thresholds,
    )?;
    write("biases", biases_at, spec.biases, values.biases)
}

fn check_count(
    layer: usize,
    what: &'static str,
    expected: usize,
    got: usize,
) -> Result<(), WriteError> {
    if expected == got {
        Ok(())
    } else {
        Err(WriteError::Parameters {
            layer,
            what,
            expected,
            got,
        })
    }
}
