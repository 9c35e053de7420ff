//! Cross-crate tests; see the files in `tests/`.
