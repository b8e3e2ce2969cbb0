//! A version's state as it stood at one checkpoint.

use std::{
    ops::{Bound, ControlFlow},
    sync::{Arc, OnceLock},
};

use redb::{ReadOnlyTable, ReadTransaction, ReadableTableMetadata};

use super::{
    digest::{Digest, EntryHasher},
    error::{Origin, StateError},
    meta::{self, Checkpoint, META},
    version::TableName,
};

type OpenTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// A key and its value, both encoded.
pub type Entry = (Vec<u8>, Vec<u8>);

/// A version's state as it stood at one checkpoint: all tables and the
/// checkpoint from one transaction, whatever is committed meanwhile.
///
/// Threads can share it. Tables are opened on first use and stay open.
pub struct Snapshot {
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
    pub fn checkpoint(&self) -> Checkpoint {
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
    pub fn get(&self, table: u32, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let value = self.table(table)?.get(key).map_err(self.origin.failed("read a value"))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    /// The entries of a range.
    pub fn scan(&self, table: u32, range: &KeyRange) -> Result<Vec<Entry>, StateError> {
        let mut entries = Vec::new();
        self.visit(table, range, |key, value| {
            entries.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })?;
        Ok(entries)
    }

    /// Shows the entries of a range one by one, without copying them, until
    /// `visitor` breaks off.
    pub fn visit(
        &self,
        table: u32,
        range: &KeyRange,
        mut visitor: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        let table = self.table(table)?;
        let (start, end) = (range.start.as_deref(), range.end.as_deref());
        // redb, like the standard library, takes such a range for a mistake.
        if range.limit == 0 || matches!((start, end), (Some(start), Some(end)) if start >= end) {
            return Ok(());
        }
        let bounds =
            (start.map_or(Bound::Unbounded, Bound::Included), end.map_or(Bound::Unbounded, Bound::Excluded));
        let mut entries = table.range::<&[u8]>(bounds).map_err(self.origin.failed("read a range of keys"))?;
        for _ in 0..range.limit {
            let next = if range.reverse { entries.next_back() } else { entries.next() };
            let Some(entry) = next else { break };
            let (key, value) = entry.map_err(self.origin.failed("read a range of keys"))?;
            if visitor(key.value(), value.value()).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Whether a table has no entries.
    pub fn is_empty(&self, table: u32) -> Result<bool, StateError> {
        Ok(self.len(table)? == 0)
    }

    /// How many entries a table has; known without counting them.
    pub fn len(&self, table: u32) -> Result<u64, StateError> {
        self.table(table)?.len().map_err(self.origin.failed("count entries"))
    }

    /// The digest, worked out by reading every entry: what
    /// [`Checkpoint::digest`] must equal. For tests and `verify`.
    pub fn digest_from_scratch(&self) -> Result<Digest, StateError> {
        let mut sum = 0_u128;
        for (index, name) in (0..).zip(self.tables.iter()) {
            let mut hasher = EntryHasher::new(&name.name);
            self.visit(index, &KeyRange::default(), |key, value| {
                sum = sum.wrapping_add(hasher.hash(key, value));
                ControlFlow::Continue(())
            })?;
        }
        Ok(Digest(sum))
    }
}
