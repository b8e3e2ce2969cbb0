//! The events that are folded, made from fixed seeds or read from the data set,
//! and logs filled with them.

pub(crate) mod accounts;
pub(crate) mod git_history;
pub(crate) mod nexmark;

use std::{path::Path, sync::Arc};

use anyhow::{Result, ensure};
use projectionist::{
    event::{Envelope, Position},
    log::{Append, EventLog, LogSettings, embedded::EmbeddedLog},
};
use tokio::{runtime::Runtime, task::JoinHandle};

const BATCH: usize = 5_000;

/// A log of its own in a folder, with these events in it.
pub(crate) fn fill(
    runtime: &Runtime,
    folder: &Path,
    events: impl IntoIterator<Item = Result<Envelope>>,
) -> Result<Arc<dyn EventLog>> {
    let log: Arc<dyn EventLog> = Arc::new(EmbeddedLog::open(folder, LogSettings::default())?);
    let mut events = events.into_iter();
    let (mut count, mut before) = (0, None);
    loop {
        let batch: Vec<Envelope> = events.by_ref().take(BATCH).collect::<Result<_>>()?;
        // The log works while events are made.
        if let Some(append) = before.take() {
            runtime.block_on::<JoinHandle<Result<_, _>>>(append)??;
        }
        if batch.is_empty() {
            break;
        }
        count += batch.len();
        let log = Arc::clone(&log);
        before = Some(
            runtime.spawn(async move { log.append(Append { events: batch, ..Append::default() }).await }),
        );
    }
    ensure!(log.head() == count as Position, "the log did not take all events");
    Ok(log)
}
