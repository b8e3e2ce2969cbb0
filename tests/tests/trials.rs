//! Candidates on trial: compared, promoted, rolled back from, given up; nobody who asks notices.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use projectionist_tests::{Random, Server, components, history, program, wait};
use serde_json::{Value, json};

const METER: &str = "meter";

/// A version of a status, by its station.
fn at_station<'a>(status: &'a Value, station: &str) -> Vec<&'a Value> {
    let versions = status["versions"].as_array().unwrap();
    versions.iter().filter(|version| version["station"] == station).collect()
}

/// Waits until so many candidates follow the log; gives their digests, the newest first.
fn until_on_trial(server: &Server, name: &str, count: usize) -> Vec<String> {
    let follows = |version: &Value| version["held"] == true && version["state"]["phase"] == "live";
    let status = server.until_status(name, &format!("has {count} on trial"), |status| {
        let candidates = at_station(status, "candidate");
        candidates.len() == count && candidates.into_iter().all(follows)
    });
    let digests =
        at_station(&status, "candidate").into_iter().map(|version| version["digest"].as_str().unwrap());
    digests.map(str::to_owned).collect()
}

/// A version of the meter on trial, told from others by its step.
fn hold(server: &Server, step: u64) -> program::Ended {
    let file = server.folder().join(format!("{step}.wasm"));
    components::put(&file, &components::bytes(METER));
    components::put(&file.with_extension("toml"), format!("[values]\nstep = {step}\n").as_bytes());
    server.run(&["deploy", "--hold", "--name", METER, file.to_str().unwrap()])
}

fn live(server: &Server, name: &str) -> String {
    server.status(name).unwrap()["live"].as_str().unwrap_or_default().to_owned()
}

fn step(server: &Server) -> u64 {
    let answer = server.get("/projections/meter/queries/reading");
    let reading = answer.ok();
    let position: u64 = answer.header("projectionist-position").unwrap().parse().unwrap();
    let step = reading["step"].as_u64().unwrap();
    assert_eq!(reading["total"].as_u64(), Some(step * position), "a mixture: {reading}");
    step
}

/// A server with the meter live, and some events.
fn metered() -> Server {
    let server = Server::start();
    server.run(&["import", history::generated(200).file.to_str().unwrap()]).ok();
    server.drop_in(METER);
    server.until_live(METER);
    server
}

#[test]
fn a_mended_version_is_tried_promoted_and_rolled_back_from() {
    let server = Server::start();
    server.run(&["import", history::whole().file.to_str().unwrap()]).ok();
    components::put(&server.plugin_file("churn"), &components::bytes("old-churn"));
    server.until_live("churn");
    let old = live(&server, "churn");
    let fixed = components::path("churn");
    let fixed = fixed.to_str().unwrap();
    let done = AtomicBool::new(false);
    let polls = thread::scope(|scope| {
        let poller = scope.spawn(|| {
            let (mut polls, mut last) = (0, 0);
            while !done.load(Ordering::Relaxed) {
                let answer = server.client().get("/projections/churn/queries/hottest?limit=3");
                answer.ok();
                let position = answer.header("projectionist-position").unwrap().parse::<u64>().unwrap();
                assert!(position >= last, "from {last} back to {position}");
                (polls, last) = (polls + 1, position);
            }
            polls
        });
        let writer = scope.spawn(|| {
            let mut number = 0;
            while !done.load(Ordering::Relaxed) {
                number += 1;
                server.client().append(&[json!({
                    "specversion": "1.0", "id": format!("more-{number}"), "source": "/test",
                    "type": "git.file.renamed", "subject": format!("more/{number}"),
                    "data": {"author": "Ada", "from": "nowhere"},
                })]);
                thread::sleep(Duration::from_millis(5));
            }
        });

        let held = server
            .run(&["deploy", "--hold", "--name", "churn", "--actor", "Ada", "--note", "renames", fixed]);
        assert!(held.ok().contains("on trial"));
        let [new] = until_on_trial(&server, "churn", 1).try_into().unwrap();
        assert_eq!(live(&server, "churn"), old, "it does not take over by itself");
        // At one position, though the log goes on, and both with it.
        let compared = server.run(&["compare", "churn", "--json"]);
        assert_eq!(compared.code, Some(1), "{compared:#?}");
        let compared: Value = serde_json::from_str(&compared.output).unwrap();
        assert_eq!(compared["after"]["version"], new.as_str());
        let files = &compared["tables"][0];
        assert!(files["added"].as_u64() > Some(0) && files["removed"] == 0, "{files}");

        // Nothing is done that nobody agreed to.
        let asked = server.run(&["promote", "churn"]);
        assert_eq!(asked.code, Some(2), "{asked:#?}");
        assert!(asked.output.contains("plan ") && asked.output.contains("files"), "{asked:#?}");
        let stale = server.run(&["promote", "churn", "--plan", "0123456789ab"]);
        assert_eq!(stale.code, Some(5), "{stale:#?}");
        assert!(stale.errors.contains("production has moved on"), "{stale:#?}");
        let plan = server.run(&["promote", "churn", "--dry-run", "--json"]).json();
        assert_eq!((&plan["live"], &plan["version"]), (&json!(old), &json!(new)));
        let plan = plan["id"].as_str().unwrap().to_owned();
        assert_eq!(live(&server, "churn"), old);
        let promoted =
            server.run(&["promote", "churn", "--plan", &plan, "--actor", "Grace", "--note", "as agreed"]);
        assert!(promoted.ok().contains("answers now"));
        assert_eq!(live(&server, "churn"), new);
        let again = server.run(&["promote", "churn", "--plan", &plan]);
        assert_eq!(again.code, Some(4), "there is no candidate any more: {again:#?}");

        let back = server.run(&["rollback", "churn", "--yes", "--note", "too many"]);
        assert!(back.ok().contains("answers now"));
        assert_eq!(live(&server, "churn"), old);
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        poller.join().unwrap()
    });
    assert!(polls > 20, "only {polls} polls");

    // All of it is on record.
    let listed = server.run(&["deployments", "churn", "--json"]).ok();
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown: Vec<_> = listed
        .iter()
        .map(|one| {
            ["action", "outcome", "actor", "note"].map(|field| one[field].as_str().unwrap_or("-").to_owned())
        })
        .collect();
    let actor = shown[0][2].clone();
    assert_eq!(
        shown,
        [
            ["roll-back", "promoted", &actor, "too many"],
            ["promote", "promoted", "Grace", "as agreed"],
            ["deploy", "tried", "Ada", "renames"],
            ["deploy", "promoted", "-", "-"],
        ]
    );
    // It is the state that this history folds to.
    let digest = server.state_digest("churn");
    components::put(&server.plugin_file("anew"), &components::bytes("old-churn"));
    assert_eq!(server.state_digest("anew"), digest);
}

#[test]
fn any_number_is_on_trial_and_stays_so_over_a_restart() {
    let mut server = metered();
    server.configure(METER, "[policies]\ndeploy = \"manual\"\n");
    let first = live(&server, METER);
    // One from the plug-ins folder, two that were sent.
    server.configure(METER, "[policies]\ndeploy = \"manual\"\n[values]\nstep = 2\n");
    until_on_trial(&server, METER, 1);
    for step in [3, 4] {
        hold(&server, step).ok();
    }
    let twice = hold(&server, 4);
    assert_eq!(twice.code, Some(5), "{twice:#?}");
    assert!(twice.errors.contains("is candidate already"), "{twice:#?}");
    let trials = until_on_trial(&server, METER, 3);
    assert_eq!((live(&server, METER), step(&server)), (first.clone(), 1));

    server.kill();
    server.restart();
    server.until_live(METER);
    assert_eq!(until_on_trial(&server, METER, 3), trials);
    assert_eq!(live(&server, METER), first);

    let gone = server.run(&["abort", METER, &trials[0], "--yes", "--note", "no good"]);
    assert!(gone.ok().contains("is given up"));
    assert_eq!(until_on_trial(&server, METER, 2), trials[1..]);
    // The one from the folder, by how its digest begins.
    server.run(&["promote", METER, &trials[2][..8], "--yes"]).ok();
    assert_eq!((live(&server, METER), step(&server)), (trials[2].clone(), 2));

    // What was rolled back from does not come again, though the file still holds it.
    server.run(&["rollback", METER, "--yes"]).ok();
    assert_eq!((live(&server, METER), step(&server)), (first.clone(), 1));
    assert!(server.stop());
    server.restart();
    server.until_live(METER);
    assert_eq!(until_on_trial(&server, METER, 1), trials[1..2]);
    wait::until_true("the folder has been looked at", || server.get("/readyz").status == 200);
    assert_eq!((live(&server, METER), step(&server)), (first, 1));
    let status = server.status(METER).unwrap();
    assert_eq!(at_station(&status, "standby").len(), 1, "{status:#}");

    // Until it changes.
    server.configure(METER, "[values]\nstep = 5\n");
    wait::until_true("the new version answers", || step(&server) == 5);
    assert_eq!(until_on_trial(&server, METER, 1), trials[1..2]);
}

#[test]
fn what_cannot_be_done_says_why() {
    let server = metered();
    let refused = |arguments: &[&str], code: i32, reason: &str| {
        let ended = server.run(arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:#?}");
        assert!(ended.errors.contains(reason), "{arguments:?}: {ended:#?}");
    };
    let own = live(&server, METER);
    refused(&["promote", METER, "--yes"], 4, "\"meter\" has no version that is candidate");
    refused(&["rollback", METER, "--yes"], 4, "no version that is standby");
    refused(&["promote", METER, &own, "--yes"], 5, "it answers already");
    refused(&["abort", METER, &own, "--yes"], 5, "is live, not candidate");
    refused(&["promote", "nobody", "--yes"], 4, "there is no plug-in \"nobody\"");
    let file = components::path(METER);
    let file = file.to_str().unwrap();
    refused(&["deploy", "--hold", file], 5, "is live already");
    refused(&["deploy", "--hold", "--name", "nobody", file], 4, "put nobody.wasm into the plug-ins folder");
    refused(&["deploy", "--hold", "nowhere.wasm"], 5, "nowhere.wasm cannot be read");
    // One that cannot fold fails, and the live one stays.
    let panics = components::path("panics");
    server.run(&["deploy", "--hold", "--name", METER, panics.to_str().unwrap()]).ok();
    server.until_status(METER, "has failed", |status| !at_station(status, "failed").is_empty());
    refused(&["deploy", "--name", METER, panics.to_str().unwrap()], 6, "did not take over");
    assert_eq!((live(&server, METER), step(&server)), (own, 1));
    let post = |path: &str, body: &str| server.client().post(path, "application/json", body);
    post("/projections/meter/promote", "{\"versoin\": 1}").problem(400);
    assert_eq!(server.get("/projections/meter/plan?action=undo").problem(400)["parameter"], "action");

    // Nor with what is out of service, so that it can be purged.
    fs::remove_file(server.plugin_file(METER)).unwrap();
    server.until_health(METER, "retired");
    refused(&["deploy", "--hold", "--name", METER, "other.wasm"], 5, "other.wasm cannot be read");
    for arguments in [["deploy", "--hold"].as_slice(), &["deploy"]] {
        let other = components::path("counts");
        let arguments = [arguments, &["--name", METER, other.to_str().unwrap()]].concat();
        refused(&arguments, 6, "\"meter\" is retired, since its file was removed; put it back first");
    }
    server.run(&["purge", METER]).ok();
    assert_eq!(server.status(METER), None);
}

#[test]
fn kills_in_the_middle_leave_one_version_whole() {
    let mut server = metered();
    let mut random = Random::printed();
    let mut next = 1;
    for _ in 0..12 {
        let before = (live(&server, METER), step(&server));
        next += 1;
        let rolls_back =
            random.below(3) == 0 && !at_station(&server.status(METER).unwrap(), "standby").is_empty();
        let action = if rolls_back { "rollback" } else { "promote" };
        if !rolls_back {
            hold(&server, next).ok();
            until_on_trial(&server, METER, 1);
        }
        let url = server.client().url().to_owned();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut command = program::command();
                command.env("PROJECTIONIST_URL", &url).args([action, METER, "--yes"]);
                program::end(&mut command)
            });
            thread::sleep(Duration::from_micros(random.below(60_000)));
            server.kill();
        });
        server.restart();
        server.until_live(METER);
        let status = server.status(METER).unwrap();
        for candidate in at_station(&status, "candidate") {
            // Wholly before: it is still on trial; or it has been promoted, and takes over now.
            if candidate["held"] == true {
                server.run(&["abort", METER, candidate["digest"].as_str().unwrap(), "--yes"]).ok();
            }
        }
        server.until_status(METER, "has no candidate", |status| at_station(status, "candidate").is_empty());
        let after = (live(&server, METER), step(&server));
        assert_eq!(before.0 == after.0, before.1 == after.1, "from {before:?} to {after:?}");
        assert_eq!(at_station(&server.status(METER).unwrap(), "live").len(), 1);
    }
}
