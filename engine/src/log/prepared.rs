//! A batch as the writer takes it: all that can be done without knowing the log
//! is done, by whoever appends.

use std::sync::Arc;

use super::{
    Append, AppendError, Condition, LogSettings,
    keys::{Key, Keys},
};
use crate::event::{Block, BlockBuilder, Head, Position, Timestamp};

/// A batch that has been checked and laid out.
pub(super) struct Prepared {
    /// Its events. Positions, times of recording and versions are not in it yet.
    pub(super) block: Block,
    /// One for each event.
    pub(super) keys: Vec<EventKeys>,
    pub(super) condition: Condition,
}

/// What the index will know an event by.
pub(super) struct EventKeys {
    pub(super) id: Key,
    pub(super) subject: Option<Key>,
    pub(super) tags: Vec<Key>,
    pub(super) correlation: Option<Key>,
}

impl Prepared {
    /// Checks a batch for all that can be told without looking into the log.
    pub(super) fn new(batch: &Append, settings: &LogSettings, keys: Keys) -> Result<Self, AppendError> {
        settings.check(batch)?;
        let mut builder = BlockBuilder::new();
        for envelope in &batch.events {
            builder.push(0, Timestamp::default(), 0, envelope);
        }
        let block = builder.build();
        Ok(Self { keys: of_block(keys, &block), block, condition: batch.condition.clone() })
    }

    /// How many events it has.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Drops the events at other places than these.
    pub(super) fn keep(&mut self, places: &[usize]) {
        if places.len() < self.len() {
            let mut builder = BlockBuilder::new();
            places.iter().for_each(|place| builder.copy(&self.block, &self.block.heads[*place]));
            self.block = builder.build();
        }
    }

    /// Enters what the log has found about the events: the first one's position,
    /// when they were recorded, their versions.
    pub(super) fn record(&mut self, first: Position, recorded: Timestamp, versions: &[u64]) {
        // Nobody else has the heads so far; otherwise they would be copied.
        let heads = Arc::make_mut(&mut self.block.heads);
        for ((head, position), version) in heads.iter_mut().zip(first..).zip(versions) {
            *head = recorded_head(head, position, recorded, *version);
        }
    }
}

/// An event's head with what the log adds.
pub(super) fn recorded_head(head: &Head, position: Position, recorded: Timestamp, version: u64) -> Head {
    let recorded = recorded.as_micros();
    let time = if head.flags & Head::NO_TIME == 0 { head.time } else { recorded };
    Head { position, recorded, version, time, ..*head }
}

/// The keys of a block's events.
pub(super) fn of_block(keys: Keys, block: &Block) -> Vec<EventKeys> {
    let sources: Vec<Key> = block.names.iter().map(|name| keys.source(name)).collect();
    let of = |head: &Head| EventKeys {
        id: keys.id(sources[head.source as usize], block.slice(head.id)),
        subject: (head.subject.length > 0).then(|| keys.subject(block.slice(head.subject))),
        tags: block.tags(head).iter().map(|tag| keys.tag(tag)).collect(),
        correlation: block.correlation(head).map(|id| keys.correlation(id)),
    };
    block.heads.iter().map(of).collect()
}
