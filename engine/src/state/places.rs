//! In which of a version's partitions keys were found, so that reads of one need
//! not look into all of them.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::TableIndex;

/// How many keys it remembers at most, at eight bytes each.
const PLACES: usize = 1 << 15;
/// The bits of a place that tell the partition, plus one; zero: the place is free.
/// The others are those of the key's hash.
const PARTITION: u64 = 0xff;

/// Where keys were found last. It may forget any, and a key that it confuses with
/// another is looked for where that one is; so what it says is to be tried first.
/// That a key has come into a second partition, against the rule, it does not notice.
#[derive(Default)]
pub(super) struct Places(OnceLock<Box<[AtomicU64]>>);

impl Places {
    /// What it knows a key by.
    pub(super) fn hash(table: TableIndex, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, u64::from(table))
    }

    /// The partition where a key of this hash was found.
    pub(super) fn get(&self, hash: u64) -> Option<usize> {
        let place = self.0.get()?[hash as usize % PLACES].load(Ordering::Relaxed);
        let is_it = (place ^ hash) & !PARTITION == 0;
        is_it.then_some((place & PARTITION) as usize)?.checked_sub(1)
    }

    /// Notes where one was found.
    pub(super) fn set(&self, hash: u64, partition: usize) {
        let places = self.0.get_or_init(|| (0..PLACES).map(|_| AtomicU64::new(0)).collect());
        if let Some(number) = u64::try_from(partition + 1).ok().filter(|number| *number <= PARTITION) {
            places[hash as usize % PLACES].store(hash & !PARTITION | number, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_where_a_key_was_found_and_confuses_few() {
        let places = Places::default();
        let hash = |number: u32| Places::hash(3, &number.to_be_bytes());
        assert_eq!(places.get(hash(1)), None);
        (0..1000).for_each(|number| places.set(hash(number), number as usize % 4));
        let kept = (0..1000).filter(|number| places.get(hash(*number)) == Some(*number as usize % 4));
        assert!(kept.count() > 900, "few have one place");
        assert!((1000..100_000).all(|number| places.get(hash(number)).is_none()));
        places.set(hash(1), 3);
        assert_eq!(places.get(hash(1)), Some(3));
        places.set(hash(2), 300);
        assert_eq!(places.get(hash(2)), Some(2), "it has no number for that many");
    }
}
