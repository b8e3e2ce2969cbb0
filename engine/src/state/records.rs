//! Keys with their values, in chunks that never move.

/// Where a record lies: its chunk, and how many units into it.
#[derive(Clone, Copy)]
pub(super) struct Address(u32);

/// Records with keys and values of more bytes have a chunk of their own.
const CHUNK: usize = 1 << 20;
/// Records begin at multiples of so many bytes.
const UNIT: usize = 8;
/// How many units a chunk has that is not a record's own.
const UNITS: u32 = (CHUNK / UNIT) as u32;

/// How long the key is and the value, as two `u32`. The key and the value follow,
/// and what is left of the last unit.
const HEADER: usize = 8;
/// In place of a value's length: there is none.
const REMOVED: u32 = u32::MAX;

/// Keys, each with a value or the word that it has been removed.
#[derive(Default)]
pub(super) struct Records {
    /// Fewer than 2^15: what is not committed yet is at most a few gigabytes, and
    /// of two neighbouring chunks at most one is less than half full.
    chunks: Vec<Vec<u8>>,
    bytes: usize,
}

impl Records {
    /// Adds a record.
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> Address {
        let length = HEADER + key.len() + value.map_or(0, |value| room(value.len()));
        let length = length.next_multiple_of(UNIT);
        if self.chunks.last().is_none_or(|last| last.len() + length > CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK.max(length)));
        }
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        let start = chunk.len();
        chunk.extend_from_slice(&(key.len() as u32).to_ne_bytes());
        chunk.extend_from_slice(&value.map_or(REMOVED, |value| value.len() as u32).to_ne_bytes());
        chunk.extend_from_slice(key);
        chunk.extend_from_slice(value.unwrap_or_default());
        chunk.resize(start + length, 0);
        self.bytes += length;
        Address(number as u32 * UNITS + (start / UNIT) as u32)
    }

    /// Puts another value into a record; `false`: it does not take the same room.
    pub(super) fn replace(&mut self, address: Address, value: Option<&[u8]>) -> bool {
        let (start, [key, old]) = (address.start(), self.lengths(address));
        let chunk = &mut self.chunks[address.chunk()][start..];
        let new = value.map_or(REMOVED, |value| value.len() as u32);
        if let Some(value) = value {
            if old == REMOVED || room(old as usize) != room(value.len()) {
                return false;
            }
            chunk[HEADER + key as usize..][..value.len()].copy_from_slice(value);
        }
        chunk[4..8].copy_from_slice(&new.to_ne_bytes());
        true
    }

    pub(super) fn key(&self, address: Address) -> &[u8] {
        let [key, _] = self.lengths(address);
        &self.at(address)[HEADER..][..key as usize]
    }

    /// A key, and its value if it was not removed.
    pub(super) fn get(&self, address: Address) -> (&[u8], Option<&[u8]>) {
        let [key, value] = self.lengths(address);
        let (key, rest) = self.at(address)[HEADER..].split_at(key as usize);
        (key, (value != REMOVED).then(|| &rest[..value as usize]))
    }

    /// How many bytes all of them take, those included that are not used any more.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn at(&self, address: Address) -> &[u8] {
        &self.chunks[address.chunk()][address.start()..]
    }

    /// Of the key and the value.
    fn lengths(&self, address: Address) -> [u32; 2] {
        bytemuck::pod_read_unaligned(&self.at(address)[..HEADER])
    }
}

impl Address {
    fn chunk(self) -> usize {
        (self.0 / UNITS) as usize
    }

    fn start(self) -> usize {
        (self.0 % UNITS) as usize * UNIT
    }
}

/// How many bytes a value of a length is given, so that others of about its length
/// find room in its place.
fn room(length: usize) -> usize {
    length.next_multiple_of(UNIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_replaced_where_they_find_room() {
        let mut records = Records::default();
        let (short, gone) = (records.push(b"short", Some(b"value")), records.push(b"gone", None));
        assert_eq!(records.get(short), (&b"short"[..], Some(&b"value"[..])));
        assert!(records.replace(short, Some(b"longer")) && records.replace(short, Some(b"too long")));
        assert!(!records.replace(short, Some(b"much too long")));
        assert_eq!(records.get(short), (&b"short"[..], Some(&b"too long"[..])));
        assert!(records.replace(short, None) && !records.replace(short, Some(b"again")));
        assert_eq!((records.get(short).1, records.get(gone)), (None, (&b"gone"[..], None)));
    }

    #[test]
    fn large_records_have_chunks_of_their_own() {
        let mut records = Records::default();
        let sizes = [0, 1, CHUNK / 3, CHUNK / 2, CHUNK, 3 * CHUNK, 5, CHUNK - HEADER, 9];
        let value = |size: usize| vec![size as u8; size];
        let addresses = sizes.map(|size| records.push(&size.to_be_bytes(), Some(&value(size))));
        for (size, address) in sizes.into_iter().zip(addresses) {
            assert_eq!(records.get(address), (&size.to_be_bytes()[..], Some(&value(size)[..])));
        }
        assert!(records.bytes() >= sizes.iter().sum());
    }
}
