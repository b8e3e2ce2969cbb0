//! State over HTTP: freshness, conditional requests, keys, pages, feeds, errors.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{thread, time::Duration};

use projectionist_tests::{Server, wait};
use serde_json::{Value, json};

fn event(id: &str, event_type: &str, subject: &str) -> Value {
    json!({ "specversion": "1.0", "id": id, "source": "/test", "type": event_type, "subject": subject })
}

/// A server whose meter has folded a few events.
fn metered(events: u64) -> Server {
    let server = Server::start();
    server.drop_in("meter");
    let events: Vec<Value> = (1..=events)
        .map(|n| event(&n.to_string(), ["even", "odd"][n as usize % 2], &format!("s/{n}")))
        .collect();
    server.client().append(&events);
    server.until_live("meter");
    server
}

#[test]
fn reads_wait_for_the_position_of_a_write() {
    let server = metered(1);
    for number in 2..200_u64 {
        let position = server.client().append(&[event(&number.to_string(), "more", "x")]);
        let answer =
            server.get(&format!("/projections/meter/queries/reading?at-least={position}&timeout=20s"));
        let reached: u64 = answer.header("projectionist-position").expect("a position").parse().unwrap();
        assert!(reached >= position);
        assert!(answer.ok()["total"].as_u64() >= Some(position));
        let row =
            server.get(&format!("/projections/meter/tables/totals/all?at-least={position}&timeout=20s")).ok();
        assert!(row["value"].as_u64() >= Some(position), "{row}");
    }
    let late = server.get("/projections/meter/queries/reading?at-least=1000&timeout=100ms").problem(504);
    assert!(late["detail"].as_str().unwrap().contains("1000"), "{late}");
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let server = metered(3);
    for path in [
        "/projections/meter/tables/totals",
        "/projections/meter/tables/totals/all",
        "/projections/meter/queries/reading",
        "/events",
        "/events/1",
    ] {
        let first = server.get(path);
        first.ok();
        let tag = first.header("etag").unwrap_or_else(|| panic!("no ETag: {path}")).to_owned();
        let again = server.client().get_with(path, &[("if-none-match", &tag)]);
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
    }
    let path = "/projections/meter/tables/totals/all";
    let tag = server.get(path).header("etag").unwrap().to_owned();
    let position = server.client().append(&[event("new", "even", "x")]);
    let path = format!("{path}?at-least={position}&timeout=20s");
    assert_eq!(server.client().get_with(&path, &[("if-none-match", &tag)]).status, 200);
}

#[test]
fn keys_of_several_parts_and_of_odd_characters() {
    let server = metered(6);
    let row = server.get("/projections/meter/tables/events/odd/3").ok();
    assert_eq!((&row["key"], &row["value"]), (&json!(["odd", 3]), &json!("s/3")));
    server.get("/projections/meter/tables/events/odd/4").problem(404);

    let odd = "a/b ü?&%2F#'\"";
    let position = server.client().append(&[event("odd", odd, "found")]);
    let path = format!("/projections/meter/tables/totals/{}?at-least={position}", encoded(odd));
    assert_eq!(server.get(&path).ok()["key"], odd);
    let path = format!("/projections/meter/tables/events/{}/{position}", encoded(odd));
    assert_eq!(server.get(&path).ok()["value"], "found");

    let prefixed = server.get("/projections/meter/tables/events?prefix=even").ok();
    let keys: Vec<&Value> = prefixed["rows"].as_array().unwrap().iter().map(|row| &row["key"]).collect();
    assert_eq!(keys, [&json!(["even", 2]), &json!(["even", 4]), &json!(["even", 6])]);
}

/// Percent-encodes all but the plainest characters.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[test]
fn pages_put_together_are_the_whole_table_in_both_directions() {
    let server = metered(500);
    for reverse in [false, true] {
        let base = format!("/projections/meter/tables/events?limit=37&reverse={reverse}");
        let mut keys: Vec<Value> = Vec::new();
        let mut path = base.clone();
        loop {
            let page = server.get(&path).ok();
            keys.extend(page["rows"].as_array().unwrap().iter().map(|row| row["key"].clone()));
            match page["next"].as_str() {
                Some(next) => path = format!("{base}&cursor={}", encoded(next)),
                None => break,
            }
        }
        let mut expected: Vec<(&str, u64)> =
            (1..=500).map(|n| (["even", "odd"][n as usize % 2], n)).collect();
        expected.sort();
        if reverse {
            expected.reverse();
        }
        assert_eq!(keys, expected.iter().map(|key| json!(key)).collect::<Vec<_>>(), "reverse: {reverse}");
    }
}

#[test]
fn every_error_is_a_problem_document() {
    let server = metered(1);
    for (path, status) in [
        ("/nowhere", 404),
        ("/events/0", 404),
        ("/events/99", 404),
        ("/events/x", 400),
        ("/events?limit=0", 400),
        ("/events?typ=x", 400),
        ("/events?from=x", 400),
        ("/projections/none", 404),
        ("/projections/none/tables/totals", 404),
        ("/projections/meter/tables/none", 404),
        ("/projections/meter/tables/totals/none", 404),
        ("/projections/meter/tables/events/even", 400),
        ("/projections/meter/tables/events/even/x", 400),
        ("/projections/meter/tables/totals?cursor=nonsense", 400),
        ("/projections/meter/tables/totals?limit=x", 400),
        ("/projections/meter/queries/none", 404),
        ("/projections/meter/queries/reading?what=1", 400),
        ("/projections/meter/queries/reading?at-least=x", 400),
    ] {
        println!("{path}");
        server.get(path).problem(status);
    }
    let post = |media_type, body: &str| server.client().post("/events", media_type, body);
    post("application/cloudevents+json", "{").problem(400);
    post("application/cloudevents+json", "{}").problem(400);
    post("application/cloudevents-batch+json", "[{\"specversion\":\"0.3\"}]").problem(400);
    post("application/json", "[]").problem(400);
    post("application/json", "{\"events\":[]}").problem(400);
    post("text/plain", "hello").problem(415);
    let mut large = event("large", "large", "x");
    large["data"] = "x".repeat((1 << 20) + 1).into();
    post("application/cloudevents+json", &large.to_string()).problem(413);
    server.client().send("DELETE", "/events", &[], &[]).unwrap().problem(405);
    assert_eq!(server.head(), 1);
}

#[test]
fn events_come_in_in_all_forms() {
    let server = Server::start();
    let client = server.client();
    let one = event("structured", "t", "s").to_string();
    assert_eq!(client.post("/events", "application/cloudevents+json", one).status, 201);
    client.append(&[event("batched-1", "t", "s"), event("batched-2", "t", "s")]);
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "binary"),
        ("ce-source", "/test"),
        ("ce-type", "t"),
        ("ce-subject", "s"),
        ("ce-correlationid", "c"),
        ("content-type", "application/octet-stream"),
    ];
    assert_eq!(client.send("POST", "/events", &headers, &[0, 1, 255]).unwrap().status, 201);
    let own = json!({ "events": [event("own", "t", "s")] }).to_string();
    assert_eq!(client.post("/events", "application/json", own).status, 201);
    let lines = format!("{}\n{}\n", event("line-1", "t", "s"), event("line-2", "t", "s"));
    assert_eq!(client.post("/events", "application/x-ndjson", lines).status, 201);

    let all = server.get("/events?subject=s").ok();
    let events = all["events"].as_array().unwrap();
    let ids: Vec<_> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["structured", "batched-1", "batched-2", "binary", "own", "line-1", "line-2"]);
    for (index, event) in events.iter().enumerate() {
        assert_eq!((&event["position"], &event["version"]), (&json!(index + 1), &json!(index + 1)));
    }
    assert_eq!((&events[3]["data_base64"], &events[3]["correlationid"]), (&json!("AAH/"), &json!("c")));
}

#[test]
fn the_log_can_be_followed() {
    let server = metered(3);
    let lines = server.client().follow("/events?from=2&to=5", "text/event-stream");
    let reader = thread::spawn(move || {
        let ids = lines.filter_map(|line| line.strip_prefix("id:").map(|id| id.trim().to_owned()));
        ids.take(4).collect::<Vec<_>>()
    });
    // Later than the reader has begun to wait, or not: it must not matter.
    thread::sleep(Duration::from_millis(50));
    server.client().append(&[event("a", "t", "s"), event("b", "t", "s"), event("c", "t", "s")]);
    assert_eq!(reader.join().unwrap(), ["2", "3", "4", "5"]);
    let lines = server.client().get_with("/events?type=t&limit=2", &[("accept", "application/x-ndjson")]);
    assert_eq!(lines.body.lines().count(), 2);
}

#[test]
fn health_readiness_and_the_interface_s_description() {
    let server = metered(1);
    assert_eq!(server.get("/healthz").status, 200);
    wait::until_true("it is ready", || server.get("/readyz").status == 200);
    let document = server.get("/openapi.json").ok();
    for path in [
        "/events",
        "/projections",
        "/projections/{name}",
        "/projections/{name}/tables/{table}",
        "/projections/{name}/queries/{query}",
        "/healthz",
        "/readyz",
    ] {
        assert!(document["paths"][path].is_object(), "{path} is not described");
    }
    let queries = server.client().post("/projections/meter/queries/reading", "application/json", "{}").ok();
    assert_eq!(queries["total"], 1);
}
