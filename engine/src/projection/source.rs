//! Which events a runner's next call gets.

use std::sync::Arc;

use super::{
    code::Code,
    division::Division,
    upcast::{Upcasters, Upcasting},
    version::Halt,
};
use crate::{
    event::{Block, Partition, Position},
    log::{EventLog, LogError, Rare},
    plugin::description::{Description, PartitionBy},
};

/// The events of the log that an instance is given.
pub(crate) struct Source {
    log: Arc<dyn EventLog>,
    /// The types that are read: those that the plug-in subscribed to, and those that upcasters
    /// make into such; `None`: all.
    types: Option<Vec<String>>,
    /// What gives old events their newest shape, where there is any need, and the types that the
    /// plug-in subscribed to.
    upcasting: Option<(Upcasting, Option<Vec<String>>)>,
    partition: Partition,
    division: Arc<Division>,
    /// The host divides the events; otherwise each partition is given all of
    /// them, and divides them by a key of its own.
    divided: bool,
    /// The end of the block last read, since what the plug-in wants was not rare
    /// in it: until there the log need not be asked for rare events.
    block_to: Position,
}

/// What one call gets.
pub(crate) struct Portion {
    /// Perhaps none.
    pub(crate) events: Block,
    /// Up to here there are no others.
    pub(crate) to: Position,
    /// Of how many events they were chosen.
    pub(crate) of: usize,
}

impl Source {
    /// For a partition of a plug-in; the others have the same division.
    pub(crate) fn new(
        log: Arc<dyn EventLog>,
        code: &Code,
        partition: Partition,
        division: Arc<Division>,
    ) -> Self {
        let (description, upcasters) = (code.plugin().description(), code.upcasters());
        Self::of(log, description, partition, division, upcasters)
    }

    fn of(
        log: Arc<dyn EventLog>,
        description: &Description,
        partition: Partition,
        division: Arc<Division>,
        upcasters: &Upcasters,
    ) -> Self {
        let divided = !partition.is_whole() && description.partition_by == Some(PartitionBy::Subject);
        let wanted = description.events.clone();
        let own = upcasters.of(wanted.as_deref());
        let upcasting = (!own.is_empty()).then(|| (Upcasting::new(Arc::new(own)), wanted.clone()));
        let types = wanted.map(|wanted| upcasters.sources(wanted));
        Self { log, types, upcasting, partition, division, divided, block_to: 0 }
    }

    /// Whether its events count as folded: where each partition is given all of
    /// them, those of one do.
    pub(crate) fn counts(&self) -> bool {
        self.partition.index == 0 || self.divided
    }

    /// From `first` on, at most up to `last`, chosen of at most `most` events, in their newest shape;
    /// none behind the log's head.
    pub(crate) async fn portion(
        &mut self,
        first: Position,
        last: Position,
        most: usize,
    ) -> Result<Option<Portion>, Halt> {
        let portion = self.recorded(first, last, most).map_err(Halt::of_host)?;
        let Some(Portion { events, to, of }) = portion else { return Ok(None) };
        Ok(Some(Portion { events: self.newest(events).await?, to, of }))
    }

    /// What stands at a position, as the log has it.
    pub(crate) fn recorded_at(&self, position: Position) -> Result<Block, Halt> {
        let block = self.log.block(position).map_err(Halt::of_host)?.unwrap_or_default();
        Ok(block.select(block.between(position, position), |_| true))
    }

    /// What stands at a position, in its newest shape: several events where it has been split, none
    /// where there is nothing for the plug-in any more.
    pub(crate) async fn at(&mut self, position: Position) -> Result<Block, Halt> {
        self.newest(self.recorded_at(position)?).await
    }

    /// Gives back the instances of upcasters; what comes next is given to fresh ones.
    pub(crate) fn rest(&mut self) {
        if let Some((upcasting, _)) = &mut self.upcasting {
            upcasting.rest();
        }
    }

    /// The types that are read from the log; `None`: all.
    pub(crate) fn types(&self) -> Option<&[String]> {
        self.types.as_deref()
    }

    /// Events of the log in their newest shape: those that the plug-in subscribed to, if that
    /// makes others of any.
    pub(crate) async fn newest(&mut self, events: Block) -> Result<Block, Halt> {
        let Some((upcasting, wanted)) = &mut self.upcasting else { return Ok(events) };
        let newest = upcasting.newest(events).await?;
        Ok(match wanted {
            Some(wanted) => newest.select(0..newest.len(), |name| wanted.iter().any(|own| own == name)),
            None => newest,
        })
    }

    /// The same as the log has them.
    fn recorded(
        &mut self,
        first: Position,
        last: Position,
        most: usize,
    ) -> Result<Option<Portion>, LogError> {
        if let Some(rare) = self.rare(first, most)? {
            let to = rare.to.min(last);
            let events = self.own(&rare.events, first, to, |_| true);
            return Ok(Some(Portion { of: events.len(), events, to }));
        }
        let Some(block) = self.log.block(first)? else { return Ok(None) };
        let start = (first - block.first()) as usize;
        // The other partitions find the next block in the log's cache.
        if start == 0 && self.division.leads(block.last()) {
            self.read_ahead(block.last() + 1);
        }
        self.block_to = block.last();
        let end = (last.min(block.last()) - block.first() + 1) as usize;
        let range = start..end.min(start + most);
        let (to, of) = (block.heads[range.end - 1].position, range.len());
        let types = self.types.as_deref();
        let is_wanted = |name: &str| types.is_none_or(|types| types.iter().any(|own| own == name));
        Ok(Some(Portion { events: self.own(&block, first, to, is_wanted), to, of }))
    }

    /// The partition's events of a block, from one position to another.
    fn own(&self, block: &Block, from: Position, to: Position, wanted: impl Fn(&str) -> bool) -> Block {
        let range = block.between(from, to);
        match self.divided {
            true => self.division.part(self.partition.index, block, range, wanted),
            false => block.select(range, wanted),
        }
    }

    /// The next events, where those that the plug-in wants are rare.
    fn rare(&self, first: Position, most: usize) -> Result<Option<Rare>, LogError> {
        match first > self.block_to {
            true => self.log.rare(first, self.types.as_deref(), most),
            false => Ok(None),
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

#[cfg(test)]
mod tests;
