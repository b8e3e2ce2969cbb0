//! A version on its way to take over: compiled, replayed, caught up.

use std::{sync::Arc, time::Instant};

use tokio::{sync::watch, task::JoinHandle};

use super::work::Folding;
use crate::{
    clock,
    event::Position,
    plugin::{Plugin, PluginError},
    projection::{Halt, Phase, Progress},
    state::catalog::Replay,
};

/// A version on its way to take over.
pub(super) struct Candidate {
    pub(super) digest: String,
    /// The text of its settings file.
    pub(super) settings: String,
    pub(super) stage: Stage,
}

pub(super) enum Stage {
    /// It is being checked and compiled.
    Loading(JoinHandle<Result<Arc<Plugin>, PluginError>>),
    /// It folds history.
    Replaying(Replaying),
}

pub(super) struct Replaying {
    pub(super) run: Folding,
    progress: watch::Receiver<Progress>,
    /// What earlier processes had done of it.
    before: Replay,
    begun: Instant,
}

/// What a candidate's supervisor has to act on.
pub(super) enum News {
    Loaded(Result<Arc<Plugin>, PluginError>),
    CaughtUp,
    Halted(Halt),
}

impl Candidate {
    /// Waits for the next thing to act on. `None` waits for ever. Cancelling
    /// the wait loses nothing.
    pub(super) async fn news(candidate: &mut Option<Self>, name: &str) -> News {
        match candidate.as_mut().map(|candidate| &mut candidate.stage) {
            None => std::future::pending().await,
            Some(Stage::Loading(task)) => News::Loaded(task.await.unwrap_or_else(|_panic| {
                let reason = "the host panicked while loading it; please report this".to_owned();
                Err(PluginError::Host { plugin: name.to_owned(), reason })
            })),
            Some(Stage::Replaying(replaying)) => replaying.reach(0).await,
        }
    }
}

impl Replaying {
    /// `before`: what earlier processes had done of it.
    pub(super) fn new(run: Folding, before: Replay) -> Self {
        Self { progress: run.version().progress(), run, before, begun: clock::instant() }
    }

    /// Waits until it has been at the head and is at `position` at least, or
    /// cannot go on.
    pub(super) async fn reach(&mut self, position: Position) -> News {
        let reached = |progress: &Progress| match &progress.phase {
            Phase::Live => progress.position >= position,
            Phase::Halted(_) => true,
            Phase::CatchUp | Phase::Stopped => false,
        };
        match self.progress.wait_for(reached).await.map(|progress| progress.phase.clone()) {
            Ok(Phase::Halted(halt)) => News::Halted(halt),
            Ok(_) => News::CaughtUp,
            Err(_) => News::Halted(Halt::of_host("its runner has ended")),
        }
    }

    /// What the replay took so far, in all processes that had a part in it.
    pub(super) fn replay(&self) -> Replay {
        let micros = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        Replay {
            micros: self.before.micros.saturating_add(micros),
            events: self.before.events + self.run.version().folded(),
        }
    }
}
