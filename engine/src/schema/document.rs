//! One JSON Schema, compiled. `jsonschema` appears in this file only.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, LazyLock, OnceLock},
};

use jsonschema::{Retrieve, Uri, ValidationError, Validator, error::ValidationErrorKind};
use serde_json::Value;

use crate::log::Fault;

/// So many faults of one event are told at most.
const MOST_FAULTS: usize = 10;

/// How long a reason may be, in characters, with the value that it is about.
const LONGEST_REASON: usize = 200;

/// How long a document may be, in bytes.
pub(super) const LARGEST: usize = 1 << 20;

/// From where `jsonschema` resolves relative references: there is nothing.
const BASE: &str = "json-schema:///";

/// Why a document cannot be used as a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It is no JSON.
    #[error("the schema is no JSON: {reason}")]
    NotJson {
        /// What the parser met, and where.
        reason: String,
    },
    /// It is longer than a schema may be.
    #[error("the schema has {size} bytes; one may have at most {LARGEST}")]
    TooLarge {
        /// How long it is.
        size: usize,
    },
    /// It is JSON, but not a JSON Schema.
    #[error("this is no JSON Schema: at {}: {reason}", if path.is_empty() { "its top" } else { path })]
    NotASchema {
        /// Where: a JSON Pointer into the document.
        path: String,
        /// What is wrong there.
        reason: String,
    },
    /// It refers to another document.
    #[error(
        "the schema refers to \"{uri}\", which is not in it; nothing is ever fetched from elsewhere: put what it \
         refers to under \"$defs\""
    )]
    Elsewhere {
        /// What it refers to.
        uri: String,
    },
}

/// A JSON Schema, compiled.
#[derive(Debug)]
pub struct Document {
    value: Value,
    validator: Validator,
}

impl Document {
    /// Reads and compiles a schema. Without `$schema` it is one of draft 2020-12. Formats are
    /// checked, those that nobody knows are not.
    pub fn parse(text: &[u8]) -> Result<Self, DocumentError> {
        if text.len() > LARGEST {
            return Err(DocumentError::TooLarge { size: text.len() });
        }
        let value = serde_json::from_slice(text);
        let value = value.map_err(|error| DocumentError::NotJson { reason: error.to_string() })?;
        Self::new(value)
    }

    /// Compiles a schema.
    pub fn new(value: Value) -> Result<Self, DocumentError> {
        let nowhere = Nowhere::default();
        let options = jsonschema::options().with_retriever(nowhere.clone()).should_validate_formats(true);
        let validator = options.build(&value).map_err(|error| match (nowhere.0.get(), &error.kind) {
            (Some(uri), _) => DocumentError::Elsewhere { uri: uri.clone() },
            (None, ValidationErrorKind::Referencing(reason)) => {
                DocumentError::NotASchema { path: String::new(), reason: reason.to_string() }
            }
            (None, _) => DocumentError::NotASchema {
                path: error.instance_path.as_str().to_owned(),
                reason: reason(&error),
            },
        })?;
        Ok(Self { value, validator })
    }

    /// The schema itself.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Whether JSON fits.
    pub fn fits(&self, data: &Value) -> bool {
        self.validator.is_valid(data)
    }

    /// What of an event's data does not fit; not all of very many faults.
    pub fn faults(&self, data: &Value) -> Vec<Fault> {
        if self.fits(data) {
            return Vec::new();
        }
        let fault = |error: ValidationError<'_>| {
            let path = format!("/data{}", error.instance_path.as_str());
            Fault { path, reason: reason(&error) }
        };
        self.validator.iter_errors(data).take(MOST_FAULTS).map(fault).collect()
    }
}

/// What is wrong, without dumping large values.
fn reason(error: &ValidationError<'_>) -> String {
    let reason = error.to_string();
    let reason = match reason.chars().count() > LONGEST_REASON {
        true => error.masked_with(Cow::Borrowed("the value")).to_string(),
        false => reason,
    };
    match reason.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason,
    }
}

/// Fetches nothing, and remembers what it should have fetched.
#[derive(Clone, Default)]
struct Nowhere(Arc<OnceLock<String>>);

impl Retrieve for Nowhere {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let uri = uri.as_str();
        let uri = self.0.get_or_init(|| uri.strip_prefix(BASE).unwrap_or(uri).to_owned());
        Err(format!("{uri} is not fetched").into())
    }
}

/// A format of strings that can be told by looking at some.
pub(super) struct Format {
    /// Its name in schemas.
    pub(super) name: &'static str,
    /// What a string of it has in any case; without it too much else would do.
    mark: char,
    document: Document,
}

impl Format {
    /// Whether a schema with this format takes a string.
    pub(super) fn takes(&self, text: &Value) -> bool {
        text.as_str().is_some_and(|text| text.contains(self.mark)) && self.document.fits(text)
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The formats that are told, those that say most first.
pub(super) static FORMATS: LazyLock<Vec<Format>> = LazyLock::new(|| {
    let format = |(name, mark): (&'static str, char)| {
        let document = Document::new(serde_json::json!({ "format": name }));
        Format { name, mark, document: document.expect("a schema of one known format") }
    };
    let known =
        [("date-time", ':'), ("date", '-'), ("uuid", '-'), ("ipv4", '.'), ("email", '@'), ("uri", '/')];
    known.into_iter().map(format).collect()
});
