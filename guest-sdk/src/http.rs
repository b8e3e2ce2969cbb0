//! Calls over HTTP, for reactions.
//!
//! ```
//! use projectionist_sdk::{http, prelude::*};
//!
//! # #[derive(Deserialize)]
//! # struct Created { mail: String }
//! #[derive(Reaction)]
//! struct Welcome {}
//!
//! #[reaction(new_version = "continue")]
//! impl Welcome {
//!     #[on("account.created")]
//!     fn created(&mut self, event: &Event, account: Created) -> Result<NewEvent, Failure> {
//!         http::post("https://api.mail.example/send")
//!             .header("authorization", "Bearer {secret:mail-token}")
//!             .json(&json!({"to": account.mail}))
//!             .send()?
//!             .ok()?;
//!         Ok(NewEvent::new("mail.sent").subject(event.subject()))
//!     }
//! }
//!
//! let mut harness = projectionist_sdk::harness::ReactionHarness::<Welcome>::new();
//! harness.answer_calls(|_| Ok(http::Response::new(202)));
//! harness.event("account.created", "account/7", json!({"mail": "a@b.c"}));
//! assert_eq!(harness.calls()[0].url(), "https://api.mail.example/send");
//! assert_eq!(harness.appended()[0].event_type(), "mail.sent");
//! ```
//!
//! The settings file says which hosts may be called (`[[http.allow]]`). The host of the
//! reaction puts in the values of secrets, and writes each call and its response down
//! before the reaction goes on: if the event has to be handled again, a call that was
//! answered with a status below 400 is not made again, but answered as it was then. Each
//! carries an `Idempotency-Key`, the same however often it is made, so that a provider
//! that heeds it does nothing twice.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::reaction::Failure;

/// A call to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) timeout: Option<Duration>,
}

/// A GET request.
pub fn get(url: impl Into<String>) -> Request {
    Request::new("GET", url)
}

/// A POST request.
pub fn post(url: impl Into<String>) -> Request {
    Request::new("POST", url)
}

/// A PUT request.
pub fn put(url: impl Into<String>) -> Request {
    Request::new("PUT", url)
}

/// A PATCH request.
pub fn patch(url: impl Into<String>) -> Request {
    Request::new("PATCH", url)
}

/// A DELETE request.
pub fn delete(url: impl Into<String>) -> Request {
    Request::new("DELETE", url)
}

impl Request {
    /// With any method: `GET`, `POST` …
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        let (method, url) = (method.into(), url.into());
        Self { method, url, headers: Vec::new(), body: Vec::new(), timeout: None }
    }

    /// Also sends a header. In its value `{secret:name}` stands for a secret of the
    /// settings file.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sends JSON.
    ///
    /// # Panics
    /// If it cannot be written as JSON: a map whose keys are no text, or an
    /// implementation of `Serialize` that fails.
    pub fn json(self, body: &impl Serialize) -> Self {
        let json = serde_json::to_vec(body).expect("the body of a request can be written as JSON");
        self.bytes("application/json", json)
    }

    /// Sends any body.
    pub fn bytes(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// Waits for the response no longer than this; the settings file may say less.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Makes the call, and waits for the whole response, whatever its status is.
    ///
    /// # Errors
    /// If there is no response.
    pub fn send(self) -> Result<Response, Error> {
        #[cfg(target_family = "wasm")]
        return crate::component::http::send(self);
        #[cfg(not(target_family = "wasm"))]
        return crate::harness::calls::answer(self);
    }

    /// Its method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Where it goes.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A header that it sends; names in any case.
    pub fn header_value(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// What it sends.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// What it sends, from JSON.
    ///
    /// # Errors
    /// If that is no JSON of this type.
    pub fn body_json<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.body)
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// One without headers and body, for tests.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// With a header, for tests.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    /// With a JSON body, for tests.
    ///
    /// # Panics
    /// If it cannot be written as JSON.
    pub fn with_json(mut self, body: &impl Serialize) -> Self {
        self.body = serde_json::to_vec(body).expect("the body of a response can be written as JSON");
        self.with_header("content-type", "application/json")
    }

    /// Its status: `200` …
    pub fn status(&self) -> u16 {
        self.status
    }

    /// A header that is text; names in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        header.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// Its body.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// Its body as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Its body, from JSON.
    ///
    /// # Errors
    /// If it is no JSON of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Error::Malformed(format!("the response is not what was expected: {error}")))
    }

    /// Itself, if its status is from 200 to 299.
    ///
    /// # Errors
    /// If it is not.
    pub fn ok(self) -> Result<Self, Error> {
        match self.status {
            200..=299 => Ok(self),
            _ => Err(Error::Status(self)),
        }
    }
}

/// Why a call has not come to what was hoped for. With `?` it becomes a [`Failure`]: to
/// be tried again, where that may help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The host of the reaction does not allow it; the event is rejected.
    Refused(String),
    /// No response came; the event is tried again.
    Unanswered(String),
    /// A status that was not hoped for. The event is tried again if it is 408, 425, 429
    /// or from 500; otherwise it is rejected.
    Status(Response),
    /// A response that is not of the expected form; the event is rejected.
    Malformed(String),
}

/// How much of a response's body an error quotes.
const QUOTED: usize = 200;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) | Self::Unanswered(reason) | Self::Malformed(reason) => f.write_str(reason),
            Self::Status(response) => {
                write!(f, "the answer is {}", response.status)?;
                let text: String = response.text().chars().take(QUOTED).collect();
                match text.trim() {
                    "" => Ok(()),
                    text => write!(f, ": {text}"),
                }
            }
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::Unanswered(_) => Self::retry(error),
            Error::Status(Response { status: 408 | 425 | 429 | 500.., .. }) => Self::retry(error),
            Error::Refused(_) | Error::Status(_) | Error::Malformed(_) => Self::reject(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again() {
        let failure = |error: Error| match Failure::from(error) {
            Failure::Retry(reason) => ("retry", reason),
            Failure::Reject(reason) => ("reject", reason),
        };
        let status = |status| failure(Error::Status(Response::new(status))).0;
        assert_eq!([408, 429, 500, 503].map(status), ["retry"; 4]);
        assert_eq!([301, 400, 404, 409].map(status), ["reject"; 4]);
        let quoted = Response { body: b" no such template\n".to_vec(), ..Response::new(422) };
        assert_eq!(
            failure(quoted.ok().unwrap_err()),
            ("reject", "the answer is 422: no such template".to_owned())
        );
        assert_eq!(failure(Error::Unanswered("down".into())), ("retry", "down".to_owned()));
        assert_eq!(failure(Error::Refused("no".into())), ("reject", "no".to_owned()));
    }
}
