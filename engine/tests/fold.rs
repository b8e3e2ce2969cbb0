//! Live state = replayed state: whatever the sizes of calls and blocks, however
//! often the runner is stopped in between, a version ends with the same digest.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::sync::Arc;

use projectionist::{
    event::{Envelope, Position},
    log::{Append, EventLog, LogSettings, memory::MemoryLog},
    plugin::{Host, HostSettings, Plugin, Settings},
    projection::{self, Code, Halt, Phase, Progress, Scheduler, Upcaster, Upcasters, Version},
    state::{Checkpoint, VersionState},
};
use projectionist_test_guests::component_bytes;
use projectionist_tests::components;
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::runtime::Runtime;

/// A runtime, a host and its plug-ins, made once for many cases.
struct Fixture {
    runtime: Runtime,
    host: Host,
}

impl Fixture {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let host = Host::new(HostSettings::default()).unwrap();
        Self { runtime, host }
    }

    fn load(&self, guest: &str, settings: &str) -> Arc<Plugin> {
        let settings = Settings::parse(settings).unwrap();
        self.runtime.block_on(self.host.load(guest, &component_bytes(guest), &settings)).unwrap()
    }

    fn append(&self, log: &MemoryLog, types: &[u8]) {
        let first = log.head();
        let event = |(index, event_type): (usize, &u8)| Envelope {
            id: format!("event-{}", first + index as Position),
            source: "/test".into(),
            event_type: format!("type-{event_type}"),
            subject: None,
            time: None,
            content_type: "application/json".into(),
            data: format!("{{\"number\":{index}}}").into(),
            tags: Vec::new(),
            extensions: Default::default(),
        };
        let events = types.iter().enumerate().map(event).collect();
        self.runtime.block_on(log.append(Append { events, ..Append::default() })).unwrap();
    }

    fn fold(&self, version: &Arc<Version>, log: &Arc<MemoryLog>) -> Result<Checkpoint, Halt> {
        let log: Arc<dyn EventLog> = Arc::clone(log) as _;
        self.runtime.block_on(projection::fold(Arc::clone(version), log))?;
        Ok(version.state().checkpoint())
    }
}

fn version(plugin: &Arc<Plugin>) -> Arc<Version> {
    let state = VersionState::in_memory(plugin.tables(), plugin.partitions()).unwrap();
    Arc::new(Version::new(Code::new("0", Arc::clone(plugin)), Arc::new(state)))
}

fn small_blocks(events: usize) -> Arc<MemoryLog> {
    Arc::new(MemoryLog::new(LogSettings { block_events: events, ..LogSettings::default() }))
}

#[test]
fn the_sizes_of_blocks_and_calls_and_restarts_make_no_difference() {
    let fixture = Fixture::new();
    let plain = fixture.load("counts", "");
    let sizes = [1, 3, 4096].into_iter().flat_map(|events| ["commit", "flush"].map(|what| (events, what)));
    let tiny: Vec<_> = sizes
        .map(|(events, what)| {
            fixture.load("counts", &format!("[policies]\nblock-events = {events}\n{what}-bytes = {events}"))
        })
        .collect();
    let batches = prop::collection::vec(prop::collection::vec(0_u8..5, 1..40), 1..12);
    let cases = (batches, prop::sample::select(vec![1_usize, 7, 64, 4096]), 0..tiny.len());
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&cases, |(batches, block_events, calls)| {
            let log = small_blocks(block_events);
            // Follows batch by batch; every fold ends with a stop and begins
            // with a fresh instance.
            let followed = version(&tiny[calls]);
            for batch in &batches {
                fixture.append(&log, batch);
                fixture.fold(&followed, &log).unwrap();
            }
            let replayed = fixture.fold(&version(&plain), &log).unwrap();
            prop_assert_eq!(followed.state().checkpoint(), replayed);
            let view = followed.state().view().unwrap();
            prop_assert_eq!(view.digest_from_scratch().unwrap(), replayed.digest);
            prop_assert_eq!(replayed.events, batches.iter().map(|batch| batch.len() as u64).sum::<u64>());
            Ok(())
        })
        .unwrap();
}

/// Old events are folded as new ones are, also where both are in a log; and what the plug-in does not want
/// of what they become is left out.
#[test]
fn a_version_folds_events_in_their_newest_shape() {
    let fixture = Fixture::new();
    let upcast = |from: &str, to: &str| Upcaster {
        plugin: fixture.load("upcasts", &format!("[values]\nfrom = \"{from}\"\nto = \"{to}\"")),
        digest: from.to_owned(),
    };
    let chain = [("type-0", "type-1"), ("type-1", "type-2"), ("type-3", "other")];
    let chain =
        chain.into_iter().try_fold(Upcasters::default(), |all, (from, to)| all.with(upcast(from, to)));
    let chain = Arc::new(chain.unwrap());
    let log_of = |events: &[(&str, &str)]| {
        let log = small_blocks(3);
        for (id, (event_type, data)) in events.iter().enumerate() {
            let event = Envelope {
                id: id.to_string(),
                source: "/test".into(),
                event_type: (*event_type).to_owned(),
                subject: None,
                time: None,
                content_type: "application/json".into(),
                data: (*data).to_owned().into(),
                tags: Vec::new(),
                extensions: Default::default(),
            };
            let append = Append { events: vec![event], ..Append::default() };
            fixture.runtime.block_on(log.append(append)).unwrap();
        }
        log
    };
    let old =
        [("type-0", "2"), ("type-2", "9"), ("type-1", "3"), ("type-0", "0"), ("type-3", "1"), ("z", "1")];
    let new = [("type-2", "1"); 7].into_iter().chain([("other", "1"), ("z", "1")]).collect::<Vec<_>>();
    for block_events in [1, 4096] {
        let plugin = fixture.load("counts", &format!("[policies]\nblock-events = {block_events}"));
        let state = VersionState::in_memory(plugin.tables(), 1).unwrap();
        let code = Code::new("0", Arc::clone(&plugin)).upcast_by(Arc::clone(&chain));
        let upcast = fixture.fold(&Arc::new(Version::new(code, Arc::new(state))), &log_of(&old)).unwrap();
        let plain = fixture.fold(&version(&plugin), &log_of(&new)).unwrap();
        assert_eq!((upcast.digest, upcast.events), (plain.digest, 9));
        assert_eq!(upcast.position, 6);
    }
    assert_eq!(chain.digests(Some(&["z".to_owned()])), [""; 0]);
}

#[test]
fn an_instance_is_flushed_before_its_memory_is_full() {
    let fixture = Fixture::new();
    let load = |settings: &str| {
        let settings = Settings::parse(settings).unwrap();
        let bytes = components::bytes("meter");
        fixture.runtime.block_on(fixture.host.load("meter", &bytes, &settings)).unwrap()
    };
    let log = small_blocks(4096);
    // It keeps a row of each event: so many times the memory that it may have that, if
    // it ran out of it each time, it would be given up.
    for _ in 0..100 {
        fixture.append(&log, &[1; 4000]);
    }
    let roomy = fixture.fold(&version(&load("")), &log).unwrap();
    let policies = "[policies]\nblock-events = 512\nflush-bytes = \"1 GiB\"\ncommit-bytes = \"1 GiB\"";
    let narrow = load(&format!("[limits]\nmemory = \"4 MiB\"\n{policies}"));
    assert_eq!(fixture.fold(&version(&narrow), &log).unwrap(), roomy);
}

#[test]
fn a_runner_follows_the_head_and_ends_with_the_state_of_a_replay() {
    let fixture = Fixture::new();
    let plugin = fixture.load("counts", "");
    let log = small_blocks(64);
    let followed = version(&plugin);
    let scheduler = {
        let _context = fixture.runtime.enter();
        Scheduler::new(2).unwrap()
    };
    let run = projection::start(&scheduler, Arc::clone(&followed), Arc::clone(&log) as _, true);
    let mut progress = followed.progress();
    for batch in [&[1, 2, 3][..], &[1; 500], &[4]] {
        fixture.append(&log, batch);
        let head = log.head();
        let there = |progress: &Progress| progress.position == head && progress.phase == Phase::Live;
        drop(fixture.runtime.block_on(progress.wait_for(there)).unwrap());
    }
    fixture.runtime.block_on(run.stop());
    assert_eq!(followed.state().checkpoint(), fixture.fold(&version(&plugin), &log).unwrap());
}

#[test]
fn a_runner_whose_handle_is_dropped_ends() {
    let fixture = Fixture::new();
    let log = small_blocks(64);
    fixture.append(&log, &[1; 100]);
    let _context = fixture.runtime.enter();
    let scheduler = Scheduler::new(1).unwrap();
    let version = version(&fixture.load("counts", ""));
    let run = projection::start(&scheduler, Arc::clone(&version), Arc::clone(&log) as _, true);
    let mut progress = version.progress();
    fixture.runtime.block_on(progress.wait_for(|progress| progress.phase == Phase::Live)).unwrap();
    drop(run);
    // It joins the threads, which a runner that goes on would keep.
    drop(scheduler);
}

#[test]
fn the_one_event_at_fault_is_named_and_what_came_before_it_is_kept() {
    let fixture = Fixture::new();
    for (guest, expected) in [("panics", "panicked"), ("refuses", ""), ("recurses", "")] {
        let plugin = fixture.load(guest, "[values]\nat = \"type-9\"");
        let log = small_blocks(1_000);
        let mut types = vec![1; 700];
        types.push(9);
        types.extend([2; 50]);
        fixture.append(&log, &types);
        let version = version(&plugin);
        let halt = fixture.fold(&version, &log).unwrap_err();
        let event = halt.event.clone().unwrap();
        assert_eq!((event.position, event.event_type.as_str()), (701, "type-9"), "{guest}");
        assert!(halt.reason.contains(expected), "{guest}: {}", halt.reason);
        assert_eq!(version.state().checkpoint().position, 700, "{guest}");
    }
}

#[test]
fn an_event_at_fault_can_be_kept_as_a_dead_letter_instead() {
    let fixture = Fixture::new();
    let settings = "[policies]\non-failure = \"dead-letter\"\n[values]\nat = \"type-9\"";
    let plugin = fixture.load("panics", settings);
    let log = small_blocks(100);
    fixture.append(&log, &[vec![1; 150], vec![9], vec![1; 150], vec![9]].concat());
    let with_letters = version(&plugin);
    let checkpoint = fixture.fold(&with_letters, &log).unwrap();
    assert_eq!((checkpoint.position, checkpoint.events), (302, 300));
    let letters = with_letters.state().dead_letters().unwrap();
    assert_eq!(letters.iter().map(|letter| letter.position).collect::<Vec<_>>(), [151, 302]);
    assert!(letters[0].reason.contains("panicked"), "{}", letters[0].reason);
}
