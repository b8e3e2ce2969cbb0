//! HTTP: one file (or folder) a resource, and what they share.
//!
//! Resources:
//! - `index.rs`: `/`, a page of the main addresses; `/openapi.json`; `/problems`.
//! - `events/`: `/events`, the log.
//! - `projections/`: `/projections`, their tables and queries.
//! - `reactions/`: `/reactions`, what they are doing, their dead letters.
//! - `schemas/`: `/schemas`, what events must fit.
//! - `health.rs`: `/healthz`, `/readyz`.
//! - `metrics/`: `/metrics`.
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
mod metrics;
mod parameters;
mod path;
mod problem;
mod projections;
mod reactions;
mod schemas;
mod serve;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc};

pub use access::Access;
use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Response, header},
    response::{self, IntoResponse as _},
};
use events::Events;
use futures_util::FutureExt as _;
use projections::tables;
pub use serve::{Closing, serve};
use tower::{Layer as _, Service, ServiceExt as _};
use tower_http::compression::{
    CompressionLayer, CompressionLevel,
    predicate::{DefaultPredicate, Predicate},
};
use tracing::Instrument as _;
use utoipa_axum::router::OpenApiRouter;

use crate::{deploy::Deployer, engine::Engine, log::EventLog};

/// The header that says at which position an answer was made.
const POSITION: HeaderName = HeaderName::from_static("projectionist-position");

/// Marks an answer whose parts must leave at once.
#[derive(Clone, Copy)]
struct LiveStream;

/// Answers requests; each connection has a copy.
pub trait Site:
    Service<Request, Response = response::Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Site for S where
    S: Service<Request, Response = response::Response, Error = Infallible, Future: Send>
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
        .merge(projections::routes(Arc::clone(&deployer)))
        .merge(reactions::routes(Arc::clone(&deployer)))
        .merge(schemas::routes(Arc::clone(&engine.schemas)))
        .merge(metrics::routes(engine));
    finish(routes, access, Some(deployer))
}

/// The routes that need no more than a log.
fn over_log(log: Arc<dyn EventLog>, body_limit: usize, closing: Closing) -> OpenApiRouter {
    OpenApiRouter::with_openapi(index::document())
        .merge(index::routes())
        .merge(health::alive_routes(Arc::clone(&log)))
        .merge(events::routes(Events { log, body_limit, closing }))
}

/// Adds what all routes share.
fn finish(routes: OpenApiRouter, access: Access, deployer: Option<Arc<Deployer>>) -> impl Site {
    let (router, mut document) = routes.split_for_parts();
    index::tidy(&mut document);
    let router = router.merge(index::openapi(document)).fallback(problem::not_found);
    let front = Arc::new(Front { router, access, deployer });
    tower::service_fn(move |request: Request| {
        let span = tracing::debug_span!("request", method = %request.method(), uri = %request.uri());
        Arc::clone(&front).serve(request).instrument(span)
    })
}

/// What stands before the router. No layers of it: axum boxes and copies each of
/// these for every request, which together takes longer than a read.
struct Front {
    router: Router,
    access: Access,
    /// Answers reads of rows, where there are projections.
    deployer: Option<Arc<Deployer>>,
}

impl Front {
    /// Answers a request, compressed if the client takes that.
    async fn serve(self: Arc<Self>, request: Request) -> Result<response::Response, Infallible> {
        let compressible = DefaultPredicate::new().and(NotLive);
        let response = if request.headers().contains_key(header::ACCEPT_ENCODING) {
            let compression = CompressionLayer::new().quality(CompressionLevel::Fastest);
            let answering =
                tower::service_fn(async |request| Ok::<_, Infallible>(self.answer(request).await));
            let Ok(response) =
                compression.compress_when(compressible).layer(answering).oneshot(request).await;
            response.map(Body::new)
        } else {
            let mut response = self.answer(request).await;
            if compressible.should_compress(&response) {
                let vary = HeaderValue::from(header::ACCEPT_ENCODING);
                response.headers_mut().append(header::VARY, vary);
            }
            response
        };
        tracing::debug!(status = response.status().as_u16(), "answered");
        Ok(response)
    }

    /// Answers a request that may be made, and makes a problem of whatever goes
    /// wrong.
    async fn answer(&self, request: Request) -> response::Response {
        let answering = async {
            if let Err(problem) = self.access.check(&request) {
                return problem.into_response();
            }
            // The read that there is most of goes past the router.
            if let Some(deployer) = &self.deployer
                && tables::is_row(&request)
            {
                return tables::row(State(Arc::clone(deployer)), request).await.into_response();
            }
            let (method, uri) = (request.method().clone(), request.uri().clone());
            let Ok(response) = self.router.clone().oneshot(request).await;
            problem::normalise(&method, &uri, response).await
        };
        AssertUnwindSafe(answering).catch_unwind().await.unwrap_or_else(problem::panicked)
    }
}

/// Leaves live streams uncompressed: a compressor would hold events back.
#[derive(Clone, Copy)]
struct NotLive;

impl Predicate for NotLive {
    fn should_compress<B: HttpBody>(&self, response: &Response<B>) -> bool {
        response.extensions().get::<LiveStream>().is_none()
    }
}
