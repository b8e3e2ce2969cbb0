//! Which events go together when a log is folded in parts.

use xxhash_rust::xxh3::xxh3_64;

/// One of the parts into which a projection divides its events, to fold them
/// side by side. Events with the same partition key are always in the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 0.
    pub index: usize,
    /// How many there are.
    pub count: usize,
}

impl Partition {
    /// All events in one.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Whether it is all there is.
    pub fn is_whole(self) -> bool {
        self.count == 1
    }

    /// In which of so many partitions events with this key are.
    pub fn of(key: &[u8], count: usize) -> usize {
        (xxh3_64(key) % count as u64) as usize
    }
}
