//! What a path or a parameter means by a key.
//!
//! In a **path**, each segment is a part of the key: `…/commits/2024/17`. Segments
//! that are left over belong to the last part, if that is text, slashes
//! included: `…/files/src/lib.rs` is one part. A slash within an earlier part is
//! written `%2F`. Integers, booleans (`true`, `false`) and numbers (`NaN`, `inf`
//! and `-inf` too) are written as usual; bytes are base64 of either alphabet,
//! with or without padding.
//!
//! The **parameters** `prefix`, `start` and `end` are either the key's first
//! part, written in the same way, or the first few parts as a JSON array:
//! `["2024", 17]`. What begins with `[` is always the latter. Of a prefix, the
//! last part, if it is text or bytes, may be cut short: `src/` or
//! `["2024", "src/"]`.

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::Value;

use super::QueryError;
use crate::{
    plugin::description::{KeyPart, TableDescription},
    state::key::{Part, encode, text_prefix_range},
};

/// Encodes the key that a path names.
pub(super) fn from_path(
    table: &TableDescription,
    segments: &[impl AsRef<str>],
) -> Result<Vec<u8>, QueryError> {
    let bad = |reason| QueryError::BadKey { table: table.name.clone(), reason };
    let count = table.key.len();
    let joined;
    let mut texts: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    if texts.len() > count && table.key.last() == Some(&KeyPart::String) {
        joined = texts[count - 1..].join("/");
        texts.truncate(count - 1);
        texts.push(&joined);
    }
    if texts.len() != count {
        let parts = if count == 1 { "part" } else { "parts" };
        let shape = shape(&table.key);
        return Err(bad(format!("it has {count} {parts} ({shape}), the path has {}", texts.len())));
    }
    let parts = table.key.iter().zip(texts).map(|(kind, text)| from_text(*kind, text));
    Ok(encode(&parts.collect::<Result<Vec<_>, _>>().map_err(bad)?))
}

/// Encodes where a range begins or ends.
pub(super) fn bound(
    table: &TableDescription,
    parameter: &'static str,
    text: &str,
) -> Result<Vec<u8>, QueryError> {
    Ok(encode(&from_parameter(&table.key, parameter, text)?))
}

/// Encodes a whole key, written as where a range begins.
pub(super) fn named(table: &TableDescription, text: &str) -> Result<Vec<u8>, QueryError> {
    let bad = |reason| QueryError::BadKey { table: table.name.clone(), reason };
    let parts = from_parameter(&table.key, "key", text).map_err(|error| match error {
        QueryError::BadParameter { reason, .. } => bad(reason),
        other => other,
    })?;
    match parts.len() == table.key.len() {
        true => Ok(encode(&parts)),
        false => {
            let (count, shape) = (table.key.len(), shape(&table.key));
            Err(bad(format!("it has {count} parts ({shape}): write them as a JSON array, as in [\"a\", 1]")))
        }
    }
}

/// The range of keys that begin with a prefix.
pub(super) fn prefix(table: &TableDescription, text: &str) -> Result<(Vec<u8>, Vec<u8>), QueryError> {
    Ok(text_prefix_range(&from_parameter(&table.key, "prefix", text)?))
}

fn from_parameter(kinds: &[KeyPart], parameter: &'static str, text: &str) -> Result<Vec<Part>, QueryError> {
    let bad = |reason| QueryError::BadParameter { parameter, reason };
    if !text.starts_with('[') {
        let kind = kinds.first().ok_or_else(|| bad("the table's keys have no parts".to_owned()))?;
        return Ok(vec![from_text(*kind, text).map_err(bad)?]);
    }
    let values: Vec<Value> = serde_json::from_str(text).map_err(|error| {
        let escaped = Value::from([text]);
        bad(format!("begins with [ but is no JSON array ({error}); if it is text, write {escaped}"))
    })?;
    if values.len() > kinds.len() {
        let shape = shape(kinds);
        return Err(bad(format!(
            "has {} parts, the table's keys have {} ({shape})",
            values.len(),
            kinds.len()
        )));
    }
    kinds
        .iter()
        .zip(&values)
        .map(|(kind, value)| from_json(*kind, value))
        .collect::<Result<_, _>>()
        .map_err(bad)
}

fn from_text(kind: KeyPart, text: &str) -> Result<Part, String> {
    let wrong = |what| format!("\"{text}\" is no {what}");
    Ok(match kind {
        KeyPart::String => Part::String(text.to_owned()),
        KeyPart::Integer => Part::Integer(
            text.parse::<i128>().ok().filter(in_range).ok_or_else(|| wrong("integer of 64 bits"))?,
        ),
        KeyPart::Boolean => Part::Boolean(text.parse().map_err(|_| wrong("boolean: true or false"))?),
        KeyPart::Bytes => Part::Bytes(from_base64(text).ok_or_else(|| wrong("base64"))?),
        KeyPart::Float => Part::Float(text.parse().map_err(|_| wrong("number"))?),
    })
}

fn from_json(kind: KeyPart, value: &Value) -> Result<Part, String> {
    let part = match (kind, value) {
        (KeyPart::String, Value::String(text)) => Some(Part::String(text.clone())),
        (KeyPart::Bytes, Value::String(text)) => from_base64(text).map(Part::Bytes),
        (KeyPart::Float, Value::String(text)) => match text.as_str() {
            "NaN" | "inf" | "-inf" => text.parse().ok().map(Part::Float),
            _ => None,
        },
        (KeyPart::Float, Value::Number(number)) => number.as_f64().map(Part::Float),
        (KeyPart::Integer, Value::Number(number)) => number.as_i128().filter(in_range).map(Part::Integer),
        (KeyPart::Boolean, Value::Bool(boolean)) => Some(Part::Boolean(*boolean)),
        _ => None,
    };
    part.ok_or_else(|| format!("{value} is no {}", name(kind)))
}

fn in_range(number: &i128) -> bool {
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(number)
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    const EITHER: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if text.contains(['-', '_']) { URL_SAFE } else { STANDARD };
    GeneralPurpose::new(&alphabet, EITHER).decode(text).ok()
}

fn shape(kinds: &[KeyPart]) -> String {
    kinds.iter().map(|kind| name(*kind)).collect::<Vec<_>>().join("/")
}

fn name(kind: KeyPart) -> &'static str {
    match kind {
        KeyPart::String => "string",
        KeyPart::Integer => "integer",
        KeyPart::Boolean => "boolean",
        KeyPart::Bytes => "base64",
        KeyPart::Float => "number",
    }
}
