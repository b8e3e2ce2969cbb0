//! What `build --watch` watches: the files that a crate is built from.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::SystemTime,
};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::cli::exit::{Exit, Failure};

/// When each source file was last changed, and how large it is.
pub(super) type Sources = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// The source files of a crate and of those beside it that it depends on, as
/// they are now.
pub(super) fn state(manifest: Option<&Path>) -> Result<Sources> {
    let mut sources = Sources::new();
    for package in packages(manifest)? {
        for file in ["Cargo.toml", "build.rs"] {
            add(&package.join(file), &mut sources);
        }
        add(&package.join("src"), &mut sources);
    }
    Ok(sources)
}

fn add(path: &Path, sources: &mut Sources) {
    let Ok(metadata) = fs::metadata(path) else { return };
    if metadata.is_file() {
        sources.insert(path.to_owned(), (metadata.modified().ok(), metadata.len()));
        return;
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        add(&entry.path(), sources);
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    /// Absent for packages that are folders of this machine.
    source: Option<String>,
    manifest_path: PathBuf,
}

/// The folders of all packages that are no downloads.
fn packages(manifest: Option<&Path>) -> Result<Vec<PathBuf>> {
    let mut command = super::cargo();
    command.args(["metadata", "--format-version", "1", "--quiet", "--filter-platform", super::TARGET]);
    if let Some(path) = manifest {
        command.arg("--manifest-path").arg(path);
    }
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| super::no_cargo(&error))?;
    if !output.status.success() {
        let failure = Failure::new(Exit::Usage, "there is no crate here that cargo understands");
        return Err(failure.hint("run it in a plug-in's folder, or name one with --manifest-path").into());
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo answers nonsense")?;
    let local = metadata.packages.into_iter().filter(|package| package.source.is_none());
    Ok(local.filter_map(|package| Some(package.manifest_path.parent()?.to_owned())).collect())
}
