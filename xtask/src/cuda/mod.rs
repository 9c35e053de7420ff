//! `cargo xtask cuda`: the trainer for NVIDIA GPUs.
//!
//! CUDA's compiler and libraries come as wheels from PyPI into `target/cuda`. The build compiles
//! candle's kernels for one compute capability; [`nvcc`] keeps every kernel that is done, so that a
//! build that was stopped goes on, and leaves out those that nothing calls.

pub(crate) mod nvcc;
mod wheels;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::outcome::{Failure, Outcome};
use crate::run::{capture, cargo, find_program, shown, stream, target_dir};

/// As cudarc spells the version of the wheels.
const CUDA_VERSION: &str = "13000";

/// The lowest compute capability that CUDA 13 knows.
const OLDEST: u32 = 75;

/// How often the kernels that are done are counted.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(30);

/// Flags of `cargo xtask cuda`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask cuda                    build `bitspike` for the GPU of this machine, or for 8.0\n  cargo xtask cuda --compute-cap 90   for an H100; NVIDIA lists the numbers at developer.nvidia.com/cuda-gpus\n  cargo xtask cuda --test             and hold a training on the GPU against one on the processor\n  cargo xtask cuda --check            only lint the code behind the feature: minutes, no CUDA, no GPU\n\nThe build takes about a quarter of an hour and 3 GB of disk; stopped, it goes on where it was."
)]
pub(crate) struct Arguments {
    /// Compute capability without its point [default: that of the machine's GPU, else 80]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(i64::from(OLDEST)..200))]
    compute_cap: Option<u32>,
    /// Only lint what the feature `cuda` adds, with a compiler that makes empty kernels
    #[arg(long, conflicts_with_all = ["compute_cap", "test"])]
    check: bool,
    /// Run the tests that need a GPU, after the build
    #[arg(long)]
    test: bool,
}

/// Builds, checks or tests.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    if arguments.check {
        return check();
    }
    let (toolkit, capability) = ready(arguments.compute_cap)?;
    note!(
        "building for compute capability {}.{}: about a quarter of an hour; kernels that are done \
         are kept in {}",
        capability / 10,
        capability % 10,
        objects().display()
    );
    build(&toolkit, capability)?;
    let libraries = libraries(&toolkit);
    if arguments.test {
        let mut tests = with_cuda("test", &toolkit, capability)?;
        tests.args(["--lib", "--", "--ignored", "a_gpu_trains"]);
        stream(tests.env("LD_LIBRARY_PATH", &libraries))?;
    }
    let mut start = Command::new(folder().join("build/debug/bitspike"));
    start.args(["train", "mnist", "--device", "cuda"]);
    start.env("LD_LIBRARY_PATH", &libraries);
    say!("{}", shown(&start))?;
    Ok(())
}

/// Builds an example of the trainer with the feature, for this machine's GPU; returns its path and
/// the folders of the libraries that it loads.
pub(crate) fn example(name: &str) -> Outcome<(PathBuf, String)> {
    let (toolkit, capability) = ready(None)?;
    let mut build = with_cuda("build", &toolkit, capability)?;
    stream(build.args(["--quiet", "--example", name]))?;
    let program = folder().join("build/debug/examples").join(name);
    Ok((program, libraries(&toolkit)))
}

/// The toolkit with a driver to link with, and the compute capability to build for.
fn ready(capability: Option<u32>) -> Outcome<(PathBuf, u32)> {
    let capability = capability.or_else(installed_capability).unwrap_or(80);
    if capability < OLDEST {
        return Err(Failure::Usage(format!(
            "this machine's GPU has compute capability {}.{}; CUDA 13 begins at 7.5",
            capability / 10,
            capability % 10
        )));
    }
    let toolkit = wheels::toolkit()?;
    stub_driver(&toolkit)?;
    Ok((toolkit, capability))
}

/// Brings NVRTC, which compiles kernels to PTX on any machine, where it is missing.
pub(crate) fn nvrtc() -> Outcome {
    wheels::nvrtc().map(drop)
}

/// The folder of NVRTC's library.
pub(crate) fn nvrtc_folder() -> PathBuf {
    wheels::cuda_home().join("lib")
}

fn folder() -> PathBuf {
    target_dir().join("cuda")
}

/// Where compiled kernels are kept.
fn objects() -> PathBuf {
    folder().join("objects").join(wheels::COMPILER)
}

/// The compute capability of the machine's first GPU.
fn installed_capability() -> Option<u32> {
    let query = ["--query-gpu=compute_cap", "--format=csv,noheader"];
    let text = crate::run::answer(Command::new("nvidia-smi").args(query))?;
    text.lines().next()?.trim().replace('.', "").parse().ok()
}

/// Compiles and lints the code behind the feature, all but candle's kernels.
fn check() -> Outcome {
    let mut command = cargo();
    command.args(["clippy", "--locked", "--package", "bitspike-trainer"]);
    command.args(["--features", "cuda", "--all-targets", "--target-dir"]);
    command.arg(folder().join("check"));
    command.args(["--", "-D", "warnings"]);
    command.env("NVCC", nvcc::install(&folder())?);
    command.env(nvcc::REAL, nvcc::NONE);
    command.env("CUDA_COMPUTE_CAP", "80");
    command.env("CUDARC_CUDA_VERSION", CUDA_VERSION);
    stream(&mut command)
}

/// A cargo command on the trainer with the feature, for a compute capability.
fn with_cuda(subcommand: &str, toolkit: &Path, capability: u32) -> Outcome<Command> {
    let mut command = cargo();
    command.args([subcommand, "--locked", "--package", "bitspike-trainer"]);
    command.args(["--features", "cuda", "--target-dir"]);
    command.arg(folder().join("build"));
    command.env("NVCC", nvcc::install(&folder())?);
    command.env(nvcc::REAL, toolkit.join("bin/nvcc"));
    command.env(nvcc::OBJECTS, objects());
    command.env("CUDA_HOME", toolkit);
    command.env("CUDA_COMPUTE_CAP", capability.to_string());
    command.env("CUDARC_CUDA_VERSION", CUDA_VERSION);
    Ok(command)
}

/// Builds, and says now and then how many kernels are done.
fn build(toolkit: &Path, capability: u32) -> Outcome {
    let mut command = with_cuda("build", toolkit, capability)?;
    std::thread::scope(|scope| {
        let (done, finished) = channel::<()>();
        scope.spawn(move || {
            let (start, mut before) = (Instant::now(), 0);
            while finished.recv_timeout(PROGRESS_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let kernels = std::fs::read_dir(objects()).map_or(0, Iterator::count);
                if kernels != before {
                    let minutes = start.elapsed().as_secs() / 60;
                    note!("{kernels} of candle's kernels are done, after {minutes} minutes");
                    before = kernels;
                }
            }
        });
        let result = stream(&mut command);
        drop(done);
        result
    })
}

/// The folders of the libraries that a program with the feature loads, as the loader wants them.
fn libraries(toolkit: &Path) -> String {
    let lib = toolkit.join("lib");
    let cache = crate::run::answer(Command::new("/sbin/ldconfig").arg("-p"));
    let driver = cache.is_some_and(|libraries| libraries.contains("libcuda.so.1"));
    if driver {
        lib.display().to_string()
    } else {
        // The stub knows no GPU; it must not come before the real driver.
        format!("{}:{}", lib.display(), lib.join("stubs").display())
    }
}

/// A driver library to link with, where only a machine with a GPU has the real one: every function
/// that cudarc knows, answering that there is no device.
fn stub_driver(toolkit: &Path) -> Outcome {
    /// `CUDA_ERROR_NO_DEVICE`.
    const ANSWER: u32 = 100;
    let stubs = toolkit.join("lib/stubs");
    let (linked, loaded) = (stubs.join("libcuda.so"), stubs.join("libcuda.so.1"));
    if linked.is_file() && loaded.is_file() {
        return Ok(());
    }
    std::fs::create_dir_all(&stubs).map_err(|error| Failure::file("make", &stubs, &error))?;
    let bindings = cudarc()?.join("src/driver/sys/mod.rs");
    let text = std::fs::read_to_string(&bindings)
        .map_err(|error| Failure::file("read", &bindings, &error))?;
    let source = stubs.join("libcuda.c");
    let names = driver_functions(&text);
    if names.is_empty() {
        return Err(Failure::Work(format!(
            "{} names no function of the driver",
            bindings.display()
        )));
    }
    let functions: String = names
        .into_iter()
        .map(|name| format!("int {name}(void) {{ return {ANSWER}; }}\n"))
        .collect();
    std::fs::write(&source, functions).map_err(|e| Failure::file("write", &source, &e))?;
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o"]);
    stream(command.arg(&loaded).arg(&source))?;
    std::fs::copy(&loaded, &linked).map_err(|error| Failure::file("write", &linked, &error))?;
    Ok(())
}

/// The driver's functions in cudarc's bindings, each once.
fn driver_functions(bindings: &str) -> Vec<&str> {
    let mut names: Vec<&str> = bindings
        .split("fn ")
        .skip(1)
        .filter_map(|rest| rest.split('(').next())
        .filter(|name| {
            let rest = name.strip_prefix("cu");
            rest.is_some_and(|rest| rest.starts_with(char::is_uppercase))
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Where the sources of the locked cudarc lie.
fn cudarc() -> Outcome<PathBuf> {
    let arguments = ["metadata", "--format-version", "1", "--locked"];
    let json = capture(cargo().args(arguments).arg("--all-features"))?;
    let metadata: serde_json::Value = serde_json::from_str(&json)
        .map_err(|error| Failure::Work(format!("cargo metadata is not as expected: {error}")))?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let manifest = packages
        .filter(|package| package["name"] == "cudarc")
        .find_map(|package| package["manifest_path"].as_str());
    let folder = manifest.and_then(|manifest| Path::new(manifest).parent());
    folder
        .map(Path::to_owned)
        .ok_or_else(|| Failure::Work("Cargo.lock has no cudarc".into()))
}

/// Python, or the failure that says what it is for.
fn python() -> Outcome<PathBuf> {
    find_program("python3").ok_or_else(|| {
        Failure::Usage("python3 with pip is needed to bring CUDA's wheels; install it".into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_s_functions_are_found_once_each() {
        let bindings = "pub unsafe fn cuInit(a: u32) -> i32 { extern \"C\" { fn cuInit(a: u32); } }
            pub unsafe fn cuCtxGet(\n) {} pub unsafe fn culib() {} fn is_culib_present() {}";
        assert_eq!(driver_functions(bindings), ["cuCtxGet", "cuInit"]);
    }
}
