//! Events for tests, and the block that they travel in.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::Value;

use crate::{
    Timestamp,
    event::{Block, Head, Span},
};

/// An event of this type, for [`Harness::fold`](super::Harness::fold).
///
/// ```
/// use projectionist_sdk::{harness::event, json};
///
/// let event = event("order.placed")
///     .subject("order-7")
///     .data(json!({"amount": 12}))
///     .time("2024-05-01T10:00:00Z")
///     .tag("customer:ann");
/// ```
pub fn event(event_type: &str) -> GivenEvent {
    GivenEvent {
        event_type: event_type.to_owned(),
        source: "/test".to_owned(),
        id: None,
        subject: String::new(),
        time: None,
        recorded: None,
        content_type: String::new(),
        data: Vec::new(),
        tags: Vec::new(),
        extensions: BTreeMap::new(),
    }
}

/// An event for a test; see [`event`].
#[derive(Clone, Debug)]
pub struct GivenEvent {
    event_type: String,
    source: String,
    id: Option<String>,
    subject: String,
    time: Option<Timestamp>,
    recorded: Option<Timestamp>,
    content_type: String,
    data: Vec<u8>,
    tags: Vec<String>,
    extensions: BTreeMap<String, Value>,
}

#[track_caller]
fn time(text: &str) -> Timestamp {
    match text.parse() {
        Ok(time) => time,
        Err(error) => panic!("{error}"),
    }
}

impl GivenEvent {
    /// What it is about.
    pub fn subject(mut self, subject: &str) -> Self {
        self.subject = subject.to_owned();
        self
    }

    pub(super) fn about(&self) -> &str {
        &self.subject
    }

    /// JSON data.
    pub fn data(self, data: Value) -> Self {
        self.bytes("application/json", data.to_string())
    }

    /// MessagePack data.
    ///
    /// # Panics
    /// If the data cannot be serialized.
    pub fn message_pack(self, data: impl Serialize) -> Self {
        self.bytes("application/msgpack", rmp_serde::to_vec_named(&data).expect("the data can be serialized"))
    }

    /// Any data.
    pub fn bytes(mut self, content_type: &str, data: impl Into<Vec<u8>>) -> Self {
        self.content_type = content_type.to_owned();
        self.data = data.into();
        self
    }

    /// Its id; the number of the event unless told otherwise.
    pub fn id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// Who it comes from; `/test` unless told otherwise.
    pub fn source(mut self, source: &str) -> Self {
        self.source = source.to_owned();
        self
    }

    /// When it happened, in RFC 3339; when it was recorded unless told otherwise.
    ///
    /// # Panics
    /// If the text is no time.
    #[track_caller]
    pub fn time(mut self, text: &str) -> Self {
        self.time = Some(time(text));
        self
    }

    /// When it was recorded, in RFC 3339; when it happened unless told
    /// otherwise.
    ///
    /// # Panics
    /// If the text is no time.
    #[track_caller]
    pub fn recorded(mut self, text: &str) -> Self {
        self.recorded = Some(time(text));
        self
    }

    /// A string by which it can be selected; may be called several times.
    pub fn tag(mut self, tag: &str) -> Self {
        self.tags.push(tag.to_owned());
        self
    }

    /// An extension attribute: a string, an integer or a boolean.
    pub fn extension(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extensions.insert(name.to_owned(), value.into());
        self
    }

    /// What it belongs to: the extension attribute `correlationid`.
    pub fn correlation(self, id: &str) -> Self {
        self.extension("correlationid", id)
    }

    /// What brought it about: the extension attribute `causationid`.
    pub fn causation(self, id: &str) -> Self {
        self.extension("causationid", id)
    }
}

/// The block that is being filled.
#[derive(Default)]
pub(super) struct Pending {
    names: Vec<String>,
    heads: Vec<Head>,
    bytes: Vec<u8>,
    position: u64,
    versions: HashMap<String, u64>,
}

impl Pending {
    pub(super) fn push(&mut self, event: &GivenEvent) {
        self.position += 1;
        let version = match event.subject.as_str() {
            "" => 0,
            subject => {
                let version = self.versions.entry(subject.to_owned()).or_default();
                *version += 1;
                *version
            }
        };
        let recorded = event.recorded.or(event.time).unwrap_or_default();
        let id = event.id.clone().unwrap_or_else(|| self.position.to_string());
        let head = Head {
            position: self.position,
            time: event.time.unwrap_or(recorded).as_micros(),
            recorded: recorded.as_micros(),
            version,
            type_: self.name(&event.event_type),
            source: self.name(&event.source),
            content_type: self.name(&event.content_type),
            id: self.span(id.as_bytes()),
            subject: self.span(event.subject.as_bytes()),
            data: self.span(&event.data),
            extensions: self.encoded(event.extensions.is_empty(), &event.extensions),
            tags: self.encoded(event.tags.is_empty(), &event.tags),
        };
        self.heads.push(head);
    }

    pub(super) fn len(&self) -> usize {
        self.heads.len()
    }

    pub(super) fn block(&self) -> Block<'_> {
        Block { names: &self.names, heads: &self.heads, bytes: &self.bytes }
    }

    pub(super) fn event_type(&self, position: u64) -> &str {
        let head = self.heads.iter().find(|head| head.position == position);
        head.map_or("", |head| &self.names[head.type_ as usize])
    }

    /// Begins the next block.
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.heads.clear();
        self.bytes.clear();
    }

    fn name(&mut self, name: &str) -> u32 {
        let found = self.names.iter().position(|other| other == name);
        let index = found.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        index as u32
    }

    fn span(&mut self, bytes: &[u8]) -> Span {
        let offset = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        Span { offset, length: bytes.len() as u32 }
    }

    fn encoded(&mut self, empty: bool, value: &impl Serialize) -> Span {
        if empty {
            return Span::default();
        }
        let bytes = rmp_serde::to_vec(value).expect("strings, integers and booleans can be serialized");
        self.span(&bytes)
    }
}
