//! Who may append: idempotency, conditions and versions, checked in the order
//! in which appends arrive. The same for every log; what differs is where the
//! events before the [`Index`] are found ([`History`]).

use std::collections::HashSet;

use super::{
    Append, AppendError, Appended, Criterion, InTheWay, LogError,
    index::{HashMap, Index, entry, id_key},
    matcher::Query,
};
use crate::event::{Attribute, Block, Envelope, Head, Position, cloudevents};

/// The part of the log that the index does not cover, and all its blocks.
pub(super) trait History {
    /// Where the event with this id (see `id_key`) stands.
    fn position(&self, id_key: &[u8]) -> Result<Option<Position>, LogError>;

    /// A subject's version and its last event.
    fn subject(&self, name: &str) -> Result<Option<(u64, Position)>, LogError>;

    /// The last event that matches a query, which names a tag or a type.
    fn latest(&self, query: Query<'_>, after: Position) -> Result<Option<Position>, LogError>;

    /// The block with a recorded event; the index's events are among them.
    fn block(&self, position: Position) -> Result<std::sync::Arc<Block>, LogError>;
}

/// An event that has been let in and is not yet in a block.
pub(super) struct Fresh {
    pub(super) envelope: Envelope,
    pub(super) version: u64,
}

/// Versions and last events of subjects that a condition has asked for.
type Looked<'b> = HashMap<&'b str, (u64, Position)>;

/// Lets batches in, one after the other.
pub(super) struct Admission<'a, H> {
    history: &'a H,
    index: &'a mut Index,
    /// The log's head before all this.
    head: Position,
    /// What has been let in since, in order.
    pub(super) fresh: Vec<Fresh>,
}

impl<'a, H: History> Admission<'a, H> {
    pub(super) fn new(history: &'a H, index: &'a mut Index, head: Position) -> Self {
        Self { history, index, head, fresh: Vec::new() }
    }

    /// Checks a batch and, if it may be appended, takes its new events in.
    pub(super) fn admit(&mut self, batch: Append) -> Result<Appended, AppendError> {
        let base = self.next();
        let (positions, new) = match self.check(&batch) {
            Ok(checked) => checked,
            Err(error) => {
                self.take_back(&batch, base);
                return Err(error);
            }
        };
        let known = new.iter().filter(|new| !**new).count();
        let position = positions.iter().copied().max().unwrap_or(self.next() - 1);
        for (envelope, new) in batch.events.into_iter().zip(new) {
            if new {
                self.take(envelope);
            }
        }
        Ok(Appended { positions, known, position })
    }

    /// The position that the next new event gets.
    fn next(&self) -> Position {
        self.head + 1 + self.fresh.len() as u64
    }

    /// Removes the ids of a refused batch from the index.
    fn take_back(&mut self, batch: &Append, base: Position) {
        let mut key = Vec::new();
        for envelope in &batch.events {
            id_key(&envelope.source, &envelope.id, &mut key);
            if self.index.ids.get(&key[..]).is_some_and(|position| *position >= base) {
                self.index.ids.remove(&key[..]);
            }
        }
    }

    /// Where each event of the batch stands or would stand, and whether it is
    /// new. Enters the ids of new events into the index.
    fn check(&mut self, batch: &Append) -> Result<(Vec<Position>, Vec<bool>), AppendError> {
        let base = self.next();
        let mut positions = Vec::with_capacity(batch.events.len());
        let mut new = Vec::with_capacity(batch.events.len());
        let mut firsts = Vec::new();
        let mut key = Vec::new();
        for (index, envelope) in batch.events.iter().enumerate() {
            id_key(&envelope.source, &envelope.id, &mut key);
            let known = match self.index.ids.get(&key[..]) {
                Some(position) => Some(*position),
                None => self.history.position(&key)?,
            };
            match known {
                Some(position) if position >= base => {
                    let first: usize = firsts[(position - base) as usize];
                    if !same_envelope(&batch.events[first], envelope) {
                        return Err(reused(envelope, in_the_way(0, &batch.events[first])));
                    }
                    positions.push(position);
                }
                Some(position) => {
                    if !self.holds(position, envelope)? {
                        return Err(reused(envelope, self.in_the_way(position)?));
                    }
                    positions.push(position);
                }
                None => {
                    let position = base + firsts.len() as u64;
                    self.index.ids.insert(key[..].into(), position);
                    firsts.push(index);
                    positions.push(position);
                }
            }
            new.push(known.is_none());
        }
        // A retry of what is there already succeeds, whatever it asked for: it
        // was asked, and held, the first time.
        let mut subjects = Looked::default();
        if !firsts.is_empty() || batch.events.is_empty() {
            subjects = self.check_condition(batch)?;
        }
        // Look subjects up now, so that nothing can fail once a batch is in.
        for (envelope, new) in batch.events.iter().zip(&new) {
            if let (Some(subject), true) = (&envelope.subject, *new) {
                self.enter_subject(subject, &subjects)?;
            }
        }
        Ok((positions, new))
    }

    /// Answers what it has found out about subjects. The index does not keep
    /// it: what conditions name, and what of it is ever appended to, is up to
    /// the clients.
    fn check_condition<'b>(&self, batch: &'b Append) -> Result<Looked<'b>, AppendError> {
        let condition = &batch.condition;
        let mut subjects = Looked::default();
        for (subject, expected) in &condition.expected_versions {
            let (actual, last) = self.subject(subject)?;
            subjects.insert(subject, (actual, last));
            if actual != *expected {
                let in_the_way = match last {
                    0 => None,
                    last => Some(self.in_the_way(last)?),
                };
                let (subject, expected) = (subject.clone(), *expected);
                return Err(AppendError::WrongVersion { subject, expected, actual, in_the_way });
            }
        }
        for criterion in &condition.fail_if_exists {
            if let Some(position) = self.latest(criterion)? {
                return Err(AppendError::Exists { in_the_way: self.in_the_way(position)? });
            }
        }
        Ok(subjects)
    }

    fn latest(&self, criterion: &Criterion) -> Result<Option<Position>, LogError> {
        let (query, last) = (Query::of_criterion(criterion), self.next() - 1);
        if query.is_any() {
            return Ok(Some(last).filter(|last| *last > criterion.after));
        }
        if criterion.after >= last {
            return Ok(None);
        }
        match self.index.latest(query, criterion.after) {
            Some(position) => Ok(Some(position)),
            None => self.history.latest(query, criterion.after),
        }
    }

    /// A subject's version and last event.
    fn subject(&self, name: &str) -> Result<(u64, Position), LogError> {
        match self.index.subjects.get(name) {
            Some(subject) => Ok((subject.version, subject.last)),
            None => Ok(self.history.subject(name)?.unwrap_or_default()),
        }
    }

    /// Has the index know a subject, to which an event is about to be added.
    fn enter_subject(&mut self, name: &str, looked: &Looked<'_>) -> Result<(), LogError> {
        if self.index.subjects.contains_key(name) {
            return Ok(());
        }
        let (version, last) = match looked.get(name) {
            Some(known) => *known,
            None => self.history.subject(name)?.unwrap_or_default(),
        };
        let subject = entry(&mut self.index.subjects, name);
        (subject.version, subject.last) = (version, last);
        Ok(())
    }

    /// Takes a new event in, whose id and subject the index already knows.
    fn take(&mut self, envelope: Envelope) {
        let position = self.next();
        let subject = envelope.subject.as_deref();
        let known = subject.and_then(|name| self.index.subjects.get(name));
        let version = if subject.is_some() { known.map_or(0, |subject| subject.version) + 1 } else { 0 };
        self.index.insert(position, version, &envelope.event_type, subject, &envelope.tags);
        self.fresh.push(Fresh { envelope, version });
    }

    /// Whether the event at a position is the same as this one.
    fn holds(&self, position: Position, envelope: &Envelope) -> Result<bool, LogError> {
        if position > self.head {
            return Ok(same_envelope(&self.fresh[(position - self.head - 1) as usize].envelope, envelope));
        }
        let block = self.history.block(position)?;
        Ok(same(&block, head_at(&block, position)?, envelope))
    }

    fn in_the_way(&self, position: Position) -> Result<InTheWay, LogError> {
        if position > self.head {
            return Ok(in_the_way(position, &self.fresh[(position - self.head - 1) as usize].envelope));
        }
        let block = self.history.block(position)?;
        Ok(in_the_way(position, &block.event(head_at(&block, position)?).envelope))
    }
}

fn head_at(block: &Block, position: Position) -> Result<&Head, LogError> {
    let head = position.checked_sub(block.first()).and_then(|index| block.heads.get(index as usize));
    head.ok_or_else(|| LogError::Damaged {
        position: block.first(),
        reason: format!("it should hold position {position} and does not"),
    })
}

fn in_the_way(position: Position, envelope: &Envelope) -> InTheWay {
    InTheWay {
        position,
        id: envelope.id.clone(),
        event_type: envelope.event_type.clone(),
        subject: envelope.subject.clone(),
    }
}

fn reused(envelope: &Envelope, in_the_way: InTheWay) -> AppendError {
    AppendError::IdReused { source_uri: envelope.source.clone(), in_the_way }
}

/// Whether two events with the same source and id say the same. Not whether
/// they look the same: the producer may have sent the second one in another of
/// the forms that CloudEvents allows.
fn same_envelope(one: &Envelope, other: &Envelope) -> bool {
    one.event_type == other.event_type
        && one.subject == other.subject
        && one.time == other.time
        && one.content_type.eq_ignore_ascii_case(&other.content_type)
        && same_data(&one.content_type, &one.data, &other.data)
        && same_tags(&one.tags, &other.tags)
        && one.extensions.len() == other.extensions.len()
        && one
            .extensions
            .iter()
            .zip(&other.extensions)
            .all(|(one, other)| one.0 == other.0 && same_value(one.1, other.1))
}

/// The same for an event in a block, without decoding what is equal at first
/// sight.
fn same(block: &Block, head: &Head, envelope: &Envelope) -> bool {
    let time = (head.flags & Head::NO_TIME == 0).then_some(head.time);
    let mut encoded = Vec::new();
    let quick = head.tags.length == 0
        && envelope.tags.is_empty()
        && (envelope.extensions.is_empty()
            || rmp_serde::encode::write(&mut encoded, &envelope.extensions).is_ok())
        && block.slice(head.extensions) == encoded
        && block.name(head.event_type) == envelope.event_type
        && block.slice(head.subject) == envelope.subject.as_deref().unwrap_or_default().as_bytes()
        && time == envelope.time.map(|time| time.as_micros())
        && block.name(head.content_type) == envelope.content_type
        && block.slice(head.data) == &envelope.data[..];
    quick || same_envelope(&block.event(head).envelope, envelope)
}

fn same_data(content_type: &str, one: &[u8], other: &[u8]) -> bool {
    if one == other {
        return true;
    }
    let parse = |data| serde_json::from_slice::<serde_json::Value>(data).ok();
    cloudevents::is_json(content_type) && parse(one).is_some_and(|one| Some(one) == parse(other))
}

fn same_tags(one: &[String], other: &[String]) -> bool {
    one == other || {
        let set = |tags: &'_ [String]| tags.iter().cloned().collect::<HashSet<_>>();
        set(one) == set(other)
    }
}

/// HTTP headers carry every value as text.
fn same_value(one: &Attribute, other: &Attribute) -> bool {
    one == other || one.to_string() == other.to_string()
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, sync::Arc};

    use super::*;
    use crate::log::{Condition, tests::event};

    /// A log that is empty, and counts how often it is asked for a subject.
    #[derive(Default)]
    struct Nothing {
        asked: Cell<usize>,
    }

    impl History for Nothing {
        fn position(&self, _: &[u8]) -> Result<Option<Position>, LogError> {
            Ok(None)
        }

        fn subject(&self, _: &str) -> Result<Option<(u64, Position)>, LogError> {
            self.asked.set(self.asked.get() + 1);
            Ok(None)
        }

        fn latest(&self, _: Query<'_>, _: Position) -> Result<Option<Position>, LogError> {
            Ok(None)
        }

        fn block(&self, position: Position) -> Result<Arc<Block>, LogError> {
            Err(LogError::Damaged { position, reason: "there is none".to_owned() })
        }
    }

    fn conditional(id: usize, subject: &str, expected: &[(&str, u64)]) -> Append {
        let expected_versions =
            expected.iter().map(|(name, version)| ((*name).to_owned(), *version)).collect();
        let condition = Condition { expected_versions, ..Condition::default() };
        Append { events: vec![event(id, "t", subject)], condition }
    }

    #[test]
    fn what_a_condition_names_is_not_kept() {
        let (history, mut index) = (Nothing::default(), Index::default());
        let mut admission = Admission::new(&history, &mut index, 0);
        for number in 0..100 {
            let refused = admission.admit(conditional(number, "s", &[(&format!("other-{number}"), 5)]));
            assert!(matches!(refused, Err(AppendError::WrongVersion { .. })));
        }
        assert!(admission.index.subjects.is_empty());
        assert!(admission.index.ids.is_empty());
        admission.admit(conditional(1, "s", &[("s", 0), ("other", 0)])).unwrap();
        admission.admit(conditional(2, "s", &[("s", 1)])).unwrap();
        assert_eq!(admission.index.subjects.keys().map(|name| &**name).collect::<Vec<_>>(), ["s"]);
    }

    #[test]
    fn a_subject_is_looked_up_once() {
        let (history, mut index) = (Nothing::default(), Index::default());
        let mut admission = Admission::new(&history, &mut index, 0);
        admission.admit(conditional(1, "s", &[("s", 0)])).unwrap();
        admission.admit(conditional(2, "s", &[("s", 1)])).unwrap();
        assert_eq!(history.asked.get(), 1);
    }
}
