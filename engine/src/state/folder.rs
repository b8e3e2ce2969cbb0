//! Where the files of versions lie: `state/<name>/<digest>.redb`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    PartitionState, VersionState,
    error::{Origin, StateError},
};

/// The folder with the state of all versions, a file a partition:
/// `<folder>/<plug-in's name>/<version's digest>.redb` for one, or
/// `….<partition>-of-<partitions>.redb` for several, numbered from 1.
#[derive(Clone, Debug)]
pub struct StateFolder {
    pub(super) folder: PathBuf,
}

impl StateFolder {
    /// Over a folder, which need not be there yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Opens the state of a version with so many partitions; see
    /// [`PartitionState::open`]. They share `cache_bytes`.
    pub fn open(
        &self,
        name: &str,
        digest: &str,
        tables: &[String],
        partitions: usize,
        cache_bytes: usize,
    ) -> Result<VersionState, StateError> {
        check(digest)?;
        let folder = self.of_name(name)?;
        let open = |number| {
            let file = folder.join(Self::file(digest, number, partitions));
            PartitionState::open(&file, tables, cache_bytes / partitions)
        };
        VersionState::new((1..=partitions).map(open).collect::<Result<Vec<_>, _>>()?)
    }

    /// Opens the state of a reaction, which one version hands on to the next:
    /// `<folder>/<name>/reaction.redb`.
    pub fn open_reaction(
        &self,
        name: &str,
        tables: &[String],
        cache_bytes: usize,
    ) -> Result<VersionState, StateError> {
        let path = self.of_name(name)?.join("reaction.redb");
        let state = match PartitionState::open(&path, tables, cache_bytes) {
            // The version that handed it on had others, or the next one has.
            Err(StateError::OtherTables { stored, .. }) => {
                PartitionState::open(&path, &stored, cache_bytes)?.handed_on(tables, None)?
            }
            state => state?,
        };
        VersionState::new([state])
    }

    /// The state of a reaction with the tables that its last version had, if there is any.
    /// Not while the file is open.
    pub fn left_by_reaction(
        &self,
        name: &str,
        cache_bytes: usize,
    ) -> Result<Option<VersionState>, StateError> {
        let path = self.of_name(name)?.join("reaction.redb");
        if !path.exists() {
            return Ok(None);
        }
        let state = match PartitionState::open(&path, &[], cache_bytes) {
            Err(StateError::OtherTables { stored, .. }) => PartitionState::open(&path, &stored, cache_bytes)?,
            state => state?,
        };
        VersionState::new([state]).map(Some)
    }

    /// The digest of the version whose tables a reaction's file holds, where one has
    /// taken them over. Not while the file is open.
    pub fn reaction_owner(&self, name: &str, cache_bytes: usize) -> Result<Option<String>, StateError> {
        match self.left_by_reaction(name, cache_bytes)? {
            Some(state) => state.partitions()[0].owner(),
            None => Ok(None),
        }
    }

    /// Deletes the state of a reaction; see [`purge`](Self::purge).
    pub fn purge_reaction(&self, name: &str) -> Result<(), StateError> {
        self.purge(name, "reaction")
    }

    /// Deletes the state of a version, if it is there. It should be closed:
    /// the disk space of an open file comes back only when it is.
    pub fn purge(&self, name: &str, digest: &str) -> Result<(), StateError> {
        check(digest)?;
        let folder = self.of_name(name)?;
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(origin(&folder).io("list the folder"))?,
        };
        for entry in entries {
            let entry = entry.map_err(origin(&folder).io("list the folder"))?;
            let file = entry.file_name();
            // A name that is no UTF-8 is none of ours.
            let rest = file.to_str().and_then(|file| file.strip_prefix(digest));
            if rest.is_some_and(|rest| rest.starts_with('.') && rest.ends_with(".redb")) {
                gone(fs::remove_file(entry.path())).map_err(origin(&entry.path()).io("delete the state"))?;
            }
        }
        // The last one takes the folder along; one that is not empty stays.
        let _ = fs::remove_dir(folder);
        Ok(())
    }

    /// The file of a partition, by its number from 1.
    pub(super) fn file(digest: &str, number: usize, partitions: usize) -> String {
        match partitions {
            1 => format!("{digest}.redb"),
            _ => format!("{digest}.{number}-of-{partitions}.redb"),
        }
    }

    /// The version whose state a file holds, as far as its name says: what [`file`](Self::file)
    /// calls it, and nothing else.
    pub(super) fn version_in(file: &str) -> Option<&str> {
        let stem = file.strip_suffix(".redb")?;
        let (digest, number, partitions) = match stem.split_once('.') {
            Some((digest, place)) => {
                let (number, partitions) = place.split_once("-of-")?;
                (digest, number.parse().ok()?, partitions.parse().ok()?)
            }
            None => (stem, 1, 1),
        };
        let is_it = (1..=partitions).contains(&number) && Self::file(digest, number, partitions) == file;
        (is_it && is_digest(digest)).then_some(digest)
    }

    pub(super) fn of_name(&self, name: &str) -> Result<PathBuf, StateError> {
        check(name)?;
        Ok(self.folder.join(name))
    }
}

pub(super) fn origin(path: &Path) -> Origin {
    Origin::new(&path.display().to_string())
}

/// What is already gone need not be deleted.
pub(super) fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Whether this is what tells versions from one another, and components: 32 bytes in hexadecimal.
pub fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Only what stays one component of a path.
fn check(name: &str) -> Result<(), StateError> {
    let one = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0']);
    if one { Ok(()) } else { Err(StateError::Name { name: name.to_owned() }) }
}
