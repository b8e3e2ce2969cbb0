//! A version on its way to take over, or on trial: compiled, replayed, caught up.

use std::time::{Duration, Instant};

use futures_util::future::{FutureExt as _, select_all};
use tokio::{sync::watch, task::JoinHandle};

use super::work::Folding;
use crate::{
    clock,
    event::Position,
    plugin::PluginError,
    projection::{Code, Halt, Phase, Progress},
    state::catalog::Replay,
};

/// A version on its way to take over, or on trial.
pub(super) struct Candidate {
    pub(super) digest: String,
    /// The text of its settings file.
    pub(super) settings: String,
    /// It takes over only when it is told to.
    pub(super) held: bool,
    pub(super) stage: Stage,
}

pub(super) enum Stage {
    /// It is being checked and compiled.
    Loading(JoinHandle<Result<Code, PluginError>>),
    /// A reaction or an upcaster that waits until it is told to take over.
    Ready(Code),
    /// It folds history.
    Replaying(Replaying),
    /// It has caught up, and keeps up until it is told to take over.
    OnTrial(Replaying),
}

pub(super) struct Replaying {
    pub(super) run: Folding,
    progress: watch::Receiver<Progress>,
    /// What earlier processes had done of it.
    before: Replay,
    begun: Instant,
    /// How long it took to catch up, where it has gone on since.
    took: Option<Duration>,
}

/// What a candidate's supervisor has to act on.
pub(super) enum News {
    Loaded(Result<Code, PluginError>),
    CaughtUp,
    Halted(Halt),
}

impl Candidate {
    /// Waits for the next thing to act on, and which candidate it is of. Without candidates it
    /// waits for ever. Cancelling the wait loses nothing.
    pub(super) async fn news(candidates: &mut [Self], name: &str) -> (usize, News) {
        if candidates.is_empty() {
            return std::future::pending().await;
        }
        let (news, index, _) =
            select_all(candidates.iter_mut().map(|candidate| candidate.next(name).boxed())).await;
        (index, news)
    }

    async fn next(&mut self, name: &str) -> News {
        match &mut self.stage {
            Stage::Loading(task) => News::Loaded(task.await.unwrap_or_else(|_panic| {
                let reason = "the host panicked while loading it; please report this".to_owned();
                Err(PluginError::Host { plugin: name.to_owned(), reason })
            })),
            Stage::Ready(_) => std::future::pending().await,
            Stage::Replaying(replaying) => replaying.reach(0).await,
            Stage::OnTrial(replaying) => replaying.reach(Position::MAX).await,
        }
    }

    /// Whether it is being checked and compiled.
    pub(super) fn is_loading(&self) -> bool {
        matches!(self.stage, Stage::Loading(_))
    }

    /// Ends it; what it has done is durable.
    pub(super) async fn stop(self) {
        match self.stage {
            Stage::Loading(task) => task.abort(),
            Stage::Ready(_) => {}
            Stage::Replaying(replaying) | Stage::OnTrial(replaying) => replaying.run.stop().await,
        }
    }
}

impl Replaying {
    /// `before`: what earlier processes had done of it.
    pub(super) fn new(run: Folding, before: Replay) -> Self {
        Self { progress: run.version().progress(), run, before, begun: clock::instant(), took: None }
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

    /// It has caught up; what it folds from now on is no replay any more.
    pub(super) fn caught_up(&mut self) {
        self.took.get_or_insert(self.begun.elapsed());
    }

    /// What the replay took so far, in all processes that had a part in it.
    pub(super) fn replay(&self) -> Replay {
        let took = self.took.unwrap_or_else(|| self.begun.elapsed());
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        Replay {
            micros: self.before.micros.saturating_add(micros),
            events: self.before.events + self.run.version().folded(),
        }
    }
}
