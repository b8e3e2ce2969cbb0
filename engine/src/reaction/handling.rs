//! One event, answered by an instance.

use std::sync::Arc;

use super::{
    calls::{EventCalls, Notes},
    isolation::{Changed, Claim, Ended, Reads},
    lanes::LaneKey,
    reads::Tracked,
};
use crate::{
    event::{Block, Partition, Position, Timestamp},
    plugin::{Changes, Instance, NoState, PluginError, ReactError, Reacted, format_duration},
    projection::Version,
};

/// An event that is to be answered.
pub(super) struct Task {
    pub(super) key: LaneKey,
    pub(super) position: Position,
    /// It alone, or what it has been split into.
    pub(super) event: Block,
    /// The moment as of which it reads the state.
    pub(super) since: u64,
}

/// An event that has been answered, or not.
pub(super) struct Finished {
    pub(super) task: Task,
    /// What it has read of the state.
    pub(super) reads: Reads,
    pub(super) result: Result<Answer, Failed>,
    /// If it can be used again.
    pub(super) instance: Option<Instance>,
}

impl Finished {
    /// Of an event that leads to nothing, whatever the reaction would make of it.
    pub(super) fn without_effect(task: Task, why: Unasked) -> Self {
        let answer = Answer { unasked: Some(why), ..Answer::default() };
        Self { task, reads: Reads::default(), result: Ok(answer), instance: None }
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        self.result.as_ref().map_or(0, Answer::bytes)
    }

    /// As others see it that are handled at the same time.
    pub(super) fn ended(&self) -> Ended<'_> {
        let Task { position, since, .. } = self.task;
        let changes = self.result.as_ref().ok().map(|answer| answer.changes.iter());
        let changed = changes.map(|changes| changes.map(Changed::from).collect());
        Ended { position, since, reads: &self.reads, changed }
    }
}

/// Why a reaction is not asked about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unasked {
    /// It happened too long ago to be acted upon.
    Late,
    /// Its timer has been moved or cancelled.
    Void,
}

/// What an event leads to; by default, nothing.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) reacted: Reacted,
    /// Why it leads to nothing, if the reaction was not asked.
    pub(super) unasked: Option<Unasked>,
    pub(super) changes: Changes,
}

impl Answer {
    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let appended = self.reacted.append.iter().map(|event| event.data.len() + 256).sum::<usize>();
        let changed = self.changes.iter().map(|(_, key, value)| key.len() + value.map_or(0, <[u8]>::len));
        appended + changed.sum::<usize>()
    }
}

/// Why it leads to nothing.
pub(super) enum Failed {
    /// It may succeed later.
    Retry(String),
    /// It never will.
    Reject(String),
    /// It cannot be tried before then, for that reason.
    Blocked(Timestamp, String),
    /// It may not call now, and begins again: [`Claim::Stale`] or [`Claim::InLine`].
    Again(Claim),
    /// No event's fault: the host's.
    Host(String),
}

/// Answers an event, with an instance that has answered before or a new one.
pub(super) async fn handle(
    version: Arc<Version>,
    instance: Option<Instance>,
    (state, calls): (Arc<Tracked>, Arc<EventCalls>),
    task: Task,
) -> Finished {
    let limit = version.plugin().settings().limits.time;
    let working = tokio::time::timeout(limit, work(&version, instance, (&state, &calls), &task.event)).await;
    let (mut instance, result) = working.unwrap_or_else(|_| {
        let limit = format_duration(limit);
        (None, Err(Failed::Retry(format!("it took more than {limit} for an event (limits.time)"))))
    });
    let notes = calls.end(result.is_ok()).await;
    let result = judged(result, state.failed(), notes);
    if let Some(instance) = &mut instance {
        // What it has read is as old as its task.
        instance.set_state(Arc::new(NoState));
        instance.set_outbound(None);
    }
    let instance = instance.filter(|instance| !instance.is_worn());
    Finished { task, reads: state.reads(), result, instance }
}

/// What the host knows besides, whatever the guest has made of it.
fn judged(
    result: Result<Answer, Failed>,
    state_failed: Option<&str>,
    calls: Notes,
) -> Result<Answer, Failed> {
    let Notes { refused, differs, blocked, again, failed } = calls;
    if let Some(reason) = state_failed.map(str::to_owned).or(failed) {
        return Err(Failed::Host(reason));
    }
    if let Some(claim) = again {
        return Err(Failed::Again(claim));
    }
    if let Some(reason) = differs {
        return Err(Failed::Reject(reason));
    }
    let named = |reason: String| match &refused {
        Some(refused) if !reason.contains(refused.as_str()) => format!("{reason}: {refused}"),
        _ => reason,
    };
    match (result, blocked) {
        (Err(Failed::Retry(_) | Failed::Reject(_)), Some((until, reason))) => {
            Err(Failed::Blocked(until, reason))
        }
        (Err(Failed::Retry(reason)), None) => Err(Failed::Retry(named(reason))),
        (Err(Failed::Reject(reason)), None) => Err(Failed::Reject(named(reason))),
        (result, _) => result,
    }
}

async fn work(
    version: &Version,
    instance: Option<Instance>,
    reaches: (&Arc<Tracked>, &Arc<EventCalls>),
    event: &Block,
) -> (Option<Instance>, Result<Answer, Failed>) {
    let mut instance = match ready(version, instance, reaches).await {
        Ok(instance) => instance,
        Err(failed) => return (None, Err(failed)),
    };
    match answer(&mut instance, reaches.0, event).await {
        Ok(answer) => (Some(instance), Ok(answer)),
        Err((failed, usable)) => (usable.then_some(instance), Err(failed)),
    }
}

async fn ready(
    version: &Version,
    instance: Option<Instance>,
    (state, calls): (&Arc<Tracked>, &Arc<EventCalls>),
) -> Result<Instance, Failed> {
    let state = Arc::clone(state) as _;
    let mut instance = match instance {
        Some(mut instance) => {
            instance.set_state(state);
            instance
        }
        None => version.plugin().start(state, Partition::WHOLE).await.map_err(|error| match error {
            PluginError::Host { .. } => Failed::Host(error.to_string()),
            error => Failed::Retry(error.to_string()),
        })?,
    };
    instance.set_outbound(Some(Arc::clone(calls) as _));
    Ok(instance)
}

/// Also says, of what fails, whether the instance can be used again.
async fn answer(instance: &mut Instance, state: &Tracked, event: &Block) -> Result<Answer, (Failed, bool)> {
    let mut whole = Answer::default();
    // What an event has been split into is answered together, or not at all.
    for index in 0..event.len() {
        let one = event.select(index..index + 1, |_| true);
        let reacted = instance.react(&one).await.map_err(|error| match error {
            ReactError::Retry { reason } => (Failed::Retry(reason), true),
            ReactError::Reject { reason } => (Failed::Reject(reason), true),
            trap @ ReactError::Trap { .. } => (Failed::Retry(trap.to_string()), false),
        })?;
        if reacted.changed {
            let changes = instance.flush().await;
            let changes = changes.map_err(|error| (Failed::Retry(error.to_string()), false))?;
            state.write(&changes);
            let changes = std::mem::take(&mut whole.changes).then(changes);
            let too_many =
                || (Failed::Reject("what it has been split into changes too much".to_owned()), true);
            whole.changes = changes.ok_or_else(too_many)?;
        }
        whole.reacted.add(reacted);
    }
    Ok(whole)
}
