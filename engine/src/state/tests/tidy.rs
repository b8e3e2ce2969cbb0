//! Files that a process has left that was killed, and files that are none of ours.

use std::{collections::BTreeSet, fs, path::Path};

use super::*;

/// A digest as versions have it.
fn digest(letter: char) -> String {
    letter.to_string().repeat(64)
}

/// All files below a folder, as paths within it.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path()).into_iter().map(|file| format!("{name}/{file}"))),
            false => drop(found.insert(name)),
        }
    }
    found
}

/// A version's state, kept at these positions as well.
fn stateful(states: &StateFolder, name: &str, digest: &str, partitions: usize, kept: &[u64]) {
    let state = states.open(name, digest, &tables(&["t"]), partitions, 1 << 20).unwrap();
    for position in kept {
        for (number, partition) in state.partitions().iter().enumerate() {
            partition.commit([], *position, 1, None, Durability::Durable).unwrap();
            state.advance(number, *position, Some(Arc::new(partition.snapshot().unwrap())));
        }
        states.keep(name, digest, &state.view().unwrap()).unwrap();
    }
}

#[test]
fn a_kept_state_of_which_a_part_is_missing_goes() {
    let folder = tempfile::tempdir().unwrap();
    let states = StateFolder::new(folder.path());
    let digest = digest('a');
    stateful(&states, "churn", &digest, 3, &[5, 9]);
    let before = files(folder.path());
    assert_eq!(before.len(), 9, "{before:?}");
    // A kill came when two of the three files had got their names.
    let at = |position: u64, number: u64| format!("churn/{digest}.at-{position}.{number}-of-3.redb");
    let part = format!("{}.part", at(9, 3));
    fs::rename(folder.path().join(at(9, 3)), folder.path().join(&part)).unwrap();
    states.tidy(|_, _| true).unwrap();
    let left = files(folder.path());
    let gone: BTreeSet<String> = (1..=3).map(|number| at(9, number)).collect();
    assert_eq!(left, &before - &gone, "the rest of it would lie there for ever");
    assert_eq!(states.kept("churn", &digest).unwrap().len(), 1);
}

#[test]
fn what_belongs_to_no_version_goes_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let states = StateFolder::new(folder.path());
    let (known, forgotten) = (digest('a'), digest('b'));
    stateful(&states, "churn", &known, 1, &[3]);
    stateful(&states, "churn", &forgotten, 1, &[3]);
    stateful(&states, "divided", &known, 2, &[3]);
    stateful(&states, "divided", &forgotten, 2, &[3]);
    stateful(&states, "gone", &forgotten, 1, &[]);
    // A reaction's own file, the tables that a version has made anew, and those of a version
    // that is forgotten.
    drop(states.open_reaction("mail", &tables(&["t"]), 1 << 20).unwrap());
    stateful(&states, "mail", &known, 1, &[]);
    stateful(&states, "mail", &forgotten, 1, &[]);
    drop(states.open_reaction("purged", &tables(&["t"]), 1 << 20).unwrap());
    let ours: BTreeSet<String> =
        files(folder.path()).into_iter().filter(|file| !file.contains(&forgotten)).collect();
    assert_eq!(ours.len(), 2 + 4 + 2 + 1);
    // What somebody else has put there.
    let foreign = [
        "churn/notes.txt".to_owned(),
        "churn/notes.redb".to_owned(),
        "churn/notes.part".to_owned(),
        "churn/notes.at-3.1-of-1.redb".to_owned(),
        format!("churn/{known}.at-3.1-of-1.redb.old"),
        format!("churn/{forgotten}"),
        format!("churn/{forgotten}.redb.bak"),
        format!("churn/{}.redb", &forgotten[1..]),
        format!("churn/{}.redb", forgotten.to_uppercase()),
        format!("churn/{forgotten}.old.redb"),
        format!("churn/{forgotten}.2-of.redb"),
        format!("churn/{forgotten}.3-of-2.redb"),
        format!("churn/{forgotten}.redb.d/x"),
        format!("churn/copies/{forgotten}.redb"),
        format!("{forgotten}.redb"),
        "read me".to_owned(),
        "back\\slash/x".to_owned(),
    ];
    for file in &foreign {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "somebody's").unwrap();
    }
    // Folders are none of ours, whatever they are called.
    fs::create_dir(folder.path().join(format!("churn/{}.redb", digest('c')))).unwrap();
    for _ in 0..2 {
        states.tidy(|name, digest| name != "gone" && digest == known).unwrap();
        assert_eq!(files(folder.path()), &ours | &foreign.iter().cloned().collect());
    }
    assert!(!folder.path().join("gone").exists(), "the folder went with its last file");
    assert!(folder.path().join(format!("churn/{}.redb", digest('c'))).is_dir());
    StateFolder::new(folder.path().join("none")).tidy(|_, _| false).unwrap();
}
