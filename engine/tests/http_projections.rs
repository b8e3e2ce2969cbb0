//! State over HTTP: a whole engine with real components behind a real listener.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{path::PathBuf, sync::Arc, time::Duration};

use projectionist::{
    engine::{Engine, EngineSettings},
    http,
};
use projectionist_test_guests::component;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot};

/// A server, gone when it is dropped.
struct Server {
    url: String,
    client: reqwest::Client,
    folder: tempfile::TempDir,
    _stop: oneshot::Sender<()>,
}

impl Server {
    async fn start(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        for (name, bytes) in files {
            std::fs::write(plugins.join(name), bytes).unwrap();
        }
        let settings = EngineSettings::new(folder.path().join("data"), plugins);
        let engine = Arc::new(Engine::open(settings).await.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let site = |closing| http::site(engine, http::Access::Loopback, closing);
        tokio::spawn(http::serve(listener, site, async {
            stopped.await.ok();
        }));
        Self { url, client: projectionist::client::builder().build().unwrap(), folder, _stop: stop }
    }

    fn plugin(&self, file: &str) -> PathBuf {
        self.folder.path().join("plugins").join(file)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path).send().await.unwrap()).await
    }

    async fn get_unless(&self, path: &str, tag: &str) -> Answer {
        Answer::of(self.request(Method::GET, path).header("if-none-match", tag).send().await.unwrap()).await
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        Answer::of(request.body(body.to_owned()).send().await.unwrap()).await
    }

    async fn append(&self, id: &str, event_type: &str) -> u64 {
        let event = json!({"specversion": "1.0", "id": id, "source": "/test", "type": event_type});
        let answer = self.post("/events", &json!({"events": [event]}).to_string()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.json);
        answer.json["position"].as_u64().unwrap()
    }

    /// Asks again until the answer is as wanted.
    async fn until(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let mut last = None;
        for _ in 0..600 {
            let answer = self.get(path).await;
            if wanted(&answer) {
                return answer;
            }
            last = Some(answer);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("waited in vain at {path}: {last:?}");
    }

    async fn ready(&self, name: &str) {
        self.until(&format!("/projections/{name}"), |answer| answer.json["health"] == "ok").await;
    }
}

/// An answer; the body of an empty one is null.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: reqwest::header::HeaderMap,
    json: Value,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.unwrap();
        let json = serde_json::from_slice(&body).unwrap_or_default();
        Self { status, headers, json }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn position(&self) -> u64 {
        self.header("projectionist-position").parse().unwrap()
    }

    #[track_caller]
    fn problem(&self, slug: &str) -> &Value {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.json["type"], format!("/problems/{slug}"), "{self:?}");
        assert_eq!(self.json["status"], self.status.as_u16());
        &self.json
    }

    #[track_caller]
    fn says(&self, slug: &str, text: &str) {
        let detail = self.problem(slug)["detail"].as_str().unwrap();
        assert!(detail.contains(text), "{detail}");
    }
}

fn guest(name: &str) -> Vec<u8> {
    std::fs::read(component(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn state_is_read() {
    let server = Server::start(&[("counts.wasm", &guest("counts"))]).await;
    server.ready("counts").await;
    let table = "/projections/counts/tables/counts";
    for (id, event_type) in [("1", "a"), ("2", "src/lib.rs"), ("3", "a"), ("4", "ü b")] {
        server.append(id, event_type).await;
    }

    // Pages: read your own writes, go on, do not send what is known.
    let page = server.get(&format!("{table}?at-least=4")).await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert_eq!((page.position(), &page.json["position"]), (4, &json!(4)));
    let rows =
        json!([{"key": "a", "value": 2}, {"key": "src/lib.rs", "value": 1}, {"key": "ü b", "value": 1}]);
    assert_eq!(page.json["rows"], rows);
    assert_eq!(page.header("projectionist-version").len(), 64);
    let again = server.get_unless(table, page.header("etag")).await;
    assert_eq!((again.status, again.position()), (StatusCode::NOT_MODIFIED, 4));
    assert_eq!(again.header("projectionist-version"), page.header("projectionist-version"));
    let first = server.get(&format!("{table}?limit=2")).await.json;
    let second =
        server.get(&format!("{table}?limit=2&cursor={}", first["next"].as_str().unwrap())).await.json;
    assert_eq!((first["rows"].as_array().unwrap().len(), &second["rows"]), (2, &json!([rows[2]])));
    let prefix = server.get(&format!("{table}?prefix=src/&limit=1000&reverse=true")).await;
    assert_eq!(prefix.json["rows"], json!([rows[1]]));

    // Rows: slashes as they are and encoded.
    for path in ["src/lib.rs", "src%2Flib.rs", "src%2flib%2Ers"] {
        let row = server.get(&format!("{table}/{path}")).await;
        assert_eq!((&row.json, row.position()), (&rows[1], 4), "{path}");
    }
    let row = server.get(&format!("{table}/%C3%BC%20b")).await;
    assert_eq!(row.json, rows[2]);
    server.append("5", "a").await;
    let same = format!("{table}/%C3%BC%20b?at-least=5");
    assert_eq!(server.get_unless(&same, row.header("etag")).await.status, StatusCode::NOT_MODIFIED);
    let changed = server.get_unless(table, page.header("etag")).await;
    assert_eq!(
        (changed.status, &changed.json["rows"][0]),
        (StatusCode::OK, &json!({"key": "a", "value": 3}))
    );

    // What is not there.
    let missing = server.get(&format!("{table}/nothing")).await;
    assert_eq!((missing.status, missing.position()), (StatusCode::NOT_FOUND, 5));
    missing.says("no-such-key", "nothing");
    server.get("/projections/counts/tables/other").await.says("no-such-table", "counts");
    server.get("/projections/other/tables/counts").await.says("no-such-projection", "other.wasm");
    server.get("/projections/other").await.problem("no-such-projection");
    server.get(&format!("{table}?index=none")).await.problem("invalid-parameter");
    server.get(&format!("{table}?limit=10001")).await.problem("invalid-parameter");
    server.get(&format!("{table}?cursor=x")).await.problem("invalid-parameter");
    server.get(&format!("{table}?prefx=a")).await.says("unknown-parameter", "prefix");
    server.get(&format!("{table}/%ff")).await.problem("malformed-request");

    // What is not there yet.
    let late = server.get(&format!("{table}?at-least=99&timeout=50ms")).await;
    assert_eq!(late.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!((&late.json["position"], &late.json["at-least"]), (&json!(5), &json!(99)));
    late.problem("position-not-reached");
    server.get(&format!("{table}?timeout=61s")).await.says("invalid-parameter", "60s");
    let (waited, position) = tokio::join!(
        server.get("/projections/counts/tables/counts/later?at-least=6"),
        server.append("6", "later")
    );
    assert_eq!((waited.json["value"].as_u64(), position), (Some(1), 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_asked() {
    let server = Server::start(&[("counts.wasm", &guest("counts"))]).await;
    server.ready("counts").await;
    for id in ["1", "2", "3"] {
        server.append(id, "a").await;
    }
    let queries = "/projections/counts/queries";
    let total = server.get(&format!("{queries}/total?at-least=3")).await;
    assert_eq!((total.status, &total.json, total.position()), (StatusCode::OK, &json!(3), 3));
    let again = server.get_unless(&format!("{queries}/total"), total.header("etag")).await;
    assert_eq!((again.status, again.position()), (StatusCode::NOT_MODIFIED, 3));
    server.append("4", "a").await;
    let changed = server.get_unless(&format!("{queries}/total?at-least=4"), total.header("etag")).await;
    assert_eq!((changed.status, &changed.json), (StatusCode::OK, &json!(4)));
    for body in ["{}", "", "{\"limit\": 1}"] {
        assert_eq!(server.post(&format!("{queries}/total?at-least=4"), body).await.json, json!(4));
    }
    server.post(&format!("{queries}/total"), "[]").await.says("malformed-request", "JSON object");
    let unknown = server.get(&format!("{queries}/totl")).await;
    assert_eq!(unknown.problem("no-such-query")["queries"], json!(["total", "state"]));
    // It answers with something else than JSON.
    server.get(&format!("{queries}/state")).await.says("plugin-failed", "not JSON");
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_are_shown_and_purged() {
    let server = Server::start(&[("talks.wasm", &guest("talks"))]).await;
    server.ready("talks").await;
    server.append("1", "a").await;
    server.get("/projections/talks/tables/counts?at-least=1").await;

    let list = server.get("/projections").await;
    assert_eq!(list.json["projections"][0]["name"], "talks");
    assert_eq!(server.get_unless("/projections", list.header("etag")).await.status, StatusCode::NOT_MODIFIED);
    let status = server.get("/projections/talks").await.json;
    assert_eq!((&status["health"], &status["position"]), (&json!("ok"), &json!(1)));
    let output = server.get("/projections/talks/output").await.json;
    let lines = output["output"].as_array().unwrap();
    assert_eq!(lines.len(), 200);
    assert!(lines.iter().any(|line| line["line"] == "1: line 999"), "{output}");
    let deployments = server.get("/projections/talks/deployments").await.json;
    assert_eq!(deployments["deployments"][0]["outcome"], "promoted");
    let letters = server.get("/projections/talks/dead-letters").await;
    assert_eq!(
        (letters.json, letters.headers.contains_key("projectionist-version")),
        (json!({"position": 1, "dead-letters": []}), true)
    );

    let delete = || async {
        Answer::of(server.request(Method::DELETE, "/projections/talks").send().await.unwrap()).await
    };
    let refused = delete().await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    refused.says("still-deployed", "talks.wasm");
    std::fs::remove_file(server.plugin("talks.wasm")).unwrap();
    server.until("/projections/talks", |answer| answer.json["health"] == "retired").await;
    let retired = server.get("/projections/talks/tables/counts").await;
    assert_eq!(retired.status, StatusCode::SERVICE_UNAVAILABLE);
    retired.says("not-served", "retired");
    assert_eq!(server.get("/readyz").await.status, StatusCode::OK);
    let purged = delete().await;
    assert_eq!((purged.status, purged.json), (StatusCode::NO_CONTENT, Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stuck_says_so() {
    let settings = b"[values]\nat = \"bad\"\n";
    let files: [(&str, &[u8]); 3] =
        [("refuses.wasm", &guest("refuses")), ("refuses.toml", settings), ("text.wasm", b"no component")];
    let server = Server::start(&files).await;
    server.ready("refuses").await;
    server.until("/projections/text", |answer| answer.json["health"] == "failed").await;
    server.append("1", "good").await;
    server.append("2", "bad").await;

    let read = server.get("/projections/refuses/tables/counts/good?at-least=1").await;
    assert_eq!(read.json["value"], 1);
    let halted = server.get("/projections/refuses/tables/counts?at-least=2&timeout=20s").await;
    assert_eq!(halted.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(halted.problem("halted")["event"], json!({"position": 2, "id": "2", "type": "bad"}));
    halted.says("halted", "out of focus");
    let halted = server.get("/projections/refuses/queries/total?at-least=2").await;
    halted.problem("halted");
    let still = server.get("/projections/refuses/queries/total").await;
    assert_eq!((&still.json, still.position()), (&json!(1), 1));

    let failed = server.get("/projections/text/tables/any").await;
    assert_eq!(failed.status, StatusCode::SERVICE_UNAVAILABLE);
    failed.says("not-served", "\"text\"");

    assert_eq!(server.get("/healthz").await.json, json!({"status": "ok", "position": 2}));
    let unready = server.get("/readyz").await;
    assert_eq!(unready.status, StatusCode::SERVICE_UNAVAILABLE);
    let projections = &unready.problem("not-ready")["projections"];
    let health: Vec<_> =
        projections.as_array().unwrap().iter().map(|one| (&one["name"], &one["health"])).collect();
    assert_eq!(health, [(&json!("refuses"), &json!("halted")), (&json!("text"), &json!("failed"))]);
    unready.says("not-ready", "out of focus");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_documented() {
    let server = Server::start(&[]).await;
    let document = server.get("/openapi.json").await.json;
    assert_eq!(document["info"]["title"], "Projectionist");
    let paths = document["paths"].as_object().unwrap();
    let some = [
        "/",
        "/events",
        "/events/{position}",
        "/healthz",
        "/readyz",
        "/projections/{name}/tables/{table}/{key}",
    ];
    for path in some {
        assert!(paths.contains_key(path), "{path}");
    }
    for (path, methods) in paths {
        assert!(!path.contains('*'), "{path}");
        for (method, operation) in methods.as_object().unwrap() {
            let at = format!("{method} {path}");
            for field in ["summary", "description", "operationId"] {
                assert!(
                    operation[field].as_str().is_some_and(|text| !text.is_empty()),
                    "{at} has no {field}"
                );
            }
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(
                    response["description"].as_str().is_some_and(|text| !text.is_empty()),
                    "{at} {status}"
                );
                if status.starts_with(['4', '5']) {
                    assert!(response["content"]["application/problem+json"].is_object(), "{at} {status}");
                }
            }
            let none = Vec::new();
            let parameters = operation["parameters"].as_array().unwrap_or(&none);
            for parameter in parameters {
                assert!(parameter["description"].is_string(), "{at}: {}", parameter["name"]);
            }
            // What is documented is what is taken, and nothing else. The
            // parameters of a query are its author's.
            if !(method == "get" && path.contains("/queries/")) {
                let documented: Vec<&Value> = parameters
                    .iter()
                    .filter(|parameter| parameter["in"] == "query")
                    .map(|parameter| &parameter["name"])
                    .collect();
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                let address = path.replace(['{', '}'], "").replace("/position", "/1");
                let request = server.request(method, &format!("{address}?no-such-parameter=1"));
                let answer =
                    Answer::of(request.header("content-type", "application/json").send().await.unwrap())
                        .await;
                let known = answer.problem("unknown-parameter")["known"].as_array().unwrap();
                assert_eq!(known.iter().collect::<Vec<_>>(), documented, "{at}");
            }
        }
    }
    // Every schema that is referred to is there.
    let text = document.to_string();
    for (start, prefix) in text.match_indices("#/components/schemas/") {
        let name = text[start + prefix.len()..].split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "schema {name}");
    }
}
