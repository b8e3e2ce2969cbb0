//! Appends under a condition: of many that exclude each other, one succeeds.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{sync::Barrier, thread};

use projectionist_tests::{Answer, Server};
use serde_json::{Value, json};

const CLIENTS: usize = 64;

/// Sends as many appends at the same moment as there are clients.
fn race(server: &Server, append: impl Fn(usize) -> Value + Sync) -> Vec<Answer> {
    let barrier = Barrier::new(CLIENTS);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (append, barrier) = (&append, &barrier);
                let client = server.client().clone();
                scope.spawn(move || {
                    let body = append(number).to_string();
                    barrier.wait();
                    client.post("/events", "application/json", body)
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("a client that does not panic")).collect()
    })
}

fn sign_up(number: usize) -> Value {
    json!({
        "specversion": "1.0", "id": format!("sign-up-{number}"), "source": "/accounts",
        "type": "user.signed-up", "subject": format!("user/{number}"), "tags": "email:a@b.c",
        "data": { "email": "a@b.c" },
    })
}

#[test]
fn of_64_sign_ups_with_one_address_one_succeeds() {
    let server = Server::start();
    let answers = race(&server, |number| {
        json!({
            "events": [sign_up(number)],
            "condition": { "fail-if-exists": [{ "types": ["user.signed-up"], "tags": ["email:a@b.c"] }] },
        })
    });
    let (successes, refusals): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!((successes.len(), refusals.len()), (1, CLIENTS - 1));
    let winner = server.get("/events/1").ok();
    for refusal in refusals {
        let problem = refusal.problem(409);
        assert_eq!(problem["in-the-way"]["position"], 1, "{problem}");
        assert_eq!(problem["in-the-way"]["id"], winner["id"], "{problem}");
    }
    let signed_up = server.get("/events?tag=email:a@b.c").ok();
    assert_eq!(signed_up["events"].as_array().expect("events").len(), 1);
}

#[test]
fn of_64_first_events_of_a_subject_one_succeeds() {
    let server = Server::start();
    let answers = race(&server, |number| {
        let mut event = sign_up(number);
        event["subject"] = "user/one".into();
        json!({ "events": [event], "condition": { "expected-versions": { "user/one": 0 } } })
    });
    let successes = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(successes, 1);
    answers.iter().filter(|answer| answer.status != 201).for_each(|answer| drop(answer.problem(409)));
    assert_eq!(server.head(), 1);
}

#[test]
fn a_refused_batch_leaves_nothing_behind_and_an_earlier_event_may_be_excused() {
    let server = Server::start();
    server.client().append(&[sign_up(1)]);
    let batch = |after: u64| {
        json!({
            "events": [
                { "specversion": "1.0", "id": "before", "source": "/accounts", "type": "other" },
                sign_up(2),
            ],
            "condition": { "fail-if-exists": [{ "tags": ["email:a@b.c"], "after": after }] },
        })
        .to_string()
    };
    server.client().post("/events", "application/json", batch(0)).problem(409);
    assert_eq!(server.head(), 1);
    let appended = server.client().post("/events", "application/json", batch(1));
    assert_eq!(appended.status, 201, "{appended:#?}");
    assert_eq!(appended.json()["position"], 3);
}

#[test]
fn the_same_again_is_answered_with_its_first_position_and_other_content_refused() {
    let server = Server::start();
    let body = json!({ "events": [sign_up(1)] }).to_string();
    assert_eq!(server.client().post("/events", "application/json", &body).status, 201);
    server.client().append(&[sign_up(2)]);
    let again = server.client().post("/events", "application/json", &body);
    assert_eq!(again.status, 200);
    assert_eq!((&again.json()["position"], &again.json()["known"]), (&json!(1), &json!(1)));
    let mut other = sign_up(1);
    other["data"]["email"] = "other".into();
    let refused =
        server.client().post("/events", "application/json", json!({ "events": [other] }).to_string());
    assert_eq!(refused.problem(409)["in-the-way"]["position"], 1);
    assert_eq!(server.head(), 2);
}
