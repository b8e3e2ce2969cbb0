//! Two versions beside one another: what new code makes of the same history.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{QueryError, table::shown_row as shown};
use crate::{
    event::Position,
    plugin::description::{Description, TableDescription},
    state::{self, Differences, RowDifference, View},
};

/// How many rows that differ are shown of each table, unless told otherwise.
pub const DEFAULT_SAMPLES: usize = 5;
/// How many can be shown; the whole list has no limit.
pub const MAX_SAMPLES: usize = 1_000;

/// What a version has folded.
#[derive(Clone, Copy)]
pub struct Folded<'a> {
    /// The version's digest, in hexadecimal.
    pub version: &'a str,
    /// Its tables.
    pub description: &'a Description,
    /// Its state.
    pub view: &'a View,
}

/// Two versions beside one another, at one position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Comparison {
    /// The position at which both were looked at.
    pub position: Position,
    /// Whether their states are the same, row by row: their digests are equal.
    pub same: bool,
    /// The first version.
    pub before: Compared,
    /// The second version.
    pub after: Compared,
    /// The tables of both, in the order of the second.
    pub tables: Vec<TableComparison>,
}

/// A version that is compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Compared {
    /// The version's digest.
    pub version: String,
    /// The digest of its state.
    pub digest: String,
    /// How many events it has folded.
    pub events: u64,
}

/// A table or an index of either version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TableComparison {
    /// Its name.
    pub name: String,
    /// The table that it is an index of, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_of: Option<String>,
    /// How many keys only the first version has.
    pub removed: u64,
    /// How many keys only the second version has.
    pub added: u64,
    /// How many keys both have, with other values.
    pub changed: u64,
    /// How many keys both have with the same value.
    pub same: u64,
    /// The first rows that differ; none of indexes.
    pub samples: Vec<RowComparison>,
}

/// A row that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RowComparison {
    /// The key: its part if it has one, else an array of them.
    pub key: Value,
    /// Its value in the first version; absent where that has no such key.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub before: Option<Value>,
    /// Its value in the second version; absent where that has no such key.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub after: Option<Value>,
}

/// A value that is there, even if it is `null`.
pub(super) fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Compares two versions at one position, with up to `samples` rows of each table. Where the
/// digests of their states are equal, no row is read.
pub fn compare(before: Folded<'_>, after: Folded<'_>, samples: usize) -> Result<Comparison, QueryError> {
    let [one, other] = [before, after].map(compared);
    let same = one.digest == other.digest;
    let table = |pair: Pair<'_>| {
        let mut shown = Vec::new();
        let counts = match same {
            true => Differences { same: pair.len(after.view)?, ..Differences::default() },
            false => pair.walk(before.view, after.view, |difference| {
                if pair.index_of.is_none() && shown.len() < samples {
                    shown.push(self::difference(pair.name, difference)?);
                }
                Ok(ControlFlow::Continue(()))
            })?,
        };
        let Differences { removed, added, changed, same } = counts;
        let index_of = pair.index_of.map(str::to_owned);
        Ok(TableComparison {
            name: pair.name.to_owned(),
            index_of,
            removed,
            added,
            changed,
            same,
            samples: shown,
        })
    };
    let tables = Pair::all(before.description, after.description).into_iter().map(table);
    let tables = tables.collect::<Result<_, QueryError>>()?;
    Ok(Comparison { position: after.view.position(), same, before: one, after: other, tables })
}

/// Shows every row that differs, with its table's name, until `visitor` breaks off. Indexes are
/// left out: they follow from the rows.
pub fn list_differences(
    before: Folded<'_>,
    after: Folded<'_>,
    mut visitor: impl FnMut(&str, RowComparison) -> ControlFlow<()>,
) -> Result<(), QueryError> {
    if compared(before).digest == compared(after).digest {
        return Ok(());
    }
    let mut flow = ControlFlow::Continue(());
    let tables = Pair::all(before.description, after.description);
    for pair in tables.into_iter().filter(|pair| pair.index_of.is_none()) {
        pair.walk(before.view, after.view, |difference| {
            flow = visitor(pair.name, self::difference(pair.name, difference)?);
            Ok(flow)
        })?;
        if flow.is_break() {
            break;
        }
    }
    Ok(())
}

/// What a version has come to.
pub fn compared(folded: Folded<'_>) -> Compared {
    let checkpoint = folded.view.checkpoint();
    let (digest, events) = (checkpoint.digest.to_string(), checkpoint.events);
    Compared { version: folded.version.to_owned(), digest, events }
}

/// A row that differs, as JSON.
pub(super) fn difference(
    table: &str,
    RowDifference { key, before, after }: RowDifference<'_>,
) -> Result<RowComparison, QueryError> {
    let value = |value: Option<&[u8]>| value.map(|value| shown(table, key, value)).transpose();
    let (before, after) = (value(before)?, value(after)?);
    let row = before.as_ref().or(after.as_ref());
    let key = row.map(|row| row.key.clone()).unwrap_or_default();
    Ok(RowComparison { key, before: before.map(|row| row.value), after: after.map(|row| row.value) })
}

/// A table by its name, and its number in either version.
struct Pair<'a> {
    name: &'a str,
    index_of: Option<&'a str>,
    before: Option<u32>,
    after: Option<u32>,
}

impl<'a> Pair<'a> {
    /// All tables of both: those of the second, then what only the first has.
    fn all(before: &'a Description, after: &'a Description) -> Vec<Self> {
        let number = |description: &Description, name: &str| {
            let place = description.tables.iter().position(|table| table.name == name);
            place.map(|place| place as u32)
        };
        let only_before = before.tables.iter().filter(|table| number(after, &table.name).is_none());
        let pair = |table: &'a TableDescription| Self {
            name: &table.name,
            index_of: table.index_of.as_deref(),
            before: number(before, &table.name),
            after: number(after, &table.name),
        };
        after.tables.iter().chain(only_before).map(pair).collect()
    }

    /// How many keys it has in the second version.
    fn len(&self, view: &View) -> Result<u64, QueryError> {
        Ok(self.after.map(|table| view.len(table)).transpose()?.unwrap_or(0))
    }

    /// Shows the rows that differ.
    fn walk(
        &self,
        before: &View,
        after: &View,
        mut visitor: impl FnMut(RowDifference<'_>) -> Result<ControlFlow<()>, QueryError>,
    ) -> Result<Differences, QueryError> {
        let mut failure = None;
        let found = state::compare((before, self.before), (after, self.after), |difference| {
            visitor(difference).unwrap_or_else(|error| {
                failure = Some(error);
                ControlFlow::Break(())
            })
        })?;
        failure.map_or(Ok(found), Err)
    }
}
