//! A reaction that answers each event once, and fails as its event says.

use std::{
    cell::RefCell,
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use projectionist_sdk::prelude::*;

/// What an event asks for.
#[derive(Deserialize)]
struct Asked {
    /// How many times to fail before answering.
    #[serde(default)]
    failures: u32,
    /// Never to be answered: `reject` or `panic`.
    #[serde(default)]
    never: Option<String>,
}

/// What may not be heard yet.
#[derive(Deserialize)]
struct Told {
    /// Milliseconds since the Unix epoch.
    #[serde(default)]
    not_before: u128,
}

/// Calls to make, one after the other.
#[derive(Deserialize)]
struct ToCall {
    urls: Vec<String>,
    #[serde(default)]
    authorization: Option<String>,
    #[serde(default)]
    body: String,
    /// How many times to fail after the calls; each time but the first, the body is
    /// this many times as long if `changes` is set, and so many calls fewer are made if
    /// `fewer` is.
    #[serde(default)]
    failures: u32,
    #[serde(default)]
    changes: bool,
    #[serde(default)]
    fewer: bool,
}

/// Something to be numbered.
#[derive(Deserialize)]
struct ToNumber {
    url: String,
}

/// A timer to set, or without a time to cancel.
#[derive(Deserialize)]
struct ToTime {
    key: String,
    at: Option<Timestamp>,
}

/// Answers `asked` with `answered`. Subjects share a lane up to their first slash.
#[derive(Reaction)]
pub struct Echo {
    /// How many events of each subject were answered.
    answered: Table<String, u64>,
    /// Changed at every event, whichever its lane.
    total: Table<String, u64>,
}

#[reaction(new_version = "continue", lane = |event| event.subject().split('/').next().unwrap_or_default())]
impl Echo {
    #[on("asked")]
    fn asked(&mut self, event: &Event, asked: Asked) -> Result<NewEvent, Failure> {
        let answered = self.answered.entry(event.subject());
        *answered += 1;
        let number = *answered;
        *self.total.entry("all") += 1;
        match asked.never.as_deref() {
            Some("panic") => panic!("as asked for"),
            Some(reason) => return Err(Failure::reject(reason)),
            None => {}
        }
        if failed_before(event.position()) < asked.failures {
            return Err(Failure::retry("not yet"));
        }
        Ok(NewEvent::new("answered")
            .subject(event.subject())
            .data(&json!({ "to": event.id(), "number": number })))
    }

    /// Reads and changes nothing.
    #[on("told")]
    #[expect(clippy::disallowed_methods, reason = "a reaction may ask for the time")]
    fn told(&mut self, event: &Event, told: Told) -> Result<NewEvent, Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(Failure::retry)?;
        if now.as_millis() < told.not_before {
            return Err(Failure::retry("too early"));
        }
        Ok(NewEvent::new("heard").data(&json!({ "from": event.id() })))
    }

    /// Answers with the statuses and bodies of the responses.
    #[on("to-call")]
    fn call(&mut self, event: &Event, to_call: ToCall) -> Result<NewEvent, Failure> {
        let failed = failed_before(event.position());
        let times = if to_call.changes { failed as usize + 1 } else { 1 };
        let count = to_call.urls.len() - if to_call.fewer { failed as usize } else { 0 };
        let mut answers = Vec::new();
        for url in &to_call.urls[..count] {
            let mut request = http::post(url.as_str()).bytes("text/plain", to_call.body.repeat(times));
            if let Some(authorization) = &to_call.authorization {
                request = request.header("authorization", authorization.as_str());
            }
            let response = request.send()?;
            println!("{url} answers {}", response.text());
            answers.push(json!([response.status(), response.text()]));
        }
        if failed < to_call.failures {
            return Err(Failure::retry("not yet"));
        }
        Ok(NewEvent::new("called").data(&json!({ "to": event.id(), "answers": answers })))
    }

    /// Tells of the next number, which events of all lanes take from the same row.
    #[on("to-number")]
    fn number(&mut self, event: &Event, to_number: ToNumber) -> Result<NewEvent, Failure> {
        let number = self.total.get("numbers").map_or(1, |last| *last + 1);
        http::post(to_number.url).json(&json!({ "to": number, "template": event.id() })).send()?.ok()?;
        self.total.insert("numbers", number);
        Ok(NewEvent::new("numbered").subject(event.subject()).data(&json!({ "number": number })))
    }

    /// Leaves a number out, without telling anybody.
    #[on("to-skip")]
    fn skip(&mut self, event: &Event, _: Value) -> NewEvent {
        *self.total.entry("numbers") += 1;
        NewEvent::new("skipped").subject(event.subject())
    }

    #[on("to-time")]
    fn time(&mut self, _: &Event, timer: ToTime) -> Effects {
        match timer.at {
            Some(at) => Effects::none().timer(timer.key, at),
            None => Effects::none().cancel(timer.key),
        }
    }

    #[on_timer]
    fn due(&mut self, event: &Event, timer: Timer) -> NewEvent {
        let late = now().since(timer.due).as_millis() as u64;
        NewEvent::new("rung").subject(event.subject()).data(&json!({ "key": timer.key, "late": late }))
    }

    /// How many events of a subject were answered.
    #[query]
    fn answers(&self, subject: &str) -> u64 {
        self.answered.get(subject).map_or(0, |number| *number)
    }
}

/// How many times this instance has failed at an event: what it remembers outside of
/// its tables outlives a failure.
fn failed_before(position: u64) -> u32 {
    thread_local! {
        static FAILURES: RefCell<HashMap<u64, u32>> = RefCell::default();
    }
    FAILURES.with_borrow_mut(|failures| {
        let failures = failures.entry(position).or_default();
        *failures += 1;
        *failures - 1
    })
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::{ReactionHarness, event};

    use super::*;

    #[test]
    fn what_fails_leaves_nothing_behind() {
        let mut harness = ReactionHarness::<Echo>::new();
        let asked = |data| event("asked").subject("a").data(data);
        harness.handle(asked(json!({})));
        let rejected = harness.try_handle(asked(json!({ "never": "reject" })));
        assert_eq!(rejected, Err(Failure::reject("reject")));
        let malformed = harness.try_handle(asked(json!("no object")));
        assert!(matches!(malformed, Err(Failure::Reject(_))), "{malformed:?}");
        harness.handle(asked(json!({})));
        let numbers: Vec<Value> = harness
            .appended()
            .iter()
            .map(|event| event.json::<Value>().expect("JSON")["number"].clone())
            .collect();
        assert_eq!(numbers, [1, 2]);
        assert_eq!(harness.rows("answered"), [(json!("a"), json!(2))]);
        assert_eq!(harness.try_query("answers", json!({ "subject": "a" })), Ok(json!(2)));
        assert_eq!(harness.describe()["new-version"], "continue");
        assert_eq!(harness.lane(&event("asked").subject("house/2")), "house");
    }
}
