//! Projections that are folded in partitions: answers of one piece, whatever is
//! killed or changed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use projectionist_tests::{Client, Random, Server, wait};
use serde_json::json;

/// One answer: at which position, and by which version. It must be of one
/// piece. None: nobody can answer yet, which only a restart excuses.
fn poll(client: &Client) -> Option<(u64, String)> {
    let answer = client.get("/projections/tally/queries/total");
    if answer.status == 503 {
        assert_eq!(answer.problem(503)["type"], "/problems/not-served", "{answer:#?}");
        return None;
    }
    let total = answer.ok().as_u64();
    let header = |name| answer.header(name).expect("a header").to_owned();
    let position = header("projectionist-position").parse().unwrap();
    assert_eq!(total, Some(position), "a mixture at position {position}");
    Some((position, header("projectionist-version")))
}

#[test]
fn answers_are_of_one_piece_through_kills_and_other_numbers_of_partitions() {
    let mut random = Random::printed();
    let mut server = Server::start();
    server.configure("tally", "[policies]\npartitions = 3\n");
    server.drop_in("tally");
    server.until_live("tally");
    let mut appended = 0_u64;
    let mut last = 0;
    for _ in 0..5 {
        server.kill();
        server.restart();
        wait::until_true("it is served", || poll(server.client()).is_some());
        let done = AtomicBool::new(false);
        let client = server.client().clone();
        let seen = thread::scope(|scope| {
            let poller = scope.spawn(|| {
                let mut seen = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    seen.push(poll(&client).expect("a live version goes on answering").0);
                }
                seen
            });
            for _ in 0..random.below(60) + 5 {
                let event = |_| {
                    appended += 1;
                    let subject = format!("{}/{appended}", random.below(20));
                    json!({"specversion": "1.0", "id": format!("e{appended}"), "source": "/test",
                        "type": "counted", "subject": subject})
                };
                let events: Vec<_> = (0..7).map(event).collect();
                server.client().append(&events);
            }
            done.store(true, Ordering::Relaxed);
            poller.join().unwrap()
        });
        assert!(seen.is_sorted(), "the position went back: {seen:?}");
        last = last.max(seen.last().copied().unwrap_or(0));
    }
    server.kill();
    server.restart();
    wait::until_true("it has come to the head", || poll(server.client()).is_some_and(|at| at.0 == appended));
    assert!(last <= appended);

    let status = server.until_live("tally");
    let digest = server.state_digest("tally");
    let mut live = status["live"].as_str().unwrap().to_owned();
    assert_eq!(projectionist_tests::live(&status)["state"]["partitions"], 3, "{status:#}");
    for partitions in [1, 5] {
        server.configure("tally", &format!("[policies]\npartitions = {partitions}\n"));
        wait::until_true("another version answers", || {
            let (position, version) = poll(server.client()).expect("one of the two answers");
            assert_eq!(position, appended);
            version != live
        });
        assert_eq!(server.state_digest("tally"), digest, "with {partitions} partitions");
        live = server.until_live("tally")["live"].as_str().unwrap().to_owned();
    }
    let rows = server.get("/projections/tally/tables/groups?index=by_events&reverse=true&limit=3").ok();
    let largest = server.get("/projections/tally/queries/largest?limit=3").ok();
    let pairs: Vec<_> =
        rows["rows"].as_array().unwrap().iter().map(|row| json!([row["key"], row["value"]])).collect();
    assert_eq!(json!(pairs), largest);
}

#[test]
fn partitions_are_asked_for_in_vain_where_events_cannot_be_divided() {
    let server = Server::start();
    server.configure("event-types", "[policies]\npartitions = 2\n");
    server.drop_in("event-types");
    let status = server.until_health("event-types", "failed");
    assert!(status.to_string().contains("does not say by what its events can be divided"), "{status:#}");
}
