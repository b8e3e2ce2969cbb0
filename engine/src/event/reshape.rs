//! A block whose events get another shape.
//!
//! What they keep stays where it is: the bytes of the old block are copied as a whole, and what is
//! new stands behind them.

use super::{Block, DATASCHEMA, Head, Span, block::entries, cloudevents::DEFAULT_CONTENT_TYPE};

/// The shape that an event gets; all else it keeps.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// Its type.
    pub event_type: &'a str,
    /// The version of its type's schema that it names; none: it names none.
    pub dataschema: Option<&'a str>,
    /// Its data, where they stand in what was added; none: they stay as they are.
    pub data: Option<Span>,
}

/// Makes a block of the events of another one, of which some get another shape.
pub struct Reshaping<'a> {
    block: &'a Block,
    names: Vec<String>,
    heads: Vec<Head>,
    bytes: Vec<u8>,
}

impl<'a> Reshaping<'a> {
    /// Of this block; no event is in the new one yet.
    pub fn new(block: &'a Block) -> Self {
        // Twice as much, for the new data.
        let mut bytes = Vec::with_capacity(block.bytes.len() * 2);
        bytes.extend_from_slice(&block.bytes);
        Self { block, names: block.names.to_vec(), heads: Vec::with_capacity(block.len()), bytes }
    }

    /// Adds bytes that new data point into; answers where they begin. The caller keeps all of them
    /// below 4 GiB.
    pub fn add(&mut self, bytes: &[u8]) -> u32 {
        let offset = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        offset
    }

    /// The event comes next, as it is.
    pub fn keep(&mut self, head: &Head) {
        self.heads.push(*head);
    }

    /// The event comes next, in another shape.
    pub fn reshape(&mut self, head: &Head, shape: Shape<'_>) {
        let Shape { event_type, dataschema, data } = shape;
        let data = data.unwrap_or(head.data);
        let content_type = match self.block.name(head.content_type) {
            "" if data.length > 0 => self.name(head.content_type, DEFAULT_CONTENT_TYPE),
            _ => head.content_type,
        };
        let extensions = match self.block.dataschema(head) == dataschema {
            true => head.extensions,
            false => self.extensions(head, dataschema),
        };
        let event_type = self.name(head.event_type, event_type);
        self.heads.push(Head { event_type, content_type, data, extensions, ..*head });
    }

    /// The finished block.
    pub fn build(self) -> Block {
        Block { names: self.names.into(), heads: self.heads.into(), bytes: self.bytes.into() }
    }

    /// The index of a name, which is perhaps the one at `likely`.
    fn name(&mut self, likely: u32, name: &str) -> u32 {
        if self.names[likely as usize] == name {
            return likely;
        }
        // New ones are few, and stand at the end.
        let known = self.names.iter().rposition(|known| known == name);
        let index = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        index as u32
    }

    /// The event's extension attributes with another `dataschema`, or none, in the order of their names.
    fn extensions(&mut self, head: &Head, dataschema: Option<&str>) -> Span {
        let encoded = self.block.slice(head.extensions);
        let others = || entries(encoded).filter(|(name, _)| *name != DATASCHEMA);
        let count = others().count() + usize::from(dataschema.is_some());
        if count == 0 {
            return Span::default();
        }
        let offset = self.bytes.len();
        let bytes = &mut self.bytes;
        rmp::encode::write_map_len(bytes, count as u32).expect(WRITTEN);
        put(bytes, others().filter(|(name, _)| *name < DATASCHEMA));
        if let Some(uri) = dataschema {
            rmp::encode::write_str(bytes, DATASCHEMA).expect(WRITTEN);
            rmp::encode::write_str(bytes, uri).expect(WRITTEN);
        }
        put(bytes, others().filter(|(name, _)| *name > DATASCHEMA));
        Span { offset: offset as u32, length: (bytes.len() - offset) as u32 }
    }
}

const WRITTEN: &str = "a vector takes all that is written";

/// Writes extension attributes whose values are encoded already.
fn put<'a>(bytes: &mut Vec<u8>, all: impl Iterator<Item = (&'a str, &'a [u8])>) {
    for (name, value) in all {
        rmp::encode::write_str(bytes, name).expect(WRITTEN);
        bytes.extend_from_slice(value);
    }
}
