//! Numbers and ids that look random but follow from the event, so that every
//! replay gets the same ones. The algorithms are fixed for good: changing them
//! would change the state that a replay arrives at.

use std::fmt;

use serde::{Serialize, Serializer};

/// Numbers that look random and are the same in every replay; see
/// [`Event::random`](crate::Event::random).
///
/// ```
/// # use projectionist_sdk::{harness::{event, Harness}, prelude::*};
/// # #[derive(Projection)]
/// # struct Draw { winners: Table<String, u64> }
/// #[projection]
/// impl Draw {
///     #[on("draw.held")]
///     fn held(&mut self, event: &Event) {
///         *self.winners.entry(event.subject()) = event.random().below(49) + 1;
///     }
/// }
/// # let mut harness = Harness::<Draw>::new();
/// # harness.event("draw.held", "a", json!(null));
/// # assert!((1..=49).contains(&harness.read(|draw| *draw.winners.get("a").unwrap())));
/// ```
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub(crate) fn new(source: &str, id: &str) -> Self {
        let hash = hash(source, id, 0);
        Self((hash >> 64) as u64 ^ hash as u64)
    }

    /// Any 64 bits (SplitMix64).
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `limit`; 0 if that is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(limit)) >> 64) as u64
    }

    /// A number from 0 up to but not including 1.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// An id derived from an event, in the form of a UUID (version 8); see
/// [`Event::uuid`](crate::Event::uuid).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    pub(crate) fn new(source: &str, id: &str, number: u64) -> Self {
        let hash = hash(source, id, number.wrapping_add(1));
        let high = mix((hash >> 64) as u64);
        let low = mix(hash as u64 ^ high);
        let bits = (u128::from(high) << 64) | u128::from(low);
        let version = (bits & !(0xf << 76)) | (8 << 76);
        Self(((version & !(0b11 << 62)) | (0b10 << 62)).to_be_bytes())
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Uuid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// FNV-1a of 128 bits over source, a zero byte, id, a zero byte and the number.
fn hash(source: &str, id: &str, number: u64) -> u128 {
    let bytes = [source.as_bytes(), &[0], id.as_bytes(), &[0], &number.to_le_bytes()];
    bytes.into_iter().flatten().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash: u128, byte| {
        (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    })
}

fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fixed for good; see the top of the file.
    #[test]
    fn never_changes() {
        let mut random = Random::new("/shop", "1");
        let numbers = [random.next_u64(), random.below(100), (random.unit() * 1e6) as u64];
        expect_test::expect!["[7701332190662956858, 58, 779874] 43b67fc6-ebf4-8f24-abc3-5dd3084758b0"]
            .assert_eq(&format!("{numbers:?} {}", Uuid::new("/shop", "1", 0)));
    }

    #[test]
    fn differs_by_event_and_number() {
        let mut all: Vec<_> = (0..100).map(|number| Uuid::new("/shop", "1", number)).collect();
        all.extend((2..100).map(|id| Uuid::new("/shop", &id.to_string(), 0)));
        all.push(Uuid::new("/sho", "p1", 0));
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|uuid| uuid.to_string().as_bytes()[14] == b'8'));
    }
}
