//! Microbenchmarks: what a replay consists of, one thing at a time.
//!
//! `cargo bench -p projectionist-bench` runs them; they need the components that
//! `cargo xtask bench` or `cargo xtask test` builds.
#![allow(missing_docs, reason = "criterion's macros document nothing")]

use std::{
    hint::black_box,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use projectionist::{
    event::{Block, BlockBuilder, Envelope, Partition, Position, Timestamp},
    plugin::{Host, HostSettings, Instance, NoState, Plugin, Settings},
    state::{Change, Durability, PartitionState, key},
};
use projectionist_tests::components;
use tokio::runtime::{Builder, Runtime};

#[path = "../src/workload/accounts.rs"]
#[allow(dead_code, reason = "only its deposits are wanted here")]
mod accounts;

/// As many events as the engine hands over at once.
const EVENTS: usize = 4096;
/// Rows of the table that is read and written.
const ROWS: usize = 100_000;
/// Rows that a commit changes.
const CHANGED: usize = 4096;
/// A prime, so that multiples of it meet all rows in no order.
const STRIDE: usize = 7919;
/// What a store may keep in memory; the engine's default.
const STORE_CACHE: usize = 64 << 20;

/// A block crosses into a component, which does nothing with it or folds it.
fn block(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("block of 4,096 events");
    group.throughput(Throughput::Elements(EVENTS as u64));
    for (name, event_type) in [("crosses", "account.viewed"), ("is folded", "account.deposited")] {
        let mut instance = instance(&runtime);
        let block = deposits(event_type);
        group.bench_function(name, |bencher| bencher.iter(|| apply(&runtime, &mut instance, &block)));
    }
    group.finish();
}

/// A component hands over what a block has changed.
fn flush(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut instance = instance(&runtime);
    let block = deposits("account.deposited");
    let mut group = criterion.benchmark_group("flush");
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("4,096 rows", |bencher| {
        bencher.iter_custom(|times| {
            // Only the flushes count, not the folds that give them something to do.
            let flush = |_| {
                apply(&runtime, &mut instance, &block);
                let begun = now();
                let changes = runtime.block_on(instance.flush()).expect("a flush succeeds");
                let took = begun.elapsed();
                assert_eq!(changes.len(), EVENTS);
                took
            };
            (0..times).map(flush).sum::<Duration>()
        });
    });
    group.finish();
}

/// Reading a key of a version's state, from a view that is open.
fn state_read(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = filled(folder.path());
    let view = state.view().expect("a view");
    let keys: Vec<Vec<u8>> = (0..ROWS).map(row_key).collect();
    let mut row = 0;
    criterion.bench_function("state read", |bencher| {
        bencher.iter(|| {
            row = (row + STRIDE) % ROWS;
            let value = view.get(0, &keys[row]).expect("the store is sound");
            assert!(black_box(value).is_some());
        });
    });
}

/// Committing changes that are spread over the table, with fsync and without.
fn commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("commit of 4,096 rows");
    group.throughput(Throughput::Elements(CHANGED as u64));
    for (name, durability) in [("durable", Durability::Durable), ("not durable", Durability::Eventual)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let state = filled(folder.path());
        let mut position = state.checkpoint().position;
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let mut took = Duration::ZERO;
                for _ in 0..times {
                    position += 1;
                    let value = position.to_be_bytes();
                    let first = position as usize % (ROWS / CHANGED);
                    let rows = (0..CHANGED).map(|row| row_key(first + row * (ROWS / CHANGED)));
                    let rows: Vec<Vec<u8>> = rows.collect();
                    let begun = now();
                    put(&state, &rows, &value, position, durability);
                    took += begun.elapsed();
                    // Pages are only used again after a durable commit, which the
                    // engine makes once a second.
                    if position.is_multiple_of(64) {
                        state.sync().expect("the disk takes more");
                    }
                }
                took
            });
        });
    }
    group.finish();
}

/// Loading a component whose code has been compiled before.
fn load(criterion: &mut Criterion) {
    let runtime = runtime();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let host =
        Host::new(HostSettings { cache_dir: Some(folder.path().to_owned()), ..HostSettings::default() });
    let host = host.expect("a host");
    let component = components::bytes("accounts");
    let load = || plugin(&runtime, &host, &component);
    load();
    criterion.bench_function("load from the compile cache", |bencher| bencher.iter(load));
}

/// Deposits, one into each of as many accounts.
fn deposits(event_type: &str) -> Block {
    let mut block = BlockBuilder::new();
    for number in 0..EVENTS {
        let account = (number * STRIDE % EVENTS) as u64;
        let deposit = accounts::deposit(number, account, number as i64);
        let envelope = Envelope { event_type: event_type.to_owned(), ..deposit };
        block.push(number as Position + 1, Timestamp::from_micros(0), 1, &envelope);
    }
    block.build()
}

fn apply(runtime: &Runtime, instance: &mut Instance, block: &Block) -> u64 {
    match runtime.block_on(instance.apply(block)) {
        Ok(dirty) => dirty,
        Err(error) => panic!("the component failed: {error}"),
    }
}

fn instance(runtime: &Runtime) -> Instance {
    let host = Host::new(HostSettings::default()).expect("a host");
    let plugin = plugin(runtime, &host, &components::bytes("accounts"));
    runtime.block_on(plugin.start(Arc::new(NoState), Partition::WHOLE)).expect("an instance")
}

fn plugin(runtime: &Runtime, host: &Host, component: &[u8]) -> Arc<Plugin> {
    runtime.block_on(host.load("accounts", component, &Settings::default())).expect("a sound component")
}

/// A store in this folder with all rows in its only table.
fn filled(folder: &Path) -> PartitionState {
    let state = PartitionState::open(&folder.join("state"), &["accounts".to_owned()], STORE_CACHE);
    let state = state.expect("a new store");
    let rows: Vec<Vec<u8>> = (0..ROWS).map(row_key).collect();
    put(&state, &rows, &[0; 8], 1, Durability::Durable);
    state
}

fn put(state: &PartitionState, rows: &[Vec<u8>], value: &[u8], position: Position, durability: Durability) {
    let changes = rows.iter().map(|key| Change { table: 0, key, value: Some(value) });
    state.commit(changes, position, 1, None, durability).expect("the disk takes more");
}

fn row_key(row: usize) -> Vec<u8> {
    key::encode(&[key::Part::String(accounts::name(row as u64))])
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}

criterion_group!(benches, block, flush, state_read, commit, load);
criterion_main!(benches);
