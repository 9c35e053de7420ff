//! The operations of a spiking layer, each with its own backward, over `f32` slices.
//!
//! Maps are laid out sample, row, column, channel (channel fastest), and the time steps of a
//! sample stand together: `[batch * steps, height, width, channels]`. Every operation cuts its
//! work into pieces whose size does not depend on the number of threads and adds partial sums in
//! a fixed order, so that a result has the same bits however many threads computed it.

pub mod dropout;
mod events;
pub mod lif;
#[cfg(any(test, feature = "cuda"))]
mod lif_kernel;
pub mod membrane;
pub mod neurons;
pub mod norm;
mod on_device;
mod room;
pub mod sign;
pub mod signs;
pub mod surrogate;
pub mod synapse;

#[cfg(test)]
mod check;

use candle_core::{CpuStorage, Device, Layout, Result, Storage, Tensor};

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

/// Whether the operations made for the processor take a tensor; others go by candle's own.
pub(crate) fn on_host(tensor: &Tensor) -> bool {
    #[cfg(test)]
    if BY_CANDLE.get() {
        return false;
    }
    tensor.device().is_cpu()
}

#[cfg(test)]
thread_local! {
    static BY_CANDLE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Sends tensors on the CPU the way of those on a GPU while `f` runs.
#[cfg(test)]
pub(crate) fn by_candle<T>(f: impl FnOnce() -> T) -> T {
    BY_CANDLE.set(true);
    let result = f();
    BY_CANDLE.set(false);
    result
}

/// Runs `f` on the values of a tensor, without a copy where it is on the CPU and contiguous.
pub(crate) fn with_values<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let tensor = tensor.to_device(&Device::Cpu)?.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(operand(storage, layout)?),
        _ => candle_core::bail!("the values did not come to the CPU"),
    }
}

/// Sums over the rows of `[rows, ..]`, one a value of a row; exact for up to 2^24 spikes.
pub(crate) fn sums_over_rows(tensor: &Tensor) -> Result<Vec<f32>> {
    let rows = tensor.dim(0)?;
    if !on_host(tensor) {
        return tensor.detach().reshape((rows, ()))?.sum(0)?.to_vec1();
    }
    let mut sums = vec![0.0; tensor.elem_count() / rows.max(1)];
    with_values(tensor, |values| {
        for row in values.chunks_exact(sums.len().max(1)) {
            add_scaled(&mut sums, 1.0, row);
        }
        Ok(())
    })?;
    Ok(sums)
}

/// Whether any value is above 0.
pub(crate) fn any_positive(tensor: &Tensor) -> Result<bool> {
    if !on_host(tensor) {
        return Ok(tensor.detach().max_all()?.to_scalar::<f32>()? > 0.0);
    }
    with_values(tensor, |values| Ok(values.iter().any(|value| *value > 0.0)))
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
