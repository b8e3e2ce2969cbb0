//! Reading the sealed part of the log through its index.

use std::{cmp, sync::Arc};

use redb::{Database, ReadOnlyTable, ReadableDatabase};

use super::{
    super::{
        LogError, Rare,
        matcher::{Query, between},
    },
    cache::BlockCache,
    rare,
    tables::{
        BLOCKS, Doing, IDS, INDEX, RARE, Term, block_after, block_before, block_of, index_key, places,
        read_block, version,
    },
};
use crate::event::{Block, Head, Position};

const ACTION: &str = "read its file";

/// The sealed part as it was at one moment. Sealing goes on meanwhile, but what
/// was sealed then stays as it is, and nothing later is looked at.
pub(super) struct Sealed<'a> {
    blocks: ReadOnlyTable<(Position, u32), &'static [u8]>,
    ids: ReadOnlyTable<&'static [u8], Position>,
    index: ReadOnlyTable<&'static [u8], &'static [u8]>,
    rare: rare::Copies,
    cache: &'a BlockCache,
    /// The last sealed position.
    to: Position,
}

impl<'a> Sealed<'a> {
    /// `to`: up to where the log was sealed at some moment before this call.
    pub(super) fn open(database: &Database, cache: &'a BlockCache, to: Position) -> Result<Self, LogError> {
        let transaction = database.begin_read().doing(ACTION)?;
        Ok(Self {
            blocks: transaction.open_table(BLOCKS).doing(ACTION)?,
            ids: transaction.open_table(IDS).doing(ACTION)?,
            index: transaction.open_table(INDEX).doing(ACTION)?,
            rare: transaction.open_table(RARE).doing(ACTION)?,
            cache,
            to,
        })
    }

    /// The block that contains a position, which is sealed.
    pub(super) fn block(&self, position: Position) -> Result<Arc<Block>, LogError> {
        if let Some(block) = self.cache.containing(position) {
            return Ok(block);
        }
        let missing = || LogError::Damaged { position, reason: "it is missing".to_owned() };
        let first = block_before(&self.blocks, position).doing(ACTION)?.ok_or_else(missing)?;
        let block = read_block(&self.blocks, first)?;
        if block.last() < position {
            return Err(missing());
        }
        let block = Arc::new(block);
        self.cache.insert(&block);
        Ok(block)
    }

    /// The next events of rare types; see [`rare::read`].
    pub(super) fn rare(
        &self,
        from: Position,
        types: &[String],
        limit: usize,
    ) -> Result<Option<Rare>, LogError> {
        rare::read(&self.index, &self.rare, types, self.first_of(from)?, from..=self.to, limit)
    }

    /// Where the event with this id (see `id_key`) stands.
    pub(super) fn position(&self, id_key: &[u8]) -> Result<Option<Position>, LogError> {
        Ok(self.ids.get(id_key).doing(ACTION)?.map(|position| position.value()))
    }

    /// A subject's version and its last event.
    pub(super) fn subject(&self, name: &str) -> Result<Option<(u64, Position)>, LogError> {
        let term = Term::Subject(name);
        let Some((first, value)) = self.entry(&term.prefix(), self.to, true)? else { return Ok(None) };
        let last = places(term, &value).last().copied().unwrap_or_default();
        Ok(Some((version(&value), first + Position::from(last))))
    }

    /// The last event after a position that matches.
    pub(super) fn latest(&self, query: Query<'_>, after: Position) -> Result<Option<Position>, LogError> {
        let mut found = None;
        self.scan(query, after.saturating_add(1), self.to, true, &mut |_, head| {
            found = Some(head.position);
            false
        })?;
        Ok(found)
    }

    /// Shows `visit` the events between two positions, both included, that
    /// match, until it returns false; says whether it never did.
    pub(super) fn scan(
        &self,
        query: Query<'_>,
        from: Position,
        to: Position,
        reverse: bool,
        visit: &mut dyn FnMut(&Block, &Head) -> bool,
    ) -> Result<bool, LogError> {
        let (from, to) = (from.max(1), to.min(self.to));
        if from > to {
            return Ok(true);
        }
        let terms = Terms::of(query);
        let lowest = self.first_of(from)?;
        let mut bound = if reverse { self.first_of(to)? } else { lowest };
        while let Some(first) = self.candidate(&terms, bound, reverse)? {
            if first < lowest || first > to {
                break;
            }
            if !self.scan_block(query, &terms, first, from..=to, reverse, visit)? {
                return Ok(false);
            }
            bound = if reverse { first - 1 } else { first + 1 };
        }
        Ok(true)
    }

    /// Visits the matching events of one block; false when `visit` said so.
    fn scan_block(
        &self,
        query: Query<'_>,
        terms: &Terms<'_>,
        first: Position,
        range: std::ops::RangeInclusive<Position>,
        reverse: bool,
        visit: &mut dyn FnMut(&Block, &Head) -> bool,
    ) -> Result<bool, LogError> {
        let mut listed: Option<Vec<u16>> = None;
        for (term, prefix) in &terms.listed {
            let entry = self.index.get(&index_key(prefix, first)[..]).doing(ACTION)?;
            let mut here = entry.map(|value| places(*term, value.value())).unwrap_or_default();
            match listed.take() {
                None => {
                    here.retain(|place| range.contains(&(first + Position::from(*place))));
                    listed = Some(here);
                }
                Some(mut both) => {
                    both.retain(|place| here.binary_search(place).is_ok());
                    listed = Some(both);
                }
            }
        }
        if listed.as_ref().is_some_and(|places| places.is_empty()) {
            return Ok(true);
        }
        let block = self.block(first)?;
        let matcher = query.on(&block);
        let mut show = |head: &Head| !matcher.matches(head) || visit(&block, head);
        let at = |place: u16| block.heads.get(usize::from(place));
        let heads = &block.heads[between(&block, *range.start(), *range.end())];
        Ok(match (listed, reverse) {
            (Some(places), false) => places.into_iter().filter_map(at).all(&mut show),
            (Some(places), true) => places.into_iter().rev().filter_map(at).all(&mut show),
            (None, false) => heads.iter().all(&mut show),
            (None, true) => heads.iter().rev().all(&mut show),
        })
    }

    /// The first position of the block that contains a position.
    fn first_of(&self, position: Position) -> Result<Position, LogError> {
        if let Some(block) = self.cache.containing(position) {
            return Ok(block.first());
        }
        Ok(block_before(&self.blocks, position).doing(ACTION)?.unwrap_or(1))
    }

    /// The next block, from `bound` on in the direction of reading, that has
    /// all the terms. Each term skips to where the others have got.
    fn candidate(
        &self,
        terms: &Terms<'_>,
        bound: Position,
        reverse: bool,
    ) -> Result<Option<Position>, LogError> {
        if bound == 0 || bound > self.to {
            return Ok(None);
        }
        if terms.is_any() {
            let first =
                if reverse { block_before(&self.blocks, bound) } else { block_after(&self.blocks, bound) };
            return Ok(first.doing(ACTION)?.filter(|first| *first <= self.to));
        }
        let further = |a, b| if reverse { cmp::max(a, b) } else { cmp::min(a, b) };
        let mut at = bound;
        loop {
            let mut settled = true;
            for (_, prefix) in &terms.listed {
                let Some((first, _)) = self.entry(prefix, at, reverse)? else { return Ok(None) };
                settled &= first == at;
                at = first;
            }
            if !terms.types.is_empty() {
                let mut nearest = None;
                for prefix in &terms.types {
                    if let Some((first, _)) = self.entry(prefix, at, reverse)? {
                        nearest = Some(nearest.map_or(first, |nearest| further(nearest, first)));
                    }
                }
                let Some(first) = nearest else { return Ok(None) };
                settled &= first == at;
                at = first;
            }
            if settled {
                return Ok(Some(at));
            }
        }
    }

    /// A term's entry for the first block from `bound` on that has it.
    fn entry(
        &self,
        prefix: &[u8],
        bound: Position,
        reverse: bool,
    ) -> Result<Option<(Position, Vec<u8>)>, LogError> {
        let (low, high) = if reverse { (0, bound) } else { (bound, self.to) };
        let (low, high) = (index_key(prefix, low), index_key(prefix, high));
        if low > high {
            return Ok(None);
        }
        let mut range = self.index.range::<&[u8]>(&low[..]..=&high[..]).doing(ACTION)?;
        let entry = if reverse { range.next_back() } else { range.next() };
        Ok(entry
            .transpose()
            .doing(ACTION)?
            .map(|(key, value)| (block_of(key.value()), value.value().to_vec())))
    }
}

/// The terms of a query, with the beginnings of their keys.
struct Terms<'a> {
    /// Subject and tags, all of which a block must have.
    listed: Vec<(Term<'a>, Vec<u8>)>,
    /// Types, one of which it must have.
    types: Vec<Vec<u8>>,
}

impl<'a> Terms<'a> {
    fn of(query: Query<'a>) -> Self {
        let tags = query.tags.iter().map(|tag| Term::Tag(tag));
        let listed = query.subject.map(Term::Subject).into_iter().chain(tags);
        Self {
            listed: listed.map(|term| (term, term.prefix())).collect(),
            types: query.types.iter().map(|name| Term::Type(name).prefix()).collect(),
        }
    }

    fn is_any(&self) -> bool {
        self.listed.is_empty() && self.types.is_empty()
    }
}
