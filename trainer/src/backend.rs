//! Where a training computes: the processor or an NVIDIA GPU.

use candle_core::Device;
use clap::ValueEnum;

use crate::{Error, Result};

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// The best that is there
    Auto,
    /// The processor
    Cpu,
    /// An NVIDIA GPU
    Cuda,
}

/// A device, and a line to show about it.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The device.
    pub device: Device,
    /// That it is a GPU, or why it is not, where a build knows of GPUs.
    pub note: Option<String>,
}

impl Choice {
    /// The device that was chosen.
    ///
    /// # Errors
    /// If a GPU was asked for, and this build knows none or this machine has none.
    ///
    /// ```
    /// use bitspike_trainer::backend::Choice;
    ///
    /// assert!(Choice::Cpu.device()?.device.is_cpu());
    /// # Ok::<(), bitspike_trainer::Error>(())
    /// ```
    pub fn device(self) -> Result<Chosen> {
        let built = cfg!(feature = "cuda");
        let cpu = |note| {
            let device = Device::Cpu;
            Ok(Chosen { device, note })
        };
        match self {
            Self::Cpu => cpu(None),
            Self::Auto if !built => cpu(None),
            Self::Cuda if !built => Err(Error::usage(
                "--device cuda: this build trains on the CPU; one for NVIDIA GPUs is built by\n  \
                 cargo xtask cuda\n(docs/gpu.md says what that takes), or leave the option out",
            )),
            Self::Auto | Self::Cuda => match Device::new_cuda(0) {
                Ok(device) => Ok(Chosen {
                    device,
                    note: Some("training on the first NVIDIA GPU".into()),
                }),
                Err(error) if self == Self::Auto => cpu(Some(format!(
                    "no GPU that CUDA can use ({}): training on the CPU",
                    first_line(&error)
                ))),
                Err(error) => Err(Error::usage(format!(
                    "--device cuda: no GPU that CUDA can use: {}; give --device cpu, or see \
                     docs/gpu.md",
                    first_line(&error)
                ))),
            },
        }
    }
}

/// Candle's errors carry a backtrace where one is asked for.
fn first_line(error: &candle_core::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there() {
        assert!(
            Choice::Cpu
                .device()
                .is_ok_and(|chosen| chosen.device.is_cpu())
        );
        let auto = Choice::Auto.device();
        assert!(auto.is_ok_and(|chosen| chosen.device.is_cpu() || cfg!(feature = "cuda")));
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_build_without_cuda_names_the_command_that_builds_one_with_it() {
        let error = Choice::Cuda.device().expect_err("no GPU is known");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("cargo xtask cuda"), "{error}");
    }
}
