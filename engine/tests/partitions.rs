//! The state of a projection that is folded in partitions is the same for every
//! number of them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::sync::Arc;

use projectionist::{
    event::{Envelope, Position},
    log::{Append, EventLog, LogSettings, memory::MemoryLog},
    plugin::{Host, HostSettings, Plugin, Settings},
    projection::{self, Code, Phase, Progress, Scheduler, Version},
    state::{Checkpoint, KeyRange, VersionState},
};
use projectionist_tests::components;
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::runtime::Runtime;

/// Divided by subject, and by a key of its own.
const PLUGINS: [&str; 2] = ["subjects", "tally"];

fn envelope(position: Position, subject: u8) -> Envelope {
    Envelope {
        id: format!("event-{position}"),
        source: "/test".into(),
        event_type: format!("type-{}", subject % 3),
        subject: (subject > 0).then(|| format!("group-{}/{subject}", subject % 5)),
        time: None,
        content_type: "application/json".into(),
        data: format!("{{\"number\":{position}}}").into(),
        tags: Vec::new(),
        extensions: Default::default(),
    }
}

/// A plug-in's state in so many partitions, of which nothing is folded yet.
fn version(plugin: &Arc<Plugin>, partitions: usize) -> Arc<Version> {
    let state = VersionState::in_memory(plugin.tables(), partitions).unwrap();
    Arc::new(Version::new(Code::new("0", Arc::clone(plugin)), Arc::new(state)))
}

/// Sizes of calls, and what is done after each: a commit, or a flush without one.
const SIZES: [(usize, &str); 6] = [
    (1, "commit-bytes = 1"),
    (7, "commit-bytes = 7"),
    (4096, "commit-bytes = 4096"),
    (1, "flush-bytes = 1"),
    (7, "flush-bytes = 7"),
    (4096, "flush-bytes = 4096"),
];

/// All rows of all tables, indexes included, in the order in which they are read.
fn rows(version: &Version) -> Vec<(Vec<u8>, Vec<u8>)> {
    let view = version.state().view().unwrap();
    let tables = 0..version.plugin().tables().len() as u32;
    tables.flat_map(|table| view.scan(table, &KeyRange::default()).unwrap()).collect()
}

#[test]
fn the_number_of_partitions_the_sizes_of_calls_and_restarts_make_no_difference() {
    let runtime = Runtime::new().unwrap();
    let host = Host::new(HostSettings::default()).unwrap();
    let load = |name: &str, settings: &str| {
        let settings = Settings::parse(settings).unwrap();
        runtime.block_on(host.load(name, &components::bytes(name), &settings)).unwrap()
    };
    let plain = PLUGINS.map(|name| load(name, ""));
    let sizes = SIZES.map(|(events, policy)| {
        format!("[limits]\ncache = \"0\"\n[policies]\nblock-events = {events}\n{policy}")
    });
    let sized = PLUGINS.map(|name| sizes.each_ref().map(|settings| load(name, settings)));
    let scheduler = {
        let _context = runtime.enter();
        Scheduler::new(2).unwrap()
    };
    let fold = |version: &Arc<Version>, log: &Arc<MemoryLog>| -> Checkpoint {
        let log: Arc<dyn EventLog> = Arc::clone(log) as _;
        runtime.block_on(projection::fold(Arc::clone(version), log)).unwrap();
        version.state().view().unwrap().checkpoint()
    };
    // What followed the log until it was there, and was then told to stop.
    let follow = |version: &Arc<Version>, log: &Arc<MemoryLog>, stop_early: bool| {
        let run = projection::start(&scheduler, Arc::clone(version), Arc::clone(log) as _, true);
        let (head, mut progress) = (log.head(), version.progress());
        let there = |progress: &Progress| progress.position == head && progress.phase == Phase::Live;
        if !stop_early {
            drop(runtime.block_on(progress.wait_for(there)).unwrap());
        }
        runtime.block_on(run.stop());
    };
    let batches = prop::collection::vec(prop::collection::vec(0_u8..12, 1..60), 1..8);
    let cases = (
        batches,
        prop::sample::select(vec![1_usize, 7, 4096]),
        0..PLUGINS.len(),
        0..SIZES.len(),
        1_usize..6,
        any::<u8>(),
    );
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&cases, |(batches, block_events, plugin, size, partitions, early)| {
            let settings = LogSettings { block_events, ..LogSettings::default() };
            let log = Arc::new(MemoryLog::new(settings));
            let followed = version(&sized[plugin][size], partitions);
            for (number, batch) in batches.iter().enumerate() {
                let first = log.head() + 1;
                let events = (first..).zip(batch).map(|(position, subject)| envelope(position, *subject));
                let append = Append { events: events.collect(), ..Append::default() };
                runtime.block_on(log.append(append)).unwrap();
                follow(&followed, &log, early >> number & 1 == 1);
            }
            follow(&followed, &log, false);
            let whole = version(&plain[plugin], 1);
            let expected = fold(&whole, &log);
            prop_assert_eq!(followed.state().view().unwrap().checkpoint(), expected);
            prop_assert_eq!(rows(&followed), rows(&whole));
            let again = version(&sized[plugin][size], partitions);
            prop_assert_eq!(fold(&again, &log), expected);
            prop_assert_eq!(again.state().view().unwrap().digest_from_scratch().unwrap(), expected.digest);
            Ok(())
        })
        .unwrap();
}
