//! `/reactions` and `/reactions/{name}`: what reactions are doing.

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap, response::Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::at_work;
use crate::{
    deploy::{
        Deployer,
        status::{Health, PluginStatus},
    },
    event::{Position, Timestamp},
    http::{
        parameters::{NoParameters, UrlQuery},
        path::Segments,
        problem::{Problem, ProblemDocument},
        projections::json,
    },
    reaction::{Activity, BreakerStatus, CallsStatus, Counts, Refusal},
    state::Waiting,
};

/// How many of the events that wait a list shows.
const SHOWN: usize = 100;

/// All reactions.
#[derive(Serialize, ToSchema)]
#[schema(as = Reactions)]
pub(crate) struct ReactionsDocument {
    /// By name.
    reactions: Vec<ReactionDocument>,
}

/// What a reaction is doing.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Reaction)]
pub(crate) struct ReactionDocument {
    /// Its name: the stem of its file.
    name: String,
    /// In one word, how it is.
    health: Health,
    /// If it is not well, why.
    reason: Option<String>,
    /// Up to here all events are handled.
    position: Position,
    /// The log's last position.
    head: Position,
    /// How many positions it is behind the head.
    lag: u64,
    /// The digest of the version that is at work.
    live: Option<String>,
    /// How many events it handles side by side at most.
    lanes: usize,
    /// How many it is handling.
    running: usize,
    /// How many it knows of that are not handled.
    backlog: usize,
    /// How many of these have failed, and are to be handled again.
    waiting: usize,
    /// Those of them that are next, at most 100.
    next: Vec<WaitingDocument>,
    /// How many timers it has.
    timers: usize,
    /// Those of them that are next, at most 100.
    next_timers: Vec<TimerDocument>,
    /// How many events it could not handle.
    dead_letters: u64,
    /// How many events it did not act upon, since they happened too long ago.
    late: u64,
    /// What it has done since it was started.
    since_start: CountsDocument,
    /// What its calls over HTTP have come to since it was started.
    calls: CallsDocument,
    /// Hosts whose last call has failed, and whether they are called.
    breakers: Vec<BreakerDocument>,
    /// What it has wanted to call and may not, the latest last.
    refusals: Vec<RefusalDocument>,
}

/// How often what became of calls over HTTP.
#[derive(Serialize, ToSchema)]
#[schema(as = Calls)]
pub(crate) struct CallsDocument {
    /// Responses with a status below 400.
    answered: u64,
    /// Responses with a status from 400.
    declined: u64,
    /// Calls that no response came to.
    failed: u64,
    /// Calls that were answered from the journal.
    replayed: u64,
    /// Calls that were not made, since the host is left alone.
    blocked: u64,
    /// Calls that were not made, since they are not allowed.
    refused: u64,
    /// Calls that were made again, as others than the first time.
    changed: u64,
}

/// A host whose last call has failed.
#[derive(Serialize, ToSchema)]
#[schema(as = Breaker)]
pub(crate) struct BreakerDocument {
    /// Scheme, name and port.
    #[schema(example = "https://api.mail.example")]
    host: String,
    /// `closed`: it is called. `open`: it is left alone. `probing`: one call tries.
    state: &'static str,
    /// How many calls to it have failed in a row.
    failures: u32,
    /// Until when it is left alone.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Why the last call failed, if it is left alone.
    reason: Option<String>,
}

/// A call that was not allowed.
#[derive(Serialize, ToSchema)]
#[schema(as = Refusal)]
pub(crate) struct RefusalDocument {
    /// Which, and why.
    reason: String,
    /// For which event, the last time.
    position: Position,
    /// When, the last time.
    #[schema(value_type = String, format = DateTime)]
    last: Timestamp,
    /// How many times.
    count: u64,
}

impl From<Counts> for CallsDocument {
    fn from(counts: Counts) -> Self {
        let Counts { answered, declined, failed, replayed, blocked, refused, changed } = counts;
        Self { answered, declined, failed, replayed, blocked, refused, changed }
    }
}

impl From<BreakerStatus> for BreakerDocument {
    fn from(breaker: BreakerStatus) -> Self {
        let BreakerStatus { host, state, failures, until, reason } = breaker;
        Self { host, state, failures, until, reason }
    }
}

impl From<Refusal> for RefusalDocument {
    fn from(refusal: Refusal) -> Self {
        let Refusal { reason, position, last, count } = refusal;
        Self { reason, position, last, count }
    }
}

/// An event that has failed, and is to be handled again.
#[derive(Serialize, ToSchema)]
#[schema(as = Waiting)]
pub(crate) struct WaitingDocument {
    /// Where it stands: read it at `/events/{position}`.
    position: Position,
    /// How many times it has failed.
    attempts: u32,
    /// When it failed first.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// When it is handled again.
    #[schema(value_type = String, format = DateTime)]
    next: Timestamp,
    /// Why it failed last.
    reason: String,
}

/// A timer.
#[derive(Serialize, ToSchema)]
#[schema(as = Timer)]
pub(crate) struct TimerDocument {
    /// The reaction's own name for it.
    key: String,
    /// When it is due.
    #[schema(value_type = String, format = DateTime)]
    due: Timestamp,
}

/// How often what happened.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Counts)]
pub(crate) struct CountsDocument {
    /// Events that it handled.
    handled: u64,
    /// Events that it appended.
    appended: u64,
    /// Failures, each of which is tried again or given up.
    failures: u64,
    /// Events that it gave up.
    given_up: u64,
    /// Events that it did not act upon, since they happened too long ago.
    late: u64,
    /// Timers that were due, and whose events the log has refused.
    refused_timers: u64,
}

impl From<&Waiting> for WaitingDocument {
    fn from(waiting: &Waiting) -> Self {
        let Waiting { position, attempts, since, next, reason } = waiting.clone();
        Self { position, attempts, since, next, reason }
    }
}

fn document(deployer: &Deployer, status: PluginStatus) -> Result<ReactionDocument, Problem> {
    let PluginStatus { name, health, reason, position, head, lag, live, .. } = status;
    // One that has no live version does nothing.
    let reaction = deployer.reaction(&name).ok().flatten();
    let activity = reaction.as_ref().map(|(_, handle)| handle.activity()).unwrap_or_default();
    let (lanes, dead_letters, late_ever) = match &reaction {
        Some((version, _)) => {
            let (lanes, state) = (version.plugin().settings().policies.lanes, version.state());
            (lanes, state.dead_letter_count()?, state.partitions()[0].late_count()?)
        }
        None => (0, 0, 0),
    };
    let CallsStatus { counts, breakers, refusals } =
        reaction.as_ref().map(|(_, handle)| handle.calls()).unwrap_or_default();
    let Activity {
        running,
        backlog,
        mut waiting,
        timers,
        next_timers,
        handled,
        appended,
        failures,
        given_up,
        late,
        refused_timers,
        ..
    } = activity;
    waiting.sort_by_key(|waiting| waiting.next);
    Ok(ReactionDocument {
        name,
        health,
        reason,
        position,
        head,
        lag,
        live,
        lanes,
        running,
        backlog,
        waiting: waiting.len(),
        next: waiting.iter().take(SHOWN).map(WaitingDocument::from).collect(),
        timers,
        next_timers: next_timers.into_iter().map(|(key, due)| TimerDocument { key, due }).collect(),
        dead_letters,
        late: late_ever,
        since_start: CountsDocument { handled, appended, failures, given_up, late, refused_timers },
        calls: counts.into(),
        breakers: breakers.into_iter().map(BreakerDocument::from).collect(),
        refusals: refusals.into_iter().map(RefusalDocument::from).collect(),
    })
}

/// List reactions
///
/// All reactions: how each one is, what it is doing, what waits to be tried again.
#[utoipa::path(get, path = "/reactions", tag = "reactions", operation_id = "listReactions",
    responses(
        (status = 200, description = "The reactions.", body = ReactionsDocument, headers(("ETag" = String, description = "Of the list"))),
        (status = 304, description = "The list is as `If-None-Match` says."),
        (status = 500, description = "The storage failed.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn list(
    State(deployer): State<Arc<Deployer>>,
    _query: UrlQuery<NoParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let plugins = deployer.status()?;
    let head = plugins.iter().map(|status| status.head).max().unwrap_or_default();
    let reactions = plugins.into_iter().filter(|status| status.kind == "reaction");
    let reactions = reactions.map(|status| document(&deployer, status)).collect::<Result<_, _>>()?;
    json(&headers, head, &ReactionsDocument { reactions })
}

/// Read a reaction's status
#[utoipa::path(get, path = "/reactions/{name}", tag = "reactions", operation_id = "readReaction",
    description = "How the reaction is, what it is doing, and what waits to be tried again. Its versions and tables are \
        at `/projections/{name}`.",
    params(("name" = String, Path, description = "The reaction's name", example = "activation-mail")),
    responses(
        (status = 200, description = "The reaction.", body = ReactionDocument, headers(("ETag" = String, description = "Of the status"))),
        (status = 304, description = "The status is as `If-None-Match` says."),
        (status = 404, description = "There is no such reaction.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "It has no live version.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn one(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    _query: UrlQuery<NoParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let [name] = segments;
    at_work(&deployer, &name)?;
    let status =
        deployer.plugin(&name)?.ok_or_else(|| Problem::from(crate::deploy::NotServed::Unknown { name }))?;
    json(&headers, status.position, &document(&deployer, status)?)
}
