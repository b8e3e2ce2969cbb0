//! A partition's state as it stood at one checkpoint.

use std::{
    ops::Bound,
    path::Path,
    sync::{Arc, OnceLock},
};

use redb::{AccessGuard, ReadOnlyTable, ReadTransaction, ReadableTable as _, ReadableTableMetadata};

use super::{
    dead_letter::DEAD_LETTERS,
    digest::{Digest, EntryHasher},
    error::{Origin, StateError},
    meta::{self, Checkpoint, META},
    partition::{TableName, open_database},
};
use crate::event::Position;

/// How much memory a copy may take.
const COPY_CACHE_BYTES: usize = 32 << 20;

type OpenTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// A partition's state as it stood at one checkpoint: all tables and the
/// checkpoint from one transaction, whatever is committed meanwhile.
///
/// Threads can share it. Tables are opened on first use and stay open.
pub(crate) struct Snapshot {
    read: ReadTransaction,
    open: Box<[OnceLock<OpenTable>]>,
    tables: Arc<[TableName]>,
    checkpoint: Checkpoint,
    origin: Origin,
}

/// Which entries to read, and in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key that may be read.
    pub start: Option<Vec<u8>>,
    /// The first key that may not be read any more.
    pub end: Option<Vec<u8>>,
    /// The last key first.
    pub reverse: bool,
    /// At most so many.
    pub limit: usize,
}

impl Default for KeyRange {
    /// Everything, in the order of the keys.
    fn default() -> Self {
        Self { start: None, end: None, reverse: false, limit: usize::MAX }
    }
}

impl Snapshot {
    pub(super) fn new(
        read: ReadTransaction,
        tables: Arc<[TableName]>,
        origin: Origin,
    ) -> Result<Self, StateError> {
        let meta = read.open_table(META).map_err(origin.failed("read the checkpoint"))?;
        let checkpoint = meta::read_checkpoint(&meta, &origin)?;
        let open = tables.iter().map(|_| OnceLock::new()).collect();
        Ok(Self { read, open, tables, checkpoint, origin })
    }

    /// Where this state stands.
    pub(super) fn checkpoint(&self) -> Checkpoint {
        self.checkpoint
    }

    fn table(&self, index: u32) -> Result<&OpenTable, StateError> {
        let count = self.tables.len();
        let slot = self.open.get(index as usize).ok_or(StateError::NoTable { index, count })?;
        if let Some(table) = slot.get() {
            return Ok(table);
        }
        let definition = self.tables[index as usize].definition();
        let table = self.read.open_table(definition).map_err(self.origin.failed("open a table"))?;
        Ok(slot.get_or_init(|| table))
    }

    /// The value under a key.
    pub(super) fn get(&self, table: u32, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let value = self.table(table)?.get(key).map_err(self.origin.failed("read a value"))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    /// The entries of a range, one by one and not copied; `limit` is the
    /// caller's to keep.
    pub(super) fn entries(&self, table: u32, range: &KeyRange) -> Result<Entries<'_>, StateError> {
        let table = self.table(table)?;
        let (start, end) = (range.start.as_deref(), range.end.as_deref());
        // redb, like the standard library, takes such a range for a mistake.
        let entries = match matches!((start, end), (Some(start), Some(end)) if start >= end) {
            true => None,
            false => {
                let start = start.map_or(Bound::Unbounded, Bound::Included);
                let end = end.map_or(Bound::Unbounded, Bound::Excluded);
                let found = table.range::<&[u8]>((start, end));
                Some(found.map_err(self.origin.failed("read a range of keys"))?)
            }
        };
        Ok(Entries { entries, reverse: range.reverse, origin: &self.origin })
    }

    /// How many entries a table has; known without counting them.
    pub(super) fn len(&self, table: u32) -> Result<u64, StateError> {
        self.table(table)?.len().map_err(self.origin.failed("count entries"))
    }

    /// The digest, worked out by reading every entry.
    pub(super) fn digest_from_scratch(&self) -> Result<Digest, StateError> {
        let mut sum = 0_u128;
        for (index, name) in (0..).zip(self.tables.iter()) {
            let mut hasher = EntryHasher::new(&name.name);
            for entry in self.entries(index, &KeyRange::default())? {
                let (key, value) = entry?;
                sum = sum.wrapping_add(hasher.hash(key.value(), value.value()));
            }
        }
        Ok(Digest(sum))
    }

    /// Writes it into a new file, as a partition that stands at `position`, where it holds as well.
    /// Durable when it answers.
    pub(super) fn copy_to(&self, path: &Path, position: Position) -> Result<(), StateError> {
        let origin = Origin::new(&path.display().to_string());
        let names: Vec<String> = self.tables.iter().map(|table| table.name.clone()).collect();
        let database = open_database(&origin, |builder| builder.create(path), COPY_CACHE_BYTES)?;
        let write = database.begin_write().map_err(origin.failed("begin a copy"))?;
        {
            let action = "copy an entry";
            let mut meta = write.open_table(META).map_err(origin.failed(action))?;
            meta::initialise(&mut meta, &names, &origin)?;
            meta::write_checkpoint(&mut meta, &Checkpoint { position, ..self.checkpoint }, &origin)?;
            for (index, table) in (0..).zip(self.tables.iter()) {
                let mut to = write.open_table(table.definition()).map_err(origin.failed(action))?;
                for entry in self.entries(index, &KeyRange::default())? {
                    let (key, value) = entry?;
                    to.insert(key.value(), value.value()).map_err(origin.failed(action))?;
                }
            }
            let letters =
                self.read.open_table(DEAD_LETTERS).map_err(self.origin.failed("read dead letters"))?;
            let mut to = write.open_table(DEAD_LETTERS).map_err(origin.failed(action))?;
            for entry in letters.iter().map_err(self.origin.failed("read dead letters"))? {
                let (position, letter) = entry.map_err(self.origin.failed("read dead letters"))?;
                to.insert(position.value(), letter.value()).map_err(origin.failed(action))?;
            }
        }
        write.commit().map_err(origin.failed("commit a copy"))
    }

    /// What the plug-in calls a table.
    pub(super) fn table_name(&self, table: u32) -> &str {
        self.tables.get(table as usize).map_or("", |table| &table.name)
    }
}

/// The entries of a range of keys, in the order asked for.
pub(super) struct Entries<'a> {
    /// None: the range can hold nothing.
    entries: Option<redb::Range<'static, &'static [u8], &'static [u8]>>,
    reverse: bool,
    origin: &'a Origin,
}

/// A key or a value where it lies in the file.
pub(crate) type Bytes = AccessGuard<'static, &'static [u8]>;

impl Iterator for Entries<'_> {
    type Item = Result<(Bytes, Bytes), StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entries = self.entries.as_mut()?;
        let entry = if self.reverse { entries.next_back() } else { entries.next() };
        entry.map(|entry| entry.map_err(self.origin.failed("read a range of keys")))
    }
}
