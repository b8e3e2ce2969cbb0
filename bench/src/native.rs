//! The native limit: what the component `churn` does, written in Rust without a
//! sandbox, over the same log, with the same commits to the same store.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::{Duration, Instant},
};

use anyhow::Result;
use projectionist::{
    event::Position,
    log::EventLog,
    state::{
        Change, Durability, VersionState,
        key::{Part, encode},
    },
};
use serde::{Deserialize, Serialize};

const COMMIT_BYTES: usize = 64 << 20;
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct FileChanged {
    author: String,
}

#[derive(Clone, Default, Serialize)]
struct Churn {
    changes: u64,
    last_author: String,
}

#[derive(Default)]
struct Row {
    churn: Churn,
    /// What was committed, to know the index entry that has to go.
    committed_changes: Option<u64>,
    dirty: bool,
}

/// Folds the whole log. State is committed with the checkpoint, durably, by
/// bytes and by seconds.
pub(crate) fn fold(log: &dyn EventLog, state: &VersionState) -> Result<()> {
    let mut rows: HashMap<String, Row> = HashMap::new();
    let (mut position, mut events, mut dirty_bytes) = (0, 0, 0);
    let mut last_commit = now();
    while let Some(block) = log.block(position + 1)? {
        let wanted: Vec<bool> = block.names.iter().map(|name| name.starts_with("git.file.")).collect();
        for head in &*block.heads {
            if !wanted[head.event_type as usize] {
                continue;
            }
            let data: FileChanged = serde_json::from_slice(block.slice(head.data))?;
            let subject = std::str::from_utf8(block.slice(head.subject))?;
            let row = match rows.get_mut(subject) {
                Some(row) => row,
                None => match rows.entry(subject.to_owned()) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) => entry.insert(Row::default()),
                },
            };
            row.churn.changes += 1;
            row.churn.last_author = data.author;
            if !std::mem::replace(&mut row.dirty, true) {
                dirty_bytes += 2 * subject.len() + 64;
            }
            events += 1;
        }
        position = block.last();
        if dirty_bytes >= COMMIT_BYTES || last_commit.elapsed() >= COMMIT_INTERVAL {
            commit(state, &mut rows, position, events)?;
            (events, dirty_bytes, last_commit) = (0, 0, now());
        }
    }
    commit(state, &mut rows, position, events)
}

fn commit(
    state: &VersionState,
    rows: &mut HashMap<String, Row>,
    position: Position,
    events: u64,
) -> Result<()> {
    let mut changes: Vec<(u32, Vec<u8>, Option<Vec<u8>>)> = Vec::new();
    for (file, row) in rows.iter_mut().filter(|(_, row)| row.dirty) {
        let file = Part::String(file.clone());
        let index = |changes: u64| encode(&[Part::Integer(changes.into()), file.clone()]);
        changes.push((0, encode(std::slice::from_ref(&file)), Some(rmp_serde::to_vec_named(&row.churn)?)));
        if row.committed_changes != Some(row.churn.changes) {
            changes.extend(row.committed_changes.map(|old| (1, index(old), None)));
            changes.push((1, index(row.churn.changes), Some(Vec::new())));
            row.committed_changes = Some(row.churn.changes);
        }
        row.dirty = false;
    }
    changes.sort_unstable();
    let changes =
        changes.iter().map(|(table, key, value)| Change { table: *table, key, value: value.as_deref() });
    state.commit(changes, position, events, None, Durability::Durable)?;
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
