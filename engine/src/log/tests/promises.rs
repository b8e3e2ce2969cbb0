//! One scenario each.

use std::sync::Arc;

use expect_test::expect;

use super::*;
use crate::event::{Attribute, Timestamp, cloudevents};

fn open(folder: &tempfile::TempDir) -> EmbeddedLog {
    EmbeddedLog::open(folder.path(), LogSettings::default()).unwrap()
}

#[test]
fn of_64_with_the_same_condition_one_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(EmbeddedLog::open(folder.path(), small_blocks(7)).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let clients = (0..64).map(|client| {
        let log = Arc::clone(&log);
        runtime.spawn(async move {
            let mut sign_up = event(client, "user.signed-up", &format!("user-{client}"));
            sign_up.tags = vec!["email:a@b.c".to_owned()];
            let taken = Criterion { tags: sign_up.tags.clone(), ..Criterion::default() };
            let condition = Condition { fail_if_exists: vec![taken], ..Condition::default() };
            log.append(Append { events: vec![sign_up], condition }).await
        })
    });
    let clients: Vec<_> = clients.collect();
    let answers: Vec<_> = clients.into_iter().map(|client| runtime.block_on(client).unwrap()).collect();
    let refused = answers.iter().filter(
        |answer| matches!(answer, Err(AppendError::Exists { in_the_way }) if in_the_way.position == 1),
    );
    assert_eq!(refused.count(), 63);
    assert_eq!(log.head(), 1);
}

#[test]
fn the_same_event_in_other_words_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    let mut first = event(1, "t", "s");
    first.time = Some("2020-01-01T01:00:00+01:00".parse().unwrap());
    first.tags = vec!["a".to_owned(), "b".to_owned()];
    first.extensions.insert("n".to_owned(), Attribute::Integer(5));
    append(&log, batch([first.clone()])).unwrap();
    let mut again = first.clone();
    again.data = "{ \"n\":1 }".into();
    again.time = Some("2020-01-01T00:00:00Z".parse().unwrap());
    again.tags.reverse();
    again.extensions.insert("n".to_owned(), Attribute::String("5".to_owned()));
    let answer = append(&log, batch([event(2, "t", "s"), again])).unwrap();
    assert_eq!(answer, Appended { positions: vec![2, 1], known: 1, position: 2 });
    for change in [
        |event: &mut Envelope| event.data = "{\"n\":2}".into(),
        |event: &mut Envelope| event.time = Some(Timestamp::from_micros(0)),
        |event: &mut Envelope| event.tags.truncate(1),
        |event: &mut Envelope| event.extensions.clear(),
        |event: &mut Envelope| event.subject = None,
        |event: &mut Envelope| event.event_type = "u".to_owned(),
    ] {
        let mut other = first.clone();
        change(&mut other);
        let refused = append(&log, batch([other])).unwrap_err();
        assert!(matches!(refused, AppendError::IdReused { in_the_way, .. } if in_the_way.position == 1));
    }
}

#[test]
fn the_order_of_keys_makes_no_other_event() {
    let log = MemoryLog::default();
    let with = |data: &'static str| Envelope { data: data.into(), ..event(1, "t", "s") };
    append(&log, batch([with(r#"{"a":1,"b":{"c":2,"d":3}}"#)])).unwrap();
    let again = append(&log, batch([with(r#"{"b":{"d":3,"c":2},"a":1}"#)])).unwrap();
    assert_eq!((again.known, log.head()), (1, 1));
}

#[test]
fn a_retry_of_a_conditional_append_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    let condition = Condition { expected_versions: vec![("s".to_owned(), 0)], ..Condition::default() };
    let first = Append { events: vec![event(1, "t", "s"), event(2, "t", "s")], condition: condition.clone() };
    let answer = append(&log, first.clone()).unwrap();
    assert_eq!(answer.known, 0);
    assert_eq!(append(&log, first).unwrap(), Appended { known: 2, ..answer });
    let more = Append { events: vec![event(1, "t", "s"), event(3, "t", "s")], condition };
    expect![[r#"subject "s" is at version 2, not 0"#]]
        .assert_eq(&append(&log, more).unwrap_err().to_string());
    assert_eq!(log.head(), 2);
}

#[test]
fn limits_say_size_limit_and_setting() {
    let settings = LogSettings {
        max_event_bytes: 50,
        max_batch_events: 2,
        max_batch_bytes: 60,
        ..LogSettings::default()
    };
    let log = MemoryLog::new(settings);
    let refused = |events: Vec<Envelope>| append(&log, batch(events)).unwrap_err().to_string();
    let large = Envelope { data: vec![b'1'; 100].into(), ..event(1, "t", "") };
    expect!["event 1 of the batch has 123 bytes; the log takes at most 50 (setting max-event-bytes)"]
        .assert_eq(&refused(vec![event(0, "t", ""), large]));
    expect!["the batch has 3 events; the log takes at most 2 (setting max-batch-events)"]
        .assert_eq(&refused((0..3).map(|id| event(id, "t", "")).collect()));
    expect!["the batch has 62 bytes; the log takes at most 60 (setting max-batch-bytes)"]
        .assert_eq(&refused((0..2).map(|id| event(id, "t", "")).collect()));
    expect![[r#"event 0 of the batch: attribute "type" is missing or empty; CloudEvents requires it"#]]
        .assert_eq(&refused(vec![event(0, "", "")]));
}

#[test]
fn a_second_program_is_turned_away() {
    let folder = tempfile::tempdir().unwrap();
    let _log = open(&folder);
    let refused = EmbeddedLog::open(folder.path(), LogSettings::default()).err().unwrap();
    assert!(matches!(refused, LogError::InUse { .. }), "{refused}");
}

#[test]
fn another_kind_of_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("log.redb"), "not a log").unwrap();
    let refused = EmbeddedLog::open(folder.path(), LogSettings::default()).err().unwrap();
    assert!(matches!(refused, LogError::Foreign { .. }), "{refused}");
    assert_eq!(std::fs::read(folder.path().join("log.redb")).unwrap(), b"not a log");
}

#[test]
fn dropping_finishes_what_was_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for id in 0..100 {
            // Polled once, which hands the append to the writer, and given up.
            let waiting = log.append(batch([event(id, "t", "s")]));
            tokio::select! { biased; _ = waiting => {}, () = std::future::ready(()) => {} }
        }
    });
    drop(log);
    assert_eq!(open(&folder).head(), 100);
}

/// Readers in other threads never see a gap, a repetition or a step back, while
/// the writer appends and seals.
#[test]
fn sealing_is_invisible() {
    let folder = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(folder.path(), small_blocks(16)).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..3 {
            let (log, done) = (&log, &done);
            scope.spawn(move || {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let head = log.head();
                    let from = head.saturating_sub(40).max(1);
                    let subject = (reader == 1).then(|| "s".to_owned());
                    let events = log
                        .read(&Selection { from, subject, reverse: reader == 2, ..Selection::default() })
                        .unwrap();
                    let mut positions: Vec<_> = events.iter().map(|event| event.position).collect();
                    if reader == 2 {
                        positions.reverse();
                    }
                    assert!(
                        positions.last().is_none_or(|last| *last >= head)
                            && positions.len() as u64 >= head + 1 - from
                    );
                    assert!((from..).zip(&positions).all(|(expected, position)| expected == *position));
                    if head > 0 {
                        let block = log.block(from).unwrap().unwrap();
                        assert!(block.first() <= from && block.last() >= from);
                    }
                }
            });
        }
        for id in 0..600 {
            append(&log, batch((0..id % 5 + 1).map(|n| event(format!("{id}-{n}"), "t", "s")))).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn an_export_can_be_imported() {
    let log = MemoryLog::default();
    let mut rich = event("a", "t", "s");
    rich.tags = vec!["x:1".to_owned(), "y".to_owned()];
    rich.extensions.insert("n".to_owned(), Attribute::Integer(5));
    append(&log, batch([rich, event("b", "t", "")])).unwrap();
    let read = |event| {
        let mut json = Vec::new();
        cloudevents::to_json(&event, &mut json);
        cloudevents::from_slice(&json).unwrap()
    };
    let exported: Vec<_> = all(&log).into_iter().map(read).collect();
    assert_eq!(append(&log, batch(exported.clone())).unwrap().known, 2);
    let other = MemoryLog::default();
    append(&other, batch(exported)).unwrap();
    let envelopes = |log| all(log).into_iter().map(|event| event.envelope).collect::<Vec<_>>();
    assert_eq!(envelopes(&log), envelopes(&other));
}
