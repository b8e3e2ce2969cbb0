//! What a plug-in says about itself: the JSON document that `describe`
//! answers. Its schema stands in `docs/reference/describe.md`.

use serde::Serialize;
use serde_json::Value;

use crate::{
    key::{Key, KeyKind},
    runner::Handlers,
};

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Description {
    pub(crate) sdk: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) summary: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) events: Option<&'static [&'static str]>,
    pub(crate) tables: Vec<TableDescription>,
    pub(crate) queries: Vec<QueryDescription>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) partition_by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on_failure: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) new_version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lane: Option<&'static str>,
}

impl Description {
    /// What projections and reactions say alike.
    pub(crate) fn of<P: Handlers>() -> Self {
        Self {
            sdk: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")),
            summary: P::SUMMARY,
            events: P::EVENTS,
            tables: P::tables(),
            queries: P::queries(),
            partition_by: None,
            on_failure: None,
            new_version: None,
            lane: None,
        }
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a description has string keys only")
    }
}

/// A table, or an index over one.
#[doc(hidden)]
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TableDescription {
    pub(crate) name: String,
    pub(crate) key: Vec<KeyKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index_of: Option<&'static str>,
}

impl TableDescription {
    pub fn table<K: Key>(name: &'static str) -> Self {
        Self { name: name.to_owned(), key: K::KINDS.to_vec(), index_of: None }
    }

    pub fn index<I: Key, K: Key>(table: &'static str, name: &'static str) -> Self {
        Self { name: format!("{table}.{name}"), key: [I::KINDS, K::KINDS].concat(), index_of: Some(table) }
    }
}

/// A query.
#[doc(hidden)]
#[derive(Serialize)]
pub struct QueryDescription {
    pub name: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub summary: &'static str,
    /// A JSON Schema.
    pub parameters: Value,
}
