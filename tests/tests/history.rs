//! The history of a real repository, imported and folded: what comes out is
//! what a plain fold makes of it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::BTreeMap;

use projectionist_tests::{Server, history, live};
use serde_json::Value;

/// All rows of a table, page by page.
fn rows(server: &Server, table: &str) -> Vec<(Value, Value)> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.get(&format!("/projections/{table}?limit=5000{cursor}")).ok();
        for row in page["rows"].as_array().expect("rows") {
            rows.push((row["key"].clone(), row["value"].clone()));
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

/// A table's counts by its keys.
fn counts(server: &Server, table: &str, field: &str) -> BTreeMap<String, u64> {
    let count = |value: &Value| value[field].as_u64().unwrap_or_else(|| panic!("no {field}: {value}"));
    rows(server, table).iter().map(|(key, value)| (text(key), count(value))).collect()
}

fn text(key: &Value) -> String {
    key.as_str().unwrap_or_else(|| panic!("no text: {key}")).to_owned()
}

#[test]
fn what_comes_out_is_what_a_plain_fold_makes_of_it() {
    let history = history::whole();
    let expected = history.expected();
    let file = history.file.to_str().expect("a plain path");
    let server = Server::start();

    // Some fold live as the events come in, the others replay.
    server.drop_in("event-types");
    server.drop_in("churn");
    let imported = server.run(&["import", "--json", file]).json();
    assert_eq!((&imported["new"], &imported["known"]), (&expected.events.into(), &0.into()));
    for name in ["authors", "commits-per-day", "tree", "subjects"] {
        server.drop_in(name);
    }
    assert_eq!(server.head(), expected.events);
    for name in ["event-types", "churn", "authors", "commits-per-day", "tree", "subjects"] {
        server.until_live(name);
    }
    assert_eq!(counts(&server, "event-types/tables/types", "count"), expected.types);
    assert_eq!(counts(&server, "churn/tables/files", "changes"), expected.changes);
    assert_eq!(counts(&server, "authors/tables/authors", "commits"), expected.authors);
    assert_eq!(counts(&server, "commits-per-day/tables/days", "commits"), expected.days);
    let tree: Vec<String> = rows(&server, "tree/tables/files").iter().map(|(key, _)| text(key)).collect();
    assert!(tree.iter().eq(expected.tree.iter()), "{} files instead of {}", tree.len(), expected.tree.len());
    if history.real {
        the_data_set(&expected);
    }

    // Importing it again adds nothing and changes nothing.
    let digests = || ["event-types", "churn", "tree"].map(|name| server.state_digest(name));
    let before = digests();
    let again = server.run(&["import", "--json", file]).json();
    assert_eq!((&again["new"], &again["known"]), (&0.into(), &expected.events.into()));
    assert_eq!(server.head(), expected.events);
    assert_eq!(digests(), before);

    // A replay gives the state that folding live gave.
    let replayed = std::fs::read(server.plugin_file("churn")).unwrap();
    std::fs::write(server.plugin_file("replayed"), replayed).unwrap();
    assert_eq!(server.state_digest("replayed"), before[1]);
    let status = server.until_live("replayed");
    assert_eq!(live(&status)["state"]["tables"][0]["keys"], expected.changes.len());
}

/// What is known of the data set, so that the plain fold is checked too.
fn the_data_set(expected: &history::Expected) {
    assert_eq!(expected.events, 154_852);
    let types = [
        ("git.commit.authored", 17_080),
        ("git.file.added", 12_929),
        ("git.file.deleted", 5_630),
        ("git.file.modified", 116_261),
        ("git.file.renamed", 2_952),
    ];
    assert_eq!(expected.types, types.map(|(name, count)| (name.to_owned(), count)).into());
    assert_eq!(expected.authors.len(), 843);
    assert_eq!(expected.changes.len(), 15_521);
    for (path, changes) in [("Cargo.lock", 1_238), ("Cargo.toml", 972), (".github/workflows/main.yml", 517)] {
        assert_eq!(expected.changes[path], changes);
    }
}
