//! One event, answered by an instance.

use std::sync::Arc;

use super::{
    lanes::LaneKey,
    reads::{Read, Tracked},
};
use crate::{
    event::{Block, Partition, Position},
    plugin::{Changes, Instance, NewEvent, NoState, PluginError, ReactError, format_duration},
    projection::Version,
    state::View,
};

/// An event that is to be answered.
pub(super) struct Task {
    pub(super) key: LaneKey,
    pub(super) position: Position,
    /// It alone.
    pub(super) event: Block,
    /// The state as it stands, and the moment of that.
    pub(super) view: Arc<View>,
    pub(super) since: u64,
}

/// An event that has been answered, or not.
pub(super) struct Finished {
    pub(super) task: Task,
    /// What it has read of the state.
    pub(super) reads: Vec<Read>,
    pub(super) result: Result<Answer, Failed>,
    /// If it can be used again.
    pub(super) instance: Option<Instance>,
}

/// What an event leads to.
pub(super) struct Answer {
    pub(super) append: Vec<NewEvent>,
    pub(super) changes: Changes,
}

impl Answer {
    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let appended = self.append.iter().map(|event| event.data.len() + 256).sum::<usize>();
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
    /// No event's fault: the host's.
    Host(String),
}

/// Answers an event, with an instance that has answered before or a new one.
pub(super) async fn handle(version: Arc<Version>, instance: Option<Instance>, task: Task) -> Finished {
    let state = Arc::new(Tracked::new(Arc::clone(&task.view)));
    let limit = version.plugin().settings().limits.time;
    let working = tokio::time::timeout(limit, work(&version, instance, &state, &task.event)).await;
    let (mut instance, result) = working.unwrap_or_else(|_| {
        let limit = format_duration(limit);
        (None, Err(Failed::Retry(format!("it took more than {limit} for an event (limits.time)"))))
    });
    let result = match state.failed() {
        Some(reason) => Err(Failed::Host(reason.to_owned())),
        None => result,
    };
    if let Some(instance) = &mut instance {
        // What it has read is as old as its task.
        instance.set_state(Arc::new(NoState));
    }
    Finished { task, reads: state.take(), result, instance }
}

async fn work(
    version: &Version,
    instance: Option<Instance>,
    state: &Arc<Tracked>,
    event: &Block,
) -> (Option<Instance>, Result<Answer, Failed>) {
    let mut instance = match ready(version, instance, state).await {
        Ok(instance) => instance,
        Err(failed) => return (None, Err(failed)),
    };
    match answer(&mut instance, event).await {
        Ok(answer) => (Some(instance), Ok(answer)),
        Err((failed, usable)) => (usable.then_some(instance), Err(failed)),
    }
}

async fn ready(
    version: &Version,
    instance: Option<Instance>,
    state: &Arc<Tracked>,
) -> Result<Instance, Failed> {
    if let Some(mut instance) = instance {
        instance.set_state(Arc::clone(state) as _);
        return Ok(instance);
    }
    let started = version.plugin().start(Arc::clone(state) as _, Partition::WHOLE).await;
    started.map_err(|error| match error {
        PluginError::Host { .. } => Failed::Host(error.to_string()),
        error => Failed::Retry(error.to_string()),
    })
}

/// Also says, of what fails, whether the instance can be used again.
async fn answer(instance: &mut Instance, event: &Block) -> Result<Answer, (Failed, bool)> {
    let append = instance.react(event).await.map_err(|error| match error {
        ReactError::Retry { reason } => (Failed::Retry(reason), true),
        ReactError::Reject { reason } => (Failed::Reject(reason), true),
        trap @ ReactError::Trap { .. } => (Failed::Retry(trap.to_string()), false),
    })?;
    let changes = instance.flush().await.map_err(|error| (Failed::Retry(error.to_string()), false))?;
    Ok(Answer { append, changes })
}
