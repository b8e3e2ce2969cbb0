//! Schemas of events: which there are, what events must fit, who uses which version.
//!
//! - [`Schemas`] (`registry.rs`): the registered JSON Schemas of types, several versions each;
//!   a version is what events name as their `dataschema`.
//! - [`CheckedLog`] (`checked.rs`): a log that takes no event that does not fit.
//! - `rules.rs`: what an event must fit.
//! - [`Document`] (`document.rs`): one JSON Schema, compiled.
//! - [`Usage`] (`usage.rs`): how many events of a type name which version, since when and until when.
//! - [`infer`]: a schema for events that have none.
//!
//! Events without `dataschema` belong to the version without a name, the first one of a type. A
//! version can be replaced or removed until an event of it has been recorded since its
//! registration; from then on it stays, for that is what the event was checked by.
//!
//! Not here: how schemas are kept (`state`) and how events are (`log`). Events are checked by whoever
//! appends, never on the log's own thread, and nothing is ever fetched from elsewhere.

mod checked;
mod document;
pub mod infer;
mod registry;
mod rules;
#[cfg(test)]
mod tests;
mod usage;

pub use self::{
    checked::CheckedLog,
    document::{Document, DocumentError},
    registry::{Counted, Registration, SchemaError, Schemas, TypeStatus, VersionStatus},
    usage::{Usage, Use},
};
