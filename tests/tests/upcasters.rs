//! Upcasters: old events come in their newest shape, to all that want them and to nobody else.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::BTreeMap;

use projectionist_tests::{Random, Server, components, history, live, wait};
use serde_json::{Value, json};

const UPCASTS: &str = "upcasts";

/// All rows of a table.
fn rows(server: &Server, table: &str) -> BTreeMap<String, Value> {
    let page = server.get(&format!("/projections/{table}?limit=10000")).ok();
    assert_eq!(page["next"], Value::Null, "more rows than a page");
    let row = |row: &Value| (row["key"].as_str().unwrap().to_owned(), row["value"].clone());
    page["rows"].as_array().unwrap().iter().map(row).collect()
}

/// A version and the state that it has come to, told from all others.
fn version_and_state(server: &Server, name: &str) -> (String, String) {
    let status = server.until_live(name);
    let live = live(&status);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&live["digest"]), text(&live["state"]["digest"]))
}

/// Whether a plug-in answers with a version that an upcaster is part of.
fn is_made_with(status: &Value, upcaster: &str) -> bool {
    let versions = status["versions"].as_array().unwrap();
    versions.iter().any(|version| version["station"] == "live" && version["upcasters"][0]["name"] == upcaster)
}

/// How authors are split, plainly.
fn split(author: &str) -> (String, Option<String>) {
    match author.rsplit_once('-') {
        Some((name, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) && !number.is_empty() => {
            (name.to_owned(), Some(number.to_owned()))
        }
        _ => (author.to_owned(), None),
    }
}

/// What `people` holds, by a plain fold.
fn people(authors: &BTreeMap<String, u64>) -> BTreeMap<String, Value> {
    let mut people = BTreeMap::<String, (String, u64)>::new();
    for (author, commits) in authors {
        let (name, pseudonym) = split(author);
        let person = people.entry(pseudonym.unwrap_or_else(|| name.clone())).or_default();
        person.0 = name;
        person.1 += commits;
    }
    people
        .into_iter()
        .map(|(key, (name, commits))| (key, json!({"name": name, "commits": commits})))
        .collect()
}

/// The whole log as it is exported.
fn exported(server: &Server) -> String {
    server.run(&["export"]).ok()
}

#[test]
fn old_events_are_split_for_those_who_want_them_and_nothing_else_changes() {
    let history = history::whole();
    let mut server = Server::start();
    server.run(&["import", history.file.to_str().unwrap()]).ok();
    const OTHERS: [&str; 2] = ["churn", "tree"];
    const READERS: [&str; 2] = ["authors", "commits-per-day"];
    OTHERS.iter().chain(&READERS).for_each(|name| server.drop_in(name));
    let before = OTHERS.map(|name| version_and_state(&server, name));
    let read_before = READERS.map(|name| version_and_state(&server, name));
    let log = exported(&server);

    // Both at once: the projection is never given anything but the new shape.
    server.drop_in("people");
    server.drop_in("split-author");
    let status = server.until_health("split-author", "ok");
    assert_eq!(status["kind"], "upcaster");
    assert_eq!(status["upcasts"][0]["to"]["dataschema"], "/schemas/git.commit.authored/2");
    server.until_status("people", "is made with the upcaster", |status| is_made_with(status, "split-author"));
    server.until_live("people");
    assert_eq!(rows(&server, "people/tables/people"), people(&history.expected().authors));

    // Whoever wants the type is another version with the same state; nobody else is.
    for (name, (version, state)) in READERS.iter().zip(&read_before) {
        server.until_other_version(name, version);
        assert_eq!(&version_and_state(&server, name).1, state, "{name}");
        let said = server.run(&["status", name]).ok();
        assert!(said.contains("in the shape of split-author"), "{said}");
        let deployments = server.run(&["deployments", name]).ok();
        assert!(deployments.contains("the upcasters at work have changed: split-author"), "{deployments}");
    }
    assert_eq!(OTHERS.map(|name| version_and_state(&server, name)), before);
    for name in OTHERS {
        assert_eq!(server.status(name).unwrap()["deployments"].as_array().unwrap().len(), 1, "{name}");
    }
    assert!(exported(&server) == log, "the log has changed");

    // New events say it themselves, and pass as they are.
    let data = json!({"name": "Zoe", "pseudonym": "z-1", "author": "Zoe", "summary": "s", "parents": [], "files": 0});
    server.client().append(&[json!({
        "specversion": "1.0", "id": "new-1", "source": "/test", "type": "git.commit.authored", "subject": "c0ffee",
        "dataschema": "/schemas/git.commit.authored/2", "data": data,
    })]);
    server.until_live("people");
    assert_eq!(rows(&server, "people/tables/people")["z-1"], json!({"name": "Zoe", "commits": 1}));

    // Looking back, verifying and going through what happened see the new shape too.
    let at = history.first(2_000);
    let expected = people(&history::Expected::of(&at).authors);
    for (person, value) in expected.iter().take(3) {
        let read = server.run(&["get", "people", "people", person, "--at", "2000", "--json"]).json();
        assert_eq!(read["value"], *value, "{person}");
        let changes = server.run(&["history", "people", "people", person, "--to", "2000", "--json"]).ok();
        assert_eq!(changes.lines().count() as u64, value["commits"].as_u64().unwrap(), "{changes}");
    }
    let verified = server.run(&["verify", "people"]);
    assert!(verified.ok().contains("verified"));
    let same = server.run(&["compare", "people", components::path("people").to_str().unwrap()]);
    assert_eq!(same.code, Some(0), "{same:#?}");
    let nothing = server.get("/projections/split-author/tables/any");
    assert_eq!(nothing.status, 404, "{nothing:?}");

    // A restart changes nothing.
    let all = || ["churn", "tree", "authors", "commits-per-day", "people"];
    let stood = all().map(|name| version_and_state(&server, name));
    server.kill();
    server.restart();
    server.until_health("split-author", "ok");
    assert_eq!(all().map(|name| version_and_state(&server, name)), stood);
    let deployments =
        |server: &Server, name: &str| server.status(name).unwrap()["deployments"].as_array().unwrap().len();
    assert_eq!(deployments(&server, "authors"), 2);

    // Without it, those who can do without are what they were; the others stay with it.
    std::fs::remove_file(server.plugin_file("split-author")).unwrap();
    server.until_health("split-author", "retired");
    for (name, (version, _)) in READERS.iter().zip(&read_before) {
        server.until_status(name, "is what it was", |status| status["live"] == version.as_str());
        server.until_live(name);
    }
    let status = server.until_status("people", "has failed without the upcaster", |status| {
        status["deployments"][0]["outcome"] == "failed"
    });
    let reason = status["deployments"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("missing field `name`"), "{reason}");
    assert_eq!(status["live"], stood[4].0.as_str(), "what answers stays as it is");

    // What a version is made with is kept for as long as it is, though the upcaster itself is forgotten.
    server.run(&["purge", "split-author"]).ok();
    server.kill();
    server.restart();
    assert_eq!(version_and_state(&server, "people"), stood[4]);
    assert!(server.status("split-author").is_none());
}

/// A setting of the upcaster of the tests: what it makes of what.
fn from_to(from: &str, to: &str) -> String {
    format!("[values]\nfrom = \"{from}\"\nto = \"{to}\"\n")
}

fn put_upcaster(server: &Server, name: &str, from: &str, to: &str) {
    server.configure(name, &from_to(from, to));
    components::put(&server.plugin_file(name), &components::bytes(UPCASTS));
}

/// An event whose data say into how many it is to be split.
fn event(number: u64, event_type: &str, data: Value) -> Value {
    json!({
        "specversion": "1.0", "id": format!("e-{number}"), "source": "/test", "type": event_type,
        "subject": format!("s/{}", number % 3), "data": data,
    })
}

fn types(server: &Server) -> BTreeMap<String, u64> {
    server.until_live("event-types");
    let count = |(name, row): (String, Value)| (name, row["count"].as_u64().unwrap());
    rows(server, "event-types/tables/types")
        .into_iter()
        .filter(|(_, row)| row["count"] != 0)
        .map(count)
        .collect()
}

fn counts(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn chains_grow_and_shrink_and_whoever_is_made_anew_takes_over_in_one_step() {
    let server = Server::start();
    let events: Vec<Value> = (0..90)
        .map(|number| event(number, ["a", "b", "z"][number as usize % 3], json!(number % 5)))
        .collect();
    server.client().append(&events);
    server.drop_in("event-types");
    assert_eq!(types(&server), counts(&[("a", 30), ("b", 30), ("z", 30)]));
    let plain = version_and_state(&server, "event-types");
    // Each of 0, 1, 2, 3, 4 as often as the others: 30 events become 60; of these 24 are a 1, 18 a 2, …
    let once = 60;
    let twice = 6 * (1 + 3 + 6 + 10);
    put_upcaster(&server, "b-to-c", "b", "c");
    let second = server.until_other_version("event-types", &plain.0)["live"].clone();
    assert_eq!(types(&server), counts(&[("a", 30), ("c", once), ("z", 30)]));
    put_upcaster(&server, "a-to-b", "a", "b");
    server.until_other_version("event-types", second.as_str().unwrap());
    assert_eq!(types(&server), counts(&[("c", once + twice), ("z", 30)]));

    // What cannot work beside the others does not, and says why.
    put_upcaster(&server, "again", "a", "x");
    let failed = server.until_health("again", "failed");
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.contains("which the upcaster \"a-to-b\" takes already"), "{reason}");
    put_upcaster(&server, "circle", "c", "a");
    let failed = server.until_health("circle", "failed");
    assert!(failed["reason"].as_str().unwrap().contains("for ever"), "{failed}");

    // One that fails at an event keeps what is made with it from taking over.
    server.client().append(&[event(90, "z", json!("fails"))]);
    server.until_live("event-types");
    put_upcaster(&server, "z-to-y", "z", "y");
    server.until_health("z-to-y", "ok");
    let status = server.until_status("event-types", "has failed with it", |status| {
        status["deployments"][0]["outcome"] == "failed"
    });
    let reason = status["deployments"][0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("\"z-to-y\"") && reason.contains("as it was told") && reason.contains("e-90"),
        "{reason}"
    );
    assert_eq!(types(&server), counts(&[("c", once + twice), ("z", 31)]), "what answers goes on");

    // Those that were refused first: they are not to take the places of the others.
    for name in ["again", "circle", "z-to-y", "a-to-b", "b-to-c"] {
        std::fs::remove_file(server.plugin_file(name)).unwrap();
        server.until_health(name, "retired");
    }
    server.until_status("event-types", "is what it was", |status| status["live"] == plain.0.as_str());
    assert_eq!(types(&server), counts(&[("a", 30), ("b", 30), ("z", 31)]));
}

#[test]
fn an_upcaster_on_trial_is_promoted_and_rolled_back_from() {
    let server = Server::start();
    server.client().append(&[event(1, "a", json!(3)), event(2, "b", json!(2))]);
    server.drop_in("event-types");
    put_upcaster(&server, "mine", "a", "c");
    server.until_status("event-types", "is made with it", |status| is_made_with(status, "mine"));
    assert_eq!(types(&server), counts(&[("b", 1), ("c", 3)]));
    let first = server.status("mine").unwrap()["live"].as_str().unwrap().to_owned();

    let file = server.folder().join("other.wasm");
    components::put(&file, &components::bytes(UPCASTS));
    components::put(&file.with_extension("toml"), from_to("b", "d").as_bytes());
    let held = server.run(&["deploy", "--hold", "--name", "mine", file.to_str().unwrap()]);
    assert!(held.ok().contains("on trial"));
    assert_eq!(types(&server), counts(&[("b", 1), ("c", 3)]));
    server.run(&["promote", "mine", "--yes"]).ok();
    server.until_other_version("mine", &first);
    wait::until_true("the new one is at work", || types(&server) == counts(&[("a", 1), ("d", 2)]));
    server.run(&["rollback", "mine", "--yes"]).ok();
    wait::until_true("the old one is at work again", || types(&server) == counts(&[("b", 1), ("c", 3)]));
}

#[test]
fn an_upcaster_that_remembers_what_came_before_is_caught() {
    let server = Server::start();
    put_upcaster(&server, "mine", "a", "b");
    server.until_health("mine", "ok");
    server.drop_in("event-types");
    let events: Vec<Value> = (0..40).map(|number| event(number, "a", json!(number % 3))).collect();
    server.client().append(&events);
    server.until_live("event-types");
    server.run(&["verify", "event-types"]).ok();
    let events: Vec<Value> = (40..80).map(|number| event(number, "a", json!("remembers"))).collect();
    server.client().append(&events);
    server.until_live("event-types");
    let verified = server.run(&["verify", "event-types"]);
    assert_eq!(verified.code, Some(1), "{verified:#?}");
    assert!(verified.output.contains("position 42"), "{verified:#?}");
}

#[test]
fn whoever_came_after_an_upcaster_is_made_anew_when_it_goes() {
    let mut server = Server::start();
    server.client().append(&[event(1, "a", json!(3)), event(2, "z", json!(1))]);
    put_upcaster(&server, "mine", "a", "b");
    server.until_health("mine", "ok");
    server.drop_in("event-types");
    assert_eq!(types(&server), counts(&[("b", 3), ("z", 1)]));
    std::fs::remove_file(server.plugin_file("mine")).unwrap();
    wait::until_true("it is made anew without it", || types(&server) == counts(&[("a", 1), ("z", 1)]));

    // Who was rolled back from what an upcaster made of it can be given other limits, over a restart too.
    put_upcaster(&server, "mine", "a", "b");
    wait::until_true("it is made anew with it", || types(&server) == counts(&[("b", 3), ("z", 1)]));
    server.run(&["rollback", "event-types", "--yes"]).ok();
    assert_eq!(types(&server), counts(&[("a", 1), ("z", 1)]));
    server.configure("event-types", "[policies]\nblock-events = 7\n");
    wait::until_true("the settings are taken", || {
        server.log().contains("new limits or policies for the live version")
    });
    server.kill();
    server.restart();
    server.until_health("mine", "ok");
    assert_eq!(types(&server), counts(&[("a", 1), ("z", 1)]), "nobody has asked for anything else");
}

#[test]
fn what_failed_for_want_of_an_upcaster_is_tried_with_it() {
    let server = Server::start();
    server.run(&["import", history::generated(200).file.to_str().unwrap()]).ok();
    components::put(&server.plugin_file("who"), &components::bytes("authors"));
    let old = server.until_live("who")["live"].as_str().unwrap().to_owned();
    components::put(&server.plugin_file("who"), &components::bytes("people"));
    server.until_status("who", "has failed", |status| status["deployments"][0]["outcome"] == "failed");
    server.drop_in("split-author");
    server.until_other_version("who", &old);
    let status =
        server.until_status("who", "is what the file holds", |status| is_made_with(status, "split-author"));
    assert_eq!(live(&status)["state"]["tables"][0]["name"], "people");
}

#[test]
fn an_upcaster_whose_file_is_renamed_is_at_work_again() {
    let server = Server::start();
    server.client().append(&[event(1, "a", json!(3))]);
    server.drop_in("event-types");
    put_upcaster(&server, "one", "a", "b");
    wait::until_true("it is at work", || types(&server) == counts(&[("b", 3)]));
    server.configure("two", &from_to("a", "b"));
    std::fs::rename(server.plugin_file("one"), server.plugin_file("two")).unwrap();
    server.until_health("one", "retired");
    server.until_health("two", "ok");
    wait::until_true("it is at work again", || types(&server) == counts(&[("b", 3)]));
}

#[test]
fn kills_while_upcasters_come_and_go_lose_nothing() {
    let mut random = Random::printed();
    let mut server = Server::start();
    server.drop_in("event-types");
    let mut sent = 0_u64;
    let mut expected = [0_u64; 2];
    for round in 0..6 {
        let at_work = round % 2 == 0;
        match at_work {
            true => put_upcaster(&server, "a-to-b", "a", "b"),
            false => std::fs::remove_file(server.plugin_file("a-to-b")).unwrap(),
        }
        for _ in 0..random.below(4) {
            let number = sent % 4;
            server.client().append(&[event(sent, "a", json!(number))]);
            (sent, expected) = (sent + 1, [expected[0] + 1, expected[1] + number]);
        }
        std::thread::sleep(std::time::Duration::from_millis(random.below(900)));
        server.kill();
        server.restart();
        let wanted = match at_work {
            true => counts(&[("b", expected[1])]),
            false => counts(&[("a", expected[0])]),
        };
        let wanted: BTreeMap<_, _> = wanted.into_iter().filter(|(_, count)| *count > 0).collect();
        wait::until_true("the upcasters are what the folder says", || types(&server) == wanted);
    }
}

#[test]
fn a_reaction_answers_what_an_event_has_become_once() {
    let mut random = Random::printed();
    let mut server = Server::start();
    put_upcaster(&server, "old", "old", "to-skip");
    server.until_health("old", "ok");
    server.drop_in("echo");
    server.until_live("echo");
    let mut expected = 0;
    for number in 0..200 {
        let parts = random.below(4);
        expected += parts;
        server.client().append(&[event(number, "old", json!(parts))]);
        if number % 50 == 25 {
            server.kill();
            server.restart();
        }
    }
    server.until_live("echo");
    wait::until_true("all is answered", || {
        let answers = server.get("/events?type=skipped&limit=1000").ok();
        answers["events"].as_array().unwrap().len() as u64 == expected
    });
    assert_eq!(rows(&server, "echo/tables/total")["numbers"], expected);
    let status = server.until_live("echo");
    assert!(is_made_with(&status, "old"));
}

#[test]
fn fixtures_and_files_are_played_with_upcasters() {
    let server = Server::stopped();
    let commit = json!({"author": "ann-0042", "summary": "s", "parents": [], "files": 0});
    let fixture = json!({
        "name": "an old commit",
        "steps": [
            {"event": {"type": "git.commit.authored", "subject": "c1", "data": commit}},
            {"expect": {"rows": {"people": {"0042": {"name": "ann", "commits": 1}}}}},
        ],
    });
    let file = server.folder().join("commit.json");
    std::fs::write(&file, fixture.to_string()).unwrap();
    let path = |name: &str| components::path(name).to_str().unwrap().to_owned();
    let (people, split, churn) = (path("people"), path("split-author"), path("churn"));
    let file = file.to_str().unwrap();
    server.run(&["test", &people, file, "--upcaster", &split]).ok();
    assert_eq!(server.run(&["test", &people, file]).code, Some(1), "it does not know old commits");
    let wrong = server.run(&["test", &people, file, "--upcaster", &churn]);
    assert!(wrong.code == Some(5) && wrong.errors.contains("no upcaster"), "{wrong:#?}");
    let alone = server.run(&["test", &split, file]);
    assert!(alone.errors.contains("--upcaster"), "{alone:#?}");

    let events = history::generated(200);
    let events = events.file.to_str().unwrap();
    let folded =
        server.run(&["run", &people, events, "--upcaster", &split, "--table", "people", "--json"]).ok();
    assert!(folded.lines().count() > 0, "{folded}");
}
