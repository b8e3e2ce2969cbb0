//! The loop that gives events to instances, commits what comes of them, and appends
//! what they lead to.
//!
//! One task does it all: it polls the instances that are at work, so they share a
//! thread and take turns; while one waits for something the others go on.
//!
//! - here: the loop; `runner/commit.rs`: what comes of events that are finished;
//!   `runner/timers.rs`: timers that are set and due; `runner/letters.rs`: what can be
//!   done about dead letters.

mod commit;
mod letters;
mod timers;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::watch, time::Instant};

use self::timers::is_timer_of_another;
use super::{
    backlog::Backlog,
    calls::{Caller, EventCalls},
    handle::Told,
    handling::{Answer, Failed, Finished, Task, handle},
    lanes::{LaneKey, Lanes},
    outbox,
    reads::Recent,
    timers::{Timers, is_timer},
};
use crate::{
    clock,
    event::{Block, Envelope, Head, Partition, Position, Timestamp},
    log::EventLog,
    plugin::{Instance, Retries, description::Lane},
    projection::{Division, Halt, Phase, Source, Version},
    state::{BookEntry, PartitionState, Waiting},
};

/// How many events are known and not handled, at most. One that waits to be tried again
/// keeps those of its lane back, and those of others only when its lane has so many.
const BACKLOG: usize = 1 << 15;
/// How many events are committed together, at most …
const TOGETHER: usize = 1 << 12;
/// … and about how many bytes that they lead to.
const TOGETHER_BYTES: usize = 16 << 20;
/// For about so long events are handled, or the log is read, before others have their
/// turn.
const TURN: Duration = Duration::from_millis(10);
/// Who has had to begin again so often runs alone.
const RERUNS: u32 = 3;
/// After so many events have failed, and none succeeded between them, no new ones are
/// begun until one succeeds that is tried again …
const FAILING: usize = 50;
/// … or, where none is left to be tried again, a new one, at such intervals.
const PROBES: Duration = Duration::from_secs(60);
/// How many of its timers it shows.
const TIMERS_SHOWN: usize = 100;
/// What has been handled without an effect outside is durable after so long.
const DURABLE_AFTER: Duration = Duration::from_secs(1);

/// What drives a reaction.
pub(super) struct Runner {
    version: Arc<Version>,
    log: Arc<dyn EventLog>,
    source: Source,
    caller: Arc<Caller>,
    told: Told,
    stop: watch::Receiver<bool>,
    retries: Retries,
    lanes: Lanes,
    backlog: Backlog,
    working: FuturesUnordered<BoxFuture<'static, Finished>>,
    /// Instances that have nothing to do.
    idle: Vec<Instance>,
    /// Answered or failed, and not committed.
    finished: Vec<Finished>,
    /// About how many bytes that takes.
    finished_bytes: usize,
    /// How often events that are not handled yet had to begin again, since another had
    /// changed what they had read.
    reruns: BTreeMap<Position, u32>,
    /// When each of the events that are at work began.
    begun: BTreeSet<(u64, Position)>,
    recent: Recent,
    /// How many events are handled for one commit, at most: fewer where they get in
    /// each other's way.
    together: usize,
    /// Events that have failed since one has last succeeded; no more than
    /// [`FAILING`].
    failing: BTreeSet<Position>,
    /// When a new event may be begun although all fail.
    probe_at: Option<std::time::Instant>,
    /// Events that have failed, until they are handled.
    waiting: BTreeMap<Position, Waiting>,
    /// When each of them may run again.
    due: BTreeSet<(Timestamp, Position)>,
    /// Committed, and not in the log as far as is known.
    outbox: Vec<(Position, Vec<Envelope>)>,
    timers: Timers,
    /// What the next commit writes into the books beside what is finished.
    entries: Vec<BookEntry>,
    /// Since when something is committed that is not durable.
    eventual_since: Option<std::time::Instant>,
}

impl Runner {
    pub(super) fn new(
        version: Arc<Version>,
        log: Arc<dyn EventLog>,
        caller: Arc<Caller>,
        told: Told,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let plugin = version.plugin();
        let settings = plugin.settings();
        let division = Arc::new(Division::new(1));
        Self {
            source: Source::new(Arc::clone(&log), plugin.description(), Partition::WHOLE, division),
            retries: settings.retries.clone(),
            lanes: Lanes::new(settings.policies.lanes),
            backlog: Backlog::default(),
            working: FuturesUnordered::new(),
            idle: Vec::new(),
            finished: Vec::new(),
            finished_bytes: 0,
            reruns: BTreeMap::new(),
            begun: BTreeSet::new(),
            recent: Recent::default(),
            together: TOGETHER,
            failing: BTreeSet::new(),
            probe_at: None,
            waiting: BTreeMap::new(),
            due: BTreeSet::new(),
            outbox: Vec::new(),
            timers: Timers::default(),
            entries: Vec::new(),
            eventual_since: None,
            version,
            log,
            caller,
            told,
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
        self.recover()?;
        let (mut head, mut stop) = (self.log.follow(), self.stop.clone());
        loop {
            if *stop.borrow() || stop.has_changed().is_err() {
                return self.end();
            }
            while let Ok(command) = self.told.commands.try_recv() {
                self.obey(command)?;
            }
            self.send().await?;
            self.fire().await?;
            let newest = *head.borrow_and_update();
            self.read(newest)?;
            self.resume(clock::now());
            self.dispatch()?;
            self.take_finished();
            let is_through = self.finished.is_empty() && self.working.is_empty();
            if !self.finished.is_empty() || self.is_behind() {
                self.commit()?;
                self.show();
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
                tokio::task::yield_now().await;
                continue;
            }
            self.show();
            let timer = self.timer();
            tokio::select! {
                Some(finished) = self.working.next(), if !self.working.is_empty() => self.note(finished),
                moved = head.changed() => moved.map_err(|_| Halt::of_host("the event log is closed"))?,
                Some(command) = self.told.commands.recv() => self.obey(command)?,
                _ = stop.wait_for(|stop| *stop) => {}
                () = sleep_until(timer) => {
                    if self.eventual_since.is_some_and(|since| since.elapsed() >= DURABLE_AFTER) {
                        self.save().map_err(Halt::of_host)?;
                    }
                }
            }
        }
    }

    /// Shows others what it does.
    fn show(&self) {
        self.told.update(|activity| {
            activity.running = self.working.len();
            activity.backlog = self.backlog.len();
            activity.timers = self.timers.len();
            activity.next_timers = self.timers.soonest(TIMERS_SHOWN);
            let known = activity.waiting.iter().map(|waiting| (waiting.position, waiting.attempts));
            if !known.eq(self.waiting.values().map(|waiting| (waiting.position, waiting.attempts))) {
                activity.waiting = self.waiting.values().cloned().collect();
            }
        });
    }

    fn state(&self) -> &PartitionState {
        &self.version.state().partitions()[0]
    }

    /// Goes on where the last run ended, however it did.
    fn recover(&mut self) -> Result<(), Halt> {
        let books = self.state().books().map_err(Halt::of_host)?;
        let checkpoint = self.state().checkpoint().position;
        let open = books.open.into_iter().map(|position| Ok((position, self.event(position)?)));
        self.backlog =
            Backlog::new(books.handled_to.max(checkpoint), open.collect::<Result<Vec<_>, Halt>>()?);
        self.due = books.waiting.iter().map(|waiting| (waiting.next, waiting.position)).collect();
        self.waiting = books.waiting.into_iter().map(|waiting| (waiting.position, waiting)).collect();
        self.outbox = books.outbox;
        self.timers = Timers::new(books.timers);
        let open: Vec<Position> = self.backlog.positions().collect();
        for position in open {
            self.lanes.admit(self.key(position), position, self.waits(position));
        }
        // What had been given up may stand anywhere.
        let revived = self.waiting.keys().copied().filter(|position| {
            *position <= self.backlog.read_to() && self.backlog.event(*position).is_none()
        });
        for position in revived.collect::<Vec<_>>() {
            let event = self.event(position)?;
            self.revive(position, event);
        }
        Ok(())
    }

    /// An event of the log, alone.
    fn event(&self, position: Position) -> Result<Block, Halt> {
        let block = self.log.block(position).map_err(Halt::of_host)?.unwrap_or_default();
        Ok(block.select(block.between(position, position), |_| true))
    }

    /// Lets an event be handled that had been given up; whether it may run now, the
    /// books say.
    fn revive(&mut self, position: Position, event: Block) {
        self.backlog.revive(position, event);
        self.lanes.admit(self.key(position), position, self.waits(position));
    }

    /// Whether an event has failed, and has not been let go since.
    fn waits(&self, position: Position) -> bool {
        is_due_later(&self.waiting, &self.due, position)
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
        let due = self.due.first().map(|(at, _)| *at).into_iter().chain(self.timers.next()).min();
        let due = due.and_then(|at| {
            let micros = at.as_micros().saturating_sub(clock::now().as_micros());
            clock::instant().checked_add(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
        });
        let probe = self.probe_at.filter(|_| self.failing.len() >= FAILING && self.waiting.is_empty());
        durable.into_iter().chain(due).chain(probe).min().map(Instant::from_std)
    }

    /// Takes in events of the log, as many as there is room for.
    fn read(&mut self, newest: Position) -> Result<(), Halt> {
        let (begun, own) = (clock::instant(), outbox::source(self.version.name()));
        while self.backlog.len() < BACKLOG && self.backlog.read_to() < newest && begun.elapsed() < TURN {
            let (first, room) = (self.backlog.read_to() + 1, BACKLOG - self.backlog.len());
            let portion = self.source.portion(first, newest, room).map_err(Halt::of_host)?;
            let Some(portion) = portion else { break };
            let events = &portion.events;
            let wanted = |head: &Head| !is_timer_of_another(&own, events, head);
            for position in self.backlog.read(events, portion.to, wanted) {
                self.lanes.admit(self.key(position), position, self.waits(position));
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
        let begun = clock::instant();
        while self.finished.len() + self.working.len() < self.together
            && self.finished_bytes < TOGETHER_BYTES
            && begun.elapsed() < TURN
            && self.may_begin()
            && let Some((key, position)) = self.lanes.next()
        {
            let event = self.backlog.event(position).cloned();
            let event = event
                .ok_or_else(|| Halt::of_host(format!("event {position} is lost; please report this")))?;
            if is_timer(&event) && self.timers.of(&event).is_none() {
                // It has been moved or cancelled.
                let task = Task { key, position, event, since: self.recent.now() };
                self.finished.push(Finished::without_effect(task));
                self.lanes.ended();
                continue;
            }
            let (view, since) = (self.version.state().view().map_err(Halt::of_host)?, self.recent.now());
            self.begun.insert((since, position));
            let task = Task { key, position, event, since };
            let calls = EventCalls::new(&self.caller, &task.event);
            let work = handle(Arc::clone(&self.version), self.idle.pop(), (view, calls), task);
            self.working.push(Box::pin(work));
            // Most need to wait for nothing, and leave their instance to the next.
            self.take_finished();
        }
        Ok(())
    }

    /// An event has failed. If all do, no new ones are begun.
    fn fails(&mut self, position: Position, reason: &str) {
        if self.failing.len() < FAILING && self.failing.insert(position) && self.failing.len() == FAILING {
            let reason = format!("its last {FAILING} events have all failed, the last with: {reason}");
            tracing::error!(plugin = self.version.name(), position, reason, "begins no new events");
            self.told.update(|activity| activity.paused = Some(reason));
        }
    }

    fn succeeds(&mut self) {
        if self.failing.len() == FAILING {
            tracing::info!(plugin = self.version.name(), "begins new events again");
            self.told.update(|activity| activity.paused = None);
        }
        self.failing.clear();
    }

    /// Whether the next event may be begun: all may, unless all fail.
    fn may_begin(&mut self) -> bool {
        let Some(next) = self.lanes.first() else { return false };
        if self.failing.len() < FAILING || self.waiting.contains_key(&next) {
            return true;
        }
        let now = clock::instant();
        let may = self.waiting.is_empty() && self.probe_at.is_none_or(|at| at <= now);
        if may {
            self.probe_at = Some(now + PROBES);
        }
        may
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
        match &finished.result {
            Ok(_) => self.succeeds(),
            Err(Failed::Retry(reason) | Failed::Reject(reason) | Failed::Blocked(_, reason)) => {
                self.fails(finished.task.position, reason);
            }
            Err(Failed::Host(_)) => {}
        }
        self.finished_bytes += finished.result.as_ref().map_or(0, Answer::bytes);
        self.finished.push(finished);
    }
}

/// Whether an event has failed, and has not been let go since.
fn is_due_later(
    waiting: &BTreeMap<Position, Waiting>,
    due: &BTreeSet<(Timestamp, Position)>,
    position: Position,
) -> bool {
    waiting.get(&position).is_some_and(|waiting| due.contains(&(waiting.next, position)))
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
