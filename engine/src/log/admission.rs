//! Who may append: idempotency, conditions and versions, checked in the order
//! in which appends arrive. The same for every log; what differs is where the
//! events before the [`Index`] are found ([`History`]).

use std::collections::{HashSet, hash_map::Entry};

use super::{
    AppendError, Appended, Condition, Criterion, InTheWay, LogError,
    index::{Index, Subject},
    keys::{Key, KeyMap, Keys},
    matcher::Query,
    prepared::Prepared,
};
use crate::event::{Attribute, Block, Envelope, Head, Position, cloudevents};

/// The part of the log that the index does not cover, and all its blocks.
pub(super) trait History {
    /// Where the event with this id stands.
    fn position(&self, id: Key) -> Result<Option<Position>, LogError>;

    /// A subject's version and its last event.
    fn subject(&self, subject: Key) -> Result<Option<(u64, Position)>, LogError>;

    /// The last event that matches a query, which names a tag or a type.
    fn latest(&self, query: Query<'_>, after: Position) -> Result<Option<Position>, LogError>;

    /// The block with a recorded event; the index's events are among them.
    fn block(&self, position: Position) -> Result<std::sync::Arc<Block>, LogError>;
}

/// A batch that has been let in and is not yet in a block of the log.
pub(super) struct Admitted {
    pub(super) batch: Prepared,
    /// The position of its first new event.
    pub(super) first: Position,
    /// The new events' places in the batch.
    pub(super) new: Vec<usize>,
    /// Their versions.
    pub(super) versions: Vec<u64>,
}

/// Versions and last events of subjects that a condition has asked for.
type Looked = KeyMap<(u64, Position)>;

/// Lets batches in, one after the other.
pub(super) struct Admission<'a, H> {
    history: &'a H,
    index: &'a mut Index,
    keys: Keys,
    /// The log's head before all this.
    head: Position,
    /// The position that the next new event gets.
    next: Position,
    /// What has been let in since, in order; no batch without a new event.
    pub(super) admitted: Vec<Admitted>,
}

impl<'a, H: History> Admission<'a, H> {
    /// `keys`: those by which the index knows everything.
    pub(super) fn new(history: &'a H, index: &'a mut Index, keys: Keys, head: Position) -> Self {
        Self { history, index, keys, head, next: head + 1, admitted: Vec::new() }
    }

    /// Checks a batch and, if it may be appended, takes its new events in.
    pub(super) fn admit(&mut self, batch: Prepared) -> Result<Appended, AppendError> {
        let (positions, new) = match self.check(&batch) {
            Ok(checked) => checked,
            Err(error) => {
                self.take_back(&batch);
                return Err(error);
            }
        };
        let known = positions.len() - new.len();
        let position = positions.iter().copied().max().unwrap_or(self.next - 1);
        if !new.is_empty() {
            self.take(batch, new);
        }
        Ok(Appended { positions, known, position })
    }

    /// Removes the ids of a refused batch from the index.
    fn take_back(&mut self, batch: &Prepared) {
        for keys in &batch.keys {
            if let Entry::Occupied(known) = self.index.ids.entry(keys.id)
                && *known.get() >= self.next
            {
                known.remove();
            }
        }
    }

    /// Where each event of the batch stands or would stand, and the places of
    /// those that are new. Enters their ids into the index.
    fn check(&mut self, batch: &Prepared) -> Result<(Vec<Position>, Vec<usize>), AppendError> {
        let base = self.next;
        let mut positions = Vec::with_capacity(batch.len());
        let mut new = Vec::with_capacity(batch.len());
        for (place, keys) in batch.keys.iter().enumerate() {
            let known = match self.index.ids.entry(keys.id) {
                Entry::Occupied(known) => Some(*known.get()),
                Entry::Vacant(unknown) => {
                    let known = self.history.position(keys.id)?;
                    if known.is_none() {
                        unknown.insert(base + new.len() as u64);
                    }
                    known
                }
            };
            positions.push(known.unwrap_or(base + new.len() as u64));
            match known {
                None => new.push(place),
                Some(position) => {
                    let event = (&batch.block, &batch.block.heads[place]);
                    match position.checked_sub(base) {
                        Some(earlier) => {
                            let head = &batch.block.heads[new[earlier as usize]];
                            check_same(event, (&batch.block, head), 0)?;
                        }
                        None => self
                            .recorded(position, |block, head| check_same(event, (block, head), position))??,
                    }
                }
            }
        }
        // A retry of what is there already succeeds, whatever it asked for: it
        // was asked, and held, the first time.
        let mut subjects = Looked::default();
        if !new.is_empty() || batch.keys.is_empty() {
            subjects = self.check_condition(&batch.condition)?;
        }
        // Look subjects up now, so that nothing can fail once a batch is in.
        for subject in new.iter().filter_map(|place| batch.keys[*place].subject) {
            self.enter_subject(subject, &subjects)?;
        }
        Ok((positions, new))
    }

    /// Answers what it has found out about subjects. The index does not keep
    /// it: what conditions name, and what of it is ever appended to, is up to
    /// the clients.
    fn check_condition(&self, condition: &Condition) -> Result<Looked, AppendError> {
        let mut subjects = Looked::default();
        for (subject, expected) in &condition.expected_versions {
            let key = self.keys.subject(subject.as_bytes());
            let (actual, last) = match self.index.subjects.get(&key) {
                Some(subject) => (subject.version, subject.last),
                None => self.history.subject(key)?.unwrap_or_default(),
            };
            subjects.insert(key, (actual, last));
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
        let (query, last) = (Query::of_criterion(criterion), self.next - 1);
        if query.is_any() {
            return Ok(Some(last).filter(|last| *last > criterion.after));
        }
        if criterion.after >= last {
            return Ok(None);
        }
        match self.index.latest(self.keys, query, criterion.after) {
            Some(position) => Ok(Some(position)),
            None => self.history.latest(query, criterion.after),
        }
    }

    /// Has the index know a subject, to which an event is about to be added.
    fn enter_subject(&mut self, key: Key, looked: &Looked) -> Result<(), LogError> {
        if let Entry::Vacant(unknown) = self.index.subjects.entry(key) {
            let (version, last) = match looked.get(&key) {
                Some(known) => *known,
                None => self.history.subject(key)?.unwrap_or_default(),
            };
            unknown.insert(Subject { version, last, positions: Vec::new() });
        }
        Ok(())
    }

    /// Takes a batch's new events in, whose ids and subjects the index already
    /// knows.
    fn take(&mut self, batch: Prepared, new: Vec<usize>) {
        let first = self.next;
        let insert = |(place, position): (&usize, _)| self.index.insert(position, &batch.keys[*place]);
        let versions = new.iter().zip(first..).map(insert).collect();
        let types = new.iter().map(|place| batch.block.heads[*place].event_type).zip(first..);
        self.index.insert_types(&batch.block.names, types);
        self.next += new.len() as u64;
        self.admitted.push(Admitted { batch, first, new, versions });
    }

    /// Looks at an event that the log has or that has been let in.
    fn recorded<T>(&self, position: Position, look: impl FnOnce(&Block, &Head) -> T) -> Result<T, LogError> {
        if position > self.head {
            let batch = self.admitted.partition_point(|admitted| admitted.first <= position) - 1;
            let Admitted { batch, first, new, .. } = &self.admitted[batch];
            return Ok(look(&batch.block, &batch.block.heads[new[(position - first) as usize]]));
        }
        let block = self.history.block(position)?;
        let head = head_at(&block, position)?;
        Ok(look(&block, head))
    }

    fn in_the_way(&self, position: Position) -> Result<InTheWay, LogError> {
        self.recorded(position, |block, head| in_the_way(position, block, head))
    }
}

fn head_at(block: &Block, position: Position) -> Result<&Head, LogError> {
    let head = position.checked_sub(block.first()).and_then(|index| block.heads.get(index as usize));
    head.ok_or_else(|| LogError::Damaged {
        position: block.first(),
        reason: format!("it should hold position {position} and does not"),
    })
}

fn in_the_way(position: Position, block: &Block, head: &Head) -> InTheWay {
    let Envelope { id, event_type, subject, .. } = block.event(head).envelope;
    InTheWay { position, id, event_type, subject }
}

/// Refuses an event that says something else than the one that already has its
/// source and id, which stands at `position`; 0: in the same batch.
fn check_same(
    (block, head): (&Block, &Head),
    known: (&Block, &Head),
    position: Position,
) -> Result<(), AppendError> {
    if same((block, head), known) {
        return Ok(());
    }
    let source_uri = block.name(head.source).to_owned();
    Err(AppendError::IdReused { source_uri, in_the_way: in_the_way(position, known.0, known.1) })
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

/// The same for events in blocks, without decoding what is equal at first sight.
fn same((one, a): (&Block, &Head), (other, b): (&Block, &Head)) -> bool {
    let time = |head: &Head| (head.flags & Head::NO_TIME == 0).then_some(head.time);
    let quick = time(a) == time(b)
        && one.name(a.event_type) == other.name(b.event_type)
        && one.name(a.content_type) == other.name(b.content_type)
        && [(a.subject, b.subject), (a.data, b.data), (a.extensions, b.extensions), (a.tags, b.tags)]
            .into_iter()
            .all(|(a, b)| one.slice(a) == other.slice(b));
    quick || same_envelope(&one.event(a).envelope, &other.event(b).envelope)
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
    use crate::log::{Append, LogSettings, tests::event};

    const KEYS: Keys = Keys::new(1);

    /// A log that is empty, and counts how often it is asked for a subject.
    #[derive(Default)]
    struct Nothing {
        asked: Cell<usize>,
    }

    impl History for Nothing {
        fn position(&self, _: Key) -> Result<Option<Position>, LogError> {
            Ok(None)
        }

        fn subject(&self, _: Key) -> Result<Option<(u64, Position)>, LogError> {
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

    fn conditional(id: usize, subject: &str, expected: &[(&str, u64)]) -> Prepared {
        let expected_versions =
            expected.iter().map(|(name, version)| ((*name).to_owned(), *version)).collect();
        let condition = Condition { expected_versions, ..Condition::default() };
        let batch = Append { events: vec![event(id, "t", subject)], condition };
        Prepared::new(&batch, &LogSettings::default(), KEYS).unwrap()
    }

    #[test]
    fn what_a_condition_names_is_not_kept() {
        let (history, mut index) = (Nothing::default(), Index::default());
        let mut admission = Admission::new(&history, &mut index, KEYS, 0);
        for number in 0..100 {
            let refused = admission.admit(conditional(number, "s", &[(&format!("other-{number}"), 5)]));
            assert!(matches!(refused, Err(AppendError::WrongVersion { .. })));
        }
        assert!(admission.index.subjects.is_empty());
        assert!(admission.index.ids.is_empty());
        admission.admit(conditional(1, "s", &[("s", 0), ("other", 0)])).unwrap();
        admission.admit(conditional(2, "s", &[("s", 1)])).unwrap();
        assert_eq!(admission.index.subjects.keys().collect::<Vec<_>>(), [&KEYS.subject(b"s")]);
    }

    #[test]
    fn a_subject_is_looked_up_once() {
        let (history, mut index) = (Nothing::default(), Index::default());
        let mut admission = Admission::new(&history, &mut index, KEYS, 0);
        admission.admit(conditional(1, "s", &[("s", 0)])).unwrap();
        admission.admit(conditional(2, "s", &[("s", 1)])).unwrap();
        assert_eq!(history.asked.get(), 1);
    }
}
