//! Files that are not what they should be.

use std::fs;

use super::*;

const CACHE: usize = 1 << 20;

#[test]
fn comes_back_with_what_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let states = StateFolder::new(folder.path().join("state"));
    let names = tables(&["files", "authors"]);
    let change = Change { table: 1, key: b"k", value: Some(b"v") };
    for partitions in [1, 3] {
        let open = || states.open("churn", "d1", &names, partitions, CACHE).unwrap();
        let state = open();
        let last = &state.partitions()[partitions - 1];
        let before = last.commit([change], 12, 5, None, Durability::Durable).unwrap();
        assert!(state.size_bytes() > 0);
        drop(state);
        let state = open();
        let last = &state.partitions()[partitions - 1];
        assert_eq!(last.checkpoint(), before);
        assert_eq!(last.tables().collect::<Vec<_>>(), ["files", "authors"]);
        assert_eq!(last.view().unwrap().get(1, b"k").unwrap().as_deref(), Some(b"v".as_slice()));
        assert_eq!(state.parts().checkpoint().digest, before.digest);
    }
}

/// What a kill leaves behind is the file as it was at that moment.
#[test]
fn a_copy_of_the_file_of_a_running_version_opens_at_its_last_durable_commit() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("a.redb"), folder.path().join("b.redb"));
    let names = tables(&["files"]);
    let state = PartitionState::open(&path, &names, CACHE).unwrap();
    let write = |position: u64, durability| {
        let key = position.to_be_bytes();
        let change = Change { table: 0, key: &key, value: Some(b"v") };
        state.commit([change], position, 1, None, durability).unwrap()
    };
    write(1, Durability::Eventual);
    let durable = write(2, Durability::Durable);
    write(3, Durability::Eventual);
    fs::copy(&path, &copy).unwrap();

    let copied = PartitionState::open(&copy, &names, CACHE).unwrap();
    assert_eq!(copied.checkpoint(), durable);
    let view = copied.view().unwrap();
    assert_eq!(view.len(0).unwrap(), 2);
    assert_eq!(view.digest_from_scratch().unwrap(), durable.digest);
}

#[test]
fn other_tables_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    PartitionState::open(&path, &tables(&["a", "b"]), CACHE).unwrap();
    for other in [tables(&["b", "a"]), tables(&["a"]), tables(&["a", "b", "c"])] {
        let error = PartitionState::open(&path, &other, CACHE).err().unwrap();
        assert!(matches!(error, StateError::OtherTables { .. }), "{error}");
    }
    let error = PartitionState::in_memory(&tables(&["a", "a"])).err().unwrap();
    assert_eq!(error.to_string(), "table \"a\" is declared twice");
}

#[test]
fn a_second_opener_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    let first = PartitionState::open(&path, &tables(&["a"]), CACHE).unwrap();
    let error = PartitionState::open(&path, &tables(&["a"]), CACHE).err().unwrap();
    assert!(matches!(error, StateError::InUse { .. }), "{error}");
    drop(first);
    PartitionState::open(&path, &tables(&["a"]), CACHE).unwrap();
}

#[test]
fn a_file_that_is_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    let refused = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        let error = PartitionState::open(&path, &tables(&["a"]), CACHE).err().unwrap();
        assert!(matches!(error, StateError::Damaged { .. }), "{error:?}");
        // Refused, not made anew: it may be somebody's.
        assert_eq!(fs::read(&path).unwrap(), content);
    };
    refused(b"not a database");
    refused(&[0x5a; 70_000]);

    let good = folder.path().join("good.redb");
    let state = PartitionState::open(&good, &tables(&["a"]), CACHE).unwrap();
    let value = [7; 100_000];
    let change = Change { table: 0, key: b"k", value: Some(&value) };
    state.commit([change], 1, 1, None, Durability::Durable).unwrap();
    drop(state);
    let whole = fs::read(&good).unwrap();
    refused(&whole[..whole.len() / 2]);
    refused(&whole[..100]);
}

/// Any page may be wrong: opening the file is an error or not, but no panic.
/// (It need not be noticed: that is what `verify` is for.)
#[test]
fn a_file_with_holes_opens_or_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    let state = PartitionState::open(&path, &tables(&["a"]), CACHE).unwrap();
    let change = Change { table: 0, key: b"k", value: Some(b"v") };
    state.commit([change], 1, 1, None, Durability::Durable).unwrap();
    drop(state);
    let whole = fs::read(&path).unwrap();
    for page in 0..whole.len().min(1 << 20) / 4096 {
        let mut holed = whole.clone();
        holed[page * 4096..][..4096].fill(0xa5);
        fs::write(&path, &holed).unwrap();
        let _ = PartitionState::open(&path, &tables(&["a"]), CACHE);
    }
}

/// What a live version does for hours: commits that are not durable, and one
/// now and then that is.
#[test]
fn the_file_does_not_grow_with_the_commits() {
    let folder = tempfile::tempdir().unwrap();
    let state = PartitionState::open(&folder.path().join("a.redb"), &tables(&["a"]), CACHE).unwrap();
    let mut sizes = Vec::new();
    for position in 1..=2_000_u64 {
        let keys: Vec<_> =
            (0..20).map(|key| (position * 7 + key * 131) % 1_000).map(u64::to_be_bytes).collect();
        let value = position.to_be_bytes();
        let changes = keys.iter().map(|key| Change { table: 0, key, value: Some(&value) });
        state.commit(changes, position, 1, None, Durability::Eventual).unwrap();
        if position % 50 == 0 {
            state.sync().unwrap();
            sizes.push(fs::metadata(state.path().unwrap()).unwrap().len());
        }
    }
    assert_eq!(sizes[sizes.len() / 4], sizes[sizes.len() - 1], "{sizes:?}");
}

#[test]
fn files_are_purged() {
    let folder = tempfile::tempdir().unwrap();
    let states = StateFolder::new(folder.path().join("state"));
    for (name, digest, partitions) in [("b", "d1", 1), ("a", "d2", 1), ("a", "d1", 4), ("a", "d1", 1)] {
        states.open(name, digest, &tables(&["t"]), partitions, CACHE).unwrap();
    }
    let files = |name: &str| -> Vec<String> {
        let entries = fs::read_dir(folder.path().join("state").join(name)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(files("a").len(), 6);
    states.purge("a", "d1").unwrap();
    states.purge("a", "d1").unwrap();
    assert_eq!(files("a"), ["d2.redb"]);
    states.purge("b", "d1").unwrap();
    assert!(!folder.path().join("state/b").exists(), "the folder went with its last file");
    states.purge("c", "d1").unwrap();
    for name in ["", ".", "..", "a/b", "a\\b"] {
        assert!(matches!(states.purge(name, "d1"), Err(StateError::Name { .. })), "{name}");
    }
}
