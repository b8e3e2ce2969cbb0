//! `/projections/{name}/queries/{query}`: ask a plug-in.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};

use super::{
    arguments,
    mirror::reflect,
    reading::{Freshness, Reading, tag, told},
};
use crate::{
    deploy::Deployer,
    http::{
        parameters::{Parameters, QueryString, UrlQuery},
        path::Segments,
        problem::{Kind, Problem, ProblemDocument},
    },
    plugin::{CallError, description::QueryDescription},
    projection::Version,
    query::{self, Answer, AskError, Question},
};

/// Ask a query
///
/// Asks one of the queries that the plug-in's author wrote, over one consistent snapshot of committed state. Its
/// parameters stand in the URL, each read as the type that the query's JSON Schema names; lists by repeating
/// the parameter, objects as JSON. `/projections/{name}` lists the queries and their parameters.
#[utoipa::path(get, path = "/projections/{name}/queries/{query}", tag = "projections", operation_id = "askQuery",
    params(
        ("name" = String, Path, description = "The projection's name", example = "churn"),
        ("query" = String, Path, description = "The query's name", example = "hottest"),
        Freshness,
    ),
    responses(
        (status = 200, description = "The answer, as the plug-in gives it.", body = Value, headers(
            ("Projectionist-Position" = u64, description = "The position of the state that was read"),
            ("Projectionist-Version" = String, description = "The digest of the version that answered"),
            ("ETag" = String, description = "Of the answer"))),
        (status = 304, description = "Nothing has been folded since what `If-None-Match` says."),
        (status = 400, description = "The parameters are not what the query takes.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such projection or query.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It cannot be looked back: the code that was named cannot fold this history, or it is a reaction.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 500, description = "The plug-in failed to answer.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "No version answers, or the live one has halted before `at-least`.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 504, description = "`at-least` was not reached in time.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<2>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let [name, query] = segments;
    let mut parameters = QueryString::parse(&uri);
    let freshness = Freshness::read(&mut parameters)?;
    let reading = freshness.reading(&deployer, &name).await?;
    let (version, checkpoint) = (&*reading.version, reading.view.checkpoint());
    let description = find(version, &query)?;
    let arguments = arguments::from_url(parameters, &description.parameters)?;
    let tag = tag(version, checkpoint);
    if tag.is_known(&headers) {
        return Ok(told(version, checkpoint.position, tag.respond(&headers, || ().into_response())));
    }
    let question = arguments.clone();
    let answer = ask(&reading, &query, arguments).await?;
    if reading.is_live() {
        reflect(&deployer, &name, answer.position, || {
            let question = Question::Query { query: query.clone(), arguments: question };
            (uri.to_string(), question, answer.body.clone())
        });
    }
    let body = || ([(header::CONTENT_TYPE, "application/json")], answer.body).into_response();
    Ok(told(version, checkpoint.position, tag.respond(&headers, body)))
}

/// Ask a query with JSON
///
/// The same with the parameters as a JSON object in the body.
#[utoipa::path(post, path = "/projections/{name}/queries/{query}", tag = "projections", operation_id = "askQueryWithJson",
    params(
        ("name" = String, Path, description = "The projection's name", example = "churn"),
        ("query" = String, Path, description = "The query's name", example = "hottest"),
        Freshness,
    ),
    request_body(content = Object, description = "The query's parameters; see its JSON Schema.", example = json!({"limit": 3})),
    responses(
        (status = 200, description = "The answer, as the plug-in gives it.", body = Value, headers(
            ("Projectionist-Position" = u64, description = "The position of the state that was read"),
            ("Projectionist-Version" = String, description = "The digest of the version that answered"))),
        (status = 400, description = "The body is no JSON object, or not what the query takes.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such projection or query.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It cannot be looked back: the code that was named cannot fold this history, or it is a reaction.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "The body is larger than 2 MiB.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 500, description = "The plug-in failed to answer.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "No version answers, or the live one has halted before `at-least`.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 504, description = "`at-least` was not reached in time.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn post(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<2>,
    UrlQuery(freshness): UrlQuery<Freshness>,
    body: Bytes,
) -> Result<Response, Problem> {
    let [name, query] = segments;
    let arguments: Map<String, Value> = match body.trim_ascii().is_empty() {
        true => Map::new(),
        false => serde_json::from_slice(&body).map_err(|error| {
            let detail =
                format!("the request's body should be a JSON object, the query's parameters: {error}");
            Problem::new(Kind::MalformedRequest, detail)
        })?,
    };
    let reading = freshness.reading(&deployer, &name).await?;
    find(&reading.version, &query)?;
    let question = arguments.clone();
    let answer = ask(&reading, &query, arguments).await?;
    if reading.is_live() {
        reflect(&deployer, &name, answer.position, || {
            let request = format!("/projections/{name}/queries/{query} {}", String::from_utf8_lossy(&body));
            (request, Question::Query { query: query.clone(), arguments: question }, answer.body.clone())
        });
    }
    Ok(told(&reading.version, answer.position, ([(header::CONTENT_TYPE, "application/json")], answer.body)))
}

fn find<'a>(version: &'a Version, query: &str) -> Result<&'a QueryDescription, Problem> {
    let queries = &version.plugin().description().queries;
    queries.iter().find(|known| known.name == query).ok_or_else(|| {
        let names: Vec<&str> = queries.iter().map(|query| query.name.as_str()).collect();
        let list = match names.is_empty() {
            true => "it has none".to_owned(),
            false => format!("it answers: {}", names.join(", ")),
        };
        let detail = format!("\"{}\" has no query \"{query}\"; {list}", version.name());
        Problem::new(Kind::NoSuchQuery, detail).with("queries", names)
    })
}

async fn ask(reading: &Reading, query: &str, arguments: Map<String, Value>) -> Result<Answer, Problem> {
    let version = &*reading.version;
    let failed = |detail: String| {
        Problem::new(Kind::PluginFailed, detail).with("projection", version.name()).with("query", query)
    };
    let answer =
        query::call(version, Arc::clone(&reading.view), query, arguments).await.map_err(|error| {
            let about = format!("query \"{query}\" of \"{}\": {error}", version.name());
            match error {
                AskError::Plugin(CallError::UnknownQuery) => Problem::new(Kind::NoSuchQuery, about),
                AskError::Plugin(CallError::BadArguments(_)) => Problem::new(Kind::InvalidParameter, about),
                AskError::Plugin(CallError::Failed(_) | CallError::Trapped(_)) | AskError::Start(_) => {
                    failed(about)
                }
            }
        })?;
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&answer.body) {
        return Err(failed(format!(
            "query \"{query}\" of \"{}\" answers what is not JSON: {error}",
            version.name()
        )));
    }
    Ok(answer)
}
