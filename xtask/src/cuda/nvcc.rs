//! `nvcc` as candle's build script calls it: this very program under that name.
//!
//! The build script forgets what it compiled when it is stopped. Here every kernel that is done is
//! kept by what it was made of, and taken from there the next time. Kernels that nothing calls are
//! left out. Without a real `nvcc`, all outputs are made empty: enough to check the code around them.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use crate::outcome::{Failure, Outcome};

/// The variable with the path of the real `nvcc`, or [`NONE`].
pub(super) const REAL: &str = "BITSPIKE_NVCC";
/// Stands for no compiler at all.
pub(super) const NONE: &str = "none";
/// The variable with the folder of compiled kernels.
pub(super) const OBJECTS: &str = "BITSPIKE_NVCC_OBJECTS";

/// Puts this program into `folder/bin/nvcc`, and returns that path.
pub(super) fn install(folder: &Path) -> Outcome<PathBuf> {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).map_err(|error| Failure::file("make", &bin, &error))?;
    let path = bin.join(format!("nvcc{}", std::env::consts::EXE_SUFFIX));
    let program = std::env::current_exe();
    let copied = program.and_then(|program| {
        // The one that is there may be running.
        let beside = bin.join("nvcc.new");
        fs::copy(program, &beside)?;
        fs::rename(&beside, &path)
    });
    copied.map_err(|error| Failure::file("write", &path, &error))?;
    Ok(path)
}

/// The exit code of a call, where this program was called as `nvcc`.
pub(crate) fn called() -> Option<ExitCode> {
    let name = PathBuf::from(std::env::args_os().next()?);
    if name.file_stem()? != "nvcc" {
        return None;
    }
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let real = std::env::var_os(REAL).unwrap_or_else(|| NONE.into());
    let objects = std::env::var_os(OBJECTS).map(PathBuf::from);
    Some(match compile(&real, objects.as_deref(), &arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            note!("nvcc of xtask: {error}");
            ExitCode::FAILURE
        }
    })
}

fn compile(real: &OsString, objects: Option<&Path>, arguments: &[OsString]) -> io::Result<u8> {
    let output = output(arguments);
    if real == NONE {
        if let Some(output) = output {
            fs::write(output, "")?;
        }
        return Ok(0);
    }
    if let Some(output) = output.as_deref().filter(|_| is_unused(arguments)) {
        let mut empty = Command::new("cc");
        empty.args(["-c", "-x", "c", "/dev/null", "-o"]).arg(output);
        return Ok(exit_code(empty.status()?));
    }
    let kept = match (&output, objects) {
        (Some(output), Some(objects)) if source(arguments).is_some() => {
            Some((output, objects.join(key(arguments, output))))
        }
        _ => None,
    };
    if let Some((output, kept)) = &kept
        && kept.is_file()
    {
        fs::copy(kept, output)?;
        return Ok(0);
    }
    let status = Command::new(real).args(arguments).status()?;
    if let (true, Some((output, kept))) = (status.success(), &kept) {
        let beside = kept.with_extension(format!("{}.tmp", std::process::id()));
        fs::create_dir_all(kept.parent().unwrap_or(Path::new(".")))?;
        fs::copy(output, &beside)?;
        fs::rename(&beside, kept)?;
    }
    Ok(exit_code(status))
}

fn exit_code(status: ExitStatus) -> u8 {
    status.code().map_or(1, |code| code.clamp(0, 255) as u8)
}

/// Whether a call compiles kernels of quantised models or mixtures of experts. They take more than
/// an hour, and bitspike has neither: were one called, the linker would miss it.
fn is_unused(arguments: &[OsString]) -> bool {
    let Some(source) = source(arguments) else {
        return false;
    };
    let folder = source.parent().and_then(Path::file_name);
    let folder = folder.is_some_and(|name| name == "moe" || name == "mmq_gguf");
    let object = arguments.iter().any(|argument| argument == "-c");
    object && (folder || source.file_stem().is_some_and(|name| name == "mmvq_gguf"))
}

/// The source file of a call, where it compiles one.
fn source(arguments: &[OsString]) -> Option<&Path> {
    let mut paths = arguments.iter().map(Path::new);
    paths.find(|path| path.extension().is_some_and(|ending| ending == "cu"))
}

/// The value of an option that stands apart from it.
fn value<'a>(arguments: &'a [OsString], option: &str) -> Option<&'a OsString> {
    let at = arguments.iter().position(|argument| argument == option)?;
    arguments.get(at + 1)
}

/// The file that a call writes.
fn output(arguments: &[OsString]) -> Option<PathBuf> {
    if let Some(path) = value(arguments, "-o") {
        return Some(path.into());
    }
    let folder = Path::new(value(arguments, "--output-directory")?);
    let stem = source(arguments)?.file_stem()?;
    Some(folder.join(stem).with_extension("ptx"))
}

/// The name under which an output is kept: of the source, and a hash of all that it depends on but
/// the headers beside it, which come with the crate's version in the path.
fn key(arguments: &[OsString], output: &Path) -> String {
    let mut hash = DefaultHasher::new();
    let places = [
        value(arguments, "-o"),
        value(arguments, "--output-directory"),
    ];
    let inputs = arguments.iter().filter(|a| !places.contains(&Some(*a)));
    inputs.for_each(|argument| argument.hash(&mut hash));
    std::env::current_dir().ok().hash(&mut hash);
    let source = source(arguments).unwrap_or(Path::new(""));
    fs::read(source).ok().hash(&mut hash);
    let name = source.file_stem().unwrap_or_default().to_string_lossy();
    let ending = output.extension().unwrap_or_default().to_string_lossy();
    format!("{name}-{:016x}.{ending}", hash.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn the_output_is_named_or_stands_in_a_folder() {
        let object = words("-gencode=arch=compute_80 -c -o /x/a-1.o -O3 src/a.cu");
        assert_eq!(output(&object), Some("/x/a-1.o".into()));
        let ptx = words("--ptx --output-directory /x -O3 src/fill.cu");
        assert_eq!(output(&ptx), Some("/x/fill.ptx".into()));
        assert_eq!(output(&words("--version")), None);
    }

    #[test]
    fn a_kernel_is_known_again_wherever_it_goes_but_not_with_other_flags() {
        let name = |line: &str| key(&words(line), Path::new("x.ptx"));
        let first = name("--ptx --output-directory /x -O3 a.cu");
        assert_eq!(first, name("--ptx --output-directory /y -O3 a.cu"));
        assert_ne!(first, name("--ptx --output-directory /x -O2 a.cu"));
    }

    #[test]
    fn only_kernels_that_nothing_calls_are_left_out() {
        for source in [
            "moe/moe_wmma.cu",
            "mmq_gguf/mmq_quantize.cu",
            "mmvq_gguf.cu",
        ] {
            assert!(is_unused(&words(&format!("-c -o x.o src/{source}"))));
        }
        assert!(!is_unused(&words(
            "--ptx --output-directory x src/quantized.cu"
        )));
        assert!(!is_unused(&words("-c -o x.o src/a.cu")));
        assert!(!is_unused(&words("--lib -o libmoe.a moe_gguf.o")));
    }

    /// A compiler that is stopped and started again compiles each kernel once.
    #[cfg(unix)]
    #[test]
    fn a_kernel_that_is_done_is_not_compiled_again() -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("bitspike-nvcc-{}", std::process::id()));
        let objects = folder.join("objects");
        fs::create_dir_all(&folder)?;
        let (real, count) = (folder.join("real"), folder.join("count"));
        fs::write(
            &real,
            format!("#!/bin/sh\necho x >> {}\necho done > $3\n", count.display()),
        )?;
        fs::set_permissions(&real, fs::Permissions::from_mode(0o755))?;
        let (source, out) = (folder.join("a.cu"), folder.join("a.o"));
        fs::write(&source, "kernel")?;
        let arguments = ["-c".into(), "-o".into(), out.clone().into(), source.into()];
        for _ in 0..2 {
            let _ = fs::remove_file(&out);
            assert_eq!(
                compile(&real.clone().into(), Some(&objects), &arguments)?,
                0
            );
            assert_eq!(fs::read_to_string(&out)?, "done\n");
        }
        assert_eq!(fs::read_to_string(&count)?, "x\n");
        fs::remove_dir_all(&folder)
    }
}
