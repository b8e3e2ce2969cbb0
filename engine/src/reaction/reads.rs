//! What an instance reads while it handles an event: the state as it stood when the
//! event began, and a note of all that is read of it.

use std::{
    ops::Bound,
    sync::{Arc, OnceLock},
};

use super::isolation::{Claim, Isolation, Read, Reads, noted};
use crate::{
    event::Position,
    plugin::{Changes, Row, StateReader},
    state::{Change, Gathered, Known, Uncommitted, View},
};

/// The state of a reaction, and what is read of it.
pub(super) struct Tracked {
    state: Uncommitted<View>,
    /// What the event has changed so far, where it has been split and a part of it is handled.
    written: Gathered,
    position: Position,
    since: u64,
    reads: Reads,
    /// Those that are handled at the same time; none if nobody is.
    others: Option<Arc<Isolation>>,
    /// Why the state could not be read, if it could not.
    failed: OnceLock<String>,
}

impl Tracked {
    /// For the event at a position, beside others; `since`: when the view was taken.
    pub(super) fn beside(others: &Arc<Isolation>, view: Arc<View>, position: Position, since: u64) -> Self {
        let (reads, others) = (others.reads(position), Some(Arc::clone(others)));
        Self { since, reads, others, ..Self::alone(view, position) }
    }

    /// For an event that is handled alone.
    pub(super) fn alone(view: Arc<View>, position: Position) -> Self {
        let written = Gathered::default();
        let state = Uncommitted::new(view, Arc::new(Known::of(false)), written.clone());
        let (reads, failed) = (Reads::default(), OnceLock::new());
        Self { state, written, position, since: 0, reads, others: None, failed }
    }

    /// A part of the event has changed this; what comes next reads it.
    pub(super) fn write(&self, changes: &Changes) {
        self.written.lock().add(changes.iter().map(Change::from));
    }

    /// Whether the event may call now.
    pub(super) fn claim(&self) -> Claim {
        let claim = |others: &Arc<Isolation>| others.claim(self.position, self.since, &self.reads);
        self.others.as_ref().map_or(Claim::Granted, claim)
    }

    /// Why the state could not be read, if it could not. That is nobody's fault but
    /// the host's, whatever the guest made of it.
    pub(super) fn failed(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    /// What has been read.
    pub(super) fn reads(&self) -> Reads {
        Arc::clone(&self.reads)
    }

    fn read<T>(&self, read: Result<T, String>) -> Result<T, String> {
        read.inspect_err(|reason| drop(self.failed.set(reason.clone())))
    }

    fn note(&self, read: Read) {
        noted(&self.reads).push(read);
    }
}

impl StateReader for Tracked {
    fn get(&self, table: u32, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.note(Read::row(table, key));
        self.read(StateReader::get(&self.state, table, key))
    }

    fn scan(
        &self,
        table: u32,
        start: Option<&[u8]>,
        end: Option<&[u8]>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Row>, String> {
        let rows = self.read(StateReader::scan(&self.state, table, start, end, reverse, limit))?;
        let mut start = start.map_or(Bound::Unbounded, |start| Bound::Included(start.to_vec()));
        let mut end = end.map_or(Bound::Unbounded, |end| Bound::Excluded(end.to_vec()));
        // Behind the last row of those asked for, it has seen nothing.
        if let Some((last, _)) = rows.last().filter(|_| rows.len() == limit) {
            *(if reverse { &mut start } else { &mut end }) = Bound::Included(last.clone());
        }
        self.note(Read::Rows { table, start, end });
        Ok(rows)
    }

    fn is_empty(&self, table: u32) -> Result<bool, String> {
        let was = self.read(StateReader::is_empty(&self.state, table))?;
        self.note(Read::Empty { table, was });
        Ok(was)
    }
}
