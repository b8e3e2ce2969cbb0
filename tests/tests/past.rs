//! Looking back: any state as it was, from snapshots or from the first event.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{collections::BTreeMap, fs};

use projectionist_tests::{
    Random, Server, components,
    history::{self, Expected},
    wait,
};
use serde_json::{Value, json};

/// All rows of a table, by their keys.
fn rows(server: &Server, table: &str, parameters: &str) -> BTreeMap<String, Value> {
    let mut rows = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let page = server.get(&format!("/projections/{table}?limit=10000&{parameters}{cursor}")).ok();
        for row in page["rows"].as_array().unwrap() {
            rows.insert(row["key"].as_str().unwrap().to_owned(), row["value"].clone());
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

fn changes(rows: BTreeMap<String, Value>) -> BTreeMap<String, u64> {
    rows.into_iter().map(|(key, value)| (key, value["changes"].as_u64().unwrap())).collect()
}

/// How many snapshots of a plug-in's versions there are.
fn snapshots(server: &Server, name: &str) -> usize {
    let files = fs::read_dir(server.data().join("state").join(name)).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(".at-") && name.ends_with(".redb")).count()
}

#[test]
fn any_state_is_as_a_fold_that_stops_there() {
    let mut random = Random::printed();
    let history = history::whole();
    let events = history.first(usize::MAX);
    let server = Server::start();
    // One with snapshots, one without.
    server.configure("churn", "[policies]\nsnapshot-every = 5000\n");
    server.configure("tree", "[policies]\nsnapshot-every = 0\n");
    server.drop_in("churn");
    server.drop_in("tree");
    server.run(&["import", history.file.to_str().unwrap()]).ok();
    server.until_live("churn");
    server.until_live("tree");
    wait::until_true("there are snapshots", || snapshots(&server, "churn") > 0);
    assert_eq!(snapshots(&server, "tree"), 0);

    let head = server.head();
    let mut positions: Vec<u64> = (0..50).map(|_| random.below(head + 1)).collect();
    positions.extend([0, 1, head]);
    positions.sort_unstable();
    let mut expected = Expected::default();
    let mut folded = 0;
    for position in positions {
        events[folded..position as usize].iter().for_each(|event| expected.fold(event));
        folded = position as usize;
        let at = format!("at={position}");
        assert_eq!(changes(rows(&server, "churn/tables/files", &at)), expected.changes, "{at}");
        let tree = rows(&server, "tree/tables/files", &at);
        assert!(tree.keys().eq(expected.tree.iter()), "{at}");
        let answer = server.get(&format!("/projections/churn/queries/hottest?limit=1&{at}"));
        let most = expected.changes.values().max().map_or(json!(null), |most| json!(most));
        assert_eq!(answer.ok()[0][1]["changes"], most, "{at}");
        assert_eq!(answer.header("projectionist-position"), Some(position.to_string().as_str()));
    }
    // A few are kept for the next look, no more.
    let rooms = fs::read_dir(server.data().join("rooms")).unwrap().count();
    assert!(rooms <= 8, "{rooms} rooms");
}

#[test]
fn times_rows_and_other_code() {
    let server = Server::start();
    let event = |number: u64, kind: &str| {
        json!({"specversion": "1.0", "id": format!("{number}"), "source": "/test", "type": kind,
            "subject": "a", "data": {"author": format!("author-{number}")}})
    };
    server.drop_in("churn");
    server.client().append(&[event(1, "git.file.added")]);
    let between = server.get("/events/1").ok()["recorded"].as_str().unwrap().to_owned();
    wait::until_true("time goes on", || {
        let number = server.head() + 1;
        server.client().append(&[event(number, "git.file.renamed")]);
        server.get(&format!("/events/{}", server.head())).ok()["recorded"].as_str().unwrap()
            > between.as_str()
    });
    server.until_live("churn");
    let head = server.head();
    let first = |at: &str| server.run(&["get", "churn", "files", "a", "--json", "--at", at]).json();
    assert_eq!(first("1")["value"]["changes"], 1);
    let by_then = first(&between)["value"]["changes"].as_u64().unwrap();
    assert!(by_then >= 1 && by_then < head, "{by_then} of {head}");
    assert_eq!(first(&head.to_string())["value"]["changes"], head);
    assert_eq!(
        server.run(&["query", "churn", "hottest", "limit=1", "--at", "1", "--json"]).json()[0][1]["changes"],
        1
    );

    // With code that nobody has deployed: it knows no renames.
    let old = components::path("old-churn");
    let old = old.to_str().unwrap();
    let read = server.run(&["get", "churn", "files", "a", "--json", "--component", old]).json();
    assert_eq!(read["value"]["changes"], 1);
    assert_eq!(server.status("churn").unwrap()["versions"].as_array().unwrap().len(), 1);

    // What has not happened cannot be seen.
    let row = "/projections/churn/tables/files/a";
    let future = server.get(&format!("{row}?at={}", head + 1)).problem(404);
    assert!(future["detail"].as_str().unwrap().contains("has not happened yet"), "{future}");
    assert_eq!(server.get(&format!("{row}?at=0")).problem(404)["type"], "/problems/no-such-key");
    let unread = server.get(&format!("{row}?at=yesterday")).problem(400);
    assert!(unread["detail"].as_str().unwrap().contains("neither a position nor a time"), "{unread}");
    server.get(&format!("{row}?at=1&at-least=1")).problem(400);
    server.get(&format!("{row}?at=1&version=ffff")).problem(404);
    let usage = server.run(&["get", "churn", "files", "a", "--at", "1", "--at-least", "1"]);
    assert_eq!(usage.code, Some(2), "{usage:#?}");
}

#[test]
fn kills_while_snapshots_are_taken_leave_whole_ones_only() {
    let mut random = Random::printed();
    let history = history::generated(1_000);
    let events = history.first(usize::MAX);
    let mut server = Server::start();
    server.configure("churn", "[policies]\nsnapshot-every = 100\nsnapshot-disk = \"20 MiB\"\n");
    server.drop_in("churn");
    let mut appended = 0;
    while appended < events.len() {
        let batch = (random.below(300) + 1) as usize;
        let next = (appended + batch).min(events.len());
        server.client().append(&events[appended..next]);
        appended = next;
        if random.below(4) == 0 {
            server.kill();
            server.restart();
        }
    }
    server.until_live("churn");
    wait::until_true("there are snapshots", || snapshots(&server, "churn") > 0);
    let files = fs::read_dir(server.data().join("state/churn")).unwrap();
    let bytes: u64 = files
        .map(|file| file.unwrap())
        .filter(|file| file.file_name().to_str().unwrap().contains(".at-"))
        .map(|file| file.metadata().unwrap().len())
        .sum();
    // One more may be on its way to take another one's place.
    assert!(bytes < 40 << 20, "{bytes} bytes");
    for _ in 0..10 {
        let position = random.below(events.len() as u64 + 1);
        let expected = Expected::of(&events[..position as usize]);
        let read = changes(rows(&server, "churn/tables/files", &format!("at={position}")));
        assert_eq!(read, expected.changes, "at {position}");
    }
}
