//! `cargo xtask test`: everything that CI checks, cheapest first, every failure reported.

use std::process::Command;
use std::time::Instant;

use crate::boards::{self, Board};
use crate::outcome::{Failure, Outcome};
use crate::run::{cargo, root, stream, succeeds, target_dir};
use crate::{cuda, firmware, licences, setup, sizes, verify};

/// Flags of `cargo xtask test`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask test               everything that CI checks\n  cargo xtask test --only lints  the steps whose name has `lints` in it\n  cargo xtask test --list        the steps and the commands behind them"
)]
pub(crate) struct Arguments {
    /// Run only the steps whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// List the steps and run nothing
    #[arg(long)]
    list: bool,
}

/// A step: one command, or a check of our own.
enum Check {
    Command(Command),
    Licences(&'static str),
    Sizes,
    Verify,
}

struct Step {
    name: String,
    check: Check,
    needs: Option<Need>,
}

/// What a step needs and set-up does not bring: without it the step is skipped.
struct Need {
    /// Whether it is there.
    found: fn() -> bool,
    what: &'static str,
}

/// Runs the steps, goes on after a failure, and fails at the end.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    if !arguments.list {
        setup::ensure()?;
    }
    let mut steps = steps()?;
    if let Some(text) = &arguments.only {
        steps.retain(|step| step.name.contains(text.as_str()));
        if steps.is_empty() {
            return Err(Failure::Usage(format!(
                "no step has `{text}` in its name; `cargo xtask test --list` shows all"
            )));
        }
    }
    if arguments.list {
        for step in &steps {
            say!("{}: {}", step.name, step.shown())?;
        }
        return Ok(());
    }

    let mut failures = Vec::new();
    let mut skipped = 0;
    let start = Instant::now();
    for step in &mut steps {
        note!("\n== {}", step.name);
        if let Some(missing) = step.missing() {
            note!("== {}: SKIPPED: {missing}", step.name);
            skipped += 1;
            continue;
        }
        let began = Instant::now();
        let outcome = step.run();
        let verdict = if outcome.is_ok() { "passed" } else { "FAILED" };
        note!(
            "== {}: {verdict} in {:.1} s",
            step.name,
            began.elapsed().as_secs_f64()
        );
        match outcome {
            Ok(()) => {}
            Err(Failure::Interrupted) => return Err(Failure::Interrupted),
            Err(failure) => failures.push(format!(
                "{}: {failure}\n    again: {}",
                step.name,
                step.shown()
            )),
        }
    }
    note!(
        "\n{} steps in {:.0} s, {skipped} skipped",
        steps.len(),
        start.elapsed().as_secs_f64()
    );
    if failures.is_empty() {
        return Ok(());
    }
    Err(Failure::Work(format!(
        "{} of {} steps failed\n  {}",
        failures.len(),
        steps.len(),
        failures.join("\n  ")
    )))
}

impl Step {
    fn run(&mut self) -> Outcome {
        match &mut self.check {
            Check::Command(command) => stream(command),
            Check::Licences(folder) => licences::check(&root().join(folder)),
            Check::Sizes => sizes::check(),
            Check::Verify => verify::check(),
        }
    }

    /// What keeps the step from running.
    fn missing(&self) -> Option<&'static str> {
        let need = self.needs.as_ref()?;
        (!(need.found)()).then_some(need.what)
    }

    fn shown(&self) -> String {
        match &self.check {
            Check::Command(command) => crate::run::shown(command),
            Check::Licences(_) => "cargo xtask test --only licences".into(),
            Check::Sizes => "cargo xtask sizes".into(),
            Check::Verify => "cargo xtask verify".into(),
        }
    }
}

fn steps() -> Outcome<Vec<Step>> {
    let boards = boards::all()?;
    let mut steps = vec![
        step("format", cargo_with(&["fmt", "--all", "--check"])),
        step("format of the firmware", firmware_format()?),
        Step {
            name: "licences".into(),
            check: Check::Licences(""),
            needs: None,
        },
        Step {
            name: "licences of the firmware".into(),
            check: Check::Licences("firmware"),
            needs: None,
        },
    ];
    for board in targets(&boards) {
        // The tests on emulated machines build it in full.
        let mut command = setup::ready_for(board)?.cargo("check", &board.target);
        command.args(["--package", "bitspike-core", "--locked"]);
        steps.push(step(&format!("core for {}", board.target), command));
    }
    for board in &boards {
        steps.push(step(
            &format!("lints of the firmware for {}", board.name),
            firmware_lints(board)?,
        ));
    }
    steps.push(step(
        "documentation of the firmware",
        firmware_docs(&boards)?,
    ));
    let mut docs = cargo_with(&["doc", "--workspace", "--no-deps", "--locked"]);
    docs.env("RUSTDOCFLAGS", "-D warnings");
    steps.push(step(
        "lints",
        cargo_with(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]),
    ));
    steps.push(step("documentation", docs));
    steps.push(Step {
        name: "sizes and panics of the firmware".into(),
        needs: None,
        check: Check::Sizes,
    });
    // The emulated machines are among these: tests/tests/qemu.rs.
    steps.push(step(
        "tests",
        cargo_with(&["test", "--workspace", "--locked", "--no-fail-fast"]),
    ));
    steps.push(Step {
        name: "the paper's networks on every machine".into(),
        needs: None,
        check: Check::Verify,
    });
    steps.push(real_boards());
    steps.push(ptx());
    steps.push(miri());
    Ok(steps)
}

/// The images of real boards in an emulator of processors alone.
fn real_boards() -> Step {
    let found = || succeeds(Command::new("python3").args(["-c", "import elftools, unicorn"]));
    let what = "it needs Unicorn: pip install -r tests/boards/requirements.txt";
    let mut command = cargo_with(&["test", "--package", "bitspike-tests", "--locked"]);
    command.args(["--test", "boards", "--", "--ignored"]);
    Step {
        needs: Some(Need { found, what }),
        ..step("real boards in an emulator", command)
    }
}

/// Core's tests, some cases of each, in an interpreter that finds undefined behaviour.
fn miri() -> Step {
    fn nightly(arguments: &[&str]) -> Command {
        let mut command = Command::new("rustup");
        command
            .current_dir(root())
            .args(["run", "nightly", "cargo", "miri"])
            .args(arguments);
        command
    }
    // A folder of its own: the other compiler would have everything else built anew.
    let folder = target_dir().join("miri");
    let mut command = nightly(&["test", "--package", "bitspike-core", "--locked"]);
    command
        .arg("--target-dir")
        .arg(folder)
        .args(["--lib", "--tests"]);
    // The kernels' suites run some thousand cases each; the tests beside them run the kernels too.
    command.args(["--", "--skip", "_suite::"]);
    command.env("PROPTEST_CASES", "3");
    // Proptest looks for the failures of earlier runs.
    command.env("MIRIFLAGS", "-Zmiri-disable-isolation");
    let what = "it needs a nightly compiler with Miri: \
                rustup toolchain install nightly --component miri,rust-src";
    let found = || succeeds(&mut nightly(&["--version"]));
    Step {
        needs: Some(Need { found, what }),
        ..step("miri", command)
    }
}

/// The GPU's kernels, compiled as on a machine with a GPU.
fn ptx() -> Step {
    let mut command = cargo_with(&["test", "--package", "bitspike-tests", "--locked"]);
    command.args(["--test", "ptx", "--", "--ignored"]);
    command.env("LD_LIBRARY_PATH", cuda::nvrtc_folder());
    let what = "NVRTC cannot be had: it needs python3 with pip, and PyPI once";
    let found = || cuda::nvrtc().is_ok();
    Step {
        needs: Some(Need { found, what }),
        ..step("kernels of the GPU to PTX", command)
    }
}

fn step(name: &str, command: Command) -> Step {
    Step {
        name: name.into(),
        check: Check::Command(command),
        needs: None,
    }
}

fn cargo_with(arguments: &[&str]) -> Command {
    let mut command = cargo();
    command.args(arguments);
    command
}

/// The boards' own files are included by the build script, where `cargo fmt` does not see them.
fn firmware_format() -> Outcome<Command> {
    let mut command = Command::new("rustfmt");
    command
        .current_dir(root())
        .args(["--edition", "2024", "--check"]);
    command.args(["firmware/build.rs", "firmware/src/lib.rs"]);
    for folder in ["firmware/src/bin", "firmware/tests"] {
        command.args(files(folder)?.iter().filter(|path| path.ends_with(".rs")));
    }
    for folder in files("firmware/boards")? {
        command.args(files(&folder)?.iter().filter(|path| path.ends_with(".rs")));
    }
    Ok(command)
}

/// What lies in a folder of the repository, as paths from its root, in order.
fn files(folder: &str) -> Outcome<Vec<String>> {
    let path = root().join(folder);
    let unreadable = |error: std::io::Error| Failure::file("read", &path, &error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&path).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        found.push(format!("{folder}/{}", name.to_string_lossy()));
    }
    found.sort();
    Ok(found)
}

fn firmware_lints(board: &Board) -> Outcome<Command> {
    let mut command = firmware::cargo(&setup::ready_for(board)?, "clippy", board);
    command.args(["--lib", "--bins", "--tests", "--", "-D", "warnings"]);
    Ok(command)
}

/// The documentation is the same for every board: one stands for all.
fn firmware_docs(boards: &[Board]) -> Outcome<Command> {
    let board = boards
        .first()
        .ok_or_else(|| Failure::Work("firmware/boards is empty".into()))?;
    let mut command = firmware::cargo(&setup::ready_for(board)?, "doc", board);
    command
        .args(["--no-deps", "--lib", "--bins"])
        .env("RUSTDOCFLAGS", "-D warnings");
    Ok(command)
}

/// Each target once.
fn targets(boards: &[Board]) -> Vec<&Board> {
    let mut found: Vec<&Board> = Vec::new();
    for board in boards {
        if !found.iter().any(|other| other.target == board.target) {
            found.push(board);
        }
    }
    found
}
