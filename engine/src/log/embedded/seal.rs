//! The index entries of full blocks. They are written sorted, since a B-tree
//! takes sorted keys several times faster than others.

use std::sync::Arc;

use redb::WriteTransaction;

use super::{
    super::{LogError, keys::Keys, prepared::of_block},
    merge::Merges,
    rare,
    runs::{Entry, Filters},
    tables::{Doing, META, RARE, SEALED, TYPES, type_key, type_prefix},
};
use crate::event::Block;

const ACTION: &str = "seal full blocks";

/// Enters the events of blocks, which follow one another, into the index.
pub(super) fn seal(
    transaction: &WriteTransaction,
    blocks: &[&Arc<Block>],
    keys: Keys,
    merges: &mut Merges,
    filters: &Filters,
) -> Result<(), LogError> {
    let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else { return Ok(()) };
    let entries = sorted_entries(blocks, keys);
    merges.seal(transaction, filters, (first.first(), last.last()), &entries).doing(ACTION)?;
    let mut types = transaction.open_table(TYPES).doing(ACTION)?;
    for block in blocks {
        let mut is_there = vec![false; block.names.len()];
        block.heads.iter().for_each(|head| is_there[head.event_type as usize] = true);
        for (name, _) in block.names.iter().zip(is_there).filter(|(_, is_there)| *is_there) {
            types.insert(&type_key(&type_prefix(name), block.first())[..], ()).doing(ACTION)?;
        }
    }
    let mut copies = transaction.open_table(RARE).doing(ACTION)?;
    for block in blocks {
        rare::seal(&mut copies, block).doing(ACTION)?;
    }
    let mut meta = transaction.open_table(META).doing(ACTION)?;
    meta.insert(SEALED, last.last()).doing(ACTION)?;
    Ok(())
}

/// The entries of ids, subjects, tags and correlations.
fn sorted_entries(blocks: &[&Arc<Block>], keys: Keys) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(2 * blocks.iter().map(|block| block.len()).sum::<usize>());
    for block in blocks {
        for (head, keys) in block.heads.iter().zip(of_block(keys, block)) {
            let entry = |key| Entry { key, position: head.position, version: head.version };
            let all = [keys.id].into_iter().chain(keys.subject).chain(keys.tags).chain(keys.correlation);
            entries.extend(all.map(entry));
        }
    }
    entries.sort_unstable();
    // An event may repeat a tag.
    entries.dedup();
    entries
}
