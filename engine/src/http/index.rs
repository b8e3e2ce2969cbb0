//! `/`, `/openapi.json` and `/problems`: what is where.

use axum::{
    Json, Router,
    http::{HeaderMap, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use serde_json::{Value, json};
use utoipa::{
    OpenApi,
    openapi::{Info, License, OpenApi as Document, Paths, Tag},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    accept,
    parameters::{NoParameters, UrlQuery},
    path::Segments,
    problem::{Kind, Problem, ProblemDocument},
};

/// The main addresses and what is there.
const ADDRESSES: &[(&str, &str)] = &[
    ("/projections", "the projections and how they are"),
    ("/reactions", "the reactions and what they are doing"),
    ("/events", "the log: read, follow, append"),
    ("/schemas", "the types of events, and what events of them must fit"),
    ("/healthz", "whether the server works"),
    ("/readyz", "whether every projection answers"),
    ("/metrics", "how the server and all plug-ins are, for Prometheus"),
    ("/openapi.json", "all addresses, for people and programs"),
    ("/problems", "the kinds of errors"),
];

/// The routes.
pub(crate) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(index)).routes(routes!(problems)).routes(routes!(problem))
}

#[derive(OpenApi)]
#[openapi(components(schemas(ProblemDocument)))]
struct Shared;

/// The document that the routes add themselves to.
pub(crate) fn document() -> Document {
    let mut info = Info::new("Projectionist", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "Events in, projections over them, state out. Every read says in `Projectionist-Position` at which position \
         of the log it was made. Errors are problem+json."
            .to_owned(),
    );
    info.license = Some(License::new(env!("CARGO_PKG_LICENSE")));
    let mut document = Document::new(info, Paths::new());
    document.merge(Shared::openapi());
    let tag = |name: &str, description: &str| {
        let mut tag = Tag::new(name);
        tag.description = Some(description.to_owned());
        tag
    };
    document.tags = Some(vec![
        tag("events", "The log."),
        tag("schemas", "What events must fit, and who uses which version."),
        tag("projections", "Projections, their tables and queries."),
        tag("reactions", "Reactions, and what they could not handle."),
        tag("server", "The server itself."),
    ]);
    document
}

/// Writes paths as OpenAPI does: it knows no `{*rest}`.
pub(crate) fn tidy(document: &mut Document) {
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
}

/// The route of the document itself, which is complete only now.
pub(crate) fn openapi(document: Document) -> Router {
    let text = document.to_json().expect("the document holds only strings, numbers and lists");
    let text = Bytes::from(text);
    let answer =
        move |_: UrlQuery<NoParameters>| async move { ([(header::CONTENT_TYPE, "application/json")], text) };
    Router::new().route("/openapi.json", get(answer))
}

/// Main addresses
///
/// The main addresses of this server, as JSON or HTML.
#[utoipa::path(get, path = "/", tag = "server", operation_id = "index",
    responses((status = 200, description = "The addresses.", content((Object = "application/json"), (String = "text/html")))))]
async fn index(_query: UrlQuery<NoParameters>, headers: HeaderMap) -> Response {
    let vary = [(header::VARY, "accept")];
    match accept::choose(&headers, &["application/json", "text/html"]) {
        1 => (vary, Html(page())).into_response(),
        _ => {
            let addresses: serde_json::Map<String, Value> =
                ADDRESSES.iter().map(|(address, what)| ((*address).to_owned(), (*what).into())).collect();
            let index = json!({"name": "projectionist", "version": env!("CARGO_PKG_VERSION"), "addresses": addresses});
            (vary, Json(index)).into_response()
        }
    }
}

fn page() -> String {
    let row = |(address, what): &(&str, &str)| format!("<dt><a href=\"{address}\">{address}</a><dd>{what}\n");
    let rows: String = ADDRESSES.iter().map(row).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\"><title>Projectionist</title>\n\
         <style>body{{font:1rem/1.5 system-ui;margin:3rem auto;max-width:40rem;padding:0 1rem}}dt{{font-family:monospace}}</style>\n\
         <h1>Projectionist</h1>\n<p>Version {}</p>\n<dl>\n{rows}</dl>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    )
}

fn explain(kind: Kind) -> Value {
    json!({"type": kind.uri(), "title": kind.title(), "status": kind.status().as_u16()})
}

/// Kinds of problems
///
/// All kinds of problems that this server answers with; `type` tells them apart and never changes.
#[utoipa::path(get, path = "/problems", tag = "server", operation_id = "listProblems",
    responses((status = 200, description = "The kinds.", body = Vec<ProblemDocument>)))]
async fn problems(_query: UrlQuery<NoParameters>) -> Json<Vec<Value>> {
    Json(Kind::ALL.iter().copied().map(explain).collect())
}

/// One kind of problem
#[utoipa::path(get, path = "/problems/{kind}", tag = "server", operation_id = "readProblem",
    description = "What a problem's `type` stands for.",
    params(("kind" = String, Path, description = "The last segment of the `type`", example = "condition-not-met")),
    responses(
        (status = 200, description = "The kind.", body = ProblemDocument),
        (status = 404, description = "There is no such kind.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
async fn problem(
    Segments(segments): Segments<1>,
    _query: UrlQuery<NoParameters>,
) -> Result<Json<Value>, Problem> {
    let [slug] = segments;
    let kind = Kind::ALL.iter().copied().find(|kind| kind.slug() == slug);
    let kind = kind.ok_or_else(|| {
        Problem::new(Kind::NotFound, format!("there is no kind of problem \"{slug}\"; /problems lists them"))
    })?;
    Ok(Json(explain(kind)))
}
