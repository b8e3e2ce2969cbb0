//! A reaction at work, as everybody but its runner sees it: what it does, and what it
//! can be asked to do.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};

use super::calls::{Caller, CallsStatus};
use crate::{
    event::{Position, Timestamp},
    state::Waiting,
};

/// What a reaction does just now, and what it has done since it was started.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    /// How many events are being handled.
    pub running: usize,
    /// How many are known and not handled, those included.
    pub backlog: usize,
    /// Those that have failed and are to be handled again, by position.
    pub waiting: Vec<Waiting>,
    /// How many timers it has.
    pub timers: usize,
    /// How many timers were due whose events the log has refused, since it was started.
    pub refused_timers: u64,
    /// The keys of those that are next, at most 100, and when they are due.
    pub next_timers: Vec<(String, Timestamp)>,
    /// Why it begins with no new events, if it does not: those that it began with have
    /// all failed.
    pub paused: Option<String>,
    /// How many events it has handled.
    pub handled: u64,
    /// How many events it has appended.
    pub appended: u64,
    /// How many times it has failed at an event.
    pub failures: u64,
    /// How many events it has given up.
    pub given_up: u64,
    /// How many events it has not acted upon, since they happened too long ago.
    pub late: u64,
}

/// When a reaction had nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// What it knew of the log: all up to there was handled, given up or had to wait.
    pub head: Position,
    /// What time it was.
    pub at: Timestamp,
    /// When something is to be tried again, or a timer is due.
    pub next: Option<Timestamp>,
}

/// A reaction at work. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    activity: Arc<Mutex<Activity>>,
    rest: watch::Receiver<Rest>,
    commands: mpsc::UnboundedSender<Command>,
    caller: Arc<Caller>,
}

/// What is asked of a runner.
pub(super) struct Command {
    pub(super) letters: Letters,
    pub(super) what: What,
    pub(super) reply: oneshot::Sender<Result<usize, LetterError>>,
}

/// Which dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letters {
    /// That of the event at this position.
    One(Position),
    /// All.
    All,
}

/// What is to become of dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Their events are handled again, as if for the first time.
    Retry,
    /// They are forgotten; their events stay unhandled.
    Drop,
}

/// Why nothing became of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LetterError {
    /// There is none.
    #[error("the event at position {position} is no dead letter")]
    Unknown {
        /// Which was asked for.
        position: Position,
    },
    /// The reaction is not at work.
    #[error("the reaction is not at work: it has stopped or halted")]
    NotAtWork,
    /// The host failed.
    #[error("{reason}")]
    Host {
        /// Why.
        reason: String,
    },
}

/// What a runner holds of its handle.
pub(super) struct Told {
    activity: Arc<Mutex<Activity>>,
    rest: watch::Sender<Rest>,
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
}

impl Handle {
    /// A handle, and the runner's side of it.
    pub(super) fn new(caller: Arc<Caller>) -> (Self, Told) {
        let (sender, commands) = mpsc::unbounded_channel();
        let activity = Arc::default();
        let rest = watch::Sender::new(Rest::default());
        let told = Told { activity: Arc::clone(&activity), rest: rest.clone(), commands };
        (Self { activity, rest: rest.subscribe(), commands: sender, caller }, told)
    }

    /// What the reaction does.
    pub fn activity(&self) -> Activity {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What its calls have come to.
    pub fn calls(&self) -> CallsStatus {
        self.caller.status()
    }

    /// Why it begins with no new events, if it does not.
    pub fn paused(&self) -> Option<String> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner).paused.clone()
    }

    /// When it last had nothing to do.
    pub fn rest(&self) -> watch::Receiver<Rest> {
        self.rest.clone()
    }

    /// Does something about dead letters; answers about how many. When the answer is
    /// there, it is durable.
    pub async fn letters(&self, what: What, letters: Letters) -> Result<usize, LetterError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command { letters, what, reply }).map_err(|_| LetterError::NotAtWork)?;
        answer.await.map_err(|_| LetterError::NotAtWork)?
    }
}

impl Told {
    /// There is nothing to do.
    pub(super) fn rests(&self, rest: Rest) {
        self.rest.send_if_modified(|before| std::mem::replace(before, rest) != rest);
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Activity)) {
        change(&mut self.activity.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
