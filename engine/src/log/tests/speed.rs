//! Measurements, run by hand:
//! `cargo test --release -p projectionist --lib log::tests::speed -- --ignored --nocapture`.

use super::*;
use crate::{clock, event::cloudevents};

const EVENTS: usize = 150_000;
const BATCH: usize = 5_000;

fn measured<T>(what: &str, events: usize, work: impl FnOnce() -> T) -> T {
    let start = clock::instant();
    let result = work();
    let elapsed = start.elapsed();
    println!("{what}: {:.0} events/s ({elapsed:?})", events as f64 / elapsed.as_secs_f64());
    result
}

fn lines() -> Vec<String> {
    (0..EVENTS)
        .map(|n| {
            format!(
                r#"{{"specversion":"1.0","id":"e-{n:06}","source":"/git/repository","type":"git.file.{}","subject":"src/dir{}/file{}.rs","time":"2020-01-01T00:{:02}:00Z","correlationid":"344fbed77a462804e4651954c81b234933936018","datacontenttype":"application/json","data":{{"commit":"344fbed77a462804e4651954c81b234933936018","author":"author-{:04}","blob":"50281a44270e0fe457f02c7c9edebe234eaa708d"}}}}"#,
                ["added", "modified", "modified", "deleted"][n % 4],
                n % 97,
                n.wrapping_mul(2654435761) % 15_000,
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
