//! A hash of all of a version's entries that each change updates in place.

use std::{fmt, str::FromStr};

use xxhash_rust::xxh3::xxh3_128;

/// What a version's state adds up to: the wrapping sum, over all entries of all
/// tables, of a 128-bit hash of (table, key, value).
///
/// A sum does not depend on the order of its terms, so neither the order of
/// changes nor how they were grouped into commits matters; and a term can be
/// taken out again, so a change costs two hashes whatever the size of the state.
/// The hash (XXH3) is defined byte by byte, so it is the same on every machine.
/// It guards against accidents and non-determinism, not against an adversary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub u128);

impl Digest {
    /// The digest of a state without entries.
    pub const EMPTY: Self = Self(0);
}

/// Hashes the entries of one table, with a buffer that it uses again.
pub(crate) struct EntryHasher {
    /// The table's name behind its length, then room for an entry.
    buffer: Vec<u8>,
    table: usize,
}

impl EntryHasher {
    pub(crate) fn new(table: &str) -> Self {
        let mut buffer = Vec::with_capacity(256);
        push_with_length(&mut buffer, table.as_bytes());
        let table = buffer.len();
        Self { buffer, table }
    }

    /// The term that an entry contributes to the digest.
    pub(crate) fn hash(&mut self, key: &[u8], value: &[u8]) -> u128 {
        self.buffer.truncate(self.table);
        push_with_length(&mut self.buffer, key);
        self.buffer.extend_from_slice(value);
        xxh3_128(&self.buffer)
    }
}

/// The length in front keeps ("ab", "c") and ("a", "bc") apart.
fn push_with_length(buffer: &mut Vec<u8>, bytes: &[u8]) {
    buffer.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    buffer.extend_from_slice(bytes);
}

/// 32 hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A text that is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no state digest: it has 32 hexadecimal digits")]
pub struct NoDigest(String);

impl FromStr for Digest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NoDigest(text.to_owned()));
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| NoDigest(text.to_owned()))
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_same_on_every_machine() {
        // Fixed here for good: two machines compare digests.
        let hash = EntryHasher::new("files").hash(b"Cargo.toml", b"\x01");
        expect_test::expect!["8b889b3206b645ef2c81965365b65ecd"].assert_eq(&Digest(hash).to_string());
    }

    #[test]
    fn keeps_apart_what_only_concatenates_alike() {
        let hash = |table, key: &[u8], value: &[u8]| EntryHasher::new(table).hash(key, value);
        assert_ne!(hash("ab", b"c", b"d"), hash("a", b"bc", b"d"));
        assert_ne!(hash("a", b"bc", b"d"), hash("a", b"b", b"cd"));
    }

    #[test]
    fn reads_what_it_writes() {
        let digest = Digest(0x1234);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(serde_json::to_string(&digest).unwrap(), "\"00000000000000000000000000001234\"");
        assert!("+0000000000000000000000000001234".parse::<Digest>().is_err());
    }
}
