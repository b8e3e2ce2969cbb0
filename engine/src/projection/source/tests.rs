//! A fold of an altered log is given what a fold of a log of the altered events is given.

use proptest::prelude::*;

use super::*;
use crate::{
    event::Envelope,
    log::{
        Append, EmbeddedLog, LogSettings, MemoryLog, Selection,
        altered::{Alteration, AlteredLog, Criteria, Named, Place},
    },
};

const TYPES: [&str; 3] = ["common", "rare", "rarer"];

fn event(id: impl ToString, event_type: &str, subject: usize) -> Envelope {
    Envelope {
        id: id.to_string(),
        source: "/test".to_owned(),
        event_type: event_type.to_owned(),
        subject: Some(subject.to_string()),
        time: None,
        content_type: String::new(),
        data: Default::default(),
        tags: Vec::new(),
        extensions: Default::default(),
    }
}

fn append(log: &dyn EventLog, events: impl IntoIterator<Item = Envelope>) {
    let batch = Append { events: events.into_iter().collect(), ..Append::default() };
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(log.append(batch)).unwrap();
}

/// What the instances of a plug-in are given, each in calls of its own size.
fn given(log: &Arc<dyn EventLog>, description: &Description, calls: &[usize]) -> Vec<Vec<Envelope>> {
    let division = Arc::new(Division::new(calls.len()));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let partition = |(index, most): (usize, &usize)| {
        let partition = Partition { index, count: calls.len() };
        let division = Arc::clone(&division);
        let mut source = Source::of(Arc::clone(log), description, partition, division, &Upcasters::default());
        let (mut next, head, mut given) = (1, log.head(), Vec::new());
        while next <= head {
            let Portion { events, to, .. } =
                runtime.block_on(source.portion(next, head, *most)).unwrap().unwrap();
            assert!((next..=head).contains(&to), "it goes on");
            given.extend(events.events().map(|event| event.envelope));
            next = to + 1;
        }
        given
    };
    calls.iter().enumerate().map(partition).collect()
}

fn alteration() -> impl Strategy<Value = Alteration> {
    let envelope = || {
        (any::<u32>(), prop::sample::select(&TYPES[..]), 0_usize..5)
            .prop_map(|(id, name, subject)| event(format!("new-{id}"), name, subject))
    };
    let leave_out = prop_oneof![
        (1_u64..300).prop_map(|at| Criteria { position: Some(at), ..Criteria::default() }),
        prop::sample::select(&TYPES[..])
            .prop_map(|name| Criteria { event_type: Some(name.to_owned()), ..Criteria::default() }),
        (0_usize..9).prop_map(|about| Criteria { subject: Some(about.to_string()), ..Criteria::default() }),
    ];
    let place = prop_oneof![(1_u64..300).prop_map(Place::Before), (1_u64..300).prop_map(Place::After)];
    prop_oneof![
        1 => leave_out.prop_map(Alteration::LeaveOut),
        3 => ((1_u64..300).prop_map(Named::Position), envelope())
            .prop_map(|(which, event)| Alteration::Replace { which, event }),
        3 => (place, envelope()).prop_map(|(place, event)| Alteration::Insert { place, event }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn an_altered_log_is_folded_like_one_that_was_never_altered(
        events in prop::collection::vec(
            (prop_oneof![150 => Just(0_usize), 2 => Just(1), 1 => Just(2)], 0_usize..5), 1..300),
        alterations in prop::collection::vec(alteration(), 0..10),
        block_events in prop::sample::select(vec![1_usize, 9, 128]),
        calls in prop::collection::vec(1_usize..200, 1..4),
        types in prop::option::of(prop::sample::subsequence(TYPES.to_vec(), 1..=2)),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let settings = LogSettings {
            block_events,
            storage_cache_bytes: 1 << 20,
            block_cache_bytes: 4096,
            ..LogSettings::default()
        };
        let real: Arc<dyn EventLog> = Arc::new(EmbeddedLog::open(folder.path(), settings).unwrap());
        for chunk in (0..).zip(&events).collect::<Vec<_>>().chunks(40) {
            append(&*real, chunk.iter().map(|(id, (name, subject))| event(id, TYPES[*name], *subject)));
        }
        let Ok((altered, _)) = AlteredLog::new(Arc::clone(&real), &alterations, real.head()) else {
            return Ok(());
        };
        let plain: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
        let mut expected = altered.read(&Selection::default()).unwrap();
        // An id is used once in a log, but an alteration may use it again.
        for (index, event) in expected.iter_mut().enumerate() {
            event.envelope.id = format!("{index}-{}", event.envelope.id);
        }
        append(&*plain, expected.into_iter().map(|event| event.envelope));

        let partition_by = (calls.len() > 1).then_some(PartitionBy::Subject);
        let types = types.map(|names| names.into_iter().map(str::to_owned).collect());
        let description = Description { events: types, partition_by, ..Description::default() };
        let seen = given(&(Arc::new(altered) as Arc<dyn EventLog>), &description, &calls);
        let mut plainly = given(&plain, &description, &calls);
        for event in plainly.iter_mut().flatten() {
            event.id = event.id.split_once('-').unwrap().1.to_owned();
        }
        prop_assert_eq!(seen, plainly);
    }
}
