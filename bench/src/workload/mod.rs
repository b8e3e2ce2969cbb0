//! The events that are folded, made from fixed seeds or read from the data set,
//! and logs filled with them.

pub(crate) mod accounts;
pub(crate) mod git_history;
pub(crate) mod nexmark;

use std::{collections::VecDeque, path::Path, sync::Arc};

use anyhow::{Result, ensure};
use futures_util::FutureExt as _;
use projectionist::{
    event::{Envelope, Position},
    log::{Append, EventLog, LogSettings, embedded::EmbeddedLog},
};
use tokio::runtime::Runtime;

/// As many as a log takes at once.
const BATCH: usize = 10_000;
/// How many batches it is given before it has taken the first of them.
const UNDER_WAY: usize = 2;
/// While it is filled, what the log looks up is all over its file.
const FILLING_CACHE: usize = 1 << 30;

/// A log of its own in a folder, with these events in it.
pub(crate) fn fill(
    runtime: &Runtime,
    folder: &Path,
    events: impl IntoIterator<Item = Result<Envelope>>,
) -> Result<Arc<dyn EventLog>> {
    let settings = LogSettings { storage_cache_bytes: FILLING_CACHE, ..LogSettings::default() };
    let log = EmbeddedLog::open(folder, settings)?;
    let mut events = events.into_iter();
    let count = runtime.block_on(async {
        let (mut count, mut under_way) = (0, VecDeque::new());
        loop {
            let batch: Vec<Envelope> = events.by_ref().take(BATCH).collect::<Result<_>>()?;
            if batch.is_empty() {
                break;
            }
            count += batch.len();
            // The log works while more events are made. It takes batches in the
            // order in which they are first polled.
            let mut append = log.append(Append { events: batch, ..Append::default() });
            match (&mut append).now_or_never() {
                Some(appended) => drop(appended?),
                None => under_way.push_back(append),
            }
            if under_way.len() > UNDER_WAY
                && let Some(first) = under_way.pop_front()
            {
                first.await?;
            }
        }
        for append in under_way {
            append.await?;
        }
        anyhow::Ok(count)
    })?;
    ensure!(log.head() == count as Position, "the log did not take all events");
    drop(log);
    Ok(Arc::new(EmbeddedLog::open(folder, LogSettings::default())?))
}
