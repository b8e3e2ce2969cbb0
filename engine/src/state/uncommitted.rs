//! A partition's state with what has not been committed yet.

use std::sync::Arc;

use super::{
    Entry, KeyRange, StateError, TableIndex, View,
    known::Known,
    memtable::{self, Gathered},
    snapshot::{Bytes, Snapshot},
};

/// A state as an instance has folded it: what is committed, of a partition or of a
/// whole version, and what has been flushed since. The instance reads it, and nobody else.
pub(crate) struct Uncommitted<C = Snapshot> {
    committed: Arc<C>,
    known: Arc<Known>,
    flushed: Gathered,
}

/// What is committed.
pub(crate) trait Committed {
    fn value(&self, table: TableIndex, key: &[u8]) -> Result<Option<Vec<u8>>, StateError>;
    /// The entries of a range, one by one; its limit is the caller's to keep.
    fn rows(
        &self,
        table: TableIndex,
        range: &KeyRange,
    ) -> Result<impl Iterator<Item = Result<(Bytes, Bytes), StateError>>, StateError>;
    fn count(&self, table: TableIndex) -> Result<u64, StateError>;
}

impl Committed for Snapshot {
    fn value(&self, table: TableIndex, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.get(table, key)
    }

    fn rows(
        &self,
        table: TableIndex,
        range: &KeyRange,
    ) -> Result<impl Iterator<Item = Result<(Bytes, Bytes), StateError>>, StateError> {
        self.entries(table, range)
    }

    fn count(&self, table: TableIndex) -> Result<u64, StateError> {
        self.len(table)
    }
}

impl Committed for View {
    fn value(&self, table: TableIndex, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.get(table, key)
    }

    fn rows(
        &self,
        table: TableIndex,
        range: &KeyRange,
    ) -> Result<impl Iterator<Item = Result<(Bytes, Bytes), StateError>>, StateError> {
        let mut merged = self.merged(table, range)?;
        Ok(std::iter::from_fn(move || merged.next().transpose()))
    }

    fn count(&self, table: TableIndex) -> Result<u64, StateError> {
        self.len(table)
    }
}

impl<C: Committed> Uncommitted<C> {
    /// `flushed` since that was committed, whose keys are `known`.
    pub(crate) fn new(committed: Arc<C>, known: Arc<Known>, flushed: Gathered) -> Self {
        Self { committed, known, flushed }
    }

    /// The value under a key.
    pub(crate) fn get(&self, table: TableIndex, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let hash = memtable::hash(table, key);
        if let Some(value) = self.flushed.lock().get(table, key, hash) {
            return Ok(value.map(<[u8]>::to_vec));
        }
        match self.known.may_have(hash) {
            true => self.committed.value(table, key),
            false => Ok(None),
        }
    }

    /// The entries of a range.
    pub(crate) fn scan(&self, table: TableIndex, range: &KeyRange) -> Result<Vec<Entry>, StateError> {
        let mut committed = self.committed.rows(table, range)?;
        let mut flushed = self.flushed.lock();
        let mut flushed = flushed.range(table, range).peekable();
        let is_before = |one: &[u8], other: &[u8]| if range.reverse { one > other } else { one < other };
        let mut entries = Vec::new();
        let mut next = committed.next().transpose()?;
        while entries.len() < range.limit {
            let change = flushed
                .next_if(|change| next.as_ref().is_none_or(|(key, _)| !is_before(key.value(), change.key)));
            match (change, &next) {
                (Some(change), _) => {
                    if next.as_ref().is_some_and(|(key, _)| key.value() == change.key) {
                        next = committed.next().transpose()?;
                    }
                    entries.extend(change.value.map(|value| (change.key.to_vec(), value.to_vec())));
                }
                (None, Some((key, value))) => {
                    entries.push((key.value().to_vec(), value.value().to_vec()));
                    next = committed.next().transpose()?;
                }
                (None, None) => break,
            }
        }
        Ok(entries)
    }

    /// Whether a table has no entries.
    pub(crate) fn is_empty(&self, table: TableIndex) -> Result<bool, StateError> {
        let (has_values, is_unchanged) = {
            let flushed = self.flushed.lock();
            (flushed.has_values(table), flushed.is_unchanged(table))
        };
        match (has_values, is_unchanged) {
            (true, _) => Ok(false),
            (false, true) => Ok(self.committed.count(table)? == 0),
            // What is committed may have been removed.
            (false, false) => Ok(self.scan(table, &KeyRange { limit: 1, ..KeyRange::default() })?.is_empty()),
        }
    }
}
