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
        let variables = variables(parts)?;
        variables.try_into().map(Self).map_err(|_| {
            Problem::new(Kind::Internal, "a route and its handler differ in their number of variables")
        })
    }
}

/// The variable parts of the matched route, decoded; what a wildcard matched is
/// kept as it stands in the URL, for [`split`].
///
/// axum would decode that as a whole. So the text is taken from the path: where
/// the route has a variable, the path has its value.
fn variables(parts: &Parts) -> Result<Vec<String>, Problem> {
    let route = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
    let mut path = parts.uri.path().split('/');
    let mut variables = Vec::new();
    for segment in route.split('/') {
        let here = path.next().unwrap_or_default();
        if segment.starts_with("{*") {
            let rest: Vec<&str> = std::iter::once(here).chain(path.by_ref()).collect();
            variables.push(rest.join("/"));
        } else if segment.starts_with('{') {
            variables.push(decode(here)?);
        }
    }
    Ok(variables)
}

/// Decodes a segment.
fn decode(raw: &str) -> Result<String, Problem> {
    let decoded = percent_decode_str(raw).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| {
        Problem::new(
            Kind::MalformedRequest,
            format!("the address's segment \"{raw}\" is not percent-encoded UTF-8"),
        )
    })
}

/// Splits what a wildcard has matched and decodes its segments. The wildcard
/// keeps its text as it stands in the URL.
pub(crate) fn split(raw: &str) -> Result<Vec<String>, Problem> {
    raw.split('/').map(decode).collect()
}
