//! `/reactions/{name}/dead-letters`: listed, looked at, tried again, dropped.

use std::sync::Arc;

use axum::{Json, extract::State, http::HeaderMap, response::Response};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    at_work,
    effects::{self, CallDocument},
};
use crate::{
    deploy::Deployer,
    event::{Position, Timestamp},
    http::{
        events::CloudEventDocument,
        parameters::{NoParameters, UrlQuery},
        path::Segments,
        problem::{Kind, Problem, ProblemDocument},
        projections::json,
    },
    reaction::{Letters, What},
    state::DeadLetter,
};

/// The events that a reaction could not handle.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ReactionDeadLetters)]
pub(crate) struct DeadLettersDocument {
    /// Oldest first.
    dead_letters: Vec<DeadLetterDocument>,
}

/// An event that a reaction could not handle.
#[derive(Serialize, ToSchema)]
#[schema(as = ReactionDeadLetter)]
pub(crate) struct DeadLetterDocument {
    /// Where the event stands.
    position: Position,
    /// The event's id.
    id: String,
    /// The event's type.
    r#type: String,
    /// Why it could not be handled.
    reason: String,
    /// How many times it was tried.
    attempts: u32,
    /// When it was given up.
    #[schema(value_type = String, format = DateTime)]
    recorded: Timestamp,
    /// The event itself, where one letter is asked for.
    #[schema(value_type = Option<CloudEventDocument>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Box<RawValue>>,
    /// The calls that were made for it, where one letter is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<Vec<CallDocument>>,
}

impl From<DeadLetter> for DeadLetterDocument {
    fn from(letter: DeadLetter) -> Self {
        let DeadLetter { position, event_id, event_type, reason, attempts, recorded } = letter;
        Self {
            position,
            id: event_id,
            r#type: event_type,
            reason,
            attempts,
            recorded,
            event: None,
            calls: None,
        }
    }
}

/// How many dead letters something was done about.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetterCount)]
pub(crate) struct CountDocument {
    /// How many.
    count: usize,
}

/// List a reaction's dead letters
#[utoipa::path(get, path = "/reactions/{name}/dead-letters", tag = "reactions", operation_id = "listReactionDeadLetters",
    description = "The events that the reaction could not handle, with the reasons.",
    params(("name" = String, Path, description = "The reaction's name", example = "activation-mail")),
    responses(
        (status = 200, description = "The dead letters.", body = DeadLettersDocument, headers(("ETag" = String, description = "Of the list"))),
        (status = 304, description = "The list is as `If-None-Match` says."),
        (status = 404, description = "There is no such reaction.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn list(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    _query: UrlQuery<NoParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let [name] = segments;
    let (version, _) = at_work(&deployer, &name)?;
    let letters = version.state().dead_letters()?.into_iter().map(DeadLetterDocument::from);
    let position = version.state().checkpoint().position;
    json(&headers, position, &DeadLettersDocument { dead_letters: letters.collect() })
}

/// Look at a dead letter
#[utoipa::path(get, path = "/reactions/{name}/dead-letters/{position}", tag = "reactions", operation_id = "readReactionDeadLetter",
    description = "The event, why it could not be handled, and how many times it was tried.",
    params(
        ("name" = String, Path, description = "The reaction's name", example = "activation-mail"),
        ("position" = Position, Path, description = "Where the event stands", example = 7),
    ),
    responses(
        (status = 200, description = "The dead letter.", body = DeadLetterDocument, headers(("ETag" = String, description = "Of the letter"))),
        (status = 404, description = "There is no such reaction or dead letter.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn one(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<2>,
    _query: UrlQuery<NoParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let [name, position] = segments;
    let position = parsed(&position)?;
    let (version, _) = at_work(&deployer, &name)?;
    let letter = version.state().dead_letters()?.into_iter().find(|letter| letter.position == position);
    let letter = letter.ok_or_else(|| no_letter(position))?;
    let event = effects::event_at(&deployer, position)?.and_then(|event| effects::document(&event));
    let calls = Some(effects::calls(&version, position)?);
    let document = DeadLetterDocument { event, calls, ..letter.into() };
    json(&headers, version.state().checkpoint().position, &document)
}

/// Try a dead letter again
#[utoipa::path(post, path = "/reactions/{name}/dead-letters/{position}/retry", tag = "reactions", operation_id = "retryDeadLetter",
    description = "Its event is handled again, as if for the first time.",
    params(
        ("name" = String, Path, description = "The reaction's name", example = "activation-mail"),
        ("position" = Position, Path, description = "Where the event stands", example = 7),
    ),
    responses(
        (status = 200, description = "It is on its way.", body = CountDocument),
        (status = 404, description = "There is no such reaction or dead letter.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "The reaction is not at work.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn retry_one(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<2>,
    _query: UrlQuery<NoParameters>,
) -> Result<Json<CountDocument>, Problem> {
    let [name, position] = segments;
    act(&deployer, &name, What::Retry, Letters::One(parsed(&position)?)).await
}

/// Try all dead letters again
#[utoipa::path(post, path = "/reactions/{name}/dead-letters/retry", tag = "reactions", operation_id = "retryDeadLetters",
    description = "Their events are handled again, as if for the first time.",
    params(("name" = String, Path, description = "The reaction's name", example = "activation-mail")),
    responses(
        (status = 200, description = "They are on their way.", body = CountDocument),
        (status = 404, description = "There is no such reaction.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "The reaction is not at work.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn retry_all(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    _query: UrlQuery<NoParameters>,
) -> Result<Json<CountDocument>, Problem> {
    let [name] = segments;
    act(&deployer, &name, What::Retry, Letters::All).await
}

/// Drop a dead letter
#[utoipa::path(delete, path = "/reactions/{name}/dead-letters/{position}", tag = "reactions", operation_id = "dropDeadLetter",
    description = "It is forgotten; its event stays unhandled.",
    params(
        ("name" = String, Path, description = "The reaction's name", example = "activation-mail"),
        ("position" = Position, Path, description = "Where the event stands", example = 7),
    ),
    responses(
        (status = 200, description = "It is forgotten.", body = CountDocument),
        (status = 404, description = "There is no such reaction or dead letter.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "The reaction is not at work.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn drop_one(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<2>,
    _query: UrlQuery<NoParameters>,
) -> Result<Json<CountDocument>, Problem> {
    let [name, position] = segments;
    act(&deployer, &name, What::Drop, Letters::One(parsed(&position)?)).await
}

/// Drop all dead letters
#[utoipa::path(delete, path = "/reactions/{name}/dead-letters", tag = "reactions", operation_id = "dropDeadLetters",
    description = "They are forgotten; their events stay unhandled.",
    params(("name" = String, Path, description = "The reaction's name", example = "activation-mail")),
    responses(
        (status = 200, description = "They are forgotten.", body = CountDocument),
        (status = 404, description = "There is no such reaction.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "The reaction is not at work.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn drop_all(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    _query: UrlQuery<NoParameters>,
) -> Result<Json<CountDocument>, Problem> {
    let [name] = segments;
    act(&deployer, &name, What::Drop, Letters::All).await
}

async fn act(
    deployer: &Deployer,
    name: &str,
    what: What,
    letters: Letters,
) -> Result<Json<CountDocument>, Problem> {
    let (_, handle) = at_work(deployer, name)?;
    let count = handle.letters(what, letters).await?;
    Ok(Json(CountDocument { count }))
}

fn parsed(position: &str) -> Result<Position, Problem> {
    position.parse().map_err(|_| {
        let detail = format!("\"{position}\" is no position: those are numbers from 1");
        Problem::new(Kind::InvalidParameter, detail)
    })
}

fn no_letter(position: Position) -> Problem {
    Problem::new(Kind::NoSuchDeadLetter, format!("the event at position {position} is no dead letter"))
}
