//! Upcasters, natively: one, none, several, failures, and what they take.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use projectionist_sdk::{
    harness::{UpcasterHarness, event},
    prelude::*,
};

const SECOND: &str = "https://example.com/commit/2";

#[derive(Deserialize)]
struct Old {
    author: String,
}

#[derive(Serialize)]
struct Commit {
    name: String,
    pseudonym: Option<String>,
}

struct Commits;

/// Commits as they are today.
#[upcaster]
impl Commits {
    #[upcast(from("commit"), to("commit", "https://example.com/commit/2"))]
    fn apart(old: Old) -> Result<Commit, String> {
        match old.author.split_once('/') {
            Some((_, "")) => Err(format!("{} has an empty pseudonym", old.author)),
            Some((name, pseudonym)) => Ok(Commit { name: name.into(), pseudonym: Some(pseudonym.into()) }),
            None => Ok(Commit { name: old.author, pseudonym: None }),
        }
    }

    #[upcast(from("commit", "https://example.com/commit/2"), to("change"))]
    fn split(event: &Event, files: Vec<String>) -> Vec<Value> {
        Self::all(event, files)
    }

    #[upcast(from("note"), to("remark"))]
    fn dropped(note: String) -> Option<String> {
        Some(note).filter(|note| !note.is_empty())
    }

    fn all(event: &Event, files: Vec<String>) -> Vec<Value> {
        files.into_iter().map(|file| json!({"file": file, "commit": event.subject()})).collect()
    }
}

fn made(event: projectionist_sdk::harness::GivenEvent) -> Result<Vec<Value>, String> {
    UpcasterHarness::<Commits>::new().try_upcast(event)
}

#[test]
fn an_event_becomes_one_several_or_none() {
    let old = |author: &str| event("commit").data(json!({ "author": author }));
    assert_eq!(made(old("ann")).unwrap(), [json!({"name": "ann", "pseudonym": null})]);
    assert_eq!(made(old("ann/a1")).unwrap(), [json!({"name": "ann", "pseudonym": "a1"})]);
    let second = event("commit").subject("c").extension("dataschema", SECOND).data(json!(["a.rs", "b.rs"]));
    let changes = [json!({"file": "a.rs", "commit": "c"}), json!({"file": "b.rs", "commit": "c"})];
    assert_eq!(made(second).unwrap(), changes);
    assert_eq!(made(event("note").data(json!(""))).unwrap(), [json!(null); 0]);
    assert_eq!(made(event("note").data(json!("x"))).unwrap(), [json!("x")]);
}

#[test]
fn data_stay_in_their_media_type() {
    let packed = event("commit").message_pack(json!({"author": "ann/a1"}));
    assert_eq!(made(packed).unwrap(), [json!({"name": "ann", "pseudonym": "a1"})]);
}

#[test]
fn what_cannot_be_taken_on_is_told() {
    let failed = made(event("commit").data(json!({"author": "ann/"}))).unwrap_err();
    assert_eq!(failed, "ann/ has an empty pseudonym");
    let other = made(event("commit").data(json!({"name": "ann"}))).unwrap_err();
    assert!(other.contains("missing field `author`"), "{other}");
    let unknown =
        made(event("commit").extension("dataschema", "/3").data(json!({"author": "ann"}))).unwrap_err();
    assert!(unknown.contains("does not take it"), "{unknown}");
}
