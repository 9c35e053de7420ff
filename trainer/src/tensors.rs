//! Named lists of numbers in safetensors files.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::{Error, Result};

/// Lists of numbers by name.
pub(crate) type Tensors = HashMap<String, Vec<f32>>;

/// The bytes of a file that holds the lists.
pub(crate) fn serialise(tensors: &[(String, Vec<f32>)]) -> Result<Vec<u8>> {
    let wrong = |error| Error::failed(format!("cannot write a checkpoint: {error}"));
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, values)| {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        })
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, values), bytes)| {
        Ok((
            name.as_str(),
            TensorView::new(Dtype::F32, vec![values.len()], bytes)?,
        ))
    });
    let views = views.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    safetensors::serialize(views, None).map_err(wrong)
}

/// The lists of a file's bytes.
///
/// # Errors
/// What is wrong with the bytes.
pub(crate) fn deserialise(bytes: &[u8]) -> Result<Tensors, safetensors::SafeTensorError> {
    let values = |view: TensorView<'_>| {
        let words = view.data().as_chunks::<4>().0.iter();
        words
            .map(|word| f32::from_le_bytes(*word))
            .collect::<Vec<f32>>()
    };
    let tensors = SafeTensors::deserialize(bytes)?;
    let named = tensors
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, values(view)));
    Ok(named.collect())
}
