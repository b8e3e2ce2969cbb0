//! Which keys a sorted run does not have, told without looking into it: a Bloom
//! filter whose bits for one key lie in one line of the processor's cache.

/// A key as filters know it: a hash of 128 bits.
type Key = u128;

/// A line of 512 bits.
const LINE: usize = 64;
const BITS_A_KEY: u64 = 14;
/// How many bits a key sets.
const PROBES: u32 = 7;

/// At most so many bytes a filter takes. A run with more keys has none: it has to
/// be looked into.
const MOST_BYTES: u64 = 64 << 20;

/// A filter, as the log keeps it on disk too. Empty, it knows nothing.
#[derive(Debug, Default)]
pub(crate) struct Filter(Vec<u8>);

impl Filter {
    /// A filter that will take about so many keys.
    pub(crate) fn with_room_for(keys: u64) -> Self {
        let bytes = (keys.saturating_mul(BITS_A_KEY) / 8 + 1).next_multiple_of(LINE as u64);
        Self(if bytes <= MOST_BYTES { vec![0; bytes as usize] } else { Vec::new() })
    }

    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn insert(&mut self, key: Key) {
        if let Some(line) = self.line(key) {
            let line = &mut self.0[line..][..LINE];
            bits(key).for_each(|bit| line[bit / 8] |= 1 << (bit % 8));
        }
    }

    /// Whether a key may be among those inserted.
    pub(crate) fn may_hold(&self, key: Key) -> bool {
        self.line(key).is_none_or(|line| {
            let line = &self.0[line..][..LINE];
            bits(key).all(|bit| line[bit / 8] & 1 << (bit % 8) != 0)
        })
    }

    /// Where a key's line begins.
    fn line(&self, key: Key) -> Option<usize> {
        let lines = (self.0.len() / LINE) as u128;
        let line = (u128::from(key as u64) * lines) >> 64;
        (lines > 0).then_some(line as usize * LINE)
    }
}

/// A key's bits within its line, from the half that did not choose the line.
fn bits(key: Key) -> impl Iterator<Item = usize> {
    let high = (key >> 64) as u64;
    (0..PROBES).map(move |probe| (high >> (9 * probe)) as usize % (8 * LINE))
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_128;

    use super::*;

    #[test]
    fn knows_its_keys_and_hardly_any_other() {
        let key = |number: u32| xxh3_128(&number.to_le_bytes());
        let mut filter = Filter::with_room_for(10_000);
        (0..10_000).for_each(|number| filter.insert(key(number)));
        assert!((0..10_000).all(|number| filter.may_hold(key(number))));
        let wrong = (10_000..20_000).filter(|number| filter.may_hold(key(*number))).count();
        assert!(wrong < 100, "{wrong} of 10,000");
        assert!(Filter::with_room_for(u64::MAX).may_hold(key(1)));
    }
}
