//! The plug-ins as built, and variants of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::program;

/// The file of a plug-in by its name (`file-churn`).
#[track_caller]
pub fn path(name: &str) -> PathBuf {
    let folder = std::env::var_os("PROJECTIONIST_TEST_COMPONENTS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| program::target().join("components"));
    let path = folder.join(format!("{name}.wasm"));
    assert!(path.is_file(), "{} is not built; run the tests with `cargo xtask test`", path.display());
    path
}

/// A plug-in's bytes.
#[track_caller]
pub fn bytes(name: &str) -> Vec<u8> {
    let path = path(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The same component with a remark in it: another digest, the same result.
pub fn remarked(component: &[u8], remark: &str) -> Vec<u8> {
    // A custom section: id 0, its length, the length of its name, its name, anything.
    let name = "remark";
    let mut section = leb128(name.len());
    section.extend_from_slice(name.as_bytes());
    section.extend_from_slice(remark.as_bytes());
    let mut bytes = component.to_vec();
    bytes.push(0);
    bytes.extend(leb128(section.len()));
    bytes.extend(section);
    bytes
}

/// Puts a file in place as a careful tool does: beside it first, then renamed.
#[track_caller]
pub fn put(file: &Path, bytes: &[u8]) {
    let beside = file.with_extension("part");
    fs::write(&beside, bytes)
        .and_then(|()| fs::rename(&beside, file))
        .expect("the plug-ins folder takes files");
}

fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
