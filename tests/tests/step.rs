//! What events did: to one row, and step by step.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::BTreeMap;

use projectionist_tests::{Server, history};
use serde_json::{Value, json};

/// What an event did to a file: its position, and the row before and afterwards.
type Change = (u64, Option<Value>, Option<Value>);

/// What each event did to the file that it is about, by a plain pass over the events.
fn churn(events: &[Value]) -> BTreeMap<String, Vec<Change>> {
    let mut files = BTreeMap::<String, Vec<Change>>::new();
    for (position, event) in (1..).zip(events) {
        if event["type"].as_str().unwrap().starts_with("git.file.") {
            let file = files.entry(event["subject"].as_str().unwrap().to_owned()).or_default();
            let before = file.last().and_then(|(_, _, after)| after.clone());
            let changes = before.as_ref().map_or(0, |before| before["changes"].as_u64().unwrap()) + 1;
            let after = json!({"changes": changes, "last_author": event["data"]["author"]});
            file.push((position, before, Some(after)));
        }
    }
    files
}

fn changes<'a>(entries: impl IntoIterator<Item = &'a Value>) -> Vec<Change> {
    let entry = |entry: &Value| {
        let value = |side: &str| entry.get(side).cloned();
        (entry["event"]["position"].as_u64().unwrap(), value("before"), value("after"))
    };
    entries.into_iter().map(entry).collect()
}

/// A server with `churn` live over some of the history, and these events.
fn with_churn(count: usize) -> (Server, Vec<Value>) {
    let history = history::whole();
    let events = history.first(count);
    let server = Server::start();
    server.client().append(&events);
    server.drop_in("churn");
    server.until_live("churn");
    (server, events)
}

fn lines(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_history_of_a_file_is_what_a_plain_pass_makes_of_it() {
    let (server, events) = with_churn(2_000);
    let expected = churn(&events);
    let (busiest, all) = expected.iter().max_by_key(|(_, changes)| changes.len()).unwrap();
    assert!(all.len() > 10, "{busiest} was changed {} times", all.len());

    let listed = server.run(&["history", "churn", "files", busiest, "--json"]).ok();
    assert_eq!(&changes(&lines(&listed)), all);
    let newest = server.run(&["history", "churn", "files", busiest, "--json", "--reverse", "-n", "3"]).ok();
    let newest = changes(&lines(&newest));
    assert_eq!(newest, all.iter().rev().take(3).cloned().collect::<Vec<_>>());

    // A page of it, and the one behind.
    let path = format!("/projections/churn/history/files/{busiest}");
    let page = server.get(&format!("{path}?limit=4")).ok();
    assert_eq!(changes(page["changes"].as_array().unwrap()), all[..4]);
    let rest = server.get(&format!("{path}?from={}&limit=1000", page["next"])).ok();
    assert_eq!(changes(rest["changes"].as_array().unwrap()), all[4..]);
    assert_eq!((&rest["next"], &rest["key"]), (&Value::Null, &json!(busiest)));

    // Other files, some of which nobody ever heard of.
    for (file, all) in expected.iter().take(5) {
        let page = server.get(&format!("/projections/churn/history/files/{file}?limit=1000")).ok();
        assert_eq!(&changes(page["changes"].as_array().unwrap()), all, "{file}");
    }
    let never = server.run(&["history", "churn", "files", "never/was"]);
    assert_eq!((never.code, never.output.as_str()), (Some(0), ""));
    assert!(never.errors.contains("no event has ever changed it"), "{never:#?}");

    // For people.
    let shown = server.run(&["history", "churn", "files", busiest, "-n", "2"]).ok();
    assert!(shown.contains("+ changes: 1\n") && shown.contains("~ changes: 1 → 2\n"), "{shown:#?}");
}

/// The steps of all pages.
fn all_steps(server: &Server, query: &str) -> Vec<Value> {
    let mut steps = Vec::new();
    let mut next = String::new();
    loop {
        let page = server.get(&format!("/projections/churn/steps?{query}{next}")).ok();
        steps.extend(page["steps"].as_array().unwrap().clone());
        let side = if query.contains("reverse") { "to" } else { "from" };
        match page["next"].as_u64() {
            Some(position) => next = format!("&{side}={position}"),
            None => return steps,
        }
    }
}

#[test]
fn steps_go_forwards_and_backwards_and_stop_at_breakpoints() {
    let (server, events) = with_churn(3_000);
    let files = churn(&events);
    let expected: BTreeMap<u64, (&String, &Change)> = files
        .iter()
        .flat_map(|(file, changes)| changes.iter().map(move |change| (change.0, (file, change))))
        .collect();
    let position = |step: &Value| step["event"]["position"].as_u64().unwrap();

    let steps = all_steps(&server, "limit=700");
    assert_eq!(steps.iter().map(position).collect::<Vec<_>>(), expected.keys().copied().collect::<Vec<_>>());
    for step in &steps {
        let (file, (_, before, after)) = expected[&position(step)];
        let changes = step["changes"].as_array().unwrap();
        assert_eq!(changes.len(), 1, "{step}");
        assert_eq!((&changes[0]["table"], &changes[0]["key"]), (&json!("files"), &json!(file)));
        assert_eq!((changes[0].get("before"), changes[0].get("after")), (before.as_ref(), after.as_ref()));
        let event = &events[position(step) as usize - 1];
        assert_eq!((&step["event"]["id"], &step["event"]["data"]), (&event["id"], &event["data"]));
    }

    // Backwards they are the same, also in small pages and from the middle.
    let mut backwards = all_steps(&server, "limit=700&reverse=true");
    backwards.reverse();
    assert_eq!(backwards, steps);
    let middle = position(&steps[steps.len() / 2]);
    let page = server.get(&format!("/projections/churn/steps?to={middle}&limit=5&reverse=true")).ok();
    let before: Vec<_> =
        steps.iter().rev().filter(|step| position(step) <= middle).take(5).cloned().collect();
    assert_eq!(page["steps"].as_array().unwrap(), &before);

    // Breakpoints are where a search through all steps finds them, in both directions.
    let (busiest, _) = files.iter().max_by_key(|(_, changes)| changes.len()).unwrap();
    let event_type = "git.file.renamed";
    let is_met = |step: &&Value| step["event"]["type"] == event_type || step["event"]["subject"] == **busiest;
    for query in [
        format!("type={event_type}&subject={busiest}"),
        format!("type={event_type}&change=files/{busiest}"),
        format!("type={event_type}&key=files/{busiest}"),
    ] {
        let mut met: Vec<_> = steps.iter().filter(is_met).cloned().collect();
        assert_eq!(all_steps(&server, &format!("limit=7&{query}")), met);
        met.reverse();
        assert_eq!(all_steps(&server, &format!("limit=7&reverse=true&{query}")), met);
    }
}

fn deposit(number: u64, subject: &str, account: &str, amount: i64) -> Value {
    json!({"specversion": "1.0", "id": number.to_string(), "source": "/bank", "type": "account.deposited",
        "subject": subject, "data": {"account": account, "amount": amount}})
}

#[test]
fn a_row_of_a_subject_is_folded_from_that_subject_alone() {
    let server = Server::start();
    // A subject for each account, which in every tenth case has another name.
    let subject = |account: u64| match account % 10 {
        0 => format!("vault-{account}"),
        _ => format!("acct-{account}"),
    };
    let events: Vec<Value> = (0..6_000)
        .map(|number| (number, number % 3 * (number % 40)))
        .map(|(number, account)| {
            deposit(number, &subject(account), &format!("acct-{account}"), number as i64)
        })
        .collect();
    server.client().append(&events);
    server.drop_in("accounts");
    server.until_live("accounts");
    let expected = |account: &str| {
        let (mut balance, mut before, mut all) = (0, None, Vec::<Change>::new());
        for (position, event) in (1..).zip(&events).filter(|(_, event)| event["data"]["account"] == account) {
            balance += event["data"]["amount"].as_i64().unwrap();
            let after = Some(json!({"balance": balance, "deposits": all.len() + 1}));
            all.push((position, before, after.clone()));
            before = after;
        }
        all
    };
    let history = |account: &str, query: &str| {
        let page =
            server.get(&format!("/projections/accounts/history/accounts/{account}?limit=1000&{query}")).ok();
        (changes(page["changes"].as_array().unwrap()), page["subject"].as_str().map(str::to_owned))
    };

    let all = expected("acct-33");
    assert!(all.len() > 40);
    assert_eq!(history("acct-33", ""), (all.clone(), Some("acct-33".to_owned())));
    let reversed: Vec<_> = all.iter().rev().cloned().collect();
    assert_eq!(history("acct-33", "reverse=true"), (reversed.clone(), Some("acct-33".to_owned())));
    // In part.
    let (from, to) = (all[3].0, all[10].0);
    assert_eq!(history("acct-33", &format!("from={from}&to={to}")).0, all[3..=10]);
    let listed =
        server.run(&["history", "accounts", "accounts", "acct-33", "--json", "-n", "5", "--reverse"]).ok();
    assert_eq!(changes(&lines(&listed)), reversed[..5]);

    // What its key does not tell can be said; what is said wrongly leads to no wrong answer.
    let all = expected("acct-30");
    assert!(all.len() > 40);
    assert_eq!(history("acct-30", ""), (all.clone(), None));
    assert_eq!(history("acct-30", "subject=vault-30"), (all.clone(), Some("vault-30".to_owned())));
    assert_eq!(history("acct-30", "subject=acct-33"), (all, None));
    // Nobody's.
    assert_eq!(history("acct-9999", ""), (Vec::new(), None));
}

#[test]
fn what_is_printed_and_what_fails_is_shown() {
    let server = Server::start();
    let event = |number: u64, event_type: &str| json!({"specversion": "1.0", "id": number.to_string(), "source": "/test", "type": event_type});
    server.client().append(&[event(1, "quiet"), event(2, "loud"), event(3, "quiet")]);
    server.configure("talks", "[values]\nat = \"loud\"");
    server.drop_in("talks");
    server.until_live("talks");
    let steps = lines(&server.run(&["step", "talks", "--limit", "2"]).ok());
    assert_eq!(steps.len(), 2);
    assert_eq!((&steps[0]["output"], &steps[0]["changes"][0]["after"]), (&json!([]), &json!(1)));
    let output = steps[1]["output"].as_array().unwrap();
    assert_eq!((output.len(), &steps[1]["output-left-out"]), (200, &json!(801)));
    assert_eq!(output[198], json!({"stream": "stdout", "line": "2: line 999"}));
    assert_eq!(output[199], json!({"stream": "stderr", "line": "not even a line"}));

    // A version that never was live can be looked into as well.
    server.configure("refuses", "[values]\nat = \"loud\"");
    server.drop_in("refuses");
    let status = server.until_health("refuses", "failed");
    let version = status["versions"][0]["digest"].as_str().unwrap();
    let ended = server.run(&["step", "refuses"]);
    assert_eq!(ended.code, Some(6), "{ended:#?}");
    let steps = lines(&server.run(&["step", "refuses", "--version", version]).ok());
    assert_eq!(steps.len(), 2);
    assert_eq!(steps[1]["failure"], json!({"reason": "loud is out of focus", "halts": true}));
    let behind = server.get(&format!("/projections/refuses/steps?version={version}&from=3")).problem(409);
    assert_eq!(behind["event"], 2);

    // With dead letters it goes on.
    server.configure("refuses", "[values]\nat = \"loud\"\n[policies]\non-failure = \"dead-letter\"");
    server.until_health("refuses", "ok");
    let steps = lines(&server.run(&["step", "refuses", "--json"]).ok());
    let failures: Vec<_> = steps.iter().map(|step| step["failure"]["halts"].clone()).collect();
    assert_eq!(failures, [Value::Null, json!(false), Value::Null]);
}

#[test]
fn what_cannot_be_stepped_through_says_why() {
    let (server, events) = with_churn(50);
    let steps = "/projections/churn/steps";
    let problem =
        |path: &str, status: u16| server.get(path).problem(status)["detail"].as_str().unwrap().to_owned();
    assert!(problem("/projections/none/steps", 404).contains("there is no projection \"none\""));
    assert!(problem("/projections/none/steps?version=a", 404).contains("there is no projection \"none\""));
    assert!(problem(&format!("{steps}?version=ffff"), 404).contains("no version ffff"));
    assert!(problem(&format!("{steps}?type=git.file.ad"), 400).contains("it wants git.file.added"));
    assert!(problem(&format!("{steps}?change=files"), 400).contains("files/Cargo.toml"));
    assert!(problem(&format!("{steps}?key=file/x"), 404).contains("tables: files"));
    assert!(problem(&format!("{steps}?from=9&to=3"), 400).contains("before `from`"));
    assert!(problem(&format!("{steps}?limit=1001"), 400).contains("1 to 1000"));
    assert!(problem("/projections/churn/history/file/x", 404).contains("tables: files"));
    let beyond = server.get(&format!("{steps}?from={}", events.len() + 1)).ok();
    assert_eq!((&beyond["steps"], beyond.get("next")), (&json!([]), None));

    let ended = server.run(&["step", "churn", "--break", "typ=x"]);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.errors.contains("change=TABLE/KEY"), "{ended:#?}");
    let ended = server.run(&["step", "churn", "--break", "change=nothing/x"]);
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    let ended = server.run(&["history", "churn", "files"]);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
}
