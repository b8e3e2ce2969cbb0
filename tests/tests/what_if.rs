//! What would have come of histories that did not happen.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use projectionist_tests::{Server, components, history};
use serde_json::{Value, json};

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

/// How often each file was changed and by whom last, as `churn` folds it.
fn churn<'a>(events: impl IntoIterator<Item = &'a Value>) -> BTreeMap<String, Value> {
    let mut files = BTreeMap::<String, (u64, Value)>::new();
    for event in events {
        if event["type"].as_str().unwrap().starts_with("git.file.") {
            let file = files.entry(event["subject"].as_str().unwrap().to_owned()).or_default();
            *file = (file.0 + 1, event["data"]["author"].clone());
        }
    }
    let shown = |(changes, author)| json!({"changes": changes, "last_author": author});
    files.into_iter().map(|(path, file)| (path, shown(file))).collect()
}

/// Rows by their keys: what they were and what they became.
type Differences = BTreeMap<String, (Option<Value>, Option<Value>)>;

fn differences(real: &BTreeMap<String, Value>, other: &BTreeMap<String, Value>) -> Differences {
    let keys: BTreeSet<_> = real.keys().chain(other.keys()).cloned().collect();
    let both = keys.into_iter().map(|key| {
        let values = (real.get(&key).cloned(), other.get(&key).cloned());
        (key, values)
    });
    both.filter(|(_, (before, after))| before != after).collect()
}

/// What a listing says of each scenario.
fn listed(listing: &str) -> BTreeMap<String, Differences> {
    let mut scenarios = BTreeMap::<String, Differences>::new();
    for line in listing.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        assert_eq!(row["table"], "files", "{row}");
        let value = |side: &str| row.get(side).cloned();
        let scenario = scenarios.entry(row["scenario"].as_str().unwrap().to_owned()).or_default();
        scenario.insert(row["key"].as_str().unwrap().to_owned(), (value("before"), value("after")));
    }
    scenarios
}

/// A server with churn live and a history imported.
fn with_history() -> (Server, Vec<Value>) {
    let history = history::generated(1_500);
    let server = Server::start();
    server.run(&["import", history.file.to_str().unwrap()]).ok();
    server.drop_in("churn");
    server.until_live("churn");
    (server, history.first(usize::MAX))
}

fn patch(server: &Server, name: &str, lines: impl IntoIterator<Item = Value>) -> PathBuf {
    let file = server.folder().join(name);
    let lines: Vec<String> = lines.into_iter().map(|line| line.to_string()).collect();
    fs::write(&file, lines.join("\n")).unwrap();
    file
}

fn changed(id: &str, subject: &str, author: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/what-if", "type": "git.file.modified", "subject": subject,
        "data": {"author": author},
    })
}

#[test]
fn other_histories_are_folded_side_by_side() {
    let (server, events) = with_history();
    let before = server.status("churn").unwrap();
    let real = churn(&events);
    let path = events.iter().find(|event| event["type"] == "git.file.modified").unwrap()["subject"]
        .as_str()
        .unwrap();
    let author = "Zoë";
    let is_file = |event: &Value| event["type"].as_str().unwrap().starts_with("git.file.");

    // Without a type and a subject.
    let without = |event: &&Value| event["type"] != "git.file.renamed" && event["subject"] != path;
    let left_out = churn(events.iter().filter(without));
    // Without what one author did.
    let by_author = |event: &&Value| is_file(event) && event["data"]["author"] == author;
    let absent = events.iter().filter(by_author).map(|event| json!({"leave-out": {"id": event["id"]}}));
    let absent = patch(&server, "absent.ndjson", absent);
    let without_author = churn(events.iter().filter(|event| !by_author(event)));
    // With some events replaced and inserted.
    let at = events.iter().position(is_file).unwrap();
    let alterations = [
        json!({"replace": {"position": at + 1}, "event": changed("r", "replaced", "nobody")}),
        json!({"insert": {"after": at + 1}, "event": changed("i1", "inserted", "first")}),
        json!({"insert": {"after": at + 1}, "event": changed("i2", "inserted", "second")}),
        json!({"insert": {"before": 1}, "event": changed("i3", "inserted", "earliest")}),
        json!({"insert": {"after": events.len()}, "event": changed("i4", path, "latest")}),
    ];
    let other = patch(&server, "other.ndjson", alterations);
    let mut altered = events.clone();
    altered.push(changed("i4", path, "latest"));
    altered[at] = changed("r", "replaced", "nobody");
    altered.splice(at + 1..at + 1, [changed("i1", "inserted", "first"), changed("i2", "inserted", "second")]);
    altered.insert(0, changed("i3", "inserted", "earliest"));

    let arguments = ["what-if", "churn", "--leave-out-type", "git.file.renamed", "--leave-out-subject", path];
    let patches = ["--patch", absent.to_str().unwrap(), "--patch", other.to_str().unwrap()];
    let ask = |more: &[&str]| server.run(&[&arguments[..], &patches[..], more].concat());
    let list = ask(&["--list"]);
    assert_eq!(list.code, Some(1), "{list:#?}");
    let expected = [("left-out", left_out), ("absent", without_author), ("other", churn(&altered))];
    let expected: BTreeMap<_, _> =
        expected.into_iter().map(|(name, other)| (name.to_owned(), differences(&real, &other))).collect();
    assert_eq!(listed(&list.output), expected);

    let answer = ask(&["--json", "--samples", "2"]);
    assert_eq!(answer.code, Some(1), "{answer:#?}");
    let answer: Value = serde_json::from_str(&answer.output).unwrap();
    assert_eq!((&answer["position"], &answer["same"]), (&json!(server.head()), &json!(false)));
    let [one, two, three] = answer["scenarios"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    let count = |is: &dyn Fn(&&Value) -> bool| json!(events.iter().filter(|event| is(event)).count());
    assert_eq!(one["left-out"], count(&|event| !without(event)));
    assert_eq!(two["left-out"], count(&by_author));
    assert_eq!(
        [&three["replaced"], &three["inserted"], &three["left-out"]],
        [&json!(1), &json!(4), &json!(0)]
    );
    let shown = &one["comparison"]["tables"][0]["samples"];
    assert_eq!(shown.as_array().unwrap().len(), 2);

    let shown = ask(&[]).output;
    for word in ["scenario", "left-out", "absent", "other", "inserted"] {
        assert!(shown.contains(word), "{shown}");
    }

    // Nothing of it is left, and nothing has changed.
    let after = server.status("churn").unwrap();
    assert_eq!((&after["versions"], &after["deployments"]), (&before["versions"], &before["deployments"]));
    assert_eq!(fs::read_dir(server.data().join("rooms")).unwrap().count(), 0);
    assert_eq!(server.head(), events.len() as u64);
}

#[test]
fn it_stops_where_it_is_told_and_folds_with_the_code_that_it_is_given() {
    let (server, events) = with_history();
    let to = events.len() / 3;
    let early = &events[..to];
    let is_kept = |event: &&Value| event["type"] != "git.file.modified";
    let expected = differences(&churn(early), &churn(early.iter().filter(is_kept)));
    let to = to.to_string();
    let arguments = ["what-if", "churn", "--leave-out-type", "git.file.modified", "--to", &to, "--list"];
    assert_eq!(listed(&server.run(&arguments).output)["left-out"], expected);

    // Other code, which takes renames for nothing.
    let old = components::path("old-churn");
    let is_kept = |event: &&Value| is_kept(event) && event["type"] != "git.file.renamed";
    let expected = differences(&churn(early), &churn(early.iter().filter(is_kept)));
    let component = [&arguments[..], &["--component", old.to_str().unwrap()]].concat();
    assert_eq!(listed(&server.run(&component).output)["left-out"], expected);

    // What nothing depends on makes no difference.
    let same = server.run(&["what-if", "churn", "--leave-out-type", "git.commit.authored"]);
    assert_eq!(same.code, Some(0), "{same:#?}");
    // What is not there neither, but that is said.
    let none = server.run(&["what-if", "churn", "--leave-out-id", "none"]);
    assert_eq!(none.code, Some(0), "{none:#?}");
    assert!(none.errors.contains("--leave-out-id none: met no event"), "{none:#?}");

    // A history that the code cannot fold is an answer as well.
    let mut unfit = changed("unfit", "a", "b");
    unfit["data"] = json!({"author": 7});
    let unfit = patch(&server, "unfit.ndjson", [json!({"insert": {"after": 5}, "event": unfit})]);
    let halted =
        server.run(&["what-if", "churn", "--patch", unfit.to_str().unwrap(), "--leave-out-id", "none"]);
    assert_eq!(halted.code, Some(1), "{halted:#?}");
    assert!(halted.output.contains("unfit: it cannot be folded, and halts at position 5"), "{halted:#?}");
}

#[test]
fn what_cannot_be_asked_says_why() {
    let (server, _) = with_history();
    let said = |arguments: &[&str], code: i32| {
        let ended = server.run(&[&["what-if"], arguments].concat());
        assert_eq!(ended.code, Some(code), "{ended:#?}");
        ended.errors
    };
    let patched = |name: &str, text: &str, code: i32| {
        let file = server.folder().join(name);
        fs::write(&file, text).unwrap();
        said(&["churn", "--patch", file.to_str().unwrap()], code)
    };
    assert!(said(&["churn"], 2).contains("--patch"));
    assert!(said(&["none", "--leave-out-id", "1"], 4).contains("no projection \"none\""));
    assert!(said(&["churn", "--patch", "nowhere"], 5).contains("nowhere cannot be read"));
    assert!(said(&["churn", "--leave-out-id", "1", "--to", "99999999"], 4).contains("has not happened yet"));
    assert!(said(&["churn", "--leave-out-id", "1", "--version", "ffff"], 4).contains("no version ffff"));
    let typo = "\n{\"leave-out\": {\"author\": \"me\"}}\n";
    assert!(
        patched("typo.ndjson", typo, 5)
            .contains("typo.ndjson, line 2: no alteration: unknown field `author`")
    );
    assert!(patched("empty.ndjson", "\n", 5).contains("has no alterations"));
    let twice = format!("{0}\n\n{0}\n", json!({"replace": {"position": 2}, "event": changed("1", "a", "b")}));
    let twice = patched("twice.ndjson", &twice, 5);
    assert!(twice.contains("twice.ndjson, line 3") && twice.contains("alteration 1 already"), "{twice}");

    let post = |body: Value| server.client().post("/projections/churn/what-if", JSON, body.to_string());
    let detail = |body: Value| post(body).problem(400)["detail"].as_str().unwrap().to_owned();
    assert!(detail(json!({"scenarios": []})).contains("from 1 to 16 scenarios"));
    let named = |name: &str| json!({"name": name, "alterations": []});
    assert!(detail(json!({"scenarios": [named("a"), named("a")]})).contains("two scenarios"));
    let scenarios = json!([{"name": "a", "alterations": [{"leave-out": {}}]}]);
    assert!(
        detail(json!({ "scenarios": scenarios })).contains("scenario \"a\", alteration 1: \"leave-out\"")
    );
    assert!(detail(json!({"scenarios": [named("a")], "component": "?"})).contains("not base64"));
    assert!(detail(json!({"scenarios": [named("a")], "settings": ""})).contains("no component"));
    assert!(detail(json!({"scenario": []})).contains("unknown field `scenario`"));

    // Nothing altered makes no difference.
    let same = post(json!({"scenarios": [named("a")]})).ok();
    assert_eq!(same["same"], true, "{same}");
    let request = [("content-type", JSON), ("accept", LINES)];
    let body = json!({"scenarios": [named("a")]}).to_string();
    let listing =
        server.client().send("POST", "/projections/churn/what-if", &request, body.as_bytes()).unwrap();
    assert_eq!((listing.status, listing.header("content-type"), &*listing.body), (200, Some(LINES), ""));
}
