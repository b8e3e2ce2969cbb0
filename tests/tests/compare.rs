//! What other code would have made of history, beside what the live version made of it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use projectionist_tests::{Server, components, history, live, wait};
use serde_json::{Value, json};

const WASM: &str = "application/wasm";
const LINES: &str = "application/x-ndjson";

/// How often each file was changed and by whom last, by those events that `counts`.
fn churn(events: &[Value], counts: impl Fn(&str) -> bool) -> BTreeMap<String, Value> {
    let mut files = BTreeMap::<String, (u64, Value)>::new();
    for event in events {
        let event_type = event["type"].as_str().unwrap();
        if event_type.starts_with("git.file.") && counts(event_type) {
            let file = files.entry(event["subject"].as_str().unwrap().to_owned()).or_default();
            *file = (file.0 + 1, event["data"]["author"].clone());
        }
    }
    let shown = |(changes, author)| json!({"changes": changes, "last_author": author});
    files.into_iter().map(|(path, file)| (path, shown(file))).collect()
}

/// Rows by their keys: what they were and what they became.
type Differences = BTreeMap<String, (Option<Value>, Option<Value>)>;

/// What the mistake of `old-churn` has led to at the end of these events.
fn expected(events: &[Value]) -> Differences {
    let old = churn(events, |event_type| event_type != "git.file.renamed");
    let new = churn(events, |_| true);
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).cloned().collect();
    let both = keys.into_iter().map(|key| {
        let values = (old.get(&key).cloned(), new.get(&key).cloned());
        (key, values)
    });
    both.filter(|(_, (before, after))| before != after).collect()
}

fn differences(listing: &str) -> Differences {
    let rows = listing.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.map(|row| {
        assert_eq!(row["table"], "files");
        let value = |side: &str| row.get(side).cloned();
        (row["key"].as_str().unwrap().to_owned(), (value("before"), value("after")))
    })
    .collect()
}

fn count(differences: &Differences, is: impl Fn(&(Option<Value>, Option<Value>)) -> bool) -> u64 {
    differences.values().filter(|values| is(values)).count() as u64
}

/// A server with the old churn live, under the name `churn`.
fn with_the_mistake() -> (Server, history::History) {
    let history = history::whole();
    let server = Server::start();
    server.run(&["import", history.file.to_str().unwrap()]).ok();
    components::put(&server.plugin_file("churn"), &components::bytes("old-churn"));
    server.until_live("churn");
    (server, history)
}

#[test]
fn a_component_is_compared_apart_from_what_runs() {
    let (server, history) = with_the_mistake();
    let events = history.first(usize::MAX);
    let expected = expected(&events);
    assert!(expected.len() > 10, "the history has renames");
    let before = server.status("churn").unwrap();
    let fixed = components::path("churn");
    let fixed = fixed.to_str().unwrap();

    let compared = server.run(&["compare", "churn", fixed, "--json", "--samples", "3"]);
    assert_eq!(compared.code, Some(1), "{compared:#?}");
    let compared: Value = serde_json::from_str(&compared.output).unwrap();
    assert_eq!(compared["same"], false);
    assert_eq!(compared["position"], server.head());
    let files = &compared["tables"][0];
    let (removed, added) = (count(&expected, |row| row.1.is_none()), count(&expected, |row| row.0.is_none()));
    let changed = expected.len() as u64 - removed - added;
    let same = churn(&events, |event_type| event_type != "git.file.renamed").len() as u64 - removed - changed;
    assert_eq!(
        [&files["name"], &files["removed"], &files["added"], &files["changed"], &files["same"]],
        [&json!("files"), &json!(removed), &json!(added), &json!(changed), &json!(same)]
    );
    assert_eq!(files["samples"].as_array().unwrap().len(), 3);

    // The whole list names exactly the keys that differ, over HTTP and from the command line.
    let listed = server.run(&["compare", "churn", fixed, "--list"]);
    assert_eq!(listed.code, Some(1));
    assert_eq!(differences(&listed.output), expected);
    let request = [("content-type", WASM), ("accept", LINES)];
    let client = server.client();
    let bytes = components::bytes("churn");
    let listed = client.send("POST", "/projections/churn/compare", &request, &bytes).unwrap();
    assert_eq!((listed.status, listed.header("content-type")), (200, Some(LINES)));
    assert_eq!(differences(&listed.body), expected);

    // As it was before most of it had happened.
    let early = 1_000.min(events.len() as u64);
    let at = early.to_string();
    let listed = server.run(&["compare", "churn", fixed, "--list", "--at", &at]);
    assert_eq!(differences(&listed.output), self::expected(&events[..early as usize]));

    // The same code makes the same of it.
    let same = components::path("old-churn");
    let same = server.run(&["compare", "churn", same.to_str().unwrap()]);
    assert_eq!(same.code, Some(0), "{same:#?}");
    assert!(same.output.contains("no difference"), "{same:#?}");

    // Nothing of it is left.
    let after = server.status("churn").unwrap();
    assert_eq!(after["versions"], before["versions"]);
    assert_eq!(after["deployments"], before["deployments"]);
    assert_eq!(fs::read_dir(server.data().join("rooms")).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_compared_says_why() {
    let (server, _) = with_the_mistake();
    let churn = "/projections/churn/compare";
    let problem =
        |path: &str, status: u16| server.get(path).problem(status)["detail"].as_str().unwrap().to_owned();
    assert!(problem("/projections/none/compare", 404).contains("there is no projection \"none\""));
    let none = problem(churn, 404);
    let version = live(&server.status("churn").unwrap())["digest"].as_str().unwrap().to_owned();
    assert!(none.contains("no version that is candidate") && none.contains(&version[..12]), "{none}");
    assert!(problem(&format!("{churn}?candidate=ffff"), 404).contains("no version ffff"));
    let future = server.head() + 1;
    let head = format!("{churn}?candidate={version}&at={future}");
    assert!(problem(&head, 404).contains("has not happened yet"));

    let post = |media_type: &str, body: &[u8]| server.client().post(churn, media_type, body);
    assert!(post("text/plain", b"x").problem(415)["detail"].as_str().unwrap().contains(WASM));
    post(WASM, b"no component").problem(400);
    let unread =
        server.client().post(&format!("{churn}?settings=%5Blimit%5D"), WASM, components::bytes("churn"));
    assert!(unread.problem(400)["detail"].as_str().unwrap().contains("unknown field `limit`"));
    // It traps at the first event.
    let halted = post(WASM, &components::bytes("refuses")).problem(409);
    assert!(halted["detail"].as_str().unwrap().contains("position 1"), "{halted}");
    let reaction = post(WASM, &components::bytes("activation-mail")).problem(409);
    assert_eq!(reaction["type"], "/problems/no-projection");

    let ended = server.run(&["compare", "churn", "nowhere.wasm"]);
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    assert!(ended.errors.contains("nowhere.wasm cannot be read"));
}

#[test]
fn who_waits_for_a_comparison_can_see_how_far_it_is() {
    let (server, _) = with_the_mistake();
    let folds = || server.get("/projections/churn/folds").ok()["folds"].as_array().unwrap().clone();
    assert_eq!(folds(), Vec::<Value>::new());
    let seen = AtomicBool::new(false);
    let fold = thread::scope(|scope| {
        scope.spawn(|| {
            // One may be over before anybody looks.
            while !seen.load(Ordering::Relaxed) {
                server.client().post("/projections/churn/compare", WASM, components::bytes("churn")).ok();
            }
        });
        let fold = wait::until("it is seen", || folds().first().cloned());
        seen.store(true, Ordering::Relaxed);
        fold
    });
    assert_eq!(fold["to"], server.head());
    assert!(fold["position"].as_u64() <= fold["to"].as_u64(), "{fold}");
    assert_ne!(fold["version"], server.status("churn").unwrap()["live"]);
    assert_eq!(folds(), Vec::<Value>::new(), "nothing is left of it");
    server.get("/projections/nothing/folds").problem(404);
    assert_eq!(
        server.get("/projections/churn/folds?all=true").problem(400)["type"],
        "/problems/unknown-parameter"
    );
}
