//! Measurements, run by hand:
//! `cargo test --release -p projectionist --lib log::tests::speed -- --ignored --nocapture`.

use super::*;
use crate::{clock, event::cloudevents};

const EVENTS: usize = 150_000;
const BATCH: usize = 5_000;

fn measured<T>(what: &str, events: usize, work: impl FnOnce() -> T) -> T {
    let (start, busy) = (clock::instant(), cpu_seconds());
    let result = work();
    let (elapsed, busy) = (start.elapsed(), cpu_seconds() - busy);
    println!(
        "{what}: {:.0} events/s ({elapsed:?}, of which {busy:.2} s of CPU)",
        events as f64 / elapsed.as_secs_f64()
    );
    result
}

/// What the process has used so far, where the system tells it (Linux).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    stat.split(' ').skip(13).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The first lines of the NDJSON file in `PROJECTIONIST_EVENTS`, or made up.
fn lines() -> Vec<String> {
    if let Ok(path) = std::env::var("PROJECTIONIST_EVENTS") {
        return std::fs::read_to_string(path).unwrap().lines().take(EVENTS).map(str::to_owned).collect();
    }
    (0..EVENTS)
        .map(|n| {
            format!(
                r#"{{"specversion":"1.0","id":"e-{n:06}","source":"/git/repository","type":"git.file.{}","subject":"src/dir{}/file{}.rs","time":"2020-01-01T00:{:02}:00Z","correlationid":"344fbed77a462804e4651954c81b234933936018","datacontenttype":"application/json","data":{{"commit":"344fbed77a462804e4651954c81b234933936018","author":"author-{:04}","blob":"50281a44270e0fe457f02c7c9edebe234eaa708d"}}}}"#,
                ["added", "modified", "modified", "deleted"][n % 4],
                n % 97,
                n.wrapping_mul(2654435761) % 150,
                n % 60,
                n % 843,
            )
        })
        .collect()
}

#[test]
#[ignore = "a measurement"]
fn import_and_read() {
    let lines = lines();
    let parsed = || lines.iter().map(|line| cloudevents::from_slice(line.as_bytes()).unwrap());
    let envelopes: Vec<_> = measured("parse", EVENTS, || parsed().collect());
    let folder = tempfile::tempdir_in(".").unwrap();
    let log = EmbeddedLog::open(folder.path(), LogSettings::default()).unwrap();
    let batches: Vec<_> = envelopes.chunks(BATCH).map(|events| batch(events.iter().cloned())).collect();
    measured("append", EVENTS, || {
        batches.into_iter().for_each(|batch| drop(append(&log, batch).unwrap()));
    });
    let in_flight = tempfile::tempdir_in(".").unwrap();
    let other = EmbeddedLog::open(in_flight.path(), LogSettings::default()).unwrap();
    let batches: Vec<_> = envelopes.chunks(BATCH).map(|events| batch(events.iter().cloned())).collect();
    measured("append, 4 batches in flight", EVENTS, || {
        use futures_util::StreamExt;
        let appends = futures_util::stream::iter(batches).map(|batch| other.append(batch)).buffered(4);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(appends.for_each(async |answer| drop(answer.unwrap())));
    });
    drop(other);
    println!("file: {} MB", std::fs::metadata(folder.path().join("log.redb")).unwrap().len() >> 20);
    let batches: Vec<_> = envelopes.chunks(BATCH).map(|events| batch(events.iter().cloned())).collect();
    measured("append again", EVENTS, || {
        batches.into_iter().for_each(|batch| assert_eq!(append(&log, batch).unwrap().known, BATCH));
    });
    measured("append one by one", 2_000, || {
        for n in 0..2_000 {
            append(&log, batch([event(n, "t", "s")])).unwrap();
        }
    });
    drop(log);
    let log = measured("open", EVENTS, || EmbeddedLog::open(folder.path(), LogSettings::default()).unwrap());
    measured("read blocks", EVENTS, || {
        let mut position = 1;
        while let Some(block) = log.block(position).unwrap() {
            position = block.last() + 1;
        }
    });
    let events = measured("read events", EVENTS, || all(&log));
    let mut json = Vec::new();
    measured("write JSON", EVENTS, || events.iter().for_each(|event| cloudevents::to_json(event, &mut json)));
    let subject = Some(envelopes[7].subject.clone().unwrap());
    measured("read a subject", 1, || log.read(&Selection { subject, ..Selection::default() }).unwrap().len());
}
