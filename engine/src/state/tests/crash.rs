//! Crashes at any moment, on a disk that loses what was not synced.

use std::{
    io,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;
use redb::StorageBackend;

use super::*;

/// A disk that remembers what a power failure would leave of it.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Platters>>);

#[derive(Debug, Default)]
struct Platters {
    now: Vec<u8>,
    synced: Vec<u8>,
    /// What was written since, in order.
    unsynced: Vec<(usize, Vec<u8>)>,
    dead: bool,
}

impl Disk {
    /// Power fails: of what was not synced, only what `kept` says is on the
    /// disk that it answers with. This one fails from now on.
    fn crash(&self, mut kept: impl FnMut() -> bool) -> Disk {
        let mut platters = self.0.lock().unwrap();
        platters.dead = true;
        let mut left = std::mem::take(&mut platters.synced);
        left.resize(platters.now.len(), 0);
        for (offset, data) in std::mem::take(&mut platters.unsynced) {
            if kept() && offset + data.len() <= left.len() {
                left[offset..offset + data.len()].copy_from_slice(&data);
            }
        }
        Disk(Arc::new(Mutex::new(Platters { now: left.clone(), synced: left, ..Platters::default() })))
    }

    fn alive<T>(&self, action: impl FnOnce(&mut Platters) -> T) -> io::Result<T> {
        let mut platters = self.0.lock().unwrap();
        if platters.dead {
            return Err(io::Error::other("the power is off"));
        }
        Ok(action(&mut platters))
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.alive(|disk| disk.now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.alive(|disk| out.copy_from_slice(&disk.now[offset as usize..][..out.len()]))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.alive(|disk| disk.now.resize(len as usize, 0))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.alive(|disk| {
            disk.synced.clone_from(&disk.now);
            disk.unsynced.clear();
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.alive(|disk| {
            disk.now[offset as usize..][..data.len()].copy_from_slice(data);
            disk.unsynced.push((offset as usize, data.to_vec()));
        })
    }
}

#[derive(Clone, Debug)]
enum Step {
    Commit {
        changes: Vec<Owned>,
        durable: bool,
        dead: bool,
    },
    Sync,
    /// The process is killed, or the power fails: bits say which writes survive.
    Crash {
        kept: u64,
    },
    /// The program ends as it should.
    Close,
}

fn any_step() -> impl Strategy<Value = Step> {
    let changes = proptest::collection::vec(any_change(), 0..12);
    prop_oneof![
        10 => (changes, proptest::bool::weighted(0.2), proptest::bool::weighted(0.2))
            .prop_map(|(changes, durable, dead)| Step::Commit { changes, durable, dead }),
        1 => Just(Step::Sync),
        2 => any::<u64>().prop_map(|kept| Step::Crash { kept }),
        1 => Just(Step::Close),
    ]
}

/// What should be there after each commit; a commit's number is its position.
struct Model {
    history: Vec<(Entries, Vec<DeadLetter>)>,
    durable: usize,
}

fn open(disk: &Disk) -> PartitionState {
    PartitionState::with_backend(disk.clone(), &tables(&["a", "b"]), 1 << 20).unwrap()
}

fn check(state: &PartitionState, model: &Model) -> Result<(), TestCaseError> {
    let checkpoint = state.checkpoint();
    let view = state.view().unwrap();
    let (expected, letters) = &model.history[checkpoint.position as usize];
    prop_assert_eq!(view.checkpoint(), checkpoint);
    prop_assert_eq!(&entries(&view, 2), expected);
    prop_assert_eq!(view.digest_from_scratch().unwrap(), checkpoint.digest);
    prop_assert_eq!(checkpoint.events, checkpoint.position * 2);
    prop_assert_eq!(&state.dead_letters().unwrap(), letters);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// State is always that of the checkpoint beside it, and never older than
    /// the last durable commit.
    #[test]
    fn state_and_checkpoint_agree_whatever_is_killed_whenever(
        steps in proptest::collection::vec(any_step(), 1..50)
    ) {
        let mut disk = Disk::default();
        let mut state = open(&disk);
        let nothing = (vec![BTreeMap::new(), BTreeMap::new()], Vec::new());
        let mut model = Model { history: vec![nothing], durable: 0 };
        for step in steps {
            match step {
                Step::Commit { changes: owned, durable, dead } => {
                    let (mut entries, mut letters) = model.history.last().unwrap().clone();
                    let position = model.history.len() as u64;
                    apply(&mut entries, &owned);
                    let dead = dead.then(|| letter(position));
                    letters.extend(dead.clone());
                    model.history.push((entries, letters));
                    let durability = if durable { Durability::Durable } else { Durability::Eventual };
                    state.commit(changes(&owned), position, 2, dead.as_ref(), durability).unwrap();
                    if durable {
                        model.durable = position as usize;
                    }
                }
                Step::Sync => {
                    state.sync().unwrap();
                    model.durable = model.history.len() - 1;
                }
                Step::Crash { kept } => {
                    let mut bits = kept;
                    disk = disk.crash(|| {
                        bits = bits.rotate_left(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                        bits >> 63 == 1
                    });
                    state = open(&disk);
                    let position = state.checkpoint().position as usize;
                    prop_assert!(position >= model.durable, "{position} < {}", model.durable);
                    model.history.truncate(position + 1);
                    model.durable = position;
                }
                Step::Close => {
                    drop(state);
                    state = open(&disk);
                    prop_assert_eq!(state.checkpoint().position as usize, model.history.len() - 1);
                    model.durable = model.history.len() - 1;
                }
            }
            check(&state, &model)?;
        }
    }
}

/// A full disk or a broken one is an error, not a panic, and takes nothing back.
#[test]
fn a_failing_disk_is_an_error() {
    let disk = Disk::default();
    let state = open(&disk);
    let change = Change { table: 0, key: b"k", value: Some(b"v") };
    let before = state.commit([change], 1, 1, None, Durability::Durable).unwrap();
    disk.crash(|| true);
    let error = state.commit([change], 2, 1, None, Durability::Durable).unwrap_err();
    assert!(matches!(error, StateError::Storage { .. }), "{error}");
    assert_eq!(state.checkpoint(), before);
}
