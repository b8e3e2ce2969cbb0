//! The events that are known and not handled, and so how far all are.

use std::collections::{BTreeMap, HashSet};

use crate::event::{Block, Position};

/// Events between the checkpoint and where the log has been read to.
pub(super) struct Backlog {
    /// Each as a block of its own.
    open: BTreeMap<Position, Block>,
    /// Up to where the log has been read.
    read_to: Position,
    /// Above the checkpoint, handled in an earlier run.
    handled: HashSet<Position>,
}

impl Backlog {
    /// Behind a checkpoint, above which some are handled already.
    pub(super) fn new(checkpoint: Position, handled: impl IntoIterator<Item = Position>) -> Self {
        Self { open: BTreeMap::new(), read_to: checkpoint, handled: handled.into_iter().collect() }
    }

    /// The log has been read up to a position. Answers which of the events are still
    /// to be handled.
    pub(super) fn read(&mut self, events: &Block, to: Position) -> Vec<Position> {
        let mut new = Vec::with_capacity(events.len());
        for (index, head) in events.heads.iter().enumerate() {
            if !self.handled.remove(&head.position) {
                self.open.insert(head.position, events.select(index..index + 1, |_| true));
                new.push(head.position);
            }
        }
        self.read_to = to;
        new
    }

    /// An event that is not handled yet.
    pub(super) fn event(&self, position: Position) -> Option<&Block> {
        self.open.get(&position)
    }

    /// It is handled.
    pub(super) fn close(&mut self, position: Position) {
        self.open.remove(&position);
    }

    /// How many are not handled.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn read_to(&self) -> Position {
        self.read_to
    }

    /// Up to here all events are handled.
    pub(super) fn low_water(&self) -> Position {
        self.open.first_key_value().map_or(self.read_to, |(first, _)| first - 1)
    }
}
