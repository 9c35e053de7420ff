//! `cargo xtask setup`: brings what the other commands need, and nothing that is already there.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::boards::{self, Board};
use crate::outcome::{Failure, Outcome};
use crate::run::{capture, find_program, shown, stream, succeeds, target_dir};
use crate::toolchain::{self, LINKED, Toolchain};

/// Flags of `cargo xtask setup`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask setup            install what is missing, showing every command first\n  cargo xtask setup --check    only say what is missing; ends with 2 where something is"
)]
pub(crate) struct Arguments {
    /// Only say what is missing; ends with 2 where something is
    #[arg(long)]
    check: bool,
}

/// Reports on each thing and installs what is missing.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let needs = Needs::of(&boards::all()?)?;
    needs.print();
    if needs.nothing() {
        return Ok(());
    }
    if arguments.check {
        return Err(needs.failure());
    }
    needs.install()
}

/// Sets up quietly where nothing is missing, else as `cargo xtask setup` does.
pub(crate) fn ensure() -> Outcome {
    let needs = Needs::of(&boards::all()?)?;
    if needs.nothing() {
        Ok(())
    } else {
        needs.install()
    }
}

/// The toolchain for a board, or the failure that names the one command to type.
pub(crate) fn ready_for(board: &Board) -> Outcome<Toolchain> {
    let needs = Needs::of(std::slice::from_ref(board))?;
    match needs.targets.into_iter().next() {
        Some(Target {
            toolchain: Some(toolchain),
            ..
        }) if needs.emulators.iter().all(Emulator::found) => Ok(toolchain),
        _ => Err(Failure::Usage(format!(
            "set-up has not run for board {}; type `cargo xtask setup`",
            board.name
        ))),
    }
}

struct Needs {
    emulators: Vec<Emulator>,
    targets: Vec<Target>,
}

struct Emulator {
    program: String,
    path: Option<PathBuf>,
}

impl Emulator {
    fn found(&self) -> bool {
        self.path.is_some()
    }
}

struct Target {
    name: String,
    toolchain: Option<Toolchain>,
}

impl Needs {
    fn of(boards: &[Board]) -> Outcome<Self> {
        let mut emulators: Vec<Emulator> = Vec::new();
        let mut targets: Vec<Target> = Vec::new();
        for board in boards {
            if let Some(emulator) = board.emulator()
                && !emulators
                    .iter()
                    .any(|known| known.program == emulator.program)
            {
                emulators.push(Emulator {
                    program: emulator.program.clone(),
                    path: find_program(&emulator.program),
                });
            }
            if !targets.iter().any(|known| known.name == board.target) {
                let toolchain = Toolchain::detect(&board.target)?;
                targets.push(Target {
                    name: board.target.clone(),
                    toolchain,
                });
            }
        }
        Ok(Self { emulators, targets })
    }

    fn nothing(&self) -> bool {
        self.missing_emulators().is_empty() && self.missing_targets().is_empty()
    }

    fn missing_emulators(&self) -> Vec<&str> {
        let missing = self.emulators.iter().filter(|emulator| !emulator.found());
        missing.map(|emulator| emulator.program.as_str()).collect()
    }

    fn missing_targets(&self) -> Vec<&str> {
        let missing = self
            .targets
            .iter()
            .filter(|target| target.toolchain.is_none());
        missing.map(|target| target.name.as_str()).collect()
    }

    fn print(&self) {
        for emulator in &self.emulators {
            match &emulator.path {
                Some(path) => note!("emulator {}: {}", emulator.program, path.display()),
                None => note!("emulator {}: missing", emulator.program),
            }
        }
        for target in &self.targets {
            let how = match &target.toolchain {
                Some(Toolchain::InUse) => "the compiler in use has it",
                Some(Toolchain::BuildStd(_)) => "built from the distribution's library source",
                None => "missing",
            };
            note!("target {}: {how}", target.name);
        }
    }

    fn failure(&self) -> Failure {
        let mut missing = self.missing_emulators();
        missing.extend(self.missing_targets());
        Failure::Usage(format!(
            "missing: {}; type `cargo xtask setup`",
            missing.join(", ")
        ))
    }

    fn install(&self) -> Outcome {
        let installer = Installer::find();
        let mut to_type = Vec::new();
        let emulators = self.missing_emulators();
        if !emulators.is_empty() {
            installer.install_emulators(&emulators, &mut to_type)?;
        }
        let targets = self.missing_targets();
        if !targets.is_empty() {
            install_targets(&targets, &installer, &mut to_type)?;
        }
        if !to_type.is_empty() {
            return Err(Failure::Usage(format!(
                "set-up has no rights to install (not root, no sudo without a password); type\n  {}\nand then `cargo xtask setup` again",
                to_type.join("\n  ")
            )));
        }
        let after = Self::of(&boards::all()?)?;
        if after.nothing() {
            return Ok(());
        }
        after.print();
        let mut missing = after.missing_emulators();
        missing.extend(after.missing_targets());
        Err(Failure::Usage(format!(
            "still missing after the commands above: {}; install them by hand",
            missing.join(", ")
        )))
    }
}

/// By rustup where it can, else by the distribution's compiler and its library source.
fn install_targets(targets: &[&str], installer: &Installer, to_type: &mut Vec<String>) -> Outcome {
    if toolchain::has_rustup() {
        let added = stream(Command::new("rustup").args(["target", "add"]).args(targets));
        match added {
            Ok(()) => return Ok(()),
            Err(Failure::Work(_)) => note!(
                "rustup cannot bring the targets here: the distribution's compiler will build them from source"
            ),
            Err(other) => return Err(other),
        }
    }
    installer.install_compiler(to_type)?;
    if to_type.is_empty() && toolchain::has_rustup() {
        stream(Command::new("rustup").args(["toolchain", "link", LINKED, "/usr"]))?;
    }
    Ok(())
}

/// The system's package manager.
#[derive(Clone, Copy)]
enum Manager {
    Apt,
    Dnf,
    Pacman,
    Brew,
}

/// How this user may run it.
enum Rights {
    Direct,
    Sudo,
    None,
}

struct Installer {
    manager: Option<Manager>,
    rights: Rights,
}

impl Installer {
    fn find() -> Self {
        let known = [
            ("apt-get", Manager::Apt),
            ("dnf", Manager::Dnf),
            ("pacman", Manager::Pacman),
            ("brew", Manager::Brew),
        ];
        let manager = known
            .into_iter()
            .find(|(program, _)| find_program(program).is_some());
        let manager = manager.map(|(_, manager)| manager);
        let root = || capture(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
        let rights = if matches!(manager, Some(Manager::Brew)) || root() {
            Rights::Direct
        } else if succeeds(Command::new("sudo").args(["-n", "true"])) {
            Rights::Sudo
        } else {
            Rights::None
        };
        Self { manager, rights }
    }

    fn install_emulators(&self, programs: &[&str], to_type: &mut Vec<String>) -> Outcome {
        let Some(manager) = self.manager else {
            return Err(Failure::Usage(format!(
                "no package manager that set-up knows (apt, dnf, pacman, brew): install {} by hand and put it on PATH",
                programs.join(" and ")
            )));
        };
        let mut packages: Vec<&str> = programs
            .iter()
            .map(|program| emulator_package(manager, program))
            .collect();
        packages.dedup();
        self.update(manager, to_type)?;
        let plain = self.package_command(manager, &packages);
        match self.perform(plain, to_type) {
            Err(Failure::Work(_)) if matches!(manager, Manager::Apt) => {
                note!(
                    "the plain install does not fit this machine's packages: trying its backports"
                );
                self.install_from_backports(&packages)
            }
            other => other,
        }
    }

    fn install_compiler(&self, to_type: &mut Vec<String>) -> Outcome {
        let packages: &[&str] = match self.manager {
            Some(Manager::Apt) => {
                self.update(Manager::Apt, to_type)?;
                if succeeds(Command::new("apt-cache").args(["show", "rustc-web"])) {
                    &[
                        "rustc-web",
                        "cargo-web",
                        "rust-web-src",
                        "rust-web-clippy",
                        "lld",
                    ]
                } else {
                    &["rustc", "cargo", "rust-src", "rust-clippy", "lld"]
                }
            }
            Some(Manager::Dnf) => &["rust", "cargo", "rust-src", "clippy", "lld"],
            Some(Manager::Pacman) if !toolchain::has_rustup() => &["rust", "rust-src", "lld"],
            _ => {
                return Err(Failure::Usage(
                    "the targets cannot be had here: let `rustup target add` reach its server, then type `cargo xtask setup` again".into(),
                ));
            }
        };
        let Some(manager) = self.manager else {
            return Ok(());
        };
        self.perform(self.package_command(manager, packages), to_type)
    }

    fn update(&self, manager: Manager, to_type: &mut Vec<String>) -> Outcome {
        let Manager::Apt = manager else { return Ok(()) };
        let command = self.with_rights("apt-get", &["update"]);
        // Once a run is enough, and a source that does not answer need not stop the install.
        if to_type.contains(&shown(&command)) {
            return Ok(());
        }
        match self.perform(command, to_type) {
            Err(Failure::Work(text)) => {
                note!("{text}; going on with the lists that are there");
                Ok(())
            }
            other => other,
        }
    }

    fn package_command(&self, manager: Manager, packages: &[&str]) -> Command {
        let mut command = match manager {
            Manager::Apt => self.with_rights(
                "apt-get",
                &["install", "-y", "--no-remove", "--no-install-recommends"],
            ),
            Manager::Dnf => self.with_rights("dnf", &["install", "-y"]),
            Manager::Pacman => self.with_rights("pacman", &["-S", "--needed", "--noconfirm"]),
            Manager::Brew => self.with_rights("brew", &["install"]),
        };
        command.args(packages);
        command
    }

    fn with_rights(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = match self.rights {
            Rights::Direct => Command::new(program),
            Rights::Sudo | Rights::None => {
                let mut command = Command::new("sudo");
                command.arg(program);
                command
            }
        };
        command.args(arguments);
        command
    }

    /// Runs the command, or notes it down for a user without rights.
    fn perform(&self, mut command: Command, to_type: &mut Vec<String>) -> Outcome {
        if let Rights::None = self.rights {
            to_type.push(shown(&command));
            return Ok(());
        }
        stream(&mut command)
    }

    /// From the distribution's backports, by package lists of our own: the machine's stay as they are.
    fn install_from_backports(&self, packages: &[&str]) -> Outcome {
        let release = Release::read()?;
        let folder = target_dir().join("xtask/apt");
        let (parts, lists) = (folder.join("parts"), folder.join("lists"));
        for dir in [&parts, &lists] {
            fs::create_dir_all(dir).map_err(|e| Failure::file("create", dir, &e))?;
        }
        let sources = parts.join("backports.sources");
        fs::write(&sources, release.sources()).map_err(|e| Failure::file("write", &sources, &e))?;
        let options = [
            "-o".into(),
            "Dir::Etc::sourcelist=/dev/null".into(),
            "-o".into(),
            format!("Dir::Etc::sourceparts={}", parts.display()),
            "-o".into(),
            format!("Dir::State::lists={}", lists.display()),
        ];
        stream(self.with_rights("apt-get", &["update"]).args(&options))?;
        let suite = format!("{}-backports", release.codename);
        let mut install = self.package_command(Manager::Apt, &["-t", &suite]);
        stream(install.args(packages).args(&options))
    }
}

/// The package that holds an emulator.
fn emulator_package(manager: Manager, program: &str) -> &'static str {
    let riscv = program.contains("riscv");
    match manager {
        Manager::Apt if riscv => {
            // Newer releases have a package of its own for RISC-V.
            let own = succeeds(Command::new("apt-cache").args(["show", "qemu-system-riscv"]));
            if own {
                "qemu-system-riscv"
            } else {
                "qemu-system-misc"
            }
        }
        Manager::Apt => "qemu-system-arm",
        Manager::Dnf if riscv => "qemu-system-riscv-core",
        Manager::Dnf => "qemu-system-arm-core",
        Manager::Pacman if riscv => "qemu-system-riscv",
        Manager::Pacman => "qemu-system-arm",
        Manager::Brew => "qemu",
    }
}

/// Where this machine's packages come from.
struct Release {
    codename: String,
    uri: String,
    signed_by: String,
}

impl Release {
    fn read() -> Outcome<Self> {
        let unknown = |what: &str| {
            Failure::Usage(format!(
                "{what}: install the emulators (QEMU for ARM and RISC-V) by hand"
            ))
        };
        let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let codename = value(&system, "VERSION_CODENAME=")
            .ok_or_else(|| unknown("the release has no codename"))?;
        let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
        if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
            files.extend(entries.flatten().map(|entry| entry.path()));
        }
        let texts = files
            .iter()
            .filter_map(|path| fs::read_to_string(path).ok());
        texts
            .flat_map(|text| text.split("\n\n").map(str::to_owned).collect::<Vec<_>>())
            .find_map(|stanza| Self::from_stanza(&stanza, &codename))
            .ok_or_else(|| unknown("no package source of this release is found"))
    }

    fn from_stanza(stanza: &str, codename: &str) -> Option<Self> {
        let suites = value(stanza, "Suites:")?;
        let own = suites.split_whitespace().any(|suite| suite == codename);
        own.then_some(())?;
        Some(Self {
            codename: codename.into(),
            uri: value(stanza, "URIs:")?.split_whitespace().next()?.into(),
            signed_by: value(stanza, "Signed-By:")?,
        })
    }

    fn sources(&self) -> String {
        let Self {
            codename,
            uri,
            signed_by,
        } = self;
        format!(
            "Types: deb\nURIs: {uri}\nSuites: {codename} {codename}-updates {codename}-backports\nComponents: main\nSigned-By: {signed_by}\n"
        )
    }
}

/// The rest of the first line that starts with `key`, without quotes.
fn value(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim().trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backports_come_from_the_release_s_own_source() {
        let stanza = "Types: deb\n# a remark\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\nSigned-By: /usr/share/keyrings/key.gpg";
        let release = Release::from_stanza(stanza, "bookworm").unwrap();
        assert!(
            release
                .sources()
                .contains("Suites: bookworm bookworm-updates bookworm-backports")
        );
        assert!(
            release
                .sources()
                .contains("URIs: http://mirror.example/debian\n")
        );
        assert!(Release::from_stanza(&stanza.replace("bookworm", "trixie"), "bookworm").is_none());
    }
}
