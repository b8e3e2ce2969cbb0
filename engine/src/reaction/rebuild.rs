//! A new version makes its tables anew of all of history, beside the one that is at work.
//!
//! No effect happens meanwhile: what it would append is not appended, calls are answered
//! from the journal, timers do not ring. It folds what the version at work has handled,
//! and only that: what is given up or still waits stays to be handled once. Where it
//! has come up to that version, it takes over: at that mark its tables take the place
//! of the others, in one transaction, and from there its effects are its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::Arc,
};

use async_task::Task;
use futures_util::FutureExt as _;
use tokio::{runtime, sync::watch};

use super::{
    calls::{Caller, EventCalls},
    handling::{self, Answer, Failed},
    lanes::LaneKey,
    outbox,
    reads::Tracked,
    timers,
    timers::{Timers, is_timer},
};
use crate::{
    clock,
    event::{Block, Partition, Position},
    log::EventLog,
    plugin::{Changes, Instance},
    projection::{Class, Division, EventAtFault, Halt, Phase, Scheduler, Source, Version},
    state::{BookEntry, Change, DeadLetter, Durability, PartitionState, StateError, Timer, VersionState},
};

/// How many events are read at once.
const PORTION: usize = 4096;
/// After so many commits one is durable.
const DURABLE_EVERY: usize = 4096;

/// A version that makes its tables anew. Dropping it ends it at its next step.
pub struct Rebuild {
    version: Arc<Version>,
    /// The state of the version at work.
    old: Arc<VersionState>,
    log: Arc<dyn EventLog>,
    stop: watch::Sender<bool>,
    task: Task<()>,
}

/// Whether the state of a version that made its tables anew in an earlier process is of no
/// use: it ended while it took over.
pub fn is_spoilt(state: &VersionState) -> Result<bool, StateError> {
    Ok(state.partitions()[0].books()?.handled_to > 0)
}

/// Starts a version that makes its tables anew; `old`: the state of the one at work.
///
/// # Panics
/// Outside a tokio runtime.
pub fn rebuild(
    scheduler: &Scheduler,
    version: Arc<Version>,
    log: Arc<dyn EventLog>,
    old: Arc<VersionState>,
) -> Rebuild {
    let stop = watch::Sender::new(false);
    let fold = Fold::new(&version, &log, &old);
    let (following, stopped) = (Arc::clone(&version), stop.subscribe());
    let runner = async move {
        let result = match fold {
            Ok(fold) => AssertUnwindSafe(fold.follow(stopped))
                .catch_unwind()
                .await
                .unwrap_or_else(|_| Err(Halt::of_host("the host panicked; please report this"))),
            Err(halt) => Err(halt),
        };
        if let Err(halt) = result {
            tracing::warn!(plugin = following.name(), version = following.digest(), %halt, "halted");
            following.set_phase(0, Phase::Halted(halt));
        }
    };
    let runner = super::run::within(runtime::Handle::current(), runner);
    let task = scheduler.spawn(Arc::new(Class::default()), runner);
    Rebuild { version, old, log, stop, task }
}

impl Rebuild {
    /// What makes its tables anew.
    pub fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// Ends it; what it has done is durable.
    pub async fn stop(self) {
        self.end().await;
    }

    async fn end(self) -> (Arc<Version>, Arc<VersionState>, Arc<dyn EventLog>) {
        self.stop.send_replace(true);
        // One that panicked has ended already, and has said so.
        let _ = self.task.fallible().await;
        (self.version, self.old, self.log)
    }

    /// Folds what is left, and gives the state of the version at work, which must have
    /// ended, to this one. Answers the state with its tables.
    pub async fn take_over(self) -> Result<VersionState, Halt> {
        let (version, old, log) = self.end().await;
        let mut fold = Fold::new(&version, &log, &old)?;
        fold.rest().await?;
        let entries = fold.succession()?;
        let rebuilt = &version.state().partitions()[0];
        let state = old.partitions()[0].rebuilt(rebuilt, &entries, version.digest());
        VersionState::new([state.map_err(Halt::of_host)?]).map_err(Halt::of_host)
    }
}

/// Folds history into a version's tables.
struct Fold {
    version: Arc<Version>,
    log: Arc<dyn EventLog>,
    old: Arc<VersionState>,
    source: Source,
    caller: Arc<Caller>,
    instance: Option<Instance>,
    timers: Timers,
    /// Events that the version at work had not handled when this one came past.
    skipped: BTreeSet<Position>,
    /// Commits since the last durable one.
    eventual: usize,
}

/// What is committed together.
#[derive(Default)]
struct Outcome {
    changes: Changes,
    entries: Vec<BookEntry>,
}

impl Fold {
    fn new(version: &Arc<Version>, log: &Arc<dyn EventLog>, old: &Arc<VersionState>) -> Result<Self, Halt> {
        let books = version.state().partitions()[0].books().map_err(Halt::of_host)?;
        let division = Arc::new(Division::new(1));
        Ok(Self {
            source: Source::new(Arc::clone(log), version.code(), Partition::WHOLE, division),
            caller: Caller::muted(Arc::clone(version), old.partitions()[0].clone()),
            version: Arc::clone(version),
            log: Arc::clone(log),
            old: Arc::clone(old),
            instance: None,
            timers: Timers::new(books.timers),
            skipped: books.open.into_iter().collect(),
            eventual: 0,
        })
    }

    fn state(&self) -> &PartitionState {
        &self.version.state().partitions()[0]
    }

    /// Comes up to the version at work, and says so.
    async fn follow(mut self, mut stop: watch::Receiver<bool>) -> Result<(), Halt> {
        self.version.set_phase(0, Phase::CatchUp);
        loop {
            if *stop.borrow_and_update() || stop.has_changed().is_err() {
                return self.state().sync().map_err(Halt::of_host);
            }
            let target = self.old.partitions()[0].checkpoint().position;
            if !self.portion(target).await? {
                self.version.set_phase(0, Phase::Live);
                // Whoever waits for it ends the version at work, and then this one.
                let _ = stop.wait_for(|stop| *stop).await;
            }
            // Others of this thread come first.
            tokio::task::yield_now().await;
        }
    }

    /// Folds the next events, at most up to `target`. Answers whether there were any.
    async fn portion(&mut self, target: Position) -> Result<bool, Halt> {
        let first = self.state().checkpoint().position + 1;
        if first > target {
            return Ok(false);
        }
        let portion = self.source.portion(first, target, PORTION).await?;
        let Some(portion) = portion else { return Ok(false) };
        let unhandled = self.unhandled()?;
        for (position, event) in portion.events.by_position() {
            match unhandled.contains(&position) {
                true => self.skip(position, position)?,
                false => self.fold(event, position).await?,
            }
        }
        self.commit(Outcome::default(), portion.to, 0)?;
        Ok(true)
    }

    /// Events up to its checkpoint that the version at work has given up, or is to handle
    /// after all.
    fn unhandled(&self) -> Result<BTreeSet<Position>, Halt> {
        let old = &self.old.partitions()[0];
        let letters = || old.dead_letters().map_err(Halt::of_host);
        // It may be at work: what goes from one list to the other meanwhile is in one of these.
        let (before, books, after) = (letters()?, old.books().map_err(Halt::of_host)?, letters()?);
        let waiting = books.waiting.iter().map(|waiting| waiting.position);
        let letters = before.iter().chain(&after).map(|letter| letter.position);
        Ok(letters.chain(waiting).chain(books.dropped).collect())
    }

    /// An event is not folded now; `position`: where the checkpoint is then.
    fn skip(&mut self, event: Position, position: Position) -> Result<(), Halt> {
        self.skipped.insert(event);
        let entries = vec![BookEntry::Open(event)];
        self.commit(Outcome { entries, ..Outcome::default() }, position, 0)
    }

    /// When the version at work has ended: what it has handled out of order.
    async fn rest(&mut self) -> Result<(), Halt> {
        let old = self.old.partitions()[0].clone();
        while self.portion(old.checkpoint().position).await? {}
        let books = old.books().map_err(Halt::of_host)?;
        let open: BTreeSet<Position> = books.open.into_iter().chain(self.unhandled()?).collect();
        let (mut next, end) = (old.checkpoint().position + 1, books.handled_to);
        let mut late: BTreeSet<Position> = self.skipped.difference(&open).copied().collect();
        while next <= end {
            let portion = self.source.portion(next, end, PORTION).await?;
            let Some(portion) = portion else { break };
            late.extend(
                portion.events.heads.iter().map(|head| head.position).filter(|at| !open.contains(at)),
            );
            next = portion.to + 1;
        }
        if !late.is_empty() {
            // What is folded out of order cannot be told from what is not: who opens this again
            // begins anew.
            let entries = [BookEntry::HandledTo(1)];
            let stands = self.state().checkpoint().position;
            let marked = self.state().commit_books([], &entries, stands, 0, Durability::Durable);
            marked.map_err(Halt::of_host)?;
        }
        for position in late {
            let event = self.source.at(position).await?;
            let stands = self.state().checkpoint().position;
            self.fold(event, stands).await?;
        }
        Ok(())
    }

    /// Folds one event; `position`: where the checkpoint is then.
    async fn fold(&mut self, event: Block, position: Position) -> Result<(), Halt> {
        let Some(head) = event.heads.first().copied() else { return Ok(()) };
        let own = outbox::source(self.version.name());
        if timers::is_of_another(&own, &event, &head) {
            return Ok(());
        }
        let old = &self.old.partitions()[0];
        if old.late(head.position).map_err(Halt::of_host)?.is_some()
            || (is_timer(&event) && old.is_void(head.position).map_err(Halt::of_host)?)
        {
            // It was not acted upon.
            return Ok(());
        }
        let rung = self.timers.rung(&event).map(|timer| timer.key.clone());
        if is_timer(&event) && rung.is_none() {
            // It was moved or cancelled, or this version sets no such timer; or the event that
            // sets it is handled later.
            return self.skip(head.position, position);
        }
        let result = self.react(&event, head.position).await;
        let (outcome, events) = match result {
            Ok(answer) => (self.answered(&event, rung, answer)?, 1),
            Err(Failed::Host(reason)) => return Err(Halt::of_host(reason)),
            Err(Failed::Again(_)) => unreachable!("it is handled alone"),
            Err(Failed::Reject(reason) | Failed::Retry(reason) | Failed::Blocked(_, reason)) => {
                (self.rejected(&event, reason)?, 0)
            }
        };
        self.commit(outcome, position, events)
    }

    async fn react(&mut self, event: &Block, position: Position) -> Result<Answer, Failed> {
        let view = self.state().view().map_err(|error| Failed::Host(error.to_string()))?;
        let state = Arc::new(Tracked::alone(Arc::new(view), position));
        let calls = EventCalls::new(&self.caller, event, &state);
        let task = handling::Task { key: LaneKey::One, position, event: event.clone(), since: 0 };
        let (version, instance) = (Arc::clone(&self.version), self.instance.take());
        let finished = handling::handle(version, instance, (state, calls), task).await;
        self.instance = finished.instance;
        finished.result
    }

    fn answered(&mut self, event: &Block, rung: Option<String>, answer: Answer) -> Result<Outcome, Halt> {
        let mut entries: Vec<BookEntry> = rung.into_iter().map(BookEntry::TimerGone).collect();
        let changes = outbox::timers(&*self.log, self.version.name(), event, answer.reacted.timers);
        entries.extend(changes.map_err(|reason| at_fault(event, reason))?);
        entries.iter().for_each(|entry| self.timers.apply(entry));
        Ok(Outcome { changes: answer.changes, entries })
    }

    /// It leaves the tables as they are, and stays to be looked at.
    fn rejected(&mut self, event: &Block, reason: String) -> Result<Outcome, Halt> {
        let most = self.version.plugin().settings().policies.rebuild_failures;
        if self.state().dead_letter_count().map_err(Halt::of_host)? >= most {
            let reason = format!(
                "more than {most} events have failed (policies.rebuild-failures), the last with: {reason}"
            );
            return Err(at_fault(event, reason));
        }
        let reason = format!("while history was folded again, without effects: {reason}");
        tracing::warn!(plugin = self.version.name(), reason, "a dead letter");
        let letter = DeadLetter::of(event, reason, 1, clock::now());
        Ok(Outcome { entries: letter.map(BookEntry::Dead).into_iter().collect(), ..Outcome::default() })
    }

    fn commit(&mut self, outcome: Outcome, position: Position, events: u64) -> Result<(), Halt> {
        self.eventual += 1;
        let durability = match self.eventual >= DURABLE_EVERY {
            true => Durability::Durable,
            false => Durability::Eventual,
        };
        if durability == Durability::Durable {
            self.eventual = 0;
        }
        let changes = outcome.changes.iter().map(Change::from);
        let committed = self.state().commit_books(changes, &outcome.entries, position, events, durability);
        committed.map_err(Halt::of_host)?;
        self.version.add_folded(events);
        self.version.set_position(position);
        Ok(())
    }

    /// What the books say anew when this version takes over: its timers instead of the
    /// other's, and what it could not fold.
    fn succession(&self) -> Result<Vec<BookEntry>, Halt> {
        let books = self.old.partitions()[0].books().map_err(Halt::of_host)?;
        let now = clock::now();
        let pending: BTreeMap<&String, &Timer> =
            books.timers.iter().map(|timer| (&timer.key, timer)).collect();
        let gone = books.timers.iter().map(|timer| BookEntry::TimerGone(timer.key.clone()));
        let (mut kept, mut muted) = (Vec::new(), 0);
        for own in self.timers.all() {
            match pending.get(&own.key) {
                // It has rung, or is about to: this version handles that event.
                Some(old) if old.due <= now => kept.push(BookEntry::TimerSet((*old).clone())),
                // What was due behind the mark would have been an effect of the past.
                None if own.due <= now => muted += 1,
                _ => kept.push(BookEntry::TimerSet(own.clone())),
            }
        }
        if muted > 0 {
            let plugin = self.version.name();
            tracing::info!(plugin, count = muted, "timers were due before it took over, and do not ring");
        }
        let letters = self.state().dead_letters().map_err(Halt::of_host)?.into_iter().map(BookEntry::Dead);
        Ok(gone.chain(kept).chain(letters).collect())
    }
}

fn at_fault(event: &Block, reason: String) -> Halt {
    let event = event.events().next().map(|event| EventAtFault {
        position: event.position,
        id: event.envelope.id,
        event_type: event.envelope.event_type,
    });
    let reason = format!("while history was folded again, without effects: {reason}");
    Halt { event, reason, host: false }
}
