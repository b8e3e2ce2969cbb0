//! Events of rare types, kept once more apart from their blocks, so that who
//! wants only such types need not read the blocks.
//!
//! Sealing a block copies the events of each of its rare types together. A
//! reader goes from copy to copy; where one of its types is frequent there is
//! none, and the reader takes the whole block instead.

use std::ops::RangeInclusive;

use redb::{ReadOnlyTable, Table};

use super::{
    super::{LogError, Rare, block},
    tables::{Doing, block_of, type_key, type_prefix},
};
use crate::event::{Block, BlockBuilder, Head, Position};

/// A type is rare in a block if at most one of so many of its events has it.
const ONE_IN: usize = 64;

/// All copies together take at most this part of the block's bytes.
const PART: usize = 8;

/// Of more types than this, one is likely to be frequent.
const MOST_TYPES: usize = 16;

/// A reader looks at so many blocks at a time, so that others get their turn.
const BLOCKS_AT_ONCE: usize = 1024;

const ACTION: &str = "read its file";

pub(super) type Copies = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// Copies the events of a block's rare types.
pub(super) fn seal(
    copies: &mut Table<'_, &'static [u8], &'static [u8]>,
    block: &Block,
) -> Result<(), redb::StorageError> {
    let mut by_type: Vec<Vec<&Head>> = vec![Vec::new(); block.names.len()];
    for head in block.heads.iter() {
        by_type[head.event_type as usize].push(head);
    }
    by_type.retain(|heads| !heads.is_empty() && heads.len() * ONE_IN <= block.len());
    by_type.sort_by_key(|heads| heads.len());
    let mut room = block.bytes.len() / PART;
    let mut encoded = Vec::new();
    for heads in by_type {
        let mut builder = BlockBuilder::new();
        heads.iter().for_each(|head| builder.copy(block, head));
        encoded.clear();
        block::encode(&builder.build(), &mut encoded);
        let Some(rest) = room.checked_sub(encoded.len()) else { break };
        room = rest;
        let prefix = type_prefix(block.name(heads[0].event_type));
        copies.insert(&type_key(&prefix, block.first())[..], &encoded[..])?;
    }
    Ok(())
}

/// The events of these types within the given positions, and up to where they
/// are all; `None` if one of the types is frequent at the first position.
///
/// `lowest` is where the block of the first position begins, `limit` how many
/// events are enough.
pub(super) fn read(
    blocks_of: &ReadOnlyTable<&'static [u8], ()>,
    copies: &Copies,
    types: &[String],
    lowest: Position,
    within: RangeInclusive<Position>,
    limit: usize,
) -> Result<Option<Rare>, LogError> {
    if types.len() > MOST_TYPES {
        return Ok(None);
    }
    let (from, to) = (*within.start(), *within.end());
    let mut places = Vec::new();
    for name in types {
        let prefix = type_prefix(name);
        let (low, high) = (type_key(&prefix, lowest), type_key(&prefix, to));
        let mut blocks = blocks_of.range::<&[u8]>(&low[..]..=&high[..]).doing(ACTION)?;
        let mut next = move || -> Result<Option<Position>, LogError> {
            Ok(blocks.next().transpose().doing(ACTION)?.map(|(key, _)| block_of(key.value())))
        };
        places.push((prefix, next()?, next));
    }
    let mut builder = BlockBuilder::new();
    let mut complete_to = to;
    for visited in 0.. {
        let Some(first) = places.iter().filter_map(|(_, at, _)| *at).min() else { break };
        if builder.len() >= limit || visited == BLOCKS_AT_ONCE {
            complete_to = first - 1;
            break;
        }
        let mut here = Vec::new();
        for (prefix, at, next) in places.iter_mut().filter(|(_, at, _)| *at == Some(first)) {
            match copies.get(&type_key(prefix, first)[..]).doing(ACTION)? {
                Some(copy) => here.push(decode(copy.value(), first)?),
                None => {
                    complete_to = first - 1;
                    break;
                }
            }
            *at = next()?;
        }
        if complete_to < to {
            break;
        }
        append(&mut builder, &here, &within);
    }
    Ok((complete_to >= from).then(|| Rare { events: builder.build(), to: complete_to }))
}

fn decode(copy: &[u8], first: Position) -> Result<Block, LogError> {
    let copy = bytes::Bytes::copy_from_slice(copy);
    block::decode_some(&copy, first).map_err(|reason| LogError::Damaged { position: first, reason })
}

/// Adds the events of copies from one block in the order of their positions.
fn append(builder: &mut BlockBuilder, copies: &[Block], within: &RangeInclusive<Position>) {
    let mut heads: Vec<(&Head, &Block)> =
        copies.iter().flat_map(|copy| copy.heads.iter().map(move |head| (head, copy))).collect();
    heads.retain(|(head, _)| within.contains(&head.position));
    heads.sort_unstable_by_key(|(head, _)| head.position);
    heads.into_iter().for_each(|(head, copy)| builder.copy(copy, head));
}
