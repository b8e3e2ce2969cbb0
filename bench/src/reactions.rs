//! How many events reactions answer, beside the same loops in native Rust: one that only
//! appends, and one that makes a call over HTTP for each event.
//!
//! The native loops promise what the reactions do: a call's response and what follows are
//! durable before the log has it, and both survive a crash between the two.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use futures_util::{StreamExt as _, stream};
use mail_provider::Provider;
use projectionist::{
    client, clock,
    event::{Envelope, Event},
    log::{Append, EventLog, Selection},
    projection::{Code, Scheduler, Version},
    reaction,
    state::{BookEntry, Call, CallOutcome, Durability, Outgoing, PartitionState, StateFolder},
};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::{Figure, Input, native, replay, sized, workload};

/// How many events are answered with events.
const APPENDING: usize = sized(100_000);
/// How many lead to a call.
const CALLING: usize = sized(5_000);
/// How many accounts they are about.
const ACCOUNTS: usize = sized(10_000);
/// How many calls are under way at once.
const LANES: usize = 32;
/// How many answers the native loop commits together, as the host does.
const TOGETHER: usize = 4096;
/// What a store may keep in memory.
const STORE_CACHE: usize = 64 << 20;

pub(crate) fn run(input: &Input) -> Result<Vec<Figure>> {
    let runtime = Runtime::new()?;
    let mut rates: [Vec<f64>; 4] = Default::default();
    for _ in 0..input.runs {
        let appending = events("account.activated", APPENDING);
        rates[0].push(timed(&runtime, &appending, async |log, state| append(&*log, &state).await)?);
        rates[1].push(reacting(&runtime, "welcome", "", &appending)?);
        let calling = events("account.created", CALLING);
        let provider = Provider::start()?;
        let url = format!("{}/send", provider.url());
        rates[2].push(timed(&runtime, &calling, async |log, state| call(&*log, &state, &url).await)?);
        ensure!(provider.seen().mails.len() == CALLING, "the native loop has called for each event");
        let provider = Provider::start()?;
        let secret = tempfile::NamedTempFile::new()?;
        std::fs::write(secret.path(), "token")?;
        let url = provider.url();
        let settings = format!(
            "[[http.allow]]\nhost = \"{url}\"\nmethods = [\"POST\"]\n[secrets.mail-token]\nfile = {:?}\n\
             hosts = [\"{url}\"]\n[values]\nmail-service = \"{url}\"\n",
            secret.path()
        );
        rates[3].push(reacting(&runtime, "activation-mail", &settings, &calling)?);
        ensure!(provider.seen().mails.len() == CALLING, "the reaction has called for each event");
    }
    let [native_append, append, native_call, call] = rates;
    let native_append = Figure::new("only appends: native loop", "events/s", native_append);
    let append = Figure::new("only appends: reaction", "events/s", append).at_least(5e4);
    let native_call =
        Figure::new("one call each, 32 lanes: native loop with reqwest", "events/s", native_call);
    let call = Figure::new("one call each, 32 lanes: reaction", "events/s", call).at_least(2e3);
    let append_share = Figure::ratio("only appends: share of the native loop", &append, &native_append);
    let call_share = Figure::ratio("one call each: share of the native loop", &call, &native_call);
    Ok(vec![native_append, append, append_share, native_call, call, call_share])
}

fn events(event_type: &str, count: usize) -> Vec<Envelope> {
    let event = |number: usize| {
        let account = number % ACCOUNTS;
        let mail = json!({ "mail": format!("user-{account}@example.org") });
        Envelope {
            id: number.to_string(),
            source: "/sign-up".to_owned(),
            event_type: event_type.to_owned(),
            subject: Some(format!("account/{account}")),
            time: None,
            content_type: "application/json".to_owned(),
            data: mail.to_string().into_bytes().into(),
            tags: Vec::new(),
            extensions: Default::default(),
        }
    };
    (0..count).map(event).collect()
}

/// Lets a loop answer all events of a log of its own; how many a second.
fn timed(
    runtime: &Runtime,
    events: &[Envelope],
    answer: impl AsyncFnOnce(Arc<dyn EventLog>, PartitionState) -> Result<()>,
) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let log = filled(runtime, folder.path(), events)?;
    let states = StateFolder::new(folder.path().join("state"));
    let state = states.open_reaction("native", &[], STORE_CACHE)?.partitions()[0].clone();
    let begun = native::now();
    runtime.block_on(answer(Arc::clone(&log), state))?;
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(log.head() == 2 * events.len() as u64, "each event is answered with one");
    Ok(events.len() as f64 / seconds)
}

fn filled(runtime: &Runtime, folder: &Path, events: &[Envelope]) -> Result<Arc<dyn EventLog>> {
    workload::fill(runtime, &folder.join("log"), events.iter().cloned().map(Ok))
}

/// Lets a reaction answer all events of a log of its own; how many a second.
fn reacting(runtime: &Runtime, component: &str, settings: &str, events: &[Envelope]) -> Result<f64> {
    let plugin = replay::load(component, settings)?;
    let folder = tempfile::tempdir()?;
    let log = filled(runtime, folder.path(), events)?;
    let states = StateFolder::new(folder.path().join("state"));
    let state = Arc::new(states.open_reaction(component, plugin.tables(), STORE_CACHE)?);
    let seconds = runtime.block_on(async {
        let version = Arc::new(Version::new(Code::new("0", plugin), state));
        let scheduler = Scheduler::new(1)?;
        let begun = native::now();
        let run = reaction::start(&scheduler, version, Arc::clone(&log));
        while run.handle().activity().appended < events.len() as u64 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let seconds = begun.elapsed().as_secs_f64();
        run.stop().await;
        anyhow::Ok(seconds)
    })?;
    ensure!(log.head() == 2 * events.len() as u64, "each event is answered with one");
    Ok(events.len() as f64 / seconds)
}

/// What follows from an event.
fn follow_up(event: &Event, event_type: &str) -> Envelope {
    Envelope {
        id: format!("{}-0", event.position),
        source: "/reactions/native".to_owned(),
        event_type: event_type.to_owned(),
        subject: event.envelope.subject.clone(),
        time: None,
        content_type: String::new(),
        data: Default::default(),
        tags: Vec::new(),
        extensions: Default::default(),
    }
}

/// Makes answers durable, and then appends them.
async fn settle(
    log: &dyn EventLog,
    state: &PartitionState,
    answers: Vec<(u64, Vec<Envelope>)>,
    to: u64,
) -> Result<()> {
    let outgoing = Outgoing { number: to, answers: answers.into() };
    let goes = [BookEntry::Goes(outgoing.clone())];
    state.commit_books([], &goes, to, outgoing.answers.len() as u64, Durability::Durable)?;
    let events = outgoing.answers.iter().flat_map(|(_, events)| events.iter().cloned()).collect();
    log.append(Append { events, ..Append::default() }).await?;
    state.commit_books([], &[BookEntry::Gone(to)], to, 0, Durability::Eventual)?;
    Ok(())
}

fn read(log: &dyn EventLog, from: u64, limit: usize) -> Result<Vec<Event>> {
    Ok(log.read(&Selection { from, limit, ..Selection::default() })?)
}

async fn append(log: &dyn EventLog, state: &PartitionState) -> Result<()> {
    let (mut next, last) = (1, log.head());
    while next <= last {
        let events = read(log, next, TOGETHER)?;
        let own = events.iter().filter(|event| event.position <= last);
        let answers: Vec<_> =
            own.map(|event| (event.position, vec![follow_up(event, "account.welcomed")])).collect();
        next += answers.len() as u64;
        settle(log, state, answers, next - 1).await?;
    }
    Ok(())
}

async fn call(log: &dyn EventLog, state: &PartitionState, url: &str) -> Result<()> {
    let client = client::builder().build()?;
    let events = read(log, 1, usize::MAX)?;
    let call = |event: Event| {
        let data: serde_json::Value = serde_json::from_slice(&event.envelope.data).unwrap_or_default();
        let key = format!("native-{}", event.position);
        let mail = json!({ "to": data["mail"], "template": "activation", "account": event.envelope.subject });
        let request = client.post(url).header("idempotency-key", key).json(&mail);
        tokio::spawn(async move {
            let response = request.send().await?.error_for_status()?;
            let status = response.status().as_u16();
            anyhow::Ok((event, mail, status, response.bytes().await?))
        })
    };
    let mut answered = stream::iter(events).map(call).buffer_unordered(LANES).ready_chunks(LANES);
    let mut handled = 0;
    while let Some(chunk) = answered.next().await {
        let (mut calls, mut answers) = (Vec::new(), Vec::new());
        for answer in chunk {
            let (event, mail, status, body) = answer??;
            let outcome = CallOutcome::Response { status, headers: Vec::new(), body: body.to_vec() };
            let (position, body) = (event.position, mail.to_string().into_bytes());
            calls.push(Call {
                position,
                number: 1,
                method: "POST".to_owned(),
                url: url.to_owned(),
                headers: Vec::new(),
                body,
                outcome,
                made: clock::now(),
                took: 0,
                attempts: 1,
            });
            answers.push((position, vec![follow_up(&event, "activation-mail.sent")]));
        }
        handled += answers.len() as u64;
        state.note_calls(&calls)?;
        settle(log, state, answers, handled).await?;
    }
    Ok(())
}
