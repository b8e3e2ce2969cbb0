//! Verification: what keeps something outside its tables is caught, what does not passes, and what
//! came of it is kept.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::fs;

use projectionist_tests::{Random, Server, history, live, program, wait};
use serde_json::{Value, json};

/// An event of a type, about a subject; it has its number as its id.
fn event(number: u64, event_type: &str, subject: &str) -> Value {
    json!({"specversion": "1.0", "id": format!("e{number}"), "source": "/test", "type": event_type,
        "subject": subject})
}

fn append(server: &Server, events: &[Value]) {
    for events in events.chunks(500) {
        server.client().append(events);
    }
}

/// Verifies with the command, which must end so; what it wrote, read as JSON.
#[track_caller]
fn verify(server: &Server, name: &str, code: i32) -> Value {
    let ended = server.run(&["verify", name, "--json"]);
    assert_eq!(ended.code, Some(code), "{ended:#?}\n{}", server.log());
    serde_json::from_str(&ended.output).unwrap()
}

/// No two ways came to different digests, and they came to what stands.
#[track_caller]
fn assert_verified(verification: &Value, ways: usize) {
    assert_eq!(verification["verdict"], "verified", "{verification:#}");
    let folds = verification["folds"].as_array().unwrap();
    assert_eq!(folds.len(), ways, "{verification:#}");
    assert!(folds.iter().all(|fold| fold["digest"] == verification["digest"]), "{verification:#}");
}

/// The verification that a status shows of the live version.
fn shown(server: &Server, name: &str) -> Value {
    live(&server.status(name).unwrap())["verification"].clone()
}

#[test]
fn what_leaks_is_caught_with_the_event_and_the_key() {
    let mut random = Random::printed();
    // In a short log each event is folded alone in any case; in a long one only to find where.
    for events in [40 + random.below(60), 6_000 + random.below(500)] {
        let mut server = Server::start();
        server.drop_in("leaky");
        server.until_live("leaky");
        // The first mark is one that a fresh instance would set to 1.
        let first = 2 + random.below(events / 2);
        let events = (1..=events).map(|number| {
            let marks = number == first || (number > first && random.below(5) == 0);
            let subject = format!("subject-{}", number % 7);
            event(number, if marks { "mark" } else { "step" }, &subject)
        });
        let events: Vec<_> = events.collect();
        append(&server, &events);
        server.until_live("leaky");

        let verification = verify(&server, "leaky", 1);
        assert_eq!(verification["verdict"], "differs");
        assert_eq!(verification["position"], server.head());
        let difference = &verification["difference"];
        let subject = format!("subject-{}", first % 7);
        assert_eq!(
            difference["event"],
            json!({"position": first, "id": format!("e{first}"), "type": "mark", "subject": subject}),
            "{verification:#}"
        );
        assert_eq!(difference["count"], 1);
        let rows = difference["rows"].as_array().unwrap();
        let [row] = rows.as_slice() else { panic!("{rows:#?}") };
        assert_eq!(
            [&row["table"], &row["key"], &row["before"]],
            [&json!("marks"), &json!(subject), &json!(1)]
        );
        assert_ne!(row["after"], 1, "an instance has seen more");

        // People are told the same, now and later, and after a restart.
        let ended = server.run(&["verify", "leaky"]);
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        for said in
            ["outside its tables", &format!("event e{first} of type mark"), &format!("- {subject}  1\n")]
        {
            assert!(ended.output.contains(said), "{said}: {ended:#?}");
        }
        let kept = shown(&server, "leaky");
        assert_eq!(kept["difference"]["event"], difference["event"]);
        assert!(server.stop());
        server.restart();
        server.until_live("leaky");
        assert_eq!(shown(&server, "leaky"), kept);
        let status = server.run(&["status", "leaky"]).ok();
        assert!(status.contains("differs") && status.contains("outside its tables"), "{status}");
        assert!(server.run(&["status"]).ok().contains("differs when it is folded again"));
        assert_eq!(fs::read_dir(server.data().join("rooms")).map_or(0, Iterator::count), 0);
    }
}

#[test]
fn churn_is_what_history_makes_of_it() {
    let mut server = Server::start();
    server.run(&["import", history::whole().file.to_str().unwrap()]).ok();
    server.drop_in("churn");
    server.until_live("churn");
    let before = server.status("churn").unwrap();
    let ended = server.run(&["verify", "churn"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.output.contains("churn: verified up to position"), "{ended:#?}");
    let kept = shown(&server, "churn");
    assert_verified(&kept, if server.head() > 5_000 { 2 } else { 3 });
    assert_eq!(kept["digest"], live(&before)["state"]["digest"]);
    assert_eq!(kept["position"], server.head());
    let after = server.status("churn").unwrap();
    assert_eq!((&after["position"], &after["deployments"]), (&before["position"], &before["deployments"]));

    // It is kept with the version, and read by itself.
    server.kill();
    server.restart();
    server.until_live("churn");
    assert_eq!(shown(&server, "churn"), kept);
    let read = server.get("/projections/churn/verify").ok();
    assert_eq!((&read["last"], &read["underway"]), (&kept, &Value::Null));
    assert!(server.run(&["status", "churn"]).ok().contains("verified up to position"));
}

/// The property: whatever the log, all ways come to what stands.
#[test]
fn whatever_the_log_honest_plug_ins_come_to_the_same() {
    let mut random = Random::printed();
    for _ in 0..3 {
        let server = Server::start();
        let partitions = 1 + random.below(4);
        server.configure("tally", &format!("[policies]\npartitions = {partitions}\n"));
        // Events that it cannot fold are put aside.
        let settings = "[policies]\non-failure = \"dead-letter\"\n[values]\nat = \"refused\"\n";
        server.configure("refuses", settings);
        let names = ["meter", "tally", "refuses"];
        names.iter().for_each(|name| server.drop_in(name));
        let (mut number, mut refused) = (0, 0);
        for _ in 0..1 + random.below(4) {
            let events: Vec<_> = (0..1 + random.below(70))
                .map(|_| {
                    number += 1;
                    let event_type = *random.pick(&["one", "two", "three", "refused"]);
                    refused += u64::from(event_type == "refused");
                    event(number, event_type, &format!("{}/{number}", random.below(9)))
                })
                .collect();
            append(&server, &events);
        }
        for name in names {
            server.until_live(name);
            let verification = verify(&server, name, 0);
            assert_verified(&verification, if name == "tally" { 4 } else { 3 });
            assert_eq!(verification["position"], number);
            let letters = if name == "refuses" { refused } else { 0 };
            let folds = verification["folds"].as_array().unwrap();
            assert!(folds.iter().all(|fold| fold["dead-letters"] == letters), "{verification:#}");
        }
    }
}

#[test]
fn a_damaged_file_is_told_from_code_that_leaks() {
    let mut server = Server::start();
    server.drop_in("meter");
    server.until_live("meter");
    let subjects = (1..=50).map(|number| event(number, "one", if number == 30 { "needle-a" } else { "hay" }));
    append(&server, &subjects.collect::<Vec<_>>());
    server.until_live("meter");
    assert_verified(&verify(&server, "meter", 0), 3);
    assert!(server.stop());
    let mut damaged = 0;
    for file in fs::read_dir(server.data().join("state/meter")).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        while let Some(at) = bytes.windows(8).position(|window| window == b"needle-a") {
            bytes[at..at + 8].copy_from_slice(b"needle-b");
            damaged += 1;
        }
        fs::write(&path, bytes).unwrap();
    }
    assert!(damaged > 0);
    server.restart();
    server.until_live("meter");
    let verification = verify(&server, "meter", 1);
    let difference = &verification["difference"];
    assert!(difference["summary"].as_str().unwrap().contains("a file was damaged"), "{verification:#}");
    assert_eq!((&difference["event"], &difference["count"]), (&Value::Null, &json!(1)));
    assert_eq!(
        difference["rows"],
        json!([{"table": "events", "key": ["one", 30], "before": "needle-a", "after": "needle-b"}])
    );
}

#[test]
fn other_versions_can_be_verified_and_what_has_halted() {
    let server = Server::start();
    // It halts at the ninth event.
    server.configure("refuses", "[values]\nat = \"refused\"\n");
    server.drop_in("refuses");
    server.drop_in("meter");
    let events: Vec<_> =
        (1..=20).map(|number| event(number, if number == 9 { "refused" } else { "one" }, "s")).collect();
    append(&server, &events);
    // A first version that cannot fold history never comes to be live.
    server.until_health("refuses", "failed");
    let none = server.run(&["verify", "refuses"]);
    assert_eq!(none.code, Some(6), "{none:#?}");

    let old = server.until_live("meter")["live"].as_str().unwrap().to_owned();
    server.configure("meter", "[values]\nstep = 2\n");
    server.until_other_version("meter", &old);
    // What stands by is folded, but its state is not looked at.
    let ended = server.run(&["verify", "meter", "--version", &old[..10], "--json"]).json();
    assert_eq!((&ended["verdict"], &ended["digest"]), (&json!("verified"), &Value::Null));
    assert_eq!(ended["version"], old);
    assert_eq!(shown(&server, "meter"), Value::Null, "the live one has not been verified");
    assert_verified(&verify(&server, "meter", 0), 3);

    // What is live and halts later stands before the event at fault, and is verified up to there.
    let server = Server::start();
    server.configure("refuses", "[values]\nat = \"refused\"\n");
    server.drop_in("refuses");
    append(&server, &events[..8]);
    server.until_live("refuses");
    append(&server, &events[8..]);
    server.until_health("refuses", "halted");
    let verification = verify(&server, "refuses", 0);
    assert_verified(&verification, 3);
    assert_eq!(verification["position"], 8);

    // What stands by may never have come so far: that is no difference.
    let halted = server.status("refuses").unwrap()["live"].as_str().unwrap().to_owned();
    server.configure("refuses", "[values]\nat = \"nothing\"\n");
    server.until_other_version("refuses", &halted);
    let ended = server.run(&["verify", "refuses", "--version", &halted]);
    assert!(ended.code == Some(6) && ended.errors.contains("cannot fold history"), "{ended:#?}");
}

#[test]
fn what_cannot_be_verified_says_why() {
    let server = Server::start();
    server.run(&["import", history::generated(20).file.to_str().unwrap()]).ok();
    server.drop_in("meter");
    server.drop_in("welcome");
    server.until_live("meter");
    server.until_live("welcome");
    let post = |path: &str, status: u16| server.client().post(path, "text/plain", "").problem(status);
    let unknown = post("/projections/nothing/verify", 404);
    assert!(unknown["detail"].as_str().unwrap().contains("there is no projection \"nothing\""));
    assert_eq!(post("/projections/welcome/verify", 409)["type"], "/problems/no-projection");
    assert_eq!(post("/projections/meter/verify?version=ffff", 404)["type"], "/problems/no-such-version");
    assert_eq!(post("/projections/meter/verify?versoin=1", 400)["type"], "/problems/unknown-parameter");
    server.get("/projections/nothing/verify").problem(404);
    let codes = |arguments: &[&str]| server.run(arguments).code;
    assert_eq!(codes(&["verify", "nothing"]), Some(4));
    assert_eq!(codes(&["verify", "meter", "--version", "ffff"]), Some(4));
    assert_eq!(codes(&["verify", "welcome"]), Some(5));
    assert_eq!(codes(&["verify"]), Some(2));
    let wrong = program::run_in(server.folder(), ["serve", "--verify-every", "often"]);
    assert!(wrong.code == Some(2) && wrong.errors.contains("no span of time"), "{wrong:#?}");
}

#[test]
fn one_is_verified_after_the_other_and_none_holds_up_a_stop() {
    let mut server = Server::start();
    server.run(&["import", history::generated(4_000).file.to_str().unwrap()]).ok();
    for name in ["churn", "meter"] {
        server.drop_in(name);
        server.until_live(name);
    }
    let post = |server: &Server, path: &str| server.client().post(path, "text/plain", "");
    let begun = post(&server, "/projections/meter/verify");
    assert_eq!(begun.status, 202);
    let begun = begun.json();
    // Who asks again is told of the same one; who asks for another has to wait.
    let again = post(&server, "/projections/meter/verify").json();
    assert_eq!((&again["began"], &again["name"]), (&begun["began"], &json!("meter")));
    let busy = post(&server, "/projections/churn/verify").problem(409);
    assert_eq!(busy["type"], "/problems/verifying");
    assert!(busy["detail"].as_str().unwrap().contains("\"meter\" is being verified"), "{busy}");
    let asked = server.get("/projections/meter/verify").ok();
    assert_eq!(asked["underway"]["began"], begun["began"]);
    // It is broken off, and nothing is left of it.
    assert!(server.stop());
    server.restart();
    server.until_live("meter");
    assert_eq!(shown(&server, "meter"), Value::Null);
    assert_eq!(fs::read_dir(server.data().join("rooms")).map_or(0, Iterator::count), 0);

    // Its version is given up meanwhile.
    post(&server, "/projections/meter/verify").json();
    fs::remove_file(server.plugin_file("meter")).unwrap();
    server.until_health("meter", "retired");
    server.run(&["purge", "meter", "--yes"]);
    wait::until_true("the next one can begin", || post(&server, "/projections/churn/verify").status == 202);
}

#[test]
fn what_is_idle_verifies_by_itself() {
    let server = Server::start_with(&["--verify-every", "1d"]);
    server.run(&["import", history::generated(50).file.to_str().unwrap()]).ok();
    for name in ["meter", "tally", "welcome"] {
        server.drop_in(name);
    }
    for name in ["meter", "tally"] {
        server.until_status(name, "has been verified", is_verified);
    }
}

/// Whether any version of a plug-in has been verified.
fn is_verified(status: &Value) -> bool {
    let versions = status["versions"].as_array().unwrap();
    versions.iter().any(|version| version["verification"]["verdict"] == "verified")
}

#[test]
fn what_a_plug_in_says_itself_of_when_it_is_verified_comes_first() {
    let every_day = "[policies]\nverify-every = \"1d\"\n";
    let never = "[policies]\nverify-every = \"never\"\n";
    let started = |arguments: &[&str], meter: &str, tally: &str| {
        let server = Server::start_with(arguments);
        server.run(&["import", history::generated(50).file.to_str().unwrap()]).ok();
        for (name, settings) in [("meter", meter), ("tally", tally)] {
            server.configure(name, settings);
            server.drop_in(name);
            server.until_live(name);
        }
        server.until_status("tally", "has been verified", is_verified);
        // By its name it would have been the first.
        assert_eq!(shown(&server, "meter"), Value::Null);
        server
    };
    started(&[], "", every_day);
    let server = started(&["--verify-every", "1d"], never, "");
    // It is the same version that is verified once it may be.
    let version = server.status("meter").unwrap()["live"].clone();
    server.configure("meter", every_day);
    let status = server.until_status("meter", "has been verified", is_verified);
    assert_eq!((&status["live"], status["versions"].as_array().unwrap().len()), (&version, 1));

    server.configure("meter", "[policies]\nverify-every = \"sometimes\"\n");
    server.until_status("meter", "says that these are no settings", |status| {
        let text = status.to_string();
        text.contains("is no span of time") && text.contains("or \\\"never\\\"")
    });
}

#[test]
fn what_shows_itself_in_other_ways_is_caught_as_well() {
    let server = Server::start();
    for name in ["leaky", "astray"] {
        server.drop_in(name);
        server.until_live(name);
    }
    // The leak shows only where an instance has folded something before.
    append(&server, &[event(1, "mark", "a")]);
    server.until_live("leaky");
    assert_verified(&verify(&server, "leaky", 0), 3);

    // What an instance cannot fold by itself.
    append(&server, &[event(2, "step", "b"), event(3, "step", "c"), event(4, "check", "d")]);
    server.until_live("leaky");
    let difference = &verify(&server, "leaky", 1)["difference"];
    let summary = difference["summary"].as_str().unwrap();
    assert!(
        summary.contains("it halts: ") && summary.contains("it has seen nothing before"),
        "{difference:#}"
    );
    assert_eq!((&difference["event"]["position"], &difference["event"]["id"]), (&json!(4), &json!("e4")));

    // A row that each partition thinks its own.
    server.until_live("astray");
    let difference = &verify(&server, "astray", 1)["difference"];
    let summary = difference["summary"].as_str().unwrap();
    assert!(summary.contains("row \"all\" of table \"all\" is in two partitions"), "{difference:#}");
    let second = difference["event"]["position"].as_u64().unwrap();
    assert!((2..=4).contains(&second), "{difference:#}");
}
