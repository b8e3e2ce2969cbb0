//! Events: what they consist of and how they travel.
//!
//! - [`Envelope`]: a CloudEvents 1.0 event as its producer sends it.
//! - [`Event`]: the same once the log has recorded it.
//! - [`Block`] (`block.rs`): some hundreds to thousands of consecutive events
//!   in one buffer, as the log keeps them and as a plug-in gets them.
//! - `select.rs`: choosing some of a block's events.
//! - [`Partition`] (`partition.rs`): which events go together when a log is
//!   folded in parts.
//! - [`Timestamp`] (`time.rs`): microseconds since the Unix epoch.
//! - [`cloudevents`]: the JSON format of CloudEvents, in and out.
//! - [`EnvelopeError`] (`validate.rs`): the rules of an envelope.
//!
//! Not here: where events are kept (`log`), and the HTTP forms of CloudEvents,
//! which are headers and bodies (`http`).

mod block;
pub mod cloudevents;
mod partition;
mod reshape;
mod select;
mod time;
mod validate;

use std::{collections::BTreeMap, fmt};

pub use block::{Block, BlockBuilder, Head, Span};
use bytes::Bytes;
pub use partition::Partition;
pub use reshape::{Reshaping, Shape};
pub use time::Timestamp;
pub use validate::{EnvelopeError, MAX_TAG_BYTES};

/// An event's place in the log. The first is at 1; there are no gaps, and a
/// position is never reused. 0 stands for "before the first event".
pub type Position = u64;

/// A CloudEvents 1.0 event as its producer sends it.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// Unique within the source.
    pub id: String,
    /// Who it comes from, a URI reference.
    pub source: String,
    /// What kind of fact it is (`git.file.modified`).
    pub event_type: String,
    /// What it is about; versions are counted per subject.
    pub subject: Option<String>,
    /// When it happened, as the producer says.
    pub time: Option<Timestamp>,
    /// The media type of `data`; empty when there is no data.
    pub content_type: String,
    /// The payload, byte for byte. JSON is kept as it was written.
    pub data: Bytes,
    /// Strings by which appends and reads can select the event.
    pub tags: Vec<String>,
    /// CloudEvents extension attributes, `dataschema` among them: strings,
    /// integers or booleans.
    pub extensions: BTreeMap<String, Attribute>,
}

/// The extension attribute that says to which event, by its id, all goes back that
/// led to this one.
pub const CORRELATION: &str = "correlationid";

/// The extension attribute that says by its URI which version of its type's schema an event
/// is written by.
pub const DATASCHEMA: &str = "dataschema";

/// What the types of the engine's own events begin with.
pub const OWN_TYPES: &str = "projectionist.";

/// The type of the events that reactions' timers become when they are due.
pub const TIMER_DUE: &str = "projectionist.timer.due";

/// The extension attribute that says which event, by its id, led to this one.
pub const CAUSATION: &str = "causationid";

/// The value of a CloudEvents extension attribute.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
pub enum Attribute {
    /// A CloudEvents Boolean.
    Boolean(bool),
    /// A CloudEvents Integer.
    Integer(i64),
    /// A CloudEvents String, URI, Timestamp or Binary (in base64).
    String(String),
}

/// The form that HTTP headers carry: `true`, `42`, `text`.
impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::String(value) => value.fmt(f),
        }
    }
}

/// By hand, because the derived form tries one variant after the other and
/// makes an error message for each that does not fit.
impl<'de> serde::Deserialize<'de> for Attribute {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AttributeVisitor)
    }
}

struct AttributeVisitor;

impl serde::de::Visitor<'_> for AttributeVisitor {
    type Value = Attribute;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, an integer or a boolean")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Attribute, E> {
        Ok(Attribute::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Attribute, E> {
        Ok(Attribute::Integer(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Attribute, E> {
        let too_large = |_| E::invalid_value(serde::de::Unexpected::Unsigned(value), &self);
        i64::try_from(value).map(Attribute::Integer).map_err(too_large)
    }

    fn visit_str<E>(self, value: &str) -> Result<Attribute, E> {
        Ok(Attribute::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Attribute, E> {
        Ok(Attribute::String(value))
    }
}

impl Envelope {
    /// The version of its type's schema that it names.
    pub fn dataschema(&self) -> Option<&str> {
        match self.extensions.get(DATASCHEMA) {
            Some(Attribute::String(uri)) => Some(uri),
            _ => None,
        }
    }
}

/// An event that the log has recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its place in the log.
    pub position: Position,
    /// When the log recorded it.
    pub recorded: Timestamp,
    /// Its number within its subject, from 1; 0 without a subject.
    pub version: u64,
    /// What the producer sent.
    pub envelope: Envelope,
}
