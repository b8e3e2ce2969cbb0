//! HTTP: one file (or folder) a resource, and what they share.
//!
//! Resources:
//! - `index.rs`: `/`, a page of the main addresses; `/openapi.json`; `/problems`.
//! - `events/`: `/events`, the log.
//! - `projections/`: `/projections`, their tables and queries.
//! - `health.rs`: `/healthz`, `/readyz`.
//!
//! Shared:
//! - `access.rs`: who may ask a server that listens on this machine only.
//! - `problem.rs`: errors as problem+json.
//! - `parameters.rs`, `path.rs`: what stands in the URL, read strictly.
//! - `accept.rs`, `etag.rs`: content negotiation, conditional requests.
//! - `serve.rs`: a listener, and how to stop.
//!
//! Handlers translate: from HTTP to a call of the engine and back. What the
//! call does is not here, and nothing outside of here knows of HTTP.
//!
//! Routes and their documentation are declared together, so that neither can
//! be without the other.

mod accept;
mod access;
mod etag;
mod events;
mod health;
mod index;
mod parameters;
mod path;
mod problem;
mod projections;
mod serve;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc};

pub use access::Access;
use axum::{
    Router,
    body::{Body, HttpBody},
    extract,
    http::{HeaderName, Request, Response},
    response::{self, IntoResponse as _},
};
use events::Events;
use futures_util::FutureExt as _;
pub use serve::{Closing, serve};
use tower::{Layer as _, Service, ServiceExt as _};
use tower_http::{
    compression::{
        CompressionLayer, CompressionLevel,
        predicate::{DefaultPredicate, Predicate},
    },
    trace::TraceLayer,
};
use utoipa_axum::router::OpenApiRouter;

use crate::{engine::Engine, log::EventLog};

/// The header that says at which position an answer was made.
const POSITION: HeaderName = HeaderName::from_static("projectionist-position");

/// Marks an answer whose parts must leave at once.
#[derive(Clone, Copy)]
struct LiveStream;

/// Answers requests; each connection has a copy.
pub trait Site:
    Service<extract::Request, Response = response::Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Site for S where
    S: Service<extract::Request, Response = response::Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// All routes over an engine, for those who may ask.
pub fn site(engine: Arc<Engine>, access: Access, closing: Closing) -> impl Site {
    let deployer = Arc::clone(&engine.deployer);
    let routes = over_log(Arc::clone(&engine.log), engine.max_batch_bytes, closing)
        .merge(health::ready_routes(Arc::clone(&deployer)))
        .merge(projections::routes(deployer));
    finish(routes, access)
}

/// The routes that need no more than a log.
fn over_log(log: Arc<dyn EventLog>, body_limit: usize, closing: Closing) -> OpenApiRouter {
    OpenApiRouter::with_openapi(index::document())
        .merge(index::routes())
        .merge(health::alive_routes(Arc::clone(&log)))
        .merge(events::routes(Events { log, body_limit, closing }))
}

/// Adds what all routes share.
fn finish(routes: OpenApiRouter, access: Access) -> impl Site {
    let (router, mut document) = routes.split_for_parts();
    index::tidy(&mut document);
    let compression = CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(DefaultPredicate::new().and(NotLive));
    let trace = TraceLayer::new_for_http()
        .make_span_with(|request: &Request<_>| {
            tracing::debug_span!("request", method = %request.method(), uri = %request.uri())
        })
        .on_failure(());
    let router = router.merge(index::openapi(document)).fallback(problem::not_found);
    // Around the router, not layers of it: axum boxes and copies each of these for every request, which
    // together takes longer than a read.
    let answering = tower::service_fn(move |request| answer(router.clone(), access, request));
    trace.layer(compression.layer(answering)).map_response(|response: Response<_>| response.map(Body::new))
}

/// Has the router answer a request that may be made, and makes a problem of
/// whatever goes wrong.
async fn answer(
    router: Router,
    access: Access,
    request: extract::Request,
) -> Result<response::Response, Infallible> {
    let answering = async {
        if let Err(problem) = access.check(&request) {
            return problem.into_response();
        }
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let Ok(response) = router.oneshot(request).await;
        problem::normalise(&method, &uri, response).await
    };
    Ok(AssertUnwindSafe(answering).catch_unwind().await.unwrap_or_else(problem::panicked))
}

/// Leaves live streams uncompressed: a compressor would hold events back.
#[derive(Clone, Copy)]
struct NotLive;

impl Predicate for NotLive {
    fn should_compress<B: HttpBody>(&self, response: &Response<B>) -> bool {
        response.extensions().get::<LiveStream>().is_none()
    }
}
