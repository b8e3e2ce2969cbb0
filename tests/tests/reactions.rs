//! Reactions: each event is answered once, in the order of its lane, whatever fails.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use projectionist_tests::{Random, Server, components, wait};
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
    let letters = dead_letters(&server);
    let of = |index: usize| {
        let letter = &letters[index];
        (letter["id"].as_str().unwrap(), &letter["attempts"], letter["reason"].as_str().unwrap())
    };
    assert_eq!(letters.len(), 3, "{letters:?}");
    assert_eq!(of(0), ("asked-1", &json!(1), "the address is none"));
    let (id, attempts, reason) = of(1);
    assert!(id == "asked-3" && attempts == 6 && reason.contains("as asked for"), "{letters:?}");
    let (id, attempts, reason) = of(2);
    assert!(id == "asked-5" && attempts == 1 && reason.contains("expected"), "{letters:?}");
    let status = server.get("/reactions/echo").ok();
    let counts =
        json!({ "handled": 3, "appended": 3, "failures": 9, "given-up": 3, "late": 0, "refused-timers": 0 });
    assert_eq!(status["since-start"], counts, "{status}");
    assert_eq!(
        (&status["dead-letters"], &status["waiting"], &status["lag"]),
        (&json!(3), &json!(0), &json!(0))
    );
}

#[track_caller]
fn dead_letters(server: &Server) -> Vec<Value> {
    server.get("/reactions/echo/dead-letters").ok()["dead-letters"].as_array().unwrap().clone()
}

#[test]
fn dead_letters_are_looked_at_tried_again_and_dropped() {
    let mut server = Server::start();
    // With one lane there is one instance, and it remembers what has failed before.
    server.configure("echo", "[policies]\nlanes = 1\n[retries]\nattempts = 1\n");
    server.drop_in("echo");
    let all: Vec<Value> =
        (1..=6).map(|id| asked(id, &format!("subject-{}", id % 2), json!({ "failures": 1 }))).collect();
    server.client().append(&all);
    settle(&server, "echo");
    assert_eq!(dead_letters(&server).len(), 6);
    let letter = server.get("/reactions/echo/dead-letters/2").ok();
    assert_eq!(
        (&letter["event"]["id"], &letter["reason"]),
        (&json!("asked-2"), &json!("not yet")),
        "{letter}"
    );

    // It has failed before, so now it is answered.
    let one = server.run(&["dead-letters", "echo", "2", "--retry", "--json"]).json();
    assert_eq!(one, json!({ "count": 1 }));
    let until = |server: &Server, count: usize| {
        wait::until_true("so many are answered", || answered(server).len() == count);
    };
    until(&server, 1);
    assert_eq!(answered(&server), ["asked-2"]);
    server.run(&["dead-letters", "echo", "4", "--drop"]).ok();
    server.run(&["dead-letters", "echo", "--retry", "--all"]).ok();
    until(&server, 5);
    wait::until_true("none is left", || dead_letters(&server).is_empty());
    let mut ids = answered(&server);
    ids.sort();
    assert_eq!(ids, ["asked-1", "asked-2", "asked-3", "asked-5", "asked-6"]);
    for (arguments, code) in [
        (&["dead-letters", "echo", "4", "--retry"][..], 4),
        (&["dead-letters", "echo", "--retry"], 2),
        (&["dead-letters", "nobody"], 4),
    ] {
        let ended = server.run(arguments);
        assert_eq!(ended.code, Some(code), "{ended:#?}");
    }

    // What is to be tried again is so over a restart.
    server.client().append(&[asked(7, "subject-7", json!({ "failures": 1 }))]);
    wait::until_true("it is given up", || dead_letters(&server).len() == 1);
    server.kill();
    server.configure("echo", "[policies]\nlanes = 7\n[retries]\nfirst = \"1h\"\nmost = \"1h\"\n");
    server.restart();
    wait::until_true("the settings are noticed", || {
        let status = server.get("/reactions/echo");
        status.status == 200 && status.ok()["lanes"] == 7
    });
    server.run(&["dead-letters", "echo", "--retry", "--all"]).ok();
    wait::until_true("it waits", || server.get("/reactions/echo").ok()["waiting"] == 1);
    server.kill();
    server.restart();
    let status = server.get("/reactions").ok()["reactions"][0].clone();
    assert_eq!(
        (&status["name"], &status["waiting"], &status["dead-letters"]),
        (&json!("echo"), &json!(1), &json!(0))
    );
    assert_eq!(status["next"][0]["reason"], "not yet", "{status}");
}

#[test]
fn a_reaction_whose_events_all_fail_begins_no_new_ones_until_one_succeeds() {
    const EVENTS: u64 = 300;
    let server = Server::start();
    server.configure("echo", "[retries]\nfirst = \"2s\"\nmost = \"2s\"\n");
    server.drop_in("echo");
    let all: Vec<Value> =
        (0..EVENTS).map(|id| asked(id, &format!("subject-{id}"), json!({ "failures": 1 }))).collect();
    server.client().append(&all);
    let paused = server.until_health("echo", "paused");
    assert!(paused["reason"].as_str().unwrap().contains("not yet"), "{paused}");
    let status = server.get("/reactions/echo").ok();
    assert!(status["since-start"]["failures"].as_u64().unwrap() < EVENTS, "{status}");
    assert_eq!(server.get("/readyz").status, 503);
    // Those that are tried again succeed, and with them the others have their turn.
    settle(&server, "echo");
    assert_eq!(answered(&server).len() as u64, EVENTS);
}

#[test]
fn dead_letters_that_are_tried_again_let_a_paused_reaction_go_on() {
    const REJECTED: u64 = 55;
    let server = Server::start();
    server.configure("echo", HASTY);
    server.drop_in("echo");
    let reject = |id: u64| asked(id, &format!("subject-{id}"), json!({ "never": "reject" }));
    server.client().append(&(1..=REJECTED).map(reject).collect::<Vec<_>>());
    server.until_health("echo", "paused");
    // One is begun although all fail, and fails as well; these wait behind it.
    wait::until_true("the pause is felt", || dead_letters(&server).len() > 50);
    server
        .client()
        .append(&(101..=105).map(|id| asked(id, &format!("good-{id}"), json!({}))).collect::<Vec<_>>());
    server.run(&["dead-letters", "echo", "--retry", "--all"]).ok();
    wait::until_true("the good ones are answered", || answered(&server).len() == 5);
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
        wait::until_true("the others are answered", || answered(server) == ids);
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
fn lanes_go_by_what_the_reaction_says() {
    let server = Server::start();
    server.configure("echo", "[retries]\nfirst = \"1h\"\nmost = \"1h\"\n");
    server.drop_in("echo");
    server.client().append(&[
        asked(1, "house/1", json!({ "failures": 1 })),
        asked(2, "house/2", json!({})),
        asked(3, "garden/1", json!({})),
    ]);
    wait::until_true("the other lane is answered", || answered(&server) == ["asked-3"]);
    server.until_status("echo", "is at work", |status| status["health"] == "ok");
    let status = server.get("/reactions/echo").ok();
    assert_eq!((&status["waiting"], &status["backlog"]), (&json!(1), &json!(2)), "{status}");
    assert_eq!(answered(&server), ["asked-3"]);
}

#[test]
fn a_dead_letter_holds_up_its_lane_if_it_is_to() {
    let mut server = Server::start();
    server.configure("echo", "[policies]\non-failure = \"hold-lane\"\nlanes = 1\n[retries]\nattempts = 1\n");
    server.drop_in("echo");
    server.client().append(&[
        asked(1, "a", json!({ "failures": 1 })),
        asked(2, "a", json!({})),
        asked(3, "b", json!({})),
        asked(4, "c", json!({ "never": "reject" })),
        asked(5, "c", json!({})),
    ]);
    wait::until_true("the free lane is answered", || answered(&server) == ["asked-3"]);
    wait::until_true("two are given up", || dead_letters(&server).len() == 2);
    server.kill();
    server.restart();
    server.until_status("echo", "is at work", |status| status["health"] == "ok");
    server.client().append(&[asked(6, "b", json!({}))]);
    wait::until_true("the free lane goes on", || answered(&server) == ["asked-3", "asked-6"]);
    // Another instance has not failed before, so it fails once more.
    server.run(&["dead-letters", "echo", "1", "--retry"]).ok();
    wait::until_true("it is given up again", || dead_letters(&server).len() == 2);
    assert_eq!(answered(&server).len(), 2);
    server.run(&["dead-letters", "echo", "1", "--retry"]).ok();
    wait::until_true("it is answered, and who waited", || answered(&server).len() == 4);
    assert_eq!(answered(&server)[2..], ["asked-1", "asked-2"]);
    server.run(&["dead-letters", "echo", "4", "--drop"]).ok();
    wait::until_true("who waited is answered", || answered(&server).len() == 5);
    let status = settle(&server, "echo");
    assert_eq!((&status["lag"], dead_letters(&server).len()), (&json!(0), 0), "{status}");
}

#[test]
fn what_happened_too_long_ago_is_not_acted_upon() {
    let server = Server::start();
    server.configure("echo", "[policies]\nlate-after = \"10m\"\n");
    server.drop_in("echo");
    let mut old = asked(1, "a", json!({}));
    old["time"] = "2020-01-01T00:00:00Z".into();
    server.client().append(&[old, asked(2, "a", json!({}))]);
    settle(&server, "echo");
    wait::until_true("the other is answered", || answered(&server) == ["asked-2"]);
    let status = server.get("/reactions/echo").ok();
    assert_eq!((&status["since-start"]["late"], &status["late"]), (&json!(1), &json!(1)), "{status}");
}

/// What waited and is overdue when the program starts again runs once, and those behind
/// it after it, each once.
#[test]
#[expect(clippy::disallowed_methods, reason = "the reaction compares with the clock")]
fn what_is_overdue_after_a_restart_is_handled_once() {
    let mut server = Server::start();
    server.configure("echo", "[retries]\nfirst = \"600ms\"\nmost = \"600ms\"\njitter = 0.0\n");
    server.drop_in("echo");
    server.client().append(&[asked(0, "a", json!({}))]);
    settle(&server, "echo");
    let told = |id: u64, data: Value| {
        let mut event = asked(id, "b", data);
        event["type"] = "told".into();
        event
    };
    let due = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_millis(500);
    server.client().append(&[
        told(1, json!({ "not_before": due.as_millis() })),
        told(2, json!({})),
        told(3, json!({})),
    ]);
    wait::until_true("it waits", || server.get("/reactions/echo").ok()["waiting"] == 1);
    server.kill();
    // Longer than until it may be heard, and until it is to be tried again.
    thread::sleep(Duration::from_millis(800));
    server.restart();
    let heard = || -> Vec<Value> {
        let page = server.get("/events?type=heard").ok();
        page["events"].as_array().unwrap().iter().map(|event| event["data"]["from"].clone()).collect()
    };
    wait::until_true("all are heard", || heard().len() == 3);
    assert_eq!(heard(), ["asked-1", "asked-2", "asked-3"]);
    settle(&server, "echo");
    let status = server.get("/reactions/echo").ok();
    assert_eq!((&status["backlog"], &status["lag"]), (&json!(0), &json!(0)), "{status}");
    assert_eq!(status["since-start"]["handled"], 3, "{status}");
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
