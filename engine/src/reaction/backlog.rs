//! The events that are known and not handled, and so how far all are.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    event::{Block, Head, Position},
    state::BookEntry,
};

/// Events that are known and not handled.
#[derive(Default)]
pub(super) struct Backlog {
    /// Each as a block of its own: of an event that an upcaster has split, all it has become.
    open: BTreeMap<Position, Block>,
    /// Events that had been given up, and are to be handled after all, wherever they
    /// stand. They hold up no checkpoint: they count as handled.
    revived: BTreeMap<Position, Block>,
    /// Up to where the log has been read.
    read_to: Position,
    /// The last event that is handled.
    handled_to: Position,
    /// Which events the books say are open.
    noted: BTreeSet<Position>,
}

impl Backlog {
    /// As the books say it: all events up to `handled_to` are handled but these, each
    /// a block of its own.
    pub(super) fn new(handled_to: Position, open: impl IntoIterator<Item = (Position, Block)>) -> Self {
        let open: BTreeMap<Position, Block> = open.into_iter().collect();
        let noted = open.keys().copied().collect();
        Self { open, noted, handled_to, read_to: handled_to, ..Self::default() }
    }

    /// The log has been read up to a position. Answers where those of the new events
    /// stand that are wanted.
    pub(super) fn read(
        &mut self,
        events: &Block,
        to: Position,
        wanted: impl Fn(&Head) -> bool,
    ) -> Vec<Position> {
        self.read_to = to;
        let mut positions = Vec::with_capacity(events.heads.len());
        for (position, event) in events.by_position() {
            if event.heads.first().is_some_and(&wanted) {
                self.open.insert(position, event);
                positions.push(position);
            }
        }
        positions
    }

    /// An event is to be handled after all: a block of it alone.
    pub(super) fn revive(&mut self, position: Position, event: Block) {
        self.revived.insert(position, event);
    }

    /// An event that is not handled yet.
    pub(super) fn event(&self, position: Position) -> Option<&Block> {
        self.open.get(&position).or_else(|| self.revived.get(&position))
    }

    /// It is handled.
    pub(super) fn close(&mut self, position: Position) {
        if self.open.remove(&position).is_some() {
            self.handled_to = self.handled_to.max(position);
        }
        self.revived.remove(&position);
    }

    /// How many are not handled.
    pub(super) fn len(&self) -> usize {
        self.open.len() + self.revived.len()
    }

    /// Those that hold up the checkpoint, each as a block of its own.
    pub(super) fn open(&self) -> impl Iterator<Item = (Position, Block)> + '_ {
        self.open.iter().map(|(position, event)| (*position, event.clone()))
    }

    pub(super) fn read_to(&self) -> Position {
        self.read_to
    }

    /// Up to here all events are handled.
    pub(super) fn low_water(&self) -> Position {
        self.open.first_key_value().map_or(self.read_to, |(first, _)| first - 1)
    }

    /// What the books have to say anew: how far events are handled, and which of those
    /// before are not. Most often none is; a few, where some wait.
    pub(super) fn entries(&mut self) -> Vec<BookEntry> {
        let handled_to = self.handled_to.max(self.low_water());
        let open: BTreeSet<Position> =
            self.open.range(..=handled_to).map(|(position, _)| *position).collect();
        let opened = open.difference(&self.noted).map(|position| BookEntry::Open(*position));
        let closed = self.noted.difference(&open).map(|position| BookEntry::Closed(*position));
        let entries = opened.chain(closed).chain([BookEntry::HandledTo(handled_to)]).collect();
        self.noted = open;
        entries
    }
}
