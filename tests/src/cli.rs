//! The `bitspike` command as a user types it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A configuration of 300 weight bytes that trains in a blink.
pub const TINY: &str = r#"
[data]
name = "mnist"
validation = 0.1
limit = 200

[network]
steps = 2
beta = 0.9
slope = 2.0
layers = [
    { kind = "conv", channels = 4, kernel = 5, pool = 4 },
    { kind = "linear", outputs = 10 },
]

[threshold]
schedule = "exponential"
initial = 1.0
final = 1.9
rate = 0.01
start = 0.0

[train]
seed = 1
epochs = 1
batch = 32
learning_rate = 0.01
warmup = 1
norm_momentum = 0.1
"#;

/// [`TINY`] with pieces replaced by others.
///
/// # Panics
/// Where a piece is not in it.
pub fn tiny_with(replaced: &[(&str, &str)]) -> String {
    replaced.iter().fold(TINY.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "`{from}` is not in the configuration");
        text.replace(from, to)
    })
}

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
