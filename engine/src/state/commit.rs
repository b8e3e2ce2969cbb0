//! How changes get into the file: with checkpoint and digest, in one transaction.

use std::sync::{Arc, PoisonError};

use redb::Table;

use super::{
    PartitionState, TableIndex,
    dead_letter::{DEAD_LETTERS, DeadLetter},
    digest::{Digest, EntryHasher},
    error::{Origin, StateError},
    meta::{self, Checkpoint, META},
    partition::TableName,
};
use crate::event::Position;

/// One change of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// The table's number.
    pub table: u32,
    /// The key, encoded.
    pub key: &'a [u8],
    /// The new value; none: the entry is removed.
    pub value: Option<&'a [u8]>,
}

impl<'a> From<(TableIndex, &'a [u8], Option<&'a [u8]>)> for Change<'a> {
    fn from((table, key, value): (TableIndex, &'a [u8], Option<&'a [u8]>)) -> Self {
        Self { table, key, value }
    }
}

/// What survives a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// This commit and all before it: it ends with an fsync.
    Durable,
    /// Whatever a later durable commit takes along.
    Eventual,
}

impl PartitionState {
    /// Applies the changes, moves the checkpoint to `position` and keeps the
    /// dead letter, all in one transaction or, with an error, nothing of it.
    ///
    /// `events` is how many events were folded since the commit before. Changes
    /// are fastest sorted by table and key; if a key is changed twice, the last
    /// one counts. `position` may be where the checkpoint is already, not before.
    pub fn commit<'a>(
        &self,
        changes: impl IntoIterator<Item = Change<'a>>,
        position: Position,
        events: u64,
        dead: Option<&DeadLetter>,
        durability: Durability,
    ) -> Result<Checkpoint, StateError> {
        self.commit_with(changes, position, events, durability, |write, origin| {
            let Some(letter) = dead else { return Ok(()) };
            let action = "write a dead letter";
            let mut table = write.open_table(DEAD_LETTERS).map_err(origin.failed(action))?;
            table.insert(letter.position, letter.to_bytes().as_slice()).map_err(origin.failed(action))?;
            Ok(())
        })
    }

    /// The same with something of the caller's besides.
    pub(super) fn commit_with<'a>(
        &self,
        changes: impl IntoIterator<Item = Change<'a>>,
        position: Position,
        events: u64,
        durability: Durability,
        besides: impl FnOnce(&redb::WriteTransaction, &Origin) -> Result<(), StateError>,
    ) -> Result<Checkpoint, StateError> {
        let inner = self.inner();
        let origin = &inner.origin;
        let mut pending = inner.committing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.checkpoint();
        if position < before.position {
            let (at, asked) = (before.position, position);
            return Err(StateError::Backwards { path: origin.path(), at, asked });
        }

        let mut write = inner.database.begin_write().map_err(origin.failed("begin a commit"))?;
        let redb_durability = match durability {
            Durability::Durable => redb::Durability::Immediate,
            Durability::Eventual => redb::Durability::None,
        };
        write.set_durability(redb_durability).map_err(origin.failed("begin a commit"))?;

        let mut tables: Vec<Option<OpenTable<'_>>> = Vec::new();
        tables.resize_with(inner.tables.len(), || None);
        let mut digest = before.digest.0;
        for change in changes {
            let Some(slot) = tables.get_mut(change.table as usize) else {
                return Err(StateError::NoTable { index: change.table, count: inner.tables.len() });
            };
            let table = match slot {
                Some(table) => table,
                None => slot.insert(OpenTable::open(&write, &inner.tables[change.table as usize], origin)?),
            };
            digest = digest.wrapping_add(table.apply(&change).map_err(origin.failed("write a change"))?);
        }
        drop(tables);

        let checkpoint =
            Checkpoint { position, digest: Digest(digest), events: before.events.saturating_add(events) };
        {
            let mut meta = write.open_table(META).map_err(origin.failed("write the checkpoint"))?;
            meta::write_checkpoint(&mut meta, &checkpoint, origin)?;
        }
        besides(&write, origin)?;
        write.commit().map_err(origin.failed("commit"))?;

        inner.checkpoint.store(Arc::new(checkpoint));
        *pending = durability == Durability::Eventual;
        Ok(checkpoint)
    }
}

/// A table within the transaction of a commit.
struct OpenTable<'txn> {
    table: Table<'txn, &'static [u8], &'static [u8]>,
    hasher: EntryHasher,
}

impl<'txn> OpenTable<'txn> {
    fn open(
        write: &'txn redb::WriteTransaction,
        name: &TableName,
        origin: &Origin,
    ) -> Result<Self, StateError> {
        let table = write.open_table(name.definition()).map_err(origin.failed("open a table"))?;
        Ok(Self { table, hasher: EntryHasher::new(&name.name) })
    }

    /// Applies a change and answers by how much it changes the digest.
    fn apply(&mut self, change: &Change<'_>) -> Result<u128, redb::StorageError> {
        let Self { table, hasher } = self;
        let old = match change.value {
            Some(value) => table.insert(change.key, value)?,
            None => table.remove(change.key)?,
        };
        let old = old.as_ref().map(|old| old.value());
        if old == change.value {
            return Ok(0);
        }
        let removed = old.map_or(0, |old| hasher.hash(change.key, old));
        let added = change.value.map_or(0, |new| hasher.hash(change.key, new));
        Ok(added.wrapping_sub(removed))
    }
}
