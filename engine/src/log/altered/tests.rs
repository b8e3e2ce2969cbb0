//! An altered log is the list of its events with the alterations made to it.

use proptest::prelude::*;

use super::*;
use crate::{
    event::Envelope,
    log::{
        EmbeddedLog, MemoryLog,
        tests::{append, batch, event, small_blocks},
    },
};

const TYPES: [&str; 4] = ["common", "rare", "rarer", "absent"];
const SUBJECTS: [&str; 4] = ["a", "b", "c", ""];

/// The alterations made to a plain list.
fn plainly(events: &[Event], alterations: &[Alteration], to: Position) -> Vec<Event> {
    let mut altered = Vec::new();
    for original in events.iter().filter(|event| event.position <= to) {
        let Event { position, envelope, .. } = original;
        let is = |named: &Named| match named {
            Named::Position(own) => own == position,
            Named::Id(id) => *id == envelope.id,
        };
        let beside = |event: &Envelope| Event { envelope: event.clone(), ..original.clone() };
        let inserted = |wanted: Place| {
            let inserted = alterations.iter().filter_map(move |alteration| match alteration {
                Alteration::Insert { place, event } if *place == wanted => Some(event),
                _ => None,
            });
            inserted.map(beside)
        };
        let replaced = alterations.iter().find_map(|alteration| match alteration {
            Alteration::Replace { which, event } if is(which) => Some(beside(event)),
            _ => None,
        });
        let left_out = alterations.iter().any(|alteration| match alteration {
            Alteration::LeaveOut(Criteria { position: at, id, event_type, subject }) => {
                at.is_none_or(|at| at == *position)
                    && id.as_ref().is_none_or(|id| *id == envelope.id)
                    && event_type.as_ref().is_none_or(|name| *name == envelope.event_type)
                    && subject.as_ref().is_none_or(|subject| Some(subject) == envelope.subject.as_ref())
            }
            _ => false,
        });
        altered.extend(inserted(Place::Before(*position)));
        altered.extend(replaced.or_else(|| (!left_out).then(|| original.clone())));
        altered.extend(inserted(Place::After(*position)));
    }
    altered
}

/// Without what is numbered anew.
fn seen(events: Vec<Event>) -> Vec<(Position, Envelope)> {
    events.into_iter().map(|event| (event.position, event.envelope)).collect()
}

fn criteria() -> impl Strategy<Value = Criteria> {
    let name = |names: &'static [&'static str]| {
        prop::option::of(prop::sample::select(names).prop_map(str::to_owned))
    };
    let one = prop_oneof![
        (1_u64..400).prop_map(|at| Criteria { position: Some(at), ..Criteria::default() }),
        (0_u64..400).prop_map(|id| Criteria { id: Some(id.to_string()), ..Criteria::default() }),
        (name(&["rare", "rarer", "absent", "x"]), name(&["a", "b", "none"]))
            .prop_map(|(event_type, subject)| Criteria { event_type, subject, ..Criteria::default() }),
    ];
    one.prop_filter("it names something", |criteria| *criteria != Criteria::default())
}

fn envelope() -> impl Strategy<Value = Envelope> {
    (prop::sample::select(&TYPES[..]), prop::sample::select(&SUBJECTS[..]), any::<u32>())
        .prop_map(|(name, subject, id)| event(format!("new-{id}"), name, subject))
}

fn alteration() -> impl Strategy<Value = Alteration> {
    let named = prop_oneof![
        (0_u64..400).prop_map(Named::Position),
        (0_u64..400).prop_map(|id| Named::Id(id.to_string())),
    ];
    let place = prop_oneof![(0_u64..400).prop_map(Place::Before), (0_u64..400).prop_map(Place::After)];
    prop_oneof![
        criteria().prop_map(Alteration::LeaveOut),
        (named, envelope()).prop_map(|(which, event)| Alteration::Replace { which, event }),
        (place, envelope()).prop_map(|(place, event)| Alteration::Insert { place, event }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn an_altered_log_is_the_altered_list(
        events in prop::collection::vec(
            (prop_oneof![200 => Just(0_usize), 2 => Just(1), 1 => Just(2)], 0_usize..4), 1..400),
        alterations in prop::collection::vec(alteration(), 0..12),
        block_events in prop::sample::select(vec![1_usize, 7, 128]),
        embedded: bool,
        to in 1_u64..450,
        limit in 1_usize..20,
        wanted in prop::option::of(prop::sample::subsequence(TYPES.to_vec(), 1..=3)),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let log: Arc<dyn EventLog> = match embedded {
            true => Arc::new(EmbeddedLog::open(folder.path(), small_blocks(block_events)).unwrap()),
            false => Arc::new(MemoryLog::new(small_blocks(block_events))),
        };
        for chunk in (0..).zip(&events).collect::<Vec<_>>().chunks(50) {
            let chunk = chunk.iter().map(|(id, (name, subject))| event(id, TYPES[*name], SUBJECTS[*subject]));
            append(&*log, batch(chunk)).unwrap();
        }
        let recorded = log.read(&Selection::default()).unwrap();
        let (altered, effect) = match AlteredLog::new(Arc::clone(&log), &alterations, to) {
            Ok(altered) => altered,
            Err(ResolveError::Contradiction(_)) => return Ok(()),
            Err(error) => panic!("{error}"),
        };
        let expected = plainly(&recorded, &alterations, to);
        let all = altered.read(&Selection::default()).unwrap();
        prop_assert_eq!(seen(all.clone()), seen(expected.clone()));
        let kept = altered.head() - effect.left_out + effect.inserted;
        prop_assert_eq!(kept, all.len() as u64);
        prop_assert!(all.iter().all(|event| (event.version > 0) == event.envelope.subject.is_some()));

        // As a fold reads it.
        let types: Option<Vec<String>> = wanted.map(|names| names.into_iter().map(str::to_owned).collect());
        let is_wanted = |event: &Event| types.as_ref().is_none_or(|types| types.contains(&event.envelope.event_type));
        let (mut read, mut next) = (Vec::new(), 1);
        while let Some(rare) = altered.rare(next, types.as_deref(), limit).unwrap() {
            prop_assert!(rare.to >= next && rare.to <= altered.head());
            prop_assert!(rare.events.heads.iter().all(|head| (next..=rare.to).contains(&head.position)));
            read.extend(rare.events.events());
            next = rare.to + 1;
        }
        prop_assert_eq!(next, altered.head() + 1);
        let wanted: Vec<Event> = all.into_iter().filter(is_wanted).collect();
        prop_assert_eq!(read, wanted);

        // What lies beneath is as it was.
        prop_assert_eq!(log.read(&Selection::default()).unwrap(), recorded);
    }
}

fn log_of(events: impl IntoIterator<Item = Envelope>) -> Arc<dyn EventLog> {
    let log = MemoryLog::default();
    append(&log, batch(events)).unwrap();
    Arc::new(log)
}

#[test]
fn an_inserted_event_has_the_number_that_comes_next() {
    let log = log_of([event(1, "t", "a"), event(2, "t", "b"), event(3, "t", "a")]);
    let insert =
        |place, id: &str, subject: &str| Alteration::Insert { place, event: event(id, "t", subject) };
    let alterations = [
        insert(Place::After(2), "x", "a"),
        insert(Place::After(2), "y", "a"),
        insert(Place::Before(1), "z", "new"),
        insert(Place::After(3), "w", "a"),
        Alteration::Replace { which: Named::Position(2), event: event("v", "t", "") },
    ];
    let (altered, _) = AlteredLog::new(log, &alterations, 3).unwrap();
    let events = altered.read(&Selection::default()).unwrap();
    let seen: Vec<_> =
        events.iter().map(|event| (&*event.envelope.id, event.position, event.version)).collect();
    let expected =
        [("z", 1, 1), ("1", 1, 1), ("v", 2, 0), ("x", 2, 2), ("y", 2, 3), ("3", 3, 2), ("w", 3, 3)];
    assert_eq!(seen, expected);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let mut other = event(1, "t", "a");
    other.source = "/other".to_owned();
    let log = log_of([event(1, "t", "a"), other, event(2, "t", "b")]);
    let altered = |alterations: &[Alteration]| match AlteredLog::new(Arc::clone(&log), alterations, 3) {
        Ok((_, effect)) => Ok(effect),
        Err(error) => Err(error.to_string()),
    };
    let replace = |which| Alteration::Replace { which, event: event("x", "t", "") };
    let leave_out = |criteria| Alteration::LeaveOut(criteria);
    let id = |id: &str| Named::Id(id.to_owned());
    let said = altered(&[replace(id("1"))]).unwrap_err();
    assert!(said.contains("positions 1 and 2"), "{said}");
    let twice = [
        [replace(Named::Position(3)), replace(id("2"))],
        [replace(id("2")), replace(id("2"))],
        [replace(id("2")), leave_out(Criteria { position: Some(3), ..Criteria::default() })],
    ];
    for alterations in twice {
        let said = altered(&alterations).unwrap_err();
        assert!(said.contains("by alteration 1 already"), "{said}");
    }
    // Who leaves out many means those that nothing else is said of.
    let many = leave_out(Criteria { event_type: Some("t".to_owned()), ..Criteria::default() });
    let effect = altered(&[many, replace(id("2")), replace(id("none"))]).unwrap();
    assert_eq!(effect, Effect { left_out: 2, replaced: 1, inserted: 0, idle: vec![2] });
}

#[test]
fn nothing_is_appended_to_it() {
    let (altered, _) = AlteredLog::new(log_of([event(1, "t", "a")]), &[], 1).unwrap();
    let refused = append(&altered, batch([event(2, "t", "a")])).unwrap_err();
    assert!(refused.to_string().contains("altered history"), "{refused}");
}
