//! A storage that fails at some write, and then keeps of what was not synced
//! only some, in pieces, as a power cut does.

use std::{
    io,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;
use redb::StorageBackend;

use super::{
    model::{Model, Outcome, appends, outcome, plain},
    *,
};

#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    content: Vec<u8>,
    /// What would be there after a power cut for certain.
    synced: Vec<u8>,
    /// Writes since then, by offset.
    pending: Vec<(u64, Vec<u8>)>,
    /// So many more writes succeed.
    left: usize,
}

impl Disk {
    fn holding(content: Vec<u8>, left: usize) -> Self {
        Self(Arc::new(Mutex::new(State { synced: content.clone(), content, pending: Vec::new(), left })))
    }

    /// What is there after a power cut: of each write since the last sync all,
    /// nothing, or a part, as `dice` say.
    fn after_power_cut(&self, dice: &[u8]) -> Vec<u8> {
        let state = self.0.lock().unwrap();
        let mut content = state.synced.clone();
        for ((offset, data), die) in state.pending.iter().zip(dice.iter().cycle()) {
            let kept = match die % 3 {
                0 => 0,
                1 => data.len(),
                _ => data.len() * usize::from(*die) / 256,
            };
            put(&mut content, *offset, &data[..kept]);
        }
        content
    }
}

fn put(content: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let end = offset as usize + data.len();
    content.resize(content.len().max(end), 0);
    content[offset as usize..end].copy_from_slice(data);
}

impl State {
    fn count(&mut self) -> io::Result<()> {
        self.left = self.left.checked_sub(1).ok_or_else(|| io::Error::other("the disk is gone"))?;
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().content.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.lock().unwrap();
        let range = offset as usize..offset as usize + out.len();
        out.copy_from_slice(state.content.get(range).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.count()?;
        state.content.resize(len as usize, 0);
        state.synced.resize(len as usize, 0);
        state.pending.retain(|(offset, data)| offset + data.len() as u64 <= len);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.count()?;
        let pending = std::mem::take(&mut state.pending);
        for (offset, data) in pending {
            put(&mut state.synced, offset, &data);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.count()?;
        put(&mut state.content, offset, data);
        state.pending.push((offset, data.to_vec()));
        Ok(())
    }
}

/// A disk with an empty log.
fn formatted() -> Vec<u8> {
    let disk = Disk::holding(Vec::new(), usize::MAX);
    drop(EmbeddedLog::open_on(disk.clone(), small_blocks(7)).unwrap());
    disk.after_power_cut(&[0])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn acknowledged_is_never_lost_and_refused_leaves_nothing(
        batches in prop::collection::vec(appends(), 5..60),
        writes in prop::collection::vec(10..1500usize, 1..4),
        dice in prop::collection::vec(any::<u8>(), 1..50),
    ) {
        let mut content = formatted();
        let mut model = Model::default();
        let mut batches = batches.into_iter();
        for left in writes.into_iter().chain([usize::MAX]) {
            let disk = Disk::holding(content, left);
            let opened = EmbeddedLog::open_on(disk.clone(), small_blocks(7));
            if let Ok(log) = opened {
                prop_assert_eq!(plain(all(&log)), model.read(&Selection::default()));
                for batch in batches.by_ref() {
                    let answer = append(&log, batch.clone());
                    if let Err(AppendError::Log(_)) = answer {
                        prop_assert!(log.failure().is_some());
                        prop_assert_eq!(log.head(), model.events.len() as u64);
                        let again = append(&log, super::batch([event("later", "t", "")]));
                        let stopped = matches!(again, Err(AppendError::Log(LogError::Stopped { .. })));
                        prop_assert!(stopped);
                        // Nobody knows whether this batch is there; but it is
                        // there as a whole or not at all.
                        let content = disk.after_power_cut(&dice);
                        let log = EmbeddedLog::open_on(Disk::holding(content, usize::MAX), small_blocks(7)).unwrap();
                        if log.head() > model.events.len() as u64 {
                            let accepted = matches!(model.append(&batch), Outcome::Positions(_));
                            prop_assert!(accepted);
                        }
                        break;
                    }
                    prop_assert_eq!(outcome(answer), model.append(&batch));
                }
            } else {
                prop_assert!(left < usize::MAX, "{}", opened.err().unwrap());
            }
            content = disk.after_power_cut(&dice);
        }
    }
}

#[test]
fn a_log_that_failed_still_reads() {
    let disk = Disk::holding(formatted(), 400);
    let log = EmbeddedLog::open_on(disk, small_blocks(7)).unwrap();
    let failed = (0..).find(|id| append(&log, batch([event(id, "t", "s")])).is_err()).unwrap();
    assert!(failed > 20);
    assert_eq!(log.head(), failed);
    let text = append(&log, batch([event("x", "t", "s")])).unwrap_err().to_string();
    assert!(text.starts_with("the event log takes no more events since its storage failed"), "{text}");
    assert_eq!(all(&log).len() as u64, failed);
}
