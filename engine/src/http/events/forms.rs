//! The forms in which events come in over HTTP: the three of the CloudEvents
//! HTTP binding, NDJSON, and our own JSON form with a condition.
//!
//! What a CloudEvent in JSON looks like is `event::cloudevents`' business.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use percent_encoding::percent_decode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use utoipa::ToSchema;

use super::CloudEventDocument;
use crate::{
    event::{Envelope, EnvelopeError, Position, cloudevents},
    http::problem::{Kind, Problem},
    log::{Append, Condition, Criterion},
};

const STRUCTURED: &str = "application/cloudevents+json";
const BATCHED: &str = "application/cloudevents-batch+json";
const OWN: &str = "application/json";
const LINES: &str = "application/x-ndjson";

/// Our own form: events, and under which condition to append them.
#[derive(ToSchema)]
#[schema(as = Append, example = json!({
    "events": [{
        "specversion": "1.0", "id": "1", "source": "/accounts", "type": "user.signed-up",
        "subject": "user/7", "tags": "email:a@b.c", "data": {"email": "a@b.c"},
    }],
    "condition": {
        "expected-versions": {"user/7": 0},
        "fail-if-exists": [{"types": ["user.signed-up"], "tags": ["email:a@b.c"], "after": 0}],
    },
}))]
#[allow(dead_code, reason = "it describes `Own`, which keeps events as they were written")]
pub(crate) struct AppendDocument {
    /// The events, in the order in which they get their positions.
    events: Vec<CloudEventDocument>,
    /// What must hold for them to be appended.
    condition: Option<ConditionDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Own<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    #[serde(default)]
    condition: ConditionDocument,
}

/// What must hold for a batch to be appended, checked together with the append.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[schema(as = Condition)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct ConditionDocument {
    /// Subjects and the version that each must have; 0: it must be new.
    expected_versions: BTreeMap<String, u64>,
    /// No event may match any of these.
    fail_if_exists: Vec<CriterionDocument>,
}

/// Selects events by type and tags.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[schema(as = Criterion)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct CriterionDocument {
    /// Any of these; empty: any type.
    types: Vec<String>,
    /// All of these; empty: any tags.
    tags: Vec<String>,
    /// Only events after this position.
    after: Position,
}

impl From<ConditionDocument> for Condition {
    fn from(document: ConditionDocument) -> Self {
        let criterion =
            |CriterionDocument { types, tags, after }: CriterionDocument| Criterion { types, tags, after };
        Self {
            expected_versions: document.expected_versions.into_iter().collect(),
            fail_if_exists: document.fail_if_exists.into_iter().map(criterion).collect(),
        }
    }
}

/// How a request's events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One event, all of it in the body.
    Structured,
    /// A JSON array of events.
    Batched,
    /// One event, its attributes in `ce-` headers, its data in the body.
    Binary,
    /// Events and a condition.
    Own,
    /// One event a line.
    Lines,
}

impl Form {
    /// Which form a request has, by its headers.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let content_type = String::from_utf8_lossy(content_type);
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            STRUCTURED => Ok(Self::Structured),
            BATCHED => Ok(Self::Batched),
            other if other.starts_with("application/cloudevents") => Err(unsupported(other)),
            _ if headers.keys().any(|name| name.as_str().starts_with("ce-")) => Ok(Self::Binary),
            OWN => Ok(Self::Own),
            LINES | "application/ndjson" | "application/jsonl" => Ok(Self::Lines),
            other => Err(unsupported(other)),
        }
    }

    /// Reads a request's body.
    pub(crate) fn read(self, headers: &HeaderMap, body: Bytes) -> Result<Append, Problem> {
        let batch = match self {
            Self::Structured => Append { events: vec![event(&body, None)?], ..Append::default() },
            Self::Binary => Append { events: vec![binary(headers, body)?], ..Append::default() },
            Self::Batched => {
                let raw: Vec<&RawValue> = json(&body, "a JSON array of CloudEvents")?;
                Append { events: events(&raw)?, ..Append::default() }
            }
            Self::Own => {
                let own: Own = json(&body, "a JSON object with `events` and, optionally, `condition`")?;
                Append { events: events(&own.events)?, condition: own.condition.into() }
            }
            Self::Lines => Append { events: lines(&body)?, ..Append::default() },
        };
        match batch.events.is_empty() {
            true => Err(Problem::new(Kind::MalformedRequest, "the request holds no event")),
            false => Ok(batch),
        }
    }
}

fn unsupported(media_type: &str) -> Problem {
    let said = match media_type {
        "" => "the request names no Content-Type".to_owned(),
        _ => format!("events are not taken as {media_type}"),
    };
    let detail = format!(
        "{said}; send {STRUCTURED} (one event), {BATCHED} (an array of events), {OWN} (events with a condition), \
         {LINES} (an event a line), or the binary form (attributes in ce- headers, the data as body)"
    );
    Problem::new(Kind::UnsupportedMediaType, detail).with("accepted", vec![STRUCTURED, BATCHED, OWN, LINES])
}

fn json<'a, T: Deserialize<'a>>(body: &'a [u8], expected: &str) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        Problem::new(Kind::MalformedRequest, format!("the request's body should be {expected}: {error}"))
    })
}

fn events(raw: &[&RawValue]) -> Result<Vec<Envelope>, Problem> {
    raw.iter().enumerate().map(|(index, raw)| event(raw.get().as_bytes(), Some(index))).collect()
}

fn lines(body: &[u8]) -> Result<Vec<Envelope>, Problem> {
    let lines = body.split(|byte| *byte == b'\n').enumerate();
    let filled = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    filled
        .enumerate()
        .map(|(index, (number, line))| {
            event(line, Some(index)).map_err(|problem| {
                problem.prefixed(&format!("line {}: ", number + 1)).with("line", number + 1)
            })
        })
        .collect()
}

/// Reads one event; `index` is its place in a batch.
fn event(text: &[u8], index: Option<usize>) -> Result<Envelope, Problem> {
    cloudevents::from_slice(text).map_err(|error| invalid(&error, index))
}

fn invalid(error: &EnvelopeError, index: Option<usize>) -> Problem {
    let event = match index {
        Some(index) => format!("event {index} of the batch"),
        None => "the event".to_owned(),
    };
    let (attribute, hint) = match error {
        EnvelopeError::Json { .. } => (None, ""),
        EnvelopeError::Missing { attribute: attribute @ ("id" | "source") } => {
            (Some((*attribute).to_owned()), ", and the log knows an event by its source and id")
        }
        EnvelopeError::Missing { attribute } => (Some((*attribute).to_owned()), ""),
        EnvelopeError::Attribute { attribute, .. } => (Some(attribute.clone()), ""),
    };
    Problem::new(Kind::InvalidEvent, format!("{event}: {error}{hint}"))
        .with("event", index.unwrap_or(0))
        .with("attribute", attribute)
}

/// The binary form: each attribute is a header. They are read by the same rules
/// as in JSON, so that both forms refuse the same things.
fn binary(headers: &HeaderMap, body: Bytes) -> Result<Envelope, Problem> {
    let mut attributes = Map::new();
    for (name, value) in headers {
        let Some(attribute) = name.as_str().strip_prefix("ce-") else { continue };
        if matches!(attribute, "data" | "data_base64" | "datacontenttype") {
            let detail = format!(
                "header {name}: in the binary form the data is the body and its media type is Content-Type"
            );
            return Err(Problem::new(Kind::InvalidEvent, detail).with("attribute", attribute));
        }
        let value = decode(value).map_err(|why| {
            Problem::new(Kind::InvalidEvent, format!("header {name}: {why}")).with("attribute", attribute)
        })?;
        if attributes.insert(attribute.to_owned(), Value::from(value)).is_some() {
            let detail = format!("header {name} may stand only once");
            return Err(Problem::new(Kind::InvalidEvent, detail).with("attribute", attribute));
        }
    }
    let mut envelope = event(Value::from(attributes).to_string().as_bytes(), None)?;
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::to_str);
    envelope.content_type = match content_type {
        Some(Ok(content_type)) => content_type.to_owned(),
        Some(Err(_)) => return Err(Problem::new(Kind::InvalidEvent, "header content-type is not text")),
        None if body.is_empty() => String::new(),
        None => "application/octet-stream".to_owned(),
    };
    if cloudevents::is_json(&envelope.content_type)
        && let Err(error) = serde_json::from_slice::<&RawValue>(&body)
    {
        let detail = format!("the body is not JSON, which its Content-Type says it is: {error}");
        return Err(Problem::new(Kind::InvalidEvent, detail).with("attribute", "data"));
    }
    envelope.data = body;
    Ok(envelope)
}

/// Undoes what the HTTP binding does to a header's value: quotes, then percents.
fn decode(value: &HeaderValue) -> Result<String, &'static str> {
    let bytes = value.as_bytes();
    let unquoted = match bytes {
        [b'"', inner @ .., b'"'] => {
            let mut unescaped = Vec::with_capacity(inner.len());
            let mut inner = inner.iter();
            while let Some(byte) = inner.next() {
                unescaped.push(*if *byte == b'\\' { inner.next().unwrap_or(byte) } else { byte });
            }
            unescaped
        }
        _ => bytes.to_vec(),
    };
    let decoded = percent_decode(&unquoted).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| "its percent-decoded value is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_unquoted_and_percent_decoded() {
        for (value, expected) in [
            ("plain", "plain"),
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
            (r#""quoted \"inner\" %25""#, "quoted \"inner\" %"),
            ("%2525", "%25"),
            ("100%", "100%"),
        ] {
            assert_eq!(decode(&HeaderValue::from_str(value).unwrap()).unwrap(), expected);
        }
        assert!(decode(&HeaderValue::from_static("%ff")).is_err());
    }

    #[test]
    fn the_form_is_told_by_headers() {
        let form = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|(name, value)| {
                (name.parse::<header::HeaderName>().unwrap(), HeaderValue::from_static(value))
            });
            Form::of(&headers.collect())
        };
        let json = ("content-type", "application/json; charset=utf-8");
        assert_eq!(form(&[json]).unwrap(), Form::Own);
        assert_eq!(form(&[json, ("ce-id", "1")]).unwrap(), Form::Binary);
        assert_eq!(form(&[("ce-id", "1")]).unwrap(), Form::Binary);
        assert_eq!(form(&[("content-type", "Application/CloudEvents+JSON")]).unwrap(), Form::Structured);
        for refused in ["text/plain", "application/cloudevents+avro"] {
            let problem = form(&[("content-type", refused), ("x", "y")]).unwrap_err();
            assert!(problem.detail().contains(refused) && problem.detail().contains(BATCHED));
        }
        assert!(form(&[]).unwrap_err().detail().contains("names no Content-Type"));
    }
}
