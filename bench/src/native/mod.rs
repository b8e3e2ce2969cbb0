//! The native limit: what components do, written in Rust without a sandbox,
//! over the same log, with the same commits to the same store.
//!
//! - `mod.rs`: the loop over the log, and what a fold is.
//! - [`Rows`] (`rows.rs`): a table in a hash map.
//! - one file a fold.

pub(crate) mod accounts;
pub(crate) mod churn;
pub(crate) mod nexmark;
mod rows;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use projectionist::{
    event::Position,
    log::EventLog,
    plugin::Policies,
    state::{Change, Durability, PartitionState},
};
pub(crate) use rows::{Changes, Rows};

/// A commit that has taken long is followed by none for so many times as long, as
/// with a replay's.
const COMMITS_SHARE: u32 = 4;

/// One event as a native fold sees it.
#[allow(dead_code, reason = "not every fold looks at everything")]
pub(crate) struct NativeEvent<'a> {
    pub(crate) position: Position,
    /// Microseconds since the Unix epoch.
    pub(crate) time: i64,
    pub(crate) event_type: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) data: &'a [u8],
}

/// A fold without a sandbox. Tables are numbered as in the plug-in's `describe`.
pub(crate) trait Fold: Default {
    /// The event types that it wants.
    const TYPES: &'static [&'static str];

    fn apply(&mut self, event: &NativeEvent<'_>) -> Result<()>;

    /// Everything that changed since the last flush.
    fn flush(&mut self, changes: &mut Changes) -> Result<()>;

    /// About what a flush would return.
    fn dirty_bytes(&self) -> usize;
}

/// Folds the whole log. State is committed with the checkpoint, durably, by
/// bytes and by seconds, as the policies say.
pub(crate) fn fold<F: Fold>(log: &dyn EventLog, state: &PartitionState, policies: &Policies) -> Result<()> {
    let mut fold = F::default();
    let (mut position, mut events) = (0, 0);
    let (mut last_commit, mut took) = (now(), Duration::ZERO);
    while let Some(block) = log.block(position + 1)? {
        let wanted: Vec<bool> = block.names.iter().map(|name| F::TYPES.contains(&name.as_str())).collect();
        for head in block.heads.iter().filter(|head| wanted[head.event_type as usize]) {
            let event = NativeEvent {
                position: head.position,
                time: head.time,
                event_type: block.name(head.event_type),
                subject: std::str::from_utf8(block.slice(head.subject))?,
                data: block.slice(head.data),
            };
            fold.apply(&event).with_context(|| format!("the event at position {}", event.position))?;
            events += 1;
        }
        position = block.last();
        let interval = policies.commit_interval.max(COMMITS_SHARE * took);
        if fold.dirty_bytes() as u64 >= policies.commit_bytes || last_commit.elapsed() >= interval {
            let begun = now();
            commit(state, &mut fold, position, std::mem::take(&mut events))?;
            (last_commit, took) = (now(), begun.elapsed());
        }
    }
    commit(state, &mut fold, position, events)
}

fn commit(state: &PartitionState, fold: &mut impl Fold, position: Position, events: u64) -> Result<()> {
    let mut changes = Changes::default();
    fold.flush(&mut changes)?;
    changes.sort();
    let changes = changes.iter().map(|(table, key, value)| Change { table, key, value });
    state.commit(changes, position, events, None, Durability::Durable)?;
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
