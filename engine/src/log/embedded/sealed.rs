//! Reading the sealed part of the log through its index.

use std::{cell::OnceCell, cmp, ops::RangeInclusive, sync::Arc};

use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase};

use super::{
    super::{
        LogError, Rare,
        keys::{Key, Keys},
        matcher::Query,
    },
    cache::BlockCache,
    rare,
    runs::{Filters, Runs},
    tables::{
        BLOCKS, Doing, RARE, TYPES, block_after, block_before, block_of, read_block, type_key, type_prefix,
    },
};
use crate::event::{Block, Head, Position};

const ACTION: &str = "read its file";

/// The sealed part as it was at one moment. Sealing goes on meanwhile, but what
/// was sealed then stays as it is, and nothing later is looked at.
pub(super) struct Sealed<'a> {
    transaction: ReadTransaction,
    blocks: ReadOnlyTable<(Position, u32), &'static [u8]>,
    cache: &'a BlockCache,
    filters: &'a Filters,
    /// Opened by whoever asks for an id, a subject or a tag.
    runs: OnceCell<Runs>,
    keys: Keys,
    /// The last sealed position.
    to: Position,
}

impl<'a> Sealed<'a> {
    /// `to`: up to where the log was sealed at some moment before this call.
    pub(super) fn open(
        database: &Database,
        (cache, filters): (&'a BlockCache, &'a Filters),
        keys: Keys,
        to: Position,
    ) -> Result<Self, LogError> {
        let transaction = database.begin_read().doing(ACTION)?;
        let blocks = transaction.open_table(BLOCKS).doing(ACTION)?;
        Ok(Self { transaction, blocks, cache, filters, runs: OnceCell::new(), keys, to })
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
        let blocks_of = self.transaction.open_table(TYPES).doing(ACTION)?;
        let copies = self.transaction.open_table(RARE).doing(ACTION)?;
        rare::read(&blocks_of, &copies, types, self.range_of(from)?.0, from..=self.to, limit)
    }

    /// Where the event with this id stands.
    pub(super) fn position(&self, id: Key) -> Result<Option<Position>, LogError> {
        Ok(self.runs()?.first(id, 1..=self.to)?.map(|entry| entry.position))
    }

    /// A subject's version and its last event.
    pub(super) fn subject(&self, subject: Key) -> Result<Option<(u64, Position)>, LogError> {
        Ok(self.runs()?.last(subject, 1..=self.to)?.map(|entry| (entry.version, entry.position)))
    }

    fn runs(&self) -> Result<&Runs, LogError> {
        match self.runs.get() {
            Some(runs) => Ok(runs),
            None => {
                let runs = Runs::open(&self.transaction, self.filters)?;
                Ok(self.runs.get_or_init(|| runs))
            }
        }
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
        let terms = self.terms(query)?;
        let lowest = self.range_of(from)?.0;
        let mut bound = if reverse { self.range_of(to)?.0 } else { lowest };
        while let Some(first) = self.candidate(&terms, bound, reverse)? {
            if first < lowest || first > to {
                break;
            }
            if !self.scan_block(query, &terms, first, from..=to, reverse, visit)? {
                return Ok(false);
            }
            bound = match (reverse, first) {
                (true, 1) => break,
                (true, first) => self.range_of(first - 1)?.0,
                (false, first) => self.range_of(first)?.1 + 1,
            };
        }
        Ok(true)
    }

    /// Visits the matching events of one block; false when `visit` said so.
    fn scan_block(
        &self,
        query: Query<'_>,
        terms: &Terms,
        first: Position,
        range: RangeInclusive<Position>,
        reverse: bool,
        visit: &mut dyn FnMut(&Block, &Head) -> bool,
    ) -> Result<bool, LogError> {
        let mut listed: Option<Vec<Position>> = None;
        let within = first.max(*range.start())..=self.range_of(first)?.1.min(*range.end());
        for term in &terms.listed {
            let here = term.positions(self.runs()?, within.clone())?;
            match &mut listed {
                None => listed = Some(here),
                Some(both) => both.retain(|position| here.binary_search(position).is_ok()),
            }
        }
        if listed.as_ref().is_some_and(|positions| positions.is_empty()) {
            return Ok(true);
        }
        let block = self.block(first)?;
        let matcher = query.on(&block);
        let mut show = |head: &Head| !matcher.matches(head) || visit(&block, head);
        let at = |position: Position| block.heads.get((position - first) as usize);
        let heads = &block.heads[block.between(*range.start(), *range.end())];
        Ok(match (listed, reverse) {
            (Some(positions), false) => positions.into_iter().filter_map(at).all(&mut show),
            (Some(positions), true) => positions.into_iter().rev().filter_map(at).all(&mut show),
            (None, false) => heads.iter().all(&mut show),
            (None, true) => heads.iter().rev().all(&mut show),
        })
    }

    /// The first and the last position of the block that contains a position.
    fn range_of(&self, position: Position) -> Result<(Position, Position), LogError> {
        if let Some(block) = self.cache.containing(position) {
            return Ok((block.first(), block.last()));
        }
        let first = block_before(&self.blocks, position).doing(ACTION)?.unwrap_or(1);
        let next = block_after(&self.blocks, position + 1).doing(ACTION)?;
        Ok((first, next.map_or(self.to, |next| (next - 1).min(self.to))))
    }

    /// The next block, from the one that begins at `bound` on in the direction of
    /// reading, that has all the terms. Each term skips to where the others have
    /// got.
    fn candidate(&self, terms: &Terms, bound: Position, reverse: bool) -> Result<Option<Position>, LogError> {
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
            for term in &terms.listed {
                let found = match reverse {
                    true => term.last(self.runs()?, 1..=self.range_of(at)?.1)?,
                    false => term.first(self.runs()?, at..=self.to)?,
                };
                let Some(position) = found else { return Ok(None) };
                let first = self.range_of(position)?.0;
                settled &= first == at;
                at = first;
            }
            if !terms.types.is_empty() {
                let mut nearest = None;
                for prefix in &terms.types {
                    if let Some(first) = self.block_with(prefix, at, reverse)? {
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

    /// The first block from `bound` on that has a type.
    fn block_with(
        &self,
        prefix: &[u8],
        bound: Position,
        reverse: bool,
    ) -> Result<Option<Position>, LogError> {
        let (low, high) = if reverse { (0, bound) } else { (bound, self.to) };
        let (low, high) = (type_key(prefix, low), type_key(prefix, high));
        if low > high {
            return Ok(None);
        }
        let blocks_of = self.transaction.open_table(TYPES).doing(ACTION)?;
        let mut range = blocks_of.range::<&[u8]>(&low[..]..=&high[..]).doing(ACTION)?;
        let entry = if reverse { range.next_back() } else { range.next() };
        Ok(entry.transpose().doing(ACTION)?.map(|(key, _)| block_of(key.value())))
    }

    fn terms(&self, query: Query<'_>) -> Result<Terms, LogError> {
        let plain = |key| Term { key, besides: Vec::new() };
        let subject = query.subject.map(|name| plain(self.keys.subject(name.as_bytes())));
        let tags = query.tags.iter().map(|tag| plain(self.keys.tag(tag)));
        let mut listed: Vec<Term> = subject.into_iter().chain(tags).collect();
        if let Some(id) = query.correlation {
            let besides = self.runs()?.positions_of(self.keys.ids(id.as_bytes()))?;
            listed.push(Term { key: self.keys.correlation(id), besides });
        }
        let types = query.types.iter().map(|name| type_prefix(name)).collect();
        Ok(Terms { listed, types })
    }
}

/// What a query names.
struct Terms {
    /// Subject, tags and correlation, all of which an event must have.
    listed: Vec<Term>,
    /// Types, one of which it must have: the beginnings of their keys.
    types: Vec<Vec<u8>>,
}

impl Terms {
    fn is_any(&self) -> bool {
        self.listed.is_empty() && self.types.is_empty()
    }
}

/// What stands under a key, and what belongs to it besides.
struct Term {
    key: Key,
    /// The event that a correlation goes back to, which does not carry it: few
    /// positions, ascending, perhaps beyond what is looked at.
    besides: Vec<Position>,
}

impl Term {
    fn besides(&self, within: &RangeInclusive<Position>) -> &[Position] {
        let start = self.besides.partition_point(|position| position < within.start());
        let end = self.besides.partition_point(|position| position <= within.end());
        &self.besides[start..end.max(start)]
    }

    fn first(&self, runs: &Runs, within: RangeInclusive<Position>) -> Result<Option<Position>, LogError> {
        let beside = self.besides(&within).first().copied();
        let listed = runs.first(self.key, within)?.map(|entry| entry.position);
        Ok(listed.into_iter().chain(beside).min())
    }

    fn last(&self, runs: &Runs, within: RangeInclusive<Position>) -> Result<Option<Position>, LogError> {
        let beside = self.besides(&within).last().copied();
        let listed = runs.last(self.key, within)?.map(|entry| entry.position);
        Ok(listed.into_iter().chain(beside).max())
    }

    fn positions(&self, runs: &Runs, within: RangeInclusive<Position>) -> Result<Vec<Position>, LogError> {
        let mut positions = self.besides(&within).to_vec();
        positions.extend(runs.positions(self.key, within)?);
        positions.sort_unstable();
        positions.dedup();
        Ok(positions)
    }
}
