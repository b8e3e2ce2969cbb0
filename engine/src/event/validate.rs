//! The rules that an envelope keeps, whichever way it came in.

use super::{Attribute, DATASCHEMA, Envelope};

/// How long a tag may be, in bytes.
pub const MAX_TAG_BYTES: usize = 256;

/// Names that an extension attribute can't have: CloudEvents or the log give
/// them another meaning.
const RESERVED: [&str; 13] = [
    "data",
    "data_base64",
    "datacontenttype",
    "id",
    "position",
    "recorded",
    "source",
    "specversion",
    "subject",
    "tags",
    "time",
    "type",
    "version",
];

/// Why something is not an event, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON, or not a JSON object.
    #[error("not a CloudEvent in JSON: {reason}")]
    Json {
        /// What the parser met, and where.
        reason: String,
    },
    /// An attribute that every event must have is not there, or empty.
    #[error("attribute \"{attribute}\" is missing or empty; CloudEvents requires it")]
    Missing {
        /// Its name.
        attribute: &'static str,
    },
    /// An attribute has a wrong name or value.
    #[error("attribute \"{attribute}\" {reason}")]
    Attribute {
        /// Its name.
        attribute: String,
        /// What is wrong and what to do.
        reason: String,
    },
}

impl EnvelopeError {
    pub(crate) fn attribute(attribute: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Attribute { attribute: attribute.into(), reason: reason.into() }
    }
}

impl Envelope {
    /// Checks what every log asks of an event. Readers of the various forms
    /// have checked it already; code that builds envelopes has not.
    pub fn validate(&self) -> Result<(), EnvelopeError> {
        for (attribute, value) in [("id", &self.id), ("source", &self.source), ("type", &self.event_type)] {
            if value.is_empty() {
                return Err(EnvelopeError::Missing { attribute });
            }
        }
        if self.subject.as_deref() == Some("") {
            return Err(EnvelopeError::attribute("subject", "is empty; leave it out"));
        }
        for tag in &self.tags {
            check_tag(tag)?;
        }
        for (name, value) in &self.extensions {
            check_name(name)?;
            if name == DATASCHEMA && !matches!(value, Attribute::String(uri) if !uri.is_empty()) {
                return Err(EnvelopeError::attribute(
                    DATASCHEMA,
                    "must be a URI; leave it out if there is none",
                ));
            }
        }
        Ok(())
    }
}

/// Whether an extension attribute may have this name.
pub(super) fn check_name(name: &str) -> Result<(), EnvelopeError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if RESERVED.contains(&name) {
        return Err(EnvelopeError::attribute(
            name,
            "can't be an extension, its name has a meaning of its own",
        ));
    }
    if name.is_empty() || !name.bytes().all(plain) {
        let suggestion: String = name
            .chars()
            .map(|c| c.to_ascii_lowercase())
            .filter(|c| c.is_ascii() && plain(*c as u8))
            .collect();
        let reason = match suggestion.is_empty() || RESERVED.contains(&suggestion.as_str()) {
            true => {
                "has a name that CloudEvents does not allow: use lower-case letters and digits".to_owned()
            }
            false => format!(
                "has a name that CloudEvents does not allow: use lower-case letters and digits, as in \"{suggestion}\""
            ),
        };
        return Err(EnvelopeError::attribute(name, reason));
    }
    Ok(())
}

/// Whether a tag may look like this.
pub(super) fn check_tag(tag: &str) -> Result<(), EnvelopeError> {
    let reason = match tag {
        "" => "holds an empty tag; leave it out".to_owned(),
        _ if tag.len() > MAX_TAG_BYTES => {
            format!("holds a tag of {} bytes; a tag takes at most {MAX_TAG_BYTES}", tag.len())
        }
        _ if tag.contains(',') => format!("holds the tag \"{tag}\" with a comma, which separates tags"),
        _ if tag.chars().any(char::is_control) => {
            format!("holds the tag \"{}\" with a control character", tag.escape_debug())
        }
        // They would be lost in the comma-separated form.
        _ if tag.trim() != tag => format!("holds the tag \"{tag}\" that begins or ends with a space"),
        _ => return Ok(()),
    };
    Err(EnvelopeError::attribute("tags", reason))
}
