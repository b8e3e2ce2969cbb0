//! A component's file, and the settings beside it.

use std::path::Path;

use crate::cli::exit::{Exit, Failure};

/// A component, and the text of the settings beside it.
pub fn read(path: &Path) -> Result<(Vec<u8>, Option<String>), Failure> {
    let unreadable = |path: &Path, error: std::io::Error| {
        Failure::new(Exit::Input, format!("{} cannot be read: {error}", path.display()))
    };
    let wasm = std::fs::read(path).map_err(|error| unreadable(path, error))?;
    let beside = path.with_extension("toml");
    match std::fs::read_to_string(&beside) {
        Ok(text) => Ok((wasm, Some(text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok((wasm, None)),
        Err(error) => Err(unreadable(&beside, error)),
    }
}
