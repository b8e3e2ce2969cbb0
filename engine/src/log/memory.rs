//! A log that lives as long as the process, for `run` and for tests. It answers
//! as the embedded log does.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::{
    Append, AppendError, Appended, EventLog, LogError, LogSettings, Rare, Selection,
    admission::{Admission, History},
    index::Index,
    keys::{Key, Keys},
    matcher::Query,
    prepared::{Prepared, recorded_head},
};
use crate::{
    clock::Clock,
    event::{Block, BlockBuilder, Event, Position, Timestamp},
};

/// A log in memory.
pub struct MemoryLog {
    clock: Clock,
    settings: LogSettings,
    keys: Keys,
    inner: RwLock<Inner>,
    head: watch::Sender<Position>,
}

#[derive(Default)]
struct Inner {
    blocks: Blocks,
    index: Index,
    recorded: Timestamp,
}

/// All events, in order.
#[derive(Default)]
struct Blocks(Vec<Arc<Block>>);

impl MemoryLog {
    /// An empty log.
    pub fn new(settings: LogSettings) -> Self {
        Self::with_clock(settings, Clock::default())
    }

    /// One that records events at the time of this clock.
    pub fn with_clock(settings: LogSettings, clock: Clock) -> Self {
        Self {
            clock,
            settings: settings.sane(),
            keys: Keys::new(Keys::seed()),
            inner: RwLock::default(),
            head: watch::Sender::new(0),
        }
    }

    fn append_now(&self, batch: Append) -> Result<Appended, AppendError> {
        let batch = Prepared::new(&batch, &self.settings, self.keys)?;
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        let head = inner.blocks.head();
        let mut admission = Admission::new(&inner.blocks, &mut inner.index, self.keys, head);
        let appended = admission.admit(batch)?;
        let Some(admitted) = admission.admitted.pop() else { return Ok(appended) };
        inner.recorded = inner.recorded.max(self.clock.now());
        let mut builder = inner.blocks.open(&self.settings);
        let block = &admitted.batch.block;
        for ((place, position), version) in admitted.new.iter().zip(head + 1..).zip(&admitted.versions) {
            let head = recorded_head(&block.heads[*place], position, inner.recorded, *version);
            builder.copy(block, &head);
            if builder.len() >= self.settings.block_events || builder.bytes_len() >= self.settings.block_bytes
            {
                inner.blocks.0.push(Arc::new(std::mem::take(&mut builder).build()));
            }
        }
        if !builder.is_empty() {
            inner.blocks.0.push(Arc::new(builder.build()));
        }
        self.head.send_replace(inner.blocks.head());
        Ok(appended)
    }

    fn inner(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new(LogSettings::default())
    }
}

impl EventLog for MemoryLog {
    fn append(&self, batch: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move { self.append_now(batch) })
    }

    fn check(&self, batch: &Append) -> Result<(), AppendError> {
        self.settings.check(batch)
    }

    fn head(&self) -> Position {
        *self.head.borrow()
    }

    fn follow(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    fn block(&self, position: Position) -> Result<Option<Arc<Block>>, LogError> {
        Ok(self.inner().blocks.containing(position).cloned())
    }

    fn rare(&self, _: Position, _: Option<&[String]>, _: usize) -> Result<Option<Rare>, LogError> {
        Ok(None)
    }

    fn find(&self, source: &str, id: &str) -> Result<Option<Position>, LogError> {
        let id = self.keys.id(self.keys.source(source), id.as_bytes());
        Ok(self.inner().index.ids.get(&id).copied())
    }

    fn read(&self, selection: &Selection) -> Result<Vec<Event>, LogError> {
        let inner = self.inner();
        let (query, blocks) = (Query::of(selection), &inner.blocks);
        let (from, to) = (selection.from.max(1), selection.to.min(blocks.head()));
        if from > to {
            return Ok(Vec::new());
        }
        let event = |position| {
            let block = blocks.containing(position)?;
            let index = block.between(position, position).start;
            Some(block.event(&block.heads[index]))
        };
        let found: Box<dyn DoubleEndedIterator<Item = Position>> = match query {
            query if query.is_any() => Box::new(from..to + 1),
            // Correlations have no index here.
            Query { correlation: Some(_), .. } => Box::new(blocks.matching(query, from, to).into_iter()),
            _ => Box::new(inner.index.select(self.keys, query, from, to).into_iter()),
        };
        let ordered: Box<dyn Iterator<Item = Position>> = match selection.reverse {
            true => Box::new(found.rev()),
            false => found,
        };
        Ok(ordered.take(selection.limit).filter_map(event).collect())
    }
}

impl Blocks {
    fn head(&self) -> Position {
        self.0.last().map_or(0, |block| block.last())
    }

    fn containing(&self, position: Position) -> Option<&Arc<Block>> {
        let index = self.0.partition_point(|block| block.last() < position);
        self.0.get(index).filter(|block| block.first() <= position)
    }

    /// The positions of the events that match, found by looking at each.
    fn matching(&self, query: Query<'_>, from: Position, to: Position) -> Vec<Position> {
        let of_block = |block: &Arc<Block>| {
            let matcher = query.on(block);
            let heads = block.heads[block.between(from, to)].iter();
            heads.filter(|head| matcher.matches(head)).map(|head| head.position).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_block).collect()
    }

    /// A builder that goes on with the last block while that is small, so that
    /// many appends do not leave as many blocks. Copying at most a few events
    /// each time keeps appending linear.
    fn open(&mut self, settings: &LogSettings) -> BlockBuilder {
        let mut builder = BlockBuilder::new();
        let full = settings.block_events.min(64);
        if let Some(last) = self.0.pop_if(|last| last.len() < full && last.bytes.len() < settings.block_bytes)
        {
            for head in last.heads.iter() {
                builder.copy(&last, head);
            }
        }
        builder
    }
}

/// Nothing lies before the index.
impl History for Blocks {
    fn position(&self, _: Key) -> Result<Option<Position>, LogError> {
        Ok(None)
    }

    fn subject(&self, _: Key) -> Result<Option<(u64, Position)>, LogError> {
        Ok(None)
    }

    fn latest(&self, _: Query<'_>, _: Position) -> Result<Option<Position>, LogError> {
        Ok(None)
    }

    fn block(&self, position: Position) -> Result<Arc<Block>, LogError> {
        self.containing(position).cloned().ok_or(LogError::Closed)
    }
}
