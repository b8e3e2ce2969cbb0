//! A version's state as it stood at one position: its partitions, read as one.

use std::{cmp::Ordering, ops::ControlFlow, path::PathBuf, sync::Arc};

use super::{
    digest::Digest,
    error::StateError,
    key,
    meta::Checkpoint,
    places::Places,
    snapshot::{Bytes, Entries, KeyRange, Snapshot},
};
use crate::event::Position;

/// A key and its value, both encoded.
pub type Entry = (Vec<u8>, Vec<u8>);

/// A version's state as it stood at one position, whatever is committed
/// meanwhile: its partitions' tables, read as one. Threads can share it.
///
/// No key is in two partitions. Where a plug-in breaks that, reads that come
/// upon such a key in both fail with [`StateError::TwoPartitions`].
pub struct View {
    snapshots: Box<[Arc<Snapshot>]>,
    places: Arc<Places>,
    position: Position,
}

impl View {
    /// The partitions as they stood at `position`: theirs may be earlier, if
    /// nothing for them came since. `places`: where keys were found before.
    pub(super) fn new(
        snapshots: impl IntoIterator<Item = Arc<Snapshot>>,
        places: Arc<Places>,
        position: Position,
    ) -> Self {
        Self { snapshots: snapshots.into_iter().collect(), places, position }
    }

    /// Where this state stands: the digest and the number of events are the
    /// sums of the partitions'.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint::sum(self.snapshots.iter().map(|snapshot| snapshot.checkpoint()), self.position)
    }

    /// The position of this state, for those who need no more of the checkpoint.
    pub fn position(&self) -> Position {
        self.position
    }

    /// How many partitions it has.
    pub(super) fn partitions(&self) -> usize {
        self.snapshots.len()
    }

    /// The value under a key.
    pub fn get(&self, table: u32, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        if let [snapshot] = &*self.snapshots {
            return snapshot.get(table, key);
        }
        let hash = Places::hash(table, key);
        if let Some(snapshot) = self.places.get(hash).and_then(|place| self.snapshots.get(place))
            && let Some(value) = snapshot.get(table, key)?
        {
            return Ok(Some(value));
        }
        let mut found = None;
        for (partition, snapshot) in self.snapshots.iter().enumerate() {
            if let Some(value) = snapshot.get(table, key)?
                && found.replace((partition, value)).is_some()
            {
                return Err(self.in_two_partitions(table, key));
            }
        }
        Ok(found.map(|(partition, value)| {
            self.places.set(hash, partition);
            value
        }))
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
        let mut merged = self.merged(table, range)?;
        for _ in 0..range.limit {
            let Some((key, value)) = merged.next()? else { break };
            if visitor(key.value(), value.value()).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The entries of a range, in order; `limit` is the caller's to keep.
    pub(super) fn merged(&self, table: u32, range: &KeyRange) -> Result<Merged<'_>, StateError> {
        let mut sources = Vec::with_capacity(self.snapshots.len());
        for snapshot in &self.snapshots {
            let mut rest = snapshot.entries(table, range)?;
            sources.push((rest.next().transpose()?, rest));
        }
        Ok(Merged { view: self, table, reverse: range.reverse, sources })
    }

    /// Writes each partition into a file of its own, by its number from 0: what
    /// [`PartitionState::open`](super::PartitionState::open) makes of them is this state.
    pub(super) fn copy_to(&self, file: impl Fn(usize) -> PathBuf) -> Result<(), StateError> {
        let mut snapshots = self.snapshots.iter().enumerate();
        snapshots.try_for_each(|(number, snapshot)| snapshot.copy_to(&file(number), self.position))
    }

    /// Whether a table has no entries.
    pub fn is_empty(&self, table: u32) -> Result<bool, StateError> {
        Ok(self.len(table)? == 0)
    }

    /// How many entries a table has; known without counting them.
    pub fn len(&self, table: u32) -> Result<u64, StateError> {
        self.snapshots.iter().map(|snapshot| snapshot.len(table)).sum()
    }

    /// The digest, worked out by reading every entry: what
    /// [`Checkpoint::digest`] must equal. For tests and `verify`.
    pub fn digest_from_scratch(&self) -> Result<Digest, StateError> {
        let mut sum = 0_u128;
        for snapshot in &self.snapshots {
            sum = sum.wrapping_add(snapshot.digest_from_scratch()?.0);
        }
        Ok(Digest(sum))
    }

    fn in_two_partitions(&self, table: u32, key: &[u8]) -> StateError {
        let name = self.snapshots.first().map_or("", |snapshot| snapshot.table_name(table));
        let key = key::shown(key).map_or_else(|_| format!("0x{}", key::hex(key)), |key| key.to_string());
        StateError::TwoPartitions { table: name.to_owned(), key }
    }
}

/// The entries of all partitions in the order of their keys.
pub(super) struct Merged<'a> {
    view: &'a View,
    table: u32,
    reverse: bool,
    /// Of each partition: its next entry, and those behind it.
    sources: Vec<(Option<(Bytes, Bytes)>, Entries<'a>)>,
}

impl Merged<'_> {
    /// There are few partitions, so looking at all of them is fast enough.
    pub(super) fn next(&mut self) -> Result<Option<(Bytes, Bytes)>, StateError> {
        let mut first = None::<usize>;
        for (number, (entry, _)) in self.sources.iter().enumerate() {
            let Some((key, _)) = entry else { continue };
            let best = first.and_then(|first| self.sources[first].0.as_ref());
            let order = best.map_or(Ordering::Less, |(best, _)| match self.reverse {
                false => key.value().cmp(best.value()),
                true => best.value().cmp(key.value()),
            });
            match order {
                Ordering::Less => first = Some(number),
                Ordering::Equal => return Err(self.view.in_two_partitions(self.table, key.value())),
                Ordering::Greater => {}
            }
        }
        let Some((entry, rest)) = first.map(|first| &mut self.sources[first]) else { return Ok(None) };
        let following = rest.next().transpose()?;
        Ok(std::mem::replace(entry, following))
    }
}
