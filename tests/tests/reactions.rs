//! Reactions: each event is answered once, in the order of its lane, whatever fails.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{collections::BTreeMap, thread, time::Duration};

use projectionist_tests::{Random, Server, components};
use serde_json::{Value, json};

/// Failures are soon over.
const HASTY: &str = "[retries]\nfirst = \"5ms\"\nmost = \"50ms\"\nattempts = 6\n";

fn asked(id: u64, subject: &str, data: Value) -> Value {
    json!({ "specversion": "1.0", "id": format!("asked-{id}"), "source": "/test", "type": "asked",
            "subject": subject, "data": data })
}

/// All answers, in the order of the log.
fn answers(server: &Server) -> Vec<Value> {
    let lines = server.client().get_with("/events?type=answered", &[("accept", "application/x-ndjson")]);
    assert_eq!(lines.status, 200, "{lines:?}");
    lines.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Whom the answers are for.
fn answered(server: &Server) -> Vec<String> {
    answers(server).iter().map(|answer| answer["data"]["to"].as_str().unwrap().to_owned()).collect()
}

/// Waits until a reaction has handled all that is there, and what it made of it.
fn settle(server: &Server, name: &str) -> Value {
    loop {
        let head = server.head();
        let status = server.until_live(name);
        // Its answers may have come behind what it was asked for.
        if server.head() == head {
            return status;
        }
    }
}

#[test]
fn each_event_is_answered_once_whatever_is_killed_whenever() {
    const EVENTS: u64 = 4_000;
    const KILLS: u64 = 8;
    let mut random = Random::printed();
    let mut server = Server::stopped();
    server.configure("echo", HASTY);
    server.drop_in("echo");
    server.restart();
    let mut next = 1;
    for kill in 1..=KILLS {
        let batch: Vec<Value> = (0..EVENTS / KILLS)
            .map(|_| {
                let id = next;
                next += 1;
                let data = if id % 50 == 0 { json!({ "failures": 2 }) } else { json!({}) };
                asked(id, &format!("subject-{}", random.below(40)), data)
            })
            .collect();
        server.client().append(&batch);
        if kill % 3 == 0 {
            let other = components::remarked(&components::bytes("echo"), &kill.to_string());
            components::put(&server.plugin_file("echo"), &other);
        }
        let pause = Duration::from_millis(random.below(250));
        thread::sleep(pause);
        server.kill();
        println!("kill {kill} after {pause:?}");
        server.restart();
    }
    settle(&server, "echo");

    let mut numbers: BTreeMap<String, u64> = BTreeMap::new();
    for answer in answers(&server) {
        let number = numbers.entry(answer["subject"].as_str().unwrap().to_owned()).or_default();
        *number += 1;
        assert_eq!(answer["data"]["number"], *number, "out of order: {answer}");
        assert_eq!(answer["causationid"], answer["data"]["to"], "{answer}");
        assert_eq!(answer["correlationid"], answer["data"]["to"], "{answer}");
        assert_eq!(answer["source"], "/reactions/echo");
    }
    let mut ids = answered(&server);
    ids.sort();
    let mut expected: Vec<String> = (1..=EVENTS).map(|id| format!("asked-{id}")).collect();
    expected.sort();
    assert_eq!(ids, expected);
    let total = server.get("/projections/echo/tables/total/all").ok();
    assert_eq!(total["value"], EVENTS, "changed by events of all lanes, once for each");
    for (subject, number) in numbers {
        let row = server.get(&format!("/projections/echo/tables/answered/{subject}")).ok();
        assert_eq!(row["value"], number, "{subject}");
    }
}

#[test]
fn what_can_never_be_handled_becomes_a_dead_letter_and_its_neighbours_pass() {
    let server = Server::start();
    server.configure("echo", HASTY);
    server.drop_in("echo");
    server.client().append(&[
        asked(1, "a", json!({ "never": "the address is none" })),
        asked(2, "a", json!({})),
        asked(3, "b", json!({ "never": "panic" })),
        asked(4, "b", json!({ "failures": 3 })),
        asked(5, "b", json!("nothing that it reads")),
        asked(6, "b", json!({})),
    ]);
    let status = settle(&server, "echo");
    assert_eq!((&status["kind"], &status["health"]), (&json!("reaction"), &json!("ok")), "{status}");
    let mut passed = answered(&server);
    passed.sort();
    assert_eq!(passed, ["asked-2", "asked-4", "asked-6"]);
    let letters = server.get("/projections/echo/dead-letters").ok();
    let letters = letters["dead-letters"].as_array().unwrap().clone();
    let of =
        |index: usize| (letters[index]["id"].as_str().unwrap(), letters[index]["reason"].as_str().unwrap());
    assert_eq!(letters.len(), 3, "{letters:?}");
    assert_eq!(of(0), ("asked-1", "the address is none"));
    let (id, reason) = of(1);
    assert!(id == "asked-3" && reason.contains("as asked for") && reason.contains("6 attempts"), "{reason}");
    let (id, reason) = of(2);
    assert!(id == "asked-5" && reason.contains("expected"), "{reason}");
}

#[test]
fn who_waits_to_be_tried_again_holds_up_its_own_lane_only() {
    let mut server = Server::start();
    server.configure("echo", "[retries]\nfirst = \"1h\"\nmost = \"1h\"\n");
    server.drop_in("echo");
    server.client().append(&[
        asked(1, "a", json!({ "failures": 1 })),
        asked(2, "a", json!({})),
        asked(3, "b", json!({})),
    ]);
    let until_answered = |server: &Server, ids: &[&str]| {
        projectionist_tests::wait::until_true("the others are answered", || answered(server) == ids);
    };
    until_answered(&server, &["asked-3"]);
    // It waits on over a restart.
    server.kill();
    server.restart();
    server.client().append(&[asked(4, "a", json!({})), asked(5, "c", json!({}))]);
    until_answered(&server, &["asked-3", "asked-5"]);
    // Other settings are not another version; what is waited for stays as it was decided.
    let status = server.until_status("echo", "is at work", |status| status["health"] == "ok");
    assert_eq!(status["position"], 0, "the first event is not handled: {status}");
}

#[test]
fn a_name_keeps_its_kind_and_what_a_purge_leaves_is_nothing() {
    let server = Server::start();
    server.drop_in("echo");
    server.client().append(&[asked(1, "a", json!({}))]);
    settle(&server, "echo");
    components::put(&server.plugin_file("echo"), &components::bytes("meter"));
    let status = server.until_status("echo", "has a failed version", |status| {
        status["versions"]
            .as_array()
            .is_some_and(|versions| versions.iter().any(|v| v["station"] == "failed"))
    });
    let failed = status["versions"].as_array().unwrap().iter().find(|v| v["station"] == "failed").unwrap();
    assert!(failed["reason"].as_str().unwrap().contains("is a reaction"), "{failed}");
    assert_eq!((&status["kind"], &status["health"]), (&json!("reaction"), &json!("ok")));

    std::fs::remove_file(server.plugin_file("echo")).unwrap();
    server.until_health("echo", "retired");
    server.run(&["purge", "echo"]).ok();
    assert!(!server.data().join("state/echo").exists());
    // All of history again, but what it leads to is there already.
    server.drop_in("echo");
    settle(&server, "echo");
    assert_eq!(answered(&server), ["asked-1"]);
}
