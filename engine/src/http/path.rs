//! The variable segments of a path, each percent-decoded by itself, so that an
//! encoded slash stays within its segment.

use std::borrow::Cow;

use axum::{
    extract::{FromRequestParts, MatchedPath},
    http::request::Parts,
};
use percent_encoding::percent_decode_str;

use super::problem::{Kind, Problem};

/// Extracts the `N` variables of a path, in its order.
pub(crate) struct Segments<const N: usize>(pub(crate) [String; N]);

impl<const N: usize, S: Send + Sync> FromRequestParts<S> for Segments<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let variables = variables(parts)?;
        variables.try_into().map(Self).map_err(|_| {
            Problem::new(Kind::Internal, "a route and its handler differ in their number of variables")
        })
    }
}

/// The variable parts of the matched route, decoded.
///
/// axum would decode the path as a whole. So the text is taken from it: where
/// the route has a variable, the path has its value.
fn variables(parts: &Parts) -> Result<Vec<String>, Problem> {
    let route = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
    let segments = route.split('/').zip(parts.uri.path().split('/'));
    let variables = segments.filter(|(name, _)| name.starts_with('{'));
    variables.map(|(_, value)| decode(value).map(Cow::into_owned)).collect()
}

/// Decodes a segment.
pub(crate) fn decode(raw: &str) -> Result<Cow<'_, str>, Problem> {
    percent_decode_str(raw).decode_utf8().map_err(|_| {
        Problem::new(
            Kind::MalformedRequest,
            format!("the address's segment \"{raw}\" is not percent-encoded UTF-8"),
        )
    })
}
