//! The journal of a reaction: the calls that it has made over HTTP, and what came of
//! them. It stays: a later version may answer the same events again, and must not call
//! again.

use std::sync::PoisonError;

use redb::{ReadOnlyTable, ReadableDatabase, ReadableTable as _, TableDefinition};
use serde::{Deserialize, Serialize};

use super::{PartitionState, error::StateError};
use crate::event::{Position, Timestamp};

/// By the position of the event and the call's number: [`Call`], as MessagePack with
/// named fields.
const CALLS: TableDefinition<'static, (Position, u32), &[u8]> = TableDefinition::new("calls");

type Calls = ReadOnlyTable<(Position, u32), &'static [u8]>;

const READ: &str = "read the journal";

/// A call that a reaction has made for an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The event.
    pub position: Position,
    /// Which of its calls, from 1.
    pub number: u32,
    /// `POST`
    pub method: String,
    /// Where to.
    pub url: String,
    /// As the reaction wrote them: with the names of secrets, not their values.
    pub headers: Vec<Header>,
    /// What it sent.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
    /// What came of it, the last time that it was made.
    pub outcome: CallOutcome,
    /// When it was made.
    pub made: Timestamp,
    /// How long it took, in microseconds.
    pub took: u64,
    /// How many times it was made.
    pub attempts: u32,
}

impl Call {
    /// Whether it has an answer that counts, so that it is not made again.
    pub fn is_answered(&self) -> bool {
        matches!(self.outcome, CallOutcome::Response { status, .. } if status < 400)
    }
}

/// When an event made its calls that are not made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The event.
    pub position: Position,
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
}

/// A header's name and value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// In lower case.
    pub name: String,
    /// Most often text.
    #[serde(with = "serde_bytes")]
    pub value: Vec<u8>,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallOutcome {
    /// A response.
    Response {
        /// `200`
        status: u16,
        /// Without the values of secrets.
        headers: Vec<Header>,
        /// Without the values of secrets.
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
    },
    /// No response: it may have had its effect or not.
    Failed {
        /// Why.
        reason: String,
    },
}

impl PartitionState {
    /// A call that was made for an event.
    pub fn call(&self, position: Position, number: u32) -> Result<Option<Call>, StateError> {
        Ok(self.calls_between((position, number), (position, number))?.pop())
    }

    /// All calls that were made for an event, by their numbers.
    pub fn calls(&self, position: Position) -> Result<Vec<Call>, StateError> {
        self.calls_between((position, 0), (position, u32::MAX))
    }

    /// When the events between two positions made the calls that are not made again, by
    /// position.
    pub fn answered(&self, first: Position, last: Position) -> Result<Vec<Answered>, StateError> {
        let mut answered: Vec<Answered> = Vec::new();
        self.visit_calls((first, 0), (last, u32::MAX), |call| match answered.last_mut() {
            _ if !call.is_answered() => {}
            Some(last) if last.position == call.position => last.last = last.last.max(call.made),
            _ => answered.push(Answered { position: call.position, first: call.made, last: call.made }),
        })?;
        Ok(answered)
    }

    /// The last event that there are calls of.
    pub fn last_call(&self) -> Result<Option<Position>, StateError> {
        let Some(table) = self.journal()? else { return Ok(None) };
        let last = table.last().map_err(self.inner().origin.failed(READ))?;
        Ok(last.map(|(key, _)| key.value().0))
    }

    fn calls_between(&self, first: (Position, u32), last: (Position, u32)) -> Result<Vec<Call>, StateError> {
        let mut calls = Vec::new();
        self.visit_calls(first, last, |call| calls.push(call))?;
        Ok(calls)
    }

    fn visit_calls(
        &self,
        first: (Position, u32),
        last: (Position, u32),
        mut visitor: impl FnMut(Call),
    ) -> Result<(), StateError> {
        let origin = &self.inner().origin;
        let Some(table) = self.journal()? else { return Ok(()) };
        for entry in table.range(first..=last).map_err(origin.failed(READ))? {
            let (key, call) = entry.map_err(origin.failed(READ))?;
            visitor(rmp_serde::from_slice(call.value()).map_err(|_| {
                let (position, number) = key.value();
                origin.damaged(format!("call {number} of event {position} is not readable"))
            })?);
        }
        Ok(())
    }

    /// As it stands now; none if nothing has been written to it yet.
    fn journal(&self) -> Result<Option<Calls>, StateError> {
        let origin = &self.inner().origin;
        let read = self.inner().database.begin_read().map_err(origin.failed(READ))?;
        match read.open_table(CALLS) {
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            table => table.map(Some).map_err(origin.failed(READ)),
        }
    }

    /// Writes calls into the journal, durably; what it says of them already is replaced.
    pub fn note_calls(&self, calls: &[Call]) -> Result<(), StateError> {
        let inner = self.inner();
        let origin = &inner.origin;
        let action = "write the journal";
        let mut pending = inner.committing.lock().unwrap_or_else(PoisonError::into_inner);
        let write = inner.database.begin_write().map_err(origin.failed(action))?;
        {
            let mut table = write.open_table(CALLS).map_err(origin.failed(action))?;
            for call in calls {
                let bytes = rmp_serde::to_vec_named(call).expect("strings, numbers and bytes always encode");
                let key = (call.position, call.number);
                table.insert(key, bytes.as_slice()).map_err(origin.failed(action))?;
            }
        }
        write.commit().map_err(origin.failed(action))?;
        // It has taken along whatever was not durable.
        *pending = false;
        Ok(())
    }
}
