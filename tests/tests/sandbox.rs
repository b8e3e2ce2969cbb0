//! A plug-in can harm nobody but itself: each that misbehaves fails with a
//! clear reason, while the host and its neighbours go on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::fs;

use projectionist_tests::{Server, components};
use serde_json::{Value, json};

const NEIGHBOUR: &str = "counts";

/// Not as long as usual, as there are many of them; and so little memory that it is full before.
const LIMITS: &str = "[limits]\ncpu = \"500ms\"\nmemory = \"16 MiB\"\n";

/// The plug-ins that misbehave at an event, and what the reason must say.
const MISBEHAVIOURS: &[(&str, &str)] = &[
    ("spins", "limits.cpu"),
    ("hoards", "limits.memory"),
    ("recurses", "recurs"),
    ("floods", "limits.flush"),
    ("opens-file", "sandbox has no"),
    ("connects", "sandbox has no"),
    ("panics", "panicked"),
    ("randomizes", "random bytes"),
    ("refuses", "out of focus"),
    ("sleeps", "timer"),
];

fn event(id: &str, event_type: &str) -> Value {
    json!({ "specversion": "1.0", "id": id, "source": "/test", "type": event_type, "data": { "id": id } })
}

/// How many events the neighbour has counted.
fn counted(server: &Server) -> u64 {
    let head = server.head();
    let answer = server.get(&format!("/projections/{NEIGHBOUR}/queries/total?at-least={head}&timeout=60s"));
    answer.ok().as_u64().expect("a number")
}

fn reason(status: &Value) -> String {
    let reason = status["reason"].as_str().unwrap_or_else(|| panic!("no reason: {status:#}"));
    // What a guest's own panic says is quoted, whatever it is; nothing of ours may look like this.
    for sign in ["Trap::", "wasm backtrace", "wasmtime", "anyhow"] {
        assert!(!reason.contains(sign), "a debug dump (\"{sign}\") in: {reason}");
    }
    reason.to_owned()
}

#[test]
fn what_misbehaves_in_replay_fails_and_never_becomes_live() {
    let mut server = Server::start();
    server.drop_in(NEIGHBOUR);
    for number in 1..=20 {
        server.client().append(&[event(&format!("e{number}"), "plain")]);
    }
    for (name, _) in MISBEHAVIOURS {
        fs::write(server.plugins().join(format!("{name}.toml")), LIMITS).unwrap();
        server.drop_in(name);
    }
    for (name, expected) in MISBEHAVIOURS {
        let status = server.until_health(name, "failed");
        let reason = reason(&status);
        println!("{name}: {reason}");
        assert!(reason.contains(expected), "{name}: {reason}");
        assert!(reason.contains("position"), "{name} does not say where: {reason}");
        assert_eq!(status["deployments"][0]["outcome"], "failed");
        assert_eq!(server.get(&format!("/projections/{name}/queries/total")).status, 503);
        assert_eq!(counted(&server), 20);
    }
    assert!(server.is_running());
    if let Some(memory) = server.memory() {
        println!("{} MiB held", memory >> 20);
        assert!(memory < 3 << 30, "{} MiB held", memory >> 20);
    }
}

#[test]
fn what_misbehaves_later_halts_at_its_event_and_keeps_answering() {
    let mut server = Server::start();
    server.drop_in(NEIGHBOUR);
    for (name, _) in MISBEHAVIOURS {
        let settings = format!("{LIMITS}[values]\nat = \"provoking\"\n");
        fs::write(server.plugins().join(format!("{name}.toml")), settings).unwrap();
        server.drop_in(name);
    }
    server.client().append(&[event("plain", "plain")]);
    // This one misbehaves when it flushes, whatever the event.
    let later: Vec<_> = MISBEHAVIOURS.iter().filter(|(name, _)| *name != "floods").collect();
    for (name, _) in &later {
        server.until_live(name);
    }
    server.client().append(&[event("provoking", "provoking"), event("after", "plain")]);
    for (name, expected) in &later {
        let status = server.until_health(name, "halted");
        let reason = reason(&status);
        println!("{name}: {reason}");
        assert!(reason.contains(expected), "{name}: {reason}");
        assert!(
            reason.contains('2') && reason.contains("provoking"),
            "{name} does not say at which event: {reason}"
        );
        assert_eq!(status["position"], 1, "{name} folded past the event: {status:#}");
        // What it had folded is still there.
        assert_eq!(server.get(&format!("/projections/{name}/queries/total")).ok(), 1, "{name}");
        let waiting = server.get(&format!("/projections/{name}/queries/total?at-least=3&timeout=100ms"));
        assert_eq!(waiting.status, 503);
        assert!(waiting.json()["detail"].as_str().unwrap().contains("halted"), "{waiting:#?}");
    }
    assert_eq!(counted(&server), 3);
    assert!(server.is_running());
    assert_ne!(server.get("/readyz").status, 200, "a halted plug-in shows in /readyz");
}

#[test]
fn an_event_that_cannot_be_folded_becomes_a_dead_letter_where_the_settings_say_so() {
    let server = Server::start();
    let settings = "[policies]\non-failure = \"dead-letter\"\n[values]\nat = \"provoking\"\n";
    for name in ["refuses", "panics"] {
        fs::write(server.plugins().join(format!("{name}.toml")), settings).unwrap();
        server.drop_in(name);
    }
    for (number, event_type) in ["plain", "provoking", "plain", "provoking", "plain"].iter().enumerate() {
        server.client().append(&[event(&number.to_string(), event_type)]);
    }
    for name in ["refuses", "panics"] {
        let status = server.until_live(name);
        let state = &projectionist_tests::live(&status)["state"];
        assert_eq!(state["dead-letters"], 2, "{status:#}");
        assert_eq!(server.get(&format!("/projections/{name}/queries/total")).ok(), 3);
    }
}

#[test]
fn files_that_are_no_components_fail_with_the_reason() {
    let mut server = Server::start();
    server.drop_in(NEIGHBOUR);
    let component = components::bytes(NEIGHBOUR);
    let cases: &[(&str, Vec<u8>)] = &[
        ("text", b"this is only text, whatever its name says".to_vec()),
        ("empty", Vec::new()),
        ("truncated", component[..component.len() / 2].to_vec()),
        ("core-module", b"\0asm\x01\0\0\0".to_vec()),
        ("corrupted", {
            let mut bytes = component.clone();
            let middle = bytes.len() / 2;
            bytes[middle..middle + 64].fill(0xff);
            bytes
        }),
        ("wrong-describe", components::bytes("wrong-describe")),
    ];
    for (name, bytes) in cases {
        components::put(&server.plugin_file(name), bytes);
    }
    for (name, _) in cases {
        let reason = reason(&server.until_health(name, "failed"));
        println!("{name}: {reason}");
        assert!(reason.len() > 20, "{name}: {reason}");
        let problem = server.get(&format!("/projections/{name}/tables/counts")).problem(503);
        assert!(problem["detail"].as_str().unwrap().contains(&reason[..20]), "{name}: {problem}");
    }
    server.client().append(&[event("1", "plain")]);
    assert_eq!(counted(&server), 1);

    // The live version of a name stays when its file is overwritten with nonsense.
    components::put(&server.plugin_file(NEIGHBOUR), b"nonsense");
    server.until_status(NEIGHBOUR, "has a failed deployment", |status| {
        status["deployments"][0]["outcome"] == "failed"
    });
    server.client().append(&[event("2", "plain")]);
    assert_eq!(counted(&server), 2);
    assert_eq!(server.until_live(NEIGHBOUR)["health"], "ok");
    assert!(server.is_running());
}

#[test]
fn what_a_plug_in_prints_is_kept_but_only_the_end_of_it() {
    let server = Server::start();
    server.drop_in("talks");
    server.client().append(&[event("1", "plain"), event("2", "plain")]);
    let status = server.until_live("talks");
    let output = status["output"].as_array().unwrap();
    assert!(output.len() <= 200, "{} lines", output.len());
    assert!(output.iter().any(|line| line["line"].as_str().unwrap().contains("2: line 999")), "{output:#?}");
}
