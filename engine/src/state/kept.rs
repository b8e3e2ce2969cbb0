//! States that are kept to look back: a version's, as it stood at a position, in files beside its
//! own.
//!
//! `<digest>.at-<position>.<partition>-of-<partitions>.redb`. Each is written under another name and
//! renamed when it is durable, so one that is there is whole.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use super::{
    VersionState, View,
    error::StateError,
    folder::{StateFolder, gone, origin},
};
use crate::event::Position;

/// What a file is called until it is whole.
pub(super) const PART: &str = "part";

/// A state that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptState {
    /// Where it stands.
    pub position: Position,
    /// How much of the disk it takes.
    pub bytes: u64,
}

/// What the name of a file says.
pub(super) struct Named {
    pub(super) digest: String,
    pub(super) position: Position,
    pub(super) partitions: usize,
}

impl StateFolder {
    /// Keeps a version's state as it stands in a view. Durable when it answers.
    pub fn keep(&self, name: &str, digest: &str, view: &View) -> Result<(), StateError> {
        let folder = self.of_name(name)?;
        fs::create_dir_all(&folder).map_err(origin(&folder).io("make the folder"))?;
        let (position, partitions) = (view.position(), view.partitions());
        let whole = |number| folder.join(file(digest, position, number, partitions));
        let part = |number| whole(number).with_added_extension(PART);
        let copied = view.copy_to(part);
        let renamed = copied.and_then(|()| {
            (0..partitions).try_for_each(|number| {
                fs::rename(part(number), whole(number)).map_err(origin(&whole(number)).io("name the file"))
            })
        });
        if renamed.is_err() {
            for number in 0..partitions {
                // Nothing can be done about what cannot be deleted either.
                let _ = fs::remove_file(part(number));
            }
        }
        renamed
    }

    /// The states of a version that are kept, the earliest first.
    pub fn kept(&self, name: &str, digest: &str) -> Result<Vec<KeptState>, StateError> {
        let mut sets = BTreeMap::<Position, (usize, usize, u64)>::new();
        for (path, named) in self.named(name)? {
            if named.digest != digest {
                continue;
            }
            let bytes = fs::metadata(&path).map_or(0, |file| file.len());
            let set = sets.entry(named.position).or_insert((0, named.partitions, 0));
            *set = (set.0 + 1, named.partitions, set.2 + bytes);
        }
        let whole = sets.into_iter().filter(|(_, (files, partitions, _))| files == partitions);
        Ok(whole.map(|(position, (.., bytes))| KeptState { position, bytes }).collect())
    }

    /// Gives up a state that is kept.
    pub fn give_up(&self, name: &str, digest: &str, position: Position) -> Result<(), StateError> {
        for (path, named) in self.named(name)? {
            if named.digest == digest && named.position == position {
                gone(fs::remove_file(&path)).map_err(origin(&path).io("delete a kept state"))?;
            }
        }
        Ok(())
    }

    /// Opens a copy of a version's state in another folder: of the one that is kept at a position,
    /// or of its own as it is now. Nobody may write to that meanwhile.
    pub fn open_copy(
        &self,
        from: (&Self, Option<Position>),
        name: &str,
        digest: &str,
        tables: &[String],
        partitions: usize,
        cache_bytes: usize,
    ) -> Result<VersionState, StateError> {
        let (other, position) = from;
        let folder = self.of_name(name)?;
        fs::create_dir_all(&folder).map_err(origin(&folder).io("make the folder"))?;
        for number in 0..partitions {
            let own = Self::file(digest, number + 1, partitions);
            let kept = position.map(|position| file(digest, position, number, partitions));
            let from = other.of_name(name)?.join(kept.as_ref().unwrap_or(&own));
            fs::copy(&from, folder.join(own)).map_err(origin(&from).io("copy a state"))?;
        }
        self.open(name, digest, tables, partitions, cache_bytes)
    }

    pub(super) fn named(&self, name: &str) -> Result<Vec<(PathBuf, Named)>, StateError> {
        let folder = self.of_name(name)?;
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(origin(&folder).io("list the folder"))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(origin(&folder).io("list the folder"))?;
            found.extend(entry.file_name().to_str().and_then(named).map(|named| (entry.path(), named)));
        }
        Ok(found)
    }
}

/// `number` from 0.
fn file(digest: &str, position: Position, number: usize, partitions: usize) -> String {
    format!("{digest}.at-{position}.{}-of-{partitions}.redb", number + 1)
}

/// What the name of a file says, if it is one of these.
pub(super) fn named(name: &str) -> Option<Named> {
    let (digest, rest) = name.strip_suffix(".redb")?.split_once(".at-")?;
    let (position, rest) = rest.split_once('.')?;
    let (number, partitions) = rest.split_once("-of-")?;
    let (position, number, partitions) =
        (position.parse().ok()?, number.parse::<usize>().ok()?, partitions.parse().ok()?);
    let is_it = (1..=partitions).contains(&number) && file(digest, position, number - 1, partitions) == name;
    is_it.then(|| Named { digest: digest.to_owned(), position, partitions })
}
