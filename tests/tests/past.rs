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

/// The bank's events: a subject for each account, which in every tenth case has another name.
fn deposits(random: &mut Random, count: u64) -> Vec<Value> {
    let deposit = |number: u64| {
        let account = random.below(30);
        let subject =
            if account.is_multiple_of(10) { format!("vault-{account}") } else { format!("acct-{account}") };
        json!({"specversion": "1.0", "id": number.to_string(), "source": "/bank", "type": "account.deposited",
            "subject": subject, "data": {"account": format!("acct-{account}"), "amount": number}})
    };
    (1..=count).map(deposit).collect()
}

/// What one read of a key and one of the whole table say of a row at a position; and what a fold
/// makes of it.
#[test]
fn a_row_of_a_subject_is_as_a_fold_that_stops_there() {
    let mut random = Random::printed();
    let server = Server::start();
    let (partitions, block) = (1 + random.below(3), 1 + random.below(60));
    let settings = format!("[policies]\npartitions = {partitions}\nblock-events = {block}\n");
    server.configure("accounts", &settings);
    server.drop_in("accounts");
    server.drop_in("subjects");
    let count = 1_500 + random.below(1_000);
    let events = deposits(&mut random, count);
    for events in events.chunks(400) {
        server.client().append(events);
    }
    server.until_live("accounts");
    server.until_live("subjects");

    let whole: BTreeMap<u64, BTreeMap<String, Value>> = (0..8)
        .map(|_| random.below(events.len() as u64))
        .map(|position| (position, rows(&server, "accounts/tables/accounts", &format!("at={position}"))))
        .collect();
    for _ in 0..120 {
        // Some of a state that is at hand, most not; the second digit 0 is for those whose subject is not in the key.
        let position = match random.below(4) {
            0 => *random.pick(&whole.keys().copied().collect::<Vec<_>>()),
            _ => random.below(events.len() as u64 + 1),
        };
        let account = format!("acct-{}", random.below(32));
        let (mut balance, mut deposits) = (0, 0);
        for event in events[..position as usize].iter().filter(|event| event["data"]["account"] == *account) {
            balance += event["data"]["amount"].as_u64().unwrap();
            deposits += 1;
        }
        let expected = (deposits > 0).then(|| json!({"balance": balance, "deposits": deposits}));
        let answer = server.get(&format!("/projections/accounts/tables/accounts/{account}?at={position}"));
        assert_eq!(answer.header("projectionist-position"), Some(position.to_string().as_str()));
        let found = match answer.status {
            404 => {
                assert_eq!(answer.problem(404)["position"], position);
                None
            }
            _ => Some(answer.ok()["value"].clone()),
        };
        assert_eq!(found, expected, "{account} at {position}");
        if let Some(rows) = whole.get(&position) {
            assert_eq!(rows.get(&account), expected.as_ref(), "{account} at {position}");
        }
    }

    // Nothing but one subject's events is folded for it.
    let rooms = || fs::read_dir(server.data().join("rooms")).map_or(0, Iterator::count);
    let before = rooms();
    for _ in 0..12 {
        let position = 1 + random.below(events.len() as u64);
        let subject = events[position as usize - 1]["subject"].as_str().unwrap();
        let row = format!("/projections/subjects/tables/subjects/{subject}");
        let latest = server.get(&format!("{row}?at={position}"));
        assert_eq!(latest.ok()["value"]["position"], position);
        // What has not changed is not sent again.
        let tag = latest.header("etag").unwrap();
        let again = server.client().get_with(&format!("{row}?at={position}"), &[("if-none-match", tag)]);
        assert_eq!(again.status, 304);
        let read =
            server.run(&["get", "subjects", "subjects", subject, "--json", "--at", &position.to_string()]);
        assert_eq!(read.json(), latest.ok());
    }
    assert_eq!(rooms(), before);
    let wrong = server.get("/projections/subjects/tables/nothing/a?at=1").problem(404);
    assert_eq!(wrong["type"], "/problems/no-such-table");
}
