//! Ids, subjects, tags and correlations as numbers of one size: what the indexes know them by.
//!
//! A key is a hash of 128 bits. Two of a thousand million names meet by accident
//! once in 10^20 logs, so whoever has the same key is taken for the same. Each
//! log has a seed of its own that it tells nobody, so that nobody can choose
//! names that meet.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState},
    ops::RangeInclusive,
};

use xxhash_rust::xxh3::xxh3_128_with_seed;

/// The key of an id of one source, of a subject, of a tag or of a correlation.
pub(super) type Key = u128;

/// The lower half of a key.
const LOWER: Key = u64::MAX as Key;

/// A map by keys, which need no more hashing.
pub(super) type KeyMap<V> = HashMap<Key, V, BuildHasherDefault<AsItIs>>;

/// Makes the keys of one log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    seed: u64,
}

impl Keys {
    /// Those of a log that has this seed.
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// A seed for a new log.
    pub(super) fn seed() -> u64 {
        RandomState::new().hash_one("log")
    }

    /// A part of the keys of all ids of a source.
    pub(super) fn source(self, name: &str) -> Key {
        self.key(1, name.as_bytes())
    }

    /// An id of a source; see [`source`](Self::source). The upper half is the
    /// id's alone, so that it is found whichever its source.
    pub(super) fn id(self, source: Key, id: &[u8]) -> Key {
        let id = self.key(2, id);
        (id & !LOWER) | (id.wrapping_add(source) & LOWER)
    }

    /// The keys of an id, whichever its source.
    pub(super) fn ids(self, id: &[u8]) -> RangeInclusive<Key> {
        let id = self.key(2, id);
        id & !LOWER..=id | LOWER
    }

    pub(super) fn subject(self, name: &[u8]) -> Key {
        self.key(3, name)
    }

    pub(super) fn tag(self, name: &str) -> Key {
        self.key(4, name.as_bytes())
    }

    /// What the event belongs to, as its `correlationid` says.
    pub(super) fn correlation(self, id: &str) -> Key {
        self.key(5, id.as_bytes())
    }

    /// `kind`: what the bytes are; an id may read like a subject.
    fn key(self, kind: u64, bytes: &[u8]) -> Key {
        xxh3_128_with_seed(bytes, self.seed.wrapping_add(kind.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}

/// A key is a hash already.
#[derive(Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are numbers");
    }
}
