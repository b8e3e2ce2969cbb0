//! The program: an author's way from `new` to a query, and what its other
//! commands promise.

use std::fs;

use projectionist_tests::{Server, components, history, program};
use serde_json::{Value, json};

/// From an empty folder to an answer, then an edit, and another answer: while
/// all of it, a client that asks is never refused.
#[test]
fn from_new_to_a_query_and_on_to_the_next_version() {
    let server = Server::start();
    let folder = server.folder();
    program::run_in(folder, ["new", "shelf"]).ok();
    let crate_folder = folder.join("shelf");
    assert!(crate_folder.join("src/lib.rs").is_file());
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
    let rows: Vec<Value> =
        output.lines().map(|line| serde_json::from_str(line).expect("a row a line")).collect();
    let counts = rows
        .iter()
        .map(|row| (row["key"].as_str().unwrap().to_owned(), row["value"]["count"].as_u64().unwrap()));
    assert_eq!(counts.collect::<std::collections::BTreeMap<_, _>>(), expected.types);
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
