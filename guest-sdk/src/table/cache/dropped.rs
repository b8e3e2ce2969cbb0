//! Which committed rows a cache has dropped, as a Bloom filter.
//!
//! A cache that began with an empty table knows of every row that there is. When
//! it has to drop rows, it remembers here that they exist, at a byte and a half
//! each, so that it still need not ask for rows that are not there; which most
//! are while a table grows.

/// Words of a block; a key's bits are all in one, so a look-up touches one line
/// of the processor's cache.
const BLOCK: usize = 8;
/// Bits that a key sets in its block: with twelve bits for each key, one in a
/// hundred that is not there seems to be.
const PROBES: u32 = 6;
const BITS_PER_KEY: usize = 12;
/// Keys of the first layer; each further one takes four times as many.
const FIRST_LAYER: usize = 64;

/// A filter that grows by layers, as keys cannot be counted beforehand.
#[derive(Default)]
pub(super) struct Dropped {
    layers: Vec<Layer>,
}

struct Layer {
    blocks: Vec<[u64; BLOCK]>,
    /// How many keys it still takes.
    room: usize,
}

impl Dropped {
    /// Adds a key by its hash. `false`: it would take more bytes than `limit`.
    pub(super) fn add(&mut self, hash: u64, limit: usize) -> bool {
        if self.layers.last().is_none_or(|layer| layer.room == 0) {
            let keys = FIRST_LAYER << (2 * self.layers.len());
            let blocks = (keys * BITS_PER_KEY).div_ceil(64 * BLOCK).next_power_of_two();
            if self.bytes() + blocks * 8 * BLOCK > limit {
                return false;
            }
            self.layers.push(Layer { blocks: vec![[0; BLOCK]; blocks], room: keys });
        }
        if let Some(layer) = self.layers.last_mut() {
            let (block, bits) = layer.place(hash);
            bits.for_each(|(word, bit)| layer.blocks[block][word] |= bit);
            layer.room -= 1;
        }
        true
    }

    /// Whether a key may have been added; `false` is certain.
    pub(super) fn may_have(&self, hash: u64) -> bool {
        self.layers.iter().any(|layer| {
            let (block, mut bits) = layer.place(hash);
            let block = &layer.blocks[block];
            bits.all(|(word, bit)| block[word] & bit != 0)
        })
    }

    pub(super) fn clear(&mut self) {
        self.layers.clear();
    }

    fn bytes(&self) -> usize {
        self.layers.iter().map(|layer| layer.blocks.len() * 8 * BLOCK).sum()
    }
}

impl Layer {
    /// A key's block, and its words and bits in it.
    fn place(&self, hash: u64) -> (usize, impl Iterator<Item = (usize, u64)> + use<>) {
        let block = (hash >> 40) as usize & (self.blocks.len() - 1);
        // The look-up table of the cache goes by the same hash.
        let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bits = (0..PROBES).map(move |probe| {
            let nine = mixed >> (9 * probe + 10);
            ((nine >> 6) as usize % BLOCK, 1 << (nine % 64))
        });
        (block, bits)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    #[test]
    fn has_what_was_added_and_little_else() {
        let hasher = RandomState::new();
        let hash = |number: u32| hasher.hash_one(number);
        let mut dropped = Dropped::default();
        assert!(!dropped.may_have(hash(0)));
        assert!((0..100_000).all(|number| dropped.add(hash(number), 1 << 20)));
        assert!((0..100_000).all(|number| dropped.may_have(hash(number))));
        let wrong = (100_000..200_000).filter(|number| dropped.may_have(hash(*number))).count();
        assert!(wrong < 8_000, "{wrong} of 100,000 seem to be there");
        let more = (100_000..).take_while(|number| dropped.add(hash(*number), 1 << 20)).count();
        assert!(dropped.bytes() <= 1 << 20 && more > 10_000);
    }
}
