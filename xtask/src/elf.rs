//! Flash and static RAM of a firmware image, as its ELF says.

use std::path::Path;

use object::read::elf::{ElfFile32, ProgramHeader};
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol, elf};

use crate::outcome::{Failure, Outcome};

/// Bytes of an image by where they lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// Code, constants and the initial values of `.data`: what is flashed.
    pub(crate) flash_bytes: u64,
    /// `.data` and `.bss`: static RAM, network state included; the stack comes on top.
    pub(crate) ram_bytes: u64,
}

/// The sections of static data; linker scripts add others that only reserve room, for the stack say.
const STATIC: [&str; 3] = [".data", ".bss", ".uninit"];

/// Reads the footprint of a 32-bit little-endian ELF.
pub(crate) fn footprint(path: &Path) -> Outcome<Footprint> {
    let bytes = std::fs::read(path).map_err(|e| Failure::file("read", path, &e))?;
    let unreadable = |e: object::Error| Failure::Work(format!("{}: {e}", path.display()));
    let file = ElfFile32::<LittleEndian>::parse(&*bytes).map_err(unreadable)?;
    let endian = file.endian();
    let flash_bytes = file
        .elf_program_headers()
        .iter()
        .filter(|segment| segment.p_type(endian) == elf::PT_LOAD)
        .map(|segment| u64::from(segment.p_filesz(endian)))
        .sum();
    let ram_bytes = file
        .sections()
        .filter(|section| section.name().is_ok_and(|name| STATIC.contains(&name)))
        .map(|section| section.size())
        .sum();
    Ok(Footprint {
        flash_bytes,
        ram_bytes,
    })
}

/// What is written to flash, with its addresses there.
pub(crate) fn flashed(path: &Path) -> Outcome<Vec<(u32, Vec<u8>)>> {
    let bytes = std::fs::read(path).map_err(|e| Failure::file("read", path, &e))?;
    let unreadable = |e: object::Error| Failure::Work(format!("{}: {e}", path.display()));
    let file = ElfFile32::<LittleEndian>::parse(&*bytes).map_err(unreadable)?;
    let endian = file.endian();
    let mut pieces = Vec::new();
    for segment in file.elf_program_headers() {
        if segment.p_type(endian) == elf::PT_LOAD && segment.p_filesz(endian) > 0 {
            let data = segment.data(endian, &*bytes).map_err(|()| {
                Failure::Work(format!(
                    "{}: a segment ends behind the file",
                    path.display()
                ))
            })?;
            pieces.push((segment.p_paddr(endian), data.to_vec()));
        }
    }
    Ok(pieces)
}

/// The symbols of an image by which a panic starts; none where no code can panic, since the linker
/// leaves out what nothing calls.
pub(crate) fn panics(path: &Path) -> Outcome<Vec<String>> {
    let bytes = std::fs::read(path).map_err(|e| Failure::file("read", path, &e))?;
    let unreadable = |e: object::Error| Failure::Work(format!("{}: {e}", path.display()));
    let file = ElfFile32::<LittleEndian>::parse(&*bytes).map_err(unreadable)?;
    let names: Vec<&str> = file.symbols().filter_map(|s| s.name().ok()).collect();
    if !names
        .iter()
        .any(|name| name.contains("rt_main") || *name == "main")
    {
        return Err(Failure::Work(format!(
            "{} has no symbols to look through",
            path.display()
        )));
    }
    let panics = names.into_iter().filter(|name| name.contains("panick"));
    Ok(panics.map(str::to_owned).collect())
}
