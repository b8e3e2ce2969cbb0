//! Where code and state of versions lie on disk.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;

use crate::{
    event::Position,
    plugin::{Plugin, description::Kind},
    state::{KeptState, StateError, StateFolder, VersionState, View, catalog::VersionRecord, is_digest},
};

/// `components/<digest>.wasm`, `rooms/`; for state see [`StateFolder`].
pub(super) struct Store {
    components: PathBuf,
    state: StateFolder,
    /// State that is deleted when it has been looked at.
    rooms: PathBuf,
    state_cache_bytes: usize,
}

impl Store {
    pub(super) fn new(data: &Path, state_cache_bytes: usize) -> Self {
        let rooms = data.join("rooms");
        // A process that was killed may have left some.
        match fs::remove_dir_all(&rooms) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(folder = %rooms.display(), %error, "what an earlier run left was not deleted");
            }
            _ => {}
        }
        Self {
            components: data.join("components"),
            state: StateFolder::new(data.join("state")),
            rooms,
            state_cache_bytes,
        }
    }

    /// Keeps a component, so that its version outlives the file it came from.
    /// Answers its digest.
    pub(super) fn keep_component(&self, wasm: &[u8]) -> io::Result<String> {
        let digest = blake3::hash(wasm).to_hex().to_string();
        let path = self.component_path(&digest);
        if fs::read(&path).is_ok_and(|kept| kept == wasm) {
            return Ok(digest);
        }
        fs::create_dir_all(&self.components)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.components)?;
        io::Write::write_all(&mut file, wasm)?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(digest)
    }

    pub(super) fn component(&self, digest: &str) -> io::Result<Vec<u8>> {
        fs::read(self.component_path(digest))
    }

    /// Deletes a component that no version uses any more.
    pub(super) fn drop_component(&self, digest: &str) {
        if let Err(error) = fs::remove_file(self.component_path(digest)) {
            tracing::debug!(digest, %error, "a component was not deleted");
        }
    }

    fn component_path(&self, digest: &str) -> PathBuf {
        self.components.join(format!("{digest}.wasm"))
    }

    pub(super) fn open_state(&self, digest: &str, plugin: &Plugin) -> Result<VersionState, StateError> {
        if plugin.kind() == Kind::Reaction {
            return self.state.open_reaction(plugin.name(), plugin.tables(), self.state_cache_bytes);
        }
        let partitions = plugin.partitions();
        self.state.open(plugin.name(), digest, plugin.tables(), partitions, self.state_cache_bytes)
    }

    /// A state for a version that is folded apart up to a position, and the folder that it is
    /// deleted with: a copy of its own state while that rests, of its nearest snapshot, or else an
    /// empty one.
    pub(super) fn open_room(
        &self,
        digest: &str,
        plugin: &Plugin,
        to: Position,
        rests: impl Fn() -> bool,
    ) -> Result<(TempDir, VersionState), StateError> {
        let room = self.room()?;
        let folder = StateFolder::new(room.path());
        let (name, tables, partitions) = (plugin.name(), plugin.tables(), plugin.partitions());
        let cache = self.state_cache_bytes;
        if rests() {
            let copied = folder.open_copy((&self.state, None), name, digest, tables, partitions, cache);
            match copied {
                Ok(state) if rests() && state.reach().end <= to => return Ok((room, state)),
                // It was at work meanwhile, or is further; what it holds can be folded again.
                _ => folder.purge(name, digest)?,
            }
        }
        let kept = self.snapshots(name, digest);
        for snapshot in kept.iter().rev().filter(|snapshot| snapshot.position <= to) {
            let from = (&self.state, Some(snapshot.position));
            match folder.open_copy(from, name, digest, tables, partitions, cache) {
                Ok(state) => return Ok((room, state)),
                // It may have been given up meanwhile; what it holds can be folded again.
                Err(error) => {
                    let position = snapshot.position;
                    tracing::debug!(plugin = name, position, %error, "a snapshot is not used");
                    folder.purge(name, digest)?;
                }
            }
        }
        let state = folder.open(name, digest, tables, partitions, cache)?;
        Ok((room, state))
    }

    /// A new folder for state that is deleted with it.
    pub(super) fn room(&self) -> Result<TempDir, StateError> {
        let room = fs::create_dir_all(&self.rooms).and_then(|()| TempDir::new_in(&self.rooms));
        room.map_err(|error| StateError::Storage {
            path: self.rooms.display().to_string(),
            action: "make a folder in it",
            source: Arc::new(error),
        })
    }

    /// The state that lies in such a folder, or an empty one.
    pub(super) fn open_in(
        &self,
        room: &TempDir,
        digest: &str,
        plugin: &Plugin,
    ) -> Result<VersionState, StateError> {
        let (folder, cache) = (StateFolder::new(room.path()), self.state_cache_bytes);
        folder.open(plugin.name(), digest, plugin.tables(), plugin.partitions(), cache)
    }

    /// The snapshots of a version, the earliest first. None where they cannot be listed: they only
    /// spare work.
    pub(super) fn snapshots(&self, name: &str, digest: &str) -> Vec<KeptState> {
        self.state.kept(name, digest).unwrap_or_else(|error| {
            tracing::warn!(plugin = name, %error, "the snapshots cannot be listed");
            Vec::new()
        })
    }

    /// Keeps a version's state as it stands in a view.
    pub(super) fn take_snapshot(&self, name: &str, digest: &str, view: &View) -> Result<(), StateError> {
        self.state.keep(name, digest, view)
    }

    /// Gives up a snapshot.
    pub(super) fn drop_snapshot(&self, name: &str, digest: &str, at: Position) -> Result<(), StateError> {
        self.state.give_up(name, digest, at)
    }

    /// Deletes what a process that was killed has left of state and code: of snapshots what is not
    /// whole, and all of versions that are not on record, as when it had just forgotten them.
    pub(super) fn tidy(&self, versions: &[VersionRecord]) {
        let is_known = |name: &str, digest: &str| {
            versions.iter().any(|version| version.name == name && version.digest == digest)
        };
        if let Err(error) = self.state.tidy(is_known) {
            tracing::warn!(%error, "what an earlier run left of states was not deleted");
        }
        // One that cannot be listed has nothing that could be in the way.
        for entry in fs::read_dir(&self.components).into_iter().flatten().flatten() {
            let file = entry.file_name();
            let digest = file.to_str().and_then(|file| file.strip_suffix(".wasm"));
            let Some(digest) = digest.filter(|digest| is_digest(digest)) else { continue };
            if !versions.iter().any(|version| version.needs(digest)) {
                tracing::info!(
                    component = digest,
                    "a component is deleted, since it is of no version on record"
                );
                self.drop_component(digest);
            }
        }
    }

    /// The state in which a version of a reaction makes its tables anew.
    pub(super) fn open_rebuild(&self, digest: &str, plugin: &Plugin) -> Result<VersionState, StateError> {
        self.state.open(plugin.name(), digest, plugin.tables(), 1, self.state_cache_bytes)
    }

    /// The state that a reaction has left, which is not open.
    pub(super) fn left_by_reaction(&self, name: &str) -> Result<Option<VersionState>, StateError> {
        self.state.left_by_reaction(name, self.state_cache_bytes)
    }

    /// The version whose tables a reaction's file holds, if one has taken them over.
    pub(super) fn reaction_owner(&self, name: &str) -> Result<Option<String>, StateError> {
        self.state.reaction_owner(name, self.state_cache_bytes)
    }

    /// Deletes what a reaction has left, if the name is one.
    pub(super) fn purge_reaction(&self, name: &str) -> Result<(), StateError> {
        self.state.purge_reaction(name)
    }

    /// Deletes a version's state. What cannot be deleted is said, not fatal.
    pub(super) fn drop_state(&self, name: &str, digest: &str) {
        if let Err(error) = self.state.purge(name, digest) {
            tracing::warn!(plugin = name, version = digest, %error, "state was not deleted");
        }
    }
}
