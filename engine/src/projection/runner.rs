//! The loop that folds the log into a partition of a version; most versions
//! have but one.
//!
//! One runner owns the partition's instance and is the only writer of its state.
//! It starts at the checkpoint, folds block after block, and commits changes,
//! checkpoint and digest together. Whatever fails, it drops the instance and
//! everything since the checkpoint, so state and checkpoint never disagree.

mod failure;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{sync::watch, time::Instant};

use super::{
    call_size::CallSize,
    commit::CommitPolicy,
    rounds::Rounds,
    scheduler::Class,
    source::{Portion, Source},
    suspect::Suspect,
    version::{Halt, Phase, Version},
};
use crate::{
    clock,
    event::{Block, Partition, Position},
    log::EventLog,
    plugin::{ApplyError, Changes, Instance, PluginError, description::OnFailure},
    state::{
        Change, DeadLetter, Durability, Gathered, Known, PartitionState, Snapshot, StateError, Uncommitted,
    },
};

/// A version that has had nothing to do for so long gives its instance back.
const IDLE: Duration = Duration::from_secs(60);

/// What drives one partition of a version.
pub(super) struct Runner {
    version: Arc<Version>,
    partition: Partition,
    rounds: Arc<Rounds>,
    log: Arc<dyn EventLog>,
    /// Up to where it may go.
    limit: watch::Receiver<Position>,
    source: Source,
    class: Arc<Class>,
    stop: watch::Receiver<bool>,
    on_failure: OnFailure,
    commit: CommitPolicy,
    /// It has been at the head.
    live: bool,
    instance: Option<Instance>,
    /// The position at which the instance was started: what it has folded came
    /// after it.
    started_at: Position,
    /// Folded up to here, committed or not.
    position: Position,
    /// Up to where the others know its state: committed, or read past without
    /// a change.
    told: Position,
    /// The instance has folded something since the last flush.
    unflushed: bool,
    /// What has been flushed since the last commit. The instance reads it too.
    flushed: Gathered,
    /// The keys that can be in the file.
    known: Arc<Known>,
    /// How many events have been folded since the last commit.
    events: u64,
    /// About what a flush would return, in bytes.
    dirty: u64,
    call_size: CallSize,
    suspect: Option<Suspect>,
    unexplained: u32,
    /// Where the last of them was.
    last_unexplained: Position,
    last_failure: String,
}

/// A call into the plug-in failed. `Halt` is for what is not an event's fault.
enum StepError {
    Guest { first: Position, last: Position, named: Option<Position>, reason: String },
    Halt(Halt),
}

fn host(error: impl std::fmt::Display) -> StepError {
    StepError::Halt(Halt::of_host(error))
}

impl Runner {
    pub(super) fn new(
        version: Arc<Version>,
        partition: Partition,
        source: Source,
        rounds: Arc<Rounds>,
        log: Arc<dyn EventLog>,
        class: Arc<Class>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let settings = version.plugin().settings();
        let position = version.state().partitions()[partition.index].checkpoint().position;
        Self {
            on_failure: version.plugin().on_failure(),
            commit: CommitPolicy::new(settings),
            call_size: CallSize::new(settings.policies.block_events),
            position,
            told: position,
            live: false,
            instance: None,
            started_at: 0,
            unflushed: false,
            flushed: Gathered::default(),
            known: Arc::new(Known::of(position == 0)),
            events: 0,
            dirty: 0,
            suspect: None,
            unexplained: 0,
            last_unexplained: 0,
            last_failure: String::new(),
            limit: version.limit(),
            version,
            partition,
            source,
            rounds,
            log,
            class,
            stop,
        }
    }

    /// The queue that it waits in.
    pub(super) fn class(&self) -> &Arc<Class> {
        &self.class
    }

    /// Catches up and follows the head until told to stop or unable to go on.
    pub(super) async fn follow(mut self) {
        let (version, partition) = (Arc::clone(&self.version), self.partition.index);
        let following = async {
            loop {
                let at_head = self.catch_up().await?;
                if self.is_to_stop() {
                    return self.finish().await;
                }
                if at_head {
                    self.live = true;
                    self.class.set_live(true);
                    self.set_phase(Phase::Live);
                }
                self.wait().await?;
            }
        };
        // What is stuck says so, also when the host itself is to blame.
        let ended = AssertUnwindSafe(following).catch_unwind().await;
        let result = ended.unwrap_or_else(|_| Err(Halt::of_host("the host panicked; please report this")));
        match result {
            Ok(()) => version.set_phase(partition, Phase::Stopped),
            Err(halt) => {
                tracing::warn!(plugin = version.name(), version = version.digest(), partition, %halt, "halted");
                version.set_phase(partition, Phase::Halted(halt));
            }
        }
    }

    /// Folds the log up to its head and stops.
    pub(super) async fn fold(&mut self) -> Result<(), Halt> {
        let result = loop {
            match self.catch_up().await {
                Ok(true) => break Ok(()),
                Ok(false) => {}
                Err(halt) => break Err(halt),
            }
            if let Err(halt) = self.wait().await {
                break Err(halt);
            }
        };
        self.set_phase(Phase::Stopped);
        result
    }

    /// Folds and commits until the goal of the round or the head is reached, or
    /// a stop is asked for. Answers whether it was the head.
    async fn catch_up(&mut self) -> Result<bool, Halt> {
        if !self.live {
            self.set_phase(Phase::CatchUp);
        }
        loop {
            let (head, goal) = (self.head(), self.rounds.goal());
            let behind = self.position < head.min(goal);
            if self.is_to_stop() || (!behind && self.is_committed() && self.position <= self.told) {
                return Ok(goal >= head);
            }
            let step = match behind {
                true => self.step(goal.min(head)).await,
                false => self.commit(self.durability(goal >= head)).await,
            };
            match step {
                Ok(()) => {}
                Err(StepError::Halt(halt)) => return Err(halt),
                Err(StepError::Guest { first, last, named, reason }) => {
                    self.failed(first, last, named, reason)?;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits for the next round, for more of the log or for a stop; makes
    /// commits durable meanwhile.
    async fn wait(&mut self) -> Result<(), Halt> {
        let (mut head, mut goal) = (self.log.follow(), self.rounds.follow());
        let (mut limit, mut stop) = (self.limit.clone(), self.stop.clone());
        let idle_at = Instant::now() + IDLE;
        loop {
            let newest = (*head.borrow_and_update()).min(*limit.borrow_and_update());
            self.rounds.wait(self.partition.index, self.position, newest);
            let current = *goal.borrow_and_update();
            if newest.min(current) > self.position {
                return Ok(());
            }
            let durable_at = self.commit.durable_due().map(Instant::from_std);
            let timer = match (durable_at, &self.instance) {
                (Some(at), Some(_)) => Some(at.min(idle_at)),
                (Some(at), None) => Some(at),
                (None, Some(_)) => Some(idle_at),
                (None, None) => None,
            };
            tokio::select! {
                moved = head.changed() => moved.map_err(|_| Halt::of_host("the event log is closed"))?,
                // The rounds end with the runners, of which this is one; the version lives longer.
                _ = goal.changed() => {}
                _ = limit.changed() => {}
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                () = sleep_until(timer) => {
                    if durable_at.is_some_and(|at| at <= Instant::now()) {
                        self.save(None)?;
                    }
                    if idle_at <= Instant::now() {
                        self.rest();
                    }
                },
            }
        }
    }

    /// Before a stop: all that has been folded, durably.
    async fn finish(&mut self) -> Result<(), Halt> {
        match self.commit(Durability::Durable).await {
            Ok(()) => Ok(()),
            Err(StepError::Halt(halt)) => Err(halt),
            // The next start finds the event at fault.
            Err(StepError::Guest { reason, .. }) => {
                tracing::warn!(plugin = self.version.name(), reason, "the last flush before a stop failed");
                Ok(())
            }
        }
    }

    /// Whether its [`Run`](super::Run) says so, or has been dropped.
    fn is_to_stop(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }

    fn set_phase(&self, phase: Phase) {
        self.version.set_phase(self.partition.index, phase);
    }

    fn state(&self) -> &PartitionState {
        &self.version.state().partitions()[self.partition.index]
    }

    fn checkpoint(&self) -> Position {
        self.state().checkpoint().position
    }

    /// The log's head, or the position that it may not go beyond.
    fn head(&self) -> Position {
        self.log.head().min(*self.limit.borrow())
    }

    /// `at_head`: the commit takes along all there is.
    fn durability(&self, at_head: bool) -> Durability {
        self.commit.durability(at_head && !self.live)
    }

    /// Folds the next events of the log, none beyond `goal`, and commits if it
    /// is time to.
    async fn step(&mut self, goal: Position) -> Result<(), StepError> {
        let first = self.position + 1;
        let last = self.suspect.map_or(goal, |suspect| suspect.call_end(first).min(goal));
        let last = self.restart_due().map_or(last, |due| last.min(due.max(first)));
        let portion =
            self.source.portion(first, last, self.call_size.events()).await.map_err(StepError::Halt)?;
        let Some(Portion { events, to, of }) = portion else { return Ok(()) };
        if !events.is_empty() {
            let took = self.apply(&events, first, to).await?;
            self.call_size.adapt(of, took);
        }
        self.folded(to).await
    }

    /// All up to `last` is folded: flushes or commits if it is time to.
    async fn folded(&mut self, last: Position) -> Result<(), StepError> {
        self.position = last;
        let at_head = last >= self.head();
        self.commit.grown(self.dirty, self.memory());
        let uncommitted = self.flushed.lock().bytes().saturating_add(self.dirty);
        let due = match self.live {
            _ if self.suspect.is_some() => true,
            true => self.commit.live(at_head, uncommitted),
            false => self.commit.replaying(uncommitted),
        };
        if due {
            self.commit(self.durability(true)).await?;
        } else if self.commit.flush_due(self.dirty) {
            self.gather().await?;
        }
        if self.instance.is_some() && self.restart_due().is_some_and(|due| last >= due) {
            self.gather().await?;
            self.rest();
        }
        self.clear_suspect()
    }

    /// Gives the instances back.
    fn rest(&mut self) {
        self.instance = None;
        self.source.rest();
    }

    /// The position at which the instance is done with, however well it does.
    fn restart_due(&self) -> Option<Position> {
        let started = if self.instance.is_some() { self.started_at } else { self.position };
        self.version.manner().restart_every.map(|every| started.saturating_add(every))
    }

    /// Lets the plug-in fold the events between two positions; says how long it took.
    async fn apply(
        &mut self,
        events: &Block,
        first: Position,
        last: Position,
    ) -> Result<Duration, StepError> {
        let guest = |named, reason| StepError::Guest { first, last, named, reason };
        if self.instance.is_none() {
            let committed = Arc::new(self.state().snapshot().map_err(host)?);
            let state = self.uncommitted(committed);
            let instance = self.version.plugin().start(Arc::new(state), self.partition).await;
            self.instance = Some(instance.map_err(|error| match error {
                PluginError::Host { .. } => host(error),
                error => StepError::Halt(Halt { event: None, reason: error.to_string(), host: false }),
            })?);
            self.started_at = self.position;
            self.commit.started();
        }
        let Some(instance) = &mut self.instance else { return Ok(Duration::ZERO) };
        let begun = clock::instant();
        match instance.apply(events).await {
            Ok(dirty) => self.dirty = dirty,
            Err(ApplyError::Failure { position, message }) => return Err(guest(Some(position), message)),
            Err(ApplyError::Trap { reason }) => return Err(guest(None, format!("it {reason}"))),
        }
        let took = begun.elapsed();
        self.unflushed = true;
        if self.source.counts() {
            self.events += events.len() as u64;
            self.version.add_folded(events.len() as u64);
        }
        Ok(took)
    }

    /// Takes what the instance has changed, or nothing.
    async fn flush(&mut self) -> Result<Changes, StepError> {
        let (first, last) = (self.checkpoint() + 1, self.position);
        let Some(instance) = self.instance.as_mut().filter(|_| self.unflushed) else {
            return Ok(Changes::default());
        };
        let flushed = instance.flush().await.map_err(|error| StepError::Guest {
            first,
            last,
            named: None,
            reason: error.to_string(),
        });
        self.commit.grown(self.dirty, self.memory());
        flushed
    }

    /// How much memory the instance has.
    fn memory(&self) -> u64 {
        self.instance.as_ref().map_or(0, Instance::memory)
    }

    /// Flushes the instance, which may hold only so much, and leaves the commit
    /// for later: the more it takes along, the less of the file it writes for each.
    async fn gather(&mut self) -> Result<(), StepError> {
        let changes = self.flush().await?;
        self.flushed.lock().add(changes.iter().map(Change::from));
        self.unflushed = false;
        self.dirty = 0;
        Ok(())
    }

    /// Flushes the instance and commits with the checkpoint. Where nothing has
    /// changed, a commit can wait.
    async fn commit(&mut self, durability: Durability) -> Result<(), StepError> {
        if self.is_committed() && self.suspect.is_none() && matches!(durability, Durability::Eventual) {
            self.commit.passed();
            self.tell(None);
            return Ok(());
        }
        let changes = self.flush().await?;
        let changes = changes.iter().map(Change::from);
        let begun = clock::instant();
        let (state, position, events) = (self.state(), self.position, self.events);
        let note = |change: &Change<'_>| self.known.add(change);
        let committed = {
            let mut flushed = self.flushed.lock();
            if flushed.is_empty() {
                state.commit(changes.inspect(note), position, events, None, durability)
            } else {
                flushed.add(changes);
                state.commit(flushed.sorted().inspect(note), position, events, None, durability)
            }
        };
        committed.map_err(host)?;
        self.committed(durability, begun.elapsed()).map_err(host)
    }

    /// Whether nothing has been folded since the last commit.
    fn is_committed(&self) -> bool {
        !self.unflushed && self.flushed.lock().is_empty()
    }

    /// Commits nothing new, for its durability or for a dead letter.
    fn save(&mut self, dead: Option<&DeadLetter>) -> Result<(), Halt> {
        let durability = Durability::Durable;
        self.state().commit([], self.position, 0, dead, durability).map_err(Halt::of_host)?;
        self.committed(durability, Duration::ZERO).map_err(Halt::of_host)
    }

    fn committed(&mut self, durability: Durability, took: Duration) -> Result<(), StateError> {
        self.commit.committed(durability, took);
        self.forget_uncommitted();
        let snapshot = Arc::new(self.state().snapshot()?);
        self.set_state(Arc::clone(&snapshot));
        self.tell(Some(snapshot));
        Ok(())
    }

    /// It is committed now, or lost.
    fn forget_uncommitted(&mut self) {
        self.unflushed = false;
        self.flushed = Gathered::default();
        self.events = 0;
        self.dirty = 0;
    }

    /// What the instance reads from now on.
    fn set_state(&mut self, committed: Arc<Snapshot>) {
        let state = self.uncommitted(committed);
        if let Some(instance) = &mut self.instance {
            instance.set_state(Arc::new(state));
        }
    }

    fn uncommitted(&self, committed: Arc<Snapshot>) -> Uncommitted {
        Uncommitted::new(committed, Arc::clone(&self.known), self.flushed.clone())
    }

    /// Lets readers see it, as soon as the other partitions are there as well.
    fn tell(&mut self, snapshot: Option<Arc<Snapshot>>) {
        self.told = self.told.max(self.position);
        let seen = self.version.state().advance(self.partition.index, self.position, snapshot);
        if let Some(position) = seen {
            self.version.set_position(position);
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
