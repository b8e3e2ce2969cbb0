//! A block as bytes on disk: a header, the names, the heads as they lie in
//! memory, the bytes. What comes back is checked in every respect, so that
//! [`Block::slice`] can't panic and a flipped bit is never taken for data.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::event::{Block, Head, Position, Span};

#[cfg(target_endian = "big")]
compile_error!("blocks are little endian on disk and in plug-ins; heads would have to be swapped here");

/// The only version of this layout so far.
const VERSION: u8 = 1;

/// Version and three bytes of zero, number of events, number of names, bytes of
/// names, bytes; then a checksum of all that and of what follows.
const HEADER: usize = 5 * 4 + 4 + 8;

/// Appends a block's encoding.
pub(super) fn encode(block: &Block, out: &mut Vec<u8>) {
    let start = out.len();
    let names: usize = block.names.iter().map(|name| 4 + name.len()).sum();
    let heads: &[u8] = bytemuck::cast_slice(&block.heads);
    out.reserve(HEADER + names + heads.len() + block.bytes.len());
    for number in [
        u32::from(VERSION),
        count(block.len()),
        count(block.names.len()),
        count(names),
        count(block.bytes.len()),
        0,
    ] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&[0; 8]);
    for name in block.names.iter() {
        out.extend_from_slice(&count(name.len()).to_le_bytes());
        out.extend_from_slice(name.as_bytes());
    }
    out.extend_from_slice(heads);
    out.extend_from_slice(&block.bytes);
    let checksum = checksum(&out[start..]);
    out[start + HEADER - 8..start + HEADER].copy_from_slice(&checksum.to_le_bytes());
}

fn count(length: usize) -> u32 {
    u32::try_from(length).expect("the log's settings keep blocks far below 4 GiB")
}

fn checksum(encoded: &[u8]) -> u64 {
    // The header's part is short and goes in as a seed-like suffix.
    xxh3_64(&encoded[HEADER..]) ^ xxh3_64(&encoded[..HEADER - 8]).rotate_left(1)
}

/// Reads a block whose first event must stand at `first`. The error says what
/// is wrong with it. The block's bytes stay where they are.
pub(super) fn decode(encoded: &Bytes, first: Position) -> Result<Block, String> {
    let block = decode_some(encoded, first)?;
    match block.heads.iter().zip(0..).find(|(head, index)| first.checked_add(*index) != Some(head.position)) {
        None => Ok(block),
        Some((head, index)) => Err(format!("event {index} claims position {}", head.position)),
    }
}

/// Reads some events of a block that begins at `first`.
pub(super) fn decode_some(encoded: &Bytes, first: Position) -> Result<Block, String> {
    let mut reader = Reader { rest: encoded };
    let version = reader.number()?;
    if version != u32::from(VERSION) {
        return Err(format!("its layout has version {version}, this program reads version {VERSION}"));
    }
    let [events, names, name_bytes, bytes] =
        [reader.number()?, reader.number()?, reader.number()?, reader.number()?]
            .map(|number| number as usize);
    reader.take(4 + 8)?;
    let expected =
        (HEADER as u64) + name_bytes as u64 + events as u64 * size_of::<Head>() as u64 + bytes as u64;
    if expected != encoded.len() as u64 {
        return Err(format!("it has {} bytes and should have {expected}", encoded.len()));
    }
    if encoded[HEADER - 8..HEADER] != checksum(encoded).to_le_bytes() {
        return Err("its checksum does not match".to_owned());
    }
    let mut name_reader = Reader { rest: reader.take(name_bytes)? };
    let mut decoded_names = Vec::new();
    for _ in 0..names {
        let length = name_reader.number()? as usize;
        let name = std::str::from_utf8(name_reader.take(length)?).map_err(|_| "a name is not UTF-8")?;
        decoded_names.push(name.to_owned());
    }
    let heads = reader.take(events * size_of::<Head>())?;
    let block = Block {
        names: decoded_names.into(),
        heads: heads.chunks_exact(size_of::<Head>()).map(bytemuck::pod_read_unaligned).collect(),
        bytes: encoded.slice_ref(reader.rest),
    };
    check(&block, first)?;
    Ok(block)
}

/// Checks that positions ascend and that every reference leads somewhere.
fn check(block: &Block, first: Position) -> Result<(), String> {
    let (names, bytes) = (block.names.len(), block.bytes.len() as u64);
    let inside = |span: Span| u64::from(span.offset) + u64::from(span.length) <= bytes;
    let mut least = first;
    for head in block.heads.iter() {
        if head.position < least {
            return Err(format!(
                "an event that comes after position {least} claims position {}",
                head.position
            ));
        }
        least = head.position.saturating_add(1);
        if [head.event_type, head.source, head.content_type].iter().any(|name| *name as usize >= names) {
            return Err(format!("the event at position {} has a name that is not there", head.position));
        }
        if ![head.id, head.subject, head.data, head.extensions, head.tags].into_iter().all(inside) {
            return Err(format!("the event at position {} reaches beyond the block", head.position));
        }
    }
    if block.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(())
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or("it is cut off")?;
        self.rest = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, String> {
        Ok(bytemuck::pod_read_unaligned(self.take(4)?))
    }
}
