//! The loop that folds the log into a version.
//!
//! One runner owns a version's instance and is the only writer of its state.
//! It starts at the checkpoint, folds block after block, and commits changes,
//! checkpoint and digest together. Whatever fails, it drops the instance and
//! everything since the checkpoint, so state and checkpoint never disagree.

use std::{ops::Range, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{sync::watch, time::Instant};

use super::{
    commit::CommitPolicy,
    reader::SnapshotReader,
    scheduler::Class,
    suspect::{Finding, Suspect},
    version::{EventAtFault, Halt, Phase, Version},
};
use crate::{
    clock,
    event::{Block, Position},
    log::{EventLog, Rare},
    plugin::{ApplyError, Instance, PluginError, description::OnFailure},
    state::{Change, DeadLetter, Durability},
};

/// A call that takes longer is followed by smaller ones.
const LONG_CALL: Duration = Duration::from_millis(40);
/// A call that takes less is followed by larger ones.
const SHORT_CALL: Duration = Duration::from_millis(15);
/// How many events the first call of a runner gets.
const FIRST_CALL: usize = 64;
/// A version that has had nothing to do for so long gives its instance back.
const IDLE: Duration = Duration::from_secs(60);
/// So many traps that no single event causes are borne before the runner halts.
const UNEXPLAINED_FAILURES: u32 = 16;
/// After so many positions without one, they are forgotten.
const FORGIVEN_AFTER: u64 = 1_000_000;

/// What drives one version.
pub(super) struct Runner {
    version: Arc<Version>,
    log: Arc<dyn EventLog>,
    class: Arc<Class>,
    stop: watch::Receiver<bool>,
    /// The types that the plug-in subscribed to; `None`: all.
    types: Option<Vec<String>>,
    on_failure: OnFailure,
    commit: CommitPolicy,
    instance: Option<Instance>,
    /// The position at which the instance was started: what it has folded came
    /// after it.
    started_at: Position,
    /// Folded up to here, committed or not.
    position: Position,
    /// The end of the block last read, since what the plug-in wants was not rare
    /// in it: until there the log need not be asked for rare events.
    block_to: Position,
    /// Events folded since the last commit.
    uncommitted: u64,
    /// About what a flush would return, in bytes.
    dirty: u64,
    /// How many events a call gets at most; adapted to how long calls take.
    call_events: usize,
    most_call_events: usize,
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
        log: Arc<dyn EventLog>,
        class: Arc<Class>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let description = version.plugin().description();
        let policies = &version.plugin().settings().policies;
        Self {
            types: description.events.clone(),
            on_failure: version.plugin().on_failure(),
            commit: CommitPolicy::new(policies),
            most_call_events: policies.block_events.max(1),
            call_events: FIRST_CALL.min(policies.block_events.max(1)),
            position: version.state().checkpoint().position,
            instance: None,
            started_at: 0,
            block_to: 0,
            uncommitted: 0,
            dirty: 0,
            suspect: None,
            unexplained: 0,
            last_unexplained: 0,
            last_failure: String::new(),
            version,
            log,
            class,
            stop,
        }
    }

    /// Catches up and follows the head until told to stop or unable to go on.
    pub(super) async fn follow(mut self) {
        let version = Arc::clone(&self.version);
        let following = async {
            loop {
                self.catch_up().await?;
                if self.is_to_stop() {
                    return self.finish().await;
                }
                self.class.set_live(true);
                self.version.set_phase(Phase::Live);
                self.wait().await?;
            }
        };
        // What is stuck says so, also when the host itself is to blame.
        let ended = AssertUnwindSafe(following).catch_unwind().await;
        let result = ended.unwrap_or_else(|_| Err(Halt::of_host("the host panicked; please report this")));
        match result {
            Ok(()) => version.set_phase(Phase::Stopped),
            Err(halt) => {
                tracing::warn!(plugin = version.name(), version = version.digest(), %halt, "halted");
                version.set_phase(Phase::Halted(halt));
            }
        }
    }

    /// Folds and commits until the head is reached or a stop is asked for.
    pub(super) async fn catch_up(&mut self) -> Result<(), Halt> {
        if self.version.phase() != Phase::Live {
            self.version.set_phase(Phase::CatchUp);
        }
        loop {
            let behind = self.position < self.log.head();
            if self.is_to_stop() || (!behind && self.position == self.checkpoint()) {
                return Ok(());
            }
            let step = match behind {
                true => self.step().await,
                false => self.commit(self.durability()).await,
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

    /// Waits for the head to move or a stop; makes commits durable meanwhile.
    async fn wait(&mut self) -> Result<(), Halt> {
        let mut head = self.log.follow();
        let mut stop = self.stop.clone();
        let position = self.position;
        let idle_at = Instant::now() + IDLE;
        loop {
            let durable_at = self.commit.durable_due().map(Instant::from_std);
            let timer = match (durable_at, &self.instance) {
                (Some(at), _) => Some(at),
                (None, Some(_)) => Some(idle_at),
                (None, None) => None,
            };
            tokio::select! {
                moved = head.wait_for(|head| *head > position) => {
                    return moved.map(drop).map_err(|_| Halt::of_host("the event log is closed"));
                }
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                () = sleep_until(timer) => match durable_at {
                    Some(_) => self.save(Durability::Durable)?,
                    None => self.instance = None,
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

    fn checkpoint(&self) -> Position {
        self.version.state().checkpoint().position
    }

    fn durability(&self) -> Durability {
        self.commit.durability(self.version.phase() == Phase::Live)
    }

    /// Folds the next events of the log and commits if it is time to.
    async fn step(&mut self) -> Result<(), StepError> {
        let next = self.position + 1;
        if let Some(rare) = self.rare(next)? {
            return self.fold_rare(next, rare).await;
        }
        let Some(block) = self.log.block(next).map_err(host)? else { return Ok(()) };
        let range = self.call_range(&block, next);
        if range.start == 0 {
            self.read_ahead(block.last() + 1);
        }
        self.block_to = block.last();
        let last = block.heads[range.end - 1].position;
        let size = range.len();
        let types = self.types.as_deref();
        let events =
            block.select(range, |name| types.is_none_or(|types| types.iter().any(|own| own == name)));
        if !events.is_empty() {
            let took = self.apply(&events, next, last).await?;
            self.adapt_call_size(size, took);
        }
        self.folded(last).await
    }

    /// The next events, where those that the plug-in wants are rare.
    fn rare(&self, next: Position) -> Result<Option<Rare>, StepError> {
        match (&self.types, &self.suspect) {
            (Some(types), None) if next > self.block_to => {
                self.log.rare(next, types, self.call_events).map_err(host)
            }
            _ => Ok(None),
        }
    }

    async fn fold_rare(&mut self, next: Position, rare: Rare) -> Result<(), StepError> {
        if !rare.events.is_empty() {
            let took = self.apply(&rare.events, next, rare.to).await?;
            self.adapt_call_size(rare.events.len(), took);
        }
        self.folded(rare.to).await
    }

    /// All up to `last` is folded: commits if it is time to.
    async fn folded(&mut self, last: Position) -> Result<(), StepError> {
        self.position = last;
        let due = match self.version.phase() {
            _ if self.suspect.is_some() => true,
            Phase::Live => self.commit.live(last >= self.log.head(), self.dirty),
            _ => self.commit.replaying(self.dirty),
        };
        if due {
            self.commit(self.durability()).await?;
        }
        self.clear_suspect()
    }

    /// Lets the log fetch a block beside the fold; its cache keeps it until the
    /// fold comes there.
    fn read_ahead(&self, position: Position) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if position <= self.log.head() {
            let log = Arc::clone(&self.log);
            // If it fails, the fold meets the error when it comes there.
            runtime.spawn_blocking(move || drop(log.block(position)));
        }
    }

    /// Which of a block's events the next call gets.
    fn call_range(&self, block: &Block, next: Position) -> Range<usize> {
        let start = (next - block.first()) as usize;
        let end = match &self.suspect {
            Some(suspect) => (suspect.call_end(next) - block.first() + 1) as usize,
            None => block.len(),
        };
        start..end.min(start + self.call_events).min(block.len())
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
            let snapshot = self.version.state().snapshot().map_err(host)?;
            let instance = self.version.plugin().start(Arc::new(SnapshotReader(snapshot))).await;
            self.instance = Some(instance.map_err(|error| match error {
                PluginError::Host { .. } => host(error),
                error => StepError::Halt(Halt { event: None, reason: error.to_string(), host: false }),
            })?);
            self.started_at = self.position;
        }
        let Some(instance) = &mut self.instance else { return Ok(Duration::ZERO) };
        let begun = clock::instant();
        match instance.apply(events).await {
            Ok(dirty) => self.dirty = dirty,
            Err(ApplyError::Failure { position, message }) => return Err(guest(Some(position), message)),
            Err(ApplyError::Trap { reason }) => return Err(guest(None, format!("it {reason}"))),
        }
        let took = begun.elapsed();
        self.uncommitted += events.len() as u64;
        self.version.add_folded(events.len() as u64);
        Ok(took)
    }

    /// `events`: as many as the call was allowed at most.
    fn adapt_call_size(&mut self, events: usize, took: Duration) {
        if took > LONG_CALL {
            self.call_events = (events / 2).max(1);
        } else if took < SHORT_CALL && events * 2 >= self.call_events {
            self.call_events = (self.call_events * 2).min(self.most_call_events);
        }
    }

    /// Flushes the instance and commits with the checkpoint.
    async fn commit(&mut self, durability: Durability) -> Result<(), StepError> {
        if self.position == self.checkpoint() && !matches!(durability, Durability::Durable) {
            return Ok(());
        }
        let first = self.checkpoint() + 1;
        let changes = match &mut self.instance {
            Some(instance) if self.uncommitted > 0 => Some(instance.flush().await.map_err(|error| {
                StepError::Guest { first, last: self.position, named: None, reason: error.to_string() }
            })?),
            _ => None,
        };
        let state = self.version.state();
        let changes = changes.iter().flat_map(|changes| changes.iter());
        let changes = changes.map(|(table, key, value)| Change { table, key, value });
        state.commit(changes, self.position, self.uncommitted, None, durability).map_err(host)?;
        if let Some(instance) = &mut self.instance {
            let snapshot = state.snapshot().map_err(host)?;
            instance.set_state(Arc::new(SnapshotReader(snapshot)));
        }
        self.committed(durability);
        Ok(())
    }

    /// Commits nothing new, for its durability or for a dead letter.
    fn save(&mut self, durability: Durability) -> Result<(), Halt> {
        self.save_with(None, durability)
    }

    fn save_with(&mut self, dead: Option<&DeadLetter>, durability: Durability) -> Result<(), Halt> {
        let state = self.version.state();
        let result = state.commit([], self.position, 0, dead, durability);
        result.map_err(Halt::of_host)?;
        self.committed(durability);
        Ok(())
    }

    fn committed(&mut self, durability: Durability) {
        self.commit.committed(durability);
        self.uncommitted = 0;
        self.dirty = 0;
        self.version.set_position(self.position);
    }

    /// Goes back to the checkpoint and narrows down what is at fault.
    fn failed(
        &mut self,
        first: Position,
        last: Position,
        named: Option<Position>,
        reason: String,
    ) -> Result<(), Halt> {
        // Neither the instance nor the state holds anything of other events that is not committed.
        let isolated = self.started_at + 1 == first && self.checkpoint() + 1 == first;
        self.instance = None;
        self.position = self.checkpoint();
        self.uncommitted = 0;
        self.dirty = 0;
        self.last_failure.clone_from(&reason);
        match Suspect::after_failure(first, last, named, isolated) {
            Finding::Among(suspect) => {
                tracing::debug!(
                    plugin = self.version.name(),
                    first,
                    last,
                    reason,
                    "looking for the event at fault"
                );
                self.suspect = Some(suspect);
                Ok(())
            }
            Finding::Event(position) => {
                self.suspect = None;
                self.give_up_on(position, reason)
            }
        }
    }

    /// The policy for an event that cannot be folded.
    fn give_up_on(&mut self, position: Position, reason: String) -> Result<(), Halt> {
        let block = self.log.block(position).map_err(Halt::of_host)?;
        let event = block.map(|block| block.event(&block.heads[(position - block.first()) as usize]));
        let Some(event) = event else { return Err(Halt { event: None, reason, host: false }) };
        let (id, event_type) = (event.envelope.id, event.envelope.event_type);
        if self.on_failure == OnFailure::Halt {
            return Err(Halt { event: Some(EventAtFault { position, id, event_type }), reason, host: false });
        }
        tracing::warn!(plugin = self.version.name(), position, id, reason, "kept as a dead letter");
        let dead = DeadLetter { position, event_id: id, event_type, reason, recorded: clock::now() };
        self.position = position;
        self.save_with(Some(&dead), Durability::Durable)
    }

    /// Ends the search once the suspects have passed after all.
    fn clear_suspect(&mut self) -> Result<(), StepError> {
        if !self.suspect.is_some_and(|suspect| suspect.passed(self.position)) {
            return Ok(());
        }
        self.suspect = None;
        self.call_events = FIRST_CALL.min(self.most_call_events);
        if self.position > self.last_unexplained + FORGIVEN_AFTER {
            self.unexplained = 0;
        }
        self.last_unexplained = self.position;
        self.unexplained += 1;
        let reason = &self.last_failure;
        tracing::warn!(
            plugin = self.version.name(),
            position = self.position,
            reason,
            "passed at the second try"
        );
        match self.unexplained < UNEXPLAINED_FAILURES {
            true => Ok(()),
            false => Err(StepError::Halt(Halt {
                event: None,
                host: false,
                reason: format!(
                    "failed {UNEXPLAINED_FAILURES} times before position {}, but never with a single event and a \
                     fresh instance, so it seems to keep something outside its tables; the last time: {reason}",
                    self.position
                ),
            })),
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
