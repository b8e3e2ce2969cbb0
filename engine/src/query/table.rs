//! Rows of tables, as JSON.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{QueryError, cursor, key};
use crate::{
    event::Position,
    plugin::description::{Description, TableDescription},
    state::{self, KeyRange, View},
};

/// How many rows a page has, unless told otherwise.
pub const DEFAULT_LIMIT: usize = 100;
/// How many rows a page can have.
pub const MAX_LIMIT: usize = 10_000;
/// A page ends early when its entries have so many bytes: rows can be large.
const PAGE_BYTES: usize = 8 << 20;

/// Which rows of a table to read, as a URL says it. For how keys are written
/// see the guide; `prefix`, `start` and `end` all have to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRead {
    /// Only keys that begin with it.
    pub prefix: Option<String>,
    /// Only this key and those behind it.
    pub start: Option<String>,
    /// Only keys before this one.
    pub end: Option<String>,
    /// The last key first.
    pub reverse: bool,
    /// At most so many rows: from 1 to [`MAX_LIMIT`].
    pub limit: usize,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// In the order of this index, to whose keys `prefix`, `start` and `end`
    /// then apply.
    pub index: Option<String>,
}

impl Default for TableRead {
    /// The first rows.
    fn default() -> Self {
        Self {
            prefix: None,
            start: None,
            end: None,
            reverse: false,
            limit: DEFAULT_LIMIT,
            cursor: None,
            index: None,
        }
    }
}

/// An entry of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Row {
    /// The key: its part if it has one, else an array of them.
    pub key: Value,
    /// The value.
    pub value: Value,
}

/// Some rows of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TablePage {
    /// The position of the state that they were read from. Pages of one table
    /// may have different ones.
    pub position: Position,
    /// The rows, in order.
    pub rows: Vec<Row>,
    /// The cursor for the next page; absent behind the last row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Reads a page of a table.
pub fn read_table(
    view: &View,
    description: &Description,
    table: &str,
    read: &TableRead,
) -> Result<TablePage, QueryError> {
    let rows_of = Table::find(description, table)?;
    let index = read.index.as_deref().map(|index| rows_of.index(description, index)).transpose()?;
    let order = index.as_ref().unwrap_or(&rows_of);
    let mut range = range(order.description, read)?;
    range.limit = limit(read.limit)?.saturating_add(1);

    let mut page = PageBuilder { entries: Vec::new(), bytes: 0, limit: read.limit, more: false };
    let mut failure = None;
    view.visit(order.number, &range, |key, value| {
        let entry = match &index {
            None => Ok((key.to_vec(), value.to_vec())),
            Some(index) => index.follow(view, &rows_of, key),
        };
        match entry {
            Ok((row, value)) => page.push(key, row, value),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = failure {
        return Err(error);
    }

    let last = page.entries.last().filter(|_| page.more);
    let next = last.map(|entry| cursor::after(&order.description.name, &entry.order));
    let rows = page.entries.iter().map(|entry| shown_row(table, &entry.row, &entry.value));
    Ok(TablePage { position: view.checkpoint().position, rows: rows.collect::<Result<_, _>>()?, next })
}

/// Reads the row whose key the segments of a path name; see the guide.
pub fn read_key(
    view: &View,
    description: &Description,
    table: &str,
    segments: &[impl AsRef<str>],
) -> Result<Option<Row>, QueryError> {
    let found = Table::find(description, table)?;
    let key = key::from_path(found.description, segments)?;
    let value = view.get(found.number, &key)?;
    value.map(|value| shown_row(table, &key, &value)).transpose()
}

/// Reads the row of a key that is written as the parameter `start` is: the key as it is
/// shown, and the value, if there is one.
pub fn read_named(
    view: &View,
    description: &Description,
    table: &str,
    text: &str,
) -> Result<(Value, Option<Value>), QueryError> {
    let found = Table::find(description, table)?;
    let key = key::named(found.description, text)?;
    let shown = state::key::shown(&key).map_err(|error| unreadable(table, &key, &error))?;
    let value = view.get(found.number, &key)?;
    let row = value.map(|value| shown_row(table, &key, &value)).transpose()?;
    Ok((shown, row.map(|row| row.value)))
}

/// A key as [`read_named`] takes it, of one that is shown.
pub fn key_text(key: &Value) -> String {
    match key {
        Value::String(text) if !text.starts_with('[') => text.clone(),
        Value::String(text) => Value::from([text.as_str()]).to_string(),
        other => other.to_string(),
    }
}

/// A table of the plug-in, by its number.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    pub(super) number: u32,
    pub(super) description: &'a TableDescription,
}

impl<'a> Table<'a> {
    pub(super) fn find(description: &'a Description, name: &str) -> Result<Self, QueryError> {
        let mut tables = (0..).zip(&description.tables);
        let found = tables.find(|(_, table)| table.name == name);
        let (number, description) = found.ok_or_else(|| QueryError::NoTable {
            table: name.to_owned(),
            tables: description
                .tables
                .iter()
                .filter(|table| table.index_of.is_none())
                .map(|table| table.name.clone())
                .collect(),
        })?;
        Ok(Self { number, description })
    }

    /// The index of this table that is declared as `table.index`.
    fn index(&self, description: &'a Description, index: &str) -> Result<Self, QueryError> {
        let table = &self.description.name;
        let is_of = |other: &TableDescription| other.index_of.as_ref() == Some(table);
        match Self::find(description, &format!("{table}.{index}")) {
            Ok(found) if is_of(found.description) => Ok(found),
            _ => Err(QueryError::NoIndex {
                table: table.clone(),
                index: index.to_owned(),
                indexes: description
                    .tables
                    .iter()
                    .filter(|other| is_of(other))
                    .filter_map(|other| other.name.strip_prefix(&format!("{table}.")))
                    .map(str::to_owned)
                    .collect(),
            }),
        }
    }

    /// From a key of this index to the row of its table, whose key is its end.
    fn follow(&self, view: &View, rows_of: &Table<'_>, key: &[u8]) -> Result<(Vec<u8>, Vec<u8>), QueryError> {
        let index = &self.description.name;
        let row = state::key::suffix(key, rows_of.description.key.len());
        let row = row.map_err(|error| unreadable(index, key, &error))?;
        let value = view.get(rows_of.number, row)?;
        let value = value.ok_or_else(|| QueryError::BrokenIndex { index: index.clone(), key: text(key) })?;
        Ok((row.to_vec(), value))
    }
}

/// The entries of a page, as they come.
struct PageBuilder {
    entries: Vec<Entry>,
    bytes: usize,
    limit: usize,
    /// There is a row behind the last one.
    more: bool,
}

struct Entry {
    /// The key that it was found by: the row's, or that in an index.
    order: Vec<u8>,
    row: Vec<u8>,
    value: Vec<u8>,
}

impl PageBuilder {
    fn push(&mut self, order: &[u8], row: Vec<u8>, value: Vec<u8>) -> ControlFlow<()> {
        let bytes = row.len() + value.len();
        let full = self.entries.len() == self.limit || self.bytes + bytes > PAGE_BYTES;
        // A row larger than a page still has to come through, alone.
        if full && !self.entries.is_empty() {
            self.more = true;
            return ControlFlow::Break(());
        }
        self.bytes += bytes;
        self.entries.push(Entry { order: order.to_vec(), row, value });
        ControlFlow::Continue(())
    }
}

fn limit(limit: usize) -> Result<usize, QueryError> {
    if (1..=MAX_LIMIT).contains(&limit) {
        return Ok(limit);
    }
    let reason =
        format!("{limit} is not from 1 to {MAX_LIMIT}; for more rows follow `next` from page to page");
    Err(QueryError::BadParameter { parameter: "limit", reason })
}

/// Where `prefix`, `start`, `end` and the cursor meet.
fn range(table: &TableDescription, read: &TableRead) -> Result<KeyRange, QueryError> {
    let (mut start, mut end) = match &read.prefix {
        Some(prefix) => {
            let (start, end) = key::prefix(table, prefix)?;
            (Some(start), Some(end))
        }
        None => (None, None),
    };
    if let Some(text) = &read.start {
        start = start.max(Some(key::bound(table, "start", text)?));
    }
    if let Some(text) = &read.end {
        end = earlier(end, key::bound(table, "end", text)?);
    }
    if let Some(text) = &read.cursor {
        let mut key = cursor::key(&table.name, text)?;
        if read.reverse {
            end = earlier(end, key);
        } else {
            // The very next key there could be.
            key.push(0);
            start = start.max(Some(key));
        }
    }
    Ok(KeyRange { start, end, reverse: read.reverse, limit: usize::MAX })
}

fn earlier(end: Option<Vec<u8>>, other: Vec<u8>) -> Option<Vec<u8>> {
    Some(match end {
        Some(end) => end.min(other),
        None => other,
    })
}

/// An entry as JSON.
pub fn shown_row(table: &str, key: &[u8], value: &[u8]) -> Result<Row, QueryError> {
    Ok(Row {
        key: state::key::shown(key).map_err(|error| unreadable(table, key, &error))?,
        value: state::value::to_json(value).map_err(|error| unreadable(table, key, &error))?,
    })
}

fn unreadable(table: &str, key: &[u8], error: &dyn std::error::Error) -> QueryError {
    QueryError::Unreadable { table: table.to_owned(), key: text(key), reason: error.to_string() }
}

/// A key in a message.
fn text(key: &[u8]) -> String {
    match state::key::shown(key) {
        Ok(key) => key.to_string(),
        Err(_) => format!("0x{}", state::key::hex(key)),
    }
}
