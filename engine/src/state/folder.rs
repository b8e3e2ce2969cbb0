//! Where the files of versions lie: `state/<name>/<digest>.redb`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    VersionState,
    error::{Origin, StateError},
    version::disk_size,
};

/// The folder with the state files of all versions:
/// `<folder>/<plug-in's name>/<version's digest>.redb`.
#[derive(Clone, Debug)]
pub struct StateFolder {
    folder: PathBuf,
}

/// A state file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFile {
    /// The plug-in's name.
    pub name: String,
    /// The version's digest.
    pub digest: String,
    /// How much of the disk it takes.
    pub size: u64,
}

impl StateFolder {
    /// Over a folder, which need not be there yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where the file of a version lies.
    pub fn path(&self, name: &str, digest: &str) -> Result<PathBuf, StateError> {
        check(digest)?;
        Ok(self.of_name(name)?.join(format!("{digest}.redb")))
    }

    /// Opens the state of a version; see [`VersionState::open`].
    pub fn open(
        &self,
        name: &str,
        digest: &str,
        tables: &[String],
        cache_bytes: usize,
    ) -> Result<VersionState, StateError> {
        VersionState::open(&self.path(name, digest)?, tables, cache_bytes)
    }

    /// All state files, sorted by name and digest. Other files are passed over.
    pub fn list(&self) -> Result<Vec<StateFile>, StateError> {
        let mut found = Vec::new();
        for (name, folder) in self.entries(&self.folder)? {
            if !folder.is_dir() {
                continue;
            }
            for (file, path) in self.entries(&folder)? {
                if let Some(digest) = file.strip_suffix(".redb") {
                    let size = fs::metadata(&path).map(|file| disk_size(&file)).unwrap_or_default();
                    found.push(StateFile { name: name.clone(), digest: digest.to_owned(), size });
                }
            }
        }
        found.sort_by(|a, b| (&a.name, &a.digest).cmp(&(&b.name, &b.digest)));
        Ok(found)
    }

    /// Deletes the state of a version, if it is there. It should be closed:
    /// the disk space of an open file comes back only when it is.
    pub fn purge(&self, name: &str, digest: &str) -> Result<(), StateError> {
        let path = self.path(name, digest)?;
        gone(fs::remove_file(&path)).map_err(origin(&path).io("delete the state"))?;
        // The last one takes the folder along; one that is not empty stays.
        let _ = fs::remove_dir(self.of_name(name)?);
        Ok(())
    }

    /// Deletes the state of all versions of a name.
    pub fn purge_name(&self, name: &str) -> Result<(), StateError> {
        let folder = self.of_name(name)?;
        gone(fs::remove_dir_all(&folder)).map_err(origin(&folder).io("delete the state"))
    }

    fn of_name(&self, name: &str) -> Result<PathBuf, StateError> {
        check(name)?;
        Ok(self.folder.join(name))
    }

    /// Names and paths in a folder; of one that is not there, none.
    fn entries(&self, folder: &Path) -> Result<Vec<(String, PathBuf)>, StateError> {
        let read = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.map_err(origin(folder).io("list the folder"))?,
        };
        let mut entries = Vec::new();
        for entry in read {
            let entry = entry.map_err(origin(folder).io("list the folder"))?;
            // A name that is no UTF-8 is none of ours.
            if let Ok(name) = entry.file_name().into_string() {
                entries.push((name, entry.path()));
            }
        }
        Ok(entries)
    }
}

fn origin(path: &Path) -> Origin {
    Origin::new(&path.display().to_string())
}

/// What is already gone need not be deleted.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Only what stays one component of a path.
fn check(name: &str) -> Result<(), StateError> {
    let one = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0']);
    if one { Ok(()) } else { Err(StateError::Name { name: name.to_owned() }) }
}
