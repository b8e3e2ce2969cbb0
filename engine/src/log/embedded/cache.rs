//! Recently used sealed blocks, so that readers at about the same position read
//! and decode a block once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::event::{Block, Head, Position};

/// Blocks by first position, up to so many bytes; the least recently used goes
/// first.
pub(super) struct BlockCache {
    capacity: usize,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    blocks: BTreeMap<Position, Entry>,
    bytes: usize,
    clock: u64,
}

struct Entry {
    block: Arc<Block>,
    used: u64,
}

impl BlockCache {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, entries: Mutex::default() }
    }

    /// The block that contains a position.
    pub(super) fn containing(&self, position: Position) -> Option<Arc<Block>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clock += 1;
        let now = entries.clock;
        let (_, entry) = entries.blocks.range_mut(..=position).next_back()?;
        if entry.block.last() < position {
            return None;
        }
        entry.used = now;
        Some(Arc::clone(&entry.block))
    }

    pub(super) fn insert(&self, block: &Arc<Block>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clock += 1;
        let entry = Entry { block: Arc::clone(block), used: entries.clock };
        entries.bytes += size(block);
        if let Some(before) = entries.blocks.insert(block.first(), entry) {
            entries.bytes -= size(&before.block);
        }
        // There are some tens of blocks in here; looking at each is cheap
        // beside decoding the one that came in. One always stays.
        while entries.bytes > self.capacity && entries.blocks.len() > 1 {
            let oldest = entries.blocks.iter().min_by_key(|(_, entry)| entry.used).map(|(first, _)| *first);
            if let Some(entry) = oldest.and_then(|first| entries.blocks.remove(&first)) {
                entries.bytes -= size(&entry.block);
            }
        }
    }
}

/// A decoded block keeps the buffer that it was read into, where its heads lie
/// once more.
fn size(block: &Block) -> usize {
    block.bytes.len() + 2 * block.heads.len() * size_of::<Head>()
}
