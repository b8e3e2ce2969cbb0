//! What `VersionState` and `PartitionState` promise. `books.rs`: the books of reactions. `compare.rs`: two states beside one another. `crash.rs` tries to break it by crashes,
//! `files.rs` by files that are not what they should be, `tidy.rs` by files that a kill has left.

mod books;
mod compare;
mod crash;
mod files;
mod tidy;

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::*;
use crate::event::Timestamp;

pub(super) type Entries = Vec<BTreeMap<Vec<u8>, Vec<u8>>>;

pub(super) fn tables(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub(super) fn letter(position: u64) -> DeadLetter {
    DeadLetter {
        position,
        event_id: format!("event-{position}"),
        event_type: "git.commit".to_owned(),
        reason: "no author".to_owned(),
        attempts: 2,
        recorded: Timestamp::from_micros(1),
    }
}

/// A change that owns what it is made of.
pub(super) type Owned = (u32, Vec<u8>, Option<Vec<u8>>);

pub(super) fn changes(owned: &[Owned]) -> impl Iterator<Item = Change<'_>> {
    owned.iter().map(|(table, key, value)| Change { table: *table, key, value: value.as_deref() })
}

/// Few keys, so that they are often overwritten and removed.
pub(super) fn any_change() -> impl Strategy<Value = Owned> {
    any_change_of(3)
}

/// With keys up to a length.
fn any_change_of(length: usize) -> impl Strategy<Value = Owned> {
    let key = proptest::collection::vec(0_u8..3, 0..=length);
    let value = proptest::collection::vec(any::<u8>(), 0..40);
    (0_u32..2, key, proptest::option::weighted(0.7, value))
}

pub(super) fn apply(entries: &mut Entries, owned: &[Owned]) {
    for (table, key, value) in owned {
        match value {
            Some(value) => entries[*table as usize].insert(key.clone(), value.clone()),
            None => entries[*table as usize].remove(key),
        };
    }
}

pub(super) fn entries(view: &View, tables: u32) -> Entries {
    (0..tables).map(|table| view.scan(table, &KeyRange::default()).unwrap().into_iter().collect()).collect()
}

proptest! {
    /// However changes are ordered and grouped, the same entries have the same digest.
    #[test]
    fn the_digest_depends_on_the_entries_alone(
        first in proptest::collection::vec(any_change(), 0..60),
        group in 1_usize..20,
    ) {
        let state = PartitionState::in_memory(&tables(&["a", "b"])).unwrap();
        let mut position = 0;
        for group in first.chunks(group) {
            position += 1;
            state.commit(changes(group), position, 1, None, Durability::Eventual).unwrap();
        }
        let view = state.view().unwrap();
        prop_assert_eq!(view.digest_from_scratch().unwrap(), state.checkpoint().digest);

        // What is left, backwards, in one commit.
        let left: Vec<Owned> = (0..2)
            .flat_map(|table| {
                let all = view.scan(table, &KeyRange { reverse: true, ..KeyRange::default() }).unwrap();
                all.into_iter().map(move |(key, value)| (table, key, Some(value)))
            })
            .collect();
        let other = PartitionState::in_memory(&tables(&["a", "b"])).unwrap();
        other.commit(changes(&left), 1, 1, None, Durability::Durable).unwrap();
        prop_assert_eq!(other.checkpoint().digest, state.checkpoint().digest);

        // And nothing is left of nothing.
        let gone: Vec<Owned> = left.into_iter().map(|(table, key, _)| (table, key, None)).collect();
        other.commit(changes(&gone), 2, 1, None, Durability::Durable).unwrap();
        prop_assert_eq!(other.checkpoint().digest, Digest::EMPTY);
    }

    #[test]
    fn scans_like_a_map(
        owned in proptest::collection::vec(any_change(), 0..40),
        start in proptest::option::of(proptest::collection::vec(0_u8..3, 0..4)),
        end in proptest::option::of(proptest::collection::vec(0_u8..3, 0..4)),
        reverse: bool,
        limit in 0_usize..12,
        partitions in 1_usize..5,
    ) {
        let state = VersionState::in_memory(&tables(&["a", "b"]), partitions).unwrap();
        let home = |key: &[u8]| key.iter().map(|byte| usize::from(*byte)).sum::<usize>() % partitions;
        for (number, partition) in state.partitions().iter().enumerate() {
            let own: Vec<_> = owned.iter().filter(|(_, key, _)| home(key) == number).cloned().collect();
            partition.commit(changes(&own), 1, 1, None, Durability::Eventual).unwrap();
            let snapshot = Arc::new(partition.snapshot().unwrap());
            let position = state.advance(number, 1, Some(snapshot));
            prop_assert_eq!(position, (number + 1 == partitions).then_some(1), "all or none are seen");
        }
        let mut model = vec![BTreeMap::new(), BTreeMap::new()];
        apply(&mut model, &owned);

        let inside = |key: &Vec<u8>| {
            start.as_ref().is_none_or(|start| key >= start) && end.as_ref().is_none_or(|end| key < end)
        };
        let mut expected: Vec<_> = model.remove(0).into_iter().filter(|(key, _)| inside(key)).collect();
        if reverse {
            expected.reverse();
        }
        expected.truncate(limit);
        let range = KeyRange { start, end, reverse, limit };
        let view = state.view().unwrap();
        prop_assert_eq!(view.scan(0, &range).unwrap(), &*expected);
        for (key, value) in expected {
            prop_assert_eq!(view.get(0, &key).unwrap(), Some(value));
        }
    }
}

proptest! {
    /// What is flushed without a commit reads as if it were committed, and is
    /// committed as that.
    #[test]
    fn what_is_not_committed_yet_reads_as_if_it_were(
        committed in proptest::collection::vec(any_change_of(5), 0..20),
        flushes in proptest::collection::vec(proptest::collection::vec(any_change_of(5), 0..200), 0..6),
        start in proptest::option::of(proptest::collection::vec(0_u8..3, 0..5)),
        end in proptest::option::of(proptest::collection::vec(0_u8..3, 0..5)),
        reverse: bool,
        limit in 0_usize..40,
    ) {
        let partition = || {
            let state = PartitionState::in_memory(&tables(&["a", "b"])).unwrap();
            state.commit(changes(&committed), 1, 1, None, Durability::Eventual).unwrap();
            state
        };
        let (gathered, step_by_step) = (partition(), partition());
        let known = Known::of(true);
        changes(&committed).for_each(|change| known.add(&change));
        let flushed = Gathered::default();
        for flush in &flushes {
            // As a flush is: sorted, and each key once, the last time that it changed.
            let sorted: BTreeMap<_, _> =
                flush.iter().map(|(table, key, value)| ((*table, key), value.as_deref())).collect();
            let sorted: Vec<_> =
                sorted.iter().map(|((table, key), value)| Change { table: *table, key, value: *value }).collect();
            flushed.lock().add(sorted.iter().copied());
            step_by_step.commit(sorted, 2, 1, None, Durability::Eventual).unwrap();
        }
        let snapshot = Arc::new(gathered.snapshot().unwrap());
        let uncommitted = Uncommitted::new(snapshot, Arc::new(known), flushed.clone());
        let view = step_by_step.view().unwrap();
        let range = KeyRange { start, end, reverse, limit };
        for table in 0..2 {
            prop_assert_eq!(uncommitted.scan(table, &range).unwrap(), view.scan(table, &range).unwrap());
            prop_assert_eq!(uncommitted.is_empty(table).unwrap(), view.is_empty(table).unwrap());
            for (_, key, _) in committed.iter().chain(flushes.iter().flatten()) {
                prop_assert_eq!(uncommitted.get(table, key).unwrap(), view.get(table, key).unwrap());
            }
        }
        let flushed = flushed.lock();
        gathered.commit(flushed.sorted(), 2, flushes.len() as u64, None, Durability::Eventual).unwrap();
        prop_assert_eq!(gathered.checkpoint().digest, step_by_step.checkpoint().digest);
        prop_assert_eq!(entries(&gathered.view().unwrap(), 2), entries(&view, 2));
    }
}

#[test]
fn a_key_in_two_partitions_is_an_error_that_names_it() {
    let state = VersionState::in_memory(&tables(&["a"]), 3).unwrap();
    let key = key::encode(&[key::Part::String("k".into())]);
    let change = Change { table: 0, key: &key, value: Some(b"v") };
    for number in [0, 2] {
        let partition = &state.partitions()[number];
        partition.commit([change], 1, 1, None, Durability::Eventual).unwrap();
    }
    for (number, partition) in state.partitions().iter().enumerate() {
        state.advance(number, 1, Some(Arc::new(partition.snapshot().unwrap())));
    }
    let view = state.view().unwrap();
    let get = || view.get(0, &key).unwrap_err();
    for error in [get(), get(), view.scan(0, &KeyRange::default()).unwrap_err()] {
        assert!(error.to_string().starts_with("key \"k\" of table \"a\" is in two partitions"), "{error}");
    }
}

#[test]
fn partitions_that_stand_apart_show_nothing_until_they_have_met() {
    let state = VersionState::in_memory(&tables(&["a"]), 2).unwrap();
    assert_eq!(state.view().unwrap().checkpoint(), Checkpoint::default());
    state.partitions()[0].commit([], 5, 1, None, Durability::Eventual).unwrap();
    let [first, second] = state.partitions() else { panic!("there are two") };
    let state = VersionState::new([first.clone(), second.clone()]).unwrap();
    assert!(matches!(state.view(), Err(StateError::Apart { from: 0, to: 5 })));
    assert_eq!(state.checkpoint().position, 0);
    // Nothing for it came up to there, so its state is as it was.
    assert_eq!(state.advance(1, 5, None), Some(5));
    assert_eq!(state.view().unwrap().checkpoint().position, 5);
    assert_eq!(state.advance(0, 4, None), None, "one that goes back takes nobody along");
    assert_eq!(state.advance(0, 7, None), None);
    assert_eq!(state.view().unwrap().checkpoint().position, 5, "as long as the other is not there");
}

#[test]
fn a_commit_is_whole_or_not_at_all() {
    let state = PartitionState::in_memory(&tables(&["a"])).unwrap();
    let good = Change { table: 0, key: b"k", value: Some(b"v") };
    let bad = Change { table: 1, key: b"k", value: Some(b"v") };
    let error = state.commit([good, bad], 7, 1, Some(&letter(7)), Durability::Durable).unwrap_err();
    assert_eq!(error.to_string(), "there is no table number 1: 1 are declared, numbered from 0");
    assert_eq!(state.checkpoint(), Checkpoint::default());
    assert!(state.view().unwrap().is_empty(0).unwrap());
    assert_eq!(state.dead_letters().unwrap(), []);
}

#[test]
fn the_checkpoint_counts_and_never_goes_back() {
    let state = PartitionState::in_memory(&tables(&["a"])).unwrap();
    state.commit([], 5, 3, None, Durability::Eventual).unwrap();
    let checkpoint = state.commit([], 5, 4, None, Durability::Eventual).unwrap();
    assert_eq!(checkpoint, Checkpoint { position: 5, digest: Digest::EMPTY, events: 7 });
    let error = state.commit([], 4, 1, None, Durability::Eventual).unwrap_err();
    assert!(matches!(error, StateError::Backwards { at: 5, asked: 4, .. }), "{error}");
    assert_eq!(state.checkpoint(), checkpoint);
}

#[test]
fn writing_the_same_again_leaves_the_digest_alone() {
    let state = PartitionState::in_memory(&tables(&["a"])).unwrap();
    let change = Change { table: 0, key: b"k", value: Some(b"v") };
    let first = state.commit([change], 1, 1, None, Durability::Eventual).unwrap();
    assert_ne!(first.digest, Digest::EMPTY);
    let again = state.commit([change], 2, 1, None, Durability::Eventual).unwrap();
    assert_eq!(first.digest, again.digest);
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let state = PartitionState::in_memory(&tables(&["a"])).unwrap();
    let change = |value| Change { table: 0, key: b"k".as_slice(), value };
    let first = state.commit([change(Some(b"1"))], 1, 1, None, Durability::Eventual).unwrap();
    let view = state.view().unwrap();
    state.commit([change(Some(b"2"))], 2, 1, None, Durability::Durable).unwrap();
    state.commit([change(None)], 3, 1, None, Durability::Eventual).unwrap();
    assert_eq!(view.checkpoint(), first);
    assert_eq!(view.get(0, b"k").unwrap().as_deref(), Some(b"1".as_slice()));
    assert_eq!(view.len(0).unwrap(), 1);
    assert_eq!(state.view().unwrap().get(0, b"k").unwrap(), None);
}

#[test]
fn dead_letters_come_with_their_checkpoint() {
    let state = PartitionState::in_memory(&tables(&[])).unwrap();
    for position in [3, 9] {
        state.commit([], position, 1, Some(&letter(position)), Durability::Eventual).unwrap();
    }
    assert_eq!(state.dead_letters().unwrap(), [letter(3), letter(9)]);
    assert_eq!(state.dead_letter_count().unwrap(), 2);
}

#[test]
fn threads_can_share_it() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<VersionState>();
    shared::<Snapshot>();
    shared::<catalog::Catalog>();
}
