//! It reads what `serde_json` reads, or nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

/// All the forms that a field can have.
#[derive(Debug, PartialEq, Deserialize)]
struct Everything<'a> {
    #[serde(borrow)]
    borrowed: &'a str,
    owned: String,
    number: i64,
    small: u8,
    float: f64,
    maybe: Option<bool>,
    list: Vec<Wrapped>,
    pair: (u32, String),
    kind: Kind,
    by_name: BTreeMap<String, Value>,
    #[serde(default)]
    by_number: BTreeMap<u64, ()>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Wrapped(u16);

#[derive(Debug, PartialEq, Deserialize)]
enum Kind {
    Plain,
    One(i32),
    Two(i32, i32),
    Named { at: u64 },
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "type")]
enum Tagged {
    A { value: Value },
    B,
}

/// What it reads is what `serde_json` reads; what it does not read, nobody
/// is told.
fn agrees<'a, T: Deserialize<'a> + PartialEq + fmt::Debug>(text: &'a str) -> bool {
    match from_slice::<T>(text.as_bytes()) {
        Ok(value) => {
            assert_eq!(value, serde_json::from_str(text).unwrap(), "{text}");
            true
        }
        Err(Unplain) => false,
    }
}

fn everything() -> Value {
    json!({
        "borrowed": "as it is", "owned": "ä\n\"quoted\"\\/", "number": -12, "small": 255, "float": 0.1,
        "maybe": null, "list": [1, 2, 65535], "pair": [7, "x"], "kind": {"Named": {"at": 3}}, "unknown":
        [{"deep": [[], {}, "\t", true, false, null, -1.5e-7]}], "by_name": {"a": [1], "b": {"c": 1e10}},
    })
}

#[test]
fn reads_what_serde_json_reads() {
    let mut value = everything();
    for kind in [json!("Plain"), json!({"One": -1}), json!({"Two": [1, 2]}), json!({"Named": {"at": 0}})] {
        value["kind"] = kind;
        assert!(agrees::<Everything<'_>>(&value.to_string()));
        assert!(agrees::<Everything<'_>>(&serde_json::to_string_pretty(&value).unwrap()));
    }
    assert!(agrees::<Tagged>(r#"{"type":"A","value":[1,"b",{}]}"#) && agrees::<Tagged>(r#"{"type":"B"}"#));
    for text in ["0", "-1", "999999999999999999", " [ ] ", "{}", "\"\"", "null", "[1 ,2\n]", "1.5e3"] {
        assert!(agrees::<Value>(text), "{text}");
    }
}

#[test]
fn leaves_over_what_is_rare_or_wrong() {
    let number = "18446744073709551615";
    for text in [
        "",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "01",
        "-",
        "-0",
        "1.",
        ".5",
        "1e",
        "+1",
        "tru",
        "nul",
        "\"\u{1}\"",
        "\"\\u0041\"",
        "\"\\x\"",
        "\"open",
        "1 2",
        "[1}",
        number,
        "{\"a\":1]",
        "NaN",
        "'a'",
        "{\"unknown\":\"\\u0041\"}",
    ] {
        assert!(!agrees::<Value>(text), "{text}");
    }
    assert!(!agrees::<BTreeMap<u64, ()>>("{\"1\":null}"), "serde_json knows how");
    assert!(!agrees::<Value>(&("[".repeat(120) + &"]".repeat(120))));
    let missing = everything().to_string().replace("\"small\":255,", "");
    assert!(!agrees::<Everything<'_>>(&missing), "a field is missing");
}

#[test]
fn text_that_is_asked_for_is_utf_8() {
    for length in 0..40 {
        let json = [b"[\"", "x".repeat(length).as_bytes(), b"\xff\", 1 ]"].concat();
        assert!(from_slice::<(String, u8)>(&json).is_err(), "{length}");
        // `serde_json` does not look at what nobody wants either.
        type Unwanted = (serde::de::IgnoredAny, u8);
        let (plain, other) = (from_slice::<Unwanted>(&json), serde_json::from_slice::<Unwanted>(&json));
        assert_eq!(plain.unwrap().1, other.unwrap().1);
    }
}

proptest! {
    #[test]
    fn reads_numbers_of_any_length(
        numbers in prop::collection::vec(-999_999_999_999_999_999..=999_999_999_999_999_999_i64, 0..4),
        shift in 0_u32..60,
    ) {
        let numbers: Vec<i64> = numbers.into_iter().map(|number| number >> shift).collect();
        let written = serde_json::to_string(&numbers).unwrap();
        prop_assert!(agrees::<Vec<i64>>(&written) && agrees::<Value>(&written));
        agrees::<Vec<u16>>(&written);
        agrees::<Vec<f64>>(&format!("[{}]", written.replace(['[', ']'], "").replace(',', "0.5, ")));
    }

    #[test]
    fn finds_the_end_of_any_text(text in "[ -~äé€😀\"\\\\\n\u{0}\u{1f}\u{7f}\u{80}]{0,40}", before in "[a-z]{0,9}") {
        let written = serde_json::to_string(&(before, text)).unwrap();
        let plain = agrees::<(String, String)>(&written);
        prop_assert_eq!(plain, !written.contains("\\u"));
        let ignored = format!("{{\"unknown\":{written}}}");
        prop_assert_eq!(agrees::<BTreeMap<String, serde::de::IgnoredAny>>(&ignored), plain);
    }

    /// Whatever is cut off or mangled, it never reads what `serde_json` does not.
    #[test]
    fn never_reads_more_than_serde_json(cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let text = everything().to_string();
        let at = cut.index(text.len());
        let mut bytes = text.clone().into_bytes();
        bytes[at] = byte & 0x7f;
        if let Ok(mangled) = String::from_utf8(bytes) {
            agrees::<Everything<'_>>(&mangled);
            agrees::<Value>(&mangled);
        }
        if text.is_char_boundary(at) {
            prop_assert!(!agrees::<Value>(&text[..at]));
        }
    }
}
