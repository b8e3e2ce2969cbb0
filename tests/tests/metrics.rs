//! Metrics: well-formed to the letter, and true.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::{BTreeMap, BTreeSet};

use projectionist_tests::{Server, live, wait};
use serde_json::{Value, json};

/// A sample's name and labels, in order.
type Sample = (String, Vec<(String, String)>);

/// What a scrape says, read as strictly as the specification of OpenMetrics allows.
#[derive(Debug)]
struct Scrape(BTreeMap<Sample, f64>);

impl Scrape {
    #[track_caller]
    fn of(server: &Server) -> Self {
        let answer = server.get("/metrics");
        assert_eq!(answer.status, 200, "{answer:#?}");
        let media_type = answer.header("content-type");
        assert_eq!(media_type, Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
        Self::parse(&answer.body)
    }

    #[track_caller]
    fn parse(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("it does not end: {text}"));
        let (mut families, mut samples) = (BTreeSet::new(), BTreeMap::new());
        let mut family = (String::new(), String::new());
        let mut described = 0;
        for line in body.lines() {
            if let Some(described_as) = line.strip_prefix("# ") {
                let [word, name, rest] = described_as.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                    panic!("{line}")
                };
                assert!(is_name(name, true), "{line}");
                match word {
                    "HELP" => {
                        assert!(rest.ends_with('.') && families.insert(name.to_owned()), "{line}");
                        (family, described) = ((name.to_owned(), String::new()), 1);
                    }
                    "TYPE" => {
                        assert!((&*family.0, described) == (name, 1), "{line}");
                        assert!(["gauge", "counter", "info"].contains(&rest), "{line}");
                        (family.1, described) = (rest.to_owned(), 2);
                    }
                    "UNIT" => {
                        assert!((&*family.0, described) == (name, 2), "{line}");
                        assert!(name.ends_with(&format!("_{rest}")), "{line}");
                        described = 3;
                    }
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (sample, value) = sample(line);
            let suffix = match family.1.as_str() {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            assert_eq!(sample.0, format!("{}{suffix}", family.0), "{line}");
            if family.1 != "gauge" {
                assert!(value >= 0.0, "{line}");
            }
            if family.1 == "info" {
                assert!(value == 1.0, "{line}");
            }
            assert!(samples.insert(sample, value).is_none(), "twice: {line}");
        }
        Self(samples)
    }

    fn find(&self, name: &str, labels: &[(&str, &str)]) -> Vec<(&Sample, f64)> {
        let has = |all: &[(String, String)]| {
            labels
                .iter()
                .all(|(name, value)| all.iter().any(|(n, v)| (n.as_str(), v.as_str()) == (*name, *value)))
        };
        let found = self.0.iter().filter(|((found, all), _)| found == name && has(all));
        found.map(|(sample, value)| (sample, *value)).collect()
    }

    /// The one sample of a name that has these labels.
    #[track_caller]
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let found = self.find(name, labels);
        let [(_, value)] = found[..] else { panic!("{name} with {labels:?}: {found:?} in {self:#?}") };
        value
    }
}

fn is_name(name: &str, colons: bool) -> bool {
    let may = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
    !name.is_empty() && name.chars().all(may) && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[track_caller]
fn sample(line: &str) -> (Sample, f64) {
    let at = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line}"));
    let (name, mut rest) = line.split_at(at);
    assert!(is_name(name, true), "{line}");
    let mut labels: Vec<(String, String)> = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(label, false) && labels.iter().all(|(other, _)| other != label), "{line}");
            let (mut value, mut chars) = (String::new(), after.char_indices());
            let end = loop {
                match chars.next().unwrap_or_else(|| panic!("{line}")) {
                    (at, '"') => break at + 1,
                    (_, '\\') => value.push(match chars.next().unwrap().1 {
                        'n' => '\n',
                        c @ ('\\' | '"') => c,
                        c => panic!("\\{c} in {line}"),
                    }),
                    (_, c) => value.push(c),
                }
            };
            labels.push((label.to_owned(), value));
            rest = &after[end..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').unwrap_or_else(|| panic!("{line}"));
    }
    let number = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    assert!(!number.contains(' '), "no time stands there: {line}");
    ((name.to_owned(), labels), number.parse().unwrap_or_else(|_| panic!("{line}")))
}

fn events(from: u64, to: u64, event_type: &str) -> Vec<Value> {
    let event = |n: u64| json!({"specversion": "1.0", "id": n.to_string(), "source": "/test", "type": event_type, "subject": format!("s/{n}")});
    (from..=to).map(event).collect()
}

#[test]
fn an_empty_server_has_metrics_of_its_own() {
    let server = Server::start();
    let scrape = Scrape::of(&server);
    assert_eq!(scrape.value("projectionist_log_head_position", &[]), 0.0);
    assert_eq!(scrape.value("projectionist_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    // After 2025, and not in milliseconds.
    let started = scrape.value("process_start_time_seconds", &[]);
    assert!((1.7e9..1e11).contains(&started), "{started}");
    assert_eq!(scrape.value("projectionist_plugins_folder_readable", &[]), 1.0);
    assert!(scrape.find("projectionist_plugin_info", &[]).is_empty());

    let refused = server.get("/metrics?plugin=churn").problem(400);
    assert_eq!(refused["type"], "/problems/unknown-parameter");
    let document = server.get("/openapi.json").ok();
    assert!(document["paths"]["/metrics"]["get"].is_object());
    assert!(server.get("/").ok()["addresses"]["/metrics"].is_string());
}

#[test]
fn metrics_say_what_a_status_says() {
    let server = Server::start();
    server.client().append(&events(1, 30, "one"));
    server.configure("tally", "[policies]\npartitions = 2\n");
    server.configure("refuses", "[values]\nat = \"refused\"\n");
    for name in ["meter", "tally", "refuses"] {
        server.drop_in(name);
    }
    for name in ["meter", "tally", "refuses"] {
        server.until_live(name);
    }
    server.client().append(&events(31, 40, "two"));
    for name in ["meter", "tally"] {
        let of = [("plugin", name)];
        let scrape = wait::until("it has no lag", || {
            let scrape = Scrape::of(&server);
            let folded = scrape.value("projectionist_plugin_position", &of) == 40.0;
            (folded && scrape.value("projectionist_plugin_lag_positions", &of) == 0.0).then_some(scrape)
        });
        let status = server.status(name).unwrap();
        let (version, state) = (status["live"].as_str().unwrap(), &live(&status)["state"]);
        let of_version = [("plugin", name), ("version", version)];
        assert_eq!(scrape.value("projectionist_log_head_position", &[]), 40.0);
        scrape.value(
            "projectionist_plugin_info",
            &[("plugin", name), ("kind", "projection"), ("live", version)],
        );
        scrape.value("projectionist_version_info", &[("version", version), ("station", "live")]);
        for (metric, field) in [
            ("projectionist_version_position", "position"),
            ("projectionist_version_folded_events_total", "events"),
            ("projectionist_version_dead_letters", "dead-letters"),
        ] {
            assert_eq!(json!(scrape.value(metric, &of_version) as u64), state[field], "{metric}");
        }
        assert!(scrape.value("projectionist_version_state_bytes", &of_version) > 0.0);
        let tables = state["tables"].as_array().unwrap();
        assert_eq!(scrape.find("projectionist_table_keys", &of_version).len(), tables.len());
        for table in tables {
            let labels = [of_version[0], of_version[1], ("table", table["name"].as_str().unwrap())];
            assert_eq!(json!(scrape.value("projectionist_table_keys", &labels) as u64), table["keys"]);
        }
        let healths = scrape.find("projectionist_plugin_health", &of);
        assert_eq!((healths.len(), healths.iter().map(|(_, value)| value).sum()), (6, 1.0));
        assert_eq!(scrape.value("projectionist_plugin_health", &[of[0], ("health", "ok")]), 1.0);
        assert!(scrape.find("projectionist_verification_verdict", &of).is_empty(), "it was not verified");
    }

    // What came of a verification, for good and for ill.
    server.run(&["verify", "meter"]).ok();
    let scrape = Scrape::of(&server);
    let of = ("plugin", "meter");
    let verdict = |verdict| scrape.value("projectionist_verification_verdict", &[of, ("verdict", verdict)]);
    assert_eq!(["verified", "differs", "failed"].map(verdict), [1.0, 0.0, 0.0]);
    assert_eq!(scrape.value("projectionist_verification_position", &[of]), 40.0);
    let began = scrape.value("projectionist_verification_start_time_seconds", &[of]);
    assert!(began >= scrape.value("process_start_time_seconds", &[]));
    assert!(scrape.value("projectionist_verification_duration_seconds", &[of]) > 0.0);

    // One that halts says so, and falls behind.
    server.client().append(&events(41, 43, "refused"));
    server.until_health("refuses", "halted");
    let scrape = Scrape::of(&server);
    let of = ("plugin", "refuses");
    assert_eq!(scrape.value("projectionist_plugin_health", &[of, ("health", "halted")]), 1.0);
    assert_eq!(scrape.value("projectionist_plugin_health", &[of, ("health", "ok")]), 0.0);
    assert_eq!(scrape.value("projectionist_plugin_lag_positions", &[of]), 3.0);
}

#[test]
fn a_leak_that_was_found_shows() {
    let server = Server::start();
    server.drop_in("leaky");
    server.until_live("leaky");
    server.client().append(&events(1, 3, "mark"));
    server.until_live("leaky");
    assert_eq!(server.run(&["verify", "leaky"]).code, Some(1));
    let scrape = Scrape::of(&server);
    let labels = [("plugin", "leaky"), ("verdict", "differs")];
    assert_eq!(scrape.value("projectionist_verification_verdict", &labels), 1.0);
}

#[test]
fn a_reaction_says_what_it_did() {
    let server = Server::start();
    server.drop_in("welcome");
    server.until_live("welcome");
    server.client().append(&events(1, 5, "other"));
    server.until_live("welcome");
    let scrape = Scrape::of(&server);
    let of = ("plugin", "welcome");
    scrape.value("projectionist_plugin_info", &[of, ("kind", "reaction")]);
    assert_eq!(scrape.value("projectionist_reaction_waiting_events", &[of]), 0.0);
    assert_eq!(scrape.value("projectionist_reaction_failures_total", &[of]), 0.0);
    assert_eq!(scrape.find("projectionist_reaction_calls_total", &[of]).len(), 6);
}
