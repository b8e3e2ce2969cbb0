//! Which events of a block a selection names. An index only makes this faster;
//! here is what it means.

use super::{Criterion, Selection};
use crate::event::{Attribute, Block, CORRELATION, Event, Head};

/// What an event must have: one of these types, this subject, all these tags,
/// and belong to this correlation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    pub(super) types: &'a [String],
    pub(super) subject: Option<&'a str>,
    pub(super) tags: &'a [String],
    pub(super) correlation: Option<&'a str>,
}

impl<'a> Query<'a> {
    pub(super) fn of(selection: &'a Selection) -> Self {
        Self {
            types: &selection.types,
            subject: selection.subject.as_deref(),
            tags: &selection.tags,
            correlation: selection.correlation.as_deref(),
        }
    }

    pub(super) fn of_criterion(criterion: &'a Criterion) -> Self {
        Self { types: &criterion.types, subject: None, tags: &criterion.tags, correlation: None }
    }

    /// Whether every event matches.
    pub(super) fn is_any(&self) -> bool {
        self.types.is_empty() && self.subject.is_none() && self.tags.is_empty() && self.correlation.is_none()
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
            && self.query.tags.iter().all(|tag| has_tag(self.block.slice(head.tags), tag))
            && self.query.correlation.is_none_or(|id| {
                self.block.slice(head.id) == id.as_bytes() || self.block.correlation(head) == Some(id)
            })
    }
}

/// Whether a MessagePack array of strings, or nothing, holds a tag. Decodes no
/// more than it must: readers of the tail look at each of its events.
fn has_tag(mut encoded: &[u8], wanted: &str) -> bool {
    let count = if encoded.is_empty() { 0 } else { rmp::decode::read_array_len(&mut encoded).unwrap_or(0) };
    for _ in 0..count {
        match rmp::decode::read_str_from_slice(encoded) {
            Ok((tag, _)) if tag == wanted => return true,
            Ok((_, rest)) => encoded = rest,
            Err(_) => return false,
        }
    }
    false
}

impl Selection {
    /// Whether it leaves out any of the events between its positions.
    pub fn is_filtered(&self) -> bool {
        !Query::of(self).is_any()
    }

    /// Whether an event is one of those selected, whatever the limit.
    pub fn matches(&self, event: &Event) -> bool {
        (self.from..=self.to).contains(&event.position)
            && (self.types.is_empty() || self.types.contains(&event.envelope.event_type))
            && (self.subject.is_none() || self.subject == event.envelope.subject)
            && self.tags.iter().all(|tag| event.envelope.tags.contains(tag))
            && self.correlation.as_ref().is_none_or(|id| {
                event.envelope.id == *id
                    || event.envelope.extensions.get(CORRELATION) == Some(&Attribute::String(id.clone()))
            })
    }
}
