//! Reactions that make their tables anew: no effect happens twice, none is left out.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{collections::BTreeMap, fs, thread, time::Duration};

use mail_provider::{Behaviour, Provider};
use projectionist_tests::{Random, Server, components, live, wait};
use serde_json::{Value, json};

/// The settings of `activation-mail` and `reminder` for a provider.
fn settings(provider: &Provider, server: &Server, remind_after: u32) -> String {
    let file = server.folder().join("token");
    fs::write(&file, "token").unwrap();
    let url = provider.url();
    format!(
        "[retries]\nfirst = \"5ms\"\nmost = \"100ms\"\nattempts = 100\n\
         [http]\nbreaker = {{ first = \"10ms\", most = \"100ms\" }}\n\
         [[http.allow]]\nhost = \"{url}\"\nmethods = [\"POST\"]\n\
         [secrets.mail-token]\nfile = {file:?}\nhosts = [\"{url}\"]\n\
         [values]\nmail-service = \"{url}\"\nremind-after-seconds = {remind_after}\n"
    )
}

fn event(id: u64, event_type: &str, data: Value) -> Value {
    json!({ "specversion": "1.0", "id": format!("{event_type}-{id}"), "source": "/sign-up", "type": event_type,
            "subject": format!("account/{id}"), "data": data })
}

fn created(id: u64) -> Value {
    event(id, "account.created", json!({ "mail": format!("user-{id}@example.org") }))
}

/// How many events of a type there are, by subject.
fn by_subject(server: &Server, event_type: &str) -> BTreeMap<String, u32> {
    let lines = server
        .client()
        .get_with(&format!("/events?type={event_type}"), &[("accept", "application/x-ndjson")]);
    let mut counts = BTreeMap::new();
    for line in lines.body.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        *counts.entry(event["subject"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

/// Deploys the same code as another version, and waits until it has taken over.
fn replace(server: &Server, name: &str, remark: &str) {
    let live = server.status(name).unwrap()["live"].as_str().unwrap().to_owned();
    components::put(&server.plugin_file(name), &components::remarked(&components::bytes(name), remark));
    server.until_other_version(name, &live);
}

#[test]
fn history_makes_the_same_tables_and_no_effects() {
    let provider = Provider::start().unwrap();
    let mut server = Server::start();
    for name in ["activation-mail", "reminder"] {
        server.configure(name, &settings(&provider, &server, 1));
        server.drop_in(name);
    }
    server.client().append(&(1..=20).map(created).collect::<Vec<_>>());
    wait::until_true("all are reminded", || by_subject(&server, "account.reminded").len() == 20);
    server.client().append(&(1..=5).map(|id| event(id, "account.activated", json!({}))).collect::<Vec<_>>());
    server.until_live("reminder");
    let before = (server.state_digest("reminder"), provider.seen().calls, server.head());
    replace(&server, "reminder", "again");
    let status = server.until_live("reminder");
    assert_eq!((server.state_digest("reminder"), provider.seen().calls, server.head()), before, "{status}");
    assert_eq!(server.get("/reactions/reminder").ok()["timers"], 0);
    assert_eq!(server.get("/reactions/reminder").ok()["dead-letters"], 0);
    // It goes on, also over a restart.
    server.kill();
    server.restart();
    server.client().append(&[created(21)]);
    wait::until_true("the new one is reminded", || by_subject(&server, "account.reminded").len() == 21);
    assert_eq!(provider.seen().calls, before.1 + 2);
    assert_eq!(server.state_digest("reminder"), {
        replace(&server, "reminder", "once more");
        server.state_digest("reminder")
    });
}

#[test]
fn a_call_that_is_not_in_the_journal_fails_its_event_and_nothing_else() {
    let provider = Provider::start().unwrap();
    let other = Provider::start().unwrap();
    let server = Server::start();
    for name in ["activation-mail", "reminder"] {
        server.configure(name, &settings(&provider, &server, 1));
        server.drop_in(name);
    }
    server.client().append(&(1..=3).map(created).collect::<Vec<_>>());
    wait::until_true("all are reminded", || by_subject(&server, "account.reminded").len() == 3);
    let live = server.until_live("reminder")["live"].as_str().unwrap().to_owned();
    // It calls somebody else, who was never called.
    server.configure("reminder", &settings(&other, &server, 1));
    server.until_other_version("reminder", &live);
    let letters =
        server.get("/reactions/reminder/dead-letters").ok()["dead-letters"].as_array().unwrap().clone();
    assert_eq!(letters.len(), 3, "{letters:?}");
    for letter in &letters {
        let reason = letter["reason"].as_str().unwrap();
        assert!(reason.contains("without effects: call 1 differs from the one"), "{reason}");
    }
    assert_eq!((other.seen().calls, by_subject(&server, "account.reminded").len()), (0, 3));
    server.client().append(&[created(4)]);
    wait::until_true("the new version is at work", || other.seen().mails.len() == 1);

    // What is dropped is not looked at again.
    server.run(&["dead-letters", "reminder", "--drop", "--all"]).ok();
    server.until_live("reminder");
    replace(&server, "reminder", "after the drop");
    assert_eq!(server.get("/reactions/reminder/dead-letters").ok()["dead-letters"], json!([]));
}

#[test]
fn a_version_that_follows_a_retired_one_makes_its_tables_anew_as_well() {
    let provider = Provider::start().unwrap();
    let mut server = Server::start();
    for name in ["activation-mail", "reminder"] {
        server.configure(name, &settings(&provider, &server, 1));
        server.drop_in(name);
    }
    server.client().append(&(1..=5).map(created).collect::<Vec<_>>());
    wait::until_true("all are reminded", || by_subject(&server, "account.reminded").len() == 5);
    let before = (server.state_digest("reminder"), provider.seen().calls);
    for restart in [false, true] {
        fs::remove_file(server.plugin_file("reminder")).unwrap();
        server.until_health("reminder", "retired");
        if restart {
            server.kill();
            server.restart();
        }
        let other = components::remarked(&components::bytes("reminder"), &restart.to_string());
        components::put(&server.plugin_file("reminder"), &other);
        let status = server.until_live("reminder");
        let deployment = &status["deployments"][0];
        assert!(deployment["events"].as_u64().is_some_and(|events| events > 0), "{deployment}");
        assert_eq!((server.state_digest("reminder"), provider.seen().calls), before);
    }
}

/// What is at work may be replaced while another version is on trial: that one makes its tables anew
/// of what is handled when it is told to take over, not of what was when it came.
#[test]
fn a_version_on_trial_begins_to_make_its_tables_anew_when_it_is_told_to_take_over() {
    let provider = Provider::start().unwrap();
    let server = Server::start();
    for name in ["activation-mail", "reminder"] {
        server.configure(name, &settings(&provider, &server, 3_600));
        server.drop_in(name);
        server.until_live(name);
    }
    let mut accounts = 0;
    let stands = || {
        let state = live(&server.until_live("reminder"))["state"].clone();
        (state["position"].clone(), state["events"].clone(), state["digest"].clone())
    };
    // Their mails are sent, and the reminder has set a timer for each.
    let mut more_accounts = || {
        server.client().append(&(accounts + 1..=accounts + 5).map(created).collect::<Vec<_>>());
        accounts += 5;
        let timers = || server.get("/reactions/reminder").ok()["timers"].as_u64();
        wait::until_true("all have timers", || timers() == Some(accounts));
        (stands(), accounts)
    };
    let first = more_accounts();

    let compiled = || fs::read_dir(server.data().join("cache/components")).unwrap().count();
    let before = compiled();
    let file = server.folder().join("tried.wasm");
    components::put(&file, &components::remarked(&components::bytes("reminder"), "on trial"));
    server.run(&["deploy", "--hold", "--name", "reminder", file.to_str().unwrap()]).ok();
    wait::until_true("it is compiled", || compiled() > before);
    let status = server.status("reminder").unwrap();
    let candidate = status["versions"].as_array().unwrap().iter().find(|version| version["held"] == true);
    let candidate = &candidate.unwrap()["digest"];
    more_accounts();
    replace(&server, "reminder", "between");
    let before = more_accounts();
    assert_ne!(before, first);

    server.run(&["promote", "reminder", "--yes"]).ok();
    let status = server.until_status("reminder", "has promoted it", |status| status["live"] == *candidate);
    assert!(status["deployments"][0]["events"].as_u64() > Some(0), "it makes them anew: {status}");
    let timers = || server.get("/reactions/reminder").ok()["timers"].as_u64().unwrap();
    assert_eq!((stands(), timers()), before);
    let last = more_accounts();
    replace(&server, "reminder", "at the end");
    assert_eq!((stands(), timers()), last);
    // All timers are those of accounts that are known.
    server
        .client()
        .append(&(1..=last.1).map(|id| event(id, "account.activated", json!({}))).collect::<Vec<_>>());
    server.until_live("reminder");
    assert_eq!((timers(), provider.seen().mails.len() as u64), (0, last.1), "one mail for each");
}

/// The version that takes over handles the event of a timer that the one before could not
/// handle: with the key that the provider knows.
#[test]
fn a_timer_that_has_rung_in_vain_rings_once_for_the_version_that_takes_over() {
    let provider = Provider::start().unwrap();
    let server = Server::start();
    for name in ["activation-mail", "reminder"] {
        server.configure(name, &settings(&provider, &server, 2));
        server.drop_in(name);
    }
    server.client().append(&(1..=5).map(created).collect::<Vec<_>>());
    wait::until_true("all mails are sent", || by_subject(&server, "activation-mail.sent").len() == 5);
    // It fails in all ways, some of which send the mail all the same.
    provider.behave(Behaviour::Badly { share: 1.0 });
    wait::until_true("all have rung", || by_subject(&server, "projectionist.timer.due").len() == 5);
    let live = server.status("reminder").unwrap()["live"].as_str().unwrap().to_owned();
    server.configure("reminder", &settings(&provider, &server, 3));
    server.until_status("reminder", "has another live version", |status| {
        status["live"].as_str().is_some_and(|other| other != live)
    });
    provider.behave(Behaviour::Well);
    wait::until_true("all are reminded", || by_subject(&server, "account.reminded").len() == 5);
    server.until_live("reminder");
    let reminded = provider.seen().mails.into_values().filter(|mail| mail.template == "reminder");
    assert_eq!(reminded.count(), 5, "one key for each");
    assert!(by_subject(&server, "account.reminded").values().all(|count| *count == 1));
    assert_eq!(server.get("/reactions/reminder").ok()["timers"], 0);
}

#[test]
fn a_version_that_cannot_fold_history_does_not_take_over() {
    let provider = Provider::start().unwrap();
    let other = Provider::start().unwrap();
    let server = Server::start();
    for name in ["activation-mail", "reminder"] {
        server.configure(name, &settings(&provider, &server, 0));
        server.drop_in(name);
    }
    server.client().append(&(1..=60).map(created).collect::<Vec<_>>());
    wait::until_true("all are reminded", || by_subject(&server, "account.reminded").len() == 60);
    let live = server.until_live("reminder")["live"].clone();
    server.configure("reminder", &settings(&other, &server, 0));
    let status = server.until_status("reminder", "has a failed version", |status| {
        status["versions"]
            .as_array()
            .is_some_and(|versions| versions.iter().any(|v| v["station"] == "failed"))
    });
    assert_eq!(status["live"], live);
    assert!(status.to_string().contains("more than 50 events have failed"), "{status}");
    server.client().append(&[created(61)]);
    wait::until_true("the old one is at work", || by_subject(&server, "account.reminded").len() == 61);
    assert_eq!(other.seen().calls, 0);
}

/// One reaction goes on from where it stood, the other makes its tables anew, three
/// times each; the provider fails at random, and so does the host.
#[test]
fn no_effect_is_new_and_none_is_missing_whoever_is_replaced_and_killed() {
    const ACCOUNTS: u64 = 2_000;
    const KILLS: u64 = 9;
    let mut random = Random::printed();
    let provider = Provider::start().unwrap();
    provider.behave(Behaviour::Badly { share: 0.25 });
    let mut server = Server::stopped();
    for name in ["activation-mail", "reminder"] {
        server.configure(name, &settings(&provider, &server, 1));
        server.drop_in(name);
    }
    server.restart();
    let mut next = 1;
    for kill in 1..=KILLS {
        let last = kill * ACCOUNTS / KILLS;
        server.client().append(&(next..=last).map(created).collect::<Vec<_>>());
        next = last + 1;
        if kill % 3 == 0 {
            for name in ["activation-mail", "reminder"] {
                let other = components::remarked(&components::bytes(name), &kill.to_string());
                components::put(&server.plugin_file(name), &other);
            }
        }
        let pause = Duration::from_millis(random.below(900));
        thread::sleep(pause);
        server.kill();
        println!("kill {kill} after {pause:?}, {} calls", provider.seen().calls);
        server.restart();
    }
    wait::until_true("all are reminded", || by_subject(&server, "account.reminded").len() as u64 >= ACCOUNTS);
    server.until_live("reminder");
    server.until_live("activation-mail");
    for event_type in ["activation-mail.sent", "account.reminded"] {
        let counts = by_subject(&server, event_type);
        assert_eq!(counts.len() as u64, ACCOUNTS, "{event_type}");
        assert!(counts.values().all(|count| *count == 1), "{event_type}");
    }
    let seen = provider.seen();
    for template in ["activation", "reminder"] {
        let to: Vec<String> = seen
            .mails
            .values()
            .filter(|mail| mail.template == template)
            .map(|mail| mail.to.to_string())
            .collect();
        assert_eq!(to.len() as u64, ACCOUNTS, "keys of {template}");
        let distinct: std::collections::BTreeSet<&String> = to.iter().collect();
        assert_eq!(distinct.len() as u64, ACCOUNTS, "{template}");
    }
    for name in ["activation-mail", "reminder"] {
        let status = server.get(&format!("/reactions/{name}")).ok();
        assert_eq!((&status["dead-letters"], &status["waiting"]), (&json!(0), &json!(0)), "{status}");
    }
    let digest = server.state_digest("reminder");
    replace(&server, "reminder", "at the end");
    assert_eq!(server.state_digest("reminder"), digest);
}
