//! Events that are handled at the same time, kept out of each other's way.
//!
//! Each reads the state as it stood when it began. If what one has read has been
//! changed by another since, it begins again: as if they had run one after the other.
//!
//! A call cannot be taken back, and one that is made again must be the same. So what an
//! event has read when it calls stays as it is until it is through: who would change that
//! is committed after it, and who has read the same calls after it. That fails only where
//! an event changes what it had not read when it called: if two do, and each has read what
//! the other changes, one of them begins again with what the other has left.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    ops::{Bound, RangeBounds},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::event::Position;

/// When so many events that call have read a table, one after the other, and left it as it
/// was, others may read it and call at the same time.
const QUIET: u32 = 64;

/// Something that was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Read {
    /// The rows between two keys.
    Rows { table: u32, start: Bound<Vec<u8>>, end: Bound<Vec<u8>> },
    /// Whether a table holds nothing.
    Empty { table: u32, was: bool },
}

/// Where keys begin and end.
type Span<'r> = (Bound<&'r [u8]>, Bound<&'r [u8]>);

/// What an event has read, so far.
pub(super) type Reads = Arc<Mutex<Vec<Read>>>;

/// A row that has been put or removed.
#[derive(Clone, Debug)]
pub(super) struct Changed {
    table: u32,
    key: Vec<u8>,
    put: bool,
}

/// What events that are handled at the same time have read and changed.
#[derive(Default)]
pub(super) struct Isolation {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// How many events have changed something so far.
    now: u64,
    /// The number of each that somebody may still have to know of, and what it changed.
    changes: VecDeque<(u64, Vec<Changed>)>,
    /// Events that have called and are not through.
    callers: BTreeMap<Position, Calling>,
    /// What events would change that are kept back.
    kept_back: BTreeMap<Position, Vec<Changed>>,
    /// By table: how many events that called have read it since one of them changed it.
    unchanged: HashMap<u32, u32>,
    /// How often an event came to its end that others may have had to wait for.
    ends: u64,
}

/// An event that has called.
struct Calling {
    reads: Reads,
    /// How much of it had been read at the last call: what comes later goes into no call.
    held: usize,
}

/// Whether an event may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It may: what it has read stays as it is.
    Granted,
    /// What it has read has changed: it has to begin again.
    Stale,
    /// Others come first. How often one of them came to its end, so far.
    InLine(u64),
}

/// Whether what comes of an event may be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Admitted,
    /// It has to begin again: what it has read has changed.
    Conflicts,
    /// Not before others that have read what it changes.
    KeptBack,
}

/// An event that is handled, or has failed.
pub(super) struct Ended<'e> {
    pub(super) position: Position,
    /// The moment as of which it has read the state.
    pub(super) since: u64,
    pub(super) reads: &'e Reads,
    /// What it changes, unless it has failed.
    pub(super) changed: Option<Vec<Changed>>,
}

impl Isolation {
    /// A moment: changes after it are those that an event that begins now does not see.
    pub(super) fn now(&self) -> u64 {
        self.inner().now
    }

    /// What an event that begins now has read: what it had when it called, if it has.
    pub(super) fn reads(&self, position: Position) -> Reads {
        self.inner().callers.get(&position).map(|calling| Arc::clone(&calling.reads)).unwrap_or_default()
    }

    /// An event wants to call.
    pub(super) fn claim(&self, position: Position, since: u64, reads: &Reads) -> Claim {
        let mut inner = self.inner();
        let own = noted(reads);
        if inner.conflicts(&own, since) {
            return Claim::Stale;
        }
        // Who has called already waits for nobody, or two might wait for each other.
        if !inner.callers.contains_key(&position) && inner.is_before(&own) {
            return Claim::InLine(inner.ends);
        }
        inner.callers.insert(position, Calling { reads: Arc::clone(reads), held: own.len() });
        Claim::Granted
    }

    /// Lets an event come to its end, unless it has to begin again or to wait; what it
    /// changes is as good as committed then. `force`: it does not wait.
    pub(super) fn admit(&self, event: Ended<'_>, force: bool) -> Admission {
        let Ended { position, since, reads, changed } = event;
        let inner = &mut *self.inner();
        let was_kept_back = inner.kept_back.remove(&position).is_some();
        let reads = noted(reads);
        if inner.conflicts(&reads, since) {
            inner.ends += u64::from(was_kept_back);
            return Admission::Conflicts;
        }
        let is_handled = changed.is_some();
        let changed = changed.unwrap_or_default();
        let mut others = inner.callers.iter().filter(|(other, _)| **other != position);
        if !force && others.any(|(_, calling)| calling.holds(&changed)) {
            inner.kept_back.insert(position, changed);
            return Admission::KeptBack;
        }
        let has_called = inner.callers.remove(&position).is_some();
        inner.ends += u64::from(was_kept_back || has_called);
        if has_called && is_handled {
            let tables: BTreeSet<u32> = reads.iter().map(Read::table).collect();
            for table in tables {
                let events = inner.unchanged.entry(table).or_default();
                *events = events.saturating_add(1);
            }
            for changed in &changed {
                inner.unchanged.insert(changed.table, 0);
            }
        }
        if !changed.is_empty() {
            inner.now += 1;
            inner.changes.push_back((inner.now, changed));
        }
        Admission::Admitted
    }

    /// How often an event came to its end that others may have had to wait for.
    pub(super) fn ends(&self) -> u64 {
        self.inner().ends
    }

    /// Whether an event has called that is none of these and not through.
    pub(super) fn has_caller_besides(&self, positions: impl Fn(Position) -> bool) -> bool {
        self.inner().callers.keys().any(|position| !positions(*position))
    }

    /// Whether an event has called.
    pub(super) fn has_called(&self, position: Position) -> bool {
        self.inner().callers.contains_key(&position)
    }

    /// Whether there is nobody whom others may have to wait for.
    pub(super) fn is_free(&self) -> bool {
        let inner = self.inner();
        inner.callers.is_empty() && inner.kept_back.is_empty()
    }

    /// Nobody asks about what was changed up to a moment any more.
    pub(super) fn forget(&self, until: u64) {
        let mut inner = self.inner();
        while inner.changes.front().is_some_and(|(number, _)| *number <= until) {
            inner.changes.pop_front();
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Whether something of what was read has changed since a moment.
    fn conflicts(&self, reads: &[Read], since: u64) -> bool {
        let later = self.changes.iter().rev().take_while(|(number, _)| *number > since);
        later.flat_map(|(_, changed)| changed).any(|changed| sees(reads, changed))
    }

    /// Whether others come before one that has read this and wants to call: they are to
    /// change it, or have called and may.
    fn is_before(&self, own: &[Read]) -> bool {
        let is_quiet = |table| self.unchanged.get(&table).is_some_and(|events| *events >= QUIET);
        let disputed: Vec<&Read> = own.iter().filter(|read| !is_quiet(read.table())).collect();
        // Most reads are of single rows, of which two events may have read many.
        let rows: HashSet<_> = disputed.iter().filter_map(|own| own.place()).collect();
        let ranges: Vec<&Read> = disputed.iter().copied().filter(|own| own.place().is_none()).collect();
        let is_disputed = |theirs: &Read| match theirs.place() {
            Some(place) => rows.contains(&place) || ranges.iter().any(|own| own.overlaps(theirs)),
            None => disputed.iter().any(|own| own.overlaps(theirs)),
        };
        self.kept_back.values().flatten().any(|changed| sees(own, changed))
            || self.callers.values().any(|calling| {
                let theirs = noted(&calling.reads);
                theirs[..calling.held].iter().any(&is_disputed)
            })
    }
}

impl Calling {
    /// Whether something that it has called with would be changed.
    fn holds(&self, changed: &[Changed]) -> bool {
        let reads = noted(&self.reads);
        changed.iter().any(|changed| sees(&reads[..self.held], changed))
    }
}

impl Read {
    /// One row, whether it is there or not.
    pub(super) fn row(table: u32, key: &[u8]) -> Self {
        let key = || Bound::Included(key.to_vec());
        Self::Rows { table, start: key(), end: key() }
    }

    /// The row, if it is of one.
    fn place(&self) -> Option<(u32, &[u8])> {
        match self {
            Self::Rows { table, start: Bound::Included(start), end: Bound::Included(end) }
                if start == end =>
            {
                Some((*table, start))
            }
            Self::Rows { .. } | Self::Empty { .. } => None,
        }
    }

    fn table(&self) -> u32 {
        match self {
            Self::Rows { table, .. } | Self::Empty { table, .. } => *table,
        }
    }

    fn sees(&self, changed: &Changed) -> bool {
        self.table() == changed.table
            && match self {
                Self::Rows { start, end, .. } => {
                    RangeBounds::<[u8]>::contains(&(borrowed(start), borrowed(end)), changed.key.as_slice())
                }
                Self::Empty { was, .. } => *was == changed.put,
            }
    }

    fn overlaps(&self, other: &Self) -> bool {
        let is_before = |end: Bound<&[u8]>, start: Bound<&[u8]>| match (end, start) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(end), Bound::Included(start)) => end < start,
            (
                Bound::Included(end) | Bound::Excluded(end),
                Bound::Included(start) | Bound::Excluded(start),
            ) => end <= start,
        };
        let Some(((one_start, one_end), (other_start, other_end))) = self.span().zip(other.span()) else {
            return false;
        };
        self.table() == other.table() && !is_before(one_end, other_start) && !is_before(other_end, one_start)
    }

    /// Between which keys it has seen everything.
    fn span(&self) -> Option<Span<'_>> {
        match self {
            Self::Rows { start, end, .. } => Some((borrowed(start), borrowed(end))),
            Self::Empty { was: true, .. } => Some((Bound::Unbounded, Bound::Unbounded)),
            // It hardly ever becomes empty again: nobody waits for that.
            Self::Empty { was: false, .. } => None,
        }
    }
}

impl From<(u32, &[u8], Option<&[u8]>)> for Changed {
    fn from((table, key, value): (u32, &[u8], Option<&[u8]>)) -> Self {
        Self { table, key: key.to_vec(), put: value.is_some() }
    }
}

fn sees(reads: &[Read], changed: &Changed) -> bool {
    reads.iter().any(|read| read.sees(changed))
}

fn borrowed(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

/// What has been read so far.
pub(super) fn noted(reads: &Reads) -> MutexGuard<'_, Vec<Read>> {
    reads.lock().unwrap_or_else(PoisonError::into_inner)
}
