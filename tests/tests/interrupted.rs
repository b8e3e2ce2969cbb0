//! Deployments that something comes in between of: a restart in the middle of a
//! replay, a plug-ins folder that goes away and comes back.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use projectionist_tests::{Server, components, wait};
use serde_json::{Value, json};

const METER: &str = "meter";

/// A server with so many events.
fn filled(events: u64) -> Server {
    let server = Server::start();
    let lines: Vec<String> = (1..=events)
        .map(|id| {
            json!({ "specversion": "1.0", "id": id.to_string(), "source": "/test", "type": "more",
                    "subject": "x" })
            .to_string()
        })
        .collect();
    let file = server.folder().join("events.ndjson");
    fs::write(&file, lines.join("\n")).unwrap();
    server.run(&["import", file.to_str().unwrap()]).ok();
    server
}

/// How far a plug-in's candidate has come.
fn candidate(status: &Value) -> u64 {
    let versions = status["versions"].as_array().unwrap();
    let candidate = versions.iter().find(|version| version["station"] == "candidate");
    candidate.and_then(|version| version["state"]["position"].as_u64()).unwrap_or_default()
}

#[test]
fn a_replay_that_a_restart_interrupts_is_recorded_as_a_whole() {
    const EVENTS: u64 = 3_000;
    let mut server = filled(EVENTS);
    // A commit an event, so that it takes a while.
    fs::write(server.plugins().join("meter.toml"), "[policies]\nblock-events = 1\ncommit-bytes = 1\n")
        .unwrap();
    server.drop_in(METER);
    server.until_status(METER, "replays", |status| candidate(status) > 0);
    let seen = wait::now();
    assert!(server.stop());
    let interrupted = seen.elapsed();
    server.restart();
    let status = server.until_live(METER);
    let deployments = status["deployments"].as_array().unwrap();
    assert_eq!(deployments.len(), 1, "it goes on, it does not begin anew: {status:#}");
    assert_eq!(deployments[0]["events"], EVENTS, "{status:#}");
    let micros = u128::from(deployments[0]["replay-micros"].as_u64().unwrap());
    assert!(micros >= interrupted.as_micros(), "{micros} of {interrupted:?}");
}

#[test]
fn going_back_to_a_version_counts_only_what_came_meanwhile() {
    let server = filled(100);
    server.drop_in(METER);
    let first = server.until_live(METER)["live"].as_str().unwrap().to_owned();
    let component = components::bytes(METER);
    components::put(&server.plugin_file(METER), &components::remarked(&component, "another"));
    let second = server.until_other_version(METER, &first)["live"].as_str().unwrap().to_owned();
    server.client().append(&[
        json!({ "specversion": "1.0", "id": "new", "source": "/test", "type": "more", "subject": "x" }),
    ]);
    server.until_live(METER);
    components::put(&server.plugin_file(METER), &component);
    let status = server.until_other_version(METER, &second);
    assert_eq!(status["live"], first);
    assert_eq!(status["deployments"][0]["events"], 1, "{status:#}");
}

#[test]
fn a_plug_ins_folder_that_goes_away_is_told_once_and_watched_again_when_it_is_back() {
    let server = filled(10);
    server.drop_in(METER);
    let live = server.until_live(METER)["live"].clone();
    assert_eq!(server.get("/readyz").ok().get("plugins-folder"), None);

    let away = server.folder().join("away");
    fs::rename(server.plugins(), &away).unwrap();
    let trouble = wait::until("the server says so", || {
        server.get("/readyz").ok()["plugins-folder"].as_str().map(str::to_owned)
    });
    assert!(trouble.contains(server.plugins().to_str().unwrap()), "{trouble}");
    assert_eq!(server.get("/projections").ok()["plugins-folder"], trouble.as_str());
    let shown = server.run(&["status"]).ok();
    assert!(shown.contains(&trouble), "{shown}");
    // What is live answers on.
    assert_eq!(server.until_live(METER)["live"], live);

    fs::rename(&away, server.plugins()).unwrap();
    server.drop_in("event-types");
    server.until_live("event-types");
    assert_eq!(server.get("/readyz").ok().get("plugins-folder"), None);
    assert_eq!(server.until_live(METER)["live"], live);
    let log = server.log();
    assert_eq!(log.matches("the plug-ins folder cannot be read").count(), 1, "{log}");
    assert_eq!(log.matches("the plug-ins folder can be read again").count(), 1, "{log}");
}

/// The files in the folder of compiled components.
fn compiled(server: &Server) -> Vec<String> {
    let files = fs::read_dir(server.data().join("cache/components")).into_iter().flatten();
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn compiled_code_goes_when_nothing_can_use_it() {
    let mut server = filled(10);
    server.drop_in(METER);
    server.until_live(METER);
    let before = compiled(&server);
    assert_eq!(before.len(), 1);
    server.kill();
    // Of another version of the program.
    let foreign = server.data().join("cache/components/abc-0123456789abcdef.cwasm");
    fs::write(&foreign, "x").unwrap();
    server.restart();
    server.until_live(METER);
    assert_eq!(compiled(&server), before);
    fs::remove_file(server.plugin_file(METER)).unwrap();
    server.until_health(METER, "retired");
    server.run(&["purge", METER]).ok();
    assert!(compiled(&server).is_empty(), "{:?}", compiled(&server));
}

/// A version is forgotten on record first, then its files are deleted: a kill in between leaves them.
#[test]
fn what_belongs_to_no_version_any_more_goes_at_the_next_start() {
    let mut server = filled(10);
    for name in [METER, "event-types", "echo"] {
        server.drop_in(name);
        server.until_live(name);
    }
    fs::remove_file(server.plugin_file("event-types")).unwrap();
    server.until_health("event-types", "retired");
    server.kill();
    let (states, code) = (server.data().join("state"), server.data().join("components"));
    let list = |folder: &Path| -> BTreeSet<PathBuf> {
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect()
    };
    let known = || [METER, "event-types", "echo"].map(|name| list(&states.join(name))).into_iter().flatten();
    let before: Vec<PathBuf> = known().chain(list(&code)).collect();
    assert!(before.contains(&states.join("echo/reaction.redb")), "{before:?}");
    assert_eq!(before.len(), 3 + 3, "{before:?}");

    let forgotten = "f0".repeat(32);
    let left = [
        states.join(METER).join(format!("{forgotten}.redb")),
        states.join("echo").join(format!("{forgotten}.2-of-4.redb")),
        states.join(format!("purged/{forgotten}.redb")),
        states.join(METER).join(format!("{forgotten}.at-7.1-of-1.redb")),
        code.join(format!("{forgotten}.wasm")),
    ];
    let foreign = [states.join(METER).join("notes.redb"), code.join("notes.wasm"), states.join("notes")];
    fs::create_dir(states.join("purged")).unwrap();
    for file in left.iter().chain(&foreign) {
        fs::write(file, "x").unwrap();
    }
    server.restart();
    for file in &left {
        assert!(!file.exists(), "{} is still there", file.display());
    }
    assert!(!states.join("purged").exists());
    for file in before.iter().chain(&foreign) {
        assert!(file.exists(), "{} is gone", file.display());
    }
    // What has retired is put back into service with what it has.
    server.drop_in("event-types");
    let status = server.until_live("event-types");
    assert_eq!(status["deployments"][0]["events"], 0, "{status:#}");
    server.until_live(METER);

    // Without its records nothing is forgotten: it goes on with what is there.
    server.kill();
    fs::remove_file(server.data().join("catalog.redb")).unwrap();
    server.restart();
    let status = server.until_live(METER);
    assert_eq!(status["deployments"][0]["events"], 0, "{status:#}");
    for file in &before {
        assert!(file.exists(), "{} is gone", file.display());
    }
}
