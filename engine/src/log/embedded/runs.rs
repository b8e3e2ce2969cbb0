//! The index of ids, subjects, tags and correlations: *runs*, each of which holds the entries
//! of some consecutive sealed blocks, sorted by key. What is looked for is looked
//! for in one run after the other; filters spare most of that.
//!
//! Not here: how runs come to be (`merge.rs`).

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{Arc, Mutex, PoisonError},
};

use bytemuck::{Pod, Zeroable};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, StorageError};

use super::{
    super::{LogError, keys::Key},
    tables::{Doing, FILTERS, PAGES, RUNS},
};
use crate::{event::Position, filter::Filter};

const ACTION: &str = "read its index";

/// One event under one of its keys.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) position: Position,
    /// The event's number within its subject.
    pub(super) version: u64,
}

/// How many entries a page holds: what fits one of redb's, beside its own.
pub(super) const PAGE_ENTRIES: usize = 126;

/// Where a page stands: its run's number, its last entry's key and position. The
/// last one's, since seeking a B-tree for what is not less reads one leaf, and for
/// what is not greater mostly two.
pub(super) type PageKey = (u64, Key, Position);

/// What is known of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Later runs have higher ones.
    pub(super) number: u64,
    /// The first and the last position of its blocks.
    pub(super) first: Position,
    pub(super) last: Position,
    /// About how many different keys it holds.
    pub(super) keys: u64,
    /// How many times its entries have been merged.
    pub(super) level: u64,
}

impl Run {
    /// All runs of a file, by their positions.
    pub(super) fn all(
        table: &impl ReadableTable<u64, (u64, u64, u64, u64)>,
    ) -> Result<Vec<Self>, StorageError> {
        let mut runs = Vec::new();
        for row in table.iter()? {
            let (number, row) = row?;
            let (first, last, keys, level) = row.value();
            runs.push(Self { number: number.value(), first, last, keys, level });
        }
        runs.sort_unstable_by_key(|run| run.first);
        Ok(runs)
    }

    /// Where all its pages are.
    pub(super) fn pages(number: u64) -> RangeInclusive<PageKey> {
        (number, 0, 0)..=(number, Key::MAX, Position::MAX)
    }
}

/// Filters that have been read, by the numbers of their runs.
#[derive(Default)]
pub(super) struct Filters(Mutex<BTreeMap<u64, Arc<Filter>>>);

impl Filters {
    pub(super) fn insert(&self, number: u64, filter: Filter) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(number, filter.into());
    }

    /// Drops those of other runs.
    pub(super) fn retain(&self, runs: &[Run]) {
        let mut filters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        filters.retain(|number, _| runs.iter().any(|run| run.number == *number));
    }

    fn get(
        &self,
        number: u64,
        table: &ReadOnlyTable<(u64, u32), &'static [u8]>,
    ) -> Result<Arc<Filter>, LogError> {
        let mut filters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(filter) = filters.get(&number) {
            return Ok(Arc::clone(filter));
        }
        let mut bytes = Vec::new();
        for piece in table.range((number, 0)..=(number, u32::MAX)).doing(ACTION)? {
            bytes.extend_from_slice(piece.doing(ACTION)?.1.value());
        }
        let filter = Arc::new(Filter::from_bytes(bytes));
        filters.insert(number, Arc::clone(&filter));
        Ok(filter)
    }
}

/// The runs as they were at one moment.
pub(super) struct Runs {
    runs: Vec<(Run, Arc<Filter>)>,
    pages: ReadOnlyTable<PageKey, &'static [u8]>,
}

impl Runs {
    pub(super) fn open(transaction: &ReadTransaction, filters: &Filters) -> Result<Self, LogError> {
        let runs = Run::all(&transaction.open_table(RUNS).doing(ACTION)?).doing(ACTION)?;
        let table = transaction.open_table(FILTERS).doing(ACTION)?;
        let with_filter = |run: Run| Ok((run, filters.get(run.number, &table)?));
        Ok(Self {
            runs: runs.into_iter().map(with_filter).collect::<Result<_, LogError>>()?,
            pages: transaction.open_table(PAGES).doing(ACTION)?,
        })
    }

    /// The first entry of a key within some positions.
    pub(super) fn first(
        &self,
        key: Key,
        within: RangeInclusive<Position>,
    ) -> Result<Option<Entry>, LogError> {
        for run in self.holding(key, &within) {
            let mut found = None;
            self.visit(run, (key, *within.start()), (key, *within.end()), |entry| {
                found = Some(entry);
                false
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The last entry of a key within some positions.
    pub(super) fn last(&self, key: Key, within: RangeInclusive<Position>) -> Result<Option<Entry>, LogError> {
        let to = *within.end();
        for run in self.holding(key, &within).rev() {
            let at = (run.number, key, to);
            let last_below = |page: &[u8]| {
                let after = partition(page, |entry| (entry.key, entry.position) <= (key, to));
                after.checked_sub(1).map(|last| entry(page, last))
            };
            let page = self.pages.range(at..=*Run::pages(run.number).end()).doing(ACTION)?.next();
            let mut found = page.transpose().doing(ACTION)?.and_then(|(_, page)| last_below(page.value()));
            if found.is_none() {
                // It would be the last one of the page before.
                let page = self.pages.range(*Run::pages(run.number).start()..at).doing(ACTION)?.next_back();
                found = page.transpose().doing(ACTION)?.and_then(|(_, page)| last_below(page.value()));
            }
            if let Some(entry) = found.filter(|entry| entry.key == key && within.contains(&entry.position)) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// The positions of a key within some.
    pub(super) fn positions(
        &self,
        key: Key,
        within: RangeInclusive<Position>,
    ) -> Result<Vec<Position>, LogError> {
        let mut positions = Vec::new();
        for run in self.holding(key, &within) {
            self.visit(run, (key, *within.start()), (key, *within.end()), |entry| {
                positions.push(entry.position);
                true
            })?;
        }
        Ok(positions)
    }

    /// The positions of all keys of a range, ascending. No filter helps here.
    pub(super) fn positions_of(&self, keys: RangeInclusive<Key>) -> Result<Vec<Position>, LogError> {
        let mut positions = Vec::new();
        for (run, _) in &self.runs {
            self.visit(run, (*keys.start(), 0), (*keys.end(), Position::MAX), |entry| {
                positions.push(entry.position);
                true
            })?;
        }
        positions.sort_unstable();
        Ok(positions)
    }

    /// The runs that may have a key within some positions.
    fn holding(&self, key: Key, within: &RangeInclusive<Position>) -> impl DoubleEndedIterator<Item = &Run> {
        let start = self.runs.partition_point(|(run, _)| run.last < *within.start());
        let end = self.runs.partition_point(|(run, _)| run.first <= *within.end());
        let runs = self.runs[start..end.max(start)].iter();
        runs.filter(move |(_, filter)| filter.may_hold(key)).map(|(run, _)| run)
    }

    /// Shows the entries between two, by key and position, until told to stop.
    fn visit(
        &self,
        run: &Run,
        low: (Key, Position),
        high: (Key, Position),
        mut visit: impl FnMut(Entry) -> bool,
    ) -> Result<(), LogError> {
        let pages = (run.number, low.0, low.1)..=*Run::pages(run.number).end();
        for page in self.pages.range(pages).doing(ACTION)? {
            let page = page.doing(ACTION)?.1;
            let page = page.value();
            let start = partition(page, |entry| (entry.key, entry.position) < low);
            for entry in (start..page.len() / size_of::<Entry>()).map(|index| entry(page, index)) {
                if (entry.key, entry.position) > high || !visit(entry) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// An entry of a page.
fn entry(page: &[u8], index: usize) -> Entry {
    bytemuck::pod_read_unaligned(&page[index * size_of::<Entry>()..][..size_of::<Entry>()])
}

/// All entries of a page.
pub(super) fn entries(page: &[u8]) -> impl Iterator<Item = Entry> + '_ {
    page.chunks_exact(size_of::<Entry>()).map(bytemuck::pod_read_unaligned)
}

/// How many entries a page begins with that are as asked for.
fn partition(page: &[u8], is_before: impl Fn(&Entry) -> bool) -> usize {
    let (mut low, mut high) = (0, page.len() / size_of::<Entry>());
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(&entry(page, middle)) { low = middle + 1 } else { high = middle }
    }
    low
}
