//! Errors as RFC 9457 problem+json: what happened, and what to do.
//!
//! Every error that leaves the server is a [`Problem`], also those that axum
//! or a panic would otherwise write ([`normalise`], [`panicked`]).

use std::any::Any;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};

/// The media type of errors.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

macro_rules! kinds {
    ($($kind:ident $slug:literal $status:ident $title:literal;)*) => {
        /// What kinds of problems there are. Clients may tell them apart by
        /// `type`, which never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind { $(#[doc = $title] $kind,)* }

        impl Kind {
            /// All of them.
            pub(crate) const ALL: &'static [Kind] = &[$(Kind::$kind),*];

            /// The last segment of its `type`.
            pub(crate) fn slug(self) -> &'static str {
                match self { $(Kind::$kind => $slug),* }
            }

            /// What it is in a sentence.
            pub(crate) fn title(self) -> &'static str {
                match self { $(Kind::$kind => $title),* }
            }

            /// The HTTP status that it comes with.
            pub(crate) fn status(self) -> StatusCode {
                match self { $(Kind::$kind => StatusCode::$status),* }
            }
        }
    };
}

kinds! {
    MalformedRequest "malformed-request" BAD_REQUEST "The request cannot be understood.";
    InvalidEvent "invalid-event" BAD_REQUEST "An event is not a valid CloudEvent.";
    InvalidSchema "invalid-schema" BAD_REQUEST "The document is no JSON Schema that can be used.";
    InvalidParameter "invalid-parameter" BAD_REQUEST "A parameter's value does not fit.";
    UnknownParameter "unknown-parameter" BAD_REQUEST "A query parameter has a name that this resource does not know.";
    UnusableComponent "unusable-component" BAD_REQUEST "The component or its settings cannot be used.";
    ForeignHost "foreign-host" FORBIDDEN "The request names a host that is not this machine.";
    ForeignOrigin "foreign-origin" FORBIDDEN "The request comes from a page of another site.";
    NotFound "not-found" NOT_FOUND "There is nothing at this address.";
    NoSuchEvent "no-such-event" NOT_FOUND "The log has no event at this position.";
    NoSuchProjection "no-such-projection" NOT_FOUND "There is no projection of this name.";
    NoSuchReaction "no-such-reaction" NOT_FOUND "There is no reaction of this name.";
    NoSuchDeadLetter "no-such-dead-letter" NOT_FOUND "The event at this position is no dead letter.";
    NoSuchVersion "no-such-version" NOT_FOUND "The plug-in has no such version.";
    NoSuchSchema "no-such-schema" NOT_FOUND "No such schema is registered.";
    NoSuchTable "no-such-table" NOT_FOUND "The projection has no table of this name.";
    NoSuchKey "no-such-key" NOT_FOUND "The table has no such key.";
    NoSuchQuery "no-such-query" NOT_FOUND "The projection answers no query of this name.";
    MethodNotAllowed "method-not-allowed" METHOD_NOT_ALLOWED "This resource does not take this method.";
    ConditionNotMet "condition-not-met" CONFLICT "The append's condition does not hold.";
    IdReused "id-reused" CONFLICT "Another event has this source and id.";
    SchemaInUse "schema-in-use" CONFLICT "Events have been recorded that rely on the schema.";
    StillDeployed "still-deployed" CONFLICT "The plug-in's file is still in the plug-ins folder.";
    NoProjection "no-projection" CONFLICT "The plug-in is no projection, and this is for projections only.";
    OtherStation "other-station" CONFLICT "The version is not at the station that this needs.";
    StalePlan "stale-plan" CONFLICT "Production has moved on since the plan was made.";
    Verifying "verifying" CONFLICT "Another version is being verified.";
    CannotFold "cannot-fold" CONFLICT "The component cannot fold this history.";
    TooLarge "too-large" PAYLOAD_TOO_LARGE "The request is larger than the log takes.";
    UnsupportedMediaType "unsupported-media-type" UNSUPPORTED_MEDIA_TYPE "The body is of a media type that this resource does not take.";
    SchemaMismatch "schema-mismatch" UNPROCESSABLE_ENTITY "An event does not fit the schema of its type.";
    PluginFailed "plugin-failed" INTERNAL_SERVER_ERROR "The plug-in failed to answer.";
    StorageFailed "storage-failed" INTERNAL_SERVER_ERROR "The storage under the engine failed.";
    Internal "internal" INTERNAL_SERVER_ERROR "The engine has a fault.";
    LogClosed "log-closed" SERVICE_UNAVAILABLE "The event log is closed.";
    NotServed "not-served" SERVICE_UNAVAILABLE "The projection has no live version to answer.";
    Halted "halted" SERVICE_UNAVAILABLE "The projection has halted at an event.";
    NotReady "not-ready" SERVICE_UNAVAILABLE "Not all plug-ins answer yet.";
    PositionNotReached "position-not-reached" GATEWAY_TIMEOUT "The projection has not reached the position in time.";
}

impl Kind {
    /// Its `type`, a URI reference that is also an address on this server.
    pub(crate) fn uri(self) -> String {
        format!("/problems/{}", self.slug())
    }
}

/// One error, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    kind: Kind,
    status: StatusCode,
    detail: String,
    /// Boxed, for most answers are no problem and should not carry the room for one.
    fields: Box<Map<String, Value>>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of a kind; `detail` says what happened and what to do.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            status: kind.status(),
            detail: detail.into(),
            fields: Box::default(),
            headers: Vec::new(),
        }
    }

    /// Adds a field for machines.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Says that it may be over in a second.
    pub(crate) fn retry(self) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Puts `before` in front of the detail (`line 12: …`).
    pub(crate) fn prefixed(mut self, before: &str) -> Self {
        self.detail.insert_str(0, before);
        self
    }

    /// Its kind.
    #[cfg(test)]
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// What happened.
    #[cfg(test)]
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The document that is sent.
    pub(crate) fn to_json(&self) -> Value {
        let mut document = Map::new();
        document.insert("type".into(), self.kind.uri().into());
        document.insert("title".into(), self.kind.title().into());
        document.insert("status".into(), self.status.as_u16().into());
        document.insert("detail".into(), self.detail.clone().into());
        document.extend((*self.fields).clone());
        document.into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::warn!(status = self.status.as_u16(), problem = self.kind.slug(), "{}", self.detail);
        }
        let mut response = (self.status, self.to_json().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers);
        response
    }
}

/// A problem in the documentation. Some kinds add fields of their own.
#[derive(utoipa::ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "/problems/condition-not-met",
    "title": "The append's condition does not hold.",
    "status": 409,
    "detail": "event 7 of type \"user.signed-up\" at position 41 matches the condition",
    "in-the-way": {"position": 41, "id": "7", "type": "user.signed-up", "subject": "user/7"},
}))]
#[allow(dead_code, reason = "it only describes what `to_json` writes")]
pub(crate) struct ProblemDocument {
    /// Which kind of problem, as a URI reference; clients may rely on it.
    r#type: String,
    /// The kind in a sentence.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What happened this time, and what to do.
    detail: String,
}

/// Answers a request that no route takes.
pub(crate) async fn not_found(request: Request) -> Problem {
    let detail = format!(
        "there is nothing at {}; / names the main addresses, /openapi.json all",
        request.uri().path()
    );
    Problem::new(Kind::NotFound, detail)
}

/// Turns errors that others wrote (axum, layers) into problems; `method` and
/// `uri` are the request's.
pub(crate) async fn normalise(method: &Method, uri: &Uri, response: Response) -> Response {
    let status = response.status();
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == PROBLEM_JSON);
    if !(status.is_client_error() || status.is_server_error()) || is_problem {
        return response;
    }
    let what = format!("{method} {}", uri.path());
    let (parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, 4096).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let kind = match status {
        StatusCode::NOT_FOUND => Kind::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Kind::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => Kind::TooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Kind::UnsupportedMediaType,
        _ if status.is_client_error() => Kind::MalformedRequest,
        _ => Kind::Internal,
    };
    let allow = parts.headers.get(header::ALLOW).cloned();
    let detail = match (&allow, kind) {
        (Some(allow), Kind::MethodNotAllowed) => {
            format!("{what} is not possible; this address takes {}", allow.to_str().unwrap_or_default())
        }
        _ if text.trim().is_empty() => format!("{what}: {}", status.canonical_reason().unwrap_or("failed")),
        _ => format!("{what}: {}", text.trim()),
    };
    let mut problem = Problem::new(kind, detail);
    problem.status = status;
    if let Some(allow) = allow {
        problem = problem.header(header::ALLOW, allow);
    }
    if let Some(encoding) = parts.headers.get(header::ACCEPT_ENCODING) {
        problem = problem.header(header::ACCEPT_ENCODING, encoding.clone());
    }
    problem.into_response()
}

/// Answers a request whose handler panicked. What it said goes to the
/// program's own output, not to the client.
pub(crate) fn panicked(cause: Box<dyn Any + Send + 'static>) -> Response<Body> {
    let cause = cause.downcast_ref::<&str>().map(|text| (*text).to_owned());
    tracing::error!(cause, "a request handler panicked");
    Problem::new(Kind::Internal, "the engine failed while answering; its own output says more")
        .into_response()
}
