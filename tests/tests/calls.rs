//! Reactions that call others over HTTP: allowed or refused, once, retried, left alone.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{collections::BTreeSet, fs, path::Path, thread, time::Duration};

use mail_provider::{Behaviour, Provider};
use projectionist_tests::{Random, Server, components, wait};
use serde_json::{Value, json};

const SECRET: &str = "tok-5f3a9c-never-to-be-written";

/// The settings of `activation-mail` and `reminder` for a provider.
fn settings(provider: &Provider, folder: &Path) -> String {
    let file = folder.join("mail-token");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    let url = provider.url();
    format!(
        "[[http.allow]]\nhost = \"{url}\"\nmethods = [\"POST\"]\n\
         [secrets.mail-token]\nfile = {file:?}\nhosts = [\"{url}\"]\n\
         [values]\nmail-service = \"{url}\"\nremind-after-seconds = 1\n"
    )
}

const HASTY: &str = "[retries]\nfirst = \"5ms\"\nmost = \"100ms\"\nattempts = 100\n";
/// Hosts are tried again soon.
const NIMBLE: &str = "[http.breaker]\nfirst = \"10ms\"\nmost = \"100ms\"\n";

fn created(id: u64) -> Value {
    json!({ "specversion": "1.0", "id": format!("created-{id}"), "source": "/sign-up", "type": "account.created",
            "subject": format!("account/{id}"), "data": { "mail": format!("user-{id}@example.org") } })
}

/// The subjects of all events of a type, in the order of the log.
fn subjects(server: &Server, event_type: &str) -> Vec<String> {
    let lines = server
        .client()
        .get_with(&format!("/events?type={event_type}"), &[("accept", "application/x-ndjson")]);
    let subject =
        |line: &str| serde_json::from_str::<Value>(line).unwrap()["subject"].as_str().unwrap().to_owned();
    lines.body.lines().map(subject).collect()
}

/// How many events of a type there are; at most a page.
fn count(server: &Server, event_type: &str) -> usize {
    server.get(&format!("/events?type={event_type}")).ok()["events"].as_array().unwrap().len()
}

/// A server whose `echo` may call a provider, with more settings.
fn echoing(provider: &Provider, settings: &str) -> Server {
    let (server, url) = (Server::start(), provider.url());
    let allow = format!("[[http.allow]]\nhost = \"{url}\"\nmethods = [\"POST\"]\n");
    server.configure("echo", &format!("{HASTY}{allow}{settings}"));
    server.drop_in("echo");
    server
}

fn to_call(id: u64, data: Value) -> Value {
    json!({ "specversion": "1.0", "id": format!("call-{id}"), "source": "/test", "type": "to-call",
            "subject": format!("subject-{id}"), "data": data })
}

/// All files below a folder that contain some bytes.
fn files_with(folder: &Path, bytes: &[u8]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes) {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_mail_is_sent_for_each_account_with_the_secret_that_nobody_sees() {
    let (provider, secrets) = (Provider::start().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start();
    server.configure("activation-mail", &settings(&provider, secrets.path()));
    server.drop_in("activation-mail");
    server.client().append(&(1..=50).map(created).collect::<Vec<_>>());
    wait::until_true("all mails are sent", || subjects(&server, "activation-mail.sent").len() == 50);
    let seen = provider.seen();
    assert_eq!((seen.mails.len(), seen.calls), (50, 50));
    assert!(seen.mails.values().all(|mail| mail.asked == 1 && mail.template == "activation"));
    assert!(seen.authorizations.iter().all(|header| *header == format!("Bearer {SECRET}")));
    let status = server.get("/reactions/activation-mail").ok();
    assert_eq!(status["calls"]["answered"], 50, "{status}");

    let effects = server.get("/reactions/activation-mail/effects?position=7").ok();
    assert_eq!((&effects["id"], &effects["state"]), (&json!("created-7"), &json!("handled")), "{effects}");
    let (request, response) = (&effects["calls"][0]["request"], &effects["calls"][0]["response"]);
    assert_eq!(request["headers"]["authorization"], "Bearer {secret:mail-token}");
    assert!(request["body"].as_str().unwrap().contains("user-7@example.org"), "{effects}");
    assert_eq!(response["status"], 202);
    let appended = &effects["appended"];
    assert_eq!(appended[0]["type"], "activation-mail.sent");
    assert_eq!((appended.as_array().unwrap().len(), &appended[0]["subject"]), (1, &json!("account/7")));
    let position = appended[0]["position"].as_u64().unwrap();
    let of_answer = server.get(&format!("/reactions/activation-mail/effects?position={position}")).ok();
    assert_eq!((&of_answer["state"], &of_answer["calls"]), (&json!("not-wanted"), &json!([])), "{of_answer}");
    for (query, status) in [("", 400), ("?position=x", 400), ("?position=1000", 404)] {
        assert_eq!(
            server.get(&format!("/reactions/activation-mail/effects{query}")).status,
            status,
            "{query}"
        );
    }
    server.until_live("activation-mail");
    assert_eq!(files_with(server.folder(), SECRET.as_bytes()), [] as [std::path::PathBuf; 0]);
}

#[test]
fn what_is_not_allowed_is_refused_and_named() {
    let (provider, secrets) = (Provider::start().unwrap(), tempfile::tempdir().unwrap());
    let (url, port) = (provider.url(), provider.port());
    let token = secrets.path().join("token");
    fs::write(&token, SECRET).unwrap();
    let server = Server::start();
    server.configure(
        "echo",
        &format!(
            "{HASTY}[http]\ncalls = 2\nrequest-body = \"1 KiB\"\n[[http.allow]]\nhost = \"{url}\"\nmethods = [\"POST\"]\n\
             [[http.allow]]\nhost = \"http://localhost:{port}\"\nmethods = [\"POST\"]\n\
             [[http.allow]]\nhost = \"http://127.0.0.1:1\"\nmethods = [\"GET\"]\n\
             [secrets.token]\nfile = {token:?}\nhosts = [\"https://elsewhere.example\"]\n"
        ),
    );
    server.drop_in("echo");
    let cases = [
        (json!({ "urls": ["http://other.example/"] }), "http://other.example is not allowed"),
        (json!({ "urls": [format!("http://localhost:{port}/send")] }), "which is a private address"),
        (json!({ "urls": ["http://127.0.0.1:1/"] }), "POST to http://127.0.0.1:1 is not allowed"),
        (
            json!({ "urls": [format!("{url}/send")], "authorization": "{secret:token}" }),
            "the secret \"token\" is not for",
        ),
        (
            json!({ "urls": [format!("{url}/send")], "authorization": "{secret:none}" }),
            "names no secret \"none\"",
        ),
        (
            json!({ "urls": [format!("{url}/send")], "body": "x".repeat(2000) }),
            "a request of more than 1 KiB is not allowed",
        ),
        (
            json!({ "urls": [format!("{url}/mails"), format!("{url}/mails"), format!("{url}/mails")] }),
            "more than 2 calls for one event are not allowed",
        ),
    ];
    let events: Vec<Value> = (1..).zip(&cases).map(|(id, (data, _))| to_call(id, data.clone())).collect();
    server.client().append(&events);
    server.until_live("echo");
    let letters = wait::until("all are given up", || {
        let letters = server.get("/reactions/echo/dead-letters").ok()["dead-letters"].as_array()?.clone();
        (letters.len() == cases.len()).then_some(letters)
    });
    for (letter, (_, reason)) in letters.iter().zip(&cases) {
        assert!(letter["reason"].as_str().unwrap().contains(reason), "{reason}: {letter}");
        assert_eq!(letter["attempts"], 1, "{letter}");
    }
    let status = server.get("/reactions/echo").ok();
    let refusals = status["refusals"].to_string();
    for (_, reason) in &cases {
        assert!(refusals.contains(&reason.replace('"', "\\\"")), "{reason}: {refusals}");
    }
    assert_eq!(provider.seen().calls, 0);
    assert_eq!(files_with(server.folder(), SECRET.as_bytes()), [] as [std::path::PathBuf; 0]);
}

#[test]
fn a_secret_that_is_sent_back_is_not_seen() {
    let secrets = tempfile::tempdir().unwrap();
    let token = secrets.path().join("token");
    fs::write(&token, SECRET).unwrap();
    // It answers with what it was sent.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                connection.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let length = head.len();
            let answer = format!("HTTP/1.1 200 OK\r\nx-sent: {SECRET}\r\ncontent-length: {length}\r\n\r\n");
            connection.write_all(&[answer.as_bytes(), &head].concat()).unwrap();
        }
    });
    let server = Server::start();
    server.configure(
        "echo",
        &format!(
            "[[http.allow]]\nhost = \"{url}\"\nmethods = [\"POST\"]\n\
             [secrets.token]\nfile = {token:?}\nhosts = [\"{url}\"]\n"
        ),
    );
    server.drop_in("echo");
    server.client().append(&[to_call(1, json!({ "urls": [url], "authorization": "Bearer {secret:token}" }))]);
    let called = wait::until("it is answered", || {
        server.get("/events?type=called").ok()["events"].as_array()?.first().cloned()
    });
    let answer = called["data"]["answers"][0][1].as_str().unwrap();
    assert!(answer.contains("authorization: Bearer {secret:token}"), "{answer}");
    assert!(answer.contains("idempotency-key: "), "{answer}");
    server.until_live("echo");
    assert_eq!(files_with(server.folder(), SECRET.as_bytes()), [] as [std::path::PathBuf; 0]);
}

#[test]
fn a_call_that_was_answered_is_not_made_again() {
    let provider = Provider::start().unwrap();
    let url = provider.url();
    let mut server = echoing(&provider, "[policies]\nlanes = 1\n");
    let send = |id: u64, failures: u32, changes: bool| {
        // As JSON it is the same repeated.
        let body = if changes { "7" } else { "{\"to\":1}" };
        to_call(
            id,
            json!({ "urls": [format!("{url}/send")], "body": body, "failures": failures, "changes": changes }),
        )
    };
    server.client().append(&[send(1, 3, false), send(2, 1, true)]);
    wait::until_true("one is answered", || count(&server, "called") == 1);
    let letters = wait::until("the other is given up", || {
        server.get("/reactions/echo/dead-letters").ok()["dead-letters"].as_array()?.first().cloned()
    });
    assert!(
        letters["reason"]
            .as_str()
            .unwrap()
            .contains("call 1 differs from the one that was made for this event before"),
        "{letters}"
    );
    let letter = server.get(&format!("/reactions/echo/dead-letters/{}", letters["position"])).ok();
    assert_eq!(letter["calls"][0]["response"]["status"], 202, "{letter}");
    let effects = server.get(&format!("/reactions/echo/effects?position={}", letters["position"])).ok();
    assert_eq!((&effects["state"], &effects["appended"]), (&json!("dead-letter"), &json!([])), "{effects}");
    assert_eq!(provider.seen().calls, 2, "one for each event");
    assert_eq!(server.get("/reactions/echo").ok()["calls"]["replayed"], 3);
    server.kill();
    server.restart();
    server.until_live("echo");
    assert_eq!(provider.seen().calls, 2);
}

fn to_number(provider: &Provider, id: u64) -> Value {
    json!({ "specversion": "1.0", "id": format!("number-{id}"), "source": "/test", "type": "to-number",
            "subject": format!("subject-{id}"), "data": { "url": format!("{}/send", provider.url()) } })
}

/// A server on which many lanes number events, each with a call, by a row of all.
fn numbering(provider: &Provider) -> Server {
    echoing(provider, &format!("{NIMBLE}[policies]\nlanes = 32\n"))
}

/// What a call says comes from a row that all events change, whichever their lanes, some of
/// them without a call.
#[test]
fn calls_that_come_from_the_same_row_are_made_one_after_the_other() {
    const EVENTS: u64 = 300;
    let provider = Provider::start().unwrap();
    let server = numbering(&provider);
    let skip = |id: u64| {
        json!({ "specversion": "1.0", "id": format!("skip-{id}"), "source": "/test", "type": "to-skip",
                "subject": format!("skips-{id}"), "data": {} })
    };
    let events = (1..=EVENTS).flat_map(|id| [to_number(&provider, id), skip(id)]);
    server.client().append(&events.collect::<Vec<_>>());
    wait::until_true("all are numbered", || subjects(&server, "numbered").len() as u64 == EVENTS);
    let status = server.get("/reactions/echo").ok();
    assert_eq!((&status["dead-letters"], &status["calls"]["changed"]), (&json!(0), &json!(0)), "{status}");
    let seen = provider.seen();
    assert_eq!(seen.calls, EVENTS, "each is called for once");
    let numbers: BTreeSet<u64> = seen.mails.values().map(|mail| mail.to.as_u64().unwrap()).collect();
    assert_eq!(numbers.len() as u64, EVENTS, "no number is there twice");
}

/// What has been answered stays as it was, whatever fails and is killed.
#[test]
fn numbers_that_are_out_stay_as_they_are() {
    const EVENTS: u64 = 400;
    let provider = Provider::start().unwrap();
    let mut server = numbering(&provider);
    server.until_status("echo", "is deployed", |status| status["live"].is_string());
    let mut random = Random::printed();
    for round in 0..8 {
        // For a while nobody gets a number, which must not be taken for a row that nobody changes.
        provider.behave(if round % 4 == 1 { Behaviour::Fail } else { Behaviour::Well });
        let events = (1..=EVENTS / 8).map(|id| to_number(&provider, round * EVENTS / 8 + id));
        server.client().append(&events.collect::<Vec<_>>());
        thread::sleep(Duration::from_millis(random.below(150)));
        server.kill();
        server.restart();
    }
    provider.behave(Behaviour::Well);
    wait::until_true("all are numbered", || subjects(&server, "numbered").len() as u64 == EVENTS);
    let status = server.until_live("echo");
    assert_eq!(status["health"], "ok");
    let status = server.get("/reactions/echo").ok();
    assert_eq!(status["dead-letters"], 0, "{status}");
    let lines = server.client().get_with("/events?type=numbered", &[("accept", "application/x-ndjson")]);
    let numbered: Vec<Value> = lines.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: BTreeSet<u64> =
        numbered.iter().map(|event| event["data"]["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers.len() as u64, EVENTS, "no number is there twice");
}

#[test]
fn a_call_that_is_not_made_again_is_no_secret() {
    let provider = Provider::start().unwrap();
    let url = provider.url();
    let server = echoing(&provider, "[policies]\nlanes = 1\n");
    let send = format!("{url}/send");
    let data = json!({ "urls": [send, send], "body": "{\"to\":1}", "failures": 1, "fewer": true });
    server.client().append(&[to_call(1, data)]);
    wait::until_true("it is answered", || count(&server, "called") == 1);
    let status = server.get("/reactions/echo").ok();
    assert_eq!(
        (&status["calls"]["changed"], &status["calls"]["replayed"]),
        (&json!(1), &json!(1)),
        "{status}"
    );
    assert!(server.log().contains("call 2, POST"), "{}", server.log());
}

#[test]
fn a_call_that_is_cut_off_is_in_the_journal() {
    let provider = Provider::start().unwrap();
    let url = provider.url();
    let server = echoing(&provider, "[limits]\ntime = \"200ms\"\n[http]\ntimeout = \"1m\"\n");
    server.until_status("echo", "is deployed", |status| status["live"].is_string());
    provider.behave(Behaviour::Hang);
    let data = json!({ "urls": [format!("{url}/send")], "body": "{\"to\":1}" });
    server.client().append(&[to_call(1, data)]);
    let effects = wait::until("it has been tried", || {
        let effects = server.get("/reactions/echo/effects?position=1").ok();
        (effects["calls"][0]["attempts"].as_u64()? > 1).then_some(effects)
    });
    let call = &effects["calls"][0];
    assert!(call["failed"].as_str().unwrap().contains("cut off"), "{effects}");
    provider.behave(Behaviour::Well);
    wait::until_true("it is answered", || count(&server, "called") == 1);
    let call = server.get("/reactions/echo/effects?position=1").ok()["calls"][0].clone();
    assert_eq!(call["response"]["status"], 202, "{call}");
}

#[test]
fn a_provider_that_is_down_is_left_alone_and_all_is_made_up_for() {
    const ACCOUNTS: u64 = 300;
    let (provider, secrets) = (Provider::start().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start();
    server.configure("activation-mail", &(settings(&provider, secrets.path()) + NIMBLE));
    for name in ["activation-mail", "account-page", "echo"] {
        server.drop_in(name);
    }
    provider.behave(Behaviour::Fail);
    server.client().append(&(1..=ACCOUNTS).map(created).collect::<Vec<_>>());
    server.until_status("activation-mail", "is deployed", |status| status["live"].is_string());
    let status = wait::until("the provider is left alone", || {
        let status = server.get("/reactions/activation-mail").ok();
        (status["breakers"][0]["state"] != "closed" && status["calls"]["blocked"].as_u64()? > 0)
            .then_some(status)
    });
    assert_eq!(status["breakers"][0]["host"], provider.url(), "{status}");
    assert!(status["breakers"][0]["reason"].as_str().unwrap().contains("503"), "{status}");
    // Others are not held up.
    server.until_live("echo");
    let asked = json!({ "specversion": "1.0", "id": "asked-1", "source": "/test", "type": "asked", "subject": "a", "data": {} });
    server.client().append(&[asked]);
    server.until_live("account-page");
    wait::until_true("another reaction answers", || subjects(&server, "answered").len() == 1);
    assert_eq!(server.get("/projections/account-page/queries/summary").ok()["accounts"], ACCOUNTS);
    provider.behave(Behaviour::Well);
    wait::until_true("all mails are sent", || {
        subjects(&server, "activation-mail.sent").len() as u64 == ACCOUNTS
    });
    let status = server.until_live("activation-mail");
    assert_eq!(status["health"], "ok");
    let status = server.get("/reactions/activation-mail").ok();
    assert_eq!((&status["breakers"], &status["dead-letters"]), (&json!([]), &json!(0)), "{status}");
    assert_eq!(provider.seen().mails.len() as u64, ACCOUNTS);
}

/// The provider fails at random, and so does the host; the component is replaced
/// meanwhile.
#[test]
fn ten_thousand_accounts_get_one_mail_each_whatever_fails() {
    const ACCOUNTS: u64 = 10_000;
    const KILLS: u64 = 20;
    let mut random = Random::printed();
    let (provider, secrets) = (Provider::start().unwrap(), tempfile::tempdir().unwrap());
    provider.behave(Behaviour::Badly { share: 1.0 / 3.0 });
    let mut server = Server::stopped();
    server.configure("activation-mail", &(settings(&provider, secrets.path()) + HASTY + NIMBLE));
    server.drop_in("activation-mail");
    server.restart();
    for kill in 1..=KILLS {
        let share = ACCOUNTS / KILLS;
        server.client().append(&((kill - 1) * share + 1..=kill * share).map(created).collect::<Vec<_>>());
        if kill % 6 == 0 {
            let other = components::remarked(&components::bytes("activation-mail"), &kill.to_string());
            components::put(&server.plugin_file("activation-mail"), &other);
        }
        let pause = Duration::from_millis(random.below(600));
        thread::sleep(pause);
        server.kill();
        println!("kill {kill} after {pause:?}, {} calls", provider.seen().calls);
        server.restart();
    }
    wait::until_true("all mails are sent", || {
        subjects(&server, "activation-mail.sent").len() as u64 >= ACCOUNTS
    });
    server.until_live("activation-mail");
    let sent = subjects(&server, "activation-mail.sent");
    let distinct: BTreeSet<&String> = sent.iter().collect();
    assert_eq!((sent.len() as u64, distinct.len() as u64), (ACCOUNTS, ACCOUNTS));
    let seen = provider.seen();
    println!("{} calls", seen.calls);
    assert_eq!(seen.mails.len() as u64, ACCOUNTS, "keys");
    let to: BTreeSet<String> = seen.mails.values().map(|mail| mail.to.to_string()).collect();
    assert_eq!(to.len() as u64, ACCOUNTS);
    let status = server.get("/reactions/activation-mail").ok();
    assert_eq!((&status["dead-letters"], &status["waiting"]), (&json!(0), &json!(0)), "{status}");
}
