//! The loop that gives events to instances, commits what comes of them, and appends
//! what they lead to.
//!
//! One task does it all: it polls the instances that are at work, so they share a
//! thread and take turns; while one waits for something the others go on.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::watch, time::Instant};

use super::{
    backlog::Backlog,
    handling::{Answer, Failed, Finished, Task, handle},
    lanes::{LaneKey, Lanes},
    outbox::{self, Sent},
    reads::Recent,
    retry::{self, Verdict},
};
use crate::{
    clock,
    event::{Block, Envelope, Partition, Position, Timestamp},
    log::EventLog,
    plugin::{Changes, Instance, Retries, description::Lane},
    projection::{Division, Halt, Phase, Source, Version},
    state::{BookEntry, Change, DeadLetter, Durability, PartitionState, StateError, Waiting},
};

/// How many events are known and not handled, at most: one that waits to be tried
/// again keeps those of other lanes back only when so many have come since.
const BACKLOG: usize = 1 << 14;
/// How many events are committed together, at most.
const TOGETHER: usize = 1 << 12;
/// What has been handled without an effect outside is durable after so long.
const DURABLE_AFTER: Duration = Duration::from_secs(1);

/// What drives a reaction.
pub(super) struct Runner {
    version: Arc<Version>,
    log: Arc<dyn EventLog>,
    source: Source,
    stop: watch::Receiver<bool>,
    retries: Retries,
    lanes: Lanes,
    backlog: Backlog,
    working: FuturesUnordered<BoxFuture<'static, Finished>>,
    /// Instances that have nothing to do.
    idle: Vec<Instance>,
    /// Answered or failed, and not committed.
    finished: Vec<Finished>,
    /// When each of the events that are at work began.
    begun: BTreeSet<(u64, Position)>,
    recent: Recent,
    /// How many events are handled for one commit, at most: fewer where they get in
    /// each other's way.
    together: usize,
    /// Events that have failed, until they are handled.
    waiting: BTreeMap<Position, Waiting>,
    /// When each of them may run again.
    due: BTreeSet<(Timestamp, Position)>,
    /// Committed, and not in the log as far as is known.
    outbox: Vec<(Position, Vec<Envelope>)>,
    /// What the next commit writes into the books beside what is finished.
    entries: Vec<BookEntry>,
    /// Since when something is committed that is not durable.
    eventual_since: Option<std::time::Instant>,
}

/// What has come of events that are finished, as the next commit takes it.
#[derive(Default)]
struct Outcome {
    changes: Vec<Changes>,
    entries: Vec<BookEntry>,
    append: Vec<(Position, Vec<Envelope>)>,
    /// Handled, or given up.
    closed: Vec<LaneKey>,
    /// To be handled once more, at once.
    again: Vec<LaneKey>,
}

impl Runner {
    pub(super) fn new(version: Arc<Version>, log: Arc<dyn EventLog>, stop: watch::Receiver<bool>) -> Self {
        let plugin = version.plugin();
        let settings = plugin.settings();
        let division = Arc::new(Division::new(1));
        Self {
            source: Source::new(Arc::clone(&log), plugin.description(), Partition::WHOLE, division),
            retries: settings.retries.clone(),
            lanes: Lanes::new(settings.policies.lanes),
            backlog: Backlog::new(0, []),
            working: FuturesUnordered::new(),
            idle: Vec::new(),
            finished: Vec::new(),
            begun: BTreeSet::new(),
            recent: Recent::default(),
            together: TOGETHER,
            waiting: BTreeMap::new(),
            due: BTreeSet::new(),
            outbox: Vec::new(),
            entries: Vec::new(),
            eventual_since: None,
            version,
            log,
            stop,
        }
    }

    /// Handles what is there and what comes, until told to stop or unable to go on.
    pub(super) async fn follow(mut self) {
        let version = Arc::clone(&self.version);
        let working = AssertUnwindSafe(self.work()).catch_unwind().await;
        let result = working.unwrap_or_else(|_| Err(Halt::of_host("the host panicked; please report this")));
        match result {
            Ok(()) => version.set_phase(0, Phase::Stopped),
            Err(halt) => {
                tracing::warn!(plugin = version.name(), version = version.digest(), %halt, "halted");
                version.set_phase(0, Phase::Halted(halt));
            }
        }
    }

    async fn work(&mut self) -> Result<(), Halt> {
        self.recover().map_err(Halt::of_host)?;
        let (mut head, mut stop) = (self.log.follow(), self.stop.clone());
        loop {
            if *stop.borrow() || stop.has_changed().is_err() {
                return self.end();
            }
            self.send().await?;
            let newest = *head.borrow_and_update();
            self.read(newest)?;
            self.resume(clock::now());
            self.dispatch()?;
            self.take_finished();
            let is_through = self.finished.is_empty() && self.working.is_empty();
            if !self.finished.is_empty() || self.is_behind() {
                self.commit()?;
                // Others of this thread come first.
                tokio::task::yield_now().await;
                continue;
            }
            if is_through && self.backlog.low_water() >= newest {
                self.version.set_phase(0, Phase::Live);
            } else {
                self.version.set_phase(0, Phase::CatchUp);
            }
            if self.backlog.len() < BACKLOG && self.backlog.read_to() < newest {
                continue;
            }
            let timer = self.timer();
            tokio::select! {
                Some(finished) = self.working.next(), if !self.working.is_empty() => self.note(finished),
                moved = head.changed() => moved.map_err(|_| Halt::of_host("the event log is closed"))?,
                _ = stop.wait_for(|stop| *stop) => {}
                () = sleep_until(timer) => {
                    if self.eventual_since.is_some_and(|since| since.elapsed() >= DURABLE_AFTER) {
                        self.save().map_err(Halt::of_host)?;
                    }
                }
            }
        }
    }

    fn state(&self) -> &PartitionState {
        &self.version.state().partitions()[0]
    }

    /// Goes on where the last run ended, however it did.
    fn recover(&mut self) -> Result<(), StateError> {
        let books = self.state().books()?;
        self.backlog = Backlog::new(self.state().checkpoint().position, books.handled);
        self.due = books.waiting.iter().map(|waiting| (waiting.next, waiting.position)).collect();
        self.waiting = books.waiting.into_iter().map(|waiting| (waiting.position, waiting)).collect();
        self.outbox = books.outbox;
        Ok(())
    }

    /// Before a stop: what is finished, durably.
    fn end(&mut self) -> Result<(), Halt> {
        if !self.finished.is_empty() || self.is_behind() || !self.entries.is_empty() {
            self.commit()?;
        }
        self.save().map_err(Halt::of_host)
    }

    /// Whether the checkpoint is behind what is handled.
    fn is_behind(&self) -> bool {
        self.backlog.low_water() > self.state().checkpoint().position
    }

    /// When the next thing is to be done that nobody else announces.
    fn timer(&self) -> Option<Instant> {
        let durable = self.eventual_since.map(|since| since + DURABLE_AFTER);
        let retry = self.due.first().map(|(at, _)| {
            let micros = at.as_micros().saturating_sub(clock::now().as_micros());
            clock::instant() + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
        });
        durable.into_iter().chain(retry).min().map(Instant::from_std)
    }

    /// Takes in events of the log, as many as there is room for.
    fn read(&mut self, newest: Position) -> Result<(), Halt> {
        while self.backlog.len() < BACKLOG && self.backlog.read_to() < newest {
            let (first, room) = (self.backlog.read_to() + 1, BACKLOG - self.backlog.len());
            let portion = self.source.portion(first, newest, room).map_err(Halt::of_host)?;
            let Some(portion) = portion else { break };
            let now = clock::now();
            for position in self.backlog.read(&portion.events, portion.to) {
                let waits = self.waiting.get(&position).is_some_and(|waiting| waiting.next > now);
                self.lanes.admit(self.key(position), position, waits);
            }
        }
        Ok(())
    }

    /// The lane of an event of the backlog.
    fn key(&self, position: Position) -> LaneKey {
        let of_subject = |event: &Block| {
            let subject = event.heads.first().map(|head| event.slice(head.subject)).unwrap_or_default();
            String::from_utf8_lossy(subject).into_owned()
        };
        match self.version.plugin().description().lane {
            Lane::One => LaneKey::One,
            Lane::Subject => match self.backlog.event(position).map(of_subject) {
                Some(subject) if !subject.is_empty() => LaneKey::Subject(subject),
                _ => LaneKey::Alone(position),
            },
        }
    }

    /// Lets events that have waited long enough run again.
    fn resume(&mut self, now: Timestamp) {
        while let Some((_, position)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.pop_first();
            if self.backlog.event(position).is_some() {
                self.lanes.resume(&self.key(position), position);
            }
        }
    }

    /// Gives instances to the events that can run.
    fn dispatch(&mut self) -> Result<(), Halt> {
        while self.finished.len() + self.working.len() < self.together
            && let Some((key, position)) = self.lanes.next()
        {
            let Some(event) = self.backlog.event(position).cloned() else { continue };
            let (view, since) = (self.version.state().view().map_err(Halt::of_host)?, self.recent.now());
            self.begun.insert((since, position));
            let task = Task { key, position, event, view, since };
            let work = handle(Arc::clone(&self.version), self.idle.pop(), task);
            self.working.push(Box::pin(work));
            // Most need to wait for nothing, and leave their instance to the next.
            self.take_finished();
        }
        Ok(())
    }

    /// Takes what has been finished by now, without waiting.
    fn take_finished(&mut self) {
        while let Some(Some(finished)) = self.working.next().now_or_never() {
            self.note(finished);
        }
    }

    fn note(&mut self, mut finished: Finished) {
        self.lanes.ended();
        self.begun.remove(&(finished.task.since, finished.task.position));
        self.idle.extend(finished.instance.take());
        self.finished.push(finished);
    }

    /// Commits what is finished, and with it what is to be appended.
    fn commit(&mut self) -> Result<(), Halt> {
        let now = clock::now();
        let mut outcome = Outcome { entries: std::mem::take(&mut self.entries), ..Outcome::default() };
        for finished in std::mem::take(&mut self.finished) {
            let Finished { task, reads, result, .. } = finished;
            if self.recent.conflicts(&reads, task.since) {
                outcome.again.push(task.key);
                continue;
            }
            match result {
                Ok(answer) => self.answered(&task, answer, &mut outcome),
                Err(Failed::Retry(reason)) => self.failed(task, reason, now, &mut outcome),
                Err(Failed::Reject(reason)) => self.give_up(task, reason, now, &mut outcome),
                Err(Failed::Host(reason)) => return Err(Halt::of_host(reason)),
            }
        }
        // An effect may only happen once it is certain that it will be known.
        let durability = match outcome.append.is_empty() {
            true => Durability::Eventual,
            false => Durability::Durable,
        };
        let position = self.backlog.low_water();
        let handled = outcome.closed.len() as u64;
        let changes = outcome.changes.iter().flat_map(Changes::iter).map(Change::from);
        let committed = self.state().commit_books(changes, &outcome.entries, position, handled, durability);
        committed.map_err(Halt::of_host)?;
        self.committed(durability, position).map_err(Halt::of_host)?;
        self.version.add_folded(handled);
        self.outbox.append(&mut outcome.append);
        self.recent.forget(self.begun.first().map_or(self.recent.now(), |(since, _)| *since));
        self.together = match outcome.again.is_empty() {
            true => (2 * self.together).min(TOGETHER),
            false => outcome.closed.len().max(1),
        };
        outcome.again.iter().for_each(|key| self.lanes.again(key));
        let (waiting, due) = (&self.waiting, &self.due);
        let waits = |position: Position| {
            waiting.get(&position).is_some_and(|waiting| due.contains(&(waiting.next, position)))
        };
        outcome.closed.iter().for_each(|key| self.lanes.finished(key, waits));
        Ok(())
    }

    fn answered(&mut self, task: &Task, answer: Answer, outcome: &mut Outcome) {
        let position = task.position;
        let append = match task.event.heads.first() {
            Some(head) => outbox::envelopes(self.version.name(), (&task.event, head), answer.append),
            None => Vec::new(),
        };
        self.recent.note(&answer.changes);
        outcome.changes.push(answer.changes);
        outcome.entries.push(BookEntry::Handled { position, append: append.clone() });
        if !append.is_empty() {
            outcome.append.push((position, append));
        }
        outcome.closed.push(task.key.clone());
        self.close(position);
    }

    fn failed(&mut self, task: Task, reason: String, now: Timestamp, outcome: &mut Outcome) {
        let before = self.waiting.get(&task.position);
        let chance = fastrand::f64();
        match retry::after_failure(&self.retries, task.position, before, now, reason.clone(), chance) {
            Verdict::Again(waiting) => {
                tracing::debug!(
                    plugin = self.version.name(),
                    position = task.position,
                    reason,
                    "to be tried again"
                );
                self.due.insert((waiting.next, waiting.position));
                self.waiting.insert(waiting.position, waiting.clone());
                outcome.entries.push(BookEntry::Waits(waiting));
            }
            Verdict::GiveUp => {
                let attempts = before.map_or(0, |before| before.attempts) + 1;
                self.give_up(task, format!("{reason} (given up after {attempts} attempts)"), now, outcome);
            }
        }
    }

    fn give_up(&mut self, task: Task, reason: String, now: Timestamp, outcome: &mut Outcome) {
        tracing::warn!(plugin = self.version.name(), position = task.position, reason, "a dead letter");
        let letter = dead_letter(&task.event, task.position, reason, now);
        outcome.entries.push(BookEntry::Dead(letter));
        outcome.closed.push(task.key);
        self.close(task.position);
    }

    /// An event is handled or given up.
    fn close(&mut self, position: Position) {
        self.backlog.close(position);
        self.waiting.remove(&position);
    }

    /// Appends what is committed to be.
    async fn send(&mut self) -> Result<(), Halt> {
        let answers = std::mem::take(&mut self.outbox);
        if answers.is_empty() {
            return Ok(());
        }
        let sent = outbox::append(&*self.log, &answers).await.map_err(Halt::of_host)?;
        let now = clock::now();
        for ((position, _), sent) in answers.into_iter().zip(sent) {
            self.entries.push(BookEntry::Appended(position));
            if let Sent::Refused(reason) = sent {
                let reason = format!("what it leads to cannot be appended: {reason}");
                tracing::warn!(plugin = self.version.name(), position, reason, "a dead letter");
                let block = self.log.block(position).map_err(Halt::of_host)?.unwrap_or_default();
                let event = block.select(block.between(position, position), |_| true);
                self.entries.push(BookEntry::Dead(dead_letter(&event, position, reason, now)));
            }
        }
        // Nothing is lost if this is: it is appended again, and known.
        self.eventual_since.get_or_insert_with(clock::instant);
        Ok(())
    }

    /// Makes durable what is committed, and what the books are still to say.
    fn save(&mut self) -> Result<(), StateError> {
        let entries = std::mem::take(&mut self.entries);
        let position = self.state().checkpoint().position;
        self.state().commit_books([], &entries, position, 0, Durability::Durable)?;
        self.committed(Durability::Durable, position)
    }

    fn committed(&mut self, durability: Durability, position: Position) -> Result<(), StateError> {
        self.eventual_since = match durability {
            Durability::Durable => None,
            Durability::Eventual => Some(self.eventual_since.unwrap_or_else(clock::instant)),
        };
        let snapshot = Arc::new(self.state().snapshot()?);
        self.version.state().advance(0, position, Some(snapshot));
        self.version.set_position(position);
        Ok(())
    }
}

fn dead_letter(event: &Block, position: Position, reason: String, recorded: Timestamp) -> DeadLetter {
    let event = event.events().next();
    let (event_id, event_type) =
        event.map(|event| (event.envelope.id, event.envelope.event_type)).unwrap_or_default();
    DeadLetter { position, event_id, event_type, reason, recorded }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
