//! Reading rows in order: what is committed, page by page from the host, merged
//! with what changed since.

use std::{
    collections::{BTreeMap, btree_map},
    marker::PhantomData,
    ops::Bound,
    vec,
};

use super::{
    cache::Cache,
    successor,
    value::{Held, Ref, Row},
};
use crate::key::{self, Key, KeyError};

/// The rows that the first page asks for; each further page asks for twice as
/// many.
const FIRST_PAGE: u32 = 32;
const LARGEST_PAGE: u32 = 1024;

/// The first (or last) entry in a range of keys.
pub(super) fn first_in<'a, T>(
    map: &'a BTreeMap<Vec<u8>, T>,
    start: &[u8],
    end: Option<&[u8]>,
    reverse: bool,
) -> Option<(&'a Vec<u8>, &'a T)> {
    if end.is_some_and(|end| end <= start) {
        return None;
    }
    let end = end.map_or(Bound::Unbounded, Bound::Excluded);
    let mut range: btree_map::Range<'_, _, _> = map.range::<[u8], _>((Bound::Included(start), end));
    if reverse { range.next_back() } else { range.next() }
}

/// Rows in the order of their keys or of an index, from both ends.
///
/// An iterator over pairs of key and [`Ref`]erence to the value.
pub struct Rows<'a, K, V> {
    cache: &'a Cache<V>,
    index: Option<OfIndex>,
    /// What is left: from here …
    start: Vec<u8>,
    /// … up to but not including here.
    end: Option<Vec<u8>>,
    front: Page,
    back: Page,
    keys: PhantomData<fn() -> K>,
}

struct OfIndex {
    number: usize,
    /// Skips the parts of the index in an entry's key; the row's key remains.
    skip: fn(&mut &[u8]) -> Result<(), KeyError>,
}

/// Committed rows that were read ahead in one direction.
#[derive(Default)]
struct Page {
    rows: vec::IntoIter<(Vec<u8>, Vec<u8>)>,
    /// How many rows the next page asks for, if there may be more.
    next: Option<u32>,
}

/// What changed of a row.
enum Change {
    Gone,
    /// A row, in this slot.
    Row(usize),
    /// An entry of an index.
    Entry,
}

impl<'a, K: Key, V: Row> Rows<'a, K, V> {
    pub(super) fn of_table(cache: &'a Cache<V>, start: Vec<u8>, end: Option<Vec<u8>>) -> Self {
        Self::new(cache, None, start, end)
    }

    pub(super) fn of_index(
        cache: &'a Cache<V>,
        number: usize,
        skip: fn(&mut &[u8]) -> Result<(), KeyError>,
        start: Vec<u8>,
        end: Option<Vec<u8>>,
    ) -> Self {
        Self::new(cache, Some(OfIndex { number, skip }), start, end)
    }

    fn new(cache: &'a Cache<V>, index: Option<OfIndex>, start: Vec<u8>, end: Option<Vec<u8>>) -> Self {
        let next = (!cache.is_vacant()).then_some(FIRST_PAGE);
        let page = || Page { rows: vec::IntoIter::default(), next };
        Self { cache, index, start, end, front: page(), back: page(), keys: PhantomData }
    }

    /// Reads pages until the next committed row that is left is at hand.
    fn fill(&mut self, reverse: bool) {
        let table = self.cache.number + self.index.as_ref().map_or(0, |index| 1 + index.number as u32);
        let page = if reverse { &mut self.back } else { &mut self.front };
        let end = self.end.as_deref();
        loop {
            while let Some((key, _)) = page.rows.as_slice().first() {
                if *key >= self.start && end.is_none_or(|end| key.as_slice() < end) {
                    return;
                }
                page.rows.next();
            }
            let Some(limit) = page.next else { return };
            if end.is_some_and(|end| end <= self.start.as_slice()) {
                return;
            }
            let rows = self.cache.context.committed.scan(table, &self.start, end, reverse, limit);
            page.next = (rows.len() == limit as usize).then_some((2 * limit).min(LARGEST_PAGE));
            page.rows = rows.into_iter();
        }
    }

    fn changed(&self, reverse: bool) -> Option<(Vec<u8>, Change)> {
        let end = self.end.as_deref();
        match &self.index {
            None => {
                let (key, slot) = self.cache.changed(&self.start, end, reverse)?;
                let is_there = self.cache.slots[slot].value.is_some();
                Some((key, if is_there { Change::Row(slot) } else { Change::Gone }))
            }
            Some(index) => {
                let (key, is_new) = self.cache.indexes.changed(index.number, &self.start, end, reverse)?;
                Some((key, if is_new { Change::Entry } else { Change::Gone }))
            }
        }
    }

    fn step(&mut self, reverse: bool) -> Option<(K, Ref<'a, V>)> {
        loop {
            self.fill(reverse);
            let changed = self.changed(reverse);
            let page = if reverse { &mut self.back } else { &mut self.front };
            let committed = page.rows.as_slice().first().map(|(key, _)| key);
            let changed = match (committed, changed) {
                (None, None) => return None,
                (Some(committed), Some((key, _))) if (key < *committed) == reverse && key != *committed => {
                    None
                }
                (_, changed) => changed,
            };
            let (key, bytes, change) = match changed {
                Some((key, change)) => (key, None, Some(change)),
                None => {
                    let (key, bytes) = page.rows.next()?;
                    (key, Some(bytes), None)
                }
            };
            if reverse {
                self.end = Some(key.clone());
            } else {
                self.start = successor(key.clone());
            }
            match (change, bytes) {
                (Some(Change::Gone), _) => {}
                (Some(Change::Row(slot)), _) => {
                    let value = self.cache.slots[slot].value.as_ref()?;
                    return Some((self.decode(&key), Ref(Held::Cached(value))));
                }
                (Some(Change::Entry), _) => return Some(self.row_of_entry(&key)),
                (None, _) if self.index.is_some() => return Some(self.row_of_entry(&key)),
                (None, bytes) => return Some((self.decode(&key), self.cache.value(&bytes?))),
            }
        }
    }

    fn decode(&self, key: &[u8]) -> K {
        match key::decode(key) {
            Ok(key) => key,
            Err(error) => panic!("table `{}` holds {error}", self.cache.name),
        }
    }

    /// The row that an index's entry stands for.
    fn row_of_entry(&self, entry: &[u8]) -> (K, Ref<'a, V>) {
        let mut key = entry;
        let skipped = self.index.as_ref().map_or(Ok(()), |index| (index.skip)(&mut key));
        let row = skipped.ok().and_then(|()| self.cache.get_encoded(key));
        match row {
            Some(value) => (self.decode(key), value),
            None => panic!("an index of table `{}` has an entry without a row", self.cache.name),
        }
    }
}

impl<'a, K: Key, V: Row> Iterator for Rows<'a, K, V> {
    type Item = (K, Ref<'a, V>);

    fn next(&mut self) -> Option<Self::Item> {
        self.step(false)
    }
}

impl<K: Key, V: Row> DoubleEndedIterator for Rows<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(true)
    }
}
