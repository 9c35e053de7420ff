//! The `bitspike` command as a user types it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// How a command ended, and what it said.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// A `bitspike` command that would run in `dir`.
///
/// # Panics
/// Where the program cannot be built.
pub fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null());
    command
}

/// Runs `bitspike` in `dir` to its end.
///
/// # Panics
/// Where the program cannot be built or started.
pub fn bitspike(dir: &Path, arguments: &[&str]) -> Outcome {
    let output = command(dir, arguments).output().expect("bitspike starts");
    let text = |bytes| String::from_utf8(bytes).expect("bitspike writes UTF-8");
    Outcome {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// The program, built once from the sources as they are, in the profile of the tests.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().expect("the path of the test");
        let folder = test.ancestors().nth(2).expect("tests lie in PROFILE/deps");
        let profile = match folder.file_name().and_then(|name| name.to_str()) {
            None | Some("debug") => "dev",
            Some(profile) => profile,
        };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["build", "--quiet", "--package", "bitspike-trainer"])
            .args(["--bin", "bitspike", "--profile", profile])
            .status()
            .expect("cargo starts");
        assert!(status.success(), "bitspike does not build");
        folder.join(format!("bitspike{}", std::env::consts::EXE_SUFFIX))
    })
}
