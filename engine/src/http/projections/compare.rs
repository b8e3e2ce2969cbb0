//! `/projections/{name}/compare`: what other code makes of the same history.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{component, lines};
use crate::{
    deploy::{Deployer, NoVersion, Other, Standing, StandingError},
    http::{
        POSITION, accept,
        parameters::{Both, Parameters, QueryString, UrlQuery},
        path::Segments,
        problem::{Kind, Problem, ProblemDocument},
    },
    log::Moment,
    query::{self, Comparison, DEFAULT_SAMPLES, Folded, MAX_SAMPLES, RowComparison},
};

pub(super) const JSON: &str = "application/json";
pub(super) const LINES: &str = "application/x-ndjson";

/// How to compare.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ComparisonQuery {
    /// Compare both as they stood then, at a position or a time (RFC 3339); where the live version stands by default.
    #[param(value_type = Option<String>, required = false)]
    at: Option<Moment>,
    /// How many rows that differ are shown of each table: 5 by default, 1,000 at most.
    #[param(required = false, minimum = 0, maximum = 1000)]
    samples: usize,
}

impl Parameters for ComparisonQuery {
    fn read(query: &mut QueryString) -> Result<Self, Problem> {
        let samples = query.parsed("samples", "a number from 0 to 1000")?.unwrap_or(DEFAULT_SAMPLES);
        Ok(Self { at: query.moment("at")?, samples: samples.min(MAX_SAMPLES) })
    }
}

/// What to compare with.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct KeptQuery {
    /// The version to compare with, by how its digest begins; the newest candidate by default.
    #[param(required = false)]
    candidate: Option<String>,
}

impl Parameters for KeptQuery {
    fn read(query: &mut QueryString) -> Result<Self, Problem> {
        Ok(Self { candidate: query.one("candidate")? })
    }
}

/// The settings of a component in the body.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SettingsQuery {
    /// The text of its settings file; the live version's settings by default.
    #[param(required = false)]
    pub(super) settings: Option<String>,
}

impl Parameters for SettingsQuery {
    fn read(query: &mut QueryString) -> Result<Self, Problem> {
        Ok(Self { settings: query.one("settings")? })
    }
}

/// A component that can be named now.
#[derive(Serialize, ToSchema)]
#[schema(as = Lent)]
pub(crate) struct LentDocument {
    /// Its digest: for `version` in reads of tables and queries.
    version: String,
}

/// A row that differs, in a listing.
#[derive(Serialize)]
struct Line<'a> {
    table: &'a str,
    #[serde(flatten)]
    row: RowComparison,
}

/// Compare with a candidate
///
/// What a candidate, or any version that is kept, makes of the same history as the live version: per table the number
/// of keys that were removed, added, changed or stayed the same, with samples. As NDJSON (`Accept:
/// application/x-ndjson`) every row that differs, as `{"table", "key", "before", "after"}`.
#[utoipa::path(get, path = "/projections/{name}/compare", tag = "projections", operation_id = "compare",
    params(("name" = String, Path, description = "The projection's name", example = "churn"), ComparisonQuery, KeptQuery),
    responses(
        (status = 200, description = "How the two differ.",
            content((Comparison = "application/json"), (String = "application/x-ndjson")),
            headers(("Projectionist-Position" = u64, description = "The position at which both were looked at"))),
        (status = 400, description = "A parameter is unknown or does not fit.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such projection or version.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It is a reaction, or its code cannot fold this history.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "No version answers, or the candidate has not caught up.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn with_kept(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    UrlQuery(query): UrlQuery<Both<ComparisonQuery, KeptQuery>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let [name] = segments;
    let Both(how, kept) = query;
    let pair = deployer.beside_live(&name, Other::Kept(kept.candidate), how.at).await?;
    answer(pair, how.samples, &headers).await
}

/// Compare with a component
///
/// The same with a component that nobody has deployed, in the body. It folds history apart, in a state of its own that
/// is deleted afterwards: nothing of what runs is touched.
#[utoipa::path(post, path = "/projections/{name}/compare", tag = "projections", operation_id = "compareComponent",
    params(("name" = String, Path, description = "The projection's name", example = "churn"), ComparisonQuery, SettingsQuery),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "The component."),
    responses(
        (status = 200, description = "How the two differ.",
            content((Comparison = "application/json"), (String = "application/x-ndjson")),
            headers(("Projectionist-Position" = u64, description = "The position at which both were looked at"))),
        (status = 400, description = "A parameter is unknown or does not fit, or the component or its settings cannot be used.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such projection.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It is a reaction, or the component cannot fold this history.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "The body is no component.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "No version answers.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn with_component(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    UrlQuery(query): UrlQuery<Both<ComparisonQuery, SettingsQuery>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let [name] = segments;
    let Both(how, SettingsQuery { settings }) = query;
    let wasm = component::read(&headers, body).await?.to_vec();
    let pair = deployer.beside_live(&name, Other::Component { wasm, settings }, how.at).await?;
    answer(pair, how.samples, &headers).await
}

/// Lend a component
///
/// Lends code that nobody has deployed, to look back with it: reads of tables and queries can name it as `version`,
/// until ten minutes after its last use. They fold history apart with it; nothing of what runs is touched.
#[utoipa::path(post, path = "/projections/{name}/lent", tag = "projections", operation_id = "lendComponent",
    params(("name" = String, Path, description = "The projection's name", example = "churn"), SettingsQuery),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "The component."),
    responses(
        (status = 200, description = "It can be named.", body = LentDocument),
        (status = 400, description = "The component or its settings cannot be used.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such projection.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It is a reaction.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "The body is no component.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "No version answers.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn lend(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    UrlQuery(query): UrlQuery<SettingsQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<LentDocument>, Problem> {
    let [name] = segments;
    let wasm = component::read(&headers, body).await?;
    let version = deployer.lend(&name, &wasm, query.settings.as_deref()).await?;
    Ok(Json(LentDocument { version }))
}

async fn answer(pair: [Standing; 2], samples: usize, headers: &HeaderMap) -> Result<Response, Problem> {
    let position = pair[1].view().position();
    let response = match accept::choose(headers, &[JSON, LINES]) {
        1 => ([(header::CONTENT_TYPE, LINES)], listing(pair)).into_response(),
        _ => {
            let comparing = move || query::compare(folded(&pair[0]), folded(&pair[1]), samples);
            let compared = tokio::task::spawn_blocking(comparing).await;
            let failed = |_| Problem::new(Kind::Internal, "the engine failed while comparing");
            Json(compared.map_err(failed)??).into_response()
        }
    };
    Ok(([(POSITION, position.to_string()), (header::VARY, "accept".to_owned())], response).into_response())
}

/// What is compared of a version.
pub(super) fn folded(standing: &Standing) -> Folded<'_> {
    let version = standing.version();
    Folded { version: version.digest(), description: version.plugin().description(), view: standing.view() }
}

/// All rows that differ, a line each.
fn listing(pair: [Standing; 2]) -> Body {
    lines::body(move |lines| {
        query::list_differences(folded(&pair[0]), folded(&pair[1]), |table, row| {
            lines.add(&Line { table, row })
        })
    })
}

impl From<NoVersion> for Problem {
    fn from(error: NoVersion) -> Self {
        Problem::new(Kind::NoSuchVersion, error.to_string()).with("versions", error.versions)
    }
}

impl From<StandingError> for Problem {
    fn from(error: StandingError) -> Self {
        let detail = error.to_string();
        match error {
            StandingError::NotServed(error) => error.into(),
            StandingError::State(error) => error.into(),
            StandingError::Log(error) => error.into(),
            StandingError::Future { at, head } => {
                Problem::new(Kind::NoSuchEvent, detail).with("at", at).with("position", head)
            }
            StandingError::NoVersion(error) => error.into(),
            StandingError::OnItsWay { position, head, .. } => {
                Problem::new(Kind::NotServed, detail).with("position", position).with("head", head).retry()
            }
            StandingError::NoProjection { .. } => Problem::new(Kind::NoProjection, detail),
            StandingError::Settings(_) | StandingError::Plugin(_) => {
                Problem::new(Kind::UnusableComponent, detail)
            }
            StandingError::Component { .. } => Problem::new(Kind::StorageFailed, detail),
            StandingError::Halted { halt, .. } if halt.host => Problem::new(Kind::Internal, detail),
            StandingError::Halted { halt, .. } => {
                let event = halt.event.as_ref().map(|event| event.position);
                Problem::new(Kind::CannotFold, detail).with("event", event)
            }
        }
    }
}
