//! The log as a vector, written as plainly as the promises read; and random
//! appends and selections for it.

use proptest::prelude::*;

use super::*;

/// All events, with nothing clever about them.
#[derive(Default)]
pub(super) struct Model {
    pub(super) events: Vec<(Envelope, u64)>,
}

/// How an append ends: positions, or which kind of refusal with which event in
/// the way.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    Positions(Vec<Position>),
    WrongVersion(Option<Position>),
    Exists(Position),
    IdReused(Position),
}

pub(super) fn outcome(result: Result<Appended, AppendError>) -> Outcome {
    match result {
        Ok(appended) => Outcome::Positions(appended.positions),
        Err(AppendError::WrongVersion { in_the_way, .. }) => {
            Outcome::WrongVersion(in_the_way.map(|event| event.position))
        }
        Err(AppendError::Exists { in_the_way }) => Outcome::Exists(in_the_way.position),
        Err(AppendError::IdReused { in_the_way, .. }) => Outcome::IdReused(in_the_way.position),
        Err(other) => panic!("{other}"),
    }
}

impl Model {
    pub(super) fn append(&mut self, batch: &Append) -> Outcome {
        let mut events = self.events.clone();
        let mut positions = Vec::new();
        for envelope in &batch.events {
            let same_id =
                |known: &(Envelope, u64)| known.0.id == envelope.id && known.0.source == envelope.source;
            match events.iter().position(same_id) {
                Some(index) if events[index].0 != *envelope => {
                    return Outcome::IdReused(if index < self.events.len() { index as u64 + 1 } else { 0 });
                }
                Some(index) => positions.push(index as u64 + 1),
                None => {
                    let version = match &envelope.subject {
                        Some(_) => {
                            events.iter().filter(|known| known.0.subject == envelope.subject).count() as u64
                                + 1
                        }
                        None => 0,
                    };
                    events.push((envelope.clone(), version));
                    positions.push(events.len() as u64);
                }
            }
        }
        let all_known = events.len() == self.events.len() && !batch.events.is_empty();
        if !all_known && let Some(refusal) = self.check(&batch.condition) {
            return refusal;
        }
        self.events = events;
        Outcome::Positions(positions)
    }

    fn check(&self, condition: &Condition) -> Option<Outcome> {
        let numbered = || (1u64..).zip(self.events.iter().map(|event| &event.0));
        for (subject, expected) in &condition.expected_versions {
            let about = || numbered().filter(|event| event.1.subject.as_deref() == Some(subject));
            if about().count() as u64 != *expected {
                return Some(Outcome::WrongVersion(about().last().map(|event| event.0)));
            }
        }
        for criterion in &condition.fail_if_exists {
            let matching = numbered().filter(|(position, event)| {
                *position > criterion.after
                    && (criterion.types.is_empty() || criterion.types.contains(&event.event_type))
                    && criterion.tags.iter().all(|tag| event.tags.contains(tag))
            });
            if let Some((position, _)) = matching.last() {
                return Some(Outcome::Exists(position));
            }
        }
        None
    }

    pub(super) fn read(&self, selection: &Selection) -> Vec<(Position, u64, Envelope)> {
        let numbered = (1u64..)
            .zip(&self.events)
            .map(|(position, (event, version))| (position, *version, event.clone()));
        let mut found: Vec<_> = numbered
            .filter(|(position, _, event)| {
                (selection.from..=selection.to).contains(position)
                    && (selection.types.is_empty() || selection.types.contains(&event.event_type))
                    && (selection.subject.is_none() || selection.subject == event.subject)
                    && selection.tags.iter().all(|tag| event.tags.contains(tag))
                    && selection.correlation.as_ref().is_none_or(|id| {
                        let correlation = event.extensions.get("correlationid");
                        event.id == *id || correlation == Some(&Attribute::String(id.clone()))
                    })
            })
            .collect();
        if selection.reverse {
            found.reverse();
        }
        found.truncate(selection.limit);
        found
    }
}

pub(super) fn plain(events: Vec<Event>) -> Vec<(Position, u64, Envelope)> {
    events.into_iter().map(|event| (event.position, event.version, event.envelope)).collect()
}

fn names(pattern: &'static str, count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(pattern, count)
}

fn envelopes() -> impl Strategy<Value = Envelope> {
    let same = (0..60u32, "[a-e]", prop::option::weighted(0.8, "[s-w]"), names("[m-q]", 0..3));
    (same, 0..20u8).prop_map(|((id, event_type, subject, tags), other)| {
        let mut envelope = event(id, &event_type, subject.as_deref().unwrap_or_default());
        // Few ids, so that they come again; mostly the id says all, so that it
        // comes again with the same content.
        if other != 0 {
            let kinds = ["a", "b", "c", "d", "e"];
            envelope.event_type = kinds[id as usize % 5].to_owned();
            envelope.subject = (id % 4 != 0).then(|| format!("s{}", id % 7));
            envelope.tags = (0..id % 3).map(|n| format!("m{}", (id / 3 + n) % 4)).collect();
            if id % 3 > 0 {
                let extensions = [("correlationid", id % 9), ("causationid", id / 2)];
                let extension =
                    |(name, id): (&str, u32)| (name.to_owned(), Attribute::String(id.to_string()));
                envelope.extensions = extensions.map(extension).into();
            }
            // The same id of another sender is another event.
            if id % 5 == 0 {
                envelope.source = format!("/test/{}", other % 2);
            }
        } else {
            envelope.tags = tags;
        }
        envelope
    })
}

fn conditions() -> impl Strategy<Value = Condition> {
    let versions = prop::collection::vec(("s[0-7]", 0..4u64), 0..2);
    let criterion = (names("[a-e]", 0..3), names("m[0-4]", 0..3), 0..80u64)
        .prop_map(|(types, tags, after)| Criterion { types, tags, after });
    let criteria = prop::collection::vec(criterion, 0..2);
    prop_oneof![
        2 => Just(Condition::default()),
        1 => (versions, criteria).prop_map(|(expected_versions, fail_if_exists)| Condition { expected_versions, fail_if_exists }),
    ]
}

pub(super) fn appends() -> impl Strategy<Value = Append> {
    (prop::collection::vec(envelopes(), 0..12), conditions())
        .prop_map(|(events, condition)| Append { events, condition })
}

pub(super) fn selections() -> impl Strategy<Value = Selection> {
    let to = prop_oneof![Just(Position::MAX), 0..80u64];
    let subject = prop::option::weighted(0.3, "s[0-7]");
    let tags = prop_oneof![2 => Just(Vec::new()), 1 => names("m[0-4]", 0..3)];
    let correlation = prop::option::weighted(0.3, "[0-9]|[1-5][0-9]");
    let limit = prop_oneof![Just(usize::MAX), 0..20usize];
    (0..80u64, to, names("[a-f]", 0..3), subject, tags, correlation, any::<bool>(), limit).prop_map(
        |(from, to, types, subject, tags, correlation, reverse, limit)| Selection {
            from,
            to,
            types,
            subject,
            tags,
            correlation,
            reverse,
            limit,
        },
    )
}
