//! `/schemas/{type}/schema?dataschema=`: one version's JSON Schema.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::aside;
use crate::{
    http::{
        etag::Tag,
        parameters::{Both, Parameters, QueryString, UrlQuery, invalid},
        path::Segments,
        problem::{Kind, Problem, ProblemDocument},
    },
    schema::{Registration, Schemas},
};

/// The media type of JSON Schemas.
const SCHEMA_JSON: &str = "application/schema+json";

/// Which version of a type's schema.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// What events of the version name as their `dataschema`, a URI. Left out: the version of events that name none.
    #[param(required = false, example = "https://example.com/schemas/file-modified/2")]
    dataschema: String,
}

impl Parameters for Which {
    fn read(query: &mut QueryString) -> Result<Self, Problem> {
        Ok(Self { dataschema: query.one("dataschema")?.unwrap_or_default() })
    }
}

/// What else to do when registering.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Registering {
    /// Whether events of the type must fit from now on. Left out, that stays as it is; at first they need not.
    #[param(required = false)]
    check: Option<bool>,
}

impl Parameters for Registering {
    fn read(query: &mut QueryString) -> Result<Self, Problem> {
        let text = query.one("check")?;
        let check = match text.as_deref() {
            None => None,
            Some("" | "true" | "1") => Some(true),
            Some("false" | "0") => Some(false),
            Some(other) => {
                return Err(invalid("check", other, "it should be true or false"));
            }
        };
        Ok(Self { check })
    }
}

/// What came of a registration.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = SchemaRegistered)]
pub(crate) struct RegisteredDocument {
    /// The type that the schema is for.
    r#type: String,
    /// The version; null: that of events without `dataschema`.
    dataschema: Option<String>,
    /// `new`; `known`, if the same was registered before; or `replaced`, if it took the place of another one.
    outcome: &'static str,
}

/// Read a schema
#[utoipa::path(get, path = "/schemas/{type}/schema", tag = "schemas", operation_id = "readSchema",
    description = "The JSON Schema of one version, as it was registered.",
    params(("type" = String, Path, description = "The events' type", example = "git.file.modified"), Which),
    responses(
        (status = 200, description = "The schema.", body = Object, content_type = "application/schema+json", headers(("ETag" = String, description = "Of the schema"))),
        (status = 304, description = "The schema is as `If-None-Match` says."),
        (status = 404, description = "None is registered for this version.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn read(
    State(schemas): State<Arc<Schemas>>,
    Segments(segments): Segments<1>,
    UrlQuery(Which { dataschema }): UrlQuery<Which>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let [name] = segments;
    let document = schemas.document(&name, &dataschema)?;
    let answer = |document: String| ([(header::CONTENT_TYPE, SCHEMA_JSON)], document).into_response();
    Ok(Tag::of(document.as_bytes()).respond(&headers, || answer(document)))
}

/// Register a schema
///
/// The body is a JSON Schema, of draft 2020-12 unless its `$schema` says otherwise; it may not refer to other
/// documents. The same again changes nothing. Another one takes the place of what is there until an event of the version
/// has been recorded since; then that stays, and a new version has to be registered.
#[utoipa::path(put, path = "/schemas/{type}/schema", tag = "schemas", operation_id = "registerSchema",
    params(("type" = String, Path, description = "The events' type", example = "git.file.modified"), Which, Registering),
    request_body(description = "The JSON Schema.", content((Object = "application/schema+json"), (Object = "application/json"))),
    responses(
        (status = 201, description = "The version is new.", body = RegisteredDocument),
        (status = 200, description = "The same was registered, or another one that no event relied upon.", body = RegisteredDocument),
        (status = 400, description = "The body is no JSON Schema, or refers to another document.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "Events rely on the one that is registered.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "It is too large.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "The body is of another media type.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn register(
    State(schemas): State<Arc<Schemas>>,
    Segments(segments): Segments<1>,
    UrlQuery(Both(Which { dataschema }, Registering { check })): UrlQuery<Both<Which, Registering>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let [name] = segments;
    check_media_type(&headers)?;
    let text = String::from_utf8(body.into())
        .map_err(|_| Problem::new(Kind::InvalidSchema, "the schema is no JSON: it is not UTF-8"))?;
    let (event_type, version) = (name.clone(), dataschema.clone());
    let registration = aside(move || schemas.register(&event_type, &version, &text, check)).await?;
    let (status, outcome) = match registration {
        Registration::New => (StatusCode::CREATED, "new"),
        Registration::Known => (StatusCode::OK, "known"),
        Registration::Replaced => (StatusCode::OK, "replaced"),
    };
    let dataschema = Some(dataschema).filter(|dataschema| !dataschema.is_empty());
    Ok((status, Json(RegisteredDocument { r#type: name, dataschema, outcome })).into_response())
}

/// Remove a schema
#[utoipa::path(delete, path = "/schemas/{type}/schema", tag = "schemas", operation_id = "removeSchema",
    description = "Only while no event of the version has been recorded since it was registered.",
    params(("type" = String, Path, description = "The events' type", example = "git.file.modified"), Which),
    responses(
        (status = 204, description = "It is removed."),
        (status = 404, description = "None is registered for this version.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "Events rely on it.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn remove(
    State(schemas): State<Arc<Schemas>>,
    Segments(segments): Segments<1>,
    UrlQuery(Which { dataschema }): UrlQuery<Which>,
) -> Result<StatusCode, Problem> {
    let [name] = segments;
    aside(move || schemas.remove(&name, &dataschema)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if [SCHEMA_JSON, "application/json"].contains(&essence.as_str()) {
        return Ok(());
    }
    let said = match essence.as_str() {
        "" => "the request names no Content-Type".to_owned(),
        other => format!("a schema is not taken as {other}"),
    };
    let detail = format!("{said}; send {SCHEMA_JSON} or application/json");
    let accepted = vec![SCHEMA_JSON, "application/json"];
    Err(Problem::new(Kind::UnsupportedMediaType, detail).with("accepted", accepted))
}
