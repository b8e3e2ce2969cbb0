//! Payloads: JSON and MessagePack, told apart by the content type.

mod plain;

use serde::{Deserialize, Serialize};

const COMMON: u128 = u128::from_ne_bytes(*b"application/json");

#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    Json,
    MessagePack,
}

impl Format {
    #[inline]
    fn of(content_type: &str) -> Option<Self> {
        // The common case without looking further, compared as one number.
        if <[u8; 16]>::try_from(content_type.as_bytes())
            .is_ok_and(|bytes| u128::from_ne_bytes(bytes) == COMMON)
        {
            return Some(Self::Json);
        }
        Self::of_rare(content_type)
    }

    #[cold]
    fn of_rare(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" | "text/json" => Some(Self::Json),
            "application/msgpack" | "application/x-msgpack" | "application/vnd.msgpack" => {
                Some(Self::MessagePack)
            }
            _ if essence.ends_with("+json") => Some(Self::Json),
            _ if essence.ends_with("+msgpack") => Some(Self::MessagePack),
            _ => None,
        }
    }
}

#[inline]
fn from_json<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Option<T> {
    plain::from_slice(data).ok().or_else(|| serde_json::from_slice(data).ok())
}

/// Decodes a payload; an error says where in it and why.
pub(crate) fn decode<'a, T: Deserialize<'a>>(content_type: &str, data: &'a [u8]) -> Result<T, String> {
    let decoded = match Format::of(content_type) {
        Some(Format::Json) => from_json(data),
        Some(Format::MessagePack) => rmp_serde::from_slice(data).ok(),
        None if content_type.is_empty() => return Err("the event has none".to_owned()),
        None => {
            return Err(format!(
                "their content type is `{content_type}`, and only JSON and MessagePack can be decoded; \
                 take the bytes from event.data()"
            ));
        }
    };
    // Only where it fails is it worth the time to keep track of the path.
    decoded.ok_or_else(|| explain::<T>(content_type, data))
}

/// Encodes a payload as the content type says; as JSON where there is none.
pub(crate) fn encode(content_type: &str, data: &impl Serialize, bytes: &mut Vec<u8>) -> Result<(), String> {
    let encoded = match Format::of(content_type) {
        Some(Format::MessagePack) => {
            let mut serializer = rmp_serde::Serializer::new(&mut *bytes).with_struct_map();
            data.serialize(&mut serializer).map_err(|error| error.to_string())
        }
        _ => serde_json::to_writer(&mut *bytes, data).map_err(|error| error.to_string()),
    };
    encoded.map_err(|reason| format!("the new data cannot be written: {reason}"))
}

#[cold]
fn explain<'a, T: Deserialize<'a>>(content_type: &str, data: &'a [u8]) -> String {
    fn reason<E: std::fmt::Display>(error: serde_path_to_error::Error<E>) -> String {
        match error.path().to_string() {
            path if path == "." => error.inner().to_string(),
            path => format!("at `{path}`: {}", error.inner()),
        }
    }
    match Format::of(content_type) {
        Some(Format::MessagePack) => {
            let mut deserializer = rmp_serde::Deserializer::from_read_ref(data);
            serde_path_to_error::deserialize::<_, T>(&mut deserializer).err().map(reason)
        }
        _ => {
            let mut deserializer = serde_json::Deserializer::from_slice(data);
            match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
                Ok(_) => deserializer.end().err().map(|error| error.to_string()),
                Err(error) => Some(reason(error)),
            }
        }
    }
    .unwrap_or_else(|| "it does not decode".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Line<'a> {
        item: &'a str,
        count: u8,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only its errors matter")]
    struct Order<'a> {
        #[serde(borrow)]
        lines: Vec<Line<'a>>,
    }

    #[test]
    fn reads_both_formats() {
        let line = Line { item: "tea", count: 2 };
        let json = br#"{"count":2,"item":"tea"}"#;
        for content_type in ["application/json", "application/json; charset=utf-8", "Application/Order+JSON"]
        {
            assert_eq!(decode(content_type, json), Ok(Line { ..line }), "{content_type}");
        }
        let packed = rmp_serde::to_vec_named(&json!({"item": "tea", "count": 2})).unwrap();
        for content_type in ["application/msgpack", "application/x-msgpack", "application/vnd.msgpack"] {
            assert_eq!(decode(content_type, &packed), Ok(Line { ..line }), "{content_type}");
        }
    }

    #[test]
    fn says_where_and_why() {
        let order = br#"{"lines":[{"item":"tea","count":2},{"item":"milk","count":300}]}"#;
        let check = |content_type, data: &[u8], expected: expect_test::Expect| {
            expected.assert_eq(&decode::<Order>(content_type, data).unwrap_err());
        };
        use expect_test::expect;
        check(
            "application/json",
            order,
            expect!["at `lines[1].count`: invalid value: integer `300`, expected u8 at line 1 column 61"],
        );
        check("application/json", br#"{"lines":[]} x"#, expect!["trailing characters at line 1 column 14"]);
        check("application/json", b"", expect!["EOF while parsing a value at line 1 column 0"]);
        let packed = rmp_serde::to_vec_named(&serde_json::from_slice::<Value>(order).unwrap()).unwrap();
        check(
            "application/msgpack",
            &packed,
            expect!["at `lines[1].count`: invalid value: integer `300`, expected u8"],
        );
        check(
            "text/plain",
            b"",
            expect![
                "their content type is `text/plain`, and only JSON and MessagePack can be decoded; take the bytes from event.data()"
            ],
        );
        check("", b"", expect!["the event has none"]);
    }
}
