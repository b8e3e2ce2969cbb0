//! Indexes: the rows of a table in another order.
//!
//! An index is a table of its own for the host: its keys are the parts that it
//! sorts by, then the row's key; its values are empty. When a row is about to
//! change, what the index has for it is remembered; what it must have is worked
//! out when somebody looks, at the latest at the flush.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    marker::PhantomData,
    ops::{Bound, Range},
};

use super::{
    cache::{Cache, Changes},
    rows::{Rows, first_in},
    value::Row,
};
use crate::key::{self, AsKey, AsPrefix, AsRange, Key};

/// How an index gets its key from a value.
#[doc(hidden)]
pub struct IndexSpec<V> {
    pub encode: fn(&V, &mut Vec<u8>),
}

/// Rows that are about to change, and what the indexes have for them.
#[derive(Default)]
struct Remembered {
    /// Each row's slot, and whether the row was there.
    rows: Vec<(u32, bool)>,
    /// For each row that was there, its key in each index: in `bytes` up to here.
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

/// What changed in one index since the last flush.
#[derive(Default)]
struct Entries {
    /// In the order in which it changed: the entry's key (a range of `bytes`),
    /// and whether it came or went.
    list: Vec<(Range<usize>, bool)>,
    bytes: Vec<u8>,
    /// The same in the order of the keys, as far as somebody read the index.
    sorted: BTreeMap<Vec<u8>, bool>,
}

impl Entries {
    fn push(&mut self, index: &[u8], key: &[u8], came: bool) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(index);
        self.bytes.extend_from_slice(key);
        self.list.push((start..self.bytes.len(), came));
    }

    /// Moves what changed to where it is sorted. An entry that comes and goes
    /// again, or goes and comes again, is no change.
    fn sort(&mut self) {
        for (span, came) in self.list.drain(..) {
            let key = &self.bytes[span];
            match self.sorted.get(key) {
                Some(before) if *before != came => self.sorted.remove(key),
                _ => self.sorted.insert(key.to_vec(), came),
            };
        }
        self.bytes.clear();
    }

    fn flush(&mut self, table: u32, changes: &mut Changes) {
        let mut push = |key: &[u8], came: bool| {
            let nothing = |_: &mut Vec<u8>| {};
            changes.push(table, key, came.then_some(nothing));
        };
        if self.sorted.is_empty() {
            // Nobody read the index, so it was never sorted. The same is done
            // here with less to and fro.
            let bytes = &self.bytes;
            self.list.sort_by(|a, b| bytes[a.0.clone()].cmp(&bytes[b.0.clone()]));
            for same in self.list.chunk_by(|a, b| bytes[a.0.clone()] == bytes[b.0.clone()]) {
                if let (false, Some((span, came))) = (same.len().is_multiple_of(2), same.last()) {
                    push(&bytes[span.clone()], *came);
                }
            }
        } else {
            self.sort();
            for (key, came) in &self.sorted {
                push(key, *came);
            }
        }
        self.list.clear();
        self.bytes.clear();
        self.sorted.clear();
    }
}

/// The indexes of one table.
pub(super) struct Indexes<V> {
    specs: Vec<IndexSpec<V>>,
    remembered: RefCell<Remembered>,
    changes: RefCell<Vec<Entries>>,
}

impl<V> Indexes<V> {
    pub(super) fn new(specs: Vec<IndexSpec<V>>) -> Self {
        let changes = RefCell::new(specs.iter().map(|_| Entries::default()).collect());
        Self { specs, remembered: RefCell::default(), changes }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.specs.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.specs.len()
    }

    /// Remembers what the indexes have for a row that is about to change.
    pub(super) fn remember(&mut self, slot: u32, value: Option<&V>) {
        let remembered = self.remembered.get_mut();
        remembered.rows.push((slot, value.is_some()));
        if let Some(value) = value {
            for spec in &self.specs {
                (spec.encode)(value, &mut remembered.bytes);
                remembered.ends.push(remembered.bytes.len());
            }
        }
    }

    pub(super) fn flush(&mut self, table: u32, changes: &mut Changes) {
        for (number, entries) in self.changes.get_mut().iter_mut().enumerate() {
            entries.flush(table + 1 + number as u32, changes);
        }
    }

    /// The first (or last) changed entry of an index in a range of its keys,
    /// and whether it came.
    pub(super) fn changed(
        &self,
        number: usize,
        start: &[u8],
        end: Option<&[u8]>,
        reverse: bool,
    ) -> Option<(Vec<u8>, bool)> {
        let entries = &mut self.changes.borrow_mut()[number];
        entries.sort();
        first_in(&entries.sorted, start, end, reverse).map(|(key, came)| (key.clone(), *came))
    }
}

impl<V: Row> Cache<V> {
    /// Brings the indexes up to date with the rows that changed.
    pub(super) fn settle(&self) {
        let mut remembered = self.indexes.remembered.borrow_mut();
        let Remembered { rows, ends, bytes } = &mut *remembered;
        let mut ends = ends.drain(..);
        let mut changes = self.indexes.changes.borrow_mut();
        let (mut start, mut new) = (0, Vec::new());
        for (slot, was_there) in rows.drain(..) {
            let slot = &self.slots[slot as usize];
            slot.unsettled.set(false);
            for (spec, entries) in self.indexes.specs.iter().zip(changes.iter_mut()) {
                let old = was_there.then(|| {
                    let end = ends.next().unwrap_or(start);
                    &bytes[std::mem::replace(&mut start, end)..end]
                });
                new.clear();
                let new = slot.value.as_ref().map(|value| {
                    (spec.encode)(value, &mut new);
                    new.as_slice()
                });
                if old != new {
                    if let Some(old) = old {
                        entries.push(old, slot.key(), false);
                    }
                    if let Some(new) = new {
                        entries.push(new, slot.key(), true);
                    }
                }
            }
        }
        drop(ends);
        bytes.clear();
    }
}

/// The rows of a table in the order of an index; rows that are equal there come
/// by their keys.
///
/// An index is declared on its table with its name, its type and what it sorts
/// by (a field, several fields in parentheses, or a closure), and is read
/// through a method named after table and index. The SDK keeps it up.
///
/// ```
/// # use projectionist_sdk::{harness::Harness, prelude::*};
/// #[derive(Default, Serialize, Deserialize)]
/// struct Player {
///     team: String,
///     points: i64,
/// }
///
/// #[derive(Projection)]
/// struct League {
///     #[index(by_points: i64 = points)]
///     #[index(by_team: (String, i64) = (team, points))]
///     #[index(by_name_length: u64 = |player| player.team.len() as u64)]
///     players: Table<String, Player>,
/// }
///
/// #[projection]
/// impl League {
///     #[on("player.scored")]
///     fn scored(&mut self, event: &Event, points: i64) {
///         self.players.entry(event.subject()).points += points;
///     }
///
///     #[query]
///     fn leaders(&self, limit: usize) -> Vec<(String, i64)> {
///         self.players_by_points().iter().rev().take(limit).map(|(name, player)| (name, player.points)).collect()
///     }
/// }
///
/// let mut harness = Harness::<League>::new();
/// harness
///     .event("player.scored", "Ada", json!(3))
///     .event("player.scored", "Bob", json!(5))
///     .event("player.scored", "Ada", json!(4));
/// assert_eq!(harness.query("leaders", json!({"limit": 1})), json!([["Ada", 7]]));
/// ```
pub struct Index<'a, I, K, V> {
    cache: &'a Cache<V>,
    number: usize,
    types: PhantomData<fn(I) -> K>,
}

impl<'a, I: Key, K: Key, V: Row> Index<'a, I, K, V> {
    pub(super) fn new(cache: &'a Cache<V>, number: usize) -> Self {
        cache.settle();
        Self { cache, number, types: PhantomData }
    }

    fn rows(&self, start: Vec<u8>, end: Option<Vec<u8>>) -> Rows<'a, K, V> {
        Rows::of_index(self.cache, self.number, |key| I::decode(key).map(drop), start, end)
    }

    /// All rows, by ascending index; with `.rev()` by descending index.
    pub fn iter(&self) -> Rows<'a, K, V> {
        self.rows(Vec::new(), None)
    }

    /// The rows that have this index, by ascending key.
    pub fn equal_to(&self, index: impl AsKey<I>) -> Rows<'a, K, V> {
        let start = key::encoded(index);
        let end = key::end_of_parts(&start);
        self.rows(start, Some(end))
    }

    /// The rows whose index begins with these parts.
    pub fn prefix(&self, parts: impl AsPrefix<I>) -> Rows<'a, K, V> {
        let mut start = Vec::new();
        parts.encode_prefix(&mut start);
        let end = key::end_of_parts(&start);
        self.rows(start, Some(end))
    }

    /// The rows whose index lies in a range.
    pub fn range(&self, range: impl AsRange<I>) -> Rows<'a, K, V> {
        let start = match range.start() {
            Bound::Unbounded => Vec::new(),
            Bound::Included(key) => key,
            Bound::Excluded(key) => key::end_of_parts(&key),
        };
        let end = match range.end() {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(key::end_of_parts(&key)),
            Bound::Excluded(key) => Some(key),
        };
        self.rows(start, end)
    }
}

impl<'a, I: Key, K: Key, V: Row> IntoIterator for Index<'a, I, K, V> {
    type Item = (K, super::Ref<'a, V>);
    type IntoIter = Rows<'a, K, V>;

    fn into_iter(self) -> Rows<'a, K, V> {
        self.iter()
    }
}
