//! Hot reload: a new version replays beside the old one and takes over in one
//! step, however the file came to change.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    fs,
    io::Write,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use projectionist_tests::{Client, Server, components, history, live, wait};
use serde_json::Value;

const METER: &str = "meter";

/// A server with the stand-in imported and the meter live.
fn metered() -> Server {
    let server = Server::start();
    server.run(&["import", path(&history::generated(1_000).file)]).ok();
    server.drop_in(METER);
    server.until_live(METER);
    server
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path of plain characters")
}

fn version(status: &Value) -> String {
    status["live"].as_str().unwrap_or_default().to_owned()
}

fn settings(server: &Server, text: &str) {
    server.configure(METER, text);
}

/// What one poll saw.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seen {
    position: u64,
    step: u64,
}

/// Asks for a reading; it must be there and of one piece.
fn poll(client: &Client) -> Seen {
    let answer = client.get("/projections/meter/queries/reading");
    let reading = answer.ok();
    let position = answer.header("projectionist-position").expect("a position").parse().unwrap();
    let step = reading["step"].as_u64().unwrap();
    assert_eq!(
        reading["total"].as_u64(),
        Some(step * position),
        "a mixture at position {position}: {reading}"
    );
    Seen { position, step }
}

#[test]
fn a_client_that_polls_sees_old_answers_then_new_ones_and_no_failure() {
    let server = metered();
    let done = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let poller = scope.spawn(|| {
            let mut seen = Vec::new();
            loop {
                // Once more when all is done.
                let is_last = done.load(Ordering::Relaxed);
                seen.push(poll(server.client()));
                if is_last {
                    return seen;
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        // Events keep coming while versions change.
        let writer = scope.spawn(|| {
            let mut number = 0;
            while !done.load(Ordering::Relaxed) {
                number += 1;
                let id = format!("more-{number}");
                server.client().append(&[serde_json::json!({
                    "specversion": "1.0", "id": id, "source": "/test", "type": "more", "subject": "x",
                })]);
                thread::sleep(Duration::from_millis(20));
            }
        });
        let mut live = version(&server.until_live(METER));
        for step in [1000, 7] {
            settings(&server, &format!("[values]\nstep = {step}\n"));
            live = version(&server.until_status(METER, "has a new version", |status| {
                status["live"].as_str().is_some_and(|now| now != live)
            }));
        }
        // So that the last version is seen too.
        wait::until_true("the last version answers", || poll(server.client()).step == 7);
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        poller.join().unwrap()
    });
    assert!(seen.len() > 20, "only {} polls", seen.len());
    for pair in seen.windows(2) {
        assert!(pair[0].position <= pair[1].position, "the position went back: {pair:?}");
    }
    let mut steps: Vec<u64> = seen.iter().map(|seen| seen.step).collect();
    steps.dedup();
    assert!(
        [[1, 1000, 7].as_slice(), &[1, 7]].contains(&steps.as_slice()),
        "the versions seen in turn: {steps:?}"
    );
}

#[test]
fn every_way_to_change_a_file_makes_a_new_version() {
    let server = metered();
    let file = server.plugin_file(METER);
    let component = components::bytes(METER);
    let digest = server.state_digest(METER);
    let mut live = version(&server.until_live(METER));
    let mut expect_another = |how: &str| {
        println!("{how}");
        let status = server.until_other_version(METER, &live);
        live = version(&status);
        assert_eq!(server.state_digest(METER), digest, "{how}");
    };

    fs::write(&file, components::remarked(&component, "written in place")).unwrap();
    expect_another("written in place");

    components::put(&file, &components::remarked(&component, "renamed over"));
    expect_another("renamed over");

    // As deployment tools do: the folder's entry is a link, and the link is swapped.
    let elsewhere = server.folder().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    for number in [1, 2] {
        let target = elsewhere.join(format!("{number}.wasm"));
        fs::write(&target, components::remarked(&component, &format!("linked {number}"))).unwrap();
        let link = server.folder().join("link");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        fs::rename(&link, &file).unwrap();
        expect_another("a symlink swapped");
    }

    fs::remove_file(&file).unwrap();
    components::put(&file, &components::remarked(&component, "removed and written again"));
    expect_another("removed and written again");

    let slow = components::remarked(&component, "copied slowly");
    let mut out = fs::File::create(&file).unwrap();
    for chunk in slow.chunks(slow.len() / 20 + 1) {
        out.write_all(chunk).unwrap();
        out.flush().unwrap();
        thread::sleep(Duration::from_millis(100));
    }
    drop(out);
    expect_another("copied slowly");

    // None of the states between was taken for a version.
    let status = server.until_live(METER);
    let failed = status["deployments"].as_array().unwrap().iter().filter(|one| one["outcome"] == "failed");
    assert_eq!(failed.count(), 0, "{status:#}");
}

#[test]
fn several_files_at_once() {
    let server = Server::start();
    server.run(&["import", path(&history::generated(200).file)]).ok();
    let names = ["one", "two", "three", "four"];
    let component = components::bytes(METER);
    for round in ["first", "second"] {
        let before: Vec<_> =
            names.iter().map(|name| server.status(name).map(|status| version(&status))).collect();
        for name in names {
            fs::write(server.plugin_file(name), components::remarked(&component, round)).unwrap();
        }
        for (name, before) in names.iter().zip(before) {
            server.until_other_version(name, &before.unwrap_or_default());
        }
    }
    let digests: Vec<_> = names.iter().map(|name| server.state_digest(name)).collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}

#[test]
fn files_that_changed_while_the_program_was_down() {
    let mut server = metered();
    let before = version(&server.until_live(METER));
    let component = components::bytes(METER);
    server.drop_in("event-types");
    server.until_live("event-types");
    assert!(server.stop());
    components::put(&server.plugin_file(METER), &components::remarked(&component, "while down"));
    components::put(&server.plugin_file("new"), &component);
    fs::remove_file(server.plugin_file("event-types")).unwrap();
    server.restart();
    server.until_other_version(METER, &before);
    server.until_live("new");
    server.until_health("event-types", "retired");
}

#[test]
fn the_same_digest_again_changes_nothing() {
    let server = metered();
    let before = server.until_live(METER);
    fs::write(server.plugin_file(METER), components::bytes(METER)).unwrap();
    // Limits are settings too, but do not change what is folded.
    settings(&server, "[limits]\nmemory = \"200 MiB\"\n");
    // Another file, dropped in later, has come so far: the meter's change has been seen.
    server.drop_in("event-types");
    server.until_live("event-types");
    let after = server.until_live(METER);
    assert_eq!(version(&before), version(&after));
    assert_eq!(before["versions"].as_array().unwrap().len(), after["versions"].as_array().unwrap().len());
}

#[test]
fn settings_are_part_of_the_version() {
    let server = metered();
    let before = version(&server.until_live(METER));
    let digest = server.state_digest(METER);
    settings(&server, "[values]\nstep = 10\n");
    let status = server.until_other_version(METER, &before);
    assert_ne!(server.state_digest(METER), digest);
    assert_eq!(poll(server.client()).step, 10);

    // The old settings again are the old version again.
    let tens = version(&status);
    fs::remove_file(server.plugins().join("meter.toml")).unwrap();
    assert_eq!(version(&server.until_other_version(METER, &tens)), before);
    assert_eq!(server.state_digest(METER), digest);

    // Settings that make no sense fail the candidate; the live version stays.
    settings(&server, "[limits]\nmemroy = 1\n");
    let status = server.until_status(METER, "has a failed deployment", |status| {
        status["deployments"][0]["outcome"] == "failed"
    });
    assert!(status["deployments"][0]["reason"].as_str().unwrap().contains("memroy"), "{status:#}");
    assert_eq!(version(&status), before);
}

#[test]
fn a_removed_file_retires_the_plug_in_and_its_return_needs_no_replay() {
    let server = metered();
    let before = version(&server.until_live(METER));
    let digest = server.state_digest(METER);
    fs::remove_file(server.plugin_file(METER)).unwrap();
    server.until_health(METER, "retired");
    server.get("/projections/meter/queries/reading").problem(503);
    server.drop_in(METER);
    let status = server.until_live(METER);
    assert_eq!(version(&status), before);
    assert_eq!(server.state_digest(METER), digest);

    fs::remove_file(server.plugin_file(METER)).unwrap();
    server.until_health(METER, "retired");
    server.run(&["purge", METER]).ok();
    wait::until_true("the purged plug-in is forgotten", || server.status(METER).is_none());
}

#[test]
fn every_deployment_is_recorded() {
    let server = metered();
    let first = version(&server.until_live(METER));
    components::put(&server.plugin_file(METER), b"this is no component");
    server.until_status(METER, "has a failed deployment", |status| {
        status["deployments"][0]["outcome"] == "failed"
    });
    components::put(&server.plugin_file(METER), &components::remarked(&components::bytes(METER), "better"));
    let status = server.until_other_version(METER, &first);
    let deployments = status["deployments"].as_array().unwrap();
    let outcomes: Vec<_> = deployments.iter().map(|one| one["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["promoted", "failed", "promoted"], "{status:#}");
    for deployment in deployments {
        for field in ["when", "digest", "size", "file", "ended"] {
            assert!(!deployment[field].is_null(), "no {field}: {deployment:#}");
        }
    }
    assert_eq!(deployments[2]["events"], server.head());
    assert!(deployments[0]["replay-micros"].as_u64() > Some(0));
    assert_eq!(live(&status)["digest"], deployments[0]["digest"]);
}
