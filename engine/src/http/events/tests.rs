//! Appending and reading over HTTP.

use std::{io::Write as _, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tower::ServiceExt;

use crate::http::{
    serve,
    tests::{Answer, get, over, over_memory, post},
};

const OWN: (&str, &str) = ("content-type", "application/json");
const STRUCTURED: (&str, &str) = ("content-type", "application/cloudevents+json; charset=utf-8");
const BATCHED: (&str, &str) = ("content-type", "application/cloudevents-batch+json");
const LINES: (&str, &str) = ("content-type", "application/x-ndjson");

fn event(id: &str, event_type: &str, subject: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/test", "type": event_type, "subject": subject, "data": {"n": id}})
}

async fn append(router: &Router, events: Vec<Value>) -> Answer {
    post(router, "/events", &[OWN], json!({"events": events}).to_string()).await
}

async fn filled(count: usize) -> Router {
    let (router, _) = over_memory();
    for start in (0..count).step_by(100) {
        let events = (start..count.min(start + 100)).map(|n| {
            let mut event = event(&n.to_string(), ["even", "odd"][n % 2], &format!("s/{}", n % 3));
            event["tags"] = format!("third:{},all", n % 3).into();
            event
        });
        assert_eq!(append(&router, events.collect()).await.status, StatusCode::CREATED);
    }
    router
}

fn positions(page: &Value) -> Vec<u64> {
    page["events"].as_array().unwrap().iter().map(|event| event["position"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn all_forms_are_taken() {
    let (router, _) = over_memory();
    let one = post(&router, "/events", &[STRUCTURED], event("1", "a", "s").to_string()).await;
    assert_eq!(one.status, StatusCode::CREATED, "{}", one.text());
    assert_eq!(one.json(), json!({"position": 1, "positions": [1], "known": 0}));
    assert_eq!(one.header("projectionist-position"), "1");

    let batch = json!([event("2", "a", "s"), event("3", "b", "s")]).to_string();
    let batch = post(&router, "/events", &[BATCHED], batch).await;
    assert_eq!(batch.json()["positions"], json!([2, 3]));

    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "4"),
        ("ce-source", "/test"),
        ("ce-type", "c"),
        ("ce-subject", "Euro%20%E2%82%AC"),
        ("ce-tags", "x:1, y:2"),
        ("ce-priority", "high"),
        ("content-type", "text/plain"),
    ];
    let binary = post(&router, "/events", &headers, "hello").await;
    assert_eq!(binary.json()["positions"], json!([4]), "{}", binary.text());

    let lines = format!("{}\r\n\n{}\n", event("5", "a", "s"), event("6", "a", "t"));
    let lines = post(&router, "/events", &[LINES], lines).await;
    assert_eq!(lines.json()["positions"], json!([5, 6]));

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(event("7", "a", "t").to_string().as_bytes()).unwrap();
    let gzipped =
        post(&router, "/events", &[LINES, ("content-encoding", "gzip")], gzip.finish().unwrap()).await;
    assert_eq!(gzipped.json()["positions"], json!([7]));

    let read = get(&router, "/events/4", &[]).await;
    assert_eq!(read.header("content-type"), "application/cloudevents+json");
    let read = read.json();
    assert_eq!(read["subject"], "Euro €");
    assert_eq!(read["data"], "hello");
    assert_eq!(read["datacontenttype"], "text/plain");
    assert_eq!(read["tags"], "x:1,y:2");
    assert_eq!(read["priority"], "high");
    assert_eq!(read["position"], 4);
}

#[tokio::test]
async fn the_same_again_adds_nothing() {
    let (router, _) = over_memory();
    append(&router, vec![event("1", "a", "s")]).await;
    let again = append(&router, vec![event("1", "a", "s")]).await;
    assert_eq!(
        (again.status, again.json()),
        (StatusCode::OK, json!({"position": 1, "positions": [1], "known": 1}))
    );
    let mixed = append(&router, vec![event("1", "a", "s"), event("2", "a", "s")]).await;
    assert_eq!(mixed.status, StatusCode::CREATED);
    assert_eq!(mixed.json(), json!({"position": 2, "positions": [1, 2], "known": 1}));

    let reused = append(&router, vec![event("1", "other", "s")]).await;
    assert_eq!(reused.status, StatusCode::CONFLICT);
    let problem = reused.problem("id-reused");
    assert_eq!(problem["in-the-way"], json!({"position": 1, "id": "1", "type": "a", "subject": "s"}));
}

#[tokio::test]
async fn conditions_hold_or_say_what_is_in_the_way() {
    let (router, _) = over_memory();
    let with = |id: &str, condition: Value| {
        let mut event = event(id, "signed-up", &format!("user/{id}"));
        event["tags"] = "email:a@b.c".into();
        json!({"events": [event], "condition": condition}).to_string()
    };
    let new = |id: &str| with(id, json!({"expected-versions": {(format!("user/{id}")): 0}}));
    assert_eq!(post(&router, "/events", &[OWN], new("1")).await.status, StatusCode::CREATED);

    let stale = with("9", json!({"expected-versions": {"user/1": 0}}));
    let refused = post(&router, "/events", &[OWN], stale).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    let problem = refused.problem("condition-not-met");
    assert_eq!((&problem["expected-version"], &problem["actual-version"]), (&json!(0), &json!(1)));
    assert_eq!(problem["subject"], "user/1");

    let taken = json!({"fail-if-exists": [{"types": ["signed-up"], "tags": ["email:a@b.c"]}]});
    let refused = post(&router, "/events", &[OWN], with("2", taken)).await;
    let problem = refused.problem("condition-not-met");
    assert_eq!(
        problem["in-the-way"],
        json!({"position": 1, "id": "1", "type": "signed-up", "subject": "user/1"})
    );
    let later = json!({"fail-if-exists": [{"tags": ["email:a@b.c"], "after": 1}]});
    assert_eq!(post(&router, "/events", &[OWN], with("2", later)).await.status, StatusCode::CREATED);

    let misspelt = json!({"fail-if-exist": []});
    let refused = post(&router, "/events", &[OWN], with("3", misspelt)).await;
    assert!(refused.problem("malformed-request")["detail"].as_str().unwrap().contains("fail-if-exists"));
}

#[tokio::test]
async fn faults_are_named() {
    let (router, _) = over_memory();
    let faulty =
        json!([event("1", "a", "s"), {"specversion": "1.0", "source": "/test", "type": "a"}]).to_string();
    let refused = post(&router, "/events", &[BATCHED], faulty).await;
    let problem = refused.problem("invalid-event");
    assert_eq!((&problem["event"], &problem["attribute"]), (&json!(1), &json!("id")));
    assert!(problem["detail"].as_str().unwrap().contains("by its source and id"));
    assert_eq!(get(&router, "/events", &[]).await.json()["position"], 0);

    let lines = format!("{}\n\nnonsense\n", event("1", "a", "s"));
    let problem = post(&router, "/events", &[LINES], lines).await.problem("invalid-event");
    assert_eq!((&problem["line"], &problem["event"]), (&json!(3), &json!(1)));

    for (headers, body, slug, expected) in [
        (vec![OWN], "{", "malformed-request", "`events`"),
        (vec![OWN], r#"{"event":[]}"#, "malformed-request", "unknown field"),
        (vec![OWN], r#"{"events":[]}"#, "malformed-request", "no event"),
        (vec![LINES], "\n", "malformed-request", "no event"),
        (vec![STRUCTURED], "[]", "invalid-event", "object"),
        (
            vec![("content-type", "text/csv")],
            "a,b",
            "unsupported-media-type",
            "application/cloudevents-batch+json",
        ),
        (vec![], "", "unsupported-media-type", "no Content-Type"),
        (vec![("ce-id", "1"), OWN], "{}", "invalid-event", "specversion"),
        (vec![("ce-specversion", "1.0"), ("ce-id", "%ff")], "", "invalid-event", "ce-id"),
        (vec![("ce-specversion", "1.0"), ("ce-datacontenttype", "a/b")], "", "invalid-event", "Content-Type"),
        (
            vec![("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/"), ("ce-type", "a"), OWN],
            "{",
            "invalid-event",
            "not JSON",
        ),
    ] {
        let refused = post(&router, "/events", &headers, body).await;
        assert!(refused.status.is_client_error());
        let problem = refused.problem(slug);
        assert!(problem["detail"].as_str().unwrap().contains(expected), "{problem}");
    }

    let large = post(&router, "/events", &[OWN], vec![b' '; (1 << 16) + 1]).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    let problem = large.problem("too-large");
    assert_eq!(problem["limit"], 1 << 16);
}

#[tokio::test]
async fn pages_are_selected_and_go_on() {
    let router = filled(250).await;
    let page = get(&router, "/events", &[]).await;
    assert_eq!(page.header("projectionist-position"), "250");
    let page = page.json();
    assert_eq!(positions(&page), (1..=100).collect::<Vec<_>>());
    assert_eq!((&page["position"], &page["next"]), (&json!(250), &json!(101)));
    let page = get(&router, "/events?from=201", &[]).await.json();
    assert_eq!((positions(&page).len(), &page["next"]), (50, &Value::Null));

    for (query, expected, next) in [
        ("from=2&to=4", vec![2, 3, 4], None),
        ("limit=2", vec![1, 2], Some(3)),
        ("limit=2&reverse=true", vec![250, 249], Some(248)),
        ("limit=2&reverse&to=100&from=99", vec![100, 99], None),
        ("type=odd&limit=2", vec![2, 4], Some(6)),
        ("type=odd,even&to=2", vec![1, 2], None),
        ("type=odd&type=even&to=2", vec![1, 2], None),
        ("subject=s/1&limit=2", vec![2, 5], Some(8)),
        ("tag=third:2&tag=all&to=6", vec![3, 6], None),
        ("type=none", vec![], None),
        ("from=251", vec![], None),
        ("from=9&to=3", vec![], None),
    ] {
        let page = get(&router, &format!("/events?{query}"), &[]).await.json();
        assert_eq!((positions(&page), page["next"].as_u64()), (expected, next), "{query}");
    }
    for refused in [
        "limit=0",
        "limit=10001",
        "limit=x",
        "from=-1",
        "reverse=maybe",
        "type=",
        "follow=true",
        "from=1&from=2",
    ] {
        let refused = get(&router, &format!("/events?{refused}"), &[]).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        refused.problem("invalid-parameter");
    }
    get(&router, "/events/251", &[]).await.problem("no-such-event");
    get(&router, "/events/0", &[]).await.problem("no-such-event");
    get(&router, "/events/x", &[]).await.problem("invalid-parameter");
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let router = filled(3).await;
    for uri in ["/events", "/events/2"] {
        let first = get(&router, uri, &[]).await;
        let again = get(&router, uri, &[("if-none-match", first.header("etag"))]).await;
        assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
        assert_eq!(again.header("etag"), first.header("etag"));
    }
    let before = get(&router, "/events", &[]).await;
    append(&router, vec![event("new", "a", "s")]).await;
    let after = get(&router, "/events", &[("if-none-match", before.header("etag"))]).await;
    assert_eq!(after.status, StatusCode::OK);
}

#[tokio::test]
async fn ndjson_streams_all_and_can_be_appended_elsewhere() {
    let router = filled(3000).await;
    let lines = get(&router, "/events", &[("accept", "application/x-ndjson")]).await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    let text = lines.text();
    let read: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        read.iter().map(|event| event["position"].as_u64().unwrap()).collect::<Vec<_>>(),
        (1..=3000).collect::<Vec<_>>()
    );
    let reverse =
        get(&router, "/events?reverse=true&type=odd&limit=700", &[("accept", "application/x-ndjson")]).await;
    let expected: Vec<u64> = (1..=1500).rev().take(700).map(|n| 2 * n).collect();
    let read: Vec<u64> = reverse
        .text()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["position"].as_u64().unwrap())
        .collect();
    assert_eq!(read, expected);

    let (other, _) = over_memory();
    let some: String = text.lines().take(100).flat_map(|line| [line, "\n"]).collect();
    let copied = post(&other, "/events", &[LINES], some).await;
    assert_eq!(copied.status, StatusCode::CREATED, "{}", copied.text());
}

/// What a stream sends, until `text` has come.
async fn until(
    stream: &mut (impl StreamExt<Item = Result<bytes::Bytes, axum::Error>> + Unpin),
    text: &str,
) -> String {
    let mut received = String::new();
    while !received.contains(text) {
        let piece = tokio::time::timeout(Duration::from_secs(10), stream.next()).await;
        let piece = piece.unwrap_or_else(|_| panic!("waited in vain for {text}; got {received}"));
        received.push_str(std::str::from_utf8(&piece.expect("an endless stream").unwrap()).unwrap());
    }
    received
}

#[tokio::test]
async fn streams_follow_the_head() {
    for (uri, accept) in
        [("/events?from=2", "text/event-stream"), ("/events?from=2&follow", "application/x-ndjson")]
    {
        let router = filled(3).await;
        let request = Request::get(uri).header("accept", accept).header("accept-encoding", "gzip");
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.headers()["content-type"], accept);
        assert!(!response.headers().contains_key("content-encoding"));
        let mut stream = response.into_body().into_data_stream();
        let first = until(&mut stream, "\"position\":3").await;
        assert!(first.contains("\"position\":2") && !first.contains("\"position\":1,"));
        append(&router, vec![event("new", "a", "s")]).await;
        let second = until(&mut stream, "\"position\":4").await;
        assert!(accept != "text/event-stream" || second.contains("id: 4\n"), "{second}");
    }
}

#[tokio::test]
async fn server_sent_events_resume_and_end() {
    let router = filled(5).await;
    let sse = ("accept", "text/event-stream");
    let rest = get(&router, "/events?to=5", &[sse, ("last-event-id", "3")]).await.text();
    let ids: Vec<&str> = rest.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(ids, ["4", "5"]);
    let done = get(&router, "/events?to=5", &[sse, ("last-event-id", "5")]).await;
    assert_eq!(done.status, StatusCode::NO_CONTENT);
    let limited = get(&router, "/events?limit=2", &[sse]).await.text();
    assert_eq!(limited.matches("data: ").count(), 2);
    get(&router, "/events", &[sse, ("last-event-id", "x")]).await.problem("invalid-parameter");
    get(&router, "/events?reverse=true", &[sse]).await.problem("invalid-parameter");
}

#[tokio::test]
async fn a_closing_server_ends_its_streams() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, |closing| over(Arc::default(), closing), async {
        stopped.await.ok();
    }));
    let client = crate::client::builder().build().unwrap();
    let stream = client.get(&url).header("accept", "text/event-stream").send().await.unwrap();
    assert_eq!(stream.status(), 200);
    stop.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.bytes()).await.expect("the stream ends");
    assert!(ended.unwrap().is_empty());
    tokio::time::timeout(Duration::from_secs(5), server).await.expect("the server ends").unwrap().unwrap();
    assert!(client.get(&url).send().await.is_err());
}
