//! What a reaction's file holds beside its tables: which events are handled, what is
//! still to be appended, what waits to be tried again.
//!
//! All events up to the checkpoint are handled, and above it up to another position
//! all but a few, which are named. So what is kept does not grow while one waits.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use redb::{
    ReadOnlyTable, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction,
};
use serde::{Deserialize, Serialize};

use super::{
    PartitionState,
    commit::{Change, Durability},
    dead_letter::{DEAD_LETTERS, DeadLetter},
    error::StateError,
    meta::Checkpoint,
};
use crate::event::{Attribute, Envelope, Position, Timestamp};

/// Events below [`HANDLED_TO`] that are not handled.
const OPEN: TableDefinition<'static, Position, ()> = TableDefinition::new("open");

/// Single numbers.
const NUMBERS: TableDefinition<'static, &str, u64> = TableDefinition::new("numbers");

/// The last event that is handled.
const HANDLED_TO: &str = "handled-to";

/// By number: what is to be appended together, and may have been, as a MessagePack array of
/// positions with arrays of events, these as arrays.
const OUTBOX: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("outbox");

/// By position: [`Waiting`], as MessagePack with named fields.
const WAITING: TableDefinition<'static, Position, &[u8]> = TableDefinition::new("waiting");

/// By key: [`StoredTimer`], as MessagePack with named fields.
const TIMERS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("timers");

/// Events that were given up and are forgotten.
const DROPPED: TableDefinition<'static, Position, ()> = TableDefinition::new("dropped");

/// Events of timers that had been moved or cancelled by then.
const VOID: TableDefinition<'static, Position, ()> = TableDefinition::new("void");

/// By position: when an event was found to be late, in microseconds since the Unix epoch.
const LATE: TableDefinition<'static, Position, i64> = TableDefinition::new("late");

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

/// A timer that is set.
#[derive(Clone, Debug, PartialEq)]
pub struct Timer {
    /// The reaction's own name for it.
    pub key: String,
    /// When it is due.
    pub due: Timestamp,
    /// What is appended then.
    pub event: Envelope,
}

/// What events lead to that are handled together.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// Which comes before which.
    pub number: u64,
    /// What is to be appended, with the position of the event that it answers.
    pub answers: Arc<[(Position, Vec<Envelope>)]>,
}

/// What changes in a reaction's books.
#[derive(Clone, Debug)]
pub enum BookEntry {
    /// Up to here all events are handled that are not [`Open`](Self::Open).
    HandledTo(Position),
    /// An event before that is not handled.
    Open(Position),
    /// It is, now.
    Closed(Position),
    /// An event that was to be handled again is handled.
    Handled(Position),
    /// What events lead to is to be appended.
    Goes(Outgoing),
    /// That of this number has been appended.
    Gone(u64),
    /// An event has failed, and is to be handled again.
    Waits(Waiting),
    /// An event is given up.
    Dead(DeadLetter),
    /// An event that had been given up is to be handled again after all.
    Revived(Waiting),
    /// An event that had been given up is forgotten.
    Dropped(Position),
    /// An event is not acted upon, since it happened too long ago.
    Late {
        /// The event.
        position: Position,
        /// When this was found.
        recorded: Timestamp,
    },
    /// The event of a timer that had been moved or cancelled led to nothing.
    Void(Position),
    /// A timer is set, or moved.
    TimerSet(Timer),
    /// There is no timer of this key any more.
    TimerGone(String),
}

/// A reaction's books, as they stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Books {
    /// Up to here all events are handled but those that are open; not before the
    /// checkpoint.
    pub handled_to: Position,
    /// Events before that which are not handled, ascending.
    pub open: Vec<Position>,
    /// What is to be appended, in this order.
    pub outbox: Vec<Outgoing>,
    /// What is to be handled again.
    pub waiting: Vec<Waiting>,
    /// Timers, by key.
    pub timers: Vec<Timer>,
    /// What was given up and is forgotten.
    pub dropped: Vec<Position>,
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
        if let Ok(table) = read.open_table(NUMBERS) {
            let handled_to = table.get(HANDLED_TO).map_err(origin.failed(action))?;
            books.handled_to = handled_to.map_or(0, |position| position.value());
        }
        if let Ok(table) = read.open_table(OPEN) {
            for entry in table.iter().map_err(origin.failed(action))? {
                books.open.push(entry.map_err(origin.failed(action))?.0.value());
            }
        }
        if let Ok(table) = read.open_table(DROPPED) {
            for entry in table.iter().map_err(origin.failed(action))? {
                books.dropped.push(entry.map_err(origin.failed(action))?.0.value());
            }
        }
        if let Ok(table) = read.open_table(OUTBOX) {
            for entry in table.iter().map_err(origin.failed(action))? {
                let (number, answers) = entry.map_err(origin.failed(action))?;
                let number = number.value();
                let answers: Vec<(Position, Vec<Stored<'_>>)> = rmp_serde::from_slice(answers.value())
                    .map_err(|_| origin.damaged(format!("answers {number} are not readable")))?;
                let owned = |(position, events): (_, Vec<_>)| {
                    (position, events.into_iter().map(Envelope::from).collect())
                };
                books.outbox.push(Outgoing { number, answers: answers.into_iter().map(owned).collect() });
            }
        }
        if let Ok(table) = read.open_table(WAITING) {
            for entry in table.iter().map_err(origin.failed(action))? {
                let (position, waiting) = entry.map_err(origin.failed(action))?;
                let waiting = rmp_serde::from_slice(waiting.value());
                books.waiting.push(waiting.map_err(|_| damaged(position.value()))?);
            }
        }
        if let Ok(table) = read.open_table(TIMERS) {
            for entry in table.iter().map_err(origin.failed(action))? {
                let (key, timer) = entry.map_err(origin.failed(action))?;
                let key = key.value().to_owned();
                let StoredTimer { due, event } = rmp_serde::from_slice(timer.value())
                    .map_err(|_| origin.damaged(format!("its timer {key:?} is not readable")))?;
                books.timers.push(Timer { key, due, event: event.into() });
            }
        }
        Ok(books)
    }

    /// Whether an event was that of a timer which had been moved or cancelled by then.
    pub fn is_void(&self, position: Position) -> Result<bool, StateError> {
        self.noted(VOID, |table| Ok(table.get(position)?.is_some()))
    }

    /// When an event was found to be late, if it was.
    pub fn late(&self, position: Position) -> Result<Option<Timestamp>, StateError> {
        self.noted(LATE, |table| Ok(table.get(position)?.map(|at| Timestamp::from_micros(at.value()))))
    }

    /// How many events were found to be late.
    pub fn late_count(&self) -> Result<u64, StateError> {
        self.noted(LATE, |table| table.len())
    }

    fn noted<V: redb::Value + 'static, T: Default>(
        &self,
        table: TableDefinition<'static, Position, V>,
        look: impl FnOnce(&ReadOnlyTable<Position, V>) -> Result<T, redb::StorageError>,
    ) -> Result<T, StateError> {
        let origin = &self.inner().origin;
        let action = "read what became of an event";
        let read = self.inner().database.begin_read().map_err(origin.failed(action))?;
        match read.open_table(table) {
            // None was so far.
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(T::default()),
            table => look(&table.map_err(origin.failed(action))?).map_err(origin.failed(action)),
        }
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
            write_entries(write, entries).map_err(origin.failed(ACTION))
        })
    }
}

pub(super) fn write_entries(write: &WriteTransaction, entries: &[BookEntry]) -> Result<(), redb::Error> {
    let mut open = write.open_table(OPEN)?;
    let mut outbox = write.open_table(OUTBOX)?;
    let mut waiting = write.open_table(WAITING)?;
    let mut dead_letters = write.open_table(DEAD_LETTERS)?;
    for entry in entries {
        match entry {
            BookEntry::HandledTo(position) => {
                write.open_table(NUMBERS)?.insert(HANDLED_TO, position)?;
            }
            BookEntry::Open(position) => drop(open.insert(position, ())?),
            BookEntry::Closed(position) => drop(open.remove(position)?),
            BookEntry::Handled(position) => drop(waiting.remove(position)?),
            BookEntry::Goes(Outgoing { number, answers }) => {
                let answers: Vec<(&Position, Vec<Stored<'_>>)> = answers
                    .iter()
                    .map(|(position, events)| (position, events.iter().map(Stored::from).collect()))
                    .collect();
                let bytes = rmp_serde::to_vec(&answers).expect("strings, numbers and bytes always encode");
                outbox.insert(number, bytes.as_slice())?;
            }
            BookEntry::Gone(number) => drop(outbox.remove(number)?),
            BookEntry::Waits(again) => drop(waiting.insert(again.position, encoded(again).as_slice())?),
            BookEntry::Dead(letter) => {
                waiting.remove(letter.position)?;
                dead_letters.insert(letter.position, letter.to_bytes().as_slice())?;
            }
            BookEntry::Revived(again) => {
                dead_letters.remove(again.position)?;
                waiting.insert(again.position, encoded(again).as_slice())?;
            }
            BookEntry::Dropped(position) => {
                dead_letters.remove(position)?;
                write.open_table(DROPPED)?.insert(position, ())?;
            }
            BookEntry::Late { position, recorded } => {
                write.open_table(LATE)?.insert(position, recorded.as_micros())?;
            }
            BookEntry::Void(position) => drop(write.open_table(VOID)?.insert(position, ())?),
            BookEntry::TimerSet(Timer { key, due, event }) => {
                let timer = StoredTimer { due: *due, event: event.into() };
                write.open_table(TIMERS)?.insert(key.as_str(), encoded(&timer).as_slice())?;
            }
            BookEntry::TimerGone(key) => drop(write.open_table(TIMERS)?.remove(key.as_str())?),
        }
    }
    Ok(())
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("strings, numbers and bytes always encode")
}

#[derive(Serialize, Deserialize)]
struct StoredTimer<'e> {
    due: Timestamp,
    #[serde(borrow)]
    event: Stored<'e>,
}

/// An event as the books keep it.
#[derive(Serialize, Deserialize)]
struct Stored<'e> {
    id: Cow<'e, str>,
    source: Cow<'e, str>,
    event_type: Cow<'e, str>,
    subject: Option<Cow<'e, str>>,
    time: Option<Timestamp>,
    content_type: Cow<'e, str>,
    #[serde(borrow, with = "serde_bytes")]
    data: Cow<'e, [u8]>,
    tags: Cow<'e, [String]>,
    extensions: Cow<'e, BTreeMap<String, Attribute>>,
}

impl<'e> From<&'e Envelope> for Stored<'e> {
    fn from(envelope: &'e Envelope) -> Self {
        Self {
            id: Cow::from(&envelope.id),
            source: Cow::from(&envelope.source),
            event_type: Cow::from(&envelope.event_type),
            subject: envelope.subject.as_ref().map(Cow::from),
            time: envelope.time,
            content_type: Cow::from(&envelope.content_type),
            data: Cow::Borrowed(&envelope.data),
            tags: Cow::from(&envelope.tags),
            extensions: Cow::Borrowed(&envelope.extensions),
        }
    }
}

impl From<Stored<'_>> for Envelope {
    fn from(stored: Stored<'_>) -> Self {
        let Stored { id, source, event_type, subject, time, content_type, data, tags, extensions } = stored;
        Self {
            id: id.into_owned(),
            source: source.into_owned(),
            event_type: event_type.into_owned(),
            subject: subject.map(Cow::into_owned),
            time,
            content_type: content_type.into_owned(),
            data: data.into_owned().into(),
            tags: tags.into_owned(),
            extensions: extensions.into_owned(),
        }
    }
}
