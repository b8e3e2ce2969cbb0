//! Reading, writing, and that one undoes the other.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::event::{Attribute, Envelope, Event, Timestamp};

fn read(json: &str) -> Envelope {
    from_slice(json.as_bytes()).unwrap()
}

fn refused(json: &str, expected: Expect) {
    expected.assert_eq(&from_slice(json.as_bytes()).unwrap_err().to_string());
}

fn written(envelope: Envelope) -> String {
    let event = Event { position: 7, recorded: Timestamp::from_micros(1_500_000), version: 3, envelope };
    let mut out = Vec::new();
    to_json(&event, &mut out);
    String::from_utf8(out).unwrap()
}

const MINIMAL: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;

#[test]
fn reads_every_attribute() {
    let envelope = read(
        r#" {"specversion":"1.0","id":"a\u00e9","source":"/s","type":"t","subject":"x/y","time":"2020-01-01T01:00:00+01:00",
        "tags":["email:a@b.c","b"],"correlationid":"c","sampled":true,"retries":3,"gone":null,"dataschema":"urn:x",
        "position":9,"recorded":"whenever","version":[1],"data": { "a" : [1, 2.50] } } "#,
    );
    assert_eq!(envelope.id, "aé");
    assert_eq!(envelope.subject.as_deref(), Some("x/y"));
    assert_eq!(envelope.time.unwrap().to_string(), "2020-01-01T00:00:00Z");
    assert_eq!(envelope.content_type, "application/json");
    assert_eq!(&envelope.data[..], br#"{ "a" : [1, 2.50] }"#);
    assert_eq!(envelope.tags, ["email:a@b.c", "b"]);
    let extensions: Vec<_> =
        envelope.extensions.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(extensions, ["correlationid=c", "dataschema=urn:x", "retries=3", "sampled=true"]);
}

#[test]
fn reads_payloads_by_media_type() {
    let data = |member: &str| {
        let envelope = read(&MINIMAL.replace('}', &format!(",{member}}}")));
        (envelope.content_type, String::from_utf8(envelope.data.to_vec()).unwrap())
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(data(r#""data":"text""#), pair("application/json", r#""text""#));
    assert_eq!(data(r#""data":null"#), pair("application/json", "null"));
    assert_eq!(data(r#""datacontenttype":"text/plain","data":"a\nb""#), pair("text/plain", "a\nb"));
    assert_eq!(
        data(r#""data":"a","datacontenttype":"application/X+JSON""#),
        pair("application/X+JSON", r#""a""#)
    );
    assert_eq!(data(r#""data_base64":"YWJj","datacontenttype":"image/png""#), pair("image/png", "abc"));
    assert_eq!(data(r#""datacontenttype":"text/plain""#), pair("", ""));
    assert_eq!(read(&MINIMAL.replace('}', r#","tags":" a , b,c"}"#)).tags, ["a", "b", "c"]);
}

#[test]
fn refuses_with_the_attribute_and_what_to_do() {
    refused(
        "[]",
        expect![
            "not a CloudEvent in JSON: invalid type: sequence, expected a JSON object at line 1 column 0"
        ],
    );
    refused(
        r#"{"specversion":"1.0","id":"1""#,
        expect!["not a CloudEvent in JSON: EOF while parsing an object at line 1 column 29"],
    );
    refused(
        r#"{"id":"1"}"#,
        expect![[r#"attribute "specversion" is missing or empty; CloudEvents requires it"#]],
    );
    refused(
        &MINIMAL.replace("1.0", "0.3"),
        expect![[r#"attribute "specversion" is "0.3"; this program reads CloudEvents "1.0""#]],
    );
    refused(
        &MINIMAL.replace("\"/s\"", "\"\""),
        expect![[r#"attribute "source" is missing or empty; CloudEvents requires it"#]],
    );
    refused(&MINIMAL.replace("\"1\"", "1"), expect![[r#"attribute "id" is a number; write it as a string"#]]);
    let with = |member: &str| MINIMAL.replace('}', &format!(",{member}}}"));
    refused(
        &with(r#""Trace_Id":"x""#),
        expect![[
            r#"attribute "Trace_Id" has a name that CloudEvents does not allow: use lower-case letters and digits, as in "traceid""#
        ]],
    );
    refused(
        &with(r#""weight":1.5"#),
        expect![[r#"attribute "weight" is a number; an extension is a string, an integer or a boolean"#]],
    );
    refused(
        &with(r#""time":"yesterday""#),
        expect![[
            r#"attribute "time" is "yesterday", not a time as in "2026-03-31T12:00:00Z" (RFC 3339): failed to parse four digit integer as year: invalid digit, expected 0-9 but got y"#
        ]],
    );
    refused(
        &with(r#""tags":["a,b"]"#),
        expect![[r#"attribute "tags" holds the tag "a,b" with a comma, which separates tags"#]],
    );
    refused(&with(r#""tags":"a,,b""#), expect![[r#"attribute "tags" holds an empty tag; leave it out"#]]);
    refused(
        &with(r#""data":1,"data_base64":"""#),
        expect![[r#"attribute "data_base64" stands beside "data"; leave out one of them"#]],
    );
}

#[test]
fn writes_one_line() {
    let mut envelope =
        read(&MINIMAL.replace('}', ",\"data\":{\n  \"a\": \"b\\nc\"\n},\"tags\":[\"a\",\"b\"]}"));
    expect![[
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","position":7,"recorded":"1970-01-01T00:00:01.5Z","version":3,"tags":"a,b","datacontenttype":"application/json","data":{   "a": "b\nc" }}"#
    ]]
    .assert_eq(&written(envelope.clone()));
    envelope.data = "no json".into();
    assert!(written(envelope).ends_with(r#""data_base64":"bm8ganNvbg=="}"#));
}

pub(crate) fn envelopes() -> impl Strategy<Value = Envelope> {
    let text = "[ -~é\n\u{1F600}]{1,12}";
    let json = prop_oneof![Just("null"), Just("{\"a\": [1, \"x\"]}"), Just("\"text\""), Just("1.50")];
    let payload = prop_oneof![
        Just((String::new(), Vec::new())),
        json.prop_map(|json| ("application/json".to_owned(), json.as_bytes().to_vec())),
        any::<Vec<u8>>().prop_map(|bytes| ("application/json".to_owned(), bytes)),
        any::<String>().prop_map(|text| ("text/plain".to_owned(), text.into_bytes())),
        any::<Vec<u8>>().prop_map(|bytes| ("text/csv".to_owned(), bytes)),
        any::<Vec<u8>>().prop_map(|bytes| ("image/png".to_owned(), bytes)),
    ];
    let attribute = prop_oneof![
        any::<bool>().prop_map(Attribute::Boolean),
        any::<i64>().prop_map(Attribute::Integer),
        any::<String>().prop_map(Attribute::String),
    ];
    let times =
        prop::option::of((-1_000_000_000_000_000..4_000_000_000_000_000i64).prop_map(Timestamp::from_micros));
    (
        (text, text, text, prop::option::of(text), times),
        payload,
        prop::collection::vec("[!-+a-z:@é]{1,8}", 0..3),
        prop::collection::btree_map("x[a-z0-9]{0,8}", attribute, 0..3),
    )
        .prop_map(|((id, source, event_type, subject, time), (content_type, data), tags, extensions)| {
            Envelope {
                id,
                source,
                event_type,
                subject,
                time,
                content_type,
                data: data.into(),
                tags,
                extensions: extensions.into_iter().collect::<BTreeMap<_, _>>(),
            }
        })
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same(envelope in envelopes()) {
        let json = written(envelope.clone());
        prop_assert!(!json.contains('\n'));
        prop_assert_eq!(from_slice(json.as_bytes()).unwrap(), envelope);
    }

    #[test]
    fn no_input_panics(json in any::<Vec<u8>>()) {
        let _ = from_slice(&json);
    }
}
