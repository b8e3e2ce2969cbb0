//! A log with alterations, to see what would have been. The log beneath is read and
//! never changed.
//!
//! - [`AlteredLog`] (here): the altered history, as folds read it.
//! - [`Alteration`] (`alteration.rs`): what is left out, replaced or inserted, and how
//!   it is written.
//! - `selector.rs`: which events are left out.
//! - `met.rs`: which events alterations meet; `edits.rs`: what then stands where ([`Effect`]).
//!
//! Events stay where they are: one that is left out leaves a gap, one that is replaced
//! keeps its position and when it was recorded. Between two positions there is none, so
//! an inserted event has the position of the event that it stands beside, before or
//! behind it: **positions ascend here, but neither without gaps nor each only once**.
//! Therefore such a log is not read by counting on from a block's first position, but by
//! [`EventLog::rare`], which always answers here and never divides the events of a position.
//!
//! Numbers within a subject stay as they are, too; an inserted event gets the one that the
//! log would have given it there.

mod alteration;
mod edits;
mod met;
mod selector;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

pub use self::{
    alteration::{Alteration, AlterationError, Criteria, Named, Place},
    edits::{ContradictionError, Effect, ResolveError},
};
use self::{
    edits::{Edit, Edits},
    selector::Selector,
};
use super::{Append, AppendError, Appended, EventLog, LogError, Rare, Selection};
use crate::event::{Block, BlockBuilder, Event, Head, Position};

/// Who reads events one by one gets them in pieces of so many.
const PIECE: usize = 4096;

/// Another log's history up to a position, altered.
pub struct AlteredLog {
    log: Arc<dyn EventLog>,
    left_out: Selector,
    edits: Edits,
    /// It ends there, and never moves.
    head: watch::Sender<Position>,
}

impl AlteredLog {
    /// What the alterations make of a log up to a position, and what they met. Reads the
    /// whole log once, where they don't say by its position which event is meant.
    pub fn new(
        log: Arc<dyn EventLog>,
        alterations: &[Alteration],
        to: Position,
    ) -> Result<(Self, Effect), ResolveError> {
        let to = to.min(log.head());
        let left_out = Selector::new(alterations);
        let (edits, effect) = Edits::resolve(alterations, &left_out, &*log, to)?;
        Ok((Self { log, left_out, edits, head: watch::Sender::new(to) }, effect))
    }

    /// What becomes of the events of a block from one position to another, and what is
    /// inserted among them; of these, what is wanted.
    fn altered(&self, block: &Block, from: Position, to: Position, wanted: impl Fn(&str) -> bool) -> Block {
        let range = block.between(from, to);
        let left_out = self.left_out.on(block);
        let mut edits = self.edits.between(from, to).peekable();
        let mut heads = block.heads[range.clone()].iter().peekable();
        if edits.peek().is_none() && !heads.clone().any(|head| left_out.matches(head)) {
            return block.select(range, wanted);
        }
        let wanted_names: Vec<bool> = block.names.iter().map(|name| wanted(name)).collect();
        let mut builder = BlockBuilder::new();
        let copy = |builder: &mut BlockBuilder, head: &Head| {
            if wanted_names[head.event_type as usize] && !left_out.matches(head) {
                builder.copy(block, head);
            }
        };
        let push = |builder: &mut BlockBuilder, event: &Event| {
            if wanted(&event.envelope.event_type) {
                builder.push(event.position, event.recorded, event.version, &event.envelope);
            }
        };
        for (position, Edit { before, replaced, after }) in edits {
            while let Some(head) = heads.next_if(|head| head.position < position) {
                copy(&mut builder, head);
            }
            before.iter().for_each(|event| push(&mut builder, event));
            // Where only some types were read, the event itself may not be among them.
            match (replaced, heads.next_if(|head| head.position == position)) {
                (Some(event), _) => push(&mut builder, event),
                (None, Some(head)) => copy(&mut builder, head),
                (None, None) => {}
            }
            after.iter().for_each(|event| push(&mut builder, event));
        }
        heads.for_each(|head| copy(&mut builder, head));
        builder.build()
    }
}

impl EventLog for AlteredLog {
    fn append(&self, _: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async { Err(LogError::Altered.into()) })
    }

    fn check(&self, _: &Append) -> Result<(), AppendError> {
        Err(LogError::Altered.into())
    }

    fn follow(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    /// What has become of the stored block.
    fn block(&self, position: Position) -> Result<Option<Arc<Block>>, LogError> {
        let head = self.head();
        if position > head {
            return Ok(None);
        }
        let Some(block) = self.log.block(position)? else { return Ok(None) };
        let altered = self.altered(&block, block.first(), block.last().min(head), |_| true);
        Ok(Some(Arc::new(altered)))
    }

    fn rare(&self, from: Position, types: Option<&[String]>, limit: usize) -> Result<Option<Rare>, LogError> {
        let (from, head) = (from.max(1), self.head());
        if from > head {
            return Ok(None);
        }
        let wanted = |name: &str| types.is_none_or(|types| types.iter().any(|own| own == name));
        if let Some(Rare { events, to }) = self.log.rare(from, types, limit)? {
            let to = to.min(head);
            return Ok(Some(Rare { events: self.altered(&events, from, to, wanted), to }));
        }
        let Some(block) = self.log.block(from)? else { return Ok(None) };
        let to = block.last().min(head).min(from.saturating_add(limit.max(1) as u64 - 1));
        Ok(Some(Rare { events: self.altered(&block, from, to, wanted), to }))
    }

    fn find(&self, source: &str, id: &str) -> Result<Option<Position>, LogError> {
        let events = self.read(&Selection::default())?;
        let is_meant = |event: &&Event| event.envelope.source == source && event.envelope.id == id;
        Ok(events.iter().find(is_meant).map(|event| event.position))
    }

    fn read(&self, selection: &Selection) -> Result<Vec<Event>, LogError> {
        let mut events = Vec::new();
        let mut from = selection.from;
        while from <= selection.to
            && let Some(Rare { events: piece, to }) = self.rare(from, None, PIECE)?
        {
            events.extend(piece.events().filter(|event| selection.matches(event)));
            from = to + 1;
        }
        if selection.reverse {
            events.reverse();
        }
        events.truncate(selection.limit);
        Ok(events)
    }
}
