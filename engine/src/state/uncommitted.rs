//! A partition's state with what has not been committed yet.

use std::sync::Arc;

use super::{
    Entry, KeyRange, StateError, TableIndex,
    known::Known,
    memtable::{self, Gathered},
    snapshot::Snapshot,
};

/// A partition's state as its instance has folded it: what is committed, and what
/// has been flushed since. The instance reads it, and nobody else.
pub(crate) struct Uncommitted {
    committed: Arc<Snapshot>,
    known: Arc<Known>,
    flushed: Gathered,
}

impl Uncommitted {
    /// `flushed` since that was committed, whose keys are `known`.
    pub(crate) fn new(committed: Arc<Snapshot>, known: Arc<Known>, flushed: Gathered) -> Self {
        Self { committed, known, flushed }
    }

    /// The value under a key.
    pub(crate) fn get(&self, table: TableIndex, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let hash = memtable::hash(table, key);
        if let Some(value) = self.flushed.lock().get(table, key, hash) {
            return Ok(value.map(<[u8]>::to_vec));
        }
        match self.known.may_have(hash) {
            true => self.committed.get(table, key),
            false => Ok(None),
        }
    }

    /// The entries of a range.
    pub(crate) fn scan(&self, table: TableIndex, range: &KeyRange) -> Result<Vec<Entry>, StateError> {
        let mut committed = self.committed.entries(table, range)?;
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
            (false, true) => Ok(self.committed.len(table)? == 0),
            // What is committed may have been removed.
            (false, false) => Ok(self.scan(table, &KeyRange { limit: 1, ..KeyRange::default() })?.is_empty()),
        }
    }
}
