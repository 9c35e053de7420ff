//! The operations of a spiking layer, each with its own backward, over `f32` slices.
//!
//! Maps are laid out sample, row, column, channel (channel fastest), and the time steps of a
//! sample stand together: `[batch * steps, height, width, channels]`. Every operation cuts its
//! work into pieces whose size does not depend on the number of threads and adds partial sums in
//! a fixed order, so that a result has the same bits however many threads computed it.

pub mod dropout;
pub mod lif;
pub mod membrane;
pub mod norm;
pub mod sign;
pub mod surrogate;
pub mod synapse;

#[cfg(test)]
mod check;

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor};

impl From<candle_core::Error> for crate::Error {
    fn from(error: candle_core::Error) -> Self {
        Self::failed(format!("tensor computation: {error}"))
    }
}

/// The values of a contiguous `f32` operand.
fn operand<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => candle_core::bail!("the operand is not contiguous: {:?}", layout.shape()),
    }
}

/// Runs `f` on the values of a tensor, without a copy where it is contiguous.
pub(crate) fn with_values<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(operand(storage, layout)?),
        _ => candle_core::bail!("the operation runs on the CPU only"),
    }
}

/// Adds `scale * x` to `sum`, element by element.
#[inline(always)]
fn add_scaled(sum: &mut [f32], scale: f32, x: &[f32]) {
    for (sum, x) in sum.iter_mut().zip(x) {
        *sum += scale * x;
    }
}

/// Adds vectors in order.
fn add_all(parts: Vec<Vec<f32>>, len: usize) -> Vec<f32> {
    let mut sum = vec![0.0; len];
    for part in parts {
        add_scaled(&mut sum, 1.0, &part);
    }
    sum
}
