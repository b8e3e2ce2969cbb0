//! A log that takes no event that does not fit.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::{runtime::Handle, sync::watch};

use super::{registry::Schemas, rules::Rules};
use crate::{
    event::{Block, Envelope, Event, Position},
    log::{Append, AppendError, Appended, EventLog, LogError, Rare, Selection},
};

/// Batches with more bytes of data are checked beside what else the appending thread has to do.
const MUCH: usize = 64 << 10;

/// A log whose events fit the schemas of their types. Everything else is the log's under it.
pub struct CheckedLog {
    log: Arc<dyn EventLog>,
    schemas: Arc<Schemas>,
}

impl CheckedLog {
    /// Checks what is appended to a log.
    pub fn new(log: Arc<dyn EventLog>, schemas: Arc<Schemas>) -> Self {
        Self { log, schemas }
    }

    async fn check_and_append(&self, batch: Append) -> Result<Appended, AppendError> {
        // No schema that counts for these events changes until they are in the log.
        let _unchanged = self.schemas.hold().await;
        let rules = self.schemas.rules();
        let bytes: usize = batch.events.iter().map(|event| event.data.len()).sum();
        let batch = match Handle::try_current() {
            Ok(runtime) if bytes > MUCH => {
                let log = Arc::clone(&self.log);
                let checking = move || check(&rules, &*log, &batch.events).map(|()| batch);
                let checked = runtime.spawn_blocking(checking).await;
                checked.unwrap_or_else(|error| match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The program ends.
                    Err(_) => Err(LogError::Closed.into()),
                })?
            }
            _ => check(&rules, &*self.log, &batch.events).map(|()| batch)?,
        };
        self.log.append(batch).await
    }
}

/// Refuses the first event that does not fit, unless the log has it already: to append what is
/// there is never wrong.
fn check(rules: &Rules, log: &dyn EventLog, events: &[Envelope]) -> Result<(), AppendError> {
    for (index, event) in events.iter().enumerate() {
        if let Err(misfit) = rules.check(event)
            && log.find(&event.source, &event.id)?.is_none()
        {
            return Err(AppendError::Misfit { index, misfit });
        }
    }
    Ok(())
}

impl EventLog for CheckedLog {
    fn append(&self, batch: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        match self.schemas.glance().concern(&batch.events) {
            true => Box::pin(self.check_and_append(batch)),
            false => self.log.append(batch),
        }
    }

    fn check(&self, batch: &Append) -> Result<(), AppendError> {
        self.log.check(batch)?;
        let rules = self.schemas.rules();
        match rules.concern(&batch.events) {
            true => check(&rules, &*self.log, &batch.events),
            false => Ok(()),
        }
    }

    fn head(&self) -> Position {
        self.log.head()
    }

    fn follow(&self) -> watch::Receiver<Position> {
        self.log.follow()
    }

    fn block(&self, position: Position) -> Result<Option<Arc<Block>>, LogError> {
        self.log.block(position)
    }

    fn rare(&self, from: Position, types: Option<&[String]>, limit: usize) -> Result<Option<Rare>, LogError> {
        self.log.rare(from, types, limit)
    }

    fn find(&self, source: &str, id: &str) -> Result<Option<Position>, LogError> {
        self.log.find(source, id)
    }

    fn read(&self, selection: &Selection) -> Result<Vec<Event>, LogError> {
        self.log.read(selection)
    }
}
