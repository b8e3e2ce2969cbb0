//! What readers and the writer share: the file, the tail, the head.

use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use redb::{Database, ReadableDatabase};
use tokio::sync::watch;

use super::{
    super::{LogError, LogSettings, Rare, Selection, keys::Keys, matcher::Query},
    cache::BlockCache,
    runs::Filters,
    sealed::Sealed,
    tables::{BLOCKS, Doing, META, SEALED, SEED, block_after, read_block},
};
use crate::event::{Block, Event, Head, Position};

/// The file and what is known of it in memory.
pub(super) struct Store {
    pub(super) database: Database,
    pub(super) cache: BlockCache,
    pub(super) filters: Filters,
    pub(super) keys: Keys,
    view: RwLock<View>,
    head: watch::Sender<Position>,
    failure: OnceLock<String>,
}

/// What has been committed. A reader takes the view first and opens the file
/// then: the file holds at least what the view tells of, and what is sealed
/// never changes. So it sees each event once, even while the writer seals.
#[derive(Clone, Default)]
pub(super) struct View {
    /// Up to here events are in sealed blocks.
    pub(super) sealed: Position,
    /// The blocks after that, oldest first.
    pub(super) tail: Vec<Arc<Block>>,
    /// Up to here the tail's blocks are full; they stay as they are and only
    /// wait for being entered into the index, several at a time.
    pub(super) full: Position,
    /// How many bytes the blocks after that hold, beside their heads.
    pub(super) small_bytes: usize,
}

impl View {
    pub(super) fn head(&self) -> Position {
        self.tail.last().map_or(self.sealed, |block| block.last())
    }

    /// Adds a block to the tail.
    pub(super) fn push(&mut self, block: Arc<Block>, settings: &LogSettings) {
        if self.full == self.head() && settings.is_full(block.len(), block.bytes.len()) {
            self.full = block.last();
        } else {
            self.small_bytes += block.bytes.len();
        }
        self.tail.push(block);
    }

    /// The full blocks of the tail, and the small ones.
    pub(super) fn full_and_small(&self) -> (&[Arc<Block>], &[Arc<Block>]) {
        self.tail.split_at(self.tail.partition_point(|block| block.last() <= self.full))
    }

    /// The blocks of the tail that reach into a range of positions.
    fn tail_between(&self, from: Position, to: Position) -> &[Arc<Block>] {
        let start = self.tail.partition_point(|block| block.last() < from);
        let end = self.tail.partition_point(|block| block.first() <= to);
        &self.tail[start..end.max(start)]
    }
}

impl Store {
    /// Reads the tail of a file that has its tables.
    pub(super) fn open(database: Database, settings: &LogSettings) -> Result<Self, LogError> {
        const ACTION: &str = "read its tail";
        let mut view = View::default();
        let seed;
        {
            let transaction = database.begin_read().doing(ACTION)?;
            let meta = transaction.open_table(META).doing(ACTION)?;
            view.sealed = meta.get(SEALED).doing(ACTION)?.map_or(0, |sealed| sealed.value());
            view.full = view.sealed;
            seed = meta.get(SEED).doing(ACTION)?.map_or(0, |seed| seed.value());
            let blocks = transaction.open_table(BLOCKS).doing(ACTION)?;
            while let Some(first) = block_after(&blocks, view.head() + 1).doing(ACTION)? {
                let block = read_block(&blocks, first)?;
                if block.first() != view.head() + 1 {
                    let reason = format!("the block before it ends at position {}", view.head());
                    return Err(LogError::Damaged { position: first, reason });
                }
                view.push(block.into(), settings);
            }
        }
        let head = watch::Sender::new(view.head());
        let cache = BlockCache::new(settings.block_cache_bytes);
        Ok(Self {
            database,
            cache,
            filters: Filters::default(),
            keys: Keys::new(seed),
            view: RwLock::new(view),
            head,
            failure: OnceLock::new(),
        })
    }

    pub(super) fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows readers what has been committed, then moves the head.
    pub(super) fn publish(&self, change: impl FnOnce(&mut View)) {
        let head = {
            let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
            change(&mut view);
            view.head()
        };
        self.head.send_replace(head);
    }

    pub(super) fn head(&self) -> Position {
        *self.head.borrow()
    }

    pub(super) fn follow(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    pub(super) fn fail(&self, reason: String) {
        tracing::error!(reason, "the event log takes no more events");
        // The first failure is the one that matters.
        let _ = self.failure.set(reason);
    }

    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.get().map(|reason| &**reason)
    }

    /// The sealed part as it is now.
    pub(super) fn sealed(&self, to: Position) -> Result<Sealed<'_>, LogError> {
        Sealed::open(&self.database, (&self.cache, &self.filters), self.keys, to)
    }

    pub(super) fn rare(
        &self,
        from: Position,
        types: &[String],
        limit: usize,
    ) -> Result<Option<Rare>, LogError> {
        let sealed = self.view().sealed;
        match from > 0 && from <= sealed {
            true => self.sealed(sealed)?.rare(from, types, limit),
            false => Ok(None),
        }
    }

    pub(super) fn block(&self, position: Position) -> Result<Option<Arc<Block>>, LogError> {
        let sealed = {
            let view = self.view();
            if position == 0 || position > view.head() {
                return Ok(None);
            }
            if position > view.sealed {
                return Ok(view.tail_between(position, position).first().cloned());
            }
            view.sealed
        };
        if let Some(block) = self.cache.containing(position) {
            return Ok(Some(block));
        }
        self.sealed(sealed)?.block(position).map(Some)
    }

    /// Where the event with this source and id stands. The tail's index is the writer's, so
    /// the tail is looked through.
    pub(super) fn find(&self, source: &str, id: &str) -> Result<Option<Position>, LogError> {
        let view = self.view().clone();
        for block in &view.tail {
            let is_it =
                |head: &&Head| block.slice(head.id) == id.as_bytes() && block.name(head.source) == source;
            if let Some(head) = block.heads.iter().find(is_it) {
                return Ok(Some(head.position));
            }
        }
        match view.sealed {
            0 => Ok(None),
            sealed => self.sealed(sealed)?.position(self.keys.id(self.keys.source(source), id.as_bytes())),
        }
    }

    pub(super) fn read(&self, selection: &Selection) -> Result<Vec<Event>, LogError> {
        let query = Query::of(selection);
        let (from, to) = (selection.from.max(1), selection.to);
        let mut events = Vec::new();
        if selection.limit == 0 || from > to {
            return Ok(events);
        }
        let (sealed, tail) = {
            let view = self.view();
            (view.sealed, view.tail_between(from, to).to_vec())
        };
        let mut visit = |block: &Block, head: &Head| {
            events.push(block.event(head));
            events.len() < selection.limit
        };
        let in_sealed = from <= sealed;
        let forwards = !selection.reverse;
        if forwards && in_sealed && !self.sealed(sealed)?.scan(query, from, to, false, &mut visit)? {
            return Ok(events);
        }
        let mut in_block = |block: &Arc<Block>| {
            let matcher = query.on(block);
            let heads = &block.heads[block.between(from, to)];
            let mut show = |head| !matcher.matches(head) || visit(block, head);
            if forwards { heads.iter().all(&mut show) } else { heads.iter().rev().all(&mut show) }
        };
        let go_on =
            if forwards { tail.iter().all(&mut in_block) } else { tail.iter().rev().all(&mut in_block) };
        if !forwards && go_on && in_sealed {
            self.sealed(sealed)?.scan(query, from, to, true, &mut visit)?;
        }
        Ok(events)
    }
}
