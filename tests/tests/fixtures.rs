//! Fixtures: what `test` says of them. What `fixture` makes of history: `fixtures_of_history.rs`;
//! those that ship: `fixtures_shipped.rs`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::fs;

use expect_test::{Expect, expect};
use projectionist_tests::{
    components,
    program::{self, Ended},
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Settings with which activation-mail and reminder reach their mail service.
const MAIL: &str = r#"
settings:
  http: {allow: [{host: "https://mail.example", methods: [POST]}]}
  secrets: {mail-token: {env: NOBODY_SETS_THIS, hosts: ["https://mail.example"]}}
  values: {mail-service: "https://mail.example"}
"#;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Plays a file of fixtures.
fn play(plugin: &str, fixtures: &str, more: &[&str]) -> Ended {
    let folder = folder();
    fs::write(folder.path().join("f.yaml"), fixtures).unwrap();
    let component = components::path(plugin);
    let arguments = ["test", component.to_str().unwrap(), "f.yaml"];
    program::run_in(folder.path(), arguments.iter().chain(more))
}

/// How long it took is another matter.
fn shown(output: &str) -> String {
    let line = |line: &str| match line.rsplit_once(" in ") {
        Some((before, _)) if line.contains("passed") => format!("{before} in …\n"),
        _ => format!("{line}\n"),
    };
    output.lines().map(line).collect()
}

#[track_caller]
fn check(plugin: &str, fixtures: &str, code: i32, expected: Expect) {
    let ended = play(plugin, fixtures, &[]);
    expected.assert_eq(&shown(&ended.output));
    assert_eq!(ended.code, Some(code), "{}", ended.errors);
}

#[test]
fn what_differs_in_a_projection_is_shown() {
    let fixtures = "
name: two people change a file
steps:
  - events:
      - {type: git.file.added, subject: src/lib.rs, data: {author: ann}}
      - {type: git.file.modified, subject: src/lib.rs, data: {author: bob}}
  - expect:
      rows:
        files:
          src/lib.rs: {changes: 3, last_author: bob}
          src/main.rs: {changes: 1}
      absent: {files: [src/lib.rs]}
      count: {files: 2}
      tables:
        files: {README.md: {}, src/lib.rs: {changes: 2.0}}
      queries:
        - {query: hottest, arguments: {limit: 1}, answer: [[src/lib.rs, {changes: 5}]]}
        - {query: coldest, answer: []}
---
name: a whole row
steps:
  - event: {type: git.file.added, subject: a, data: {author: ann}}
  - expect: {exact: true, rows: {files: {a: {changes: 1}}}}
---
name: keys
steps:
  - expect:
      rows: {files.by_changes: {x: null}}
---
name: passes
steps:
  - expect: {tables: {files: {}}}
";
    check(
        "churn",
        fixtures,
        1,
        expect![[r#"
        FAILED  f.yaml: two people change a file
        FAILED  f.yaml: a whole row
        FAILED  f.yaml: keys
        ok      f.yaml: passes

        failed: f.yaml: two people change a file
          f.yaml:10: the row "src/lib.rs" of files (- expected, + there)
              {
            -   "changes": 3,
            +   "changes": 2,
                "last_author": "bob"
              }
          f.yaml:11: files has no row "src/main.rs"; it has src/lib.rs
            - {
            -   "changes": 1
            - }
          f.yaml:12: files has a row "src/lib.rs", which should not be there
            + {
            +   "changes": 2,
            +   "last_author": "bob"
            + }
          f.yaml:13: how many keys files has (- expected, + there)
            - 2
            + 1
          f.yaml:15: the table files (- expected, + there)
              {
            -   "README.md": {},
                "src/lib.rs": {
                  "changes": 2.0
                }
              … 1 line
          f.yaml:17: the query hottest with {"limit":1} (- expected, + there)
              … 1 line
                [
                  "src/lib.rs",
                  {
            -       "changes": 5
            +       "changes": 2
                  }
                ]
              ]
          f.yaml:18: there is no query coldest; it has: hottest

        failed: f.yaml: a whole row
          f.yaml:23: the row "a" of files (- expected, + there)
              {
            -   "changes": 1
            +   "changes": 1,
            +   "last_author": "ann"
              }

        failed: f.yaml: keys
          f.yaml:28: no key of table "files.by_changes": "x" is no integer of 64 bits

        1 passed, 3 failed in …
    "#]],
    );
}

#[test]
fn an_event_that_cannot_be_folded_has_to_be_expected() {
    let halts = "{name: NAME, steps: [{event: {type: git.file.added, subject: a, data: {}}}EXPECT]}\n---\n";
    let expecting = |name: &str, expect: &str| halts.replace("NAME", name).replace("EXPECT", expect);
    let settings = "settings: {policies: {on-failure: dead-letter}}, steps";
    let letters = expecting("a dead letter", "").replace("steps", settings);
    let fixtures = [
        expecting("halts", ""),
        expecting("goes on", ", {advance: 1s}"),
        expecting("for another reason", ", {expect: {halted: no author}}"),
        expecting("as expected", ", {expect: {halted: author}}"),
        letters,
    ];
    check(
        "churn",
        fixtures.concat().trim_end_matches("---\n"),
        1,
        expect![[r#"
        FAILED  f.yaml: halts
        FAILED  f.yaml: goes on
        FAILED  f.yaml: for another reason
        ok      f.yaml: as expected
        FAILED  f.yaml: a dead letter

        failed: f.yaml: halts
          f.yaml:1: it has halted at position 1 (event "event-1" of type "git.file.added"): the data of `git.file.added` cannot be read: missing field `author` at line 1 column 2
            if that is right, expect it: `halted`

        failed: f.yaml: goes on
          f.yaml:3: nothing can be done any more: it has halted at position 1 (event "event-1" of type "git.file.added"): the data of `git.file.added` cannot be read: missing field `author` at line 1 column 2

        failed: f.yaml: for another reason
          f.yaml:5: it has halted, for another reason (- expected, + there)
            - "no author"
            + "at position 1 (event \"event-1\" of type \"git.file.added\"): the data of `git.file.added` cannot be read: missing field `author` at line 1 column 2"

        failed: f.yaml: a dead letter
          f.yaml:9: events could not be handled; if that is right, expect it: `dead-letters`
            + [
            +   {
            +     "position": 1,
            +     "id": "event-1",
            +     "type": "git.file.added",
            +     "subject": "a",
            +     "reason": "the data of `git.file.added` cannot be read: missing field `author` at line 1 column 2"
            +   }
            + ]

        1 passed, 4 failed in …
    "#]],
    );
}

#[test]
fn a_reactions_calls_are_answered_by_the_fixture_alone() {
    let event = "{type: account.created, subject: account/ann, data: {mail: ann@example.org}}";
    let fixtures = format!(
        "
name: an unexpected call
{MAIL}
steps:
  - event: {event}
---
name: a call with another body
{MAIL}
steps:
  - calls: [{{call: POST https://mail.example/send, body: {{to: bob@example.org}}}}]
  - event: {event}
---
name: a call that is not allowed, and so is not made
settings: {{values: {{mail-service: \"https://mail.example\"}}}}
steps:
  - calls: [{{call: POST https://mail.example/send}}]
  - event: {event}
---
name: another effect
{MAIL}
steps:
  - calls: [{{call: POST https://mail.example/send, respond: {{status: 202}}}}]
  - event: {event}
  - expect:
      appended: [{{type: activation-mail.refused, subject: account/ann}}]
      calls: [{{status: 200}}]
---
name: what waits has to be expected
{MAIL}
steps:
  - calls: [{{call: POST https://mail.example/send, respond: {{status: 503}}}}]
  - event: {event}
"
    );
    check(
        "activation-mail",
        &fixtures,
        1,
        expect![[r#"
        FAILED  f.yaml: an unexpected call
        FAILED  f.yaml: a call with another body
        FAILED  f.yaml: a call that is not allowed, and so is not made
        FAILED  f.yaml: another effect
        FAILED  f.yaml: what waits has to be expected

        failed: f.yaml: an unexpected call
          f.yaml:10: an unexpected call: POST https://mail.example/send
            if it is right, say before this step what comes of it:
            - calls:
                - call: POST https://mail.example/send
                  respond: {status: 200}
            + {
            +   "call": "POST https://mail.example/send",
            +   "headers": {
            +     "authorization": "Bearer {secret:mail-token}",
            +     "content-type": "application/json"
            +   },
            +   "body": {
            +     "account": "account/ann",
            +     "template": "activation",
            +     "to": "ann@example.org"
            +   }
            + }

        failed: f.yaml: a call with another body
          f.yaml:21: another call to POST https://mail.example/send than the one expected (- expected, + there)
              {
                "call": "POST https://mail.example/send",
                "body": {
            -     "to": "bob@example.org"
            +     "to": "ann@example.org"
                }
              }

        failed: f.yaml: a call that is not allowed, and so is not made
          f.yaml:27: events could not be handled; if that is right, expect it: `dead-letters`
            + [
            +   {
            +     "position": 1,
            +     "id": "event-1",
            +     "type": "account.created",
            +     "subject": "account/ann",
            +     "attempts": 1,
            +     "reason": "the call is not allowed: https://mail.example is not allowed: the settings file names it in no [[http.allow]]"
            +   }
            + ]
          f.yaml:26: a call was not made, or not so often
            - {
            -   "call": "POST https://mail.example/send"
            - }

        failed: f.yaml: another effect
          f.yaml:40: the events appended (- expected, + there)
              [
                {
            -     "type": "activation-mail.refused",
            +     "type": "activation-mail.sent",
                  "subject": "account/ann"
                }
              ]
          f.yaml:41: the calls made (- expected, + there)
              [
                {
            -     "status": 200
            +     "status": 202
                }
              ]

        failed: f.yaml: what waits has to be expected
          f.yaml:52: events still wait to be tried again; move the time with `advance`, or expect it: `waiting`
            + [
            +   {
            +     "position": 1,
            +     "id": "event-1",
            +     "type": "account.created",
            +     "subject": "account/ann",
            +     "attempts": 1,
            +     "next": "2026-01-01T00:00:01Z",
            +     "reason": "the answer is 503"
            +   }
            + ]

        0 passed, 5 failed in …
    "#]],
    );
}

#[test]
fn what_fails_is_tried_again_as_time_is_moved_until_it_is_given_up() {
    let fixture = format!(
        "
name: three times in vain
{MAIL}
  retries: {{first: 1s, factor: 3.0, attempts: 3}}
steps:
  - calls:
      - {{call: POST https://mail.example/send, respond: {{status: 503}}, times: 2}}
      - {{call: POST https://mail.example/send, fails: no-connection}}
  - event: {{type: account.created, subject: account/ann, data: {{mail: ann@example.org}}}}
  - until: 2026-01-01T00:00:00.999999Z
  - expect:
      calls: [{{status: 503}}]
      waiting: [{{attempts: 1, next: \"2026-01-01T00:00:01Z\", reason: \"503\"}}]
  - advance: 1h
  - expect:
      calls: [{{status: 503}}, {{fails: no-connection}}]
      waiting: []
      appended: []
      dead-letters: [{{subject: account/ann, attempts: 3, reason: no connection}}]
"
    );
    play("activation-mail", &fixture, &[]).ok();
}

#[test]
fn machines_read_a_document_a_line() {
    let fixtures = "
name: fails
steps: [{expect: {count: {files: 1}}}]
---
name: passes
steps: [{expect: {count: {files: 0}}}]
";
    let ended = play("churn", fixtures, &["--json"]);
    let mut lines: Vec<Value> =
        ended.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &mut lines {
        assert!(line["seconds"].take().is_f64());
    }
    assert_eq!(
        lines,
        [
            json!({"fixture": "fails", "file": "f.yaml", "result": "failed", "seconds": null, "printed": [], "faults": [
                {"line": 3, "what": "how many keys files has", "expected": 1, "found": 0}
            ]}),
            json!({
                "fixture": "passes", "file": "f.yaml", "result": "ok", "seconds": null, "printed": [], "faults": []
            }),
            json!({"passed": 1, "failed": 1, "left-out": 0, "seconds": null}),
        ]
    );
    assert_eq!(ended.code, Some(1));
    assert_eq!(
        shown(&play("churn", fixtures, &["-k", "pass"]).ok()),
        "ok      f.yaml: passes\n\n1 passed, 0 failed, 1 left out in …\n"
    );
    assert_eq!(play("churn", fixtures, &["--list"]).ok(), "f.yaml: fails\nf.yaml: passes\n");
    assert_eq!(play("churn", fixtures, &["--filter", "nothing"]).code, Some(4));
}

#[test]
fn what_cannot_be_read_ends_it_before_anything_is_played() {
    let check = |fixtures: &str, message: Expect| {
        let ended = play("churn", fixtures, &[]);
        message.assert_eq(&ended.errors);
        assert_eq!((ended.code, ended.output.as_str()), (Some(5), ""));
    };
    check(
        "steps:\n  - event: {type: t}\n  - expect:\n      row: {}\n",
        expect![[r#"
        error: f.yaml:4: unknown field `row`, expected one of exact, rows, absent, tables, count, queries, halted, dead-letters, waiting, appended, calls, timers
    "#]],
    );
    check(
        "steps:\n  - event: {subject: s}\n",
        expect![[r#"
        error: f.yaml:2: no event: attribute "type" is missing or empty; CloudEvents requires it
    "#]],
    );
    check(
        "steps: [\n",
        expect![[r#"
        error: f.yaml:1: unclosed bracket '['
    "#]],
    );
    let folder = folder();
    let component = components::path("churn");
    let component = component.to_str().unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    fs::write(folder.path().join("f.yaml"), "steps: []").unwrap();
    for (arguments, code, message) in [
        (&["test", component, "nowhere"][..], 5, "nowhere cannot be read"),
        (&["test", component, "empty"], 5, "there is no .yaml, .yml or .json file in the folder"),
        (&["test", "nowhere.wasm", "f.yaml"], 5, "nowhere.wasm cannot be read"),
        (&["test", "f.yaml", component], 5, "the component is named before them"),
        (&["test", "f.yaml", "f.yaml"], 5, "f"),
        (&["test", component], 2, "<FIXTURES>"),
        (&["fixture", "--subject", "s"], 2, "--from-log"),
        (&["fixture", "--from-log"], 2, "--subject"),
        (&["fixture", "--from-log", "--subject", "s", "--plugin", "churn"], 2, "--component churn.wasm"),
        (&["fixture", "--from-log", "--subject", "s", "--each"], 2, "--plugin FILE.wasm"),
        (&["fixture", "--from-log", "--subject", "s"], 4, "there is no data folder"),
    ] {
        let ended = program::run_in(folder.path(), arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.errors);
        assert!(ended.errors.contains(message), "{arguments:?}: {}", ended.errors);
    }
}

/// All below a folder, in the order of their names; JSON as well.
#[test]
fn a_folder_of_fixtures() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("all/below")).unwrap();
    fs::write(at("all/b.json"), json!({"steps": [{"expect": {"count": {"files": 0}}}]}).to_string()).unwrap();
    fs::write(at("all/below/a.yml"), "steps: []\n").unwrap();
    fs::write(at("all/README.md"), "not this one").unwrap();
    let component = components::path("churn");
    let ended = program::run_in(folder.path(), ["test", component.to_str().unwrap(), "all"]);
    assert_eq!(
        shown(&ended.ok()),
        "ok      all/b.json: b\nok      all/below/a.yml: a\n\n2 passed, 0 failed in …\n"
    );
}
