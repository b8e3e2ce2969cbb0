use std::cmp::Ordering;

use foundationdb_tuple::{Bytes, Element, pack};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn any_part() -> impl Strategy<Value = Part> {
    prop_oneof![
        Just(Part::Null),
        any::<bool>().prop_map(Part::Boolean),
        any::<i64>().prop_map(|number| Part::Integer(number.into())),
        any::<u64>().prop_map(|number| Part::Integer(number.into())),
        (-300_i128..300).prop_map(Part::Integer),
        any::<f32>().prop_map(Part::Single),
        any::<f64>().prop_map(Part::Float),
        any_text().prop_map(Part::String),
        proptest::collection::vec(prop_oneof![Just(0), Just(0xff), any::<u8>()], 0..6).prop_map(Part::Bytes),
        any::<[u8; 16]>().prop_map(Part::Uuid),
    ]
}

/// Zeroes are what the encoding stumbles over, if anything.
fn any_text() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof![Just('\0'), Just('a'), Just('ÿ'), any::<char>()], 0..6)
        .prop_map(|chars| chars.into_iter().collect())
}

fn any_key() -> impl Strategy<Value = Vec<Part>> {
    let part = any_part()
        .prop_recursive(3, 12, 4, |part| proptest::collection::vec(part, 0..4).prop_map(Part::Tuple));
    proptest::collection::vec(part, 0..5)
}

/// How parts sort, said without the encoding.
fn compare(a: &Part, b: &Part) -> Ordering {
    fn rank(part: &Part) -> u8 {
        match part {
            Part::Null => 0,
            Part::Bytes(_) => 1,
            Part::String(_) => 2,
            Part::Tuple(_) => 3,
            Part::Integer(_) => 4,
            Part::Single(_) => 5,
            Part::Float(_) => 6,
            Part::Boolean(_) => 7,
            Part::Uuid(_) => 8,
        }
    }
    match (a, b) {
        (Part::Bytes(a), Part::Bytes(b)) => a.cmp(b),
        (Part::String(a), Part::String(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Part::Tuple(a), Part::Tuple(b)) => compare_all(a, b),
        (Part::Integer(a), Part::Integer(b)) => a.cmp(b),
        (Part::Single(a), Part::Single(b)) => a.total_cmp(b),
        (Part::Float(a), Part::Float(b)) => a.total_cmp(b),
        (Part::Boolean(a), Part::Boolean(b)) => a.cmp(b),
        (Part::Uuid(a), Part::Uuid(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn compare_all(a: &[Part], b: &[Part]) -> Ordering {
    let differing = a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|order| order.is_ne());
    differing.unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// The same in the words of the reference; it knows neither UUIDs (in this
/// build) nor integers above those of 63 bits as elements.
fn element(part: &Part) -> Option<Element<'_>> {
    Some(match part {
        Part::Null => Element::Nil,
        Part::Bytes(bytes) => Element::Bytes(Bytes::from(bytes.as_slice())),
        Part::String(text) => Element::String(text.into()),
        Part::Tuple(parts) => Element::Tuple(parts.iter().map(element).collect::<Option<_>>()?),
        Part::Integer(number) => Element::Int(i64::try_from(*number).ok()?),
        Part::Single(number) => Element::Float(*number),
        Part::Float(number) => Element::Double(*number),
        Part::Boolean(boolean) => Element::Bool(*boolean),
        Part::Uuid(_) => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn decodes_what_it_encodes(key in any_key()) {
        let decoded = decode(&encode(&key)).unwrap();
        prop_assert_eq!(compare_all(&decoded, &key), Ordering::Equal, "{:?}", decoded);
    }

    #[test]
    fn encodes_as_the_reference_does(key in any_key()) {
        if let Some(elements) = key.iter().map(element).collect::<Option<Vec<_>>>() {
            prop_assert_eq!(encode(&key), pack(&elements));
        }
    }

    #[test]
    fn large_integers_are_encoded_as_the_reference_does(number: u64) {
        prop_assert_eq!(encode(&[Part::Integer(number.into())]), pack(&(number,)));
    }

    #[test]
    fn sorts_as_its_parts_do(a in any_key(), b in any_key()) {
        prop_assert_eq!(encode(&a).cmp(&encode(&b)), compare_all(&a, &b));
    }

    #[test]
    fn any_bytes_end_in_parts_or_an_error(
        bytes in proptest::collection::vec(prop_oneof![0_u8..0x34, any::<u8>()], 0..40)
    ) {
        if let Ok(parts) = decode(&bytes) {
            prop_assert_eq!(to_json(&bytes).unwrap().len(), parts.len());
        }
        let _ = suffix(&bytes, 1);
    }

    #[test]
    fn a_prefix_finds_what_begins_with_it(
        prefix in any_key(),
        key in any_key(),
        extend: bool,
    ) {
        let key = if extend { [prefix.clone(), key].concat() } else { key };
        let (start, end) = prefix_range(&prefix);
        let encoded = encode(&key);
        let inside = start <= encoded && encoded < end;
        let begins = key.len() >= prefix.len() && compare_all(&key[..prefix.len()], &prefix).is_eq();
        prop_assert_eq!(inside, begins);
    }

    #[test]
    fn a_text_prefix_finds_what_begins_with_it(
        first in any_part(),
        prefix in any_text(),
        text in any_text(),
        extend: bool,
        last in any_part(),
    ) {
        let text = if extend { format!("{prefix}{text}") } else { text };
        let begins = text.starts_with(&prefix);
        let (start, end) = text_prefix_range(&[first.clone(), Part::String(prefix)]);
        let encoded = encode(&[first, Part::String(text), last]);
        prop_assert_eq!(start <= encoded && encoded < end, begins);
    }

    #[test]
    fn the_suffix_is_the_key_of_the_row(index in any_key(), row in any_key()) {
        let whole = encode(&[index, row.clone()].concat());
        prop_assert_eq!(suffix(&whole, row.len()).unwrap(), encode(&row));
    }
}

#[test]
fn shows_keys_as_json() {
    let show = |parts: &[Part]| shown(&encode(parts)).unwrap();
    assert_eq!(show(&[Part::String("src/lib.rs".into())]), json!("src/lib.rs"));
    assert_eq!(show(&[Part::Integer(u64::MAX.into())]), json!(u64::MAX));
    assert_eq!(show(&[Part::Integer(i64::MIN.into())]), json!(i64::MIN));
    assert_eq!(show(&[]), json!([]));
    assert_eq!(show(&[Part::Bytes(vec![0, 255, 1])]), json!("AP8B"));
    assert_eq!(
        show(&[
            Part::Float(0.1),
            Part::Single(0.1),
            Part::Float(f64::NEG_INFINITY),
            Part::Float(f64::NAN),
            Part::Tuple(vec![Part::Null, Part::Boolean(true)]),
            Part::Uuid([0xab; 16]),
        ]),
        json!([0.1, 0.1, "-inf", "NaN", [null, true], "abababab-abab-abab-abab-abababababab"])
    );
}

#[test]
fn says_where_a_key_is_wrong() {
    let error = |key: &[u8]| decode(key).unwrap_err().to_string();
    expect_test::expect![
        "the key 0x1501026162 is not in the tuple encoding: text or bytes without an end at byte 3"
    ]
    .assert_eq(&error(b"\x15\x01\x02ab"));
    assert!(error(b"\x02\xc3\x28\x00").contains("no UTF-8"));
    assert!(error(b"\x0c\x00\x00\x00\x00\x00\x00\x00\x00").contains("64 bits"));
    assert!(error(&[0x05; 100_000]).contains("nested too deeply"));
    assert!(error(b"\xff").contains("unknown"));
}
