//! `POST /events`: append a batch, all of it or none.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{
    Events,
    forms::{self, AppendDocument},
};
use crate::{
    event::Position,
    http::{
        POSITION,
        parameters::{NoParameters, UrlQuery},
        problem::{Kind, Problem, ProblemDocument},
    },
    log::{AppendError, Appended, Fault, InTheWay, LogError, Misfit},
};

/// The answer to an append.
#[derive(Serialize, ToSchema)]
#[schema(as = Appended, example = json!({"position": 42, "positions": [41, 42], "known": 0}))]
pub(crate) struct AppendedDocument {
    /// The highest of the positions: reads with `at-least=` this one see the batch.
    position: Position,
    /// Where each event of the batch stands, in the batch's order.
    positions: Vec<Position>,
    /// How many of them the log already had; those stand at their first position.
    known: usize,
}

/// Append events
///
/// Appends all events of the request or none. When the answer is there, they are durable.
///
/// All three forms of the CloudEvents HTTP binding are taken, NDJSON, and a form of our own that can carry a
/// condition, checked together with the append: the version that a subject must have (0: it must be new),
/// and events that must not exist.
///
/// An event is known by its `source` and `id`: the same again adds nothing and is answered with its first
/// position, so that any append can be repeated safely. The body may be gzipped (`Content-Encoding: gzip`).
#[utoipa::path(
    post,
    path = "/events",
    tag = "events",
    operation_id = "appendEvents",
    request_body(
        description = "One event, or a batch of them. In the binary form (any other media type) the attributes are in `ce-` headers and the data is the body.",
        content(
            (AppendDocument = "application/json"),
            (super::CloudEventDocument = "application/cloudevents+json"),
            (Vec<super::CloudEventDocument> = "application/cloudevents-batch+json"),
            (String = "application/x-ndjson", example = json!("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/shop\",\"type\":\"order.placed\"}\n")),
            (String = "*/*"),
        ),
    ),
    responses(
        (status = 201, description = "At least one event was new.", body = AppendedDocument,
            headers(("Projectionist-Position" = u64, description = "The highest of the batch's positions"))),
        (status = 200, description = "The log already had all of them.", body = AppendedDocument,
            headers(("Projectionist-Position" = u64, description = "The highest of the batch's positions"))),
        (status = 400, description = "The request or one of its events is malformed; says which, and which attribute.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "The condition does not hold, or an id is used again with other content; \
            `in-the-way` is the event that stands in the way.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "An event or the batch is too large.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "The media type is none of those taken.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "An event does not fit the schema of its type: `event` is its place in the batch, `path` \
            a JSON Pointer to the value, `reason` what is wrong with it, `faults` all that is.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "The log is closed.", body = ProblemDocument, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn append(
    State(events): State<Events>,
    _query: UrlQuery<NoParameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let form = forms::Form::of(&headers)?;
    let body = collect(body, events.body_limit).await?;
    let batch = form.read(&headers, body)?;
    let answer = events.log.append(batch).await?;
    let status = if answer.known < answer.positions.len() { StatusCode::CREATED } else { StatusCode::OK };
    let Appended { position, positions, known } = answer;
    let document = AppendedDocument { position, positions, known };
    Ok((status, [(POSITION, position.to_string())], Json(document)).into_response())
}

/// So much of a body that is too large is still read before it is refused. Whoever is cut short while sending may
/// never see the answer.
const READ_AND_REFUSED: usize = 64 << 20;

/// Reads a body of at most `limit` bytes.
async fn collect(body: Body, limit: usize) -> Result<Bytes, Problem> {
    let mut stream = body.into_data_stream();
    let mut collected = BytesMut::new();
    let mut size = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| {
            Problem::new(Kind::MalformedRequest, format!("the request's body could not be read: {error}"))
        })?;
        size += chunk.len();
        if size <= limit {
            collected.extend_from_slice(&chunk);
        } else if size > limit.saturating_add(READ_AND_REFUSED) {
            break;
        } else {
            collected = BytesMut::new();
        }
    }
    if size > limit {
        let detail = format!(
            "the request's body is larger than {limit} bytes, the most that is appended at once; \
             send the events in several batches, or raise the server's setting max-batch-bytes"
        );
        let problem = Problem::new(Kind::TooLarge, detail).with("unit", "bytes").with("limit", limit);
        return Err(problem.with("setting", "max-batch-bytes"));
    }
    Ok(collected.freeze())
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        let detail = error.to_string();
        match error {
            AppendError::Invalid { index, .. } => {
                Problem::new(Kind::InvalidEvent, detail).with("event", index)
            }
            AppendError::Misfit { index, misfit } => misfits(index, *misfit, detail),
            AppendError::TooLarge { event, size, unit, limit, setting, .. } => {
                let problem = Problem::new(Kind::TooLarge, detail).with("size", size);
                let problem = problem.with("unit", unit).with("limit", limit).with("setting", setting);
                match event {
                    Some(event) => problem.with("event", event),
                    None => problem,
                }
            }
            AppendError::WrongVersion { subject, expected, actual, in_the_way } => {
                let problem = Problem::new(
                    Kind::ConditionNotMet,
                    format!(
                        "{detail}; read what has happened to it since, decide again, and append with its present version"
                    ),
                );
                let problem = problem
                    .with("subject", subject)
                    .with("expected-version", expected)
                    .with("actual-version", actual);
                match in_the_way {
                    Some(event) => with_event(problem, &event),
                    None => problem,
                }
            }
            AppendError::Exists { in_the_way } => {
                with_event(Problem::new(Kind::ConditionNotMet, detail), &in_the_way)
            }
            AppendError::IdReused { source_uri, in_the_way } => {
                let problem = Problem::new(
                    Kind::IdReused,
                    format!("{detail}; give the new event an id of its own, or send the same content"),
                );
                with_event(problem.with("source", source_uri), &in_the_way)
            }
            AppendError::Log(error) => error.into(),
        }
    }
}

/// Says what of an event does not fit: the first fault in words, all of them for machines.
fn misfits(index: usize, misfit: Misfit, detail: String) -> Problem {
    let Misfit { event_type, dataschema, faults } = misfit;
    let first = faults.first().cloned();
    let (path, reason) = first.map(|Fault { path, reason }| (path, reason)).unzip();
    let faults = faults.into_iter().map(|Fault { path, reason }| json!({ "path": path, "reason": reason }));
    Problem::new(Kind::SchemaMismatch, detail)
        .with("event", index)
        .with("event-type", event_type)
        .with("dataschema", dataschema)
        .with("path", path)
        .with("reason", reason)
        .with("faults", faults.collect::<Vec<_>>())
}

/// Names the event that stands in the way.
fn with_event(problem: Problem, event: &InTheWay) -> Problem {
    problem.with(
        "in-the-way",
        json!({
            // 0: it stands earlier in the same batch, so it has none.
            "position": (event.position > 0).then_some(event.position),
            "id": event.id,
            "type": event.event_type,
            "subject": event.subject,
        }),
    )
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Closed => {
                Problem::new(Kind::LogClosed, "the event log is closed: the server is shutting down")
            }
            LogError::Stopped { .. } | LogError::Altered => Problem::new(Kind::LogClosed, error.to_string()),
            LogError::Storage { .. }
            | LogError::Damaged { .. }
            | LogError::InUse { .. }
            | LogError::Foreign { .. } => Problem::new(Kind::StorageFailed, error.to_string()),
        }
    }
}
