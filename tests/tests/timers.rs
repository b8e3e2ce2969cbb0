//! Timers of reactions: on time, once, over restarts and new versions.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![expect(clippy::disallowed_methods, reason = "a timer is compared with the clock")]

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mail_provider::Provider;
use projectionist_tests::{Random, Server, components, wait};
use serde_json::{Value, json};

/// So many milliseconds from now, as RFC 3339.
fn from_now(milliseconds: u64) -> String {
    let at = SystemTime::now() + Duration::from_millis(milliseconds);
    let since = at.duration_since(UNIX_EPOCH).unwrap();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Days since the epoch to a date, after Howard Hinnant's civil_from_days.
    let shifted = days as i64 + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:06}Z",
        since.subsec_micros()
    )
}

/// Sets a timer, or cancels it.
fn to_time(id: u64, subject: &str, key: &str, at: Option<String>) -> Value {
    json!({ "specversion": "1.0", "id": format!("time-{id}"), "source": "/test", "type": "to-time",
            "subject": subject, "data": { "key": key, "at": at } })
}

/// How often each key has rung, and how late it was at most, in milliseconds.
fn rung(server: &Server) -> BTreeMap<String, (u32, u64)> {
    let page = server.get("/events?type=rung&limit=1000").ok();
    let mut rung = BTreeMap::new();
    for event in page["events"].as_array().unwrap() {
        let (times, late) = rung.entry(event["data"]["key"].as_str().unwrap().to_owned()).or_insert((0, 0));
        *times += 1;
        *late = event["data"]["late"].as_u64().unwrap().max(*late);
    }
    rung
}

#[test]
fn timers_ring_once_unless_they_are_moved_or_cancelled() {
    let mut server = Server::start();
    server.drop_in("echo");
    server.client().append(&[
        to_time(1, "a", "kept", Some(from_now(1_000))),
        to_time(2, "a", "moved", Some(from_now(500))),
        to_time(3, "a", "cancelled", Some(from_now(500))),
        to_time(4, "a", "far", Some(from_now(3_600_000))),
        to_time(5, "a", "past", Some("2020-01-01T00:00:00Z".to_owned())),
        to_time(6, "a", "moved", Some(from_now(1_500))),
        to_time(7, "a", "cancelled", None),
        to_time(8, "a", "never there", None),
    ]);
    server.until_live("echo");
    wait::until_true("three have rung", || rung(&server).len() == 3);
    let times: Vec<(String, u32)> = rung(&server).into_iter().map(|(key, (times, _))| (key, times)).collect();
    assert_eq!(times, [("kept".into(), 1), ("moved".into(), 1), ("past".into(), 1)]);
    let ringing = server.get("/events?type=rung").ok();
    let kept =
        ringing["events"].as_array().unwrap().iter().find(|event| event["data"]["key"] == "kept").unwrap();
    assert_eq!((&kept["subject"], &kept["correlationid"]), (&json!("a"), &json!("time-1")), "{kept}");
    let status = server.get("/reactions/echo").ok();
    assert_eq!((&status["timers"], &status["next-timers"][0]["key"]), (&json!(1), &json!("far")), "{status}");
    // A new version keeps it, and so does a restart.
    let live = server.status("echo").unwrap()["live"].as_str().unwrap().to_owned();
    components::put(&server.plugin_file("echo"), &components::remarked(&components::bytes("echo"), "other"));
    server.until_other_version("echo", &live);
    server.kill();
    server.restart();
    server.until_live("echo");
    let status = server.get("/reactions/echo").ok();
    assert_eq!((&status["timers"], &status["next-timers"][0]["key"]), (&json!(1), &json!("far")), "{status}");
    assert_eq!(rung(&server).len(), 3);
}

/// Timers are set, moved and cancelled while the host is killed again and again.
#[test]
fn each_timer_rings_once_whatever_is_killed_whenever() {
    const TIMERS: u64 = 400;
    const KILLS: u64 = 6;
    let mut random = Random::printed();
    let mut server = Server::stopped();
    server.drop_in("echo");
    server.restart();
    let mut id = 0;
    let mut expected = Vec::new();
    for kill in 0..KILLS {
        let mut events = Vec::new();
        for number in 0..TIMERS / KILLS {
            let key = format!("{kill}-{number}");
            let subject = format!("subject-{}", random.below(20));
            let mut set = |at: Option<String>| {
                id += 1;
                events.push(to_time(id, &subject, &key, at));
            };
            match random.below(4) {
                0 => {
                    set(Some(from_now(60_000)));
                    set(Some(from_now(random.below(800))));
                }
                1 => {
                    set(Some(from_now(60_000)));
                    set(None);
                    continue;
                }
                _ => set(Some(from_now(random.below(1_500)))),
            }
            expected.push(key);
        }
        server.client().append(&events);
        thread::sleep(Duration::from_millis(random.below(500)));
        server.kill();
        server.restart();
    }
    wait::until_true("all have rung", || rung(&server).len() >= expected.len());
    wait::until_true("none is left", || server.get("/reactions/echo").ok()["timers"] == 0);
    server.until_live("echo");
    let rung = rung(&server);
    assert!(rung.values().all(|(times, _)| *times == 1), "{rung:?}");
    let mut keys: Vec<String> = rung.into_keys().collect();
    keys.sort();
    expected.sort();
    assert_eq!(keys, expected);
}

#[test]
fn who_has_not_activated_the_account_is_reminded() {
    let provider = Provider::start().unwrap();
    let url = provider.url();
    let server = Server::start();
    let token = server.folder().join("token");
    std::fs::write(&token, "token").unwrap();
    let settings = format!(
        "[[http.allow]]\nhost = \"{url}\"\nmethods = [\"POST\"]\n[secrets.mail-token]\nfile = {token:?}\n\
         hosts = [\"{url}\"]\n[values]\nmail-service = \"{url}\"\nremind-after-seconds = 2\n"
    );
    for name in ["activation-mail", "reminder", "account-page"] {
        server.configure(name, &settings);
        server.drop_in(name);
    }
    let event = |id: u64, event_type: &str, data: Value| {
        json!({ "specversion": "1.0", "id": format!("{event_type}-{id}"), "source": "/sign-up", "type": event_type,
                "subject": format!("account/{id}"), "data": data })
    };
    let created: Vec<Value> =
        (1..=4).map(|id| event(id, "account.created", json!({ "mail": format!("{id}@b.c") }))).collect();
    server.client().append(&created);
    wait::until_true("the timers are set", || {
        let status = server.get("/reactions/reminder");
        status.status == 200 && status.ok()["timers"] == 4
    });
    server
        .client()
        .append(&[event(2, "account.activated", json!({})), event(4, "account.activated", json!({}))]);
    wait::until_true("the others are reminded", || {
        server.get("/events?type=account.reminded").ok()["events"].as_array().unwrap().len() == 2
    });
    let reminded = server.get("/events?type=account.reminded").ok();
    let mut subjects: Vec<&str> = reminded["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["subject"].as_str().unwrap())
        .collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["account/1", "account/3"]);
    assert_eq!(provider.seen().mails.values().filter(|mail| mail.template == "reminder").count(), 2);
    wait::until_true("no timer is left", || server.get("/reactions/reminder").ok()["timers"] == 0);
}
