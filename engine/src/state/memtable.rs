//! Changes that have been flushed but not committed, in memory: what a replay
//! gathers, so that a commit writes a page of the file once for many of them.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher as _, RandomState},
    ops::Bound,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::{
    Change, KeyRange, TableIndex,
    records::{Address, Records},
};

/// What a runner gathers and its instance reads, never both at once.
#[derive(Clone, Default)]
pub(crate) struct Gathered(Arc<Mutex<Memtable>>);

impl Gathered {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Memtable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Changes by table and key, each as it was last.
///
/// They are found by hash and sorted when they are committed: of what is gathered,
/// most is asked for by key, much is changed again, and hardly anything is asked
/// for by range.
#[derive(Default)]
pub(crate) struct Memtable {
    /// By the tables' numbers, up to the last one that has changed.
    tables: Vec<Changed>,
}

impl Memtable {
    /// Adds changes; they count before those that are there.
    pub(crate) fn add<'a>(&mut self, changes: impl Iterator<Item = Change<'a>>) {
        for Change { table, key, value } in changes {
            for missing in self.tables.len() as TableIndex..=table {
                self.tables.push(Changed::of(missing));
            }
            self.tables[table as usize].add(key, value);
        }
    }

    /// About how many bytes it takes.
    pub(crate) fn bytes(&self) -> u64 {
        self.tables.iter().map(Changed::bytes).sum::<usize>() as u64
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tables.iter().all(|changed| changed.addresses.is_empty())
    }

    /// Whether nothing of a table has changed.
    pub(super) fn is_unchanged(&self, table: TableIndex) -> bool {
        self.tables.get(table as usize).is_none_or(|changed| changed.addresses.is_empty())
    }

    /// Whether some key of a table has a value by now.
    pub(super) fn has_values(&self, table: TableIndex) -> bool {
        self.tables.get(table as usize).is_some_and(Changed::has_values)
    }

    /// What has become of a key, which has this [`hash`]: its value, or that it was
    /// removed; `None` where it has not changed.
    pub(super) fn get(&self, table: TableIndex, key: &[u8], hash: u128) -> Option<Option<&[u8]>> {
        self.tables.get(table as usize)?.get(key, hash)
    }

    /// The changes of one table within a range of keys, in its order; its limit
    /// is the caller's to keep.
    pub(super) fn range(&mut self, table: TableIndex, range: &KeyRange) -> impl Iterator<Item = Change<'_>> {
        self.tables.get_mut(table as usize).map(|changed| changed.range(range)).into_iter().flatten()
    }

    /// All changes, by table and key.
    pub(crate) fn sorted(&self) -> impl Iterator<Item = Change<'_>> {
        self.tables.iter().flat_map(Changed::sorted)
    }
}

/// Keys come from outside, so nobody may know beforehand which are hashed alike.
static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));

/// Of this process. Keys of different tables are different.
pub(super) fn hash(table: TableIndex, key: &[u8]) -> u128 {
    xxh3_128_with_seed(key, SEED.wrapping_add(u64::from(table)))
}

/// The changes of one table.
struct Changed {
    table: TableIndex,
    addresses: HashTable<Address>,
    records: Records,
    /// How many bytes all keys have, and what all begin with.
    key_bytes: usize,
    common: Option<Vec<u8>>,
    /// The keys in order, kept once a range of them was asked for.
    ordered: Option<BTreeSet<Box<[u8]>>>,
}

impl Changed {
    fn of(table: TableIndex) -> Self {
        let (addresses, records) = (HashTable::new(), Records::default());
        Self { table, addresses, records, key_bytes: 0, common: None, ordered: None }
    }

    fn add(&mut self, key: &[u8], value: Option<&[u8]>) {
        let Self { table, addresses, records, key_bytes, common, ordered } = self;
        let hash_of = |key: &[u8]| hash(*table, key) as u64;
        let hash = hash_of(key);
        if let Some(address) = addresses.find_mut(hash, |address| records.key(*address) == key) {
            if !records.replace(*address, value) {
                *address = records.push(key, value);
            }
            return;
        }
        addresses.insert_unique(hash, records.push(key, value), |address| hash_of(records.key(*address)));
        *key_bytes += key.len();
        let common = common.get_or_insert_with(|| key.to_vec());
        common.truncate(common.iter().zip(key).take_while(|(one, other)| one == other).count());
        if let Some(ordered) = ordered {
            ordered.insert(key.into());
        }
    }

    /// Without what sorting them takes meanwhile, sixteen bytes a key.
    fn bytes(&self) -> usize {
        let ordered = self.ordered.as_ref().map_or(0, |keys| keys.len() * 64 + self.key_bytes);
        self.records.bytes() + self.addresses.capacity() * (size_of::<Address>() + 1) + ordered
    }

    fn has_values(&self) -> bool {
        self.addresses.iter().any(|address| self.records.get(*address).1.is_some())
    }

    fn get(&self, key: &[u8], hash: u128) -> Option<Option<&[u8]>> {
        let address = self.addresses.find(hash as u64, |address| self.records.key(*address) == key)?;
        Some(self.records.get(*address).1)
    }

    fn range<'a>(&'a mut self, range: &KeyRange) -> impl Iterator<Item = Change<'a>> + use<'a> {
        if self.ordered.is_none() {
            self.ordered =
                Some(self.addresses.iter().map(|address| self.records.key(*address).into()).collect());
        }
        let (start, end) = (range.start.as_deref(), range.end.as_deref());
        // The standard library takes such a range for a mistake.
        let can_hold = !matches!((start, end), (Some(start), Some(end)) if start >= end);
        let bounds =
            (start.map_or(Bound::Unbounded, Bound::Included), end.map_or(Bound::Unbounded, Bound::Excluded));
        let this = &*self;
        let keys = this.ordered.as_ref().filter(|_| can_hold).map(|keys| keys.range::<[u8], _>(bounds));
        let (mut keys, reverse) = (keys.into_iter().flatten(), range.reverse);
        std::iter::from_fn(move || {
            let key = if reverse { keys.next_back() } else { keys.next() }?;
            let value = this.get(key, hash(this.table, key)).flatten();
            Some(Change { table: this.table, key, value })
        })
    }

    /// The changes by their keys. What follows the keys' common beginning decides
    /// most comparisons.
    fn sorted(&self) -> impl Iterator<Item = Change<'_>> {
        let common = self.common.as_ref().map_or(0, Vec::len);
        let key = |address: Address| self.records.key(address);
        let mut order: Vec<(u64, Address)> =
            self.addresses.iter().map(|address| (sample(&key(*address)[common..]), *address)).collect();
        order.sort_unstable_by(|one, other| one.0.cmp(&other.0).then_with(|| key(one.1).cmp(key(other.1))));
        order.into_iter().map(|(_, address)| {
            let (key, value) = self.records.get(address);
            Change { table: self.table, key, value }
        })
    }
}

/// The beginning of a key's rest, as a number: a lower one is of a lower key.
fn sample(rest: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = rest.len().min(8);
    bytes[..length].copy_from_slice(&rest[..length]);
    u64::from_be_bytes(bytes)
}
