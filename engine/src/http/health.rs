//! `/healthz` and `/readyz`: for whoever runs the server.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    parameters::{NoParameters, UrlQuery},
    problem::{Kind, Problem, ProblemDocument},
};
use crate::{
    deploy::{
        Deployer,
        status::{Health, PluginStatus},
    },
    event::Position,
    log::{Append, EventLog},
};

/// How long the log's writer may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The routes that tell whether the server works.
pub(crate) fn alive_routes(log: Arc<dyn EventLog>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(healthz)).with_state(log)
}

/// The routes that tell whether the projections answer.
pub(crate) fn ready_routes(deployer: Arc<Deployer>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(readyz)).with_state(deployer)
}

/// The server works.
#[derive(Serialize, ToSchema)]
#[schema(as = Alive)]
pub(crate) struct AliveDocument {
    /// `ok`.
    status: &'static str,
    /// The log's head.
    position: Position,
}

/// Every projection answers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Ready)]
pub(crate) struct ReadyDocument {
    /// `ready`.
    status: &'static str,
    /// The projections, by name.
    projections: Vec<ReadinessDocument>,
    /// Only if the plug-ins folder cannot be read: why. Projections answer and
    /// fold on, but nothing new is deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    plugins_folder: Option<String>,
}

/// How a projection is.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = Readiness)]
pub(crate) struct ReadinessDocument {
    name: String,
    health: Health,
    /// If it does not answer or fold, why.
    reason: Option<String>,
}

/// Check health
///
/// Whether the process works and the log takes events.
#[utoipa::path(get, path = "/healthz", tag = "server", operation_id = "checkHealth",
    responses(
        (status = 200, description = "It does.", body = AliveDocument),
        (status = 503, description = "The log takes no events any more.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
async fn healthz(
    State(log): State<Arc<dyn EventLog>>,
    _query: UrlQuery<NoParameters>,
) -> Result<Json<AliveDocument>, Problem> {
    // An empty batch goes the whole way through the log's writer and writes nothing.
    let answer = tokio::time::timeout(PATIENCE, log.append(Append::default())).await;
    let late = |_| {
        let detail = format!("the event log's writer has not answered for {} seconds", PATIENCE.as_secs());
        Problem::new(Kind::LogClosed, detail)
    };
    answer.map_err(late)??;
    Ok(Json(AliveDocument { status: "ok", position: log.head() }))
}

/// Check readiness
///
/// Whether every projection answers and folds. Those that are retired do not count.
#[utoipa::path(get, path = "/readyz", tag = "server", operation_id = "checkReadiness",
    responses(
        (status = 200, description = "All do.", body = ReadyDocument),
        (status = 503, description = "Some do not: `projections` names them, each with the reason.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
async fn readyz(
    State(deployer): State<Arc<Deployer>>,
    _query: UrlQuery<NoParameters>,
) -> Result<Json<ReadyDocument>, Problem> {
    let plugins_folder = deployer.folder_trouble();
    if !deployer.has_looked() {
        let detail = not_looked(&deployer);
        return Err(Problem::new(Kind::NotReady, detail).with("projections", Vec::<String>::new()).retry());
    }
    let projections: Vec<ReadinessDocument> = deployer.status()?.into_iter().map(readiness).collect();
    let unready: Vec<&ReadinessDocument> =
        projections.iter().filter(|one| !matches!(one.health, Health::Ok | Health::Retired)).collect();
    if unready.is_empty() {
        return Ok(Json(ReadyDocument { status: "ready", projections, plugins_folder }));
    }
    let says = |one: &&ReadinessDocument| match &one.reason {
        Some(reason) => format!("{}: {reason}", one.name),
        None => one.name.clone(),
    };
    let detail = unready.iter().map(says).chain(plugins_folder).collect::<Vec<_>>().join("; ");
    let list = serde_json::to_value(&unready).unwrap_or_default();
    Err(Problem::new(Kind::NotReady, detail).with("projections", list))
}

/// Why it is not known what is in the plug-ins folder.
pub(crate) fn not_looked(deployer: &Deployer) -> String {
    deployer.folder_trouble().unwrap_or_else(|| {
        "the plug-ins folder has not been looked through since the start; that takes a moment".to_owned()
    })
}

fn readiness(status: PluginStatus) -> ReadinessDocument {
    let PluginStatus { name, health, reason, versions, head, .. } = status;
    let reason = match health {
        Health::Replaying => {
            let states = versions.iter().filter_map(|version| version.state.as_ref());
            let position = states.map(|state| state.position).max().unwrap_or_default();
            Some(format!("its first version replays and is at position {position} of {head}"))
        }
        _ => reason,
    };
    ReadinessDocument { name, health, reason }
}
