//! Query parameters, read strictly: a name that the resource does not know is
//! refused, for a typo in `type` must not silently select everything.
//!
//! Which names a resource knows comes from the same type that documents them,
//! so that the two cannot diverge.

use std::{fmt::Display, str::FromStr, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{Uri, request::Parts},
};
use utoipa::IntoParams;

use super::problem::{Kind, Problem};
use crate::log::Moment;

/// A resource's query parameters.
pub(crate) trait Parameters: IntoParams + Sized {
    /// Takes them from what the URL says.
    fn read(query: &mut QueryString) -> Result<Self, Problem>;
}

/// Extracts a resource's query parameters.
pub(crate) struct UrlQuery<P>(pub(crate) P);

impl<P: Parameters, S: Send + Sync> FromRequestParts<S> for UrlQuery<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of(&parts.uri).map(Self)
    }
}

impl<P: Parameters> UrlQuery<P> {
    /// The parameters in a URL.
    pub(crate) fn of(uri: &Uri) -> Result<P, Problem> {
        let mut query = QueryString::parse(uri);
        // To gather the names takes longer than many a read.
        if !query.is_empty() {
            query.only(&known::<P>())?;
        }
        P::read(&mut query)
    }
}

/// The names of a resource's parameters, as documented.
fn known<P: IntoParams>() -> Vec<String> {
    P::into_params(|| None).into_iter().map(|parameter| parameter.name).collect()
}

/// A resource without query parameters.
pub(crate) struct NoParameters;

impl IntoParams for NoParameters {
    fn into_params(
        _: impl Fn() -> Option<utoipa::openapi::path::ParameterIn>,
    ) -> Vec<utoipa::openapi::path::Parameter> {
        Vec::new()
    }
}

impl Parameters for NoParameters {
    fn read(_: &mut QueryString) -> Result<Self, Problem> {
        Ok(Self)
    }
}

/// The parameters of two types together.
pub(crate) struct Both<A, B>(pub(crate) A, pub(crate) B);

impl<A: IntoParams, B: IntoParams> IntoParams for Both<A, B> {
    fn into_params(
        place: impl Fn() -> Option<utoipa::openapi::path::ParameterIn>,
    ) -> Vec<utoipa::openapi::path::Parameter> {
        let mut parameters = A::into_params(&place);
        parameters.extend(B::into_params(&place));
        parameters
    }
}

impl<A: Parameters, B: Parameters> Parameters for Both<A, B> {
    fn read(query: &mut QueryString) -> Result<Self, Problem> {
        Ok(Self(A::read(query)?, B::read(query)?))
    }
}

/// The decoded pairs of a URL's query.
pub(crate) struct QueryString(Vec<(String, String)>);

impl QueryString {
    /// Decodes a URL's query.
    pub(crate) fn parse(uri: &Uri) -> Self {
        Self(form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect())
    }

    /// Whether the URL has no parameters.
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses names that are not in `known`.
    pub(crate) fn only(&self, known: &[String]) -> Result<(), Problem> {
        let Some((name, _)) = self.0.iter().find(|(name, _)| !known.contains(name)) else { return Ok(()) };
        let list = match known {
            [] => "this resource takes none".to_owned(),
            _ => format!("known are: {}", known.join(", ")),
        };
        let detail = format!("there is no query parameter \"{name}\"; {list}");
        Err(Problem::new(Kind::UnknownParameter, detail)
            .with("parameter", name.as_str())
            .with("known", known))
    }

    /// The name of the first pair that is left.
    pub(crate) fn first_name(&self) -> Option<String> {
        self.0.first().map(|(name, _)| name.clone())
    }

    /// Takes the values of a parameter that may be repeated.
    pub(crate) fn all(&mut self, name: &str) -> Vec<String> {
        self.0.extract_if(.., |(candidate, _)| candidate == name).map(|(_, value)| value).collect()
    }

    /// Takes the value of a parameter that may stand once.
    pub(crate) fn one(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut values = self.all(name);
        match values.len() {
            0 | 1 => Ok(values.pop()),
            _ => Err(invalid(name, &values.join(", "), "it may stand only once")),
        }
    }

    /// Takes and parses the value of a parameter.
    pub(crate) fn parsed<T: FromStr>(&mut self, name: &str, expected: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| invalid(name, &text, format_args!("it should be {expected}")))
    }

    /// Takes a flag: absent is false; without a value, or `true` or `1`, is true.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.one(name)?.as_deref() {
            None => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(other) => Err(invalid(name, other, "it should be true or false")),
        }
    }

    /// Takes a number of things, from 1 to `most`.
    pub(crate) fn count(&mut self, name: &str, most: usize) -> Result<Option<usize>, Problem> {
        let expected = format!("a number from 1 to {most}");
        match self.parsed::<usize>(name, &expected)? {
            Some(count) if count == 0 || count > most => {
                Err(invalid(name, &count.to_string(), format_args!("it should be {expected}")))
            }
            count => Ok(count),
        }
    }

    /// Takes a position or a time.
    pub(crate) fn moment(&mut self, name: &str) -> Result<Option<Moment>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|why: String| invalid(name, &text, why))
    }

    /// Takes a duration: `5s`, `250ms` or `1m`; a bare number is in seconds.
    pub(crate) fn duration(&mut self, name: &str) -> Result<Option<Duration>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let number = digits.parse::<u32>().ok().map(u64::from);
        let duration = match (number, &text[digits.len()..]) {
            (Some(number), "ms") => Duration::from_millis(number),
            (Some(number), "s" | "") => Duration::from_secs(number),
            (Some(number), "m") => Duration::from_secs(number * 60),
            _ => return Err(invalid(name, &text, "it should be like 5s, 250ms or 1m")),
        };
        Ok(Some(duration))
    }
}

/// A parameter's value does not fit.
pub(crate) fn invalid(name: &str, value: &str, why: impl Display) -> Problem {
    Problem::new(Kind::InvalidParameter, format!("query parameter \"{name}\" is \"{value}\"; {why}"))
        .with("parameter", name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> QueryString {
        QueryString::parse(&format!("/x?{text}").parse().unwrap())
    }

    #[test]
    fn durations_have_units() {
        for (text, millis) in [("5s", 5000), ("250ms", 250), ("1m", 60_000), ("2", 2000), ("0s", 0)] {
            let duration = query(&format!("timeout={text}")).duration("timeout").unwrap();
            assert_eq!(duration, Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "5h", "-1s", "1.5s", "99999999999s"] {
            let problem = query(&format!("timeout={text}")).duration("timeout").unwrap_err();
            assert!(problem.detail().contains("250ms"), "{text}");
        }
    }

    #[test]
    fn flags_and_counts() {
        assert!(query("reverse").flag("reverse").unwrap());
        assert!(!query("reverse=false").flag("reverse").unwrap());
        assert!(query("reverse=yes").flag("reverse").is_err());
        assert!(query("limit=0").count("limit", 10).is_err());
        assert!(query("limit=11").count("limit", 10).is_err());
        assert_eq!(query("limit=10").count("limit", 10).unwrap(), Some(10));
        assert!(query("limit=1&limit=2").count("limit", 10).is_err());
    }

    #[test]
    fn names_are_decoded_and_unknown_ones_refused() {
        assert_eq!(query("tag=email%3Aa%40b.c&tag=x+y").all("tag"), ["email:a@b.c", "x y"]);
        let problem = query("typ=x").only(&["type".to_owned()]).unwrap_err();
        assert_eq!(problem.kind(), Kind::UnknownParameter);
        assert!(problem.detail().contains("known are: type"));
    }
}
