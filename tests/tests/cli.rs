//! The program: an author's way from `new` to a query, and what its other
//! commands promise.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use projectionist_tests::{Server, components, history, program};
use serde_json::{Value, json};

/// A command in an author's crate; crates of all runs share what they compile.
fn in_crate(server: &Server, crate_folder: &Path, program: &Path, arguments: &[&str]) {
    let mut command = Command::new(program);
    command.current_dir(crate_folder).args(arguments);
    command.env("CARGO_TARGET_DIR", program::target().join("tests/authors"));
    command.env("PROJECTIONIST_PLUGINS", server.plugins());
    program::end(&mut command).ok();
}

/// From an empty folder to an answer, then an edit, and another answer; a
/// client that asks all the while is never refused and sees no mixture.
#[test]
fn from_new_to_a_query_and_on_to_the_next_version() {
    let server = Server::start();
    program::run_in(server.folder(), ["new", "shelf"]).ok();
    let crate_folder = server.folder().join("shelf");
    // The same dependencies as here, so that nothing else is fetched.
    fs::copy(program::workspace().join("Cargo.lock"), crate_folder.join("Cargo.lock")).unwrap();
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    in_crate(&server, &crate_folder, &cargo, &["test", "--quiet"]);
    in_crate(&server, &crate_folder, &program::path(), &["build"]);

    let events: Vec<Value> = (1..=5)
        .map(|n| {
            json!({ "specversion": "1.0", "id": n.to_string(), "source": "/library", "type": "book.placed",
                    "subject": "shelf/7", "data": {} })
        })
        .collect();
    server.client().append(&events);
    let first = server.until_live("shelf");
    let answer = server.run(&["query", "shelf", "busiest", "limit=1", "--json"]).json();
    assert_eq!((&answer[0][0], &answer[0][1]["events"]), (&json!("shelf/7"), &json!(5)), "{answer}");

    let source = crate_folder.join("src/lib.rs");
    let edited = fs::read_to_string(&source).unwrap().replace("events += 1;", "events += 10;");
    assert!(edited.contains("events += 10;"), "the template has changed: {edited}");
    fs::write(&source, edited).unwrap();
    let done = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let poller = scope.spawn(|| {
            let mut seen = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let answer = server.get("/projections/shelf/queries/busiest?limit=1").ok();
                seen.push(answer[0][1]["events"].as_u64().expect("a number"));
                thread::sleep(Duration::from_millis(5));
            }
            seen
        });
        in_crate(&server, &crate_folder, &program::path(), &["build"]);
        server.until_other_version("shelf", first["live"].as_str().expect("a live version"));
        done.store(true, Ordering::Relaxed);
        poller.join().expect("a client that is never refused")
    });
    let last = server.get("/projections/shelf/queries/busiest?limit=1").ok();
    assert_eq!(last[0][1]["events"], 50);
    let mut different = seen.clone();
    different.dedup();
    assert!([&[5][..], &[5, 50]].contains(&different.as_slice()), "seen in turn: {different:?}");
    println!("{} polls", seen.len());
}

#[test]
fn export_and_import_are_a_round_trip() {
    let history = history::generated(300);
    let file = history.file.to_str().expect("a plain path");
    let (first, second) = (Server::start(), Server::start());
    first.run(&["import", file]).ok();
    let exported = first.run(&["export"]).ok();
    let copy = second.folder().join("exported.ndjson");
    fs::write(&copy, &exported).unwrap();
    second.run(&["import", copy.to_str().expect("a plain path")]).ok();
    for server in [&first, &second] {
        server.drop_in("event-types");
        server.drop_in("meter");
    }
    assert_eq!(first.head(), second.head());
    for name in ["event-types", "meter"] {
        assert_eq!(first.state_digest(name), second.state_digest(name));
    }
    // The same again adds nothing, whichever server it came from.
    let again = first.run(&["import", "--json", copy.to_str().expect("a plain path")]).json();
    assert_eq!(again["new"], 0, "{again}");
}

#[test]
fn status_for_machines() {
    let server = Server::start();
    server.drop_in("event-types");
    server.until_live("event-types");
    let status = server.run(&["status", "--json"]).json();
    let plugins = status.as_array().or_else(|| status["projections"].as_array()).expect("a list");
    assert_eq!(
        (plugins.len(), &plugins[0]["name"], &plugins[0]["health"]),
        (1, &json!("event-types"), &json!("ok"))
    );
    let one = server.run(&["status", "event-types", "--json"]).json();
    assert_eq!(one["name"], "event-types");
    let shown = server.run(&["status"]).ok();
    assert!(shown.contains("event-types") && shown.contains("ok"), "{shown}");
}

#[test]
fn run_folds_a_file_without_a_server() {
    let history = history::generated(300);
    let expected = history.expected();
    let folder = tempfile::tempdir().unwrap();
    let component = components::path("event-types");
    let arguments =
        ["run", component.to_str().unwrap(), history.file.to_str().unwrap(), "--table", "types", "--json"];
    let output = program::run_in(folder.path(), arguments).ok();
    let folded: Value = serde_json::from_str(&output).expect("one JSON document");
    assert_eq!((&folded["events"], &folded["dead-letters"]), (&json!(expected.events), &json!(0)));
    let rows = folded["tables"]["types"]["rows"].as_array().expect("rows");
    let counts = rows
        .iter()
        .map(|row| (row["key"].as_str().unwrap().to_owned(), row["value"]["count"].as_u64().unwrap()));
    assert_eq!(counts.collect::<std::collections::BTreeMap<_, _>>(), expected.types);
}

/// A story is found wherever it stands: in full blocks, at the end of the log,
/// and in the log of a folder that no server works on.
#[test]
fn a_story_is_read_in_order_and_shown_as_a_tree() {
    let mut server = Server::start();
    let event = |id: String, event_type: &str| json!({ "specversion": "1.0", "id": id, "source": "/test", "type": event_type });
    let of_story = |id: &str, event_type: &str, cause: &str| {
        let mut event = event(id.to_owned(), event_type);
        event["correlationid"] = "begin".into();
        event["causationid"] = cause.into();
        event
    };
    let mut events = vec![event("begin".to_owned(), "order.placed")];
    events.extend((0..5_000).map(|n| event(format!("first-{n}"), "other")));
    events.push(of_story("paid", "order.paid", "begin"));
    events.extend((0..5_000).map(|n| event(format!("second-{n}"), "other")));
    events.push(of_story("sent", "order.sent", "paid"));
    for batch in events.chunks(5_000) {
        server.client().append(batch);
    }

    let page = server.get("/events?correlation=begin").ok();
    let ids =
        |page: &Value| page["events"].as_array().unwrap().iter().map(|event| event["id"].clone()).collect();
    let found: Vec<Value> = ids(&page);
    assert_eq!(found, ["begin", "paid", "sent"], "{page}");
    let newest: Vec<Value> = ids(&server.get("/events?correlation=begin&reverse=true&limit=2").ok());
    assert_eq!(newest, ["sent", "paid"]);
    let narrowed: Vec<Value> = ids(&server.get("/events?correlation=begin&type=order.paid").ok());
    assert_eq!(narrowed, ["paid"]);

    // By whichever of its events.
    for id in ["begin", "sent"] {
        let tree = server.run(&["trace", id]).ok();
        let lines: Vec<&str> = tree.lines().skip(1).collect();
        let starts = ["order.placed", "└─ order.paid", "   └─ order.sent"];
        assert_eq!(lines.len(), starts.len(), "{tree}");
        assert!(lines.iter().zip(starts).all(|(line, start)| line.starts_with(start)), "{tree}");
    }
    let missing = server.run(&["trace", "nobody"]);
    assert_eq!(missing.code, Some(4), "{missing:?}");
    server.stop();
    let data = server.data();
    let alone = program::run_in(server.folder(), ["trace", "paid", "--data", data.to_str().unwrap()]).ok();
    assert!(alone.contains("└─ order.paid"), "{alone}");
}

#[test]
fn exit_codes_say_what_went_wrong() {
    let server = Server::start();
    server.drop_in("meter");
    server.until_live("meter");
    assert_eq!(server.run(&["get", "meter", "totals", "none"]).code, Some(4));
    assert_eq!(server.run(&["get", "meter", "none"]).code, Some(4));
    assert_eq!(server.run(&["query", "none", "reading"]).code, Some(4));
    assert_eq!(server.run(&["frobnicate"]).code, Some(2));
    let bad = server.folder().join("bad.ndjson");
    fs::write(&bad, "{\"specversion\":\"1.0\"}\n").unwrap();
    let refused = server.run(&["import", bad.to_str().unwrap()]);
    assert_eq!(refused.code, Some(5), "{refused:#?}");
    assert!(refused.errors.contains("line 1"), "{refused:#?}");
    components::put(&server.plugin_file("text"), b"text");
    server.until_health("text", "failed");
    assert_eq!(server.run(&["get", "text", "any"]).code, Some(6));
    let nobody = program::run_in(server.folder(), ["status", "--url", "http://127.0.0.1:1"]);
    assert_eq!(nobody.code, Some(3), "{nobody:#?}");
    assert!(nobody.errors.contains("http://127.0.0.1:1"), "{nobody:#?}");
}

#[test]
fn other_addresses_than_loopback_need_a_flag_that_names_the_risk() {
    let folder = tempfile::tempdir().unwrap();
    let refused = program::run_in(folder.path(), ["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.errors.contains("--allow-unprotected-network"), "{refused:#?}");
}
