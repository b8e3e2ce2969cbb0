//! The log that ships: one redb file, one writer thread.
//!
//! - [`EmbeddedLog`]: the handle; readers and appenders share it.
//! - `writer.rs`: the thread: group commit, sealing, fail-stop.
//! - `store.rs`: what readers and the writer share: the file, the unsealed
//!   tail, the head.
//! - `sealed.rs`: reading the sealed part through its index.
//! - `seal.rs`: the index entries of full blocks.
//! - `runs.rs`: the index of ids, subjects, tags and correlations; `merge.rs`: how it is kept
//!   small.
//! - `rare.rs`: events of rare types, kept once more apart.
//! - `tables.rs`: the tables of the file and their keys.
//! - `cache.rs`: recently used blocks.
//!
//! An append writes one small block and nothing else, so that it costs one
//! fsync. These blocks are the tail; its index is in memory only and made anew
//! when the log is opened. As soon as small blocks and what comes in make up a
//! full block, the writer puts that in their place. As soon as there are some
//! full blocks, it *seals* them: their events go into the index on disk, many at
//! a time since that makes an index cheap. Both happen in the transaction of the
//! append that they are due with. Sealed blocks never change.
//!
//! Not here: who may append (`admission`), what a block looks like (`block`).

mod cache;
mod merge;
mod rare;
mod runs;
mod seal;
mod sealed;
mod store;
mod tables;
mod writer;

use std::{path::Path, sync::Arc, thread};

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use self::{
    store::Store,
    writer::{Request, Writer},
};
use super::{
    Append, AppendError, Appended, EventLog, LogError, LogSettings, Rare, Selection, prepared::Prepared,
};
use crate::event::{Block, Event, Position};

/// The file's name in its folder.
const FILE: &str = "log.redb";

/// How many appends may wait for the writer; more wait for their turn to wait.
const QUEUE: usize = 1024;

/// A durable log in a folder. Dropping it ends the writer once it has finished
/// the appends that it has got.
pub struct EmbeddedLog {
    settings: LogSettings,
    store: Arc<Store>,
    /// `None` only while being dropped.
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<thread::JoinHandle<()>>,
}

impl EmbeddedLog {
    /// Opens the log in a folder; makes both if they are not there.
    pub fn open(folder: impl AsRef<Path>, settings: LogSettings) -> Result<Self, LogError> {
        let settings = settings.sane();
        let database = tables::open_file(&folder.as_ref().join(FILE), settings.storage_cache_bytes)?;
        Self::with_database(database, settings)
    }

    /// A log on a storage of the caller's, for tests that let it fail.
    #[cfg(test)]
    pub(super) fn open_on(
        backend: impl redb::StorageBackend,
        settings: LogSettings,
    ) -> Result<Self, LogError> {
        let settings = settings.sane();
        let database =
            redb::Builder::new().set_cache_size(settings.storage_cache_bytes).create_with_backend(backend);
        let database =
            database.map_err(|error| LogError::Storage { action: "open", source: Arc::new(error) })?;
        tables::set_up(&database)?;
        Self::with_database(database, settings)
    }

    fn with_database(database: redb::Database, settings: LogSettings) -> Result<Self, LogError> {
        let store = Arc::new(Store::open(database, &settings)?);
        let writer = Writer::new(Arc::clone(&store), settings.clone())?;
        let (requests, queue) = mpsc::channel(QUEUE);
        let writer = thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(|error| LogError::Storage { action: "start its writer", source: Arc::new(error) })?;
        Ok(Self { settings, store, requests: Some(requests), writer: Some(writer) })
    }

    /// What failed, if the writer has stopped after a storage error.
    pub fn failure(&self) -> Option<&str> {
        self.store.failure()
    }

    async fn append_and_wait(&self, batch: Append) -> Result<Appended, AppendError> {
        let batch = Prepared::new(&batch, &self.settings, self.store.keys)?;
        let requests = self.requests.as_ref().ok_or(LogError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let sent = requests.send(Request { batch, reply }).await;
        sent.map_err(|_| LogError::Closed)?;
        // The writer answers everything, unless it panicked.
        answer.await.unwrap_or_else(|_| {
            let reason = "its writer ended unexpectedly".to_owned();
            Err(LogError::Stopped { reason }.into())
        })
    }
}

impl EventLog for EmbeddedLog {
    fn append(&self, batch: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(self.append_and_wait(batch))
    }

    fn check(&self, batch: &Append) -> Result<(), AppendError> {
        self.settings.check(batch)
    }

    fn head(&self) -> Position {
        self.store.head()
    }

    fn follow(&self) -> watch::Receiver<Position> {
        self.store.follow()
    }

    fn block(&self, position: Position) -> Result<Option<Arc<Block>>, LogError> {
        self.store.block(position)
    }

    fn rare(&self, from: Position, types: Option<&[String]>, limit: usize) -> Result<Option<Rare>, LogError> {
        types.map_or(Ok(None), |types| self.store.rare(from, types, limit))
    }

    fn find(&self, source: &str, id: &str) -> Result<Option<Position>, LogError> {
        self.store.find(source, id)
    }

    fn read(&self, selection: &Selection) -> Result<Vec<Event>, LogError> {
        self.store.read(selection)
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the event log's writer panicked");
        }
    }
}
