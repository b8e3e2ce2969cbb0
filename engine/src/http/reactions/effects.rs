//! `/reactions/{name}/effects`: what an event led to.

use std::{collections::BTreeMap, sync::Arc};

use axum::{extract::State, http::HeaderMap, response::Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::at_work;
use crate::{
    deploy::Deployer,
    event::{Attribute, CAUSATION, CORRELATION, Event, Position, Timestamp, cloudevents},
    http::{
        events::CloudEventDocument,
        parameters::{Parameters, QueryString, UrlQuery},
        path::Segments,
        problem::{Kind, Problem, ProblemDocument},
        projections::json,
    },
    log::Selection,
    projection::Version,
    state::{Call, CallOutcome, Header},
};

/// Which event.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EffectsQuery {
    /// Where the event stands.
    #[param(minimum = 1, example = 7)]
    position: Position,
}

impl Parameters for EffectsQuery {
    fn read(query: &mut QueryString) -> Result<Self, Problem> {
        let position = query.parsed("position", "a position, from 1")?.ok_or_else(|| {
            Problem::new(Kind::InvalidParameter, "say which event: `position=7`".to_owned())
        })?;
        Ok(Self { position })
    }
}

/// What an event led to.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Effects)]
pub(crate) struct EffectsDocument {
    /// Where the event stands.
    position: Position,
    /// The event's id.
    id: String,
    /// The event's type.
    r#type: String,
    /// How far the reaction is with it.
    state: HandlingDocument,
    /// Why it is not handled, if it has failed.
    reason: Option<String>,
    /// The calls that were made for it, in their order.
    calls: Vec<CallDocument>,
    /// The events that were appended in answer to it, as they stand in the log.
    #[schema(value_type = Vec<CloudEventDocument>)]
    appended: Vec<Box<RawValue>>,
}

/// How far a reaction is with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Handling)]
pub(crate) enum HandlingDocument {
    /// It wants no events of this type.
    NotWanted,
    /// It has not handled it yet.
    Open,
    /// It has failed, and is tried again.
    Waiting,
    /// It could not be handled.
    DeadLetter,
    /// It happened too long ago to be acted upon.
    Late,
    /// It is handled.
    Handled,
}

/// A call that a reaction has made.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Call)]
pub(crate) struct CallDocument {
    /// Which of the event's calls, from 1.
    number: u32,
    /// When it was made, the last time.
    #[schema(value_type = String, format = DateTime)]
    made: Timestamp,
    /// How many milliseconds it took.
    took_ms: f64,
    /// How many times it was made.
    attempts: u32,
    /// What was sent, with the names of secrets in place of their values.
    request: RequestDocument,
    /// What came back, if anything did.
    response: Option<ResponseDocument>,
    /// Why nothing came back.
    failed: Option<String>,
}

/// What was sent.
#[derive(Serialize, ToSchema)]
#[schema(as = CallRequest)]
pub(crate) struct RequestDocument {
    /// `POST`
    method: String,
    /// Where to.
    url: String,
    #[serde(flatten)]
    content: ContentDocument,
}

/// What came back.
#[derive(Serialize, ToSchema)]
#[schema(as = CallResponse)]
pub(crate) struct ResponseDocument {
    /// `200`
    status: u16,
    #[serde(flatten)]
    content: ContentDocument,
}

/// Headers and body of a message.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = CallContent)]
pub(crate) struct ContentDocument {
    /// By name.
    headers: BTreeMap<String, String>,
    /// The body, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// The body in Base64, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

impl ContentDocument {
    fn new(headers: Vec<Header>, body: Vec<u8>) -> Self {
        let header = |header: Header| (header.name, String::from_utf8_lossy(&header.value).into_owned());
        let (body, body_base64) = match String::from_utf8(body) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(STANDARD.encode(error.as_bytes()))),
        };
        Self { headers: headers.into_iter().map(header).collect(), body, body_base64 }
    }
}

impl From<Call> for CallDocument {
    fn from(call: Call) -> Self {
        let Call { number, method, url, headers, body, outcome, made, took, attempts, .. } = call;
        let request = RequestDocument { method, url, content: ContentDocument::new(headers, body) };
        let (response, failed) = match outcome {
            CallOutcome::Response { status, headers, body } => {
                (Some(ResponseDocument { status, content: ContentDocument::new(headers, body) }), None)
            }
            CallOutcome::Failed { reason } => (None, Some(reason)),
        };
        let took_ms = took as f64 / 1_000.0;
        Self { number, made, took_ms, attempts, request, response, failed }
    }
}

/// The calls that were made for an event.
pub(super) fn calls(version: &Version, position: Position) -> Result<Vec<CallDocument>, Problem> {
    let calls = version.state().partitions()[0].calls(position)?;
    Ok(calls.into_iter().map(CallDocument::from).collect())
}

/// How far a reaction is with an event, and why it is not handled.
fn handling(version: &Version, event: &Event) -> Result<(HandlingDocument, Option<String>), Problem> {
    let (state, position) = (&version.state().partitions()[0], event.position);
    let letter = state.dead_letters()?.into_iter().find(|letter| letter.position == position);
    if let Some(letter) = letter {
        return Ok((HandlingDocument::DeadLetter, Some(letter.reason)));
    }
    let books = state.books()?;
    if let Some(waiting) = books.waiting.into_iter().find(|waiting| waiting.position == position) {
        return Ok((HandlingDocument::Waiting, Some(waiting.reason)));
    }
    let wanted = version.plugin().description().events.as_ref();
    let handled_to = books.handled_to.max(state.checkpoint().position);
    Ok(match () {
        () if wanted.is_some_and(|types| !types.contains(&event.envelope.event_type)) => {
            (HandlingDocument::NotWanted, None)
        }
        () if position > handled_to || books.open.contains(&position) => (HandlingDocument::Open, None),
        () if state.late(position)?.is_some() => (HandlingDocument::Late, None),
        () => (HandlingDocument::Handled, None),
    })
}

/// The events that a reaction has appended in answer to another.
fn appended(deployer: &Deployer, name: &str, event: &Event) -> Result<Vec<Box<RawValue>>, Problem> {
    let text = |event: &Event, name: &str| match event.envelope.extensions.get(name) {
        Some(Attribute::String(text)) => Some(text.clone()),
        _ => None,
    };
    let id = &event.envelope.id;
    let correlation = text(event, CORRELATION).unwrap_or_else(|| id.clone());
    let selection =
        Selection { from: event.position, correlation: Some(correlation), ..Selection::default() };
    let source = format!("/reactions/{name}");
    let answers =
        deployer.log().read(&selection)?.into_iter().filter(|answer| {
            answer.envelope.source == source && text(answer, CAUSATION).as_ref() == Some(id)
        });
    Ok(answers.filter_map(|answer| document(&answer)).collect())
}

/// An event as a CloudEvent.
pub(super) fn document(event: &Event) -> Option<Box<RawValue>> {
    let mut text = Vec::new();
    cloudevents::to_json(event, &mut text);
    RawValue::from_string(String::from_utf8(text).ok()?).ok()
}

/// The event at a position.
pub(super) fn event_at(deployer: &Deployer, position: Position) -> Result<Option<Event>, Problem> {
    let selection = Selection { from: position, to: position, limit: 1, ..Selection::default() };
    Ok(deployer.log().read(&selection)?.pop())
}

/// Look at what an event led to
#[utoipa::path(get, path = "/reactions/{name}/effects", tag = "reactions", operation_id = "readEffects",
    description = "How far the reaction is with the event, the calls that it has made for it with their responses, and \
        the events that it has appended.",
    params(("name" = String, Path, description = "The reaction's name", example = "activation-mail"), EffectsQuery),
    responses(
        (status = 200, description = "What the event led to.", body = EffectsDocument, headers(("ETag" = String, description = "Of the answer"))),
        (status = 304, description = "The answer is as `If-None-Match` says."),
        (status = 400, description = "No position, or none that is a number.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such reaction or event.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn read(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    UrlQuery(EffectsQuery { position }): UrlQuery<EffectsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let [name] = segments;
    let (version, _) = at_work(&deployer, &name)?;
    let event = event_at(&deployer, position)?.ok_or_else(|| {
        let head = deployer.log().head();
        Problem::new(
            Kind::NoSuchEvent,
            format!("there is no event at position {position}: the log's head is {head}"),
        )
    })?;
    let (state, reason) = handling(&version, &event)?;
    let document = EffectsDocument {
        position,
        id: event.envelope.id.clone(),
        r#type: event.envelope.event_type.clone(),
        state,
        reason,
        calls: calls(&version, position)?,
        appended: appended(&deployer, &name, &event)?,
    };
    json(&headers, version.state().checkpoint().position, &document)
}
