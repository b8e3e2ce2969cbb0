//! Changes that have been flushed but not committed, sorted, in memory: what a
//! replay gathers, so that a commit writes a page of the file once for many of
//! them.

use std::{cmp::Ordering, ops::Range, sync::Arc};

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::{Change, KeyRange, TableIndex};
use crate::filter::Filter;

/// Changes by table and key, each as it was last. Cloning shares them.
///
/// They lie in sorted runs, one for each time that some were added. Neighbours of
/// about one size become one, so that there are few to look into.
#[derive(Clone, Default)]
pub(crate) struct Memtable {
    /// The oldest first.
    runs: Vec<Arc<Run>>,
}

impl Memtable {
    /// Adds changes, sorted by table and key, each key once; they count before
    /// those that are there.
    /// `bytes`: how many all keys and values have.
    pub(crate) fn add<'a>(&mut self, changes: impl ExactSizeIterator<Item = Change<'a>>, bytes: usize) {
        let count = changes.len();
        if count == 0 {
            return;
        }
        // Before, so that what is committed next need not be merged.
        while let [.., older, newer] = self.runs.as_slice()
            && older.is_mergeable(newer)
        {
            let both = Merged::new([older.all(), newer.all()], false);
            let bytes = older.bytes.len() + newer.bytes.len();
            let merged = Run::of(both, older.slots.len() + newer.slots.len(), bytes);
            self.runs.truncate(self.runs.len() - 2);
            self.runs.push(Arc::new(merged));
        }
        self.runs.push(Arc::new(Run::of(changes, count, bytes)));
    }

    /// About how many bytes it takes.
    pub(crate) fn bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.size()).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// What has become of a key, which has this [`hash`]: its value, or that it was
    /// removed; `None` where it has not changed.
    pub(super) fn get(&self, table: TableIndex, key: &[u8], hash: u128) -> Option<Option<&[u8]>> {
        let mut found = self.runs.iter().rev().filter(|run| run.filter.may_hold(hash));
        found.find_map(|run| run.get(table, key))
    }

    /// The changes of one table within a range of keys, in its order; its limit
    /// is the caller's to keep.
    pub(crate) fn range<'a>(
        &'a self,
        table: TableIndex,
        range: &KeyRange,
    ) -> impl Iterator<Item = Change<'a>> {
        let runs = self.runs.iter().map(|run| run.changes(run.within(table, range)));
        Merged::new(runs, range.reverse)
    }

    /// All changes, by table and key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Change<'_>> {
        Merged::new(self.runs.iter().map(|run| run.all()), false)
    }
}

/// Keys of different tables are different.
pub(super) fn hash(table: TableIndex, key: &[u8]) -> u128 {
    xxh3_128_with_seed(key, u64::from(table))
}

/// Runs become no larger by merging: while they do, they take twice the memory.
const MERGED_BYTES: u64 = 64 << 20;

/// Changes, sorted by table and key, each key once.
struct Run {
    /// The changes of each table that it has, by table.
    tables: Vec<Part>,
    slots: Vec<Slot>,
    /// All keys and values, in the order of the slots.
    bytes: Vec<u8>,
    filter: Filter,
}

/// The changes of one table in a run.
struct Part {
    table: TableIndex,
    slots: Range<usize>,
    /// How many bytes its keys have in common at their beginning.
    common: usize,
    /// The [`sample`]s of every [`SAMPLED`]th key: a search that begins with them
    /// touches few keys.
    samples: Vec<u64>,
}

const SAMPLED: usize = 8;

/// Where a key lies and, up to the next one's key, its value.
struct Slot {
    key: u32,
    /// [`REMOVED`]: there is none.
    value: u32,
}

const REMOVED: u32 = u32::MAX;

impl Run {
    /// Of at most so many changes and bytes.
    fn of<'a>(changes: impl Iterator<Item = Change<'a>>, most: usize, bytes: usize) -> Self {
        let mut run = Self {
            tables: Vec::new(),
            slots: Vec::with_capacity(most),
            bytes: Vec::with_capacity(bytes),
            filter: Filter::with_room_for(most as u64),
        };
        for change in changes {
            run.push(&change);
        }
        let mut tables = std::mem::take(&mut run.tables);
        tables.iter_mut().for_each(|part| part.sample(&run));
        Self { tables, ..run }
    }

    fn push(&mut self, change: &Change<'_>) {
        let number = self.slots.len();
        match self.tables.last_mut() {
            Some(part) if part.table == change.table => part.slots.end = number + 1,
            _ => self.tables.push(Part {
                table: change.table,
                slots: number..number + 1,
                common: 0,
                samples: Vec::new(),
            }),
        }
        let key = self.bytes.len() as u32;
        self.bytes.extend_from_slice(change.key);
        let value = change.value.map_or(REMOVED, |value| {
            let start = self.bytes.len() as u32;
            self.bytes.extend_from_slice(value);
            start
        });
        self.slots.push(Slot { key, value });
        self.filter.insert(hash(change.table, change.key));
    }

    fn size(&self) -> u64 {
        (self.bytes.len() + self.slots.len() * size_of::<Slot>() + self.filter.as_bytes().len()) as u64
    }

    /// Whether a newer run is so large that the two should be one.
    fn is_mergeable(&self, newer: &Self) -> bool {
        self.slots.len() <= 2 * newer.slots.len() && self.size() + newer.size() <= MERGED_BYTES
    }

    fn entry(&self, number: usize) -> (&[u8], Option<&[u8]>) {
        let slot = &self.slots[number];
        let end = self.slots.get(number + 1).map_or(self.bytes.len(), |next| next.key as usize);
        match slot.value {
            REMOVED => (&self.bytes[slot.key as usize..end], None),
            value => {
                let value = value as usize;
                (&self.bytes[slot.key as usize..value], Some(&self.bytes[value..end]))
            }
        }
    }

    fn part(&self, table: TableIndex) -> Option<&Part> {
        self.tables.iter().find(|part| part.table == table)
    }

    fn get(&self, table: TableIndex, key: &[u8]) -> Option<Option<&[u8]>> {
        let part = self.part(table)?;
        let number = part.first_not_below(self, key);
        let (found, value) = part.slots.contains(&number).then(|| self.entry(number))?;
        (found == key).then_some(value)
    }

    /// The slots of a range of keys.
    fn within(&self, table: TableIndex, range: &KeyRange) -> Range<usize> {
        let Some(part) = self.part(table) else { return 0..0 };
        let place = |key: &Option<Vec<u8>>, otherwise| {
            key.as_ref().map_or(otherwise, |key| part.first_not_below(self, key))
        };
        place(&range.start, part.slots.start)..place(&range.end, part.slots.end)
    }

    fn all(&self) -> Changes<'_> {
        self.changes(0..self.slots.len())
    }

    fn changes(&self, slots: Range<usize>) -> Changes<'_> {
        let part = self.tables.partition_point(|part| part.slots.end <= slots.start);
        Changes { run: self, slots, part }
    }
}

impl Part {
    fn sample(&mut self, run: &Run) {
        let (first, last) = (run.entry(self.slots.start).0, run.entry(self.slots.end - 1).0);
        self.common = first.iter().zip(last).take_while(|(first, last)| first == last).count();
        let sampled = self.slots.clone().step_by(SAMPLED);
        self.samples = sampled.map(|number| sample(&run.entry(number).0[self.common..])).collect();
    }

    /// The first of its slots whose key is not less.
    fn first_not_below(&self, run: &Run, key: &[u8]) -> usize {
        let Range { mut start, mut end } = self.slots;
        let common = &run.entry(start).0[..self.common];
        if key.starts_with(common) {
            let sample = sample(&key[self.common..]);
            let below = self.samples.partition_point(|own| *own < sample);
            let alike = match self.samples.get(below) {
                Some(own) if *own == sample => self.samples[below..].partition_point(|own| *own == sample),
                _ => 0,
            };
            let above = below + alike;
            end = end.min(start + above * SAMPLED);
            start += below.saturating_sub(1) * SAMPLED;
        }
        while start < end {
            let middle = start + (end - start) / 2;
            if run.entry(middle).0 < key { start = middle + 1 } else { end = middle }
        }
        start
    }
}

/// The beginning of a key's rest, as a number: a lower one is of a lower key.
fn sample(rest: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = rest.len().min(8);
    bytes[..length].copy_from_slice(&rest[..length]);
    u64::from_be_bytes(bytes)
}

/// Some consecutive changes of a run.
struct Changes<'a> {
    run: &'a Run,
    slots: Range<usize>,
    /// Which of the run's parts the last one was of.
    part: usize,
}

impl<'a> Changes<'a> {
    fn change(&mut self, number: usize) -> Change<'a> {
        while self.run.tables[self.part].slots.end <= number {
            self.part += 1;
        }
        while self.run.tables[self.part].slots.start > number {
            self.part -= 1;
        }
        let (key, value) = self.run.entry(number);
        Change { table: self.run.tables[self.part].table, key, value }
    }
}

impl<'a> Iterator for Changes<'a> {
    type Item = Change<'a>;

    fn next(&mut self) -> Option<Change<'a>> {
        self.slots.next().map(|number| self.change(number))
    }
}

impl DoubleEndedIterator for Changes<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.slots.next_back().map(|number| self.change(number))
    }
}

/// The changes of several runs, the oldest first, in the order of their keys. Of
/// one key that of the newest run.
struct Merged<'a> {
    /// Of each run: its next change, and those behind it.
    runs: Vec<(Option<Change<'a>>, Changes<'a>)>,
    reverse: bool,
}

impl<'a> Merged<'a> {
    fn new(runs: impl IntoIterator<Item = Changes<'a>>, reverse: bool) -> Self {
        let runs = runs.into_iter().map(|mut changes| {
            let first = if reverse { changes.next_back() } else { changes.next() };
            (first, changes)
        });
        Self { runs: runs.collect(), reverse }
    }
}

impl<'a> Iterator for Merged<'a> {
    type Item = Change<'a>;

    /// There are few runs, so looking at all of them is fast enough.
    fn next(&mut self) -> Option<Change<'a>> {
        let mut first: Option<(usize, Change<'a>)> = None;
        for (number, (change, _)) in self.runs.iter().enumerate() {
            let Some(change) = change else { continue };
            let order = first.map_or(Ordering::Less, |(_, first)| order(change, &first));
            let is_behind = if self.reverse { order.is_lt() } else { order.is_gt() };
            if first.is_none() || !is_behind {
                first = Some((number, *change));
            }
        }
        let (newest, first) = first?;
        for (number, (change, rest)) in self.runs.iter_mut().enumerate() {
            if number == newest || change.is_some_and(|change| order(&change, &first).is_eq()) {
                *change = if self.reverse { rest.next_back() } else { rest.next() };
            }
        }
        Some(first)
    }
}

fn order(one: &Change<'_>, other: &Change<'_>) -> Ordering {
    (one.table, one.key).cmp(&(other.table, other.key))
}
