//! The block: consecutive events in one buffer.
//!
//! A block is `names` (each distinct type, source and content type once),
//! `heads` (one of fixed size an event) and `bytes` (everything else). The log
//! keeps blocks in this layout and plug-ins get them in this layout, so that
//! replay copies buffers and decodes nothing.

use std::{collections::HashMap, ops::Range, sync::Arc};

use bytemuck::{Pod, Zeroable};
use bytes::Bytes;
use foldhash::fast::RandomState;

use super::{Attribute, CORRELATION, DATASCHEMA, Envelope, Event, Position, Timestamp};

/// A slice of a block's `bytes`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Span {
    /// Where it starts, in bytes.
    pub offset: u32,
    /// How long it is, in bytes.
    pub length: u32,
}

/// The fixed-size part of an event: 88 bytes, little endian on disk.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Head {
    /// The event's place in the log.
    pub position: u64,
    /// When it happened, in microseconds since the Unix epoch; `recorded` where
    /// the producer did not say.
    pub time: i64,
    /// When the log recorded it.
    pub recorded: i64,
    /// Its number within its subject, from 1; 0 without a subject.
    pub version: u64,
    /// Indexes into the block's names.
    pub event_type: u32,
    /// See `event_type`.
    pub source: u32,
    /// See `event_type`; an empty name where there is no data.
    pub content_type: u32,
    /// [`Head::NO_TIME`] where the producer gave no time.
    pub flags: u32,
    /// The event's id.
    pub id: Span,
    /// Empty where there is no subject.
    pub subject: Span,
    /// The payload.
    pub data: Span,
    /// A MessagePack map of extension attributes; empty where there are none.
    pub extensions: Span,
    /// A MessagePack array of strings; empty where there are none.
    pub tags: Span,
}

impl Head {
    /// Set in `flags` where the producer gave no time.
    pub const NO_TIME: u32 = 1;
}

/// Consecutive events, or those of them that a reader asked for.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// Each distinct type, source and content type once.
    pub names: Arc<[String]>,
    /// One an event, by ascending position.
    pub heads: Arc<[Head]>,
    /// What the heads' spans point into.
    pub bytes: Bytes,
}

impl Block {
    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether it holds no event.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// The position of its first event; 0 for an empty block.
    pub fn first(&self) -> Position {
        self.heads.first().map_or(0, |head| head.position)
    }

    /// The position of its last event; 0 for an empty block.
    pub fn last(&self) -> Position {
        self.heads.last().map_or(0, |head| head.position)
    }

    /// Where in `heads` the events from one position to another are.
    pub fn between(&self, from: Position, to: Position) -> Range<usize> {
        let start = self.heads.partition_point(|head| head.position < from);
        let end = self.heads.partition_point(|head| head.position <= to);
        start..end.max(start)
    }

    /// What stands at each position, as a block of its own: most often a single event.
    pub fn by_position(&self) -> impl Iterator<Item = (Position, Self)> + '_ {
        let mut start = 0;
        std::iter::from_fn(move || {
            let position = self.heads.get(start)?.position;
            let rest = self.heads[start..].iter();
            let end = start + rest.take_while(|head| head.position == position).count();
            Some((position, self.select(std::mem::replace(&mut start, end)..end, |_| true)))
        })
    }

    /// The bytes that a span points to.
    ///
    /// # Panics
    /// If the span does not lie within the block; the log checks that when it
    /// reads a block.
    pub fn slice(&self, span: Span) -> &[u8] {
        &self.bytes[span.offset as usize..][..span.length as usize]
    }
}

impl Block {
    /// The name that a head's index stands for.
    pub fn name(&self, index: u32) -> &str {
        &self.names[index as usize]
    }

    /// Decodes one event.
    pub fn event(&self, head: &Head) -> Event {
        let text = |span| String::from_utf8_lossy(self.slice(span)).into_owned();
        let subject = text(head.subject);
        Event {
            position: head.position,
            recorded: Timestamp::from_micros(head.recorded),
            version: head.version,
            envelope: Envelope {
                id: text(head.id),
                source: self.name(head.source).to_owned(),
                event_type: self.name(head.event_type).to_owned(),
                subject: (!subject.is_empty()).then_some(subject),
                time: (head.flags & Head::NO_TIME == 0).then_some(Timestamp::from_micros(head.time)),
                content_type: self.name(head.content_type).to_owned(),
                data: self
                    .bytes
                    .slice(head.data.offset as usize..(head.data.offset + head.data.length) as usize),
                tags: self.tags(head),
                extensions: self.extensions(head),
            },
        }
    }

    /// Decodes an event's tags.
    pub fn tags(&self, head: &Head) -> Vec<String> {
        match head.tags.length {
            0 => Vec::new(),
            _ => rmp_serde::from_slice(self.slice(head.tags)).unwrap_or_default(),
        }
    }

    /// What an event belongs to: its `correlationid`.
    pub fn correlation(&self, head: &Head) -> Option<&str> {
        self.extension(head, CORRELATION)
    }

    /// The version of its type's schema that an event names: its `dataschema`.
    pub fn dataschema(&self, head: &Head) -> Option<&str> {
        self.extension(head, DATASCHEMA)
    }

    /// The extension attribute of this name, if it is text. Decodes no more than it must.
    fn extension(&self, head: &Head, wanted: &str) -> Option<&str> {
        let found = entries(self.slice(head.extensions)).find(|(name, _)| *name == wanted)?;
        rmp::decode::read_str_from_slice(found.1).ok().map(|(value, _)| value)
    }

    /// Decodes an event's extension attributes.
    pub fn extensions(&self, head: &Head) -> std::collections::BTreeMap<String, Attribute> {
        match head.extensions.length {
            0 => Default::default(),
            _ => rmp_serde::from_slice(self.slice(head.extensions)).unwrap_or_default(),
        }
    }

    /// Decodes all events, in order.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = Event> + '_ {
        self.heads.iter().map(|head| self.event(head))
    }
}

/// Extension attributes as they are encoded: each one's name, and its value with nothing behind it.
pub(super) fn entries(mut encoded: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    let count = if encoded.is_empty() { 0 } else { rmp::decode::read_map_len(&mut encoded).unwrap_or(0) };
    (0..count).map_while(move |_| {
        let (name, value) = rmp::decode::read_str_from_slice(encoded).ok()?;
        let rest = match rmp::decode::read_str_from_slice(value) {
            Ok((_, rest)) => rest,
            // No text, but an integer or a boolean.
            Err(_) => {
                let (mut integer, mut boolean) = (value, value);
                let is_integer = rmp::decode::read_int::<i64, _>(&mut integer).is_ok();
                let is_boolean = rmp::decode::read_bool(&mut boolean).is_ok();
                if is_integer { integer } else { is_boolean.then_some(boolean)? }
            }
        };
        encoded = rest;
        Some((name, &value[..value.len() - rest.len()]))
    })
}

/// Lays events out as a block.
#[derive(Default)]
pub struct BlockBuilder {
    names: Vec<String>,
    name_indexes: HashMap<String, u32, RandomState>,
    /// The type, source and content type of the last event: the next one often
    /// has the same.
    recent: [u32; 3],
    heads: Vec<Head>,
    bytes: Vec<u8>,
}

impl BlockBuilder {
    /// An empty block.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether it holds no event.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// How many bytes its events take beside their heads.
    pub fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds an event. The caller keeps `bytes` below 4 GiB.
    pub fn push(&mut self, position: Position, recorded: Timestamp, version: u64, envelope: &Envelope) {
        let head = Head {
            position,
            time: envelope.time.unwrap_or(recorded).as_micros(),
            recorded: recorded.as_micros(),
            version,
            event_type: self.name(0, &envelope.event_type),
            source: self.name(1, &envelope.source),
            content_type: self.name(2, &envelope.content_type),
            flags: if envelope.time.is_none() { Head::NO_TIME } else { 0 },
            id: self.span(envelope.id.as_bytes()),
            subject: self.span(envelope.subject.as_deref().unwrap_or_default().as_bytes()),
            data: self.span(&envelope.data),
            extensions: self.encoded(envelope.extensions.is_empty(), &envelope.extensions),
            tags: self.encoded(envelope.tags.is_empty(), &envelope.tags),
        };
        self.heads.push(head);
    }

    /// Adds the event of another block that `head` describes.
    pub fn copy(&mut self, block: &Block, head: &Head) {
        let head = Head {
            event_type: self.name(0, block.name(head.event_type)),
            source: self.name(1, block.name(head.source)),
            content_type: self.name(2, block.name(head.content_type)),
            id: self.span(block.slice(head.id)),
            subject: self.span(block.slice(head.subject)),
            data: self.span(block.slice(head.data)),
            extensions: self.span(block.slice(head.extensions)),
            tags: self.span(block.slice(head.tags)),
            ..*head
        };
        self.heads.push(head);
    }

    /// The finished block.
    pub fn build(self) -> Block {
        Block { names: self.names.into(), heads: self.heads.into(), bytes: self.bytes.into() }
    }

    /// The index of a name; `role` is its place in `recent`.
    fn name(&mut self, role: usize, name: &str) -> u32 {
        let recent = self.recent[role];
        if self.names.get(recent as usize).is_some_and(|recent| recent == name) {
            return recent;
        }
        let index = match self.name_indexes.get(name) {
            Some(index) => *index,
            None => {
                let index = self.names.len() as u32;
                self.names.push(name.to_owned());
                self.name_indexes.insert(name.to_owned(), index);
                index
            }
        };
        self.recent[role] = index;
        index
    }

    fn span(&mut self, bytes: &[u8]) -> Span {
        let offset = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        Span { offset, length: bytes.len() as u32 }
    }

    fn encoded<T: serde::Serialize>(&mut self, empty: bool, value: &T) -> Span {
        if empty {
            return Span::default();
        }
        let offset = self.bytes.len();
        rmp_serde::encode::write(&mut self.bytes, value)
            .expect("strings, integers and booleans always encode");
        Span { offset: offset as u32, length: (self.bytes.len() - offset) as u32 }
    }
}
