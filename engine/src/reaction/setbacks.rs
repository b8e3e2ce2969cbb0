//! Events that have failed: those that wait to be tried again, those that hold up their
//! lanes, and whether all fail.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::{
    event::{Position, Timestamp},
    state::Waiting,
};

/// After so many events have failed, and none succeeded between them, no new ones are
/// begun until one succeeds that is tried again …
pub(super) const FAILING: usize = 50;
/// … or, where none is left to be tried again, a new one, at such intervals.
const PROBES: Duration = Duration::from_secs(60);

/// Events that have failed.
#[derive(Default)]
pub(super) struct Setbacks {
    /// Until they are handled.
    waiting: BTreeMap<Position, Waiting>,
    /// When each of them may run again, unless it has been let go.
    due: BTreeSet<(Timestamp, Position)>,
    /// Dead letters that hold up their lanes.
    held: BTreeSet<Position>,
    /// Events that have failed since one has last succeeded; no more than [`FAILING`].
    failing: BTreeSet<Position>,
    /// When a new event may be begun although all fail.
    probe_at: Option<Instant>,
}

impl Setbacks {
    /// As the books say it.
    pub(super) fn new(waiting: Vec<Waiting>) -> Self {
        let mut setbacks = Self::default();
        waiting.into_iter().for_each(|waiting| setbacks.wait(waiting));
        setbacks
    }

    /// An event is to be tried again at its time.
    pub(super) fn wait(&mut self, waiting: Waiting) {
        self.due.insert((waiting.next, waiting.position));
        self.let_go(waiting);
    }

    /// An event is to be tried again, at once.
    pub(super) fn let_go(&mut self, waiting: Waiting) {
        self.waiting.insert(waiting.position, waiting);
    }

    /// An event is put aside, and holds up its lane.
    pub(super) fn hold(&mut self, position: Position) {
        self.over(position);
        self.held.insert(position);
    }

    /// Whether an event is a dead letter that holds up its lane.
    pub(super) fn holds(&self, position: Position) -> bool {
        self.held.contains(&position)
    }

    /// An event holds up its lane no more. Answers whether it did.
    pub(super) fn release(&mut self, position: Position) -> bool {
        self.held.remove(&position)
    }

    /// An event is handled or put aside.
    pub(super) fn over(&mut self, position: Position) {
        self.waiting.remove(&position);
    }

    /// Whether an event may not run now.
    pub(super) fn stops(&self, position: Position) -> bool {
        self.holds(position)
            || self.waiting.get(&position).is_some_and(|waiting| self.due.contains(&(waiting.next, position)))
    }

    /// What is known of an event that has failed.
    pub(super) fn of(&self, position: Position) -> Option<&Waiting> {
        self.waiting.get(&position)
    }

    /// Events that are to be tried again, by position.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.values()
    }

    /// When the next event may run again.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The next event that may run again by now; it is let go.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<Position> {
        let (at, position) = self.due.first().copied().filter(|(at, _)| *at <= now)?;
        self.due.remove(&(at, position));
        Some(position)
    }

    /// An event has failed. Answers whether by this all do.
    pub(super) fn failed(&mut self, position: Position) -> bool {
        !self.all_fail() && self.failing.insert(position) && self.all_fail()
    }

    /// An event has succeeded. Answers whether all had failed before.
    pub(super) fn succeeded(&mut self) -> bool {
        let all_failed = self.all_fail();
        self.failing.clear();
        all_failed
    }

    fn all_fail(&self) -> bool {
        self.failing.len() >= FAILING
    }

    /// Whether an event may be begun: all may, unless all fail.
    pub(super) fn may_begin(&mut self, position: Position, now: Instant) -> bool {
        if !self.all_fail() || self.waiting.contains_key(&position) {
            return true;
        }
        let may = self.due.is_empty() && self.probe_at.is_none_or(|at| at <= now);
        if may {
            self.probe_at = Some(now + PROBES);
        }
        may
    }

    /// When a new event may be begun, if none may now.
    pub(super) fn probe(&self) -> Option<Instant> {
        self.probe_at.filter(|_| self.all_fail() && self.due.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(position: Position, next: i64) -> Waiting {
        let at = Timestamp::from_micros;
        Waiting { position, attempts: 1, since: at(0), next: at(next), reason: "down".into() }
    }

    #[test]
    fn an_event_stops_until_it_is_due_or_released() {
        let mut setbacks = Setbacks::new(vec![waiting(7, 20), waiting(3, 30)]);
        setbacks.hold(9);
        assert!([3, 7, 9].iter().all(|position| setbacks.stops(*position)) && !setbacks.stops(1));
        assert_eq!(setbacks.next(), Some(Timestamp::from_micros(20)));
        assert_eq!(setbacks.pop_due(Timestamp::from_micros(19)), None);
        assert_eq!(setbacks.pop_due(Timestamp::from_micros(25)), Some(7));
        assert!(!setbacks.stops(7) && setbacks.of(7).is_some(), "it may run, and is known to have failed");
        setbacks.let_go(waiting(3, 0));
        assert!(!setbacks.stops(3), "at once");
        assert!(setbacks.release(9) && !setbacks.release(9) && !setbacks.stops(9));
        setbacks.over(7);
        assert!(setbacks.of(7).is_none());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "some moment")]
    fn where_all_fail_only_what_has_failed_is_begun_and_now_and_then_a_new_one() {
        let mut setbacks = Setbacks::default();
        let now = Instant::now();
        let failed: Vec<bool> = (1..=60).map(|position| setbacks.failed(position)).collect();
        assert_eq!(failed.iter().position(|all| *all), Some(FAILING - 1), "said once");
        assert_eq!(failed.iter().filter(|all| **all).count(), 1);
        setbacks.wait(waiting(1, 10));
        assert!(setbacks.may_begin(1, now) && !setbacks.may_begin(100, now));
        setbacks.pop_due(Timestamp::from_micros(10));
        assert!(setbacks.may_begin(100, now), "nothing is left that is to be tried later");
        assert!(!setbacks.may_begin(101, now));
        assert_eq!(setbacks.probe(), Some(now + PROBES));
        assert!(setbacks.may_begin(101, now + PROBES));
        assert!(setbacks.succeeded() && !setbacks.succeeded());
        assert!(setbacks.may_begin(102, now));
    }
}
