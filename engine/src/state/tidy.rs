//! What is deleted at a start: what a process that was killed had not finished, or had forgotten
//! but not deleted yet.
//!
//! Only files whose names say that they are a version's. The file of a reaction is no version's,
//! and what else lies there is somebody's.

use std::{fs, io, path::Path};

use super::{
    error::StateError,
    folder::{StateFolder, gone, is_digest, origin},
    kept::{Named, PART, named},
};

impl StateFolder {
    /// Deletes parts of states that were to be kept, and all states of versions of which nothing
    /// is known. None of them may be open.
    pub fn tidy(&self, is_known: impl Fn(&str, &str) -> bool) -> Result<(), StateError> {
        for name in list(&self.folder)? {
            let Ok(folder) = self.of_name(&name) else { continue };
            if !folder.is_dir() {
                continue;
            }
            let kept = self.named(&name)?;
            let is_whole = |one: &Named| {
                let same = |other: &Named| (&other.digest, other.position) == (&one.digest, one.position);
                kept.iter().filter(|(_, other)| same(other)).count() == one.partitions
            };
            let is_left = |file: &str| match (file.strip_suffix(PART), named(file)) {
                (Some(whole), _) => {
                    let part = whole.strip_suffix('.').and_then(named);
                    part.is_some_and(|part| is_digest(&part.digest))
                }
                (_, Some(one)) => is_digest(&one.digest) && !(is_whole(&one) && is_known(&name, &one.digest)),
                _ => Self::version_in(file).is_some_and(|digest| !is_known(&name, digest)),
            };
            let mut left = list(&folder)?;
            left.retain(|file| is_left(file) && folder.join(file).is_file());
            for file in &left {
                let path = folder.join(file);
                tracing::info!(
                    plugin = name,
                    file,
                    "a file is deleted, since it is of no version on record or not whole"
                );
                gone(fs::remove_file(&path)).map_err(origin(&path).io("delete what is left"))?;
            }
            if !left.is_empty() {
                // The last one takes the folder along; one that is not empty stays.
                let _ = fs::remove_dir(folder);
            }
        }
        Ok(())
    }
}

/// What is in a folder, if it is there. A name that is no UTF-8 is none of ours.
fn list(folder: &Path) -> Result<Vec<String>, StateError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(origin(folder).io("list the folder"))?,
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_string().ok()));
    let names = names.filter_map(Result::transpose).collect::<io::Result<_>>();
    names.map_err(origin(folder).io("list the folder"))
}
