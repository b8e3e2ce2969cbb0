//! What an instance reads while it handles an event. Several do at the same time,
//! each from the state as it stood when it began. If what one has read has been
//! changed by another since, it begins again: as if they had run one after the
//! other.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use crate::{
    plugin::{Changes, Row, StateReader},
    state::View,
};

/// A table and a key.
type Place = (u32, Vec<u8>);

/// The state of a reaction, and what is read of it.
pub(super) struct Tracked {
    view: Arc<View>,
    reads: Mutex<Vec<Read>>,
    /// Why the state could not be read, if it could not.
    failed: OnceLock<String>,
}

/// Something that was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Read {
    Key {
        table: u32,
        key: Vec<u8>,
    },
    /// From `start` (included) to `end` (excluded); a whole table if neither is there.
    Range {
        table: u32,
        start: Option<Vec<u8>>,
        end: Option<Vec<u8>>,
    },
}

impl Read {
    fn sees(&self, changed: &Place) -> bool {
        let (in_table, key) = changed;
        match self {
            Self::Key { table, key: read } => table == in_table && read == key,
            Self::Range { table, start, end } => {
                table == in_table
                    && start.as_ref().is_none_or(|start| start <= key)
                    && end.as_ref().is_none_or(|end| key < end)
            }
        }
    }
}

impl Tracked {
    pub(super) fn new(view: Arc<View>) -> Self {
        Self { view, reads: Mutex::default(), failed: OnceLock::new() }
    }

    /// Why the state could not be read, if it could not. That is nobody's fault but
    /// the host's, whatever the guest made of it.
    pub(super) fn failed(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    fn read<T>(&self, read: Result<T, String>) -> Result<T, String> {
        read.inspect_err(|reason| drop(self.failed.set(reason.clone())))
    }

    /// What has been read.
    pub(super) fn take(&self) -> Vec<Read> {
        std::mem::take(&mut *self.reads.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, read: Read) {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).push(read);
    }
}

impl StateReader for Tracked {
    fn get(&self, table: u32, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.note(Read::Key { table, key: key.to_vec() });
        self.read(StateReader::get(&*self.view, table, key))
    }

    fn scan(
        &self,
        table: u32,
        start: Option<&[u8]>,
        end: Option<&[u8]>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Row>, String> {
        let owned = |bound: Option<&[u8]>| bound.map(<[u8]>::to_vec);
        self.note(Read::Range { table, start: owned(start), end: owned(end) });
        self.read(StateReader::scan(&*self.view, table, start, end, reverse, limit))
    }

    fn is_empty(&self, table: u32) -> Result<bool, String> {
        self.note(Read::Range { table, start: None, end: None });
        self.read(StateReader::is_empty(&*self.view, table))
    }
}

/// What has been changed lately, in the order of the changes.
#[derive(Default)]
pub(super) struct Recent {
    /// How many events have changed something so far.
    now: u64,
    /// The number of each that somebody may still have to know of, and the table and
    /// key of what it changed.
    changes: VecDeque<(u64, Vec<Place>)>,
}

impl Recent {
    /// A moment: changes after it are those that an event that begins now does not
    /// see.
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// An event has changed something.
    pub(super) fn note(&mut self, changes: &Changes) {
        if !changes.is_empty() {
            self.now += 1;
            let keys = changes.iter().map(|(table, key, _)| (table, key.to_vec())).collect();
            self.changes.push_back((self.now, keys));
        }
    }

    /// Whether something of what was read has changed since a moment.
    pub(super) fn conflicts(&self, reads: &[Read], since: u64) -> bool {
        let later = self.changes.iter().rev().take_while(|(number, _)| *number > since);
        later.flat_map(|(_, keys)| keys).any(|key| reads.iter().any(|read| read.sees(key)))
    }

    /// Nobody asks about what was changed up to a moment any more.
    pub(super) fn forget(&mut self, until: u64) {
        while self.changes.front().is_some_and(|(number, _)| *number <= until) {
            self.changes.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_seen_to_change() {
        let key = |key: &str| key.as_bytes().to_vec();
        let one = Read::Key { table: 1, key: key("b") };
        let some = Read::Range { table: 1, start: Some(key("b")), end: Some(key("d")) };
        let all = Read::Range { table: 1, start: None, end: None };
        for (changed, seen_by) in [
            ((1, key("a")), [false, false, true]),
            ((1, key("b")), [true, true, true]),
            ((1, key("c")), [false, true, true]),
            ((1, key("d")), [false, false, true]),
            ((2, key("b")), [false, false, false]),
        ] {
            assert_eq!([&one, &some, &all].map(|read| read.sees(&changed)), seen_by, "{changed:?}");
        }
    }
}
