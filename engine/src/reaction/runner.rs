//! The loop that gives events to instances, commits what comes of them, and appends
//! what they lead to.
//!
//! One task does it all: it polls the instances that are at work, so they share a
//! thread and take turns; while one waits for something the others go on.
//!
//! - here: the loop;
//! - `runner/recovery.rs`: where the last run ended;
//! - `runner/admission.rs`: the lanes of events;
//! - `runner/commit.rs`: what comes of events that are finished;
//! - `runner/sending.rs`: how what they lead to is appended;
//! - `runner/timers.rs`: timers that are due;
//! - `runner/letters.rs`: what can be done about dead letters.

mod admission;
mod commit;
mod letters;
mod recovery;
mod sending;
mod timers;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::watch, time::Instant};

use self::sending::Sending;
use super::{
    backlog::Backlog,
    calls::{Caller, EventCalls},
    handle::{Rest, Told},
    handling::{Failed, Finished, Task, Unasked, handle},
    isolation::Isolation,
    lanes::{LaneKey, Lanes},
    outbox,
    reads::Tracked,
    setbacks::{FAILING, Setbacks},
    timers::{Timers, is_of_another, is_timer},
};
use crate::{
    clock,
    event::{Block, Head, Partition, Position, Timestamp},
    log::EventLog,
    plugin::Instance,
    projection::{Division, Halt, Phase, Source, Version},
    state::{BookEntry, Outgoing, PartitionState},
};

/// How many events are known and not handled, at most. One that waits to be tried again
/// keeps those of its lane back, and those of others only when its lane has so many.
const BACKLOG: usize = 1 << 15;
/// How many events are committed together, at most …
const TOGETHER: usize = 1 << 12;
/// … and about how many bytes that they lead to.
const TOGETHER_BYTES: usize = 16 << 20;
/// So many events may be kept back before no new ones are begun.
const KEPT_BACK: usize = 256;
/// For about so long events are handled, or the log is read, before others have their
/// turn.
const TURN: Duration = Duration::from_millis(10);
/// Who has had to begin again so often runs alone.
const RERUNS: u32 = 3;
/// How many of its timers it shows.
const TIMERS_SHOWN: usize = 100;
/// Before a stop, events that are being handled may take so long to come to their end: a
/// call that is cut off has to be made again.
const PATIENCE: Duration = Duration::from_secs(5);
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
    lanes: Lanes,
    backlog: Backlog,
    working: FuturesUnordered<BoxFuture<'static, Finished>>,
    /// Instances that have nothing to do.
    idle: Vec<Instance>,
    /// Answered or failed, and not committed.
    finished: Vec<Finished>,
    /// About how many bytes that takes.
    finished_bytes: usize,
    /// Answered, and not to be committed before others.
    kept_back: Vec<Finished>,
    /// Events that may call after others have come to their end; how often one of those had
    /// when they began to wait.
    in_line: BTreeMap<Position, (u64, LaneKey)>,
    /// Events that had called when the last run ended, in the order of their calls: each is
    /// handled alone before all others, so that it finds what it had read.
    interrupted: VecDeque<Position>,
    /// How often events that are not handled yet had to begin again, since another had
    /// changed what they had read.
    reruns: BTreeMap<Position, u32>,
    /// As of when each of the events reads the state that have begun and are not committed.
    begun: BTreeSet<(u64, Position)>,
    isolation: Arc<Isolation>,
    /// The lane of each event of the backlog.
    keys: BTreeMap<Position, LaneKey>,
    /// How many events are handled for one commit, at most: fewer where they get in
    /// each other's way.
    together: usize,
    setbacks: Setbacks,
    /// Committed, and to be appended.
    outbox: VecDeque<Outgoing>,
    /// Being appended.
    sending: Option<Sending>,
    /// The number of what is to be appended next.
    outgoing: u64,
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
        let settings = version.plugin().settings();
        let division = Arc::new(Division::new(1));
        Self {
            source: Source::new(Arc::clone(&log), version.code(), Partition::WHOLE, division),
            lanes: Lanes::new(settings.policies.lanes),
            backlog: Backlog::default(),
            working: FuturesUnordered::new(),
            idle: Vec::new(),
            finished: Vec::new(),
            kept_back: Vec::new(),
            in_line: BTreeMap::new(),
            interrupted: VecDeque::new(),
            finished_bytes: 0,
            reruns: BTreeMap::new(),
            begun: BTreeSet::new(),
            isolation: Arc::default(),
            keys: BTreeMap::new(),
            together: TOGETHER,
            setbacks: Setbacks::default(),
            outbox: VecDeque::new(),
            sending: None,
            outgoing: 1,
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
        self.recover().await?;
        let (mut head, mut stop) = (self.log.follow(), self.stop.clone());
        let mut moves = self.version.plugin().clock().follow();
        loop {
            moves.note();
            let now = self.now();
            if *stop.borrow() || stop.has_changed().is_err() {
                return self.end().await;
            }
            while let Ok(command) = self.told.commands.try_recv() {
                self.obey(command).await?;
            }
            self.take_sent().await?;
            self.send();
            self.fire(now).await?;
            let newest = *head.borrow_and_update();
            self.read(newest).await?;
            self.resume(now);
            let has_more = self.dispatch()?;
            self.take_finished();
            let is_through = self.finished.is_empty() && self.working.is_empty();
            // While the log has not taken the last but one, more gathers for the next commit.
            if self.outbox.is_empty() && (!self.finished.is_empty() || self.is_behind()) {
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
            if has_more || self.backlog.len() < BACKLOG && self.backlog.read_to() < newest {
                tokio::task::yield_now().await;
                continue;
            }
            self.show();
            if self.rests() && self.backlog.read_to() >= newest {
                self.told.rests(Rest { head: newest, at: now, next: self.next_due() });
            }
            let (timer, mut command) = (self.timer(), None);
            tokio::select! {
                Some(finished) = self.working.next(), if !self.working.is_empty() => self.note(finished),
                sent = Sending::ended(&mut self.sending) => self.sent(sent?)?,
                moved = head.changed() => moved.map_err(|_| Halt::of_host("the event log is closed"))?,
                Some(told) = self.told.commands.recv() => command = Some(told),
                _ = stop.wait_for(|stop| *stop) => {}
                () = moves.next() => {}
                () = sleep_until(timer) => {
                    if self.eventual_since.is_some_and(|since| since.elapsed() >= DURABLE_AFTER) {
                        self.save().map_err(Halt::of_host)?;
                    }
                }
            }
            if let Some(command) = command {
                self.obey(command).await?;
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
            let waiting = || self.setbacks.waiting();
            if !known.eq(waiting().map(|waiting| (waiting.position, waiting.attempts))) {
                activity.waiting = waiting().cloned().collect();
            }
        });
    }

    fn state(&self) -> &PartitionState {
        &self.version.state().partitions()[0]
    }

    /// Before a stop: what is finished, durably. What is being handled may come to its end.
    async fn end(&mut self) -> Result<(), Halt> {
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        while !self.working.is_empty() {
            tokio::select! {
                Some(finished) = self.working.next() => self.note(finished),
                () = &mut patience => break,
            }
        }
        if !self.finished.is_empty() || self.is_behind() || !self.entries.is_empty() {
            self.commit()?;
        }
        self.send_all().await?;
        self.save().map_err(Halt::of_host)
    }

    /// Whether the checkpoint is behind what is handled.
    fn is_behind(&self) -> bool {
        self.backlog.low_water() > self.state().checkpoint().position
    }

    /// When the next thing is to be done that nobody else announces.
    fn timer(&self) -> Option<Instant> {
        let durable = self.eventual_since.map(|since| since + DURABLE_AFTER);
        let due = self.next_due().and_then(|at| self.version.plugin().clock().when(at));
        // One that nobody can take up announces nothing.
        let probe = self.setbacks.probe().filter(|at| *at > clock::instant());
        durable.into_iter().chain(due).chain(probe).min().map(Instant::from_std)
    }

    /// When the next event is to be tried again, or the next timer is due.
    fn next_due(&self) -> Option<Timestamp> {
        self.setbacks.next().into_iter().chain(self.timers.next()).min()
    }

    /// Whether nothing is under way of what it has read.
    fn rests(&self) -> bool {
        let is_sent = self.sending.is_none() && self.outbox.is_empty();
        self.working.is_empty() && self.finished.is_empty() && self.kept_back.is_empty() && is_sent
    }

    fn now(&self) -> Timestamp {
        self.version.plugin().clock().now()
    }

    /// Takes in events of the log, as many as there is room for.
    async fn read(&mut self, newest: Position) -> Result<(), Halt> {
        let (begun, own) = (clock::instant(), outbox::source(self.version.name()));
        while self.backlog.len() < BACKLOG && self.backlog.read_to() < newest && begun.elapsed() < TURN {
            let (first, room) = (self.backlog.read_to() + 1, BACKLOG - self.backlog.len());
            let portion = self.source.portion(first, newest, room).await?;
            let Some(portion) = portion else { break };
            let events = &portion.events;
            let wanted = |head: &Head| !is_of_another(&own, events, head);
            let positions = self.backlog.read(events, portion.to, wanted);
            self.admit(events, &positions).await?;
        }
        Ok(())
    }

    /// Lets events that have waited long enough run again.
    fn resume(&mut self, now: Timestamp) {
        while let Some(position) = self.setbacks.pop_due(now) {
            if let Some(key) = self.keys.get(&position) {
                self.lanes.resume(key, position);
            }
        }
    }

    /// Gives instances to the events that can run. Answers whether there are more, for its
    /// next turn.
    fn dispatch(&mut self) -> Result<bool, Halt> {
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
            let since = self.isolation.now();
            if let Some(why) = self.leaves_unasked(&event) {
                self.finished.push(Finished::without_effect(Task { key, position, event, since }, why));
                self.lanes.ended();
                continue;
            }
            let view = self.version.state().view().map_err(Halt::of_host)?;
            self.begun.insert((since, position));
            let task = Task { key, position, event, since };
            let state = Arc::new(Tracked::beside(&self.isolation, view, position, since));
            let calls = EventCalls::new(&self.caller, &task.event, &state);
            let work = handle(Arc::clone(&self.version), self.idle.pop(), (state, calls), task);
            self.working.push(Box::pin(work));
            // Most need to wait for nothing, and leave their instance to the next.
            self.take_finished();
        }
        Ok(begun.elapsed() >= TURN)
    }

    /// Why the reaction is not asked about the only event of a block, if it is not.
    fn leaves_unasked(&self, event: &Block) -> Option<Unasked> {
        match () {
            () if is_timer(event) && self.timers.of(event).is_none() => Some(Unasked::Void),
            () if self.is_late(event) => Some(Unasked::Late),
            () => None,
        }
    }

    /// Whether the only event of a block happened too long ago to be acted upon. One that
    /// has been tried is tried on.
    fn is_late(&self, event: &Block) -> bool {
        let limit = self.version.plugin().settings().policies.late_after;
        let Some((limit, head)) = limit.zip(event.heads.first()) else { return false };
        let age = self.now().as_micros().saturating_sub(head.time);
        let is_old = u128::try_from(age).is_ok_and(|age| age > limit.as_micros());
        // Before a crash it may have made calls, and not come to its end.
        let is_tried = || {
            self.setbacks.of(head.position).is_some()
                || self.state().calls(head.position).is_ok_and(|calls| !calls.is_empty())
        };
        is_old && !is_tried()
    }

    /// An event has failed. If all do, no new ones are begun.
    fn fails(&mut self, position: Position, reason: &str) {
        if self.setbacks.failed(position) {
            let reason = format!("its last {FAILING} events have all failed, the last with: {reason}");
            tracing::error!(plugin = self.version.name(), position, reason, "begins no new events");
            self.told.update(|activity| activity.paused = Some(reason));
        }
    }

    /// What has failed may succeed now: new events are begun again.
    fn succeeds(&mut self) {
        if self.setbacks.succeeded() {
            tracing::info!(plugin = self.version.name(), "begins new events again");
            self.told.update(|activity| activity.paused = None);
        }
    }

    /// Whether the next event may be begun: all may, unless all fail.
    fn may_begin(&mut self) -> bool {
        while let Some(first) = self.interrupted.front() {
            if !self.begun.is_empty() || !self.finished.is_empty() {
                return false;
            }
            if self.keys.get(first).is_some_and(|key| self.lanes.prefer(key, *first)) {
                return true;
            }
            // It waits, or has been dropped.
            self.interrupted.pop_front();
        }
        if !self.has_room() {
            // Only what has to run once more: others may wait for it.
            let mut begun = self.reruns.keys();
            return begun.any(|position| {
                self.keys.get(position).is_some_and(|key| self.lanes.prefer(key, *position))
            });
        }
        let Some(next) = self.lanes.peek() else { return false };
        self.reruns.contains_key(&next) || self.setbacks.may_begin(next, clock::instant())
    }

    /// Whether not too much is kept back to begin something new.
    fn has_room(&self) -> bool {
        let bytes = || self.kept_back.iter().map(Finished::bytes).sum::<usize>();
        self.kept_back.is_empty() || (self.kept_back.len() < KEPT_BACK && bytes() < TOGETHER_BYTES)
    }

    /// Takes what has been finished by now, without waiting.
    fn take_finished(&mut self) {
        while let Some(Some(finished)) = self.working.next().now_or_never() {
            self.note(finished);
        }
    }

    fn note(&mut self, mut finished: Finished) {
        self.lanes.ended();
        self.idle.extend(finished.instance.take());
        match &finished.result {
            Ok(_) => self.succeeds(),
            Err(Failed::Retry(reason) | Failed::Reject(reason) | Failed::Blocked(_, reason)) => {
                self.fails(finished.task.position, reason);
            }
            Err(Failed::Again(_) | Failed::Host(_)) => {}
        }
        self.finished_bytes += finished.bytes();
        self.finished.push(finished);
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
