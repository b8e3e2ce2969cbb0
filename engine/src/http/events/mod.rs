//! `/events`: the log.
//!
//! - `append.rs`: `POST /events`.
//! - `forms.rs`: the forms in which events come in.
//! - `read.rs`: `GET /events`, `GET /events/{position}`.
//! - `feed.rs`: a selection of the log in pieces, followed at its head.

mod append;
mod feed;
mod forms;
mod read;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tower_http::decompression::RequestDecompressionLayer;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::serve::Closing;
use crate::log::EventLog;

/// What these routes work with.
#[derive(Clone)]
pub(crate) struct Events {
    /// The log.
    pub(crate) log: Arc<dyn EventLog>,
    /// The most that is taken at once, in bytes, after decompression.
    pub(crate) body_limit: usize,
    /// Tells those who follow the log that the server is closing.
    pub(crate) closing: Closing,
}

/// The routes.
pub(crate) fn routes(events: Events) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(read::read, append::append))
        .routes(routes!(read::read_one))
        .layer(RequestDecompressionLayer::new())
        .with_state(events)
}

/// A CloudEvent in JSON. What the log adds is ignored in events that come in.
#[derive(ToSchema)]
#[schema(as = CloudEvent, example = json!({
    "specversion": "1.0",
    "id": "2bd1f3b6",
    "source": "/git/wasmtime",
    "type": "git.file.modified",
    "subject": "Cargo.toml",
    "time": "2017-08-29T14:01:55Z",
    "tags": "author:ada,crate:wasi",
    "data": {"author": "Ada"},
}))]
#[allow(dead_code, reason = "it describes what `event::cloudevents` reads and writes")]
pub(crate) struct CloudEventDocument {
    /// Always `1.0`.
    specversion: String,
    /// Unique within the source.
    id: String,
    /// Who it comes from, a URI reference.
    source: String,
    /// What kind of fact it is.
    r#type: String,
    /// What it is about.
    subject: Option<String>,
    /// When it happened, in RFC 3339.
    time: Option<String>,
    /// The media type of the data; JSON if absent.
    datacontenttype: Option<String>,
    /// The payload.
    data: Option<serde_json::Value>,
    /// The payload in base64, where it is not text.
    data_base64: Option<String>,
    /// Strings by which appends and reads can select the event, separated by commas. An array is taken too.
    tags: Option<String>,
    /// Its place in the log.
    #[schema(read_only)]
    position: u64,
    /// When the log recorded it.
    #[schema(read_only)]
    recorded: String,
    /// Its number within its subject, from 1.
    #[schema(read_only)]
    version: Option<u64>,
}
