//! Which events a runner's next call gets.

use std::sync::Arc;

use crate::{
    event::{Block, Partition, Position},
    log::{EventLog, LogError, Rare},
    plugin::description::{Description, PartitionBy},
};

/// The events of the log that an instance is given.
pub(super) struct Source {
    log: Arc<dyn EventLog>,
    /// The types that the plug-in subscribed to; `None`: all.
    types: Option<Vec<String>>,
    /// What is left of blocks: the partition's events where the host divides
    /// them, all where the plug-in does it by a key of its own.
    given: Partition,
    /// It is the first partition, or the only one.
    is_first: bool,
    /// The end of the block last read, since what the plug-in wants was not rare
    /// in it: until there the log need not be asked for rare events.
    block_to: Position,
}

/// What one call gets.
pub(super) struct Portion {
    /// Perhaps none.
    pub(super) events: Block,
    /// Up to here there are no others.
    pub(super) to: Position,
    /// Of how many events they were chosen.
    pub(super) of: usize,
}

impl Source {
    /// For a partition of a plug-in.
    pub(super) fn new(log: Arc<dyn EventLog>, description: &Description, partition: Partition) -> Self {
        let given = match description.partition_by {
            Some(PartitionBy::Subject) => partition,
            Some(PartitionBy::Key) | None => Partition::WHOLE,
        };
        let types = description.events.clone();
        Self { log, types, given, is_first: partition.index == 0, block_to: 0 }
    }

    /// Whether its events count as folded: where each partition is given all of
    /// them, those of one do.
    pub(super) fn counts(&self) -> bool {
        self.is_first || !self.given.is_whole()
    }

    /// From `first` on, at most up to `last`, chosen of at most `most` events;
    /// none behind the log's head.
    pub(super) fn portion(
        &mut self,
        first: Position,
        last: Position,
        most: usize,
    ) -> Result<Option<Portion>, LogError> {
        if let Some(rare) = self.rare(first, most)? {
            let within = rare.events.heads.partition_point(|head| head.position <= last);
            let events = rare.events.select(0..within, |_| true, self.given);
            return Ok(Some(Portion { of: events.len(), events, to: rare.to.min(last) }));
        }
        let Some(block) = self.log.block(first)? else { return Ok(None) };
        let start = (first - block.first()) as usize;
        // The other partitions find the next block in the log's cache.
        if start == 0 && self.is_first {
            self.read_ahead(block.last() + 1);
        }
        self.block_to = block.last();
        let end = (last.min(block.last()) - block.first() + 1) as usize;
        let range = start..end.min(start + most);
        let (to, of) = (block.heads[range.end - 1].position, range.len());
        let types = self.types.as_deref();
        let is_wanted = |name: &str| types.is_none_or(|types| types.iter().any(|own| own == name));
        Ok(Some(Portion { events: block.select(range, is_wanted, self.given), to, of }))
    }

    /// The next events, where those that the plug-in wants are rare.
    fn rare(&self, first: Position, most: usize) -> Result<Option<Rare>, LogError> {
        match &self.types {
            Some(types) if first > self.block_to => self.log.rare(first, types, most),
            _ => Ok(None),
        }
    }

    /// Lets the log fetch a block beside the fold of the one before.
    fn read_ahead(&self, position: Position) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if position <= self.log.head() {
            let log = Arc::clone(&self.log);
            // If it fails, the fold meets the error when it comes there.
            runtime.spawn_blocking(move || drop(log.block(position)));
        }
    }
}
