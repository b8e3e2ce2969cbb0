//! Steps: one after the other they give the state of the fold, and taken back, the states
//! of before.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use projectionist::{
    event::{Envelope, Position},
    log::{Append, EventLog, LogSettings, memory::MemoryLog},
    plugin::{Host, HostSettings, Plugin, Settings},
    projection::{self, Code, Step, Version, Walk},
    state::{KeyRange, VersionState, View},
};
use projectionist_test_guests::component_bytes;
use projectionist_tests::components;
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

fn load(name: &str, component: &[u8], settings: &str) -> Arc<Plugin> {
    let host = Host::new(HostSettings::default()).unwrap();
    RUNTIME.block_on(host.load(name, component, &Settings::parse(settings).unwrap())).unwrap()
}

/// A log in small blocks of events: a type, a subject and data each.
fn log(events: &[(&str, String, String)]) -> Arc<MemoryLog> {
    let log = MemoryLog::new(LogSettings { block_events: 7, ..LogSettings::default() });
    let event = |(index, (event_type, subject, data)): (usize, &(&str, String, String))| Envelope {
        id: index.to_string(),
        source: "/test".into(),
        event_type: (*event_type).to_owned(),
        subject: Some(subject.clone()),
        time: None,
        content_type: "application/json".into(),
        data: data.clone().into(),
        tags: Vec::new(),
        extensions: Default::default(),
    };
    let events = events.iter().enumerate().map(event).collect();
    RUNTIME.block_on(log.append(Append { events, ..Append::default() })).unwrap();
    Arc::new(log)
}

/// What happens to files: a kind of change, and which of a few files.
fn files(changes: &[(u8, u8, u8)]) -> Arc<MemoryLog> {
    let path = |number: u8| ["a", "b", "d/a", "d/b", "d/e/a"][number as usize].to_owned();
    let event = |(kind, file, from): &(u8, u8, u8)| {
        let event_type =
            ["git.file.added", "git.file.deleted", "git.file.renamed", "git.commit.authored"][*kind as usize];
        let data = format!(r#"{{"commit": "c", "blob": "{file}{from}", "from": "{}"}}"#, path(*from));
        (event_type, path(*file), data)
    };
    log(&changes.iter().map(event).collect::<Vec<_>>())
}

type Rows = BTreeMap<(u32, Vec<u8>), Vec<u8>>;

/// The state after a fold of the log up to a position, and its rows.
fn folded(plugin: &Arc<Plugin>, log: &Arc<MemoryLog>, to: Position) -> (Arc<View>, Rows, Arc<Version>) {
    let state = VersionState::in_memory(plugin.tables(), 1).unwrap();
    let version = Version::new(Code::new("0", Arc::clone(plugin)), Arc::new(state)).up_to(to);
    let version = Arc::new(version);
    RUNTIME.block_on(projection::fold(Arc::clone(&version), Arc::clone(log) as _)).unwrap();
    let view = version.state().view().unwrap();
    let rows = (0..plugin.tables().len() as u32).flat_map(|table| {
        let rows = view.scan(table, &KeyRange::default()).unwrap();
        rows.into_iter().map(move |(key, value)| ((table, key), value))
    });
    let rows = rows.collect();
    (view, rows, version)
}

fn all(walk: &mut Walk, last: Position) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(step) = RUNTIME.block_on(walk.next(last)).unwrap() {
        steps.push(step);
    }
    assert_eq!(walk.position(), last);
    steps
}

#[test]
fn steps_give_the_state_of_the_fold_and_taken_back_those_of_before() {
    let plugin = load("tree", &components::bytes("tree"), "");
    let changes = prop::collection::vec((0_u8..4, 0_u8..5, 0_u8..5), 1..60);
    let ways = prop::collection::vec(any::<prop::sample::Index>(), 1..8);
    let config = ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&(changes, any::<prop::sample::Index>(), ways), |(changes, begin, ways)| {
            let log = files(&changes);
            let head = log.head();
            let wanted = changes.iter().filter(|(kind, ..)| *kind < 3).count();
            let (nothing, _, _nothing) = folded(&plugin, &log, 0);
            let mut walk = Walk::new(&Code::new("0", Arc::clone(&plugin)), nothing, Arc::clone(&log) as _);
            let steps = all(&mut walk, head);
            prop_assert_eq!(steps.len(), wanted);

            // One after the other they lead from nothing to the fold's state, through all between.
            let mut rows = Rows::new();
            let mut states = vec![rows.clone()];
            for step in &steps {
                for change in &step.changes {
                    let key = (change.table, change.key.clone());
                    prop_assert_eq!(rows.get(&key), change.before.as_ref());
                    match &change.after {
                        Some(value) => drop(rows.insert(key, value.clone())),
                        None => drop(rows.remove(&key)),
                    }
                }
                prop_assert!(step.failure.is_none());
                states.push(rows.clone());
            }
            prop_assert_eq!(&rows, &folded(&plugin, &log, head).1);

            // From the middle on they are the same, over what was folded in blocks up to there.
            let begin = begin.index(head as usize + 1) as Position;
            let (base, there, _version) = folded(&plugin, &log, begin);
            let before = steps.iter().filter(|step| step.event.position <= begin).count();
            prop_assert_eq!(&there, &states[before]);
            let mut walk = Walk::new(&Code::new("0", Arc::clone(&plugin)), base, Arc::clone(&log) as _);
            prop_assert_eq!(&all(&mut walk, head)[..], &steps[before..]);

            // To and fro; not back beyond the beginning.
            for to in ways {
                let to = to.index(head as usize + 1) as Position;
                prop_assert_eq!(walk.back_to(to), to >= begin);
                let to = to.max(begin);
                prop_assert_eq!(walk.position(), to);
                let before = steps.iter().filter(|step| step.event.position <= to).count();
                let known = states.iter().flat_map(Rows::keys);
                for (table, key) in known {
                    let value = walk.stepper().get(*table, key).unwrap();
                    prop_assert_eq!(value.as_ref(), states[before].get(&(*table, key.clone())));
                }
                prop_assert_eq!(&all(&mut walk, head)[..], &steps[before..]);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_fails_says_why_and_halts_or_goes_on() {
    let events: Vec<_> =
        ["one", "one", "nine", "one"].map(|name| (name, "s".to_owned(), "{}".to_owned())).into();
    let log = log(&events);
    for (guest, reason) in [("panics", "panicked"), ("refuses", "nine is out of focus")] {
        let plugin = load(guest, &component_bytes(guest), "[values]\nat = \"nine\"");
        let (nothing, _, _nothing) = folded(&plugin, &log, 0);
        let mut walk = Walk::new(&Code::new("0", Arc::clone(&plugin)), nothing, Arc::clone(&log) as _);
        let mut next = || RUNTIME.block_on(walk.next(4)).unwrap().unwrap();
        assert!([next(), next()].iter().all(|step| step.failure.is_none()));
        // However often it is tried.
        for failed in [next(), next()] {
            let halt = failed.halt().unwrap();
            assert_eq!((failed.event.position, halt.event.unwrap().position), (3, 3), "{guest}");
            assert!(halt.reason.contains(reason), "{guest}: {}", halt.reason);
        }
        assert_eq!(walk.position(), 2);

        let settings = "[policies]\non-failure = \"dead-letter\"\n[values]\nat = \"nine\"";
        let plugin = load(guest, &component_bytes(guest), settings);
        let (nothing, _, _nothing) = folded(&plugin, &log, 0);
        let mut walk = Walk::new(&Code::new("0", Arc::clone(&plugin)), nothing, Arc::clone(&log) as _);
        let steps = all(&mut walk, 4);
        let failed: Vec<_> =
            steps.iter().map(|step| step.failure.as_ref().map(|failure| failure.halts)).collect();
        assert_eq!(failed, [None, None, Some(false), None], "{guest}");
        assert_eq!(steps[3].changes.len(), 1, "it goes on");
        assert_eq!(steps[3].changes[0].before, steps[1].changes[0].after);
    }
}

#[test]
fn what_is_printed_belongs_to_its_step() {
    let events: Vec<_> = ["one", "nine", "one"].map(|name| (name, "s".to_owned(), "{}".to_owned())).into();
    let log = log(&events);
    let plugin = load("talks", &component_bytes("talks"), "[values]\nat = \"nine\"");
    let (nothing, _, _nothing) = folded(&plugin, &log, 0);
    let mut walk = Walk::new(&Code::new("0", Arc::clone(&plugin)), nothing, Arc::clone(&log) as _);
    let steps = all(&mut walk, 3);
    let printed: Vec<_> =
        steps.iter().map(|step| (step.printed.lines.len(), step.printed.forgotten)).collect();
    assert_eq!(printed, [(0, 0), (200, 801), (0, 0)]);
    assert_eq!(steps[1].printed.lines[199].1, "not even a line");
    assert_eq!(plugin.output().lines(), [], "what runs has printed nothing");
}
