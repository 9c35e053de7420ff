//! Chooses the board's folder and includes the model, both named by the environment.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde::Deserialize;

/// The keys of `board.toml` that the build needs.
#[derive(Deserialize)]
struct Board {
    name: String,
    target: String,
    ram_bytes: u64,
    /// There on a real board.
    probe: Option<toml::Table>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-env-changed=BITSPIKE_BOARD");
    println!("cargo::rerun-if-env-changed=BITSPIKE_MODEL");
    println!("cargo::rerun-if-changed=build.rs");

    let (board, folder) = chosen_board(&root.join("boards"))?;
    println!("cargo::rustc-check-cfg=cfg(real_board)");
    if board.probe.is_some() {
        println!("cargo::rustc-cfg=real_board");
    }
    println!("cargo::rerun-if-changed={}", folder.display());
    fs::copy(folder.join("memory.x"), out.join("memory.x"))?;
    println!("cargo::rustc-link-search={}", out.display());
    if env::var("CARGO_CFG_TARGET_ARCH")? == "arm" {
        // Without it the linker pads the segments to pages, which moves them in flash.
        println!("cargo::rustc-link-arg=--nmagic");
        // cortex-m-rt asks for the names of a chip's interrupts; there are none.
        fs::write(out.join("device.x"), "")?;
    } else {
        println!("cargo::rustc-link-arg=-Tmemory.x");
    }
    println!("cargo::rustc-link-arg=-Tlink.x");

    let model = match env::var_os("BITSPIKE_MODEL") {
        Some(path) => PathBuf::from(path),
        None => root.join("../core/tests/models/v1-mixed.bsnn"),
    };
    println!("cargo::rerun-if-changed={}", model.display());
    let length = fs::metadata(&model)
        .map_err(|error| {
            format!(
                "cannot read the model {}: {error}; set BITSPIKE_MODEL to the absolute path of a .bsnn file",
                model.display()
            )
        })?
        .len();

    let ram = board.ram_bytes;
    let mut modules = format!("/// RAM of this board.\npub const RAM_BYTES: usize = {ram};\n");
    for (file, module) in [("board.rs", "chosen"), ("serial.rs", "line")] {
        let mut path = folder.join(file);
        if !path.exists() {
            path = root.join("src/serial/none.rs");
        }
        modules += &format!("#[path = {path:?}]\nmod {module};\n");
    }
    fs::write(out.join("board.rs"), modules)?;
    let model = model.display().to_string();
    fs::write(
        out.join("model.rs"),
        format!(
            "const FILE: &[u8; {length}] = include_bytes!({model:?});\n\
             const PACKED: [u32; {words}] = bitspike_core::model::pack_words(FILE);\n",
            words = length.div_ceil(4)
        ),
    )?;
    Ok(())
}

/// The folder of the board that BITSPIKE_BOARD names, checked against the target in use.
fn chosen_board(boards: &Path) -> Result<(Board, PathBuf), Box<dyn Error>> {
    let mut known = Vec::new();
    for entry in fs::read_dir(boards)? {
        let folder = entry?.path();
        let board: Board = toml::from_str(&fs::read_to_string(folder.join("board.toml"))?)?;
        known.push((board, folder));
    }
    known.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    let names: Vec<_> = known.iter().map(|(board, _)| board.name.as_str()).collect();
    let names = names.join(", ");
    let wanted = env::var("BITSPIKE_BOARD").map_err(|_| {
        format!(
            "set BITSPIKE_BOARD to a board ({names}), or build with `cargo xtask firmware BOARD`"
        )
    })?;
    let Some(index) = known.iter().position(|(board, _)| board.name == wanted) else {
        return Err(format!("BITSPIKE_BOARD is {wanted}; there are {names}").into());
    };
    let (board, folder) = known.swap_remove(index);
    let target = env::var("TARGET")?;
    if board.target != target {
        return Err(format!(
            "board {wanted} needs `--target {}`, this build is for {target}; `cargo xtask firmware {wanted}` does it right",
            board.target
        )
        .into());
    }
    Ok((board, folder))
}
