//! What the sandbox costs. Not part of the tests, because times differ:
//! `CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo test -p projectionist --test plugin_costs -- --ignored --nocapture`
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use projectionist::{
    clock,
    event::{Block, BlockBuilder, Envelope, Partition, Timestamp},
    plugin::{Host, HostSettings, NoState, Plugin, Settings},
};
use projectionist_test_guests::component_bytes;

const EVENTS: u64 = 4096;
const TIMES: u32 = 500;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

fn block() -> Block {
    let mut builder = BlockBuilder::new();
    for position in 1..=EVENTS {
        let envelope = Envelope {
            id: format!("{position:016}"),
            source: "/test".to_owned(),
            event_type: "git.file.modified".to_owned(),
            subject: Some(format!("crates/file-{position}.rs")),
            time: None,
            content_type: "application/json".to_owned(),
            data: r#"{"author":"someone","lines":12}"#.into(),
            tags: Vec::new(),
            extensions: Default::default(),
        };
        builder.push(position, Timestamp::from_micros(0), position, &envelope);
    }
    builder.build()
}

fn measure(what: &str, unit: u32, mut run: impl FnMut()) {
    let fastest = (0..5)
        .map(|_| {
            let begun = clock::instant();
            run();
            begun.elapsed()
        })
        .min();
    println!("{what}: {:?}", fastest.unwrap_or(Duration::ZERO) / unit);
}

#[test]
#[ignore = "measures"]
fn what_things_cost() {
    let folder = tempfile::tempdir().unwrap();
    let wasm = component_bytes("counts");
    let load = |cache: bool| -> (Host, Arc<Plugin>) {
        let cache_dir = cache.then(|| folder.path().to_owned());
        let host = Host::new(HostSettings { cache_dir, ..HostSettings::default() }).unwrap();
        let plugin = block_on(host.load("counts", &wasm, &Settings::default())).unwrap();
        (host, plugin)
    };
    measure("compile a component of 90 kB", 1, || drop(load(false)));
    let (_host, plugin) = load(true);
    measure("the same from the cache", 1, || drop(load(true)));
    measure("start an instance", 100, || {
        for _ in 0..100 {
            block_on(plugin.start(Arc::new(NoState), Partition::WHOLE)).unwrap();
        }
    });
    measure("start and answer a query", 100, || {
        for _ in 0..100 {
            let mut instance = block_on(plugin.start(Arc::new(NoState), Partition::WHOLE)).unwrap();
            block_on(instance.query("total", Vec::new())).unwrap();
        }
    });
    let mut instance = block_on(plugin.start(Arc::new(NoState), Partition::WHOLE)).unwrap();
    let (empty, full) = (Block::default(), block());
    measure("a call with no event", TIMES, || {
        for _ in 0..TIMES {
            block_on(instance.apply(&empty)).unwrap();
        }
    });
    measure("an event of a block (crossing, counting by type)", TIMES * EVENTS as u32, || {
        for _ in 0..TIMES {
            block_on(instance.apply(&full)).unwrap();
        }
    });
    measure("a flush of one change", TIMES, || {
        for _ in 0..TIMES {
            block_on(instance.apply(&full)).unwrap();
            block_on(instance.flush()).unwrap();
        }
    });
}
