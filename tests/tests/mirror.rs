//! A candidate on trial is asked what readers ask, and nobody notices.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use projectionist_tests::{Server, components, wait::until};
use serde_json::{Value, json};

const JSON: &str = "application/json";
const MIRROR: &str = "/projections/churn/mirror";

fn event(id: &str, kind: &str, subject: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/test", "type": format!("git.file.{kind}"), "subject": subject,
        "data": {"author": "me"},
    })
}

/// A server with the old churn live and the mended one on trial, which differ in `moved`.
fn with_candidate() -> (Server, String) {
    let server = Server::start();
    server.client().append(&[event("1", "added", "kept"), event("2", "renamed", "moved")]);
    components::put(&server.plugin_file("churn"), &components::bytes("old-churn"));
    server.until_live("churn");
    let version = deploy(&server);
    (server, version)
}

/// Puts the mended churn on trial, and waits until it is.
fn deploy(server: &Server) -> String {
    let mended = components::path("churn");
    server.run(&["deploy", mended.to_str().unwrap(), "--hold"]).ok();
    let is_on_trial = |version: &&Value| version["held"] == true && version["state"]["phase"] == "live";
    until("the candidate has caught up", || {
        let status = server.status("churn")?;
        let version = status["versions"].as_array()?.iter().find(is_on_trial)?.clone();
        Some(version["digest"].as_str()?.to_owned())
    })
}

/// What has come of the mirror, once so many reads have been taken in.
fn until_asked(server: &Server, count: u64) -> Value {
    until("all reads have been compared", || {
        let status = server.get(MIRROR).ok();
        let sum = |names: &[&str]| names.iter().map(|name| status[*name].as_u64().unwrap()).sum::<u64>();
        (sum(&["asked", "not-comparable", "not-asked"]) == count).then_some(status)
    })
}

#[test]
fn what_readers_ask_is_asked_of_the_candidate_as_well() {
    let (server, version) = with_candidate();
    assert!(server.get(MIRROR).problem(404)["detail"].as_str().unwrap().contains("no reads of \"churn\""));
    let begun = server.run(&["mirror", "churn", "--share", "1"]);
    assert_eq!(begun.code, Some(0), "{begun:#?}");

    let read = |path: &str| server.get(&format!("/projections/churn/{path}"));
    let before = read("tables/files/kept");
    assert_eq!(before.ok()["value"]["changes"], 1);
    // Only the candidate has it.
    read("tables/files/moved").problem(404);
    assert_eq!(read("tables/files").ok()["rows"].as_array().unwrap().len(), 1);
    assert_eq!(read("queries/hottest?limit=1").ok().as_array().unwrap().len(), 1);
    let post =
        |body: Value| server.client().post("/projections/churn/queries/hottest", JSON, body.to_string()).ok();
    assert_eq!(post(json!({"limit": 0})), json!([]));
    // A read that is no read is none for the candidate either.
    read("tables/none").problem(404);

    let status = until_asked(&server, 5);
    assert_eq!(status["candidate"], version);
    let counts = ["asked", "same", "different", "failed", "not-comparable", "not-asked"];
    // The row and the empty query are the same; which of the two files is the hottest is not.
    assert_eq!(
        counts.map(|name| &status[name]),
        [5, 2, 3, 0, 0, 0].map(|count| json!(count)).each_ref(),
        "{status}"
    );
    let differences = status["differences"].as_array().unwrap();
    assert_eq!(differences.len(), 3);
    let moved =
        differences.iter().find(|one| one["request"] == "/projections/churn/tables/files/moved").unwrap();
    assert_eq!((&moved["live"], &moved["position"]), (&json!("null"), &json!(2)));
    assert!(moved["candidate"].as_str().unwrap().contains("\"changes\":1"), "{moved}");

    let shown = server.run(&["mirror", "churn"]);
    assert_eq!(shown.code, Some(1), "{shown:#?}");
    assert!(shown.output.contains("5 compared: 2 same, 3 different, 0 failed"), "{shown:#?}");
    assert!(shown.output.contains("/projections/churn/tables/files/moved"), "{shown:#?}");

    // Reads behind new events are compared as well, once both have folded them.
    let position = server.client().append(&[event("3", "modified", "kept")]);
    let again = read(&format!("tables/files/kept?at-least={position}"));
    assert_eq!(again.ok()["value"]["changes"], 2);
    until_asked(&server, 6);

    // It is forgotten when it is told to be.
    server.run(&["mirror", "churn", "--stop"]).ok();
    server.get(MIRROR).problem(404);
    assert_eq!(server.run(&["mirror", "churn"]).code, Some(4));
}

/// The candidate stands where the log ends: what it would answer is no answer to what was.
#[test]
fn looking_back_is_no_read_of_the_live_state() {
    let (server, _) = with_candidate();
    server.run(&["mirror", "churn", "--share", "1"]).ok();
    let read = |path: &str| server.get(&format!("/projections/churn/{path}"));
    assert_eq!(read("tables/files/kept?at=1").ok()["value"]["changes"], 1);
    read("tables/files/moved?at=1").problem(404);
    assert_eq!(read("tables/files?at=1").ok()["rows"].as_array().unwrap().len(), 1);
    assert_eq!(read("queries/hottest?limit=1&at=1").ok().as_array().unwrap().len(), 1);
    let path = "/projections/churn/queries/hottest?at=1";
    server.client().post(path, JSON, json!({"limit": 1}).to_string()).ok();
    // This one is, and what was asked before it would have been counted by now.
    assert_eq!(read("tables/files/kept").ok()["value"]["changes"], 1);
    let status = until_asked(&server, 1);
    assert_eq!((&status["same"], &status["not-comparable"]), (&json!(1), &json!(0)), "{status}");
}

#[test]
fn a_mirror_ends_with_its_candidate() {
    let (server, version) = with_candidate();
    let begin = |body: Value| {
        server.client().send("PUT", MIRROR, &[("content-type", JSON)], body.to_string().as_bytes()).unwrap()
    };
    begin(json!({"share": 0.5, "candidate": &version[..8]})).ok();
    server.run(&["abort", "churn", "--yes"]).ok();
    server.get(MIRROR).problem(404);
    // A later candidate is another one.
    deploy(&server);
    server.get(MIRROR).problem(404);
    begin(json!({"share": 1})).ok();
    server.run(&["promote", "churn", "--yes"]).ok();
    server.get(MIRROR).problem(404);

    let said = |body: Value, status: u16| begin(body).problem(status)["detail"].as_str().unwrap().to_owned();
    assert!(said(json!({"share": 1}), 404).contains("no version that is candidate"));
    assert!(said(json!({"share": 1, "candidate": version}), 409).contains("is live: only candidates"));
    assert!(said(json!({"share": 0}), 400).contains("above 0"));
    assert!(said(json!({"share": 2}), 400).contains("1 at most"));
    assert!(said(json!({}), 400).contains("missing field `share`"));
    assert!(said(json!({"share": 1, "of": "all"}), 400).contains("unknown field `of`"));
}
