//! A table in a hash map, with what changed since the last flush.

use std::{
    borrow::Borrow,
    hash::{BuildHasher, Hash},
    ops::Range,
};

use anyhow::Result;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use serde::Serialize;

/// What a flush returns: keys and values in one buffer.
#[derive(Default)]
pub(crate) struct Changes {
    list: Vec<(u32, Range<usize>, Option<Range<usize>>)>,
    bytes: Vec<u8>,
}

impl Changes {
    pub(crate) fn put(&mut self, table: u32, key: &impl Key, value: &impl Serialize) -> Result<()> {
        let key = self.key(key);
        let start = self.bytes.len();
        rmp_serde::encode::write_named(&mut self.bytes, value)?;
        self.list.push((table, key, Some(start..self.bytes.len())));
        Ok(())
    }

    /// An entry of an index, which has no value.
    pub(crate) fn put_empty(&mut self, table: u32, key: &impl Key) {
        let key = self.key(key);
        self.list.push((table, key, Some(0..0)));
    }

    pub(crate) fn remove(&mut self, table: u32, key: &impl Key) {
        let key = self.key(key);
        self.list.push((table, key, None));
    }

    fn key(&mut self, key: &impl Key) -> Range<usize> {
        let start = self.bytes.len();
        key.encode(&mut self.bytes);
        start..self.bytes.len()
    }

    /// By table and key, as the store takes them fastest.
    pub(crate) fn sort(&mut self) {
        let bytes = &self.bytes;
        self.list
            .sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| bytes[a.1.clone()].cmp(&bytes[b.1.clone()])));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &[u8], Option<&[u8]>)> {
        let slice = |range: &Range<usize>| &self.bytes[range.clone()];
        self.list.iter().map(move |(table, key, value)| (*table, slice(key), value.as_ref().map(slice)))
    }
}

/// What can be a key, in the tuple encoding that the tables have.
pub(crate) trait Key {
    fn encode(&self, out: &mut Vec<u8>);
}

impl Key for u64 {
    fn encode(&self, out: &mut Vec<u8>) {
        let length = 8 - self.leading_zeros() as usize / 8;
        out.push(0x14 + length as u8);
        out.extend_from_slice(&self.to_be_bytes()[8 - length..]);
    }
}

impl Key for i64 {
    fn encode(&self, out: &mut Vec<u8>) {
        if *self >= 0 {
            return self.unsigned_abs().encode(out);
        }
        let length = 8 - self.unsigned_abs().leading_zeros() as usize / 8;
        out.push(0x14 - length as u8);
        out.extend_from_slice(&(!self.unsigned_abs()).to_be_bytes()[8 - length..]);
    }
}

impl Key for String {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(0x02);
        for part in self.as_bytes().split_inclusive(|byte| *byte == 0) {
            out.extend_from_slice(part);
            if part.ends_with(&[0]) {
                out.push(0xff);
            }
        }
        out.push(0);
    }
}

macro_rules! tuple_key {
    ($($part:ident),*) => {
        impl<$($part: Key),*> Key for ($($part,)*) {
            fn encode(&self, out: &mut Vec<u8>) {
                #[allow(non_snake_case, reason = "named as their types")]
                let ($($part,)*) = self;
                $($part.encode(out);)*
            }
        }
    };
}

tuple_key!(A, B);
tuple_key!(A, B, C);
tuple_key!(A, B, C, D);

struct Row<K, V> {
    key: K,
    /// None: removed.
    value: Option<V>,
    dirty: bool,
    /// Whether the store has it.
    stored: bool,
}

/// A table of rows in a hash map.
pub(crate) struct Rows<K, V> {
    lookup: HashTable<u32>,
    rows: Vec<Row<K, V>>,
    dirty: Vec<u32>,
}

impl<K, V> Default for Rows<K, V> {
    fn default() -> Self {
        Self { lookup: HashTable::new(), rows: Vec::new(), dirty: Vec::new() }
    }
}

fn hash(key: &(impl Hash + ?Sized)) -> u64 {
    FixedState::with_seed(0).hash_one(key)
}

#[allow(dead_code, reason = "not every fold does everything")]
impl<K: Key + Hash + Eq, V: Serialize> Rows<K, V> {
    fn find<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        let is_it = |number: &u32| self.rows[*number as usize].key.borrow() == key;
        self.lookup.find(hash(key), is_it).map(|number| *number as usize)
    }

    /// The row's number, marked as changed.
    fn changed<Q: Hash + Eq + ToOwned<Owned = K> + ?Sized>(&mut self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        let number = match self.find(key) {
            Some(number) => number,
            None => {
                let number = self.rows.len() as u32;
                self.rows.push(Row { key: key.to_owned(), value: None, dirty: false, stored: false });
                let rows = &self.rows;
                self.lookup
                    .insert_unique(hash(key), number, |other| hash(rows[*other as usize].key.borrow()));
                number as usize
            }
        };
        if !std::mem::replace(&mut self.rows[number].dirty, true) {
            self.dirty.push(number as u32);
        }
        number
    }

    pub(crate) fn entry<Q: Hash + Eq + ToOwned<Owned = K> + ?Sized>(&mut self, key: &Q) -> &mut V
    where
        K: Borrow<Q>,
        V: Default,
    {
        let number = self.changed(key);
        self.rows[number].value.get_or_insert_with(V::default)
    }

    pub(crate) fn insert<Q: Hash + Eq + ToOwned<Owned = K> + ?Sized>(&mut self, key: &Q, value: V)
    where
        K: Borrow<Q>,
    {
        let number = self.changed(key);
        self.rows[number].value = Some(value);
    }

    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.find(key).and_then(|number| self.rows[number].value.as_ref())
    }

    pub(crate) fn remove<Q: Hash + Eq + ToOwned<Owned = K> + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.find(key)?;
        let number = self.changed(key);
        self.rows[number].value.take()
    }

    /// Shows `see` each changed row before it is flushed.
    pub(crate) fn each_changed(&mut self, mut see: impl FnMut(&K, &mut Option<V>)) {
        for number in &self.dirty {
            let row = &mut self.rows[*number as usize];
            see(&row.key, &mut row.value);
        }
    }

    pub(crate) fn flush(&mut self, table: u32, changes: &mut Changes) -> Result<()> {
        for number in self.dirty.drain(..) {
            let row = &mut self.rows[number as usize];
            row.dirty = false;
            match &row.value {
                Some(value) => changes.put(table, &row.key, value)?,
                None if row.stored => changes.remove(table, &row.key),
                None => {}
            }
            row.stored = row.value.is_some();
        }
        Ok(())
    }

    /// About what a flush would return.
    pub(crate) fn dirty_bytes(&self) -> usize {
        self.dirty.len() * (size_of::<K>() + size_of::<V>() + 16)
    }
}
