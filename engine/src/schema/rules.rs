//! What events must fit.

use std::collections::{BTreeMap, HashMap};

use super::document::{Document, DocumentError};
use crate::{
    event::{Envelope, OWN_TYPES, cloudevents},
    log::{Fault, Misfit},
    state::SchemaRecord,
};

/// All registered schemas, as they stand at some moment.
#[derive(Default)]
pub(super) struct Rules {
    pub(super) types: HashMap<String, TypeRules>,
    /// Whether types without a schema are refused.
    pub(super) required: bool,
}

/// The schemas of a type.
#[derive(Clone, Default)]
pub(super) struct TypeRules {
    /// Whether its events must fit.
    pub(super) check: bool,
    /// By `dataschema`, which is empty for events that name none.
    pub(super) versions: BTreeMap<String, Registered>,
}

/// A registered schema.
#[derive(Clone)]
pub(super) struct Registered {
    pub(super) record: SchemaRecord,
    /// A later program might not understand what an earlier one took.
    pub(super) document: std::sync::Arc<Result<Document, DocumentError>>,
}

impl Rules {
    /// Whether there is anything to check in events.
    pub(super) fn concern(&self, events: &[Envelope]) -> bool {
        let concerned = |event: &Envelope| self.types.contains_key(&event.event_type);
        self.required || !self.types.is_empty() && events.iter().any(concerned)
    }

    /// Checks one event.
    pub(super) fn check(&self, event: &Envelope) -> Result<(), Box<Misfit>> {
        let faults = self.faults(event);
        match faults.is_empty() {
            true => Ok(()),
            false => Err(Box::new(Misfit {
                event_type: event.event_type.clone(),
                dataschema: event.dataschema().map(str::to_owned),
                faults,
            })),
        }
    }

    fn faults(&self, event: &Envelope) -> Vec<Fault> {
        match self.types.get(&event.event_type) {
            Some(rules) if rules.check => rules.faults(event),
            None if self.required && !event.event_type.starts_with(OWN_TYPES) => one(
                "/type",
                "no schema is registered for this type, and only types that have one are taken (require-schemas)",
            ),
            _ => Vec::new(),
        }
    }
}

impl TypeRules {
    fn faults(&self, event: &Envelope) -> Vec<Fault> {
        let Some(registered) = self.versions.get(event.dataschema().unwrap_or_default()) else {
            return one("/dataschema", self.unknown(event.dataschema()));
        };
        let document = match &*registered.document {
            Ok(document) => document,
            Err(error) => return one("/dataschema", error.to_string()),
        };
        let is_json = cloudevents::is_json(&event.content_type);
        let data = match event.data.is_empty() && (is_json || event.content_type.is_empty()) {
            // Of an event without data, that is its data.
            true => Ok(serde_json::Value::Null),
            false if !is_json => {
                let reason = format!("it is \"{}\", and a schema is for JSON", event.content_type);
                return one("/datacontenttype", reason);
            }
            false => serde_json::from_slice(&event.data),
        };
        match data {
            Ok(data) => document.faults(&data),
            Err(error) => one("/data", format!("it is no JSON: {error}")),
        }
    }

    /// Why there is no schema for this version.
    fn unknown(&self, dataschema: Option<&str>) -> String {
        let known: Vec<String> = self.versions.keys().map(|name| shown(name)).collect();
        let known = known.join(", ");
        match dataschema {
            Some(name) => format!("\"{name}\" is not registered for this type; registered are: {known}"),
            None => format!("it is missing; registered for this type are: {known}"),
        }
    }
}

/// A version in words.
fn shown(dataschema: &str) -> String {
    match dataschema {
        "" => "the one without a name".to_owned(),
        name => format!("\"{name}\""),
    }
}

fn one(path: &str, reason: impl Into<String>) -> Vec<Fault> {
    vec![Fault { path: path.to_owned(), reason: reason.into() }]
}
