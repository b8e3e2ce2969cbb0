//! How runs come to be. Each sealing writes one; of several neighbours of one
//! level one of the next is made. That goes on beside sealing, some entries at a
//! time, so that no append waits for long; what an unfinished one has written
//! when the program ends is thrown away.

use std::ops::Bound;

use redb::{ReadableTable, StorageError, Table, WriteTransaction};

use super::{
    runs::{Entry, Filters, PAGE_ENTRIES, PageKey, Run, entries},
    tables::{FILTERS, PAGES, PIECE, RUNS},
};
use crate::filter::Filter;

/// So many runs become one.
const MERGED: usize = 8;

type Pages<'t> = Table<'t, PageKey, &'static [u8]>;

/// All runs, those that are being made, and those that are to go.
pub(super) struct Merges {
    /// By their positions.
    runs: Vec<Run>,
    next_number: u64,
    merges: Vec<Merge>,
    /// Numbers of runs whose pages nobody needs any more.
    garbage: Vec<u64>,
}

impl Merges {
    /// Finds out what a file holds.
    pub(super) fn open(transaction: &redb::ReadTransaction) -> Result<Self, redb::Error> {
        let runs = Run::all(&transaction.open_table(RUNS)?)?;
        let pages = transaction.open_table(PAGES)?;
        let (mut garbage, mut next) = (Vec::new(), 0);
        while let Some(row) = pages.range((next, 0, 0)..)?.next() {
            let (number, ..) = row?.0.value();
            if runs.iter().all(|run| run.number != number) {
                garbage.push(number);
            }
            next = number + 1;
        }
        Ok(Self { runs, next_number: next, merges: Vec::new(), garbage })
    }

    /// All runs, once the transaction that has changed them is committed.
    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Enters some blocks' entries, which are sorted, and gets on with merging.
    pub(super) fn seal(
        &mut self,
        transaction: &WriteTransaction,
        filters: &Filters,
        (first, last): (u64, u64),
        sorted: &[Entry],
    ) -> Result<(), redb::Error> {
        let mut pages = transaction.open_table(PAGES)?;
        let run = Run { number: self.number(), first, last, keys: 0, level: 0 };
        let keys = sorted.chunk_by(|one, other| one.key == other.key).count();
        let mut sheet = Sheet::new(run, keys as u64);
        for entry in sorted {
            sheet.push(*entry, &mut pages)?;
        }
        self.runs.push(sheet.finish(transaction, &mut pages, filters)?);
        self.begin();
        // A level has been merged before it is half full again: the fewer runs
        // there are, the fewer have to be looked into.
        let budget = sorted.len().max(PAGE_ENTRIES) * 4;
        let mut merges = std::mem::take(&mut self.merges);
        for merge in &mut merges {
            merge.advance(&mut pages, budget)?;
        }
        for merge in merges {
            match merge.inputs.is_empty() {
                true => self.finish(transaction, &mut pages, filters, merge)?,
                false => self.merges.push(merge),
            }
        }
        self.clear(&mut pages, budget)
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    /// Begins to merge where there are enough runs of a level.
    fn begin(&mut self) {
        let merging = |run: &Run| self.merges.iter().any(|merge| merge.replaces(run));
        let free: Vec<Run> = self.runs.iter().filter(|run| !merging(run)).copied().collect();
        for same in free.chunk_by(|one, other| one.level == other.level) {
            if let Some(inputs) = same.first_chunk::<MERGED>() {
                let merge = Merge::new(self.number(), inputs);
                self.merges.push(merge);
            }
        }
    }

    /// Puts a merged run in the place of those that it was made of.
    fn finish(
        &mut self,
        transaction: &WriteTransaction,
        pages: &mut Pages<'_>,
        filters: &Filters,
        merge: Merge,
    ) -> Result<(), redb::Error> {
        let (mut runs, mut filter_pieces) = (transaction.open_table(RUNS)?, transaction.open_table(FILTERS)?);
        for run in self.runs.extract_if(.., |run| merge.replaces(run)) {
            runs.remove(run.number)?;
            filter_pieces.retain_in((run.number, 0)..=(run.number, u32::MAX), |_, _| false)?;
            self.garbage.push(run.number);
        }
        drop((runs, filter_pieces));
        self.runs.push(merge.sheet.finish(transaction, pages, filters)?);
        self.runs.sort_unstable_by_key(|run| run.first);
        Ok(())
    }

    /// Removes some pages that nobody needs any more.
    fn clear(&mut self, pages: &mut Pages<'_>, budget: usize) -> Result<(), redb::Error> {
        let Some(number) = self.garbage.last().copied() else { return Ok(()) };
        let range = Run::pages(number);
        let beyond = pages.range(range.clone())?.nth(budget / PAGE_ENTRIES).transpose()?;
        let beyond = beyond.map(|(at, _)| at.value());
        match beyond {
            Some(beyond) => pages.retain_in(*range.start()..beyond, |_, _| false)?,
            None => {
                pages.retain_in(range, |_, _| false)?;
                self.garbage.pop();
            }
        }
        Ok(())
    }
}

/// A run that is being written.
struct Sheet {
    run: Run,
    page: Vec<Entry>,
    filter: Filter,
}

impl Sheet {
    fn new(run: Run, keys: u64) -> Self {
        Self { run, page: Vec::with_capacity(PAGE_ENTRIES), filter: Filter::with_room_for(keys) }
    }

    fn push(&mut self, entry: Entry, pages: &mut Pages<'_>) -> Result<(), StorageError> {
        if self.page.last().is_none_or(|last| last.key != entry.key) {
            self.run.keys += 1;
            self.filter.insert(entry.key);
        }
        self.page.push(entry);
        if self.page.len() == PAGE_ENTRIES { self.write(pages) } else { Ok(()) }
    }

    fn write(&mut self, pages: &mut Pages<'_>) -> Result<(), StorageError> {
        if let Some(last) = self.page.last() {
            let at = (self.run.number, last.key, last.position);
            pages.insert(at, bytemuck::cast_slice(&self.page))?;
        }
        self.page.clear();
        Ok(())
    }

    fn finish(
        mut self,
        transaction: &WriteTransaction,
        pages: &mut Pages<'_>,
        filters: &Filters,
    ) -> Result<Run, redb::Error> {
        self.write(pages)?;
        let Run { number, first, last, keys, level } = self.run;
        transaction.open_table(RUNS)?.insert(number, (first, last, keys, level))?;
        let mut pieces = transaction.open_table(FILTERS)?;
        for (piece, bytes) in (0..).zip(self.filter.as_bytes().chunks(PIECE)) {
            pieces.insert((number, piece), bytes)?;
        }
        filters.insert(number, self.filter);
        Ok(self.run)
    }
}

/// Several runs on their way to be one.
struct Merge {
    first: u64,
    last: u64,
    /// Those that still have entries.
    inputs: Vec<Input>,
    sheet: Sheet,
}

/// A run that is read from its start to its end.
struct Input {
    number: u64,
    /// The page that is being read, and how far.
    at: Bound<PageKey>,
    page: std::vec::IntoIter<Entry>,
}

impl Merge {
    fn new(number: u64, runs: &[Run; MERGED]) -> Self {
        let [oldest, .., newest] = runs;
        let (first, last) = (oldest.first, newest.last);
        let keys = runs.iter().map(|run| run.keys).sum();
        let run = Run { number, first, last, keys: 0, level: oldest.level + 1 };
        let input = |run: &Run| Input {
            number: run.number,
            at: Bound::Included((run.number, 0, 0)),
            page: Vec::new().into_iter(),
        };
        Self { first, last, inputs: runs.iter().map(input).collect(), sheet: Sheet::new(run, keys) }
    }

    /// Whether a run is one of those that it is made of.
    fn replaces(&self, run: &Run) -> bool {
        self.first <= run.first && run.last <= self.last
    }

    /// Merges up to so many entries.
    fn advance(&mut self, pages: &mut Pages<'_>, budget: usize) -> Result<(), StorageError> {
        for _ in 0..budget {
            let mut least: Option<(Entry, usize)> = None;
            let mut index = 0;
            while let Some(input) = self.inputs.get_mut(index) {
                let Some(entry) = input.peek(pages)? else {
                    self.inputs.remove(index);
                    continue;
                };
                if least.is_none_or(|(least, _)| entry < least) {
                    least = Some((entry, index));
                }
                index += 1;
            }
            let Some((entry, index)) = least else { return Ok(()) };
            self.inputs[index].page.next();
            self.sheet.push(entry, pages)?;
        }
        Ok(())
    }
}

impl Input {
    /// The next entry, which stays.
    fn peek(&mut self, pages: &Pages<'_>) -> Result<Option<Entry>, StorageError> {
        if let Some(entry) = self.page.as_slice().first() {
            return Ok(Some(*entry));
        }
        let end = Bound::Included(*Run::pages(self.number).end());
        let Some((at, page)) = pages.range::<PageKey>((self.at, end))?.next().transpose()? else {
            return Ok(None);
        };
        self.at = Bound::Excluded(at.value());
        self.page = entries(page.value()).collect::<Vec<_>>().into_iter();
        Ok(self.page.as_slice().first().copied())
    }
}

#[cfg(test)]
mod tests {
    use redb::ReadableDatabase as _;

    use super::*;
    use crate::log::{
        Condition, EventLog as _, Selection,
        embedded::EmbeddedLog,
        tests::{append, batch, event, small_blocks},
    };

    /// Each batch is sealed at once and so makes a run.
    const BATCH: u64 = 8;
    const BATCHES: u64 = 150;
    const SUBJECTS: u64 = 5;

    #[test]
    fn what_is_merged_is_found_and_what_is_not_finished_is_begun_again() {
        let folder = tempfile::tempdir().unwrap();
        let open = || EmbeddedLog::open(folder.path(), small_blocks(2)).unwrap();
        let merges = |log: &EmbeddedLog| Merges::open(&log.store.database.begin_read().unwrap()).unwrap();
        let of = |number: u64| {
            let events = (number * BATCH..(number + 1) * BATCH).map(|id| {
                let mut event = event(id, "t", &format!("s{}", id % SUBJECTS));
                event.tags = vec![format!("third:{}", id % 3), format!("third:{}", id % 3)];
                event
            });
            batch(events)
        };
        let mut log = open();
        let mut thrown_away = 0;
        for number in 0..BATCHES {
            if number % 5 == 0 {
                drop(log);
                log = open();
                thrown_away += merges(&log).garbage.len();
            }
            append(&log, of(number)).unwrap();
        }
        assert!(thrown_away > 0, "no merge was interrupted, or no pages were left to clear");
        let runs = merges(&log).runs;
        assert!(runs.len() < 40, "{} runs of {BATCHES}", runs.len());
        assert!(runs.iter().any(|run| run.level == 2));
        let mut next = 1;
        for run in &runs {
            assert_eq!(run.first, next);
            next = run.last + 1;
        }
        assert_eq!(next, log.head() + 1);

        let head = log.head();
        for number in 0..BATCHES {
            assert_eq!(append(&log, of(number)).unwrap().known as u64, BATCH);
        }
        assert_eq!(log.head(), head);
        for subject in 0..SUBJECTS {
            let selection = Selection { subject: Some(format!("s{subject}")), ..Selection::default() };
            let versions: Vec<u64> =
                log.read(&selection).unwrap().iter().map(|event| event.version).collect();
            assert_eq!(versions, (1..=BATCH * BATCHES / SUBJECTS).collect::<Vec<_>>());
        }
        let tags = vec!["third:1".to_owned()];
        let selection = Selection { tags, reverse: true, ..Selection::default() };
        assert_eq!(log.read(&selection).unwrap().len() as u64, BATCH * BATCHES / 3);
        let mut next = batch([event("new", "t", "s0")]);
        let expected_versions = vec![("s0".to_owned(), BATCH * BATCHES / SUBJECTS)];
        next.condition = Condition { expected_versions, ..Condition::default() };
        append(&log, next).unwrap();
    }
}
