//! What is encoded decodes to the same, and nothing else decodes at all.

use proptest::prelude::*;

use super::*;
use crate::{
    event::{BlockBuilder, Timestamp},
    log::tests::event,
};

fn blocks() -> impl Strategy<Value = Block> {
    let events = prop::collection::vec(("[a-c]{1,3}", "[a-z]{0,9}", any::<Vec<u8>>(), any::<i64>()), 1..20);
    (1..1000u64, events).prop_map(|(first, events)| {
        let mut builder = BlockBuilder::new();
        for (position, (event_type, subject, data, recorded)) in (first..).zip(events) {
            let mut envelope = event(position, &event_type, &subject);
            envelope.tags = vec![subject; data.len() % 3];
            envelope.data = data.into();
            builder.push(position, Timestamp::from_micros(recorded), position, &envelope);
        }
        builder.build()
    })
}

fn encoded(block: &Block) -> Vec<u8> {
    let mut out = Vec::new();
    encode(block, &mut out);
    out
}

/// Puts the checksum right, so that what stands behind it is put to the test.
fn seal(bytes: &mut [u8]) {
    if bytes.len() >= HEADER {
        let checksum = checksum(bytes).to_le_bytes();
        bytes[HEADER - 8..HEADER].copy_from_slice(&checksum);
    }
}

proptest! {
    #[test]
    fn decodes_what_was_encoded(block in blocks()) {
        let decoded = decode(&encoded(&block).into(), block.first()).unwrap();
        prop_assert_eq!(&decoded.names, &block.names);
        prop_assert_eq!(&decoded.heads, &block.heads);
        prop_assert_eq!(&decoded.bytes, &block.bytes);
        prop_assert!(decode(&encoded(&block).into(), block.first() + 1).is_err());
    }

    #[test]
    fn a_flipped_bit_is_noticed(block in blocks(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut bytes = encoded(&block);
        let at = at.index(bytes.len());
        bytes[at] ^= 1u8 << bit;
        // The three bytes beside the version and the four of padding are
        // covered as well.
        prop_assert!(decode(&bytes.into(), block.first()).is_err());
    }

    #[test]
    fn nothing_panics(block in blocks(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5), cut in any::<prop::sample::Index>(), is_cut in any::<bool>()) {
        let mut bytes = encoded(&block);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        seal(&mut bytes);
        if let Ok(decoded) = decode(&bytes.into(), block.first()) {
            decoded.events().for_each(drop);
        }
    }

    #[test]
    fn noise_does_not_decode(bytes in any::<Vec<u8>>()) {
        prop_assert!(decode(&bytes.into(), 1).is_err());
    }
}
