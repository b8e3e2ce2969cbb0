//! Which events of a block a selection names. An index only makes this faster;
//! here is what it means.

use super::{Criterion, Selection};
use crate::event::{Block, Event, Head, Position};

/// What an event must have: one of these types, this subject, all these tags.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    pub(super) types: &'a [String],
    pub(super) subject: Option<&'a str>,
    pub(super) tags: &'a [String],
}

impl<'a> Query<'a> {
    pub(super) fn of(selection: &'a Selection) -> Self {
        Self { types: &selection.types, subject: selection.subject.as_deref(), tags: &selection.tags }
    }

    pub(super) fn of_criterion(criterion: &'a Criterion) -> Self {
        Self { types: &criterion.types, subject: None, tags: &criterion.tags }
    }

    /// Whether every event matches.
    pub(super) fn is_any(&self) -> bool {
        self.types.is_empty() && self.subject.is_none() && self.tags.is_empty()
    }

    /// Prepares the query for one block.
    pub(super) fn on(self, block: &'a Block) -> Matcher<'a> {
        let types = match self.types {
            [] => None,
            types => Some(block.names.iter().map(|name| types.contains(name)).collect()),
        };
        Matcher { query: self, block, types }
    }
}

/// A query on one block.
pub(super) struct Matcher<'a> {
    query: Query<'a>,
    block: &'a Block,
    /// By name index: whether it is one of the types.
    types: Option<Vec<bool>>,
}

impl Matcher<'_> {
    /// Whether an event of the block matches.
    pub(super) fn matches(&self, head: &Head) -> bool {
        self.types.as_ref().is_none_or(|types| types[head.event_type as usize])
            && self.query.subject.is_none_or(|subject| {
                !subject.is_empty() && self.block.slice(head.subject) == subject.as_bytes()
            })
            && (self.query.tags.is_empty() || {
                let tags = self.block.tags(head);
                self.query.tags.iter().all(|tag| tags.contains(tag))
            })
    }
}

/// The part of a block's heads between two positions, both included.
pub(super) fn between(block: &Block, from: Position, to: Position) -> std::ops::Range<usize> {
    let start = block.heads.partition_point(|head| head.position < from);
    let end = block.heads.partition_point(|head| head.position <= to);
    start..end.max(start)
}

impl Selection {
    /// Whether an event is one of those selected, whatever the limit.
    pub fn matches(&self, event: &Event) -> bool {
        (self.from..=self.to).contains(&event.position)
            && (self.types.is_empty() || self.types.contains(&event.envelope.event_type))
            && (self.subject.is_none() || self.subject == event.envelope.subject)
            && self.tags.iter().all(|tag| event.envelope.tags.contains(tag))
    }
}
