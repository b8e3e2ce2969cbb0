//! `/metrics`: how the server and all plug-ins are, in the text format of OpenMetrics, as Prometheus reads it.
//!
//! - `server.rs`: the server itself and its log.
//! - `plugins.rs`: plug-ins, their versions and tables, what came of verifications.
//! - `reactions.rs`: what reactions do, and what is stuck.
//! - `families.rs`: how metrics are written.
//!
//! Nothing is counted here, or anywhere for this alone: all of it is read off what a status shows, when it is asked for.

mod families;
mod plugins;
mod reactions;
mod server;

use std::{fmt, sync::Arc};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text},
    registry::Registry,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::families::Families;
use super::{
    parameters::{NoParameters, UrlQuery},
    problem::{Problem, ProblemDocument},
};
use crate::{
    deploy::{Deployer, status::PluginStatus},
    engine::Engine,
    event::{Position, Timestamp},
    state::StateError,
};

/// What the text is written in.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The route.
pub(crate) fn routes(engine: Arc<Engine>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(metrics)).with_state(engine)
}

/// Read metrics
///
/// How the server and all plug-ins are, in the text format of OpenMetrics, as Prometheus reads it.
#[utoipa::path(get, path = "/metrics", tag = "server", operation_id = "readMetrics",
    responses(
        (status = 200, description = "The metrics.", body = String, content_type = "application/openmetrics-text"),
        (status = 500, description = "The storage failed.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
async fn metrics(
    State(engine): State<Arc<Engine>>,
    _query: UrlQuery<NoParameters>,
) -> Result<Response, Problem> {
    // With many plug-ins it takes some milliseconds.
    let writing = tokio::task::spawn_blocking(move || Ok::<_, StateError>(write(Standing::of(&engine)?)));
    let text = writing.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

fn write(standing: Standing) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(standing));
    let mut text = String::new();
    text::encode(&mut text, &registry).expect("a string takes all that is written");
    text
}

/// All that metrics are made of, as it stands.
#[derive(Debug)]
struct Standing {
    started: Timestamp,
    head: Position,
    folder_is_read: bool,
    plugins: Vec<PluginStatus>,
    reactions: Vec<reactions::Doing>,
}

impl Standing {
    fn of(engine: &Engine) -> Result<Self, StateError> {
        let deployer: &Deployer = &engine.deployer;
        let plugins = deployer.status()?;
        Ok(Self {
            started: engine.started,
            // Asked last, so that no plug-in is ahead of it.
            head: engine.log.head(),
            folder_is_read: deployer.folder_trouble().is_none(),
            reactions: reactions::of(deployer, &plugins),
            plugins,
        })
    }
}

impl Collector for Standing {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        server::write(self, &mut families)?;
        plugins::write(&self.plugins, &mut families)?;
        reactions::write(&self.reactions, &mut families)
    }
}
