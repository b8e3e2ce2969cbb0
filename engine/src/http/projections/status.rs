//! `/projections` and `/projections/{name}`: how plug-ins are.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::reading::{live, told};
use crate::{
    deploy::{
        Deployer, NotServed, PurgeError,
        status::{DeploymentStatus, OutputLine, PluginStatus},
    },
    event::{Position, Timestamp},
    http::{
        POSITION,
        etag::Tag,
        parameters::{NoParameters, Parameters, QueryString, UrlQuery},
        path::Segments,
        problem::{Kind, Problem, ProblemDocument},
    },
};

/// How many deployments are read, unless told otherwise.
const DEPLOYMENTS: usize = 20;
/// How many can be read.
const MOST_DEPLOYMENTS: usize = 10_000;

/// All projections.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Projections)]
pub(crate) struct ProjectionsDocument {
    /// By name; without their output.
    projections: Vec<PluginStatus>,
    /// Only if the plug-ins folder cannot be read: why. Nothing new is deployed
    /// meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    plugins_folder: Option<String>,
}

/// What a plug-in printed.
#[derive(Serialize, ToSchema)]
#[schema(as = Output)]
pub(crate) struct OutputDocument {
    /// The last 200 lines, oldest first.
    output: Vec<OutputLine>,
}

/// A plug-in's deployments.
#[derive(Serialize, ToSchema)]
#[schema(as = Deployments)]
pub(crate) struct DeploymentsDocument {
    /// The latest first.
    deployments: Vec<DeploymentStatus>,
}

/// The events that a version could not fold.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = DeadLetters)]
pub(crate) struct DeadLettersDocument {
    /// Up to which position the version has folded.
    position: Position,
    /// Oldest first.
    dead_letters: Vec<DeadLetterDocument>,
}

/// An event that a version could not fold.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub(crate) struct DeadLetterDocument {
    /// Where the event stands: read it at `/events/{position}`.
    position: Position,
    /// The event's id.
    id: String,
    /// The event's type.
    r#type: String,
    /// Why it could not be folded.
    reason: String,
    /// When it was put aside.
    #[schema(value_type = String, format = DateTime)]
    recorded: Timestamp,
}

/// A document about a plug-in, as of a position.
pub(crate) fn json(
    headers: &HeaderMap,
    position: Position,
    document: &impl Serialize,
) -> Result<Response, Problem> {
    let body = serde_json::to_vec(document)
        .map_err(|error| Problem::new(Kind::Internal, format!("the status cannot be written: {error}")))?;
    let told: [(HeaderName, String); 2] =
        [(POSITION, position.to_string()), (header::CONTENT_TYPE, "application/json".to_owned())];
    Ok(Tag::of(&body).respond(headers, || (told, body).into_response()))
}

fn find(deployer: &Deployer, name: &str) -> Result<PluginStatus, Problem> {
    let status = deployer.plugin(name)?;
    status.ok_or_else(|| NotServed::Unknown { name: name.to_owned() }.into())
}

/// List projections
///
/// All projections, how each one is, its versions, tables, queries and last deployments.
#[utoipa::path(get, path = "/projections", tag = "projections", operation_id = "listProjections",
    responses(
        (status = 200, description = "The projections.", body = ProjectionsDocument, headers(("ETag" = String, description = "Of the list"))),
        (status = 304, description = "The list is as `If-None-Match` says."),
        (status = 500, description = "The storage failed.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn list(
    State(deployer): State<Arc<Deployer>>,
    _query: UrlQuery<NoParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut projections = deployer.status()?;
    let head = projections.iter().map(|status| status.head).max().unwrap_or_default();
    projections.iter_mut().for_each(|status| status.output.clear());
    let plugins_folder = deployer.folder_trouble();
    json(&headers, head, &ProjectionsDocument { projections, plugins_folder })
}

/// Read a projection's status
#[utoipa::path(get, path = "/projections/{name}", tag = "projections", operation_id = "readProjection",
    description = "How the projection is, its versions, tables, queries, last deployments and output.",
    params(("name" = String, Path, description = "The projection's name", example = "churn")),
    responses(
        (status = 200, description = "The projection.", body = PluginStatus, headers(("ETag" = String, description = "Of the status"))),
        (status = 304, description = "The status is as `If-None-Match` says."),
        (status = 404, description = "There is no such projection.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn one(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    _query: UrlQuery<NoParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let [name] = segments;
    let status = find(&deployer, &name)?;
    json(&headers, status.position, &status)
}

/// Read a projection's output
#[utoipa::path(get, path = "/projections/{name}/output", tag = "projections", operation_id = "readOutput",
    description = "The last 200 lines that the plug-in printed: of the candidate, if there is one, else of the version \
        that failed last, else of the live one.",
    params(("name" = String, Path, description = "The projection's name", example = "churn")),
    responses(
        (status = 200, description = "The lines.", body = OutputDocument, headers(("ETag" = String, description = "Of the lines"))),
        (status = 304, description = "The lines are as `If-None-Match` says."),
        (status = 404, description = "There is no such projection.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn output(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    _query: UrlQuery<NoParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let [name] = segments;
    let status = find(&deployer, &name)?;
    json(&headers, status.position, &OutputDocument { output: status.output })
}

/// How many deployments to read.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeploymentsQuery {
    /// At most so many: 20 by default, 10,000 at most.
    #[param(required = false, minimum = 1, maximum = 10_000)]
    limit: usize,
}

impl Parameters for DeploymentsQuery {
    fn read(query: &mut QueryString) -> Result<Self, Problem> {
        Ok(Self { limit: query.count("limit", MOST_DEPLOYMENTS)?.unwrap_or(DEPLOYMENTS) })
    }
}

/// Read a projection's deployments
#[utoipa::path(get, path = "/projections/{name}/deployments", tag = "projections", operation_id = "readDeployments",
    description = "The last deployments: when, which version, from which file, who asked for it and why, how it ended and \
        how long the replay took.",
    params(("name" = String, Path, description = "The projection's name", example = "churn"), DeploymentsQuery),
    responses(
        (status = 200, description = "The deployments.", body = DeploymentsDocument, headers(("ETag" = String, description = "Of the list"))),
        (status = 304, description = "The list is as `If-None-Match` says."),
        (status = 404, description = "There is no such projection.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn deployments(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    UrlQuery(query): UrlQuery<DeploymentsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let [name] = segments;
    let status = find(&deployer, &name)?;
    let deployments = deployer.deployments(&name, query.limit)?;
    json(&headers, status.position, &DeploymentsDocument { deployments })
}

/// Read a projection's dead letters
#[utoipa::path(get, path = "/projections/{name}/dead-letters", tag = "projections", operation_id = "readDeadLetters",
    description = "The events that the live version could not fold and put aside, with the reasons.",
    params(("name" = String, Path, description = "The projection's name", example = "churn")),
    responses(
        (status = 200, description = "The dead letters.", body = DeadLettersDocument, headers(("ETag" = String, description = "Of the list"))),
        (status = 304, description = "The list is as `If-None-Match` says."),
        (status = 404, description = "There is no such projection.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "It has no live version.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn dead_letters(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    _query: UrlQuery<NoParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let [name] = segments;
    let version = live(&deployer, &name)?;
    // Asked for before the letters: they are then at least as fresh.
    let position = version.state().checkpoint().position;
    let dead_letters = version.state().dead_letters()?.into_iter().map(|letter| DeadLetterDocument {
        position: letter.position,
        id: letter.event_id,
        r#type: letter.event_type,
        reason: letter.reason,
        recorded: letter.recorded,
    });
    let document = DeadLettersDocument { position, dead_letters: dead_letters.collect() };
    Ok(told(&version, position, json(&headers, position, &document)?))
}

/// Purge a retired projection
#[utoipa::path(delete, path = "/projections/{name}", tag = "projections", operation_id = "purgeProjection",
    description = "Deletes state and code of a projection whose file has been removed. The log keeps its events: \
        when the file comes back, they are folded again.",
    params(("name" = String, Path, description = "The projection's name", example = "churn")),
    responses(
        (status = 204, description = "Its state is deleted."),
        (status = 404, description = "There is no such projection.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "Its file is in the plug-ins folder; remove it first.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn purge(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    _query: UrlQuery<NoParameters>,
) -> Result<StatusCode, Problem> {
    let [name] = segments;
    deployer.purge(&name).await.map_err(|error| match error {
        PurgeError::Unknown { .. } => Problem::new(Kind::NoSuchProjection, error.to_string()),
        PurgeError::InUse { .. } => Problem::new(Kind::StillDeployed, error.to_string()),
        PurgeError::State(error) => error.into(),
    })?;
    Ok(StatusCode::NO_CONTENT)
}
