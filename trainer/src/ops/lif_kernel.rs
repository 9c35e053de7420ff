//! The kernels of `lif.cu`: what they are told, how they are started on a GPU, and their check
//! against the processor's operation without one.

use super::lif::Lif;

/// `Parameters` in `lif.cu`, field by field.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters {
    samples: u64,
    neurons: u64,
    steps: u64,
    given: u64,
    beta: f32,
    threshold: f32,
    slope: f32,
    by_u: f32,
    offset: f32,
    factor: f32,
    shape: i32,
    unused: i32,
}

impl Parameters {
    pub(super) fn of(lif: &Lif, samples: usize, neurons: usize) -> Self {
        let (by_u, offset, factor) = lif.surrogate.scales(lif.threshold);
        Self {
            samples: samples as u64,
            neurons: neurons as u64,
            steps: lif.steps as u64,
            given: lif.given() as u64,
            beta: lif.beta,
            threshold: lif.threshold,
            slope: lif.surrogate.slope,
            by_u,
            offset,
            factor,
            shape: lif.surrogate.shape as i32,
            unused: 0,
        }
    }
}

/// Starting the kernels on a GPU, on candle's stream.
#[cfg(feature = "cuda")]
pub(super) mod launch {
    use std::sync::OnceLock;

    use candle_core::cuda::cudarc::driver::{
        CudaSlice, CudaView, DeviceRepr, LaunchConfig, PushKernelArg,
    };
    use candle_core::cuda::cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};
    use candle_core::cuda::{CudaDevice, WrapErr};
    use candle_core::{CudaStorage, Layout, Result};

    use super::Parameters;

    const SOURCE: &str = include_str!("lif.cu");
    const MODULE: &str = "bitspike-lif";
    const THREADS: u32 = 256;
    /// More threads than that take several neurons each.
    const MOST_BLOCKS: u64 = 1 << 20;

    // SAFETY: a C structure of numbers, without pointers, laid out as `Parameters` in `lif.cu`.
    unsafe impl DeviceRepr for Parameters {}

    /// Spikes of a contiguous current.
    pub(in super::super) fn forward(
        parameters: &Parameters,
        current: (&CudaStorage, &Layout),
    ) -> Result<CudaStorage> {
        let device = current.0.device.clone();
        let current = values(current)?;
        let function = device.get_or_load_custom_func("lif_forward", MODULE, ptx()?)?;
        let mut spikes = space(&device, parameters.all())?;
        let mut builder = function.builder();
        builder.arg(&current).arg(&mut spikes).arg(parameters);
        // SAFETY: the arguments are those of `lif_forward`, and `Lif::sizes` found the current to
        // have `samples * given * neurons` values; the spikes have `samples * steps * neurons`.
        unsafe { builder.launch(parameters.grid()) }.w()?;
        Ok(CudaStorage::wrap_cuda_slice(spikes, device))
    }

    /// Gradient of a contiguous current, from its spikes and their gradient.
    pub(in super::super) fn backward(
        parameters: &Parameters,
        current: (&CudaStorage, &Layout),
        spikes: (&CudaStorage, &Layout),
        grad: (&CudaStorage, &Layout),
    ) -> Result<CudaStorage> {
        let device = current.0.device.clone();
        let (current, spikes, grad) = (values(current)?, values(spikes)?, values(grad)?);
        let function = device.get_or_load_custom_func("lif_backward", MODULE, ptx()?)?;
        let constant = parameters.given == 1 && parameters.steps > 1;
        let mut by_step = space(&device, parameters.all())?;
        let mut total = space(&device, if constant { parameters.rows() } else { 1 })?;
        let mut builder = function.builder();
        builder.arg(&current).arg(&spikes).arg(&grad);
        builder.arg(&mut by_step).arg(&mut total).arg(parameters);
        // SAFETY: the arguments are those of `lif_backward`, and `Backward::sizes` found operands
        // of the lengths that it reads; it writes all of `by_step`, and `total` where the current
        // is constant.
        unsafe { builder.launch(parameters.grid()) }.w()?;
        let result = if constant { total } else { by_step };
        Ok(CudaStorage::wrap_cuda_slice(result, device))
    }

    impl Parameters {
        fn rows(&self) -> usize {
            (self.samples * self.neurons) as usize
        }

        fn all(&self) -> usize {
            self.rows() * self.steps as usize
        }

        fn grid(&self) -> LaunchConfig {
            let blocks = (self.samples * self.neurons).div_ceil(u64::from(THREADS));
            LaunchConfig {
                grid_dim: (blocks.clamp(1, MOST_BLOCKS) as u32, 1, 1),
                block_dim: (THREADS, 1, 1),
                shared_mem_bytes: 0,
            }
        }
    }

    /// The kernels, compiled once a process. Contraction would round otherwise than the processor.
    fn ptx() -> Result<&'static str> {
        static PTX: OnceLock<std::result::Result<String, String>> = OnceLock::new();
        let compile = || {
            let options = CompileOptions {
                fmad: Some(false),
                ..CompileOptions::default()
            };
            let compiled = compile_ptx_with_opts(SOURCE, options);
            compiled.map(|ptx| ptx.to_src()).map_err(|e| e.to_string())
        };
        match PTX.get_or_init(compile) {
            Ok(ptx) => Ok(ptx),
            Err(error) => candle_core::bail!("lif.cu cannot be compiled: {error}"),
        }
    }

    fn values<'a>((storage, layout): (&'a CudaStorage, &Layout)) -> Result<CudaView<'a, f32>> {
        match layout.contiguous_offsets() {
            Some((start, end)) => Ok(storage.as_cuda_slice::<f32>()?.slice(start..end)),
            None => candle_core::bail!("the operand is not contiguous: {:?}", layout.shape()),
        }
    }

    /// Room that a kernel fills.
    fn space(device: &CudaDevice, len: usize) -> Result<CudaSlice<f32>> {
        // SAFETY: any bits are an `f32`, and the kernels write every value that is read.
        unsafe { device.alloc::<f32>(len) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use candle_core::{Device, Result, Tensor};
    use rand::RngExt;

    use super::*;
    use crate::ops::surrogate::{Shape, Surrogate, Unit};
    use crate::seed::{Purpose, stream};

    impl Parameters {
        /// The bytes that a C program reads into its structure on a little-endian machine.
        fn bytes(&self) -> Vec<u8> {
            let mut bytes = Vec::new();
            for number in [self.samples, self.neurons, self.steps, self.given] {
                bytes.extend(number.to_le_bytes());
            }
            for number in [self.beta, self.threshold, self.slope] {
                bytes.extend(number.to_le_bytes());
            }
            for number in [self.by_u, self.offset, self.factor] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend(self.shape.to_le_bytes());
            bytes.extend(self.unused.to_le_bytes());
            assert_eq!(bytes.len(), size_of::<Self>());
            bytes
        }
    }

    /// Compiles the kernels for the processor, with one line a compiler that is not there.
    fn compile(folder: &Path) -> Option<std::path::PathBuf> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops/lif_host.cpp");
        let program = folder.join("lif_host");
        let named = std::env::var_os("CXX");
        let compilers = named
            .iter()
            .cloned()
            .chain(["c++".into(), "clang++".into()]);
        for compiler in compilers {
            let mut command = Command::new(&compiler);
            command.args(["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror"]);
            // As on the GPU: every operation rounds.
            command.args(["-ffp-contract=off", "-o"]).arg(&program);
            match command.arg(&source).output() {
                Ok(output) if output.status.success() => return Some(program),
                Ok(output) => panic!(
                    "{} refuses lif.cu:\n{}",
                    compiler.display(),
                    String::from_utf8_lossy(&output.stderr)
                ),
                Err(error) => eprintln!("{}: {error}", compiler.display()),
            }
        }
        None
    }

    /// Spikes and gradient of the current by the kernels on the processor.
    fn by_kernels(
        program: &Path,
        parameters: &Parameters,
        current: &[f32],
        grad: &[f32],
    ) -> (Vec<f32>, Vec<f32>) {
        let mut bytes = parameters.bytes();
        for value in current.iter().chain(grad) {
            bytes.extend(value.to_le_bytes());
        }
        let mut command = Command::new(program);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the kernels start");
        let mut stdin = child.stdin.take().expect("a pipe");
        // All is read before anything is written.
        stdin.write_all(&bytes).expect("operands are read");
        drop(stdin);
        let output = child.wait_with_output().expect("results");
        assert!(output.status.success(), "{:?}", output.status);
        let words = output.stdout.as_chunks::<4>().0.iter();
        let mut spikes: Vec<f32> = words.map(|word| f32::from_le_bytes(*word)).collect();
        let gradient = spikes.split_off(grad.len());
        (spikes, gradient)
    }

    /// Bit for bit, but for the sigmoid: `expf` is each library's own, to a unit in the last place
    /// or two.
    #[test]
    fn the_kernels_compute_what_the_processor_computes() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let Some(program) = compile(folder.path()) else {
            eprintln!("SKIPPED: no C++ compiler compiles lif.cu for the processor; install g++");
            return Ok(());
        };
        let mut random = stream(5, Purpose::Weights, [0, 0]);
        let shapes = [
            Shape::FastSigmoid,
            Shape::Arctan,
            Shape::Sigmoid,
            Shape::Triangular,
            Shape::StraightThrough,
        ];
        for shape in shapes {
            for unit in [Unit::Threshold, Unit::Absolute] {
                for (samples, steps, neurons, constant, beta, threshold) in [
                    (1, 1, 1, false, 0.9, 1.0),
                    (3, 100, 7, false, 0.9, 1.3),
                    (2, 25, 300, false, 0.95, 2.5),
                    (4, 10, 513, true, 0.5, 1.9),
                    (2, 1, 5, true, 1.0, 0.7),
                    (3, 20, 11, false, 0.0, 0.4),
                ] {
                    let lif = Lif {
                        steps,
                        beta,
                        threshold,
                        surrogate: Surrogate {
                            shape,
                            unit,
                            slope: 1.7,
                        },
                        constant,
                    };
                    let mut uniform = |count: usize, low: f32, high: f32| -> Vec<f32> {
                        (0..count).map(|_| random.random_range(low..high)).collect()
                    };
                    let rows = samples * lif.given();
                    let current = uniform(rows * neurons, -1.0, 2.0 * threshold);
                    let grad = uniform(samples * steps * neurons, -1.0, 1.0);
                    let parameters = Parameters::of(&lif, samples, neurons);
                    let (spikes, gradient) = by_kernels(&program, &parameters, &current, &grad);

                    let tensor = |values: &[f32], rows: usize| {
                        Tensor::from_slice(values, (rows, neurons), &Device::Cpu)
                    };
                    let current = tensor(&current, rows)?;
                    let ours = lif.spikes(&current)?;
                    let back = lif.backward(&current, &ours, &tensor(&grad, samples * steps)?)?;
                    let ours = ours.flatten_all()?.to_vec1::<f32>()?;
                    let back = back.flatten_all()?.to_vec1::<f32>()?;
                    let case = format!("{lif:?}, {samples} samples of {neurons} neurons");
                    if steps > 1 {
                        assert!(ours.contains(&1.0) && ours.contains(&0.0), "{case}");
                    }
                    assert_eq!(spikes, ours, "spikes of {case}");
                    assert_eq!(gradient.len(), back.len(), "{case}");
                    for (index, (kernel, ours)) in gradient.iter().zip(&back).enumerate() {
                        let same = match shape {
                            Shape::Sigmoid => (kernel - ours).abs() <= 1e-6 * ours.abs().max(1.0),
                            _ => kernel.to_bits() == ours.to_bits(),
                        };
                        assert!(same, "gradient {index} of {case}: {kernel} {ours}");
                    }
                }
            }
        }
        Ok(())
    }
}
