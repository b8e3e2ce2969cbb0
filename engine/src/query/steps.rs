//! What events did to a version, as JSON: step by step, or to one row.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    QueryError,
    compare::{RowComparison, difference},
    key,
    table::Table,
};
use crate::{
    event::{Event, Position, cloudevents},
    plugin::{Stream, description::Description},
    projection::{RowChange, Step},
    state::RowDifference,
};

/// Some steps of a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct StepsPage {
    /// The version's digest.
    pub version: String,
    /// The log's last position.
    pub head: Position,
    /// The steps, oldest first unless asked for otherwise.
    pub steps: Vec<StepDocument>,
    /// Where to go on, as `from`, or as `to` if newest first; absent at the end. A page may
    /// have few steps or none and still have it: then so much of the log was looked through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Position>,
}

/// What one event did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct StepDocument {
    /// The event, as `/events` shows it.
    #[schema(value_type = Object)]
    pub event: Value,
    /// The rows that it changed, by table and key. Entries of indexes, which follow from these, are left out.
    pub changes: Vec<TableChange>,
    /// What the plug-in printed meanwhile, its last 200 lines.
    pub output: Vec<OutputLine>,
    /// How many lines there were before these.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub output_left_out: u64,
    /// Why the event could not be folded; absent if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureDocument>,
}

/// A row that an event changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TableChange {
    /// The table.
    pub table: String,
    #[serde(flatten)]
    #[allow(missing_docs, reason = "its fields have their own")]
    pub row: RowComparison,
}

/// A line that a plug-in has printed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OutputLine {
    /// `stdout` or `stderr`.
    pub stream: String,
    /// The line.
    pub line: String,
}

/// Why an event could not be folded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FailureDocument {
    /// Why.
    pub reason: String,
    /// Whether the version goes no further; otherwise the event is a dead letter.
    pub halts: bool,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct HistoryPage {
    /// The version's digest.
    pub version: String,
    /// The last position that this tells of.
    pub position: Position,
    /// The table.
    pub table: String,
    /// The key: its part if it has one, else an array of them.
    pub key: Value,
    /// The events that changed the row, oldest first unless asked for otherwise.
    pub changes: Vec<HistoryEntry>,
    /// The subject of whose events alone this was folded; absent: of all that the projection wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Where to go on, as `from`, or as `to` if newest first; absent at the end. A page may
    /// have few changes or none and still have it: then so much of the log was looked through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Position>,
}

/// An event that changed a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HistoryEntry {
    /// The event, as `/events` shows it.
    #[schema(value_type = Object)]
    pub event: Value,
    /// The row's value before; absent where there was no such row.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::compare::present")]
    pub before: Option<Value>,
    /// Its value afterwards; absent where there is no such row any more.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::compare::present")]
    pub after: Option<Value>,
}

/// The number of a table and the encoded key of the row that the segments of a path name;
/// see the guide.
pub fn find_row(
    description: &Description,
    table: &str,
    segments: &[impl AsRef<str>],
) -> Result<(u32, Vec<u8>), QueryError> {
    let found = Table::find(description, table)?;
    Ok((found.number, key::from_path(found.description, segments)?))
}

/// A step as JSON.
pub fn shown_step(description: &Description, step: &Step) -> Result<StepDocument, QueryError> {
    let mut changes = Vec::new();
    for change in step.changes.iter().filter(|change| change.is_change()) {
        let table = description.tables.get(change.table as usize);
        if let Some(table) = table.filter(|table| table.index_of.is_none()) {
            changes.push(TableChange { table: table.name.clone(), row: row(&table.name, change)? });
        }
    }
    let line = |(stream, line): &(Stream, String)| OutputLine {
        stream: match stream {
            Stream::Stdout => "stdout".to_owned(),
            Stream::Stderr => "stderr".to_owned(),
        },
        line: line.clone(),
    };
    let failure = step.failure.as_ref();
    Ok(StepDocument {
        event: event(&step.event),
        changes,
        output: step.printed.lines.iter().map(line).collect(),
        output_left_out: step.printed.forgotten,
        failure: failure
            .map(|failure| FailureDocument { reason: failure.reason.clone(), halts: failure.halts }),
    })
}

/// A change of a row as JSON.
pub fn shown_change(table: &str, of: &Event, change: &RowChange) -> Result<HistoryEntry, QueryError> {
    let RowComparison { before, after, .. } = row(table, change)?;
    Ok(HistoryEntry { event: event(of), before, after })
}

fn row(table: &str, change: &RowChange) -> Result<RowComparison, QueryError> {
    let (before, after) = (change.before.as_deref(), change.after.as_deref());
    difference(table, RowDifference { key: &change.key, before, after })
}

fn event(event: &Event) -> Value {
    let mut json = Vec::new();
    cloudevents::to_json(event, &mut json);
    serde_json::from_slice(&json).expect("what is written as JSON can be read as JSON")
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
