//! Schemas of events: registered, checked at every append, counted, inferred.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{collections::BTreeSet, fs};

use projectionist_tests::{Server, history, program};
use serde_json::{Value, json};

/// A version of a schema, as events name it.
const SECOND: &str = "https://example.com/schemas/placed/2";

fn placed(id: &str, data: Value) -> Value {
    json!({ "specversion": "1.0", "id": id, "source": "/shop", "type": "order.placed", "data": data })
}

fn of_second(id: &str, data: Value) -> Value {
    let mut event = placed(id, data);
    event["dataschema"] = SECOND.into();
    event
}

/// Writes a schema into the server's folder.
fn schema(server: &Server, file: &str, schema: &Value) {
    fs::write(server.folder().join(file), schema.to_string()).unwrap();
}

fn totals() -> Value {
    json!({ "type": "object", "required": ["total"], "properties": {"total": {"type": "integer"}} })
}

/// An append that must be refused; gives the problem.
#[track_caller]
fn refused(server: &Server, events: &[Value]) -> Value {
    let head = server.head();
    let body = Value::from(events.to_vec()).to_string();
    let answer = server.client().post("/events", "application/cloudevents-batch+json", body);
    let problem = answer.problem(422);
    assert_eq!(server.head(), head, "nothing of it is appended");
    problem
}

#[test]
fn an_event_that_does_not_fit_is_refused_with_where_and_why() {
    let mut server = Server::start();
    schema(&server, "first.json", &totals());
    server.client().append(&[placed("0", json!("whatever"))]);
    server.run(&["schemas", "register", "order.placed", "first.json"]).ok();
    server.client().append(&[placed("1", json!("not checked yet"))]);
    server.run(&["schemas", "check", "order.placed", "on"]).ok();

    let problem = refused(&server, &[placed("2", json!({"total": 5})), placed("3", json!({"total": "5"}))]);
    assert_eq!(problem["type"], "/problems/schema-mismatch");
    assert_eq!((&problem["event"], &problem["path"]), (&json!(1), &json!("/data/total")), "{problem}");
    assert_eq!(problem["reason"], "\"5\" is not of type \"integer\"");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("event 1 of the batch") && detail.contains("/data/total"), "{detail}");

    let problem = refused(&server, &[of_second("2", json!({"total": 5}))]);
    assert_eq!(problem["path"], "/dataschema", "{problem}");
    schema(&server, "second.json", &json!({"type": "object", "required": ["sum"]}));
    server.run(&["schemas", "register", "order.placed", "second.json", "--dataschema", SECOND]).ok();
    server.client().append(&[of_second("2", json!({"sum": 5})), placed("3", json!({"total": 3}))]);

    // It is all there after a kill, and what is there already can be appended again.
    server.kill();
    server.restart();
    refused(&server, &[placed("4", json!({"total": "5"}))]);
    refused(&server, &[of_second("4", json!({"total": 5}))]);
    server.client().append(&[placed("0", json!("whatever")), placed("3", json!({"total": 3}))]);
    assert_eq!(server.head(), 4);

    let all = server.get("/schemas").ok();
    assert_eq!((&all["counted-to"], &all["position"]), (&json!(4), &json!(4)));
    let versions = &all["types"][0]["versions"];
    let shown = |version: &Value| {
        let at = |event: &str| version[event]["position"].as_u64().unwrap();
        (
            version["dataschema"].as_str().map(str::to_owned),
            version["events"].as_u64(),
            at("first"),
            at("last"),
        )
    };
    assert_eq!(shown(&versions[0]), (None, Some(3), 1, 4));
    assert_eq!(shown(&versions[1]), (Some(SECOND.to_owned()), Some(1), 3, 3));
    let text = server.run(&["schemas"]).ok();
    assert!(text.contains("order.placed") && text.contains("checked") && text.contains(SECOND), "{text}");
    let text = server.run(&["schemas", "order.placed"]).ok();
    assert!(text.contains("\"total\"") && text.contains("\"sum\""), "{text}");
    let address = "/schemas/order.placed/schema?dataschema=https%3A%2F%2Fexample.com%2Fschemas%2Fplaced%2F2";
    let document = server.get(address);
    assert_eq!(document.header("content-type"), Some("application/schema+json"));
    assert_eq!(document.ok()["required"], json!(["sum"]));
}

#[test]
fn a_schema_stays_as_it_is_once_events_rely_on_it() {
    let server = Server::start();
    schema(&server, "first.json", &totals());
    schema(&server, "other.json", &json!({"type": "object"}));
    let register = |file: &str| server.run(&["schemas", "register", "order.placed", file, "--check"]);
    assert!(register("other.json").ok().contains("is registered"));
    assert!(register("first.json").ok().contains("takes the place"));
    server.run(&["schemas", "remove", "order.placed"]).ok();
    register("first.json").ok();
    server.client().append(&[placed("1", json!({"total": 1}))]);
    assert!(register("first.json").ok().contains("before"));
    for ended in [register("other.json"), server.run(&["schemas", "remove", "order.placed"])] {
        assert_eq!(ended.code, Some(5), "{ended:?}");
        assert!(ended.errors.contains("position 1") && ended.errors.contains("dataschema"), "{ended:?}");
    }
    assert!(server.run(&["schemas", "check", "order.placed", "off"]).ok().contains("need not fit"));
    server.client().append(&[placed("2", json!("anything"))]);
}

/// For each type of a real history: its schema, inferred, takes all of it again.
#[test]
fn schemas_inferred_from_a_history_take_all_of_it() {
    let source = Server::start();
    let history = history::generated(400);
    source.run(&["import", history.file.to_str().unwrap()]).ok();
    let types = source.get("/schemas").ok()["types"].as_array().unwrap().clone();
    assert!(types.len() > 2, "{types:#?}");
    let target = Server::start_with(&["--require-schemas"]);
    for of_type in &types {
        let name = of_type["type"].as_str().unwrap();
        let inferred = source.run(&["schemas", "infer", name]).ok();
        fs::write(target.folder().join("inferred.json"), &inferred).unwrap();
        target.run(&["schemas", "register", name, "inferred.json", "--check"]).ok();
    }
    let imported = target.run(&["import", history.file.to_str().unwrap(), "--json"]).json();
    assert_eq!(imported["new"].as_u64(), Some(source.head()));
    let counted = |server: &Server| -> BTreeSet<(String, u64)> {
        let types = server.get("/schemas").ok()["types"].as_array().unwrap().clone();
        types.iter().map(|one| (one["type"].to_string(), one["events"].as_u64().unwrap())).collect()
    };
    assert_eq!(counted(&target), counted(&source));

    let first = types[0]["type"].as_str().unwrap();
    let mut wrong = placed("wrong", json!([]));
    wrong["type"] = first.into();
    refused(&target, &[wrong]);
    assert_eq!(refused(&target, &[placed("unknown", json!({}))])["path"], "/type");
}

#[test]
fn an_import_ends_at_the_line_that_does_not_fit_also_without_a_server() {
    let mut server = Server::start();
    schema(&server, "first.json", &totals());
    server.run(&["schemas", "register", "order.placed", "first.json", "--check"]).ok();
    let events = [placed("1", json!({"total": 1})), placed("2", json!({"total": 1.5}))];
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    fs::write(server.folder().join("events.ndjson"), lines).unwrap();
    let over_http = server.run(&["import", "events.ndjson"]);
    assert!(server.stop());
    let into_folder = program::run_in(server.folder(), ["import", "events.ndjson", "--data", "data"]);
    for ended in [over_http, into_folder] {
        assert_eq!(ended.code, Some(5), "{ended:?}");
        for part in ["events.ndjson, line 2", "/data/total", "1.5 is not of type \"integer\""] {
            assert!(ended.errors.contains(part), "no {part}: {}", ended.errors);
        }
    }
    let export = program::run_in(server.folder(), ["export", "--data", "data"]).ok();
    assert_eq!(export, "", "nothing of the batch is there");
}

#[test]
fn what_a_reaction_answers_must_fit_as_well() {
    let server = Server::start();
    schema(&server, "none.json", &json!({"required": ["nobody knows"]}));
    server.run(&["schemas", "register", "answered", "none.json", "--check"]).ok();
    server.drop_in("echo");
    let mut asked = placed("1", json!({}));
    (asked["type"], asked["subject"]) = ("asked".into(), "s/1".into());
    server.client().append(&[asked]);
    server.until_status("echo", "has given up", |status| status["position"] == 1);
    let letters = server.get("/reactions/echo/dead-letters").ok()["dead-letters"].clone();
    let reason = letters[0]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("cannot be appended") && reason.contains("nobody knows"), "{letters}");

    // With the check off, it can be tried again.
    server.run(&["schemas", "check", "answered", "off"]).ok();
    server.run(&["dead-letters", "echo", "1", "--retry"]).ok();
    server.until_status("echo", "has answered", |_| server.head() == 2);
}

#[test]
fn mistakes_are_told() {
    let server = Server::start();
    schema(&server, "broken.json", &json!({"type": "strin"}));
    schema(&server, "remote.json", &json!({"$ref": "https://example.com/address.json"}));
    fs::write(server.folder().join("no.json"), "{").unwrap();
    server.client().append(&[of_second("1", json!({"sum": 5}))]);
    for (arguments, code, says) in [
        (&["schemas", "register", "a", "broken.json"][..], 5, "at /type: \"strin\""),
        (&["schemas", "register", "a", "remote.json"], 5, "nothing is ever fetched"),
        (&["schemas", "register", "a", "no.json"], 5, "no JSON"),
        (&["schemas", "register", "a", "missing.json"], 5, "missing.json"),
        (&["schemas", "register", "projectionist.timer.due", "no.json"], 5, "the engine's own"),
        (&["schemas", "check", "a", "on"], 4, "no schema is registered for \"a\""),
        (&["schemas", "remove", "a"], 4, "no schema for events without dataschema is registered"),
        (&["schemas", "a"], 4, "no event of type \"a\""),
        (&["schemas", "infer", "a"], 4, "no event of type a"),
        (&["schemas", "infer", "order.placed", "--dataschema", ""], 4, SECOND),
    ] {
        let ended = server.run(arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
        assert!(ended.errors.contains(says), "{arguments:?}: {}", ended.errors);
    }
    let text = server.client().send("PUT", "/schemas/a/schema", &[("content-type", "text/plain")], b"true");
    text.unwrap().problem(415);
    let body = server.client().send("PATCH", "/schemas/a", &[], b"{}").unwrap();
    body.problem(400);
}
