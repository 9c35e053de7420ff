//! The pages that say what is refused, held against the enumerations and the tests they name.
#![cfg(not(miri))]

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The variants of an enumeration in a source file.
fn variants(source: &str, name: &str) -> Vec<String> {
    let start = format!("pub enum {name} {{\n");
    let (_, body) = source.split_once(&start).expect("the enumeration");
    let (body, _) = body.split_once("\n}\n").expect("its end");
    let variant = |line: &str| {
        let line = line.strip_prefix("    ")?;
        let end = line
            .find(|c: char| !c.is_alphanumeric())
            .unwrap_or(line.len());
        line.starts_with(char::is_uppercase)
            .then(|| line[..end].to_owned())
    };
    body.lines().filter_map(variant).collect()
}

/// The words in backquotes of a table's cell.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Checks the page's table behind "## What is refused": a row names a variant and its tests.
fn check(page: &str, source: &str, name: &str, tests: &[&str]) {
    let page_text = read(page);
    let (_, table) = page_text
        .split_once("## What is refused")
        .expect("the section");
    let (table, _) = table.split_once("\n## ").unwrap_or((table, ""));
    let tests: String = tests.iter().map(|path| read(path)).collect();
    let variants = variants(&read(source), name);
    assert!(variants.len() > 5, "{source}: {variants:?}");
    let mut named = Vec::new();
    for row in table.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let [.., variant, test] = cells[..] else {
            panic!("{page}: a row of one cell: {row}");
        };
        let variant = quoted(variant).next().unwrap_or_default();
        assert!(
            variants.iter().any(|known| known == variant),
            "{page} names `{variant}`, which {name} does not have"
        );
        named.push(variant.to_owned());
        let mut count = 0;
        for test in quoted(test) {
            assert!(
                tests.contains(&format!("#[test]\nfn {test}()")),
                "{page}: no test is called `{test}`"
            );
            count += 1;
        }
        assert!(count > 0, "{page}: no test is named in: {row}");
    }
    for variant in &variants {
        assert!(
            named.contains(variant),
            "{page} does not say when `{name}::{variant}` comes"
        );
    }
}

#[test]
fn the_format_page_lists_every_refusal_with_its_test() {
    check(
        "../docs/model-format.md",
        "src/model/error.rs",
        "ModelError",
        &["tests/format.rs", "tests/limits.rs"],
    );
}

#[test]
fn the_state_page_lists_every_refusal_with_its_test() {
    check(
        "../docs/state-format.md",
        "src/state.rs",
        "StateError",
        &["tests/state.rs"],
    );
}
