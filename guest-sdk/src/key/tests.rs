use foundationdb_tuple::{Bytes, Element, pack, unpack};
use proptest::prelude::*;

use super::*;
use crate::{Date, Timestamp};

fn encoded<K: Key + AsKey<K>>(key: &K) -> Vec<u8> {
    let mut bytes = Vec::new();
    key.encode(&mut bytes);
    bytes
}

#[track_caller]
fn round_trip<K: Key + AsKey<K> + PartialEq + fmt::Debug>(key: K) {
    assert_eq!(decode::<K>(&encoded(&key)), Ok(key));
}

proptest! {
    /// The encoding is FoundationDB's, as their own crate writes it, and comes
    /// back as it went.
    #[test]
    fn is_foundationdbs(text in ".*", bytes: Vec<u8>, signed: i64, unsigned: u64, float: f64, flag: bool) {
        prop_assert_eq!(encoded(&text), pack(&text));
        prop_assert_eq!(encoded(&bytes), pack(&Bytes::from(bytes.as_slice())));
        prop_assert_eq!(encoded(&signed), pack(&signed));
        prop_assert_eq!(encoded(&unsigned), pack(&unsigned));
        prop_assert_eq!(encoded(&float), pack(&float));
        prop_assert_eq!(encoded(&flag), pack(&flag));
        prop_assert_eq!(
            encoded(&(text.clone(), signed, flag, bytes.clone())),
            pack(&(&text, signed, flag, Bytes::from(bytes.as_slice())))
        );
        round_trip((text, signed, flag, bytes));
        round_trip((unsigned, float));
    }

    /// Encoded keys are in the order of the keys.
    #[test]
    fn keeps_the_order(a: (i64, String, u64), b: (i64, String, u64)) {
        prop_assert_eq!(encoded(&a).cmp(&encoded(&b)), a.cmp(&b));
    }

    /// Whatever the bytes, reading them does no harm.
    #[test]
    fn reads_anything(bytes: Vec<u8>) {
        let _ = decode::<(String, i64)>(&bytes);
        let _ = decode::<(Vec<u8>, f64, bool)>(&bytes);
        let _ = decode::<(Date, Timestamp)>(&bytes);
    }
}

#[test]
fn small_and_large_integers() {
    for number in [0, 1, -1, 255, 256, -255, -256, i64::MAX, i64::MIN, i64::MIN + 1] {
        assert_eq!(encoded(&number), pack(&number), "{number}");
        round_trip(number);
    }
    round_trip(u64::MAX);
    round_trip(200_u8);
    round_trip(-100_i8);
    assert_eq!(decode::<u8>(&encoded(&256_u64)), Err(KeyError));
    assert_eq!(decode::<u64>(&encoded(&-1_i64)), Err(KeyError));
}

#[test]
fn dates_and_times_are_readable_parts() {
    round_trip(Timestamp::from_micros(-5));
    let date: Date = "2017-08-29".parse().unwrap();
    round_trip(date);
    let bytes = encoded(&(date, Timestamp::from_micros(7)));
    let elements: Vec<Element> = unpack(&bytes).unwrap();
    assert_eq!(elements, [Element::String("2017-08-29".into()), Element::Int(7)]);
}

#[test]
fn a_prefix_of_whole_parts_leaves_longer_strings_out() {
    let mut prefix = Vec::new();
    AsPrefix::<(String, u64)>::encode_prefix("a", &mut prefix);
    let end = end_of_parts(&prefix);
    let within = |key: (&str, u64)| {
        let mut bytes = Vec::new();
        AsKey::<(String, u64)>::encode(&key, &mut bytes);
        bytes >= prefix && bytes < end
    };
    assert!(within(("a", 0)) && within(("a", u64::MAX)));
    assert!(!within(("a\0", 0)) && !within(("ab", 0)) && !within(("", 0)));
}
