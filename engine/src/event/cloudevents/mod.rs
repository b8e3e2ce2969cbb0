//! CloudEvents 1.0 in the JSON event format.
//!
//! - [`from_slice`] (`read.rs`): JSON to [`Envelope`](super::Envelope).
//! - [`to_json`] (`write.rs`): [`Event`](super::Event) to JSON on one line.
//! - Media types: [`is_json`], [`is_text`].
//!
//! What the log writes it reads again: `to_json` followed by `from_slice` gives
//! the same envelope, so that an export can be imported. The log's own
//! attributes, `position`, `recorded` and `version`, are written and not read.
//!
//! `tags` is an extension attribute: strings separated by commas, since
//! CloudEvents has no lists. A JSON array of strings is understood as well.
//!
//! Not here: the HTTP forms (`http`).

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{from_slice, split_tags};
pub use write::to_json;

/// The only version of CloudEvents there is so far.
pub const SPEC_VERSION: &str = "1.0";

/// The media type of `data` where an event names none.
pub const DEFAULT_CONTENT_TYPE: &str = "application/json";

/// Whether payloads of this media type are JSON: `application/json`,
/// `text/json`, `application/vnd.example+json; charset=utf-8`.
pub fn is_json(content_type: &str) -> bool {
    if content_type == DEFAULT_CONTENT_TYPE {
        return true;
    }
    let essence = essence(content_type).as_bytes();
    let ends_with = |end: &[u8]| {
        essence.len() > end.len() && essence[essence.len() - end.len()..].eq_ignore_ascii_case(end)
    };
    ends_with(b"/json") || ends_with(b"+json")
}

/// Whether payloads of this media type are text that is not JSON.
pub fn is_text(content_type: &str) -> bool {
    let essence = essence(content_type).as_bytes();
    essence.len() > 5 && essence[..5].eq_ignore_ascii_case(b"text/") && !is_json(content_type)
}

/// A media type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}
