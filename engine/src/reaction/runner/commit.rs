//! What comes of events that are finished: committed together, then appended.

use std::sync::Arc;

use super::{DURABLE_AFTER, RERUNS, Runner, TOGETHER};
use crate::{
    clock,
    event::{Envelope, Position, Timestamp},
    log::Append,
    plugin::Changes,
    projection::Halt,
    reaction::{
        handling::{Answer, Failed, Finished, Task, Unasked},
        isolation::{Admission, Claim},
        lanes::LaneKey,
        outbox,
        retry::{self, Verdict},
        timers::is_timer,
    },
    state::{BookEntry, Change, DeadLetter, Durability, Outgoing, StateError, Waiting},
};

/// What has come of events that are finished, as the next commit takes it.
#[derive(Default)]
struct Outcome {
    changes: Vec<Changes>,
    entries: Vec<BookEntry>,
    append: Vec<(Position, Vec<Envelope>)>,
    /// Handled, or given up.
    closed: Vec<LaneKey>,
    /// Failed, to be handled again later.
    failed: Vec<LaneKey>,
    /// To be handled once more, at once.
    again: Vec<LaneKey>,
    /// How many are handled, have failed, are given up, are not acted upon.
    handled: u64,
    failures: u64,
    given_up: u64,
    late: u64,
}

impl Runner {
    /// Commits what is finished, and with it what is to be appended.
    pub(super) fn commit(&mut self) -> Result<(), Halt> {
        let now = self.now();
        let mut outcome = Outcome { entries: std::mem::take(&mut self.entries), ..Outcome::default() };
        self.settle(now, &mut outcome)?;
        // An effect may only happen once it is certain that it will be known.
        let overdue = self.eventual_since.is_some_and(|since| since.elapsed() >= DURABLE_AFTER);
        let durability = match outcome.append.is_empty() && !overdue {
            true => Durability::Eventual,
            false => Durability::Durable,
        };
        let position = self.backlog.low_water();
        outcome.entries.extend(self.backlog.entries());
        if !outcome.append.is_empty() {
            let answers = std::mem::take(&mut outcome.append).into();
            let outgoing = Outgoing { number: self.outgoing, answers };
            self.outgoing += 1;
            self.outbox.push_back(outgoing.clone());
            outcome.entries.push(BookEntry::Goes(outgoing));
        }
        let handled = outcome.closed.len() as u64;
        let changes = outcome.changes.iter().flat_map(Changes::iter).map(Change::from);
        let committed = self.state().commit_books(changes, &outcome.entries, position, handled, durability);
        committed.map_err(Halt::of_host)?;
        self.committed(durability, position).map_err(Halt::of_host)?;
        self.version.add_folded(handled);
        self.told.update(|activity| {
            activity.handled += outcome.handled;
            activity.failures += outcome.failures;
            activity.given_up += outcome.given_up;
            activity.late += outcome.late;
        });
        self.isolation.forget(self.begun.first().map_or(self.isolation.now(), |(since, _)| *since));
        self.together = match outcome.again.is_empty() {
            true => (2 * self.together).min(TOGETHER),
            // Alone, nobody can get in its way.
            false if self.reruns.values().any(|reruns| *reruns >= RERUNS) => 1,
            false => outcome.closed.len().max(1),
        };
        self.call_in_line();
        outcome.again.iter().for_each(|key| self.lanes.again(key));
        outcome.failed.iter().for_each(|key| self.lanes.failed(key));
        for key in &outcome.closed {
            self.lanes.finished(key, |position| self.setbacks.stops(position));
        }
        Ok(())
    }

    /// Lets events of the line run once more, the oldest first, if those have come to their
    /// end that they may have waited for: as many as can run.
    fn call_in_line(&mut self) {
        let (ends, is_free) = (self.isolation.ends(), self.isolation.is_free());
        let most = self.version.plugin().settings().policies.lanes;
        let due = self.in_line.iter().filter(|(_, (since, _))| is_free || *since != ends).take(most);
        let due: Vec<Position> = due.map(|(position, _)| *position).collect();
        // Each comes before all others.
        for position in due.into_iter().rev() {
            if let Some((_, key)) = self.in_line.remove(&position) {
                self.lanes.again(&key);
            }
        }
    }

    /// Says what comes of each event that is finished, but of those that are kept back.
    fn settle(&mut self, now: Timestamp, outcome: &mut Outcome) -> Result<(), Halt> {
        self.finished_bytes = 0;
        let mut finished = std::mem::take(&mut self.kept_back);
        finished.append(&mut self.finished);
        while !finished.is_empty() {
            let count = finished.len();
            for finished in finished {
                self.settle_one(finished, false, now, outcome)?;
            }
            finished = std::mem::take(&mut self.kept_back);
            if finished.len() == count {
                let is_one = |position| finished.iter().any(|finished| finished.task.position == position);
                if self.isolation.has_caller_besides(is_one) {
                    // Others have to come to their end before.
                    self.kept_back = finished;
                    break;
                }
                // They wait for each other; whoever has not called can begin again.
                let has_called = |finished: &Finished| self.isolation.has_called(finished.task.position);
                let first = finished.iter().position(has_called).unwrap_or(0);
                self.settle_one(finished.remove(first), true, now, outcome)?;
            }
        }
        Ok(())
    }

    /// `force`: it is not kept back.
    fn settle_one(
        &mut self,
        finished: Finished,
        force: bool,
        now: Timestamp,
        outcome: &mut Outcome,
    ) -> Result<(), Halt> {
        let admission = self.isolation.admit(finished.ended(), force);
        if admission == Admission::KeptBack {
            self.kept_back.push(finished);
            return Ok(());
        }
        let Finished { task, result, .. } = finished;
        self.begun.remove(&(task.since, task.position));
        self.interrupted.pop_front_if(|first| *first == task.position);
        if admission == Admission::Conflicts {
            *self.reruns.entry(task.position).or_default() += 1;
            outcome.again.push(task.key);
            return Ok(());
        }
        match result {
            Ok(answer) => self.answered(task, answer, now, outcome),
            Err(Failed::Retry(reason)) => self.failed(task, reason, now, outcome),
            Err(Failed::Blocked(until, reason)) => {
                let before = self.setbacks.of(task.position);
                let waiting = retry::when_possible(task.position, before, now, until, reason);
                self.wait(task, waiting, outcome);
            }
            Err(Failed::Again(Claim::InLine(ends))) => {
                // It has begun, and may go on though all others fail.
                self.reruns.entry(task.position).or_default();
                self.in_line.insert(task.position, (ends, task.key));
            }
            Err(Failed::Again(Claim::Stale | Claim::Granted)) => outcome.again.push(task.key),
            Err(Failed::Reject(reason)) => self.give_up(task, reason, now, outcome),
            Err(Failed::Host(reason)) => return Err(Halt::of_host(reason)),
        }
        Ok(())
    }

    fn answered(&mut self, task: Task, answer: Answer, now: Timestamp, outcome: &mut Outcome) {
        let position = task.position;
        let timer = self.timers.of(&task.event).map(|timer| timer.key.clone());
        let answer = match is_timer(&task.event) && timer.is_none() {
            // It was moved or cancelled while it was handled.
            true => Answer { unasked: Some(Unasked::Void), ..Answer::default() },
            false => answer,
        };
        let append = match task.event.heads.first() {
            Some(head) => outbox::envelopes(self.version.name(), (&task.event, head), answer.reacted.append),
            None => Vec::new(),
        };
        let mut timers: Vec<BookEntry> = timer.into_iter().map(BookEntry::TimerGone).collect();
        match outbox::timers(&*self.log, self.version.name(), &task.event, answer.reacted.timers) {
            Ok(changes) => timers.extend(changes),
            Err(reason) => return self.give_up(task, reason, now, outcome),
        }
        // What the log would not take anyway must not be committed.
        let batch = Append { events: append, ..Append::default() };
        if let Err(refusal) = self.log.check(&batch) {
            let reason = format!("what it leads to cannot be appended: {refusal}");
            return self.give_up(task, reason, now, outcome);
        }
        outcome.changes.push(answer.changes);
        timers.iter().for_each(|entry| self.timers.apply(entry));
        outcome.entries.append(&mut timers);
        if self.setbacks.of(position).is_some() {
            outcome.entries.push(BookEntry::Handled(position));
        }
        if !batch.events.is_empty() {
            outcome.append.push((position, batch.events));
        }
        match answer.unasked {
            Some(Unasked::Late) => {
                outcome.entries.push(BookEntry::Late { position, recorded: now });
                outcome.late += 1;
            }
            Some(Unasked::Void) => outcome.entries.push(BookEntry::Void(position)),
            None => outcome.handled += 1,
        }
        outcome.closed.push(task.key);
        self.close(position);
    }

    fn failed(&mut self, task: Task, reason: String, now: Timestamp, outcome: &mut Outcome) {
        outcome.failures += 1;
        let before = self.setbacks.of(task.position);
        let (retries, chance) = (&self.version.plugin().settings().retries, fastrand::f64());
        match retry::after_failure(retries, task.position, before, now, reason.clone(), chance) {
            Verdict::Again(waiting) => self.wait(task, waiting, outcome),
            Verdict::GiveUp => self.give_up(task, reason, now, outcome),
        }
    }

    fn wait(&mut self, task: Task, waiting: Waiting, outcome: &mut Outcome) {
        let (plugin, Waiting { position, reason, .. }) = (self.version.name(), &waiting);
        tracing::debug!(plugin, position, reason, "to be tried again");
        self.setbacks.wait(waiting.clone());
        outcome.entries.push(BookEntry::Waits(waiting));
        outcome.failed.push(task.key);
    }

    fn give_up(&mut self, task: Task, reason: String, now: Timestamp, outcome: &mut Outcome) {
        tracing::warn!(plugin = self.version.name(), position = task.position, reason, "a dead letter");
        let attempts = self.setbacks.of(task.position).map_or(0, |before| before.attempts) + 1;
        outcome.entries.extend(DeadLetter::of(&task.event, reason, attempts, now).map(BookEntry::Dead));
        outcome.given_up += 1;
        if self.holds() {
            self.setbacks.hold(task.position);
            self.reruns.remove(&task.position);
            outcome.failed.push(task.key);
            return;
        }
        outcome.closed.push(task.key);
        self.close(task.position);
    }

    /// An event is handled or given up.
    pub(super) fn close(&mut self, position: Position) {
        self.backlog.close(position);
        self.keys.remove(&position);
        self.setbacks.over(position);
        self.reruns.remove(&position);
    }

    /// Makes durable what is committed, and what the books are still to say.
    pub(super) fn save(&mut self) -> Result<(), StateError> {
        let entries = std::mem::take(&mut self.entries);
        let position = self.state().checkpoint().position;
        self.state().commit_books([], &entries, position, 0, Durability::Durable)?;
        self.committed(Durability::Durable, position)
    }

    pub(super) fn committed(&mut self, durability: Durability, position: Position) -> Result<(), StateError> {
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
