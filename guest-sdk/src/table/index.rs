//! Indexes: the rows of a table in another order.
//!
//! An index is a table of its own for the host: its keys are the parts that it
//! sorts by, then the row's key; its values are empty. When a row is about to
//! change, what the index has for it is remembered; what it must have is worked
//! out when somebody looks, at the latest at the flush.

use std::{cell::RefCell, collections::BTreeMap, marker::PhantomData, ops::Bound};

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

/// A row that changed since the indexes last looked.
struct Unsettled {
    slot: u32,
    /// What each index has for it; empty where the row was not there.
    old: Vec<Vec<u8>>,
}

/// The indexes of one table.
pub(super) struct Indexes<V> {
    specs: Vec<IndexSpec<V>>,
    unsettled: RefCell<Vec<Unsettled>>,
    /// For each index what changed since the last flush: entries that are new
    /// (true) and entries that are gone.
    changes: RefCell<Vec<BTreeMap<Vec<u8>, bool>>>,
}

impl<V> Indexes<V> {
    pub(super) fn new(specs: Vec<IndexSpec<V>>) -> Self {
        let changes = RefCell::new(specs.iter().map(|_| BTreeMap::new()).collect());
        Self { specs, unsettled: RefCell::default(), changes }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.specs.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.specs.len()
    }

    fn keys(&self, value: Option<&V>) -> Vec<Vec<u8>> {
        let encode = |value| {
            let encode = |spec: &IndexSpec<V>| {
                let mut key = Vec::new();
                (spec.encode)(value, &mut key);
                key
            };
            self.specs.iter().map(encode).collect()
        };
        value.map_or_else(Vec::new, encode)
    }

    /// Remembers what the indexes have for a row that is about to change.
    pub(super) fn remember(&mut self, slot: u32, value: Option<&V>) {
        let old = self.keys(value);
        self.unsettled.get_mut().push(Unsettled { slot, old });
    }

    pub(super) fn flush(&mut self, table: u32, changes: &mut Changes) {
        for (number, entries) in self.changes.get_mut().iter_mut().enumerate() {
            for (key, is_new) in std::mem::take(entries) {
                let nothing = |_: &mut Vec<u8>| {};
                changes.push(table + 1 + number as u32, &key, is_new.then_some(nothing));
            }
        }
    }

    /// The first (or last) changed entry of an index in a range of its keys.
    pub(super) fn changed(
        &self,
        number: usize,
        start: &[u8],
        end: Option<&[u8]>,
        reverse: bool,
    ) -> Option<(Vec<u8>, bool)> {
        let changes = self.changes.borrow();
        first_in(&changes[number], start, end, reverse).map(|(key, is_new)| (key.clone(), *is_new))
    }
}

/// An entry that comes and goes again (or goes and comes again) between two
/// flushes is no change.
fn note(entries: &mut BTreeMap<Vec<u8>, bool>, key: Vec<u8>, is_new: bool) {
    match entries.get(&key) {
        Some(before) if *before != is_new => {
            entries.remove(&key);
        }
        _ => {
            entries.insert(key, is_new);
        }
    }
}

impl<V: Row> Cache<V> {
    /// Brings the indexes up to date with the rows that changed.
    pub(super) fn settle(&self) {
        let unsettled = self.indexes.unsettled.take();
        if unsettled.is_empty() {
            return;
        }
        let mut changes = self.indexes.changes.borrow_mut();
        for Unsettled { slot, old } in unsettled {
            let slot = &self.slots[slot as usize];
            slot.unsettled.set(false);
            let new = self.indexes.keys(slot.value.as_ref());
            for (number, entries) in changes.iter_mut().enumerate() {
                let (old, new) = (old.get(number), new.get(number));
                if old == new {
                    continue;
                }
                let entry = |key: &Vec<u8>| [key.as_slice(), slot.key()].concat();
                if let Some(old) = old {
                    note(entries, entry(old), false);
                }
                if let Some(new) = new {
                    note(entries, entry(new), true);
                }
            }
        }
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
