//! A plug-in can harm nobody but itself, and says what it did: real components
//! that misbehave, each in its own way.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{Arc, LazyLock, Mutex},
    task::{Context, Poll, Waker},
};

use expect_test::{Expect, expect};
use projectionist::{
    event::{Block, BlockBuilder, Envelope, Partition, Timestamp},
    plugin::{
        ApplyError, CallError, Changes, Host, HostSettings, Instance, Plugin, PluginError, Row, Settings,
        StateReader, Stream,
    },
};
use projectionist_test_guests::component_bytes;

/// Calls need no runtime: this polls and nothing else.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

/// State in memory.
#[derive(Default)]
struct Memory(Mutex<Rows>);

type Rows = BTreeMap<(u32, Vec<u8>), Vec<u8>>;

impl Memory {
    fn commit(&self, changes: &Changes) {
        let mut rows = self.0.lock().unwrap();
        for (table, key, value) in changes.iter() {
            match value {
                Some(value) => rows.insert((table, key.to_vec()), value.to_vec()),
                None => rows.remove(&(table, key.to_vec())),
            };
        }
    }
}

impl StateReader for Memory {
    fn get(&self, table: u32, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.lock().unwrap().get(&(table, key.to_vec())).cloned())
    }

    fn scan(
        &self,
        table: u32,
        start: Option<&[u8]>,
        end: Option<&[u8]>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Row>, String> {
        let rows = self.0.lock().unwrap();
        let within = rows.iter().filter(|((number, key), _)| {
            *number == table
                && start.is_none_or(|start| key.as_slice() >= start)
                && end.is_none_or(|end| key.as_slice() < end)
        });
        let within = within.map(|((_, key), value)| (key.clone(), value.clone()));
        Ok(if reverse { within.rev().take(limit).collect() } else { within.take(limit).collect() })
    }

    fn is_empty(&self, table: u32) -> Result<bool, String> {
        Ok(self.scan(table, None, None, false, 1)?.is_empty())
    }
}

/// One host for all, which keeps what it has compiled for the next run.
fn host() -> &'static Host {
    static HOST: LazyLock<Host> = LazyLock::new(|| {
        let cache_dir = Some(env!("CARGO_TARGET_TMPDIR").into());
        Host::new(HostSettings { cache_dir, ..HostSettings::default() }).unwrap()
    });
    &HOST
}

fn load(guest: &str, settings: &str) -> Result<Arc<Plugin>, PluginError> {
    let settings = Settings::parse(settings).unwrap();
    block_on(host().load(guest, &component_bytes(guest), &settings))
}

fn start(guest: &str, settings: &str) -> (Arc<Plugin>, Instance) {
    let plugin = load(guest, settings).unwrap();
    let instance = block_on(plugin.start(Arc::new(Memory::default()), Partition::WHOLE)).unwrap();
    (plugin, instance)
}

fn block(first: u64, types: &[&str]) -> Block {
    let mut builder = BlockBuilder::new();
    for (event_type, position) in types.iter().zip(first..) {
        let envelope = Envelope {
            id: position.to_string(),
            source: "/test".to_owned(),
            event_type: (*event_type).to_owned(),
            subject: None,
            time: None,
            content_type: "application/json".to_owned(),
            data: "{}".into(),
            tags: Vec::new(),
            extensions: BTreeMap::new(),
        };
        builder.push(position, Timestamp::from_micros(0), 0, &envelope);
    }
    builder.build()
}

/// Folds two good events and one at which the guest misbehaves; checks why it
/// was stopped.
fn check(guest: &str, settings: &str, reason: Expect) {
    let settings = format!("{settings}\n[values]\nat = \"bad\"");
    let (_, mut instance) = start(guest, &settings);
    block_on(instance.apply(&block(1, &["good", "good"]))).unwrap();
    let error = block_on(instance.apply(&block(3, &["good", "bad", "good"]))).unwrap_err();
    reason.assert_eq(&error.to_string());
}

#[test]
fn instances_can_move_between_threads() {
    fn check<T: Send>(_: &T) {}
    let host = host();
    check(&host.load("counts", b"", &Settings::default()));
    let (plugin, mut instance) = start("counts", "");
    check(&plugin.start(Arc::new(Memory::default()), Partition::WHOLE));
    let block = block(1, &["a"]);
    check(&instance.apply(&block));
    check(&instance.flush());
    check(&instance.query("total", Vec::new()));
    check(&instance);
}

#[test]
fn a_good_plugin_counts() {
    let plugin = load("counts", "").unwrap();
    assert_eq!(plugin.tables(), ["counts"]);
    let state = Arc::new(Memory::default());
    let mut instance = block_on(plugin.start(state.clone(), Partition::WHOLE)).unwrap();
    for first in [1, 4] {
        assert!(block_on(instance.apply(&block(first, &["a", "b", "a"]))).unwrap() > 0);
        state.commit(&block_on(instance.flush()).unwrap());
    }
    assert!(block_on(instance.flush()).unwrap().is_empty());

    let mut query = block_on(plugin.start(state, Partition::WHOLE)).unwrap();
    assert_eq!(block_on(query.query("total", Vec::new())), Ok(b"6".to_vec()));
    assert_eq!(
        block_on(query.query("state", b"a,c,b".to_vec())),
        Ok(b"[Some(4), None, Some(2)] 1 false".to_vec())
    );
    assert_eq!(block_on(query.query("nothing", Vec::new())), Err(CallError::UnknownQuery));
    assert!(matches!(block_on(query.query("state", vec![0xff])), Err(CallError::BadArguments(_))));
    // Whoever has not answered can still be asked.
    assert_eq!(block_on(query.query("total", Vec::new())), Ok(b"6".to_vec()));
    query.set_state(Arc::new(Memory::default()));
    assert_eq!(block_on(query.query("total", Vec::new())), Ok(b"0".to_vec()));
}

#[test]
fn endless_loops_end() {
    check(
        "spins",
        "[limits]\ncpu = \"200ms\"",
        expect!["it used more than 200ms of CPU in one call (limits.cpu)"],
    );
}

#[test]
fn memory_is_limited() {
    check(
        "hoards",
        "[limits]\nmemory = \"32 MiB\"",
        expect!["it needs more than 32 MiB of memory (limits.memory)"],
    );
}

#[test]
fn recursion_is_limited() {
    check("recurses", "", expect!["it recursed until its stack was full"]);
}

#[test]
fn there_are_no_files() {
    check(
        "opens-file",
        "",
        expect![[
            r#"it panicked: the file is there: Os { code: 44, kind: NotFound, message: "No such file or directory" } (tests/guests/examples/opens-file.rs:10:38); it looked for files, and a projection's sandbox has none"#
        ]],
    );
}

#[test]
fn there_are_no_sockets() {
    check(
        "connects",
        "",
        expect![
            "it called wasi:sockets/tcp-create-socket@0.2.6#create-tcp-socket: a projection's sandbox has no network"
        ],
    );
}

#[test]
fn there_is_no_http() {
    check(
        "fetches",
        "",
        expect!["it called wasi:http/types@0.2.4#[constructor]fields: a projection's sandbox has no network"],
    );
}

#[test]
fn there_is_no_waiting() {
    check(
        "sleeps",
        "",
        expect![
            "it wanted to wait for a timer: time stands still in a projection, so that a replay gives the same state; use the event's own times"
        ],
    );
}

#[test]
fn there_are_no_random_bytes_while_folding() {
    check(
        "randomizes",
        "",
        expect![
            "it asked for random bytes while folding, which would make every replay differ: derive them from the event's id (`event.random()` and `event.uuid()` in the SDK)"
        ],
    );
}

#[test]
fn a_panic_is_the_reason() {
    check(
        "panics",
        "",
        expect!["it panicked: there is no reel 4 in the box (tests/guests/examples/panics.rs:10:9)"],
    );
}

#[test]
fn a_refused_event_is_named() {
    check("refuses", "", expect!["cannot fold event 4: bad is out of focus"]);
}

#[test]
fn every_run_begins_alike() {
    let printed = || {
        let (plugin, mut instance) = start(
            "randomizes",
            "[values]
rate = 1.5",
        );
        block_on(instance.apply(&block(1, &["test.hash", "test.hash", "test.clock"]))).unwrap();
        plugin.output().lines()
    };
    let lines = printed();
    assert_eq!(lines, printed());
    assert_eq!(lines[0].0, Stream::Stdout);
    expect![[r#"0ns 0ns [("rate", "1.5")] 0"#]].assert_eq(&lines[2].1);
}

#[test]
fn a_flush_of_ten_gigabytes_is_refused() {
    let (_, mut instance) = start("floods", "");
    block_on(instance.apply(&block(1, &["a"]))).unwrap();
    let error = block_on(instance.flush()).unwrap_err();
    expect!["floods flushed what cannot be committed: more than 256 MiB at once (limits.flush)"]
        .assert_eq(&error.to_string());

    let (_, mut instance) = start("floods", "[limits]\nflush = \"1 MiB\"");
    let error = block_on(instance.flush()).unwrap_err();
    expect!["floods was stopped while flushing: it flushes more than 1 MiB at once (limits.flush)"]
        .assert_eq(&error.to_string());
}

#[test]
fn the_last_lines_are_kept() {
    let (plugin, mut instance) = start("talks", "");
    block_on(instance.apply(&block(7, &["a"]))).unwrap();
    let lines = plugin.output().lines();
    assert_eq!(lines.len(), 200);
    assert_eq!(lines[0], (Stream::Stdout, "7: line 801".to_owned()));
    assert_eq!(lines[199], (Stream::Stderr, "not even a line".to_owned()));
}

#[test]
fn a_wrong_description_is_refused() {
    let error = load("wrong-describe", "").err().unwrap();
    expect![[r#"wrong-describe describes itself wrongly: there are two tables named "a""#]]
        .assert_eq(&error.to_string());
}

#[test]
fn an_instance_that_was_stopped_stays_stopped() {
    let (_, mut instance) = start("panics", "");
    block_on(instance.apply(&block(1, &["a"]))).unwrap_err();
    let again = block_on(instance.apply(&block(1, &["a"]))).unwrap_err();
    expect!["it was called after it had been stopped"].assert_eq(&again.to_string());
}

#[test]
fn a_spinning_plugin_leaves_time_to_others() {
    let (_, mut spinning) = start("spins", "");
    let (_, mut counting) = start("counts", "");
    let (bad, good) = (block(1, &["a"]), block(1, &["a"; 1000]));
    let mut spin = pin!(spinning.apply(&bad));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..20 {
        assert!(spin.as_mut().poll(&mut context).is_pending());
        block_on(counting.apply(&good)).unwrap();
    }
    let error = block_on(spin).unwrap_err();
    assert!(matches!(error, ApplyError::Trap { .. }));
}

/// Loads bytes that are no good plug-in.
fn refused(bytes: &[u8]) -> String {
    let loaded = block_on(host().load("lens", bytes, &Settings::default()));
    let reason = loaded.err().expect("this is no plug-in").to_string();
    assert!(!reason.contains('\n') && reason.len() < 1000, "{reason}");
    reason
}

/// Replaces a name in a component by another of the same length.
fn renamed(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = component_bytes("counts");
    let places: Vec<_> = bytes
        .windows(from.len())
        .enumerate()
        .filter(|(_, at)| *at == from.as_bytes())
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

#[test]
fn what_is_no_component_is_refused() {
    expect!["lens is no WebAssembly component: the file is empty"].assert_eq(&refused(b""));
    expect!["lens is no WebAssembly component: it is a text file; a plug-in is a compiled component: build it with `projectionist build` or for the target wasm32-wasip2"].assert_eq(&refused(b"a text file named .wasm"));
    expect!["lens is no WebAssembly component: it is a core module: build it with `projectionist build` or for the target wasm32-wasip2, or wrap it with `wasm-tools component new`"].assert_eq(&refused(b"\0asm\x01\0\0\0"));
}

#[test]
fn a_truncated_component_is_refused_wherever_it_ends() {
    let whole = component_bytes("counts");
    let half = refused(&whole[..whole.len() / 2]);
    assert!(half.contains("truncated"), "{half}");
    for length in (1..whole.len()).step_by(whole.len() / 40) {
        refused(&whole[..length]);
    }
}

#[test]
fn a_component_that_does_not_fit_is_refused() {
    expect!["lens does not fit this host: it speaks projectionist:plugin 0.9.0, this host speaks 0.1.0: rebuild it with the SDK of version 0.1.0, or run a host that speaks 0.9.0"].assert_eq(&refused(&renamed("/state@0.1.0", "/state@0.9.0")));
    expect!["lens does not fit this host: it exports neither projectionist:plugin/projection@0.1.0 nor projectionist:plugin/reaction@0.1.0 nor projectionist:plugin/upcaster@0.1.0: a plug-in must be one of them"].assert_eq(&refused(&renamed(
        "projectionist:plugin/projection@",
        "projectionist:plugin/projectile@",
    )));
    expect!["lens does not fit this host: it imports wasi:key/value-store@0.2.6, which a plug-in's sandbox does not have"].assert_eq(&refused(&renamed("wasi:cli/environment@", "wasi:key/value-store@")));
}

#[test]
fn compiled_code_is_kept_and_bad_entries_are_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let settings = HostSettings { cache_dir: Some(folder.path().to_owned()), ..HostSettings::default() };
    let load = || {
        let host = Host::new(settings.clone()).unwrap();
        let plugin = block_on(host.load("counts", &component_bytes("counts"), &Settings::default())).unwrap();
        let mut instance = block_on(plugin.start(Arc::new(Memory::default()), Partition::WHOLE)).unwrap();
        block_on(instance.apply(&block(1, &["a"]))).unwrap();
        let entries = std::fs::read_dir(folder.path().join("components")).unwrap();
        let entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(entries.len(), 1);
        (entries[0].clone(), std::fs::read(&entries[0]).unwrap())
    };
    let (path, entry) = load();
    // A file that is written is another file, while the time of its last use may change.
    #[cfg(unix)]
    let file = || std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&path).unwrap());
    #[cfg(not(unix))]
    let file = || 0;
    let written = file();
    assert_eq!(load().1, entry);
    assert_eq!(file(), written, "it was not written again");

    let mut flipped = entry.clone();
    flipped[entry.len() / 2] ^= 1;
    let mut foreign = b"something else".to_vec();
    foreign.extend_from_slice(blake3::hash(&foreign.clone()).as_bytes());
    for bad in [flipped, entry[..entry.len() / 2].to_vec(), Vec::new(), foreign] {
        std::fs::write(&path, bad).unwrap();
        assert_eq!(load().1.len(), entry.len());
    }
}
