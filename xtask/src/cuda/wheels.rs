//! CUDA's compiler and libraries, as wheels of pinned versions from PyPI.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{folder, python};
use crate::outcome::{Failure, Outcome};
use crate::run::stream;

/// A wheel: name, version, megabytes to download.
type Wheel = (&'static str, &'static str, u32);

/// The version of `nvcc`.
pub(super) const COMPILER: &str = "13.0.88";

const NVRTC: Wheel = ("nvidia-cuda-nvrtc", "13.0.88", 90);

/// NVIDIA's licence lets anyone use them; nothing of them is shipped with bitspike.
const WHEELS: [Wheel; 8] = [
    ("nvidia-cuda-nvcc", COMPILER, 37),
    ("nvidia-cuda-crt", "13.0.88", 1),
    ("nvidia-nvvm", "13.0.88", 62),
    ("nvidia-cuda-runtime", "13.0.96", 2),
    ("nvidia-cuda-cccl", "13.0.85", 3),
    NVRTC,
    ("nvidia-curand", "10.4.0.35", 60),
    ("nvidia-cublas", "13.0.2.14", 421),
];

/// The toolkit's folder with all that a build needs, brought where it is missing.
pub(super) fn toolkit() -> Outcome<PathBuf> {
    bring(&WHEELS)
}

/// The toolkit's folder with NVRTC, brought where it is missing.
pub(super) fn nvrtc() -> Outcome<PathBuf> {
    bring(&[NVRTC])
}

/// The folder that CUDA's tools call `CUDA_HOME`.
pub(super) fn cuda_home() -> PathBuf {
    folder().join("toolkit/nvidia/cu13")
}

fn bring(wheels: &[Wheel]) -> Outcome<PathBuf> {
    let all = folder().join("toolkit");
    let missing: Vec<_> = wheels
        .iter()
        .filter(|wheel| !stamp(&all, wheel).is_file())
        .collect();
    let toolkit = cuda_home();
    if !missing.is_empty() {
        let megabytes: u32 = missing.iter().map(|(.., megabytes)| megabytes).sum();
        note!(
            "bringing {} wheels of CUDA 13.0 ({megabytes} MB) into {}",
            missing.len(),
            all.display()
        );
    }
    for wheel in missing {
        unpack(&all, wheel)?;
    }
    for folder in ["bin", "nvvm/bin"] {
        make_executable(&toolkit.join(folder))?;
    }
    link_unversioned(&toolkit.join("lib"))?;
    Ok(toolkit)
}

/// A wheel's stamp is there once it is unpacked.
fn stamp(all: &Path, (name, version, _): &Wheel) -> PathBuf {
    all.join(format!("{name}-{version}.done"))
}

fn unpack(all: &Path, wheel: &Wheel) -> Outcome {
    let (name, version, _) = wheel;
    let downloads = folder().join("wheels");
    for folder in [all, &downloads] {
        fs::create_dir_all(folder).map_err(|error| Failure::file("make", folder, &error))?;
    }
    let mut pip = Command::new(python()?);
    pip.args([
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
    ]);
    pip.args(["--disable-pip-version-check", "--retries", "2"]);
    pip.args(["--timeout", "20", "--dest"]).arg(&downloads);
    stream(pip.arg(format!("{name}=={version}")))?;
    let prefix = format!("{}-{version}-", name.replace('-', "_"));
    let entries = fs::read_dir(&downloads);
    let entries = entries.map_err(|error| Failure::file("read", &downloads, &error))?;
    let named = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| name.starts_with(&prefix))
    };
    let file = entries.flatten().map(|entry| entry.path()).find(named);
    let file =
        file.ok_or_else(|| Failure::Work(format!("pip did not leave {prefix}*.whl behind")))?;
    let mut zip = Command::new(python()?);
    stream(zip.args(["-m", "zipfile", "-e"]).arg(&file).arg(all))?;
    let stamp = stamp(all, wheel);
    fs::write(&stamp, "").map_err(|error| Failure::file("write", &stamp, &error))?;
    // A download that stays costs space, nothing else.
    let _ = fs::remove_file(&file);
    Ok(())
}

/// Zip files as Python unpacks them know no executable files.
#[cfg(unix)]
fn make_executable(folder: &Path) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    for path in files(folder) {
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&path, mode).map_err(|error| Failure::file("mark", &path, &error))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_executable(_folder: &Path) -> Outcome {
    Ok(())
}

/// Linkers look for `libNAME.so`; the wheels have `libNAME.so.13` only.
fn link_unversioned(lib: &Path) -> Outcome {
    for path in files(lib) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some((plain, _)) = name.split_once(".so.") else {
            continue;
        };
        let link = lib.join(format!("{plain}.so"));
        // One that is there may be of another version.
        let _ = fs::remove_file(&link);
        fs::hard_link(&path, &link).map_err(|error| Failure::file("link", &link, &error))?;
    }
    Ok(())
}

/// The files in a folder, none where it is not there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.is_file()).collect()
}
