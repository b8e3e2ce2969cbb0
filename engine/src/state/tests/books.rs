//! A reaction's books say what was written into them, also after opening anew.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::{
    event::{Attribute, Envelope, Position, Timestamp},
    state::{BookEntry, Books, Call, CallOutcome, Header, Outgoing, Timer, Waiting},
};

fn envelope(position: Position, index: usize) -> Envelope {
    Envelope {
        id: format!("{position}-{index}"),
        source: "/reactions/test".into(),
        event_type: "answered".into(),
        subject: index.is_multiple_of(2).then(|| "subject".into()),
        time: Some(Timestamp::from_micros(position as i64)),
        content_type: "application/octet-stream".into(),
        data: vec![0, 255, index as u8].into(),
        tags: vec!["tag".into(); index],
        extensions: [("correlationid".to_owned(), Attribute::String("a".into()))].into(),
    }
}

fn waiting(position: Position, attempts: u32) -> Waiting {
    let at = Timestamp::from_micros;
    Waiting { position, attempts, since: at(1), next: at(i64::from(attempts)), reason: "down".into() }
}

proptest! {
    // Each commits durably many times.
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn books_are_kept(steps in prop::collection::vec((1_u64..30, 0_u8..11, 0_usize..3), 0..60), reopen in 1_usize..9) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reaction.redb");
        let tables = tables(&["one"]);
        let mut state = PartitionState::open(&path, &tables, 1 << 20).unwrap();
        let (mut handled_to, mut open) = (0, BTreeSet::new());
        let mut outbox: BTreeMap<u64, Outgoing> = BTreeMap::new();
        let mut waits: BTreeMap<Position, Waiting> = BTreeMap::new();
        let mut letters: BTreeSet<Position> = BTreeSet::new();
        let mut dropped: BTreeSet<Position> = BTreeSet::new();
        let mut timers: BTreeMap<String, Timer> = BTreeMap::new();
        for (number, (position, what, count)) in steps.into_iter().enumerate() {
            let entry = match what {
                0 => {
                    waits.remove(&position);
                    BookEntry::Handled(position)
                }
                1 => {
                    let answer = |index| (position + index as u64, (0..index).map(|index| envelope(position, index)).collect());
                    let outgoing = Outgoing { number: position, answers: (0..count).map(answer).collect() };
                    outbox.insert(position, outgoing.clone());
                    BookEntry::Goes(outgoing)
                }
                2 => {
                    outbox.remove(&position);
                    BookEntry::Gone(position)
                }
                3 => {
                    let again = waiting(position, count as u32);
                    waits.insert(position, again.clone());
                    BookEntry::Waits(again)
                }
                4 => {
                    letters.remove(&position);
                    dropped.insert(position);
                    BookEntry::Dropped(position)
                }
                5 => {
                    letters.remove(&position);
                    let again = waiting(position, 0);
                    waits.insert(position, again.clone());
                    BookEntry::Revived(again)
                }
                6 => {
                    handled_to = position;
                    BookEntry::HandledTo(position)
                }
                7 => {
                    let is_new = open.insert(position);
                    if !is_new {
                        open.remove(&position);
                    }
                    if is_new { BookEntry::Open(position) } else { BookEntry::Closed(position) }
                }
                8 => {
                    let (key, due) = (format!("timer-{position}"), Timestamp::from_micros(number as i64));
                    let timer = Timer { key: key.clone(), due, event: envelope(position, count) };
                    timers.insert(key, timer.clone());
                    BookEntry::TimerSet(timer)
                }
                9 => {
                    let key = format!("timer-{position}");
                    timers.remove(&key);
                    BookEntry::TimerGone(key)
                }
                _ => {
                    waits.remove(&position);
                    letters.insert(position);
                    BookEntry::Dead(letter(position))
                }
            };
            let key = position.to_be_bytes();
            let change = Change { table: 0, key: &key, value: Some(b"x") };
            state.commit_books([change], &[entry], number as u64, 1, Durability::Durable).unwrap();
            if (number + 1).is_multiple_of(reopen) {
                drop(state);
                state = PartitionState::open(&path, &tables, 1 << 20).unwrap();
            }
            let expected = Books {
                handled_to,
                open: open.iter().copied().collect(),
                outbox: outbox.values().cloned().collect(),
                waiting: waits.values().cloned().collect(),
                timers: timers.values().cloned().collect(),
                dropped: dropped.iter().copied().collect(),
            };
            prop_assert_eq!(state.books().unwrap(), expected);
            prop_assert_eq!(state.checkpoint().position, number as u64);
            let found: BTreeSet<Position> =
                state.dead_letters().unwrap().iter().map(|letter| letter.position).collect();
            prop_assert_eq!(&found, &letters);
        }
    }
}

#[test]
fn rebuilt_tables_take_the_place_of_all_others_and_the_books_stay() {
    let folder = tempfile::tempdir().unwrap();
    let folder = StateFolder::new(folder.path());
    let put = |state: &PartitionState, table, key: &[u8], position, entries: &[BookEntry]| {
        let change = Change { table, key, value: Some(b"value") };
        state.commit_books([change], entries, position, 1, Durability::Durable).unwrap();
    };
    let opened = folder.open_reaction("mail", &tables(&["kept", "dropped"]), 1 << 20).unwrap();
    let first = opened.partitions()[0].clone();
    drop(opened);
    put(&first, 0, b"old", 7, &[BookEntry::HandledTo(9), BookEntry::Waits(waiting(8, 1))]);
    let rebuilt = PartitionState::in_memory(&tables(&["kept", "new"])).unwrap();
    put(&rebuilt, 0, b"one", 3, &[]);
    put(&rebuilt, 1, b"other", 7, &[BookEntry::HandledTo(1)]);
    let second = first.rebuilt(&rebuilt, &[BookEntry::Dead(letter(4))], "second").unwrap();
    drop(first);
    for state in [second.clone(), second] {
        let view = state.view().unwrap();
        assert_eq!(
            (view.get(0, b"old").unwrap(), view.get(0, b"one").unwrap()),
            (None, Some(b"value".to_vec()))
        );
        assert_eq!(view.get(1, b"other").unwrap(), Some(b"value".to_vec()));
        let expected =
            Books { handled_to: 9, open: vec![], waiting: vec![waiting(8, 1)], ..Books::default() };
        assert_eq!(state.books().unwrap(), expected);
        assert_eq!(state.dead_letters().unwrap().len(), 1);
        assert_eq!(state.checkpoint(), Checkpoint { position: 7, events: 1, ..rebuilt.checkpoint() });
    }
    assert_eq!(folder.reaction_owner("mail", 1 << 20).unwrap(), Some("second".to_owned()));
}

#[test]
fn the_journal_keeps_the_last_of_each_call() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reaction.redb");
    let call = |position: Position, number: u32, attempts: u32| Call {
        position,
        number,
        method: "POST".into(),
        url: "https://mail.example/send".into(),
        headers: vec![Header { name: "authorization".into(), value: b"{secret:token}".to_vec() }],
        body: vec![0, 255],
        outcome: match attempts {
            1 => CallOutcome::Failed { reason: "no connection".into() },
            _ => CallOutcome::Response { status: 202, headers: Vec::new(), body: vec![255] },
        },
        made: Timestamp::from_micros(i64::from(attempts)),
        took: 7,
        attempts,
    };
    let state = PartitionState::open(&path, &tables(&["one"]), 1 << 20).unwrap();
    assert_eq!(state.calls(5).unwrap(), [], "before there is a journal");
    state.note_calls(&[call(5, 1, 1), call(5, 2, 1), call(6, 1, 1)]).unwrap();
    state.note_calls(&[call(5, 1, 2)]).unwrap();
    drop(state);
    let state = PartitionState::open(&path, &tables(&["one"]), 1 << 20).unwrap();
    assert_eq!(state.calls(5).unwrap(), [call(5, 1, 2), call(5, 2, 1)]);
    assert_eq!(state.call(6, 1).unwrap(), Some(call(6, 1, 1)));
    assert_eq!(state.call(6, 2).unwrap(), None);
}

#[test]
fn the_next_version_may_have_other_tables() {
    let folder = tempfile::tempdir().unwrap();
    let folder = StateFolder::new(folder.path());
    let put = |state: &PartitionState, table, value: &[u8]| {
        let change = Change { table, key: b"key", value: Some(value) };
        state.commit_books([change], &[], 1, 0, Durability::Durable).unwrap();
    };
    let get = |state: &PartitionState, table| state.view().unwrap().get(table, b"key").unwrap();

    let first = folder.open_reaction("mail", &tables(&["kept", "dropped"]), 1 << 20).unwrap();
    put(&first.partitions()[0], 0, b"kept");
    let second = first.partitions()[0].handed_on(&tables(&["new", "kept"]), Some("second")).unwrap();
    drop(first);
    assert_eq!((get(&second, 0), get(&second, 1)), (None, Some(b"kept".to_vec())));
    put(&second, 0, b"new");
    drop(second);
    assert_eq!(folder.reaction_owner("mail", 1 << 20).unwrap(), Some("second".to_owned()));
    // As after a crash before the catalog knew the second version.
    let again = folder.open_reaction("mail", &tables(&["kept"]), 1 << 20).unwrap();
    assert_eq!(get(&again.partitions()[0], 0), Some(b"kept".to_vec()));
    assert_eq!(again.checkpoint().position, 1);
}
