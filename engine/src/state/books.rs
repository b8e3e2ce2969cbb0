//! What a reaction's file holds beside its tables: which events above the
//! checkpoint are handled, what is still to be appended, what waits to be tried
//! again.

use redb::{ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{
    PartitionState,
    commit::{Change, Durability},
    dead_letter::{DEAD_LETTERS, DeadLetter},
    error::StateError,
    meta::Checkpoint,
};
use crate::event::{Attribute, Envelope, Position, Timestamp};

/// Events above the checkpoint that are handled.
const HANDLED: TableDefinition<'static, Position, ()> = TableDefinition::new("handled");

/// By the position of the event that they answer: a MessagePack array of events
/// that are to be appended, and may have been.
const OUTBOX: TableDefinition<'static, Position, &[u8]> = TableDefinition::new("outbox");

/// By position: [`Waiting`], as MessagePack with named fields.
const WAITING: TableDefinition<'static, Position, &[u8]> = TableDefinition::new("waiting");

const ACTION: &str = "write a reaction's books";

/// An event that is to be handled again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Where it stands in the log.
    pub position: Position,
    /// How many times it has failed.
    pub attempts: u32,
    /// When it failed for the first time.
    pub since: Timestamp,
    /// When it is to be handled again.
    pub next: Timestamp,
    /// Why it failed the last time.
    pub reason: String,
}

/// What changes in a reaction's books.
#[derive(Clone, Debug)]
pub enum BookEntry {
    /// An event is handled. If it leads to others, they are to be appended.
    Handled {
        /// The event.
        position: Position,
        /// What it leads to.
        append: Vec<Envelope>,
    },
    /// What an event leads to has been appended.
    Appended(Position),
    /// An event has failed, and is to be handled again.
    Waits(Waiting),
    /// An event is given up. It counts as handled.
    Dead(DeadLetter),
}

/// A reaction's books, as they stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Books {
    /// Events above the checkpoint that are handled, ascending.
    pub handled: Vec<Position>,
    /// What is to be appended, by the position of the event that it answers.
    pub outbox: Vec<(Position, Vec<Envelope>)>,
    /// What is to be handled again.
    pub waiting: Vec<Waiting>,
}

impl PartitionState {
    /// A reaction's books.
    pub fn books(&self) -> Result<Books, StateError> {
        let origin = &self.inner().origin;
        let action = "read a reaction's books";
        let read = self.inner().database.begin_read().map_err(origin.failed(action))?;
        let mut books = Books::default();
        let damaged = |position| origin.damaged(format!("what it says of event {position} is not readable"));
        // Tables that nothing has been written to yet are not there.
        if let Ok(table) = read.open_table(HANDLED) {
            for entry in table.iter().map_err(origin.failed(action))? {
                books.handled.push(entry.map_err(origin.failed(action))?.0.value());
            }
        }
        if let Ok(table) = read.open_table(OUTBOX) {
            for entry in table.iter().map_err(origin.failed(action))? {
                let (position, events) = entry.map_err(origin.failed(action))?;
                let position = position.value();
                let events: Vec<Stored> =
                    rmp_serde::from_slice(events.value()).map_err(|_| damaged(position))?;
                books.outbox.push((position, events.into_iter().map(Envelope::from).collect()));
            }
        }
        if let Ok(table) = read.open_table(WAITING) {
            for entry in table.iter().map_err(origin.failed(action))? {
                let (position, waiting) = entry.map_err(origin.failed(action))?;
                let waiting = rmp_serde::from_slice(waiting.value());
                books.waiting.push(waiting.map_err(|_| damaged(position.value()))?);
            }
        }
        Ok(books)
    }

    /// Commits changes of tables with the books: all in one transaction or, with an
    /// error, nothing. All events up to `position` are handled; `events` is how many
    /// have been since the last commit.
    pub fn commit_books<'a>(
        &self,
        changes: impl IntoIterator<Item = Change<'a>>,
        entries: &[BookEntry],
        position: Position,
        events: u64,
        durability: Durability,
    ) -> Result<Checkpoint, StateError> {
        self.commit_with(changes, position, events, durability, |write, origin| {
            write_entries(write, entries, position).map_err(origin.failed(ACTION))
        })
    }
}

fn write_entries(
    write: &WriteTransaction,
    entries: &[BookEntry],
    checkpoint: Position,
) -> Result<(), redb::Error> {
    let mut handled = write.open_table(HANDLED)?;
    let mut outbox = write.open_table(OUTBOX)?;
    let mut waiting = write.open_table(WAITING)?;
    let mut done = |position: Position| -> Result<(), redb::Error> {
        if position > checkpoint {
            handled.insert(position, ())?;
        }
        Ok(())
    };
    for entry in entries {
        match entry {
            BookEntry::Handled { position, append } => {
                done(*position)?;
                waiting.remove(position)?;
                if !append.is_empty() {
                    let events: Vec<Stored> = append.iter().map(Stored::from).collect();
                    outbox.insert(position, encoded(&events).as_slice())?;
                }
            }
            BookEntry::Appended(position) => drop(outbox.remove(position)?),
            BookEntry::Waits(again) => drop(waiting.insert(again.position, encoded(again).as_slice())?),
            BookEntry::Dead(letter) => {
                done(letter.position)?;
                waiting.remove(letter.position)?;
                write.open_table(DEAD_LETTERS)?.insert(letter.position, letter.to_bytes().as_slice())?;
            }
        }
    }
    // The checkpoint says it of these.
    handled.retain_in(..=checkpoint, |_, ()| false)?;
    Ok(())
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("strings, numbers and bytes always encode")
}

/// An event as the outbox keeps it.
#[derive(Serialize, Deserialize)]
struct Stored {
    id: String,
    source: String,
    event_type: String,
    subject: Option<String>,
    time: Option<Timestamp>,
    content_type: String,
    #[serde(with = "serde_bytes")]
    data: Vec<u8>,
    tags: Vec<String>,
    extensions: Vec<(String, Attribute)>,
}

impl From<&Envelope> for Stored {
    fn from(envelope: &Envelope) -> Self {
        Self {
            id: envelope.id.clone(),
            source: envelope.source.clone(),
            event_type: envelope.event_type.clone(),
            subject: envelope.subject.clone(),
            time: envelope.time,
            content_type: envelope.content_type.clone(),
            data: envelope.data.to_vec(),
            tags: envelope.tags.clone(),
            extensions: envelope.extensions.clone().into_iter().collect(),
        }
    }
}

impl From<Stored> for Envelope {
    fn from(stored: Stored) -> Self {
        let Stored { id, source, event_type, subject, time, content_type, data, tags, extensions } = stored;
        let (data, extensions) = (data.into(), extensions.into_iter().collect());
        Self { id, source, event_type, subject, time, content_type, data, tags, extensions }
    }
}
