//! JSON to envelope. Text is borrowed from the input until the envelope is
//! made, and `data` is never parsed further than to find its end.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use base64::Engine as _;
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{DEFAULT_CONTENT_TYPE, SPEC_VERSION, is_json};
use crate::event::{
    Attribute, Envelope, EnvelopeError, Timestamp,
    validate::{check_name, check_tag},
};

/// Reads one event in the JSON format of CloudEvents.
pub fn from_slice(json: &[u8]) -> Result<Envelope, EnvelopeError> {
    // Checked as a whole, which is cheaper than text by text. The parser says
    // better where it is no UTF-8.
    let parsed = match std::str::from_utf8(json) {
        Ok(json) => serde_json::from_str(json),
        Err(_) => serde_json::from_slice(json),
    };
    let Members(members) = parsed.map_err(|error| {
        let reason = error.to_string();
        EnvelopeError::Json { reason }
    })?;
    members?.into_envelope()
}

/// The tags of a comma-separated list. Spaces around a tag do not belong to it.
pub fn split_tags(list: &str) -> Result<Vec<String>, EnvelopeError> {
    if list.trim().is_empty() {
        return Ok(Vec::new());
    }
    list.split(',').map(|tag| checked_tag(tag.trim())).collect()
}

fn checked_tag(tag: &str) -> Result<String, EnvelopeError> {
    check_tag(tag)?;
    Ok(tag.to_owned())
}

/// The members of the JSON object, as far as they concern us.
#[derive(Default)]
struct Raw<'a> {
    spec_version: Option<Cow<'a, str>>,
    id: Option<String>,
    source: Option<String>,
    event_type: Option<String>,
    subject: Option<String>,
    time: Option<Timestamp>,
    content_type: Option<String>,
    data: Option<&'a RawValue>,
    data_base64: Option<Vec<u8>>,
    tags: Vec<String>,
    extensions: BTreeMap<String, Attribute>,
}

impl<'a> Raw<'a> {
    /// Takes one member. The outer error is the JSON's, the inner one ours.
    fn member<A: MapAccess<'a>>(
        &mut self,
        name: &str,
        map: &mut A,
    ) -> Result<Result<(), EnvelopeError>, A::Error> {
        match name {
            "data" => {
                self.data = Some(map.next_value()?);
                return Ok(Ok(()));
            }
            // The log's own. Events that it exported come back with them.
            "position" | "recorded" | "version" => {
                map.next_value::<IgnoredAny>()?;
                return Ok(Ok(()));
            }
            _ => {}
        }
        let value: Value<'a> = map.next_value()?;
        Ok(self.attribute(name, value))
    }

    fn attribute(&mut self, name: &str, value: Value<'a>) -> Result<(), EnvelopeError> {
        match name {
            "specversion" => self.spec_version = value.text(name)?,
            "id" => self.id = value.owned(name)?,
            "source" => self.source = value.owned(name)?,
            "type" => self.event_type = value.owned(name)?,
            "subject" => self.subject = value.owned(name)?,
            "datacontenttype" => self.content_type = value.owned(name)?,
            "time" => self.time = value.text(name)?.map(|text| read_time(&text)).transpose()?,
            "data_base64" => {
                let decode = |text: Cow<'a, str>| base64::engine::general_purpose::STANDARD.decode(&*text);
                self.data_base64 = value.text(name)?.map(decode).transpose().map_err(|error| {
                    EnvelopeError::attribute(name, format!("is not base64 (RFC 4648, with padding): {error}"))
                })?;
            }
            "tags" => {
                self.tags = match value {
                    Value::List(tags) => tags.iter().map(|tag| checked_tag(tag)).collect::<Result<_, _>>()?,
                    value => split_tags(&value.text(name)?.unwrap_or_default())?,
                }
            }
            _ => {
                let value = match value {
                    Value::Null => return Ok(()),
                    Value::Boolean(value) => Attribute::Boolean(value),
                    Value::Integer(value) => Attribute::Integer(value),
                    Value::Text(value) => Attribute::String(value.into_owned()),
                    value => {
                        let reason = format!("is {value}; an extension is a string, an integer or a boolean");
                        return Err(EnvelopeError::attribute(name, reason));
                    }
                };
                check_name(name)?;
                self.extensions.insert(name.to_owned(), value);
            }
        }
        Ok(())
    }

    fn into_envelope(self) -> Result<Envelope, EnvelopeError> {
        match self.spec_version.as_deref() {
            Some(SPEC_VERSION) => {}
            None | Some("") => return Err(EnvelopeError::Missing { attribute: "specversion" }),
            Some(other) => {
                let reason = format!("is \"{other}\"; this program reads CloudEvents \"{SPEC_VERSION}\"");
                return Err(EnvelopeError::attribute("specversion", reason));
            }
        }
        let (data, content_type) = match (self.data, self.data_base64) {
            (Some(_), Some(_)) => {
                return Err(EnvelopeError::attribute(
                    "data_base64",
                    "stands beside \"data\"; leave out one of them",
                ));
            }
            (None, None) => (Bytes::new(), String::new()),
            (data, base64) => {
                let content_type = match self.content_type {
                    Some(content_type) if !content_type.trim().is_empty() => content_type,
                    _ => DEFAULT_CONTENT_TYPE.to_owned(),
                };
                let data = match data {
                    Some(data) => payload(data, is_json(&content_type))?,
                    None => base64.unwrap_or_default().into(),
                };
                (data, content_type)
            }
        };
        let envelope = Envelope {
            id: self.id.unwrap_or_default(),
            source: self.source.unwrap_or_default(),
            event_type: self.event_type.unwrap_or_default(),
            subject: self.subject,
            time: self.time,
            content_type,
            data,
            tags: self.tags,
            extensions: self.extensions,
        };
        envelope.validate()?;
        Ok(envelope)
    }
}

/// JSON is kept as it was written; the text of other media types comes out of
/// its JSON string.
fn payload(data: &RawValue, json: bool) -> Result<Bytes, EnvelopeError> {
    let raw = data.get();
    if json || !raw.starts_with('"') {
        return Ok(Bytes::copy_from_slice(raw.as_bytes()));
    }
    let text: String = serde_json::from_str(raw)
        .map_err(|error| EnvelopeError::attribute("data", format!("is no text: {error}")))?;
    Ok(text.into())
}

fn read_time(text: &str) -> Result<Timestamp, EnvelopeError> {
    text.parse().map_err(|error| {
        let reason = format!("is \"{text}\", not a time as in \"2026-03-31T12:00:00Z\" (RFC 3339): {error}");
        EnvelopeError::attribute("time", reason)
    })
}

/// What `serde` makes of the object: our own errors inside, so that they keep
/// the attribute that they are about.
struct Members<'a>(Result<Raw<'a>, EnvelopeError>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut raw = Raw::default();
        let mut fault = None;
        while let Some(Name(name)) = map.next_key()? {
            // Read on after a fault: what is no JSON at all is told first.
            if let Err(error) = raw.member(&name, &mut map)? {
                fault.get_or_insert(error);
            }
        }
        Ok(Members(fault.map_or(Ok(raw), Err)))
    }
}

/// A member's name, borrowed unless it is written with escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Text(name) => Ok(Self(name)),
            _ => Err(D::Error::custom("a member's name must be a string")),
        }
    }
}

/// The value of an attribute, whatever it is, so that it is we who say that it
/// should be something else.
enum Value<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Number,
    Text(Cow<'a, str>),
    List(Vec<String>),
    Array,
    Object,
}

impl<'a> Value<'a> {
    fn text(self, attribute: &str) -> Result<Option<Cow<'a, str>>, EnvelopeError> {
        match self {
            Self::Null => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            other => Err(EnvelopeError::attribute(attribute, format!("is {other}; write it as a string"))),
        }
    }

    fn owned(self, attribute: &str) -> Result<Option<String>, EnvelopeError> {
        Ok(self.text(attribute)?.map(Cow::into_owned))
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) | Self::Number => "a number",
            Self::Text(_) => "a string",
            Self::List(_) | Self::Array => "an array",
            Self::Object => "an object",
        })
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Value::Number, Value::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Value::Number)
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Some(Vec::new());
        while let Some(element) = seq.next_element::<Value<'de>>()? {
            match (&mut list, element) {
                (Some(list), Value::Text(text)) => list.push(text.into_owned()),
                _ => list = None,
            }
        }
        Ok(list.map_or(Value::Array, Value::List))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object)
    }
}
