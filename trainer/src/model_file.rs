//! Model files on disk.

use std::fs;
use std::path::Path;

use bitspike_core::model::{
    LayerParameters, LayerSpec, Model, ModelError, NetworkSpec, Parameters, Readout, Spread,
    WeightOrder, write,
};

use crate::encoding::Encoding;
use crate::files::write_atomically;
use crate::{Error, Result};

/// Name of the model file in a run directory.
pub const NAME: &str = "model.bsnn";

/// Reads the words of a model file and checks them.
///
/// # Errors
/// [`Error::Usage`] naming the path, and what is wrong with the file.
pub fn read(path: &Path) -> Result<Vec<u32>> {
    let shown = path.display();
    let bytes = fs::read(path)
        .map_err(|error| Error::usage(format!("cannot read the model {shown}: {error}")))?;
    let words: Vec<u32> = bytes
        .as_chunks()
        .0
        .iter()
        .map(|word| u32::from_le_bytes(*word))
        .collect();
    let error = match Model::new(&words).and_then(|model| model.metadata().map(|_| ())) {
        // Up to three bytes more than whole words: the file is cut or too long.
        Ok(()) if bytes.len() != words.len() * 4 => ModelError::Trailing {
            expected: words.len() * 4,
            got: bytes.len(),
        },
        Err(ModelError::Cut { expected, .. }) => ModelError::Cut {
            expected,
            got: bytes.len(),
        },
        Ok(()) => return Ok(words),
        Err(error) => error,
    };
    Err(Error::usage(format!("{shown} is refused: {error}")))
}

/// Loads a model from words that [`read`] gave.
///
/// # Errors
/// [`Error::Usage`] with what is wrong; never for words that [`read`] gave.
pub fn view(words: &[u32]) -> Result<Model<'_>> {
    Model::new(words).map_err(|error| Error::usage(format!("the model is refused: {error}")))
}

/// Name of the data set that a model was trained on, as the model says.
///
/// # Errors
/// [`Error::Usage`] where its metadata cannot be read.
pub fn task<'a>(model: &Model<'a>) -> Result<&'a str> {
    let metadata = model.metadata();
    metadata
        .map(|metadata| metadata.task)
        .map_err(|error| Error::usage(error.to_string()))
}

/// How samples become the model's input, as the model says.
///
/// # Errors
/// [`Error::Usage`] where its metadata cannot be read.
pub fn encoding(model: &Model<'_>) -> Result<Encoding> {
    let metadata = model.metadata();
    let metadata = metadata.map_err(|error| Error::usage(error.to_string()))?;
    Encoding::from_text(metadata.encoding)
}

/// Writes the words of a model to a file, which is there whole or not at all.
///
/// # Errors
/// [`Error::Failed`] naming the path.
pub fn save(path: &Path, words: &[u32]) -> Result<()> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    write_atomically(path, &bytes)
}

/// What stands before the firing rates in a model's provenance.
const RATES: &str = ", rates ";

/// A provenance with the firing rates of the calibration samples: of the input, then by layer.
pub fn with_rates(provenance: &str, rates: &[f64]) -> String {
    let rates: Vec<String> = rates.iter().map(|rate| format!("{rate:.4}")).collect();
    format!("{provenance}{RATES}{}", rates.join(" "))
}

/// The firing rates that a model's provenance holds: of the input, then by layer.
pub fn rates(model: &Model<'_>) -> Option<Vec<f64>> {
    let (_, rates) = model.metadata().ok()?.provenance.rsplit_once(RATES)?;
    let rates = rates.split(' ').map(str::parse::<f64>);
    let rates = rates.collect::<Result<Vec<_>, _>>().ok()?;
    let sound = rates.iter().all(|rate| (0.0..=1.0).contains(rate));
    (sound && rates.len() == model.layers().len() + 1).then_some(rates)
}

/// The words of the same model with the weights of each layer in another order.
///
/// # Errors
/// [`Error::Usage`] where its metadata cannot be read, [`Error::Failed`] where it cannot be written.
pub fn reordered(model: &Model<'_>, orders: &[WeightOrder]) -> Result<Vec<u32>> {
    let metadata = model.metadata();
    let metadata = metadata.map_err(|error| Error::usage(error.to_string()))?;
    let shape = model.input_shape();
    let mut spec = NetworkSpec {
        input: model.input_kind(),
        shape: [shape.height, shape.width, shape.channels],
        steps: model.steps(),
        readout: model.readout(),
        logit_scale: model.logit_scale(),
        layers: heapless::Vec::new(),
    };
    let mut values = Vec::new();
    for (layer, &order) in model.layers().iter().zip(orders) {
        let spec_of = LayerSpec {
            order,
            ..*layer.spec()
        };
        // A model has no more layers than a spec.
        let _ = spec.layers.push(spec_of);
        let channels = usize::from(layer.output().channels);
        let weights: Vec<i8> = (0..channels)
            .flat_map(|output| (0..layer.taps()).map(move |tap| (output, tap)))
            .map(|(output, tap)| {
                if model.weight(layer, output, tap) {
                    1
                } else {
                    -1
                }
            })
            .collect();
        let all = |list: Parameters<'_>, spread: Option<Spread>| -> Vec<i32> {
            let count = match spread {
                None => 0,
                Some(Spread::Layer) => 1,
                Some(Spread::Channel) => channels,
                Some(Spread::Neuron) => layer.units(),
            };
            (0..count).map(|at| list.get(at, at % channels)).collect()
        };
        values.push((
            weights,
            all(model.thresholds(layer), Some(layer.spec().thresholds)),
            all(model.biases(layer), layer.spec().biases),
        ));
    }
    let parameters: Vec<_> = values
        .iter()
        .map(|(weights, thresholds, biases)| LayerParameters {
            weights,
            thresholds,
            biases,
        })
        .collect();
    let gains: Vec<u16> = match model.readout() {
        Readout::Membrane | Readout::FirstSpike => (0..model.classes())
            .map(|class| model.gain(class))
            .collect(),
        Readout::Count | Readout::Population { .. } => Vec::new(),
    };
    // The other order fills up rows of another length: at most a word a weight.
    let weights: usize = values.iter().map(|(weights, ..)| weights.len()).sum();
    let mut file = vec![0; model.sizes().file_bytes / 4 + weights];
    let words = write(&spec, &parameters, &gains, &metadata, &mut file)
        .map_err(|error| Error::failed(format!("the model cannot be written: {error}")))?;
    file.truncate(words);
    Ok(file)
}

/// Bytes of a model's weights.
pub fn weight_bytes(model: &Model<'_>) -> usize {
    model
        .layers()
        .iter()
        .map(|layer| model.weights(layer).len() * 4)
        .sum()
}

#[cfg(test)]
mod tests {
    use bitspike_core::network::Network;

    use super::*;

    const INTACT: &[u8] = include_bytes!("../../core/tests/models/v1-mixed.bsnn");

    fn refusal(bytes: &[u8]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tried.bsnn");
        fs::write(&path, bytes).unwrap();
        read(&path).err().map(|error| {
            assert_eq!(error.exit_code(), 2);
            let message = error.to_string();
            assert!(message.contains("tried.bsnn"), "{message}");
            message
        })
    }

    #[test]
    fn every_cut_and_every_longer_file_is_refused_by_name() {
        assert_eq!(refusal(INTACT), None);
        for length in 0..INTACT.len() {
            let message = refusal(&INTACT[..length]).expect("a cut file is refused");
            let expected = format!("{length} bytes of");
            assert!(message.contains(&expected), "{length}: {message}");
        }
        for more in 1..6 {
            let longer = [INTACT, &[0; 6][..more]].concat();
            let message = refusal(&longer).expect("a longer file is refused");
            assert!(message.contains("too long"), "{more}: {message}");
        }
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        for bit in 0..INTACT.len() * 8 {
            let mut bytes = INTACT.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(refusal(&bytes).is_some(), "bit {bit} was not noticed");
        }
    }

    #[test]
    fn another_order_is_the_same_network() {
        let words: Vec<u32> = INTACT
            .as_chunks()
            .0
            .iter()
            .map(|word| u32::from_le_bytes(*word))
            .collect();
        let model = view(&words).unwrap();
        let orders = |order| vec![order; model.layers().len()];
        for order in [WeightOrder::InputMajor, WeightOrder::OutputMajor] {
            let other = reordered(&model, &orders(order)).unwrap();
            let other = view(&other).unwrap();
            let run = |model: &Model<'_>| {
                let mut memory = vec![0; model.sizes().memory_words()];
                let mut network = Network::new(model, &mut memory).unwrap();
                let pixels: Vec<u8> = (0..36).map(|pixel| pixel * 7).collect();
                network.run(model.input(&pixels).unwrap());
                let scores = (0..model.classes()).map(|class| network.score(class));
                scores.collect::<Vec<_>>()
            };
            assert_eq!(run(&other), run(&model), "{order:?}");
        }
        let own: Vec<_> = model
            .layers()
            .iter()
            .map(|layer| layer.spec().order)
            .collect();
        assert_eq!(reordered(&model, &own).unwrap(), words);
    }

    #[test]
    fn a_missing_file_is_named() {
        let message = read(Path::new("not/there.bsnn")).unwrap_err().to_string();
        assert!(message.contains("not/there.bsnn"), "{message}");
    }
}
