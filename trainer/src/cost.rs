//! What a model costs on a board before it is bought: estimates from `core`'s cost table, and from
//! the sizes of the firmware that CI holds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bitspike_core::cost::{self, Class};
use bitspike_core::kernel::Kernel;
use bitspike_core::model::{InputKind, Model};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, model_file};

/// The program whose size is taken: the smallest that decides.
const PROGRAM: &str = "classify";

/// Stack of the program around a step: the most that was measured, in bytes.
const FRAMES: u64 = 180;

/// The rate that is taken where nothing is known.
const ASSUMED: f64 = 0.1;

/// What a board has, of `firmware/boards/*/board.toml`.
#[derive(Debug, Clone, Deserialize)]
pub struct Board {
    /// The name on the command line.
    pub name: String,
    /// The machine in words.
    pub title: String,
    /// The compiler's target.
    pub target: String,
    /// Flash, in bytes.
    pub flash_bytes: u64,
    /// RAM, in bytes.
    pub ram_bytes: u64,
}

/// The repository that this binary was built in.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| {
        Error::usage(format!(
            "cannot read {}: {error}; `cost` needs the repository in which bitspike was built",
            path.display()
        ))
    })
}

impl Board {
    /// The boards of these names, or all.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name that no board has, or where the repository is not there.
    pub fn named(names: &[String]) -> Result<Vec<Self>> {
        let folder = root().join("firmware/boards");
        let entries = fs::read_dir(&folder).map_err(|error| {
            Error::usage(format!(
                "cannot read {}: {error}; `cost` needs the repository in which bitspike was built",
                folder.display()
            ))
        })?;
        let mut all: Vec<Self> = Vec::new();
        for entry in entries.flatten() {
            let path = entry.path().join("board.toml");
            let board = toml::from_str(&read(&path)?)
                .map_err(|error| Error::failed(format!("{}: {error}", path.display())))?;
            all.push(board);
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        if names.is_empty() {
            return Ok(all);
        }
        let find = |name: &String| {
            all.iter()
                .find(|board| board.name == *name)
                .cloned()
                .ok_or_else(|| {
                    let known: Vec<&str> = all.iter().map(|board| board.name.as_str()).collect();
                    Error::usage(format!(
                        "--on: no board is named `{name}`; there are {}",
                        known.join(", ")
                    ))
                })
        };
        names.iter().map(find).collect()
    }
}

/// How often units fire.
#[derive(Debug, Clone)]
pub struct Rates {
    /// Of the input, then by layer.
    values: Vec<f64>,
    /// Where they come from.
    from: &'static str,
}

impl Rates {
    /// One rate for all where one is given; else those of the training; else 10 %.
    pub fn of(model: &Model<'_>, density: Option<f64>) -> Self {
        let all = |rate| vec![rate; model.layers().len() + 1];
        match (density, model_file::rates(model)) {
            (Some(rate), _) => Self {
                values: all(rate),
                from: "--density",
            },
            (None, Some(values)) => Self {
                values,
                from: "of the training, from the model",
            },
            (None, None) => Self {
                values: all(ASSUMED),
                from: "assumed: the model holds none, see --density",
            },
        }
    }
}

/// Estimates of a model.
#[derive(Debug, Serialize)]
pub struct Costs {
    /// Always true: nothing here is measured.
    pub estimates: bool,
    /// Firing rates of the input, then by layer, and where they come from.
    pub rates: Vec<f64>,
    /// See `rates`.
    pub rates_from: &'static str,
    /// Steps of a decision that is not stopped early.
    pub steps: u32,
    /// Of all layers but a first one that reads numbers.
    pub synaptic_operations_per_step: f64,
    /// Those of all steps, and once those of a first layer that reads numbers.
    pub synaptic_operations_per_decision: f64,
    /// First to last.
    pub layers: Vec<LayerCost>,
    /// As asked for.
    pub machines: Vec<MachineCost>,
}

/// Estimates of a layer.
#[derive(Debug, Serialize)]
pub struct LayerCost {
    /// The kernel that runs it: graded, event, dense or reference.
    pub kernel: String,
    /// Inputs a step that are not 0.
    pub nonzero_inputs: f64,
    /// A step; of a first layer that reads a static input, a decision.
    pub synaptic_operations: f64,
}

/// Estimates of a model on a board.
#[derive(Debug, Serialize)]
pub struct MachineCost {
    /// The board's name.
    pub machine: String,
    /// The board in words.
    pub title: String,
    /// Whether flash and RAM hold it.
    pub fits: bool,
    /// Why not, with both sizes.
    pub refused: Option<String>,
    /// Program and model.
    pub flash_bytes: u64,
    /// What the board has.
    pub flash_available_bytes: u64,
    /// Static RAM: state, scratch, one input, and the program's own.
    pub ram_bytes: u64,
    /// The most stack.
    pub stack_bytes: u64,
    /// What the board has.
    pub ram_available_bytes: u64,
    /// Instructions, not clock cycles.
    pub instructions_per_step: f64,
    /// Instructions, not clock cycles.
    pub instructions_per_decision: f64,
}

/// The committed sizes of the programs, with a small model inside.
#[derive(Deserialize)]
struct Sizes {
    sizes: BTreeMap<String, Size>,
}

#[derive(Clone, Copy, Deserialize)]
struct Size {
    code_bytes: u64,
    ram_bytes: u64,
}

impl Costs {
    /// Estimates what a model costs on boards.
    ///
    /// # Errors
    /// [`Error::Usage`] where the repository is not there; [`Error::Failed`] where no size of a
    /// program for the board's processor is committed.
    pub fn of(model: &Model<'_>, boards: &[Board], rates: Rates) -> Result<Self> {
        let mut kind = model.input_kind();
        let mut layers = Vec::new();
        let (mut once, mut each) = (0.0, 0.0);
        for (layer, rate) in model.layers().iter().zip(&rates.values) {
            let nonzero_inputs = rate * layer.input().units() as f64;
            let synaptic_operations = cost::synaptic_operations(layer, nonzero_inputs);
            *(if kind.is_graded() {
                &mut once
            } else {
                &mut each
            }) += synaptic_operations;
            layers.push(LayerCost {
                kernel: format!("{:?}", Kernel::choose(layer, kind)).to_lowercase(),
                nonzero_inputs,
                synaptic_operations,
            });
            kind = InputKind::Spikes;
        }
        let programs = Programs::read()?;
        let machines = boards
            .iter()
            .map(|board| programs.cost(model, board, &rates));
        Ok(Self {
            estimates: true,
            machines: machines.collect::<Result<_>>()?,
            rates: rates.values.clone(),
            rates_from: rates.from,
            steps: model.steps(),
            synaptic_operations_per_step: each,
            synaptic_operations_per_decision: once + each * f64::from(model.steps()),
            layers,
        })
    }
}

/// Sizes of the firmware, and of the small model that is inside.
struct Programs {
    boards: Vec<Board>,
    sizes: BTreeMap<String, Size>,
    small_ram: u64,
}

/// Static RAM that a model needs.
fn state_bytes(model: &Model<'_>) -> u64 {
    (4 * model.sizes().memory_words() + model.sizes().input_bytes.next_multiple_of(4)) as u64
}

impl Programs {
    fn read() -> Result<Self> {
        let path = root().join("firmware/sizes.json");
        let committed: Sizes = serde_json::from_str(&read(&path)?)
            .map_err(|error| Error::failed(format!("{}: {error}", path.display())))?;
        let small = model_file::read(&root().join("core/tests/models/v1-mixed.bsnn"))?;
        Ok(Self {
            boards: Board::named(&[])?,
            sizes: committed.sizes,
            small_ram: state_bytes(&model_file::view(&small)?),
        })
    }

    /// The program's size on a board; of another with the same processor where it is not held.
    fn size(&self, board: &Board) -> Result<Size> {
        let of = |name: &str| self.sizes.get(&format!("{name} {PROGRAM}")).copied();
        let alike =
            |other: &&Board| Class::of_target(&other.target) == Class::of_target(&board.target);
        let others = self.boards.iter().filter(alike);
        of(&board.name)
            .or_else(|| {
                others
                    .filter_map(|other| of(&other.name))
                    .max_by_key(|size| size.code_bytes)
            })
            .ok_or_else(|| {
                Error::failed(format!(
                    "no size of `{PROGRAM}` for {} is known; `cargo xtask sizes --update` commits it",
                    board.name
                ))
            })
    }

    fn cost(&self, model: &Model<'_>, board: &Board, rates: &Rates) -> Result<MachineCost> {
        let class = Class::of_target(&board.target).ok_or_else(|| {
            Error::failed(format!(
                "{}: nothing is measured of the target {}",
                board.name, board.target
            ))
        })?;
        let size = self.size(board)?;
        let estimate = cost::network(class, model, &rates.values);
        let flash_bytes = size.code_bytes + model.sizes().file_bytes as u64;
        let ram_bytes = size.ram_bytes.saturating_sub(self.small_ram) + state_bytes(model);
        let stack_bytes = u64::from(cost::stack_bytes(class, model)) + FRAMES;
        let mut wrong = Vec::new();
        if flash_bytes > board.flash_bytes {
            wrong.push(format!(
                "{flash_bytes} bytes of flash are needed, it has {}",
                board.flash_bytes
            ));
        }
        if ram_bytes + stack_bytes > board.ram_bytes {
            wrong.push(format!(
                "{} bytes of RAM are needed ({stack_bytes} of them stack), it has {}",
                ram_bytes + stack_bytes,
                board.ram_bytes
            ));
        }
        let refused = format!("{} cannot hold the model: {}", board.name, wrong.join("; "));
        Ok(MachineCost {
            machine: board.name.clone(),
            title: board.title.clone(),
            fits: wrong.is_empty(),
            refused: (!wrong.is_empty()).then_some(refused),
            flash_bytes,
            flash_available_bytes: board.flash_bytes,
            ram_bytes,
            stack_bytes,
            ram_available_bytes: board.ram_bytes,
            instructions_per_step: estimate.step,
            instructions_per_decision: estimate.load + estimate.step * f64::from(model.steps()),
        })
    }
}
