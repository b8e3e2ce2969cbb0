//! `/schemas` and `/schemas/{type}`: the types of events.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::aside;
use crate::{
    event::{Position, Timestamp},
    http::{
        parameters::{NoParameters, UrlQuery},
        path::Segments,
        problem::{Kind, Problem, ProblemDocument},
        projections::json,
    },
    schema::{Counted, Schemas, TypeStatus, Use, VersionStatus},
};

/// One answer counts the log for so long; the next one goes on.
const COUNTING: Duration = Duration::from_secs(2);

/// The types of events.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Schemas)]
pub(crate) struct TypesDocument {
    /// By name: those that events have, and those that schemas are registered for.
    types: Vec<TypeDocument>,
    /// Whether events of types without a schema are refused.
    required: bool,
    /// The log's head.
    position: Position,
    /// Up to which position events are counted. In a long log the first answers come before all are; ask again.
    counted_to: Position,
}

/// A type of events.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = EventType)]
pub(crate) struct TypeDocument {
    /// Its name.
    r#type: String,
    /// Whether its events must fit.
    check: bool,
    /// How many events of it there are, as far as they are counted.
    events: u64,
    /// Those that are registered, and those that events name.
    versions: Vec<VersionDocument>,
}

/// A type's events that name one version of its schema.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = SchemaVersion)]
pub(crate) struct VersionDocument {
    /// What they name as their `dataschema`; null for those that name none.
    dataschema: Option<String>,
    /// When a schema was registered for them; null if none is.
    #[schema(value_type = Option<String>, format = DateTime)]
    registered: Option<Timestamp>,
    /// How many there are, as far as they are counted.
    events: u64,
    /// The first of them.
    first: Option<UseDocument>,
    /// The last of them.
    last: Option<UseDocument>,
    /// The schema, where one type is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<Value>,
}

/// An event.
#[derive(Serialize, ToSchema)]
#[schema(as = SchemaUse)]
pub(crate) struct UseDocument {
    /// Where it stands.
    position: Position,
    /// When it was recorded.
    #[schema(value_type = String, format = DateTime)]
    recorded: Timestamp,
}

/// What can be changed of a type.
#[derive(Deserialize, ToSchema)]
#[schema(as = EventTypeChange, example = json!({"check": true}))]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeDocument {
    /// Whether its events must fit from now on.
    check: bool,
}

impl TypeDocument {
    /// `whole`: with the schemas themselves.
    fn of(status: TypeStatus, whole: bool) -> Self {
        let versions: Vec<VersionDocument> =
            status.versions.into_iter().map(|version| VersionDocument::of(version, whole)).collect();
        Self {
            r#type: status.name,
            check: status.check,
            events: versions.iter().map(|version| version.events).sum(),
            versions,
        }
    }
}

impl VersionDocument {
    fn of(VersionStatus { dataschema, registered, schema, usage }: VersionStatus, whole: bool) -> Self {
        let shown = |Use { position, recorded }: Use| UseDocument { position, recorded };
        Self {
            dataschema: Some(dataschema).filter(|dataschema| !dataschema.is_empty()),
            registered,
            events: usage.map_or(0, |usage| usage.events),
            first: usage.map(|usage| shown(usage.first)),
            last: usage.map(|usage| shown(usage.last)),
            schema: schema.filter(|_| whole),
        }
    }
}

async fn counted(schemas: Arc<Schemas>) -> Result<Counted, Problem> {
    aside(move || schemas.count(COUNTING)).await
}

/// List types of events
///
/// The types that events have or that schemas are registered for, their versions, and how many events are of each.
#[utoipa::path(get, path = "/schemas", tag = "schemas", operation_id = "listSchemas",
    responses(
        (status = 200, description = "The types.", body = TypesDocument, headers(("ETag" = String, description = "Of the list"))),
        (status = 304, description = "The list is as `If-None-Match` says."),
    ))]
pub(crate) async fn list(
    State(schemas): State<Arc<Schemas>>,
    _query: UrlQuery<NoParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Counted { types, to, head, required } = counted(schemas).await?;
    let types = types.into_iter().map(|status| TypeDocument::of(status, false)).collect();
    json(&headers, head, &TypesDocument { types, required, position: head, counted_to: to })
}

/// Look at a type of events
#[utoipa::path(get, path = "/schemas/{type}", tag = "schemas", operation_id = "readSchemas",
    description = "Its versions with their schemas, and how many events are of each.",
    params(("type" = String, Path, description = "The events' type", example = "git.file.modified")),
    responses(
        (status = 200, description = "The type.", body = TypeDocument, headers(("ETag" = String, description = "Of the type"))),
        (status = 304, description = "The type is as `If-None-Match` says."),
        (status = 404, description = "There is neither an event of it nor a schema for it.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn one(
    State(schemas): State<Arc<Schemas>>,
    Segments(segments): Segments<1>,
    _query: UrlQuery<NoParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let [name] = segments;
    let Counted { types, to, head, .. } = counted(schemas).await?;
    let status = types.into_iter().find(|status| status.name == name).ok_or_else(|| {
        let detail = match to < head {
            true => format!("no schema is registered for \"{name}\", and up to position {to} there is no event of it; events are still being counted: ask again"),
            false => format!("there is no event of type \"{name}\", and no schema is registered for it"),
        };
        Problem::new(Kind::NoSuchSchema, detail).with("event-type", name)
    })?;
    json(&headers, head, &TypeDocument::of(status, true))
}

/// Check a type's events, or not
#[utoipa::path(patch, path = "/schemas/{type}", tag = "schemas", operation_id = "changeSchemas",
    description = "Says whether events of the type must fit its schemas to be appended. Events that are there stay as they are.",
    params(("type" = String, Path, description = "The events' type", example = "git.file.modified")),
    request_body = ChangeDocument,
    responses(
        (status = 200, description = "So it is from now on.", body = ChangedDocument),
        (status = 400, description = "The body says something else.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "No schema is registered for the type.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn change(
    State(schemas): State<Arc<Schemas>>,
    Segments(segments): Segments<1>,
    _query: UrlQuery<NoParameters>,
    body: Bytes,
) -> Result<Response, Problem> {
    let [name] = segments;
    let ChangeDocument { check } = serde_json::from_slice(&body).map_err(|error| {
        let detail =
            format!("the request's body should be {{\"check\": true}} or {{\"check\": false}}: {error}");
        Problem::new(Kind::MalformedRequest, detail)
    })?;
    let r#type = name.clone();
    aside(move || schemas.set_check(&name, check)).await?;
    Ok(Json(ChangedDocument { r#type, check }).into_response())
}

/// What holds for a type now.
#[derive(Serialize, ToSchema)]
#[schema(as = EventTypeChanged)]
pub(crate) struct ChangedDocument {
    /// Its name.
    r#type: String,
    /// Whether its events must fit.
    check: bool,
}
