//! What stands where in an altered log, other than it was recorded.

use std::collections::{BTreeMap, HashMap};

use super::{Alteration, Place, Selector, met::Met};
use crate::{
    event::{Event, Position},
    log::{EventLog, LogError, Selection},
};

/// What alterations did to a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// How many events were left out.
    pub left_out: u64,
    /// How many were replaced.
    pub replaced: u64,
    /// How many were inserted.
    pub inserted: u64,
    /// Which of the alterations, counted from 0, met no event.
    pub idle: Vec<usize>,
}

/// Why it cannot be said what alterations come to.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ResolveError {
    /// The alterations say two things at once.
    #[error(transparent)]
    Contradiction(#[from] ContradictionError),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Alterations that cannot hold together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContradictionError {
    /// Several sources have used the id.
    #[error(
        "there are several events with this id, at positions {first} and {second}: say which by its \"position\""
    )]
    Ambiguous {
        /// The alteration, counted from 0.
        alteration: usize,
        /// The first event that has the id.
        first: Position,
        /// The next one.
        second: Position,
    },
    /// One event is replaced twice, or replaced and left out.
    #[error("the same event is altered by alteration {} already", .earlier + 1)]
    Twice {
        /// The alteration, counted from 0.
        alteration: usize,
        /// The one before it.
        earlier: usize,
    },
}

impl ContradictionError {
    /// The alteration at fault, counted from 0.
    pub fn alteration(&self) -> usize {
        let (Self::Ambiguous { alteration, .. } | Self::Twice { alteration, .. }) = self;
        *alteration
    }
}

/// What is different at one position.
#[derive(Default)]
pub(super) struct Edit {
    pub(super) before: Vec<Event>,
    pub(super) replaced: Option<Event>,
    pub(super) after: Vec<Event>,
}

/// What is replaced and inserted, by positions.
#[derive(Default)]
pub(super) struct Edits(BTreeMap<Position, Edit>);

impl Edits {
    /// The edits from one position to another.
    pub(super) fn between(&self, from: Position, to: Position) -> impl Iterator<Item = (Position, &Edit)> {
        let from_there = self.0.range(from..);
        from_there.map(|(position, edit)| (*position, edit)).take_while(move |(position, _)| *position <= to)
    }

    /// Finds the events that are meant.
    pub(super) fn resolve(
        alterations: &[Alteration],
        left_out: &Selector,
        log: &dyn EventLog,
        to: Position,
    ) -> Result<(Self, Effect), ResolveError> {
        let met = Met::on(alterations, left_out, log, to)?;
        let mut effect = Effect { left_out: met.left_out, ..Effect::default() };
        let mut edits = BTreeMap::<Position, Edit>::new();
        for (index, alteration) in alterations.iter().enumerate() {
            let (position, envelope) = match alteration {
                Alteration::LeaveOut(_) if met.leaving_out.contains(&index) => continue,
                Alteration::LeaveOut(_) => (None, None),
                Alteration::Replace { event, .. } => (met.replaced.get(&index).copied(), Some(event)),
                Alteration::Insert { place, event } => (Some(place.position()), Some(event)),
            };
            let beside = position.filter(|position| (1..=to).contains(position));
            let beside = beside.map(|position| at(log, position)).transpose()?.flatten();
            let (Some(beside), Some(envelope)) = (beside, envelope) else {
                effect.idle.push(index);
                continue;
            };
            let edit = edits.entry(beside.position).or_default();
            let same_subject = beside.envelope.subject == envelope.subject;
            let event = Event { version: 0, envelope: envelope.clone(), ..beside };
            match alteration {
                Alteration::Insert { place: Place::Before(_), .. } => edit.before.push(event),
                Alteration::Insert { .. } => edit.after.push(event),
                _ => {
                    let version = if same_subject { beside.version } else { 0 };
                    edit.replaced = Some(Event { version, ..event });
                }
            }
            match alteration {
                Alteration::Insert { .. } => effect.inserted += 1,
                _ => effect.replaced += 1,
            }
        }
        let mut edits = Self(edits);
        edits.number(log)?;
        Ok((edits, effect))
    }

    /// Numbers the events within their subjects, where they have none: as the log would have
    /// done at that place.
    fn number(&mut self, log: &dyn EventLog) -> Result<(), LogError> {
        let mut given = HashMap::<(String, u64), u64>::new();
        for (position, Edit { before, replaced, after }) in &mut self.0 {
            let first = before.iter_mut().chain(replaced).map(|event| (position - 1, event));
            for (to, event) in first.chain(after.iter_mut().map(|event| (*position, event))) {
                let Some(subject) = event.envelope.subject.clone().filter(|_| event.version == 0) else {
                    continue;
                };
                let last = last_version(log, &subject, to)?;
                let further = given.entry((subject, last)).or_default();
                *further += 1;
                event.version = last + *further;
            }
        }
        Ok(())
    }
}

/// The event at a position.
fn at(log: &dyn EventLog, position: Position) -> Result<Option<Event>, LogError> {
    let block = log.block(position)?;
    Ok(block.and_then(|block| {
        let index = block.between(position, position).start;
        block.heads.get(index).map(|head| block.event(head))
    }))
}

/// The number of a subject's last event up to a position; 0 if there is none.
fn last_version(log: &dyn EventLog, subject: &str, to: Position) -> Result<u64, LogError> {
    let subject = Some(subject.to_owned());
    let last = Selection { to, subject, reverse: true, limit: 1, ..Selection::default() };
    let last = if to == 0 { None } else { log.read(&last)?.pop() };
    Ok(last.map_or(0, |event| event.version))
}
