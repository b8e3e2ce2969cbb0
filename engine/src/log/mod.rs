//! The event log: append, read, follow.
//!
//! - [`EventLog`]: what the rest of the engine asks of a log.
//! - [`embedded`]: the log that ships, kept in redb.
//! - [`memory`]: a log that lives as long as the process, for `run` and tests.
//! - [`altered`]: another log's history, altered, to see what would have been.
//! - [`LogSettings`] (`settings.rs`): limits and sizes.
//! - [`Moment`] (`moment.rs`): a point in the log's time.
//! - `admission.rs`: who may append: idempotency, conditions, versions. The
//!   same for every log.
//! - [`Misfit`] (`misfit.rs`): why an event does not fit its schema, as others check it (`schema`).
//! - `prepared.rs`: a batch as whoever appends it lays it out.
//! - `keys.rs`: ids, subjects and tags as numbers, for the indexes.
//! - `index.rs`: positions by id, subject, tag and type, in memory.
//! - `matcher.rs`: which events of a block a selection names.
//! - `block.rs`: a block as bytes on disk, and back, distrustfully.
//!
//! Not here: what an event is (`event`), and anything about plug-ins.

mod admission;
pub mod altered;
mod block;
pub mod embedded;
mod index;
mod keys;
mod matcher;
pub mod memory;
mod misfit;
mod moment;
mod prepared;
mod settings;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

pub use self::{
    embedded::EmbeddedLog,
    memory::MemoryLog,
    misfit::{Fault, Misfit},
    moment::Moment,
    settings::LogSettings,
};
use crate::event::{Block, Envelope, Event, Position};

/// An append-only, gapless sequence of events.
pub trait EventLog: Send + Sync + 'static {
    /// Appends all events of a batch or none. When the answer is there, they
    /// are durable and readable.
    fn append(&self, batch: Append) -> BoxFuture<'_, Result<Appended, AppendError>>;

    /// Whether a batch could be appended as far as it alone decides.
    fn check(&self, batch: &Append) -> Result<(), AppendError>;

    /// The position of the last event; 0 for an empty log.
    fn head(&self) -> Position {
        *self.follow().borrow()
    }

    /// The head, as it moves.
    fn follow(&self) -> watch::Receiver<Position>;

    /// The stored block that contains `position`, whole (it may begin before
    /// it). `None` past the head.
    fn block(&self, position: Position) -> Result<Option<Arc<Block>>, LogError>;

    /// The next events of these types (`None`: of any) from `from` on, where they
    /// are rare and what lies between them need not be read, or where there are gaps
    /// between events; `limit` is how many are enough. `None` where the log has to be
    /// read [block](Self::block) by block.
    fn rare(&self, from: Position, types: Option<&[String]>, limit: usize) -> Result<Option<Rare>, LogError>;

    /// Where the event with this source and id stands, if the log has it.
    fn find(&self, source: &str, id: &str) -> Result<Option<Position>, LogError>;

    /// The events that a selection names, in its order, at most its limit.
    fn read(&self, selection: &Selection) -> Result<Vec<Event>, LogError>;
}

/// Events of rare types.
#[derive(Clone, Debug)]
pub struct Rare {
    /// The events, by ascending position.
    pub events: Block,
    /// Up to here there are no others of these types.
    pub to: Position,
}

/// A batch to append, and the condition under which it may be.
#[derive(Clone, Debug, Default)]
pub struct Append {
    /// The events, in the order in which they get their positions.
    pub events: Vec<Envelope>,
    /// Checked against the log as it stands just before the batch.
    pub condition: Condition,
}

/// What must hold for a batch to be appended. The default always holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Condition {
    /// Subjects and the version that each must have; 0: it must be new.
    pub expected_versions: Vec<(String, u64)>,
    /// None of these may match an event of the log.
    pub fail_if_exists: Vec<Criterion>,
}

/// Selects events by type and tags (a dynamic consistency boundary).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Criterion {
    /// Any of these; empty: any type.
    pub types: Vec<String>,
    /// All of these; empty: any tags.
    pub tags: Vec<String>,
    /// Only events after this position.
    pub after: Position,
}

/// The answer to an append.
#[derive(Clone, Debug, PartialEq)]
pub struct Appended {
    /// Where each event of the batch stands, in the batch's order. An event
    /// that the log already had stands at its first position.
    pub positions: Vec<Position>,
    /// How many of them the log already had.
    pub known: usize,
    /// The highest of the positions: wait for it to read your own writes.
    pub position: Position,
}

/// The event that a condition met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InTheWay {
    /// Where it stands.
    pub position: Position,
    /// Its id.
    pub id: String,
    /// Its type.
    pub event_type: String,
    /// Its subject.
    pub subject: Option<String>,
}

/// Why a batch was not appended. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The batch itself is at fault.
    #[error("event {index} of the batch: {reason}")]
    Invalid {
        /// Which event of the batch, from 0.
        index: usize,
        /// What is wrong and what to do.
        reason: String,
    },
    /// An event does not fit the schema of its type.
    #[error("event {index} of the batch: {misfit}")]
    Misfit {
        /// Which event of the batch, from 0.
        index: usize,
        /// What does not fit.
        misfit: Box<Misfit>,
    },
    /// An event or the batch is larger than the log takes.
    #[error("{what} has {size} {unit}; the log takes at most {limit}{}", named(*.setting))]
    TooLarge {
        /// The event of the batch, from 0; none: the batch as a whole.
        event: Option<usize>,
        /// What of it, in words.
        what: String,
        /// How large it is …
        size: usize,
        /// … in `bytes` or `events`.
        unit: &'static str,
        /// How large it may be.
        limit: usize,
        /// The setting that says so, as settings files and flags name it.
        setting: Option<&'static str>,
    },
    /// A subject does not have the version that the condition names.
    #[error("subject \"{subject}\" is at version {actual}, not {expected}")]
    WrongVersion {
        /// The subject.
        subject: String,
        /// What the condition names.
        expected: u64,
        /// What the log has.
        actual: u64,
        /// The subject's last event, if it has any.
        in_the_way: Option<InTheWay>,
    },
    /// An event matches the condition.
    #[error("event {} of type \"{}\" at position {} matches the condition", in_the_way.id, in_the_way.event_type, in_the_way.position)]
    Exists {
        /// The latest such event.
        in_the_way: InTheWay,
    },
    /// The log has another event under this source and id.
    #[error("source \"{source_uri}\" has already sent an event with id \"{}\" and other content ({}); an id is used once", in_the_way.id, place(in_the_way.position))]
    IdReused {
        /// The source.
        source_uri: String,
        /// The event that is there; its position is 0 if it stands in the same
        /// batch.
        in_the_way: InTheWay,
    },
    /// The log itself failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// A setting behind a limit.
fn named(setting: Option<&str>) -> String {
    setting.map(|setting| format!(" (setting {setting})")).unwrap_or_default()
}

/// Where an event stands that may be in the batch itself.
fn place(position: Position) -> String {
    match position {
        0 => "earlier in the same batch".to_owned(),
        position => format!("at position {position}"),
    }
}

/// The log failed; nobody's input is at fault.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// The storage under it failed.
    #[error("the event log could not {action}: {source}")]
    Storage {
        /// What it was doing.
        action: &'static str,
        /// What went wrong.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// A block does not decode.
    #[error("the event log's block at position {position} is damaged: {reason}")]
    Damaged {
        /// The block's first position.
        position: Position,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process has the log open.
    #[error(
        "another program has this data folder open ({}); stop it or choose another folder",
        path.display()
    )]
    InUse {
        /// The log's file.
        path: PathBuf,
    },
    /// The file holds something else, or was written by another version.
    #[error("{} is not an event log that this program can read: {reason}", path.display())]
    Foreign {
        /// The log's file.
        path: PathBuf,
        /// What is there instead.
        reason: String,
    },
    /// The writer met a storage error and takes no more events, lest it make
    /// things worse. Reading goes on.
    #[error("the event log takes no more events since its storage failed: {reason}; mend that and restart")]
    Stopped {
        /// What failed.
        reason: String,
    },
    /// It is no log but a history that did not happen.
    #[error("this is an altered history, made to see what would have been: nothing is appended to it")]
    Altered,
    /// The log has been closed.
    #[error("the event log is closed")]
    Closed,
}

/// Which events to read, and in which order.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The first position that may be read.
    pub from: Position,
    /// The last position that may be read.
    pub to: Position,
    /// Any of these types; empty: any.
    pub types: Vec<String>,
    /// Only this subject.
    pub subject: Option<String>,
    /// All of these tags; empty: any.
    pub tags: Vec<String>,
    /// Only the event of this id and those that came of it: that carry the id as
    /// their `correlationid`.
    pub correlation: Option<String>,
    /// Newest first.
    pub reverse: bool,
    /// At most so many.
    pub limit: usize,
}

impl Default for Selection {
    /// Everything, oldest first.
    fn default() -> Self {
        Self {
            from: 1,
            to: Position::MAX,
            types: Vec::new(),
            subject: None,
            tags: Vec::new(),
            correlation: None,
            reverse: false,
            limit: usize::MAX,
        }
    }
}
