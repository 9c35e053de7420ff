//! Every crate that is locked, in both workspaces, has a licence that we may ship.

use std::path::Path;

use serde::Deserialize;

use crate::outcome::{Failure, Outcome};
use crate::run::{capture, cargo};

/// Licences that any crate may have.
const ALLOWED: [&str; 10] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "0BSD",
    "ISC",
    "Zlib",
    "CC0-1.0",
    "Unicode-3.0",
];

/// Licences that only the crate beside them may have, and why.
const EXCEPTIONS: [(&str, &str); 1] = [
    // Mozilla's list of root certificates: data, which the licence lets anyone pass on.
    ("webpki-roots", "CDLA-Permissive-2.0"),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
}

/// Checks the locked tree of the workspace in `folder`.
pub(crate) fn check(folder: &Path) -> Outcome {
    let json = capture(
        cargo()
            .args(["metadata", "--all-features", "--format-version", "1"])
            .arg("--locked")
            .current_dir(folder),
    )?;
    let metadata: Metadata = serde_json::from_str(&json)
        .map_err(|error| Failure::Work(format!("cargo metadata is not as expected: {error}")))?;
    let refused: Vec<_> = metadata.packages.iter().filter_map(refusal).collect();
    note!(
        "{} crates in {}",
        metadata.packages.len(),
        folder.join("Cargo.lock").display()
    );
    if refused.is_empty() {
        Ok(())
    } else {
        Err(Failure::Work(format!(
            "licences that xtask/src/licences.rs does not allow:\n  {}",
            refused.join("\n  ")
        )))
    }
}

/// Why a crate may not be used.
fn refusal(package: &Package) -> Option<String> {
    let Package {
        name,
        version,
        license,
    } = package;
    let Some(license) = license else {
        return Some(format!("{name} {version} states no licence"));
    };
    // Old crates write a slash for OR.
    let expression = spdx::Expression::parse(&license.replace('/', " OR "));
    let allowed = expression.is_ok_and(|expression| {
        expression.evaluate(|requirement| {
            let spdx::LicenseItem::Spdx { id, .. } = &requirement.license else {
                return false;
            };
            ALLOWED.contains(&id.name) || EXCEPTIONS.contains(&(name.as_str(), id.name))
        })
    });
    (!allowed).then(|| format!("{name} {version}: {license}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, license: Option<&str>) -> Package {
        Package {
            name: name.into(),
            version: "1.0.0".into(),
            license: license.map(str::to_owned),
        }
    }

    #[test]
    fn a_choice_is_enough_and_a_demand_is_not() {
        assert_eq!(refusal(&package("a", Some("Unlicense OR MIT"))), None);
        assert_eq!(refusal(&package("a", Some("MIT/Apache-2.0"))), None);
        assert_eq!(
            refusal(&package("a", Some("Apache-2.0 WITH LLVM-exception OR MIT"))),
            None
        );
        assert!(refusal(&package("a", Some("MIT AND GPL-3.0-only"))).is_some());
        assert!(refusal(&package("a", Some("MPL-2.0"))).is_some());
        assert!(refusal(&package("a", None)).is_some());
    }

    #[test]
    fn an_exception_is_one_crate_s() {
        assert_eq!(
            refusal(&package("webpki-roots", Some("CDLA-Permissive-2.0"))),
            None
        );
        assert!(refusal(&package("other", Some("CDLA-Permissive-2.0"))).is_some());
    }
}
