//! The rows of a table that are at hand, and which of them changed.
//!
//! A cached row is a slot; slots keep their numbers, so that lists can refer to
//! them. Changed rows stay until they are flushed; others may be dropped
//! between events by a clock, which spares what was used since it last came by.
//! A row known to be absent is a slot too, unless the cache knows of all rows of
//! the table: then what it neither holds nor has dropped is not there, and it need
//! not ask.

mod dropped;
mod flush;
mod tidy;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    hash::{BuildHasher, Hasher},
    rc::Rc,
};

use dropped::Dropped;
pub(crate) use flush::Changes;
use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::{
    index::{IndexSpec, Indexes},
    key_bytes::KeyBytes,
    value::{Held, Ref, Row},
};
use crate::context::Context;

/// What is known of the rows that are committed.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    /// The host was not asked yet.
    Nothing,
    /// There are none.
    Vacant,
    /// There are some, all of them cached or noted as dropped.
    All,
    /// There are some, and perhaps others than those cached.
    Some,
}

/// What is known of one row's committed state.
#[derive(Clone, Copy, PartialEq)]
enum Presence {
    Unknown,
    Absent,
    Present,
}

pub(super) struct Slot<V> {
    hash: u64,
    key: KeyBytes,
    pub(super) value: Option<V>,
    /// How long the value was when last encoded.
    encoded: u32,
    /// What the slot adds to the cache's size.
    cost: u32,
    committed: Presence,
    free: bool,
    dirty: bool,
    /// The indexes do not know its value yet.
    pub(super) unsettled: Cell<bool>,
    used: Cell<bool>,
}

impl<V> Slot<V> {
    pub(super) fn key(&self) -> &[u8] {
        self.key.as_slice()
    }
}

/// A row that was read through a shared reference.
struct Missed<V> {
    value: Option<Rc<V>>,
    encoded: usize,
}

pub(crate) struct Cache<V> {
    pub(super) context: Rc<Context>,
    pub(super) name: &'static str,
    pub(super) number: u32,
    lookup: HashTable<u32>,
    pub(super) slots: Vec<Slot<V>>,
    free: Vec<u32>,
    dirty: Vec<u32>,
    hand: usize,
    held: usize,
    known: Cell<Known>,
    /// The committed rows that are not cached, if all are known.
    dropped: Dropped,
    /// It has been read from. A table that is only written has no use for rows
    /// once they are flushed.
    has_readers: Cell<bool>,
    /// Where keys are encoded, so that a look-up allocates nothing.
    scratch: Cell<Vec<u8>>,
    missed: RefCell<BTreeMap<Vec<u8>, Missed<V>>>,
    missed_bytes: Cell<usize>,
    /// The dirty rows in order, once a range was read since the last flush.
    ordered: RefCell<Option<BTreeMap<Vec<u8>, u32>>>,
    pub(super) indexes: Indexes<V>,
}

#[inline]
fn hash(key: &[u8]) -> u64 {
    // The same in every run and on every machine.
    let mut hasher = FixedState::with_seed(0x70_72_6f_6a).build_hasher();
    hasher.write(key);
    hasher.finish()
}

impl<V> Cache<V> {
    pub(super) fn new(
        context: &Rc<Context>,
        name: &'static str,
        number: u32,
        indexes: Vec<IndexSpec<V>>,
    ) -> Self {
        Self {
            context: context.clone(),
            name,
            number,
            lookup: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            dirty: Vec::new(),
            hand: 0,
            held: 0,
            known: Cell::new(Known::Nothing),
            dropped: Dropped::default(),
            has_readers: Cell::new(false),
            scratch: Cell::default(),
            missed: RefCell::default(),
            missed_bytes: Cell::new(0),
            ordered: RefCell::default(),
            indexes: Indexes::new(indexes),
        }
    }
}

impl<V: Row> Cache<V> {
    /// Encodes a key into the scratch buffer and works with it.
    #[inline]
    fn with_key<T>(&self, encode: impl FnOnce(&mut Vec<u8>), work: impl FnOnce(&[u8]) -> T) -> T {
        let mut key = self.scratch.take();
        key.clear();
        encode(&mut key);
        let result = work(&key);
        self.scratch.set(key);
        result
    }

    /// The same, with the cache to change.
    #[inline]
    fn with_key_mut<T>(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>),
        work: impl FnOnce(&mut Self, &[u8]) -> T,
    ) -> T {
        let mut key = self.scratch.take();
        key.clear();
        encode(&mut key);
        let result = work(self, &key);
        self.scratch.set(key);
        result
    }

    #[inline]
    fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let is_it = |number: &u32| {
            let slot = &self.slots[*number as usize];
            slot.hash == hash && slot.key.is(key)
        };
        self.lookup.find(hash, is_it).map(|number| *number as usize)
    }

    pub(super) fn get(&self, encode: impl FnOnce(&mut Vec<u8>)) -> Option<Ref<'_, V>> {
        self.with_key(encode, |key| self.get_encoded(key))
    }

    pub(super) fn get_encoded(&self, key: &[u8]) -> Option<Ref<'_, V>> {
        self.has_readers.set(true);
        let hash = hash(key);
        match self.find(hash, key) {
            Some(number) => {
                let slot = &self.slots[number];
                slot.used.set(true);
                slot.value.as_ref().map(|value| Ref(Held::Cached(value)))
            }
            None if self.knows_absent(hash) => None,
            None => self.read(key),
        }
    }

    /// Reads a committed row through a shared reference. What it finds goes
    /// into the cache when the cache can be changed again.
    #[cold]
    fn read(&self, key: &[u8]) -> Option<Ref<'_, V>> {
        let mut all_missed = self.missed.borrow_mut();
        if let Some(missed) = all_missed.get(key) {
            return missed.value.clone().map(|value| Ref(Held::Read(value)));
        }
        let bytes = self.context.committed.get(self.number, key);
        let value = bytes.as_ref().map(|bytes| Rc::new(self.decode(bytes)));
        let encoded = bytes.map_or(0, |bytes| bytes.len());
        let waiting = self.missed_bytes.get() + key.len() + encoded + 64;
        if waiting <= self.context.admission() {
            all_missed.insert(key.to_vec(), Missed { value: value.clone(), encoded });
            self.missed_bytes.set(waiting);
            self.context.missed.set(true);
        }
        value.map(|value| Ref(Held::Read(value)))
    }

    pub(super) fn get_mut(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> Option<&mut V> {
        let number = self.with_key_mut(encode, |cache, key| cache.find_or_read(hash(key), key))?;
        self.slots[number].value.as_ref()?;
        self.change(number);
        self.slots[number].value.as_mut()
    }

    #[inline]
    pub(super) fn entry(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> &mut V
    where
        V: Default,
    {
        let number = self.with_key_mut(encode, |cache, key| {
            let hash = hash(key);
            let found = cache.find_or_read(hash, key);
            found.unwrap_or_else(|| cache.add(hash, key, None, Presence::Absent, 0))
        });
        self.change(number);
        self.slots[number].value.get_or_insert_with(V::default)
    }

    pub(super) fn set(&mut self, encode: impl FnOnce(&mut Vec<u8>), value: Option<V>) {
        let number = self.with_key_mut(encode, |cache, key| cache.find_to_set(key, value.is_some()));
        if let Some(number) = number {
            self.change(number);
            self.slots[number].value = value;
        }
    }

    pub(super) fn take(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> Option<V> {
        let number = self.with_key_mut(encode, |cache, key| cache.find_or_read(hash(key), key))?;
        self.slots[number].value.as_ref()?;
        self.change(number);
        self.slots[number].value.take()
    }

    /// The row's slot, read from committed state if need be. None if the cache
    /// knows that it is not there.
    #[inline]
    fn find_or_read(&mut self, hash: u64, key: &[u8]) -> Option<usize> {
        self.has_readers.set(true);
        match self.find(hash, key) {
            None if self.knows_absent(hash) => None,
            None => self.add_read(hash, key),
            found => found,
        }
    }

    #[cold]
    fn add_read(&mut self, hash: u64, key: &[u8]) -> Option<usize> {
        if !self.missed.get_mut().is_empty() {
            self.admit();
            if let Some(number) = self.find(hash, key) {
                return Some(number);
            }
        }
        let number = match self.context.committed.get(self.number, key) {
            None => self.add(hash, key, None, Presence::Absent, 0),
            Some(bytes) => self.add(hash, key, Some(self.decode(&bytes)), Presence::Present, bytes.len()),
        };
        Some(number)
    }

    /// A slot whose value is about to be replaced, so that only an index would
    /// want to know the old one. None where there is nothing to remove.
    fn find_to_set(&mut self, key: &[u8], to_some: bool) -> Option<usize> {
        let hash = hash(key);
        let found = match self.indexes.is_empty() {
            false => self.find_or_read(hash, key),
            true => self.find(hash, key),
        };
        if found.is_some() {
            return found;
        }
        if self.knows_absent(hash) {
            return to_some.then(|| self.add(hash, key, None, Presence::Absent, 0));
        }
        Some(self.add(hash, key, None, Presence::Unknown, 0))
    }

    fn decode(&self, bytes: &[u8]) -> V {
        match rmp_serde::from_slice(bytes) {
            Ok(value) => value,
            Err(error) => panic!(
                "table `{}` holds a value that is not a {}: {error}; does what the type serializes to deserialize again?",
                self.name,
                std::any::type_name::<V>()
            ),
        }
    }

    /// A committed value that was read in a scan.
    pub(super) fn value(&self, bytes: &[u8]) -> Ref<'_, V> {
        Ref(Held::Owned(self.decode(bytes)))
    }

    /// Whether a row that is not cached is certainly not there.
    #[inline]
    fn knows_absent(&self, hash: u64) -> bool {
        let known = if self.context.asks_first { self.ask() } else { self.known.get() };
        match known {
            Known::Vacant => true,
            Known::All => !self.dropped.may_have(hash),
            Known::Some | Known::Nothing => false,
        }
    }

    /// Whether nothing is committed.
    pub(super) fn is_vacant(&self) -> bool {
        self.has_readers.set(true);
        self.ask() == Known::Vacant
    }

    fn ask(&self) -> Known {
        if self.known.get() == Known::Nothing {
            let empty = self.context.committed.is_empty(self.number);
            self.known.set(if empty { Known::Vacant } else { Known::Some });
        }
        self.known.get()
    }

    fn add(&mut self, hash: u64, key: &[u8], value: Option<V>, committed: Presence, encoded: usize) -> usize {
        let mut slot = Slot {
            hash,
            key: KeyBytes::new(key),
            value,
            encoded: encoded as u32,
            cost: 0,
            committed,
            free: false,
            dirty: false,
            unsettled: Cell::new(false),
            used: Cell::new(true),
        };
        slot.cost = cost(&slot);
        self.held += slot.cost as usize;
        self.context.hold(slot.cost as usize);
        let number = match self.free.pop() {
            Some(number) => {
                self.slots[number as usize] = slot;
                number
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        let slots = &self.slots;
        self.lookup.insert_unique(hash, number, |number| slots[*number as usize].hash);
        number as usize
    }

    /// Notes that a row is about to change.
    #[inline]
    fn change(&mut self, number: usize) {
        let slot = &mut self.slots[number];
        slot.used.set(true);
        if !self.indexes.is_empty() && !slot.unsettled.replace(true) {
            self.indexes.remember(number as u32, slot.value.as_ref());
        }
        if !slot.dirty {
            slot.dirty = true;
            self.dirty.push(number as u32);
            let value = if slot.encoded == 0 { size_of::<V>() } else { slot.encoded as usize };
            let indexed = self.indexes.len() * 64;
            let bytes = slot.key().len() + value + indexed + 16;
            self.context.dirty.set(self.context.dirty.get() + bytes);
            if let Some(ordered) = self.ordered.get_mut() {
                ordered.insert(slot.key().to_vec(), number as u32);
            }
        }
    }

    /// The first (or last) changed row in a range of keys: its slot.
    pub(super) fn changed(
        &self,
        start: &[u8],
        end: Option<&[u8]>,
        reverse: bool,
    ) -> Option<(Vec<u8>, usize)> {
        if self.dirty.is_empty() {
            return None;
        }
        let mut ordered = self.ordered.borrow_mut();
        let ordered = ordered.get_or_insert_with(|| {
            self.dirty.iter().map(|number| (self.slots[*number as usize].key().to_vec(), *number)).collect()
        });
        let (key, number) = super::rows::first_in(ordered, start, end, reverse)?;
        Some((key.clone(), *number as usize))
    }
}

/// About what a slot takes: itself twice over, as vectors grow by doubling, and
/// what its key and value own.
fn cost<V>(slot: &Slot<V>) -> u32 {
    let owned = if std::mem::needs_drop::<V>() { 2 * slot.encoded as usize } else { 0 };
    let bytes = size_of::<Slot<V>>() * 3 / 2 + 8 + slot.key.heap_bytes() + owned;
    bytes.try_into().unwrap_or(u32::MAX)
}
