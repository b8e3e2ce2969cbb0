//! Events that are handled at the same time, kept out of each other's way.
//!
//! Each reads the state as it stood when it began. If what one has read has been
//! changed by another since, it begins again: as if they had run one after the other.
//!
//! A call cannot be taken back, and one that is made again must be the same. So from its
//! first call on, what an event has read stays as it is until it is through: who would
//! change that is committed after it, and who has read the same calls after it. That fails
//! only where an event changes what it had not read when it called: if two do, and each has
//! read what the other changes, one of them begins again with what the other has left.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::{Bound, RangeBounds},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::event::Position;

/// When so many events that call have read a table and left it as it was, others may
/// read it and call at the same time.
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
    /// Events that have called and are not through, and what they have read.
    callers: BTreeMap<Position, Reads>,
    /// What events would change that are kept back.
    kept_back: BTreeMap<Position, Vec<Changed>>,
    /// By table: how many events that called have read it since one of them changed it.
    unchanged: HashMap<u32, u32>,
    /// How often an event came to its end that others may have had to wait for.
    ends: u64,
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
    /// What it changes; nothing if it has failed.
    pub(super) changed: Vec<Changed>,
}

impl Isolation {
    /// A moment: changes after it are those that an event that begins now does not see.
    pub(super) fn now(&self) -> u64 {
        self.inner().now
    }

    /// What an event that begins now has read: what it had when it called, if it has.
    pub(super) fn reads(&self, position: Position) -> Reads {
        self.inner().callers.get(&position).cloned().unwrap_or_default()
    }

    /// An event wants to call.
    pub(super) fn claim(&self, position: Position, since: u64, reads: &Reads) -> Claim {
        let mut inner = self.inner();
        if inner.callers.contains_key(&position) {
            return Claim::Granted;
        }
        let own = noted(reads);
        if inner.conflicts(&own, since) {
            return Claim::Stale;
        }
        let is_kept_back = inner.kept_back.values().flatten().any(|changed| sees(&own, changed));
        if is_kept_back || inner.callers.values().any(|theirs| inner.exclude(&own, &noted(theirs))) {
            return Claim::InLine(inner.ends);
        }
        inner.callers.insert(position, Arc::clone(reads));
        Claim::Granted
    }

    /// Lets an event come to its end, unless it has to begin again or to wait; what it
    /// changes is as good as committed then. `force`: it does not wait.
    pub(super) fn admit(&self, event: Ended<'_>, force: bool) -> Admission {
        let Ended { position, since, reads, changed } = event;
        let inner = &mut *self.inner();
        if inner.kept_back.remove(&position).is_some() {
            inner.ends += 1;
        }
        let reads = noted(reads);
        if inner.conflicts(&reads, since) {
            return Admission::Conflicts;
        }
        let mut others = inner.callers.iter().filter(|(other, _)| **other != position);
        if !force && others.any(|(_, theirs)| changed.iter().any(|changed| sees(&noted(theirs), changed))) {
            inner.kept_back.insert(position, changed);
            return Admission::KeptBack;
        }
        if inner.callers.remove(&position).is_some() {
            inner.ends += 1;
            for read in &*reads {
                *inner.unchanged.entry(read.table()).or_default() += 1;
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

    /// Whether two that call and have read this cannot be at work at the same time: each
    /// may change what the other has read.
    fn exclude(&self, one: &[Read], other: &[Read]) -> bool {
        let is_quiet = |table| self.unchanged.get(&table).is_some_and(|events| *events >= QUIET);
        let mut one = one.iter().filter(|read| !is_quiet(read.table()));
        one.any(|one| other.iter().any(|other| one.overlaps(other)))
    }
}

impl Read {
    /// One row, whether it is there or not.
    pub(super) fn row(table: u32, key: &[u8]) -> Self {
        let key = || Bound::Included(key.to_vec());
        Self::Rows { table, start: key(), end: key() }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn key(key: &str) -> Vec<u8> {
        key.as_bytes().to_vec()
    }

    fn put(table: u32, of: &str) -> Changed {
        Changed { table, key: key(of), put: true }
    }

    fn removed(table: u32, of: &str) -> Changed {
        Changed { put: false, ..put(table, of) }
    }

    fn rows(start: Bound<&str>, end: Bound<&str>) -> Read {
        Read::Rows { table: 1, start: start.map(key), end: end.map(key) }
    }

    #[test]
    fn what_was_read_is_seen_to_change() {
        let some = rows(Bound::Included("b"), Bound::Excluded("d"));
        let all = rows(Bound::Unbounded, Bound::Unbounded);
        let [empty, filled] = [true, false].map(|was| Read::Empty { table: 1, was });
        let reads = [Read::row(1, b"b"), some, all, empty, filled];
        for (changed, seen_by) in [
            (put(1, "a"), [false, false, true, true, false]),
            (put(1, "b"), [true, true, true, true, false]),
            (put(1, "c"), [false, true, true, true, false]),
            (put(1, "d"), [false, false, true, true, false]),
            (removed(1, "b"), [true, true, true, false, true]),
            (put(2, "b"), [false; 5]),
        ] {
            assert_eq!(reads.each_ref().map(|read| read.sees(&changed)), seen_by, "{changed:?}");
        }
    }

    #[test]
    fn what_two_have_read_overlaps() {
        let (b, all) = (Read::row(1, b"b"), rows(Bound::Unbounded, Bound::Unbounded));
        let [empty, filled] = [true, false].map(|was| Read::Empty { table: 1, was });
        for (one, other, overlap) in [
            (&b, &Read::row(1, b"b"), true),
            (&b, &Read::row(1, b"c"), false),
            (&b, &Read::row(2, b"b"), false),
            (&b, &rows(Bound::Included("a"), Bound::Excluded("b")), false),
            (&b, &rows(Bound::Included("a"), Bound::Included("b")), true),
            (&b, &rows(Bound::Included("c"), Bound::Unbounded), false),
            (&b, &all, true),
            (&all, &all, true),
            (&b, &empty, true),
            (&all, &filled, false),
        ] {
            assert_eq!(one.overlaps(other), overlap, "{one:?} {other:?}");
            assert_eq!(other.overlaps(one), overlap, "{other:?} {one:?}");
        }
    }

    /// What an event reads of one table, where it calls, and what it changes: rows by number.
    #[derive(Clone, Debug)]
    struct Script {
        before: Vec<u8>,
        calls: bool,
        after: Vec<u8>,
        /// One that calls changes only rows that it has read before.
        changes: Vec<u8>,
    }

    /// One that is at work.
    struct Work {
        position: Position,
        since: u64,
        reads: Reads,
        /// How many steps it has made.
        step: usize,
        /// What each row was when it began.
        view: Vec<u64>,
    }

    #[derive(Clone, Copy, PartialEq, Debug)]
    enum State {
        New,
        Works,
        InLine(u64),
        KeptBack,
        Done,
    }

    const ROWS: u8 = 4;

    fn script() -> impl Strategy<Value = Script> {
        let some = || prop::collection::vec(0..ROWS, 0..3);
        (some(), any::<bool>(), some(), some()).prop_map(|(before, calls, after, changes)| {
            let changes = changes.into_iter().filter(|row| !calls || before.contains(row)).collect();
            Script { before, calls, after, changes }
        })
    }

    proptest! {
        /// Whatever is handled at the same time: what an event has read is what it would read
        /// at the end, the rows that its call came from are the same whenever it is handled,
        /// and all come to an end.
        #[test]
        fn events_are_as_if_handled_one_after_the_other(
            scripts in prop::collection::vec(script(), 1..8),
            turns in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
        ) {
            let isolation = Isolation::default();
            let mut rows = vec![0_u64; ROWS.into()];
            let mut states = vec![State::New; scripts.len()];
            let mut called: HashMap<Position, Vec<u64>> = HashMap::new();
            let mut works: Vec<Work> = Vec::new();
            let mut kept: Vec<Work> = Vec::new();
            // After the turns that are given, each in its turn until all is done.
            let given = turns.iter().map(|turn| turn.index(scripts.len()));
            let rest = (0..2000 * scripts.len()).map(|turn| turn % scripts.len());
            for event in given.chain(rest) {
                let (position, script) = (event as Position, &scripts[event]);
                match states[event] {
                    State::New => {
                        let reads = isolation.reads(position);
                        let (since, view) = (isolation.now(), rows.clone());
                        works.push(Work { position, since, reads, step: 0, view });
                        states[event] = State::Works;
                    }
                    State::InLine(ends) if ends != isolation.ends() => states[event] = State::New,
                    State::Works => {
                        let index = works.iter().position(|work| work.position == position);
                        let index = index.expect("it is at work");
                        let work = &mut works[index];
                        let step = work.step;
                        work.step += 1;
                        let reads = script.before.len() + usize::from(script.calls) + script.after.len();
                        if step == script.before.len() && script.calls {
                            match isolation.claim(position, work.since, &work.reads) {
                                Claim::Granted => {
                                    let seen: Vec<u64> =
                                        script.before.iter().map(|row| work.view[usize::from(*row)]).collect();
                                    let first = called.entry(position).or_insert_with(|| seen.clone());
                                    prop_assert_eq!(&*first, &seen, "the call of {} is another one", position);
                                }
                                refused => {
                                    let work = works.remove(index);
                                    let ended = Ended {
                                        position, since: work.since, reads: &work.reads, changed: Vec::new(),
                                    };
                                    let admission = isolation.admit(ended, false);
                                    states[event] = match refused {
                                        Claim::InLine(ends) if admission == Admission::Admitted => State::InLine(ends),
                                        _ => State::New,
                                    };
                                }
                            }
                        } else if step < reads {
                            let row = match step < script.before.len() {
                                true => script.before[step],
                                false => script.after[step - script.before.len() - usize::from(script.calls)],
                            };
                            noted(&work.reads).push(Read::row(0, &[row]));
                        } else {
                            kept.push(works.remove(index));
                            states[event] = State::KeptBack;
                            // As the runner settles what is finished.
                            loop {
                                let count = kept.len();
                                let mut settled = |work: Work, force| {
                                    let script = &scripts[work.position as usize];
                                    let changed = script.changes.iter().map(|row| Changed { table: 0, key: vec![*row], put: true });
                                    let ended = Ended {
                                        position: work.position, since: work.since, reads: &work.reads, changed: changed.collect(),
                                    };
                                    match isolation.admit(ended, force) {
                                        Admission::KeptBack => return Some(work),
                                        Admission::Conflicts => states[work.position as usize] = State::New,
                                        Admission::Admitted => {
                                            for row in script.before.iter().chain(&script.after) {
                                                let row = usize::from(*row);
                                                assert_eq!(work.view[row], rows[row], "event {} has read what is no more", work.position);
                                            }
                                            for row in script.changes.iter().collect::<BTreeSet<_>>() {
                                                rows[usize::from(*row)] += 1;
                                            }
                                            states[work.position as usize] = State::Done;
                                        }
                                    }
                                    None
                                };
                                kept = std::mem::take(&mut kept).into_iter().filter_map(|work| settled(work, false)).collect();
                                if kept.is_empty() || kept.len() < count {
                                    if kept.is_empty() { break; }
                                    continue;
                                }
                                let is_kept = |position| kept.iter().any(|work| work.position == position);
                                if isolation.has_caller_besides(is_kept) { break; }
                                let work = kept.remove(0);
                                settled(work, true);
                            }
                        }
                    }
                    _ => {}
                }
            }
            prop_assert!(states.iter().all(|state| *state == State::Done), "{states:?}");
        }
    }
}
