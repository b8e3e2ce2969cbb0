//! An event as a handler sees it: borrowed from the block that it came in.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::{Random, Timestamp, Uuid, payload};

#[cfg(target_family = "wasm")]
pub(crate) use crate::component::bindings::plugin::projectionist::plugin::events::{Head, Span};
#[cfg(not(target_family = "wasm"))]
pub(crate) use native::{Head, Span};

/// The same records as in `wit/`, for native builds.
#[cfg(not(target_family = "wasm"))]
mod native {
    #[derive(Clone, Copy, Debug, Default)]
    pub(crate) struct Span {
        pub(crate) offset: u32,
        pub(crate) length: u32,
    }

    #[derive(Clone, Copy, Debug, Default)]
    pub(crate) struct Head {
        pub(crate) position: u64,
        pub(crate) time: i64,
        pub(crate) recorded: i64,
        pub(crate) version: u64,
        pub(crate) type_: u32,
        pub(crate) source: u32,
        pub(crate) content_type: u32,
        pub(crate) id: Span,
        pub(crate) subject: Span,
        pub(crate) data: Span,
        pub(crate) extensions: Span,
        pub(crate) tags: Span,
    }
}

/// Consecutive events in one buffer.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    pub(crate) names: &'a [String],
    pub(crate) heads: &'a [Head],
    pub(crate) bytes: &'a [u8],
}

/// An event that a projection folds. Costs nothing to get: it points into the
/// block that the event came in, and decodes a part when asked for it.
///
/// ```
/// # use projectionist_sdk::{harness::{event, Harness}, prelude::*};
/// # #[derive(Projection)]
/// # struct Late { orders: Table<String, u64> }
/// #[projection]
/// impl Late {
///     #[on("order.placed")]
///     fn placed(&mut self, event: &Event) {
///         if event.lateness().as_secs() > 60 {
///             *self.orders.entry(event.subject()) += 1;
///         }
///     }
/// }
/// # let mut harness = Harness::<Late>::new();
/// # harness.fold(event("order.placed").subject("7").time("2024-05-01T10:00:00Z").recorded("2024-05-01T10:02:00Z"));
/// # assert!(harness.read(|late| late.orders.contains("7")));
/// ```
#[derive(Clone, Copy)]
pub struct Event<'a> {
    block: Block<'a>,
    head: &'a Head,
}

impl<'a> Event<'a> {
    pub(crate) fn new(block: Block<'a>, head: &'a Head) -> Self {
        Self { block, head }
    }

    fn slice(&self, span: Span) -> &'a [u8] {
        &self.block.bytes[span.offset as usize..][..span.length as usize]
    }

    fn text(&self, span: Span) -> &'a str {
        // SAFETY: the interface promises UTF-8 where it speaks of text.
        #[allow(unsafe_code, reason = "to check it again for every event takes as long as finding its row")]
        unsafe {
            std::str::from_utf8_unchecked(self.slice(span))
        }
    }

    fn name(&self, index: u32) -> &'a str {
        &self.block.names[index as usize]
    }

    /// Its place in the log; the first event is at 1.
    pub fn position(&self) -> u64 {
        self.head.position
    }

    /// When it happened, as its producer says; [`recorded`](Self::recorded)
    /// where the producer did not say. Events need not be in the order of their
    /// times.
    pub fn time(&self) -> Timestamp {
        Timestamp::from_micros(self.head.time)
    }

    /// When the log recorded it.
    pub fn recorded(&self) -> Timestamp {
        Timestamp::from_micros(self.head.recorded)
    }

    /// How long after it happened the log recorded it; zero if the producer's
    /// clock was ahead.
    pub fn lateness(&self) -> Duration {
        self.recorded().since(self.time())
    }

    /// What kind of fact it is, as `git.file.modified`.
    pub fn event_type(&self) -> &'a str {
        self.name(self.head.type_)
    }

    /// Who it comes from, a URI reference.
    pub fn source(&self) -> &'a str {
        self.name(self.head.source)
    }

    /// Its id, unique within its source.
    pub fn id(&self) -> &'a str {
        self.text(self.head.id)
    }

    /// What it is about; empty where the event has no subject.
    pub fn subject(&self) -> &'a str {
        self.text(self.head.subject)
    }

    /// Its number among the events of its subject, from 1; 0 without a subject.
    pub fn version(&self) -> u64 {
        self.head.version
    }

    /// The strings by which it can be selected.
    pub fn tags(&self) -> Vec<&'a str> {
        match self.head.tags.length {
            0 => Vec::new(),
            _ => {
                rmp_serde::from_slice(self.slice(self.head.tags)).expect("the host sends an array of strings")
            }
        }
    }

    /// A CloudEvents extension attribute.
    pub fn extension(&self, name: &str) -> Option<Attribute<'a>> {
        if self.head.extensions.length == 0 {
            return None;
        }
        let extensions: BTreeMap<&str, Attribute<'a>> =
            rmp_serde::from_slice(self.slice(self.head.extensions))
                .expect("the host sends a map of attributes");
        extensions.get(name).copied()
    }

    /// The extension attribute `correlationid`: what the event belongs to.
    pub fn correlation(&self) -> Option<&'a str> {
        self.extension("correlationid").and_then(Attribute::as_str)
    }

    /// The extension attribute `dataschema`: by which version of its type's schema it is
    /// written.
    pub fn dataschema(&self) -> Option<&'a str> {
        self.extension("dataschema").and_then(Attribute::as_str)
    }

    /// The extension attribute `causationid`: what brought the event about.
    pub fn causation(&self) -> Option<&'a str> {
        self.extension("causationid").and_then(Attribute::as_str)
    }

    /// The media type of its data; empty where it has none.
    pub fn content_type(&self) -> &'a str {
        self.name(self.head.content_type)
    }

    /// Its data as the producer sent them.
    pub fn data(&self) -> &'a [u8] {
        self.slice(self.head.data)
    }

    /// Its data, decoded from JSON or MessagePack by the content type. A
    /// handler's third argument is the shorter way.
    ///
    /// ```
    /// # use projectionist_sdk::{harness::{event, Harness}, prelude::*};
    /// # #[derive(Projection)]
    /// # struct Latest { data: Table<String, Value> }
    /// #[projection]
    /// impl Latest {
    ///     #[on_any]
    ///     fn any(&mut self, event: &Event) {
    ///         if let Ok(data) = event.decode::<Value>() {
    ///             self.data.insert(event.subject(), data);
    ///         }
    ///     }
    /// }
    /// # let mut harness = Harness::<Latest>::new();
    /// # harness.event("x", "a", json!([1, "two"]));
    /// # assert_eq!(harness.rows("data"), [(json!("a"), json!([1, "two"]))]);
    /// ```
    ///
    /// # Errors
    /// If the data are not of that form, or of another content type.
    pub fn decode<T: Deserialize<'a>>(&self) -> Result<T, DataError> {
        payload::decode(self.content_type(), self.data())
            .map_err(|reason| DataError { event_type: self.event_type().to_owned(), reason })
    }

    /// Numbers that look random and follow from the event's source and id, so
    /// that every replay gets the same ones.
    pub fn random(&self) -> Random {
        Random::new(self.source(), self.id())
    }

    /// An id that follows from the event's source and id and the given number,
    /// so that every replay gets the same one.
    pub fn uuid(&self, number: u64) -> Uuid {
        Uuid::new(self.source(), self.id(), number)
    }
}

/// The value of a CloudEvents extension attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute<'a> {
    /// A CloudEvents Boolean.
    Boolean(bool),
    /// A CloudEvents Integer.
    Integer(i64),
    /// A CloudEvents String, URI, Timestamp or Binary (in base64).
    String(&'a str),
}

impl<'a> Attribute<'a> {
    /// The text, if it is one.
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Self::String(text) => Some(text),
            Self::Boolean(_) | Self::Integer(_) => None,
        }
    }

    /// The number, if it is one.
    pub fn as_integer(self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(number),
            Self::Boolean(_) | Self::String(_) => None,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Attribute<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Attribute<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string, an integer or a boolean")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Attribute::Boolean(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Attribute::Integer(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
                value.try_into().map(Attribute::Integer).map_err(E::custom)
            }

            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
                Ok(Attribute::String(value))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// Why an event's data could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataError {
    event_type: String,
    reason: String,
}

impl std::fmt::Display for DataError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the data of `{}` cannot be read: {}", self.event_type, self.reason)
    }
}

impl std::error::Error for DataError {}
