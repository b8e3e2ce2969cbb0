//! ETags and the answers to conditional requests.

use std::fmt::{self, Display};

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};

/// An entity tag. It is weak, for the same answer may travel compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag(String);

impl Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Tag {
    /// From an answer's bytes.
    pub(crate) fn of(body: &[u8]) -> Self {
        Self(format!("W/\"{:032x}\"", xxh3_128(body)))
    }

    /// From an answer's bytes, where the same bytes of another `scope` are to
    /// have another tag.
    pub(crate) fn within(scope: &str, body: &[u8]) -> Self {
        Self(format!("W/\"{:032x}\"", xxh3_128_with_seed(body, xxh3_64(scope.as_bytes()))))
    }

    /// From what determines an answer, so that it need not be made to know.
    pub(crate) fn from_parts(parts: &[&dyn Display]) -> Self {
        let mut text = String::new();
        for part in parts {
            text.push_str(&part.to_string());
            text.push('\0');
        }
        Self::of(text.as_bytes())
    }

    /// Whether the client has this already.
    pub(crate) fn is_known(&self, headers: &HeaderMap) -> bool {
        let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let plain = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        values.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || plain(tag) == plain(&self.0))
    }

    /// The whole answer, or 304 when the client has it already.
    pub(crate) fn respond(&self, headers: &HeaderMap, answer: impl FnOnce() -> Response) -> Response {
        let mut response = match self.is_known(headers) {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => answer(),
        };
        let value = HeaderValue::from_str(&self.0).expect("a tag is hexadecimal digits in quotes");
        response.headers_mut().insert(header::ETAG, value);
        // Caches may keep it, but have to ask each time.
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_match_in_lists_weak_or_strong() {
        let tag = Tag::of(b"body");
        let strong = tag.0.trim_start_matches("W/").to_owned();
        let known = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, value.parse().unwrap());
            tag.is_known(&headers)
        };
        assert!(known(&tag.0) && known(&strong) && known("*") && known(&format!("\"a\", {}", tag.0)));
        assert!(!known("\"a\"") && !tag.is_known(&HeaderMap::new()));
        assert_ne!(Tag::from_parts(&[&"a", &"bc"]), Tag::from_parts(&[&"ab", &"c"]));
        assert_ne!(Tag::within("a", b"body"), Tag::within("b", b"body"));
        assert_ne!(Tag::within("a", b"body"), Tag::within("a", b"other"));
    }
}
