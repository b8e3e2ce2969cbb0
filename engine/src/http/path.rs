//! The variable segments of a path, each percent-decoded by itself, so that an
//! encoded slash stays within its segment.

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
        let raw = raw_variables(parts);
        let decoded: Vec<String> = raw.iter().map(|raw| decode(raw)).collect::<Result<_, _>>()?;
        decoded.try_into().map(Self).map_err(|_| {
            Problem::new(Kind::Internal, "a route and its handler differ in their number of variables")
        })
    }
}

/// The variable parts of the matched route as they stand in the URL.
///
/// axum decodes them (and refuses those that are not UTF-8), so the raw text is
/// taken from the path: the route has a literal segment where the path has the
/// same, and a variable elsewhere.
fn raw_variables(parts: &Parts) -> Vec<String> {
    let route = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let mut path = parts.uri.path().split('/');
    let mut variables = Vec::new();
    for segment in route.unwrap_or_default().split('/') {
        let here = path.next().unwrap_or_default();
        if segment.starts_with("{*") {
            let rest: Vec<&str> = std::iter::once(here).chain(path.by_ref()).collect();
            variables.push(rest.join("/"));
        } else if segment.starts_with('{') {
            variables.push(here.to_owned());
        }
    }
    variables
}

/// Decodes a segment.
pub(crate) fn decode(raw: &str) -> Result<String, Problem> {
    let decoded = percent_decode_str(raw).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| {
        Problem::new(
            Kind::MalformedRequest,
            format!("the address's segment \"{raw}\" is not percent-encoded UTF-8"),
        )
    })
}
