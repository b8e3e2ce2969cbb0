//! The index entries of full blocks. They are written sorted, since a B-tree
//! takes sorted keys several times faster than others.

use std::sync::Arc;

use redb::WriteTransaction;

use super::{
    super::{LogError, index::id_key},
    rare,
    tables::{Doing, IDS, INDEX, META, RARE, SEALED, Term, index_key},
};
use crate::event::{Block, Position, Span};

const ACTION: &str = "seal full blocks";

/// Enters the events of blocks, which follow one another, into the index.
pub(super) fn seal(transaction: &WriteTransaction, blocks: &[&Arc<Block>]) -> Result<(), LogError> {
    let mut ids = transaction.open_table(IDS).doing(ACTION)?;
    for (key, position) in id_entries(blocks) {
        ids.insert(&key[..], position).doing(ACTION)?;
    }
    let mut index = transaction.open_table(INDEX).doing(ACTION)?;
    let mut entries = Vec::new();
    for block in blocks {
        index_entries(block, &mut entries);
    }
    entries.sort_unstable();
    for (key, value) in &entries {
        index.insert(&key[..], &value[..]).doing(ACTION)?;
    }
    let mut copies = transaction.open_table(RARE).doing(ACTION)?;
    for block in blocks {
        rare::seal(&mut copies, block).doing(ACTION)?;
    }
    let mut meta = transaction.open_table(META).doing(ACTION)?;
    if let Some(last) = blocks.last() {
        meta.insert(SEALED, last.last()).doing(ACTION)?;
    }
    Ok(())
}

fn id_entries(blocks: &[&Arc<Block>]) -> Vec<(Vec<u8>, Position)> {
    let mut entries = Vec::with_capacity(blocks.iter().map(|block| block.len()).sum());
    for block in blocks {
        for head in block.heads.iter() {
            let mut key = Vec::new();
            id_key(block.name(head.source), text(block, head.id), &mut key);
            entries.push((key, head.position));
        }
    }
    entries.sort_unstable();
    entries
}

fn index_entries(block: &Block, entries: &mut Vec<(Vec<u8>, Vec<u8>)>) {
    let mut subjects = Vec::new();
    let mut tags = Vec::new();
    let mut last_of_type = vec![None; block.names.len()];
    for (place, head) in block.heads.iter().enumerate() {
        // A full block has fewer than 65,536 events (see `LogSettings::sane`).
        let place = place as u16;
        if head.subject.length > 0 {
            subjects.push((text(block, head.subject), place));
        }
        tags.extend(block.tags(head).into_iter().map(|tag| (tag, place)));
        last_of_type[head.event_type as usize] = Some(place);
    }
    let first = block.first();
    subjects.sort_unstable();
    for events in subjects.chunk_by(|one, other| one.0 == other.0) {
        let (name, last) = events[events.len() - 1];
        let mut value = block.heads[usize::from(last)].version.to_le_bytes().to_vec();
        value.extend(events.iter().flat_map(|(_, place)| place.to_le_bytes()));
        entries.push((index_key(&Term::Subject(name).prefix(), first), value));
    }
    tags.sort_unstable();
    tags.dedup();
    for events in tags.chunk_by(|one, other| one.0 == other.0) {
        let value = events.iter().flat_map(|(_, place)| place.to_le_bytes()).collect();
        entries.push((index_key(&Term::Tag(&events[0].0).prefix(), first), value));
    }
    for (name, last) in block.names.iter().zip(last_of_type) {
        if let Some(place) = last {
            entries.push((index_key(&Term::Type(name).prefix(), first), place.to_le_bytes().to_vec()));
        }
    }
}

fn text(block: &Block, span: Span) -> &str {
    std::str::from_utf8(block.slice(span)).unwrap_or_default()
}
