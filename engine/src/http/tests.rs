//! What holds for all routes, and how tests talk to them.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Access, Closing, problem::PROBLEM_JSON};
use crate::log::memory::MemoryLog;

/// An answer, its body whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("a text body")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text header"))
    }

    /// The detail of a problem, which it must be.
    pub(crate) fn problem(&self, slug: &str) -> Value {
        assert_eq!(self.header("content-type"), PROBLEM_JSON, "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["type"], format!("/problems/{slug}"), "{problem}");
        assert_eq!(problem["status"], self.status.as_u16());
        assert!(!problem["detail"].as_str().expect("a detail").is_empty());
        problem
    }
}

pub(crate) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.expect("a router never fails");
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a whole body").to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

pub(crate) async fn get(router: &Router, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(router, request.body(Body::empty()).expect("a request")).await
}

pub(crate) async fn post(
    router: &Router,
    uri: &str,
    headers: &[(&str, &str)],
    body: impl Into<Vec<u8>>,
) -> Answer {
    let mut request = Request::post(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(router, request.body(Body::from(body.into())).expect("a request")).await
}

pub(crate) fn over_memory() -> (Router, Arc<MemoryLog>) {
    let log = Arc::new(MemoryLog::default());
    (over(log.clone(), Closing::never()), log)
}

pub(crate) fn over(log: Arc<MemoryLog>, closing: Closing) -> Router {
    Router::new().fallback_service(super::finish(
        super::over_log(log, 1 << 16, closing),
        Access::Loopback,
        None,
    ))
}

#[tokio::test]
async fn errors_are_problems_whoever_makes_them() {
    let (router, _) = over_memory();
    let missing = get(&router, "/nothing/here", &[]).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(missing.problem("not-found")["detail"].as_str().unwrap().contains("/nothing/here"));

    let request = Request::builder().method(Method::PATCH).uri("/events").body(Body::empty()).unwrap();
    let refused = send(&router, request).await;
    assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(refused.problem("method-not-allowed")["detail"].as_str().unwrap().contains("GET,HEAD,POST"));
    assert_eq!(refused.header("allow"), "GET,HEAD,POST");

    let misspelt = get(&router, "/events?typ=a", &[]).await;
    let problem = misspelt.problem("unknown-parameter");
    assert_eq!(problem["parameter"], "typ");
    assert_eq!(
        problem["known"],
        json!(["from", "to", "type", "subject", "tag", "correlation", "limit", "reverse", "follow"])
    );

    let undecodable = get(&router, "/events/%ff", &[]).await;
    undecodable.problem("malformed-request");

    let brotli =
        post(&router, "/events", &[("content-encoding", "br"), ("content-type", "application/json")], "")
            .await;
    assert_eq!(brotli.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    brotli.problem("unsupported-media-type");

    let panicking = super::finish(
        utoipa_axum::router::OpenApiRouter::new()
            .route("/panic", axum::routing::get(|| async { panic!("secret") as () })),
        Access::Loopback,
        None,
    );
    let panicking = Router::new().fallback_service(panicking);
    let panicked = get(&panicking, "/panic", &[]).await;
    assert_eq!(panicked.status, StatusCode::INTERNAL_SERVER_ERROR);
    panicked.problem("internal");
    assert!(!panicked.text().contains("secret"));
}

#[tokio::test]
async fn the_index_names_the_main_addresses() {
    let (router, _) = over_memory();
    let json = get(&router, "/", &[]).await;
    assert!(json.json()["addresses"]["/projections"].is_string());
    let browser = [("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")];
    let html = get(&router, "/", &browser).await;
    assert!(html.header("content-type").starts_with("text/html") && html.text().contains("href=\"/events\""));

    let problems = get(&router, "/problems", &[]).await.json();
    for problem in problems.as_array().unwrap() {
        let one = get(&router, problem["type"].as_str().unwrap(), &[]).await;
        assert_eq!(one.json(), *problem);
    }
    get(&router, "/problems/none", &[]).await.problem("not-found");
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_ask() {
    let (router, _) = over_memory();
    let gzipped = get(&router, "/openapi.json", &[("accept-encoding", "gzip")]).await;
    assert_eq!(gzipped.headers[header::CONTENT_ENCODING], "gzip");
    let plain = get(&router, "/openapi.json", &[]).await;
    assert!(plain.body.len() > gzipped.body.len() && plain.header("content-encoding").is_empty());
}
